"""Connections under way: a person was asked for access, and has not come back yet. Kept in this process's memory, for a while."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Lock
from typing import Any

from starlette.requests import Request

from billhook.clock import Clock
from billhook.contract.results import Account
from billhook.engine.connecting import Authorization, Grant
from billhook.engine.connections import NoAnswer
from billhook.engine.namespace import Namespace
from billhook.engine.records import App
from billhook.errors import ConfigError, NotFound, Unsupported

PATIENCE = timedelta(minutes=30)
MOST_UNDER_WAY = 1000


@dataclass(frozen=True, slots=True)
class OAuth2Client:
    """How a host is known at a provider: where its people come back to, and the client's own credentials and settings."""

    redirect_uri: str
    credentials: Mapping[str, Any] = field(repr=False)
    settings: Mapping[str, Any] = field(default_factory=dict)


class NotUnderWay(NotFound):
    """No connection is under way with that state: it may be over, or may have been begun at another server."""

    _cure = "It came to its end, is older than half an hour, or was begun elsewhere. Begin again."

    def __init__(self, state: str, namespace: str) -> None:
        super().__init__("connection under way with state", state, namespace)


@dataclass(frozen=True, slots=True)
class _UnderWay:
    namespace: str
    until: datetime
    authorization: Authorization
    grant: Grant | None = None


class ConnectionsUnderWay:
    """Connections by the state that a person comes back with. Safe between threads."""

    def __init__(self, clock: Clock, clients: Mapping[str, OAuth2Client]) -> None:
        self._clock = clock
        self._clients = clients
        self._under_way: dict[str, _UnderWay] = {}
        self._lock = Lock()

    def begin_with_client(self, billing: Namespace, type: str) -> Authorization:
        """Ask with the client that this server was given for that provider. Raises Unsupported where it was given none."""
        client = self._clients.get(type)
        if client is None:
            raise Unsupported(
                f"This server was given no OAuth client for {type[:64]!r}. POST /api/billhook/v1/connections takes one with the request."
            )
        return self.begin(billing, type, client)

    def begin(self, billing: Namespace, type: str, client: OAuth2Client) -> Authorization:
        """Ask a person for access to accounts of that provider."""
        asked = billing.connecting.begin(
            type, redirect_uri=client.redirect_uri, settings=client.settings, credentials=client.credentials
        )
        return self._keep(billing, asked)

    def begin_again(
        self, billing: Namespace, app_id: str, redirect_uri: str, credentials: Mapping[str, Any]
    ) -> Authorization:
        """Ask anew for an app whose grant is dead."""
        return self._keep(
            billing, billing.connecting.begin_again(app_id, redirect_uri=redirect_uri, credentials=credentials)
        )

    def redeem(self, billing: Namespace, state: str, returned: Mapping[str, str]) -> Sequence[Account]:
        """Redeem what the person came back with. Returns the accounts that it reaches; ``keep`` installs them.

        It is redeemed once: asked again, the same accounts are the answer. Where the provider gives no answer it can be tried again.
        """
        under_way = self._take(billing, state)
        if under_way.grant is not None:
            self._put(state, under_way)
            return under_way.grant.accounts
        try:
            grant = billing.connecting.finish(under_way.authorization, returned)
        except NoAnswer:
            self._put(state, under_way)
            raise
        self._put(state, _UnderWay(billing.name, under_way.until, under_way.authorization, grant))
        return grant.accounts

    def keep(self, billing: Namespace, state: str, account_ids: Sequence[str], name: str | None) -> list[App]:
        """An app for each of these accounts, for all that are reached where none is named."""
        under_way = self._take(billing, state)
        if under_way.grant is None:
            self._put(state, under_way)
            raise ConfigError("Nobody came back with a grant yet. Finish the connection first.")
        try:
            return billing.connecting.keep(under_way.grant, _chosen(under_way.grant, account_ids), name=name)
        except ConfigError:
            self._put(state, under_way)
            raise

    def finish(self, billing: Namespace, type: str, state: str, returned: Mapping[str, str]) -> list[App]:
        """Redeem, and install every account that is reached."""
        self.redeem(billing, state, returned)
        return self.keep(billing, state, (), None)

    def _keep(self, billing: Namespace, asked: Authorization) -> Authorization:
        self._put(asked.state, _UnderWay(billing.name, self._clock.now() + PATIENCE, asked))
        return asked

    def _put(self, state: str, under_way: _UnderWay) -> None:
        now = self._clock.now()
        with self._lock:
            alive = {key: each for key, each in self._under_way.items() if each.until > now}
            if len(alive) >= MOST_UNDER_WAY:
                alive.pop(next(iter(alive)))
            self._under_way = {**alive, state: under_way}

    def _take(self, billing: Namespace, state: str) -> _UnderWay:
        with self._lock:
            found = self._under_way.get(state)
            if found is None or found.namespace != billing.name or found.until <= self._clock.now():
                raise NotUnderWay(state, billing.name)
            return self._under_way.pop(state)


def connections_of(request: Request) -> ConnectionsUnderWay:
    """Those of the application that serves this request."""
    under_way: ConnectionsUnderWay = request.app.state.connections
    return under_way


def _chosen(grant: Grant, account_ids: Sequence[str]) -> Sequence[Account]:
    if not account_ids:
        return grant.accounts
    by_id = {account.id: account for account in grant.accounts}
    unknown = [id for id in account_ids if id not in by_id]
    if unknown:
        raise ConfigError(
            f"The grant does not reach {', '.join(unknown)[:256]}, but {', '.join(by_id) or 'no account'}. Name one of these."
        )
    return [by_id[id] for id in account_ids]
