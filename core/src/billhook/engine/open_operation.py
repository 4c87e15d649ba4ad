"""An open operation in the hands of the worker that holds its app."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from billhook.contract.declaration import Capability
from billhook.contract.items import Batch
from billhook.contract.operations import OPERATIONS, Family, OperationSpec, spec_of
from billhook.contract.outcomes import Rejected
from billhook.engine.apps import AppHandle
from billhook.engine.budget import Budget
from billhook.engine.context import Context, Policy
from billhook.engine.credentials import Credential
from billhook.engine.driver import Driver, Rhythm
from billhook.engine.freeze import FrozenBatch, Thawer
from billhook.engine.journal import SENDING, Attempt, read_attempts
from billhook.engine.leases import Lease
from billhook.engine.moments import maybe_from_micros
from billhook.engine.number_plan import NumberClaim
from billhook.engine.tables import WORK_COLUMNS
from billhook.engine.telling import told
from billhook.engine.work import ADVANCE, EVERYTHING, WorkRow
from billhook.store import schema
from billhook.store.transaction import Transaction

WORKED: tuple[Capability, ...] = tuple(
    capability for capability, spec in OPERATIONS.items() if spec.family is not Family.CONNECTION
)
"""The operations that become work, customers first."""


@dataclass(slots=True)
class HeldApp:
    """An app that this worker holds, with everything it needs to call it."""

    app: AppHandle
    lease: Lease
    budget: Budget
    credentials_version: int | None
    credentials: Any
    began_at: datetime
    """When its turn began."""
    was_answered: bool = False
    """Whether a call came back in this turn."""
    operations: dict[str, OpenOperation] = field(default_factory=dict)
    empty: set[str] = field(default_factory=set)
    """Operations for which a look found nothing to do, until somebody wakes us."""
    blocked: dict[str, datetime] = field(default_factory=dict)
    """Operations whose budget is spent, and when it opens again."""
    unasked_from: datetime | None = None
    """When looks that nobody asked for go on, where the budget has no more for them now."""
    first_steps: dict[str, str] = field(default_factory=dict)
    """The step with which the last new operation of a kind began: what the next one begins with, as far as one can know."""
    usable_until: datetime | None = None
    """When the credentials expire, as far as their provider can renew them."""
    renew_at: datetime | None = None
    """When newer credentials are to be asked for, if there is anything to sign."""
    renew_unused_at: datetime | None = None
    """When they are to be asked for even if there is nothing."""
    is_renewing: bool = False
    refreshed_version: int | None = None
    is_refused: bool = False
    """Even fresh credentials are refused: nothing is sent, and the app is given back once what is in flight has landed."""

    def take_credentials(self, credential: Credential, policy: Policy) -> None:
        """Work with these from here on."""
        self.credentials_version = credential.version
        self.credentials = self.app.handle.credentials(credential.secrets)
        if self.app.can_renew:
            self.usable_until = credential.expires_at
            self.renew_at = credential.renew_at(policy.renew_before, policy.renew_unused)
            self.renew_unused_at = credential.stored_at + policy.renew_unused

    def can_sign(self, now: datetime) -> bool:
        """Whether requests can be signed: the credentials have not expired, and newer ones are not on their way."""
        return not self.is_renewing and (self.usable_until is None or now < self.usable_until)

    def should_renew(self, now: datetime) -> bool:
        """Whether newer credentials are to be asked for now."""
        return not self.is_renewing and not self.is_refused and self.renew_at is not None and self.renew_at <= now

    def close(self) -> None:
        """Stop its operations where they are; the journal has what was done."""
        for operation in self.operations.values():
            operation.driver.close()

    def begin_turn(self, now: datetime) -> None:
        """Another turn, in which everything is looked at again."""
        self.began_at, self.was_answered = now, False
        self.look_again(EVERYTHING)

    def look_again(self, operation: str) -> None:
        """There may be something to do for that operation (or for all)."""
        if operation == EVERYTHING:
            self.empty.clear()
        else:
            self.empty.discard(operation)

    def told(self, error: BaseException) -> str:
        """The error in one line, without the app's secrets."""
        return told(error, self.credentials)

    def found_nothing(self, now: datetime) -> bool:
        """Every operation was looked at, and nothing can be done now."""
        can = self.app.handle.declaration.can
        idle = self.empty | self.shut(now).keys()
        return ADVANCE in idle and all(capability in idle for capability in WORKED if can(capability))

    def shut(self, now: datetime) -> dict[str, datetime]:
        """The operations whose budget is spent still, and when it opens again."""
        return {operation: opens_at for operation, opens_at in self.blocked.items() if opens_at > now}

    def goes_on_at(self, now: datetime) -> datetime | None:
        """When it is to be taken up again, whatever the store says is due: operations that wait for credentials are due at no time there."""
        if self.is_refused:
            return now
        if not self.can_sign(now):
            return self.renew_at
        parked = [operation.due for operation in self.operations.values() if operation.due is not None]
        return min([*parked, *self._kept_alive_at()], default=None)

    def _kept_alive_at(self) -> tuple[datetime, ...]:
        # Later where asking for newer ones failed and was put off.
        if self.renew_at is None or self.renew_unused_at is None:
            return ()
        return (max(self.renew_at, self.renew_unused_at),)

    @property
    def in_flight(self) -> int:
        """How much of it waits for an answer right now: operations, and new credentials."""
        return sum(operation.in_flight for operation in self.operations.values()) + self.is_renewing


@dataclass(slots=True)
class OpenOperation:
    """One operation that is not settled. ``due``: when a parked one goes on; None waits for somebody to act."""

    id: str
    held: HeldApp
    spec: OperationSpec
    works: dict[str, WorkRow]
    frozen: FrozenBatch
    batch: Batch[Any, Any]
    driver: Driver
    is_new: bool
    due: datetime | None
    in_flight: bool = False
    sent_with: int | None = None
    """The version of the credentials that its last request was signed with."""
    faults: int = 0
    claims: tuple[NumberClaim, ...] = ()
    refused: Mapping[str, Rejected] = field(default_factory=dict)
    """Items that can't even be numbered, and why; such an operation never runs."""

    @property
    def longest(self) -> timedelta:
        """After this time without an answer the provider has stopped working on a request of it."""
        return self.held.app.handle.declaration.rules(self.spec.capability).longest

    def next_try(self, policy: Policy, now: datetime) -> datetime:
        """When it runs again after one more fault of its plugin."""
        doublings = min(self.faults + 1, 8)
        return now + policy.first_backoff * int(2**doublings)


def rhythm(context: Context) -> Rhythm:
    """How patience grows, with jitter, so that a thousand retries don't come at once."""
    policy = context.policy

    def backoff(tries: int) -> Any:
        longest = min(policy.first_backoff * 2 ** min(max(tries - 1, 0), 20), policy.longest_backoff)
        jitter = int.from_bytes(context.randomness(2)) % 1000
        return longest * (1000 - jitter // 2) // 1000

    return Rhythm(backoff, policy.look_ups)


def new_driver(
    context: Context, held: HeldApp, spec: OperationSpec, batch: Batch[Any, Any], journal: list[Attempt]
) -> Driver:
    """A driver over that journal."""

    def new_attempt_id() -> str:
        return context.new_id(context.clock.now())

    return Driver(held.app.handle, spec, batch, journal, new_attempt_id, rhythm(context), held.told)


def opened(
    context: Context,
    held: HeldApp,
    spec: OperationSpec,
    works: Sequence[WorkRow],
    frozen: FrozenBatch,
    items: tuple[Any, ...],
    claims: tuple[NumberClaim, ...],
) -> OpenOperation:
    """A fresh operation over these items."""
    operation_id = context.new_id(frozen.now)
    batch = Batch(operation_id, items, held.app.settings, frozen.now, held.app.id, held.app.namespace)
    return OpenOperation(
        id=operation_id,
        held=held,
        spec=spec,
        works={work.item_id: work for work in works},
        frozen=frozen,
        batch=batch,
        driver=new_driver(context, held, spec, batch, []),
        is_new=True,
        due=frozen.now,
        claims=claims,
    )


def read_open(context: Context, tx: Transaction, held: HeldApp) -> list[OpenOperation]:
    """The app's open operations, as the journal has them. A send that nobody saw the end of counts as unknown."""
    table = schema.operation
    rows = tx.all(sa.select(table).where(table.c.app_id == held.app.id, table.c.status == "open").order_by(table.c.id))
    journals = read_attempts(tx, [row.id for row in rows])
    works = _works_of(tx, held.app.id)
    found = []
    for row in rows:
        frozen = FrozenBatch.load(row.frozen)
        spec = spec_of(row.name)
        batch = _batch(context, tx, held, spec, row.id, frozen)
        for attempt in journals[row.id]:
            if attempt.status == SENDING and attempt.step.effectful:
                attempt.lost("the worker that sent it did not see the answer")
        found.append(
            OpenOperation(
                id=row.id,
                held=held,
                spec=spec,
                works={work.item_id: work for work in works.get(row.id, ())},
                frozen=frozen,
                batch=batch,
                driver=new_driver(context, held, spec, batch, journals[row.id]),
                is_new=False,
                due=maybe_from_micros(row.due) or held.began_at,
                faults=row.faults,
            )
        )
    return found


def _batch(
    context: Context, tx: Transaction, held: HeldApp, spec: OperationSpec, operation_id: str, frozen: FrozenBatch
) -> Batch[Any, Any]:
    items = Thawer(context, tx, held.app.id).items(spec, frozen.items)
    settings = held.app.handle.settings(frozen.settings)
    return Batch(operation_id, items, settings, frozen.now, held.app.id, held.app.namespace)


def _works_of(tx: Transaction, app_id: str) -> dict[str, list[WorkRow]]:
    table = schema.work
    columns = [table.c[name] for name in WORK_COLUMNS]
    found: dict[str, list[WorkRow]] = {}
    for row in tx.all(sa.select(*columns).where(table.c.app_id == app_id, table.c.state == 1)):
        work = WorkRow(*row)
        found.setdefault(work.operation_id or "", []).append(work)
    return found
