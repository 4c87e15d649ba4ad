"""New credentials for old, by one process at a time: stored and committed before anybody uses them, and never given up for want of an answer.

A provider may take a refresh token only once. So whoever renews holds the lock of the credential's row; whoever comes meanwhile waits, and
finds the new ones in the row. An answer that was lost is asked for again with the same token: many providers honour it for a while, and
the worst that the others can say is the refusal that not asking would have come to. Only a refusal ends a grant.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeAlias

from billhook.contract.declaration import Capability
from billhook.contract.results import CredentialsResult
from billhook.engine.app_status import all_become_unauthorized
from billhook.engine.apps import AppHandle
from billhook.engine.connections import Connections, NoAnswer
from billhook.engine.context import Context
from billhook.engine.credentials import Credential, Credentials, Locked
from billhook.engine.open_operation import HeldApp
from billhook.engine.telling import told
from billhook.errors import ConfigError, ContractViolation, StoreError
from billhook.store.transaction import Transaction

SOMEBODY_ELSE = timedelta(milliseconds=500)
"""How long to leave it to whoever is renewing."""
STORING = timedelta(seconds=30)
"""What a lock allows for storing, over the time that the provider may take."""
STORE_TRIES = 3


@dataclass(frozen=True, slots=True)
class Renewed:
    """Newer credentials are stored: our own, or somebody else's."""

    credential: Credential


@dataclass(frozen=True, slots=True)
class Refused:
    """The provider takes them no more. Every app that shares them is unauthorized now."""

    reason: str


@dataclass(frozen=True, slots=True)
class Postponed:
    """Not now. ``failed`` False: somebody else is at it."""

    after: timedelta
    reason: str
    failed: bool = True


Renewal: TypeAlias = Renewed | Refused | Postponed


@dataclass(frozen=True, slots=True)
class RenewalLanded:
    """What became of renewing the credentials of a held app."""

    held: HeldApp
    came: Renewal | BaseException


class Renewals:
    """Renews credentials in the caller's thread. ``owner`` is alive as the database's liveness tells; safe between threads."""

    def __init__(self, context: Context, connections: Connections, credentials: Credentials, owner: str) -> None:
        self._context = context
        self._connections = connections
        self._credentials = credentials
        self._owner = owner

    def task(self, held: HeldApp, version: int) -> Callable[[], RenewalLanded]:
        """The renewal as a task that never raises."""

        def run() -> RenewalLanded:
            try:
                return RenewalLanded(held, self.renew(held.app, version))
            except BaseException as error:  # noqa: BLE001 - carried to the worker's thread, which raises it
                return RenewalLanded(held, error)

        return run

    def renew(self, app: AppHandle, version: int) -> Renewal:
        """Newer credentials than that version. Raises what only a person can mend: a database or a key that fails."""
        found = self._context.database.write(lambda tx: self._lock(tx, app, version))
        if isinstance(found, Locked):
            return Postponed(SOMEBODY_ELSE, "somebody else is renewing them", failed=False)
        if found.version != version:
            return Renewed(found)
        try:
            return self._ask(app, found)
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001 - the plugin failed; whether the provider did anything is as open as after a lost answer
            return self._postponed(app, NoAnswer(told(error, app.handle.credentials(found.secrets))))

    def _lock(self, tx: Transaction, app: AppHandle, version: int) -> Credential | Locked:
        longest = app.handle.declaration.rules(Capability.REFRESH_CREDENTIALS).longest
        until = self._context.clock.now() + longest + STORING
        is_alive = self._context.database.liveness.is_alive
        return self._credentials.lock(tx, _id_of(app), version, self._owner, until, is_alive)

    def _ask(self, app: AppHandle, old: Credential) -> Renewal:
        try:
            result = self._connections.run(app, Capability.REFRESH_CREDENTIALS, app.handle.credentials(old.secrets))
        except NoAnswer as failure:
            return self._postponed(app, failure)
        except ConfigError as refusal:
            return self._give_up(app, old, str(refusal))
        if not isinstance(result, CredentialsResult):
            raise ContractViolation(f"refresh_credentials of {app.type} is done without a CredentialsResult.")
        app.handle.credentials({**old.secrets, **result.credentials})
        return Renewed(self._keep(app, old, result))

    def _keep(self, app: AppHandle, old: Credential, result: CredentialsResult) -> Credential:
        """Store them. What somebody set meanwhile stays; a database that fails is asked again, because these exist nowhere else."""

        def swap(tx: Transaction) -> Credential:
            known = self._credentials.hold(tx, _id_of(app))
            if any(known.secrets.get(name) != old.secrets.get(name) for name in result.credentials):
                self._credentials.unlock(tx, _id_of(app), self._owner)
                return known
            secrets = {**known.secrets, **result.credentials}
            self._credentials.swap(tx, _id_of(app), known.version, secrets, result.expires_at)
            return self._credentials.load(tx, _id_of(app))

        for _ in range(STORE_TRIES - 1):
            try:
                return self._context.database.write(swap)
            except StoreError:
                continue
        return self._context.database.write(swap)

    def _give_up(self, app: AppHandle, old: Credential, reason: str) -> Renewal:
        def hold(tx: Transaction) -> Credential | None:
            known = self._credentials.hold(tx, _id_of(app))
            self._credentials.unlock(tx, _id_of(app), self._owner)
            if known.version != old.version:
                return known
            all_become_unauthorized(self._context, tx, _id_of(app))
            return None

        newer = self._context.database.write(hold)
        return Refused(reason) if newer is None else Renewed(newer)

    def _postponed(self, app: AppHandle, failure: NoAnswer) -> Renewal:
        self._context.database.write(lambda tx: self._credentials.unlock(tx, _id_of(app), self._owner))
        fields = {"app": app.id, "type": app.type, "reason": str(failure)}
        self._context.telemetry.log(
            logging.WARNING, "An app's credentials could not be renewed; it is tried again.", fields
        )
        return Postponed(failure.after, str(failure))


def _id_of(app: AppHandle) -> str:
    assert app.credential_id is not None
    return app.credential_id
