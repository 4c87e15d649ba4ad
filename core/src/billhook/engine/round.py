"""One group commit of a worker: intents, results and settlements of all its apps, checked against fences and written together.

Everything here runs inside one transaction and may run again when it could not be committed; what it changes outside is changed only by the
worker, afterwards, from the result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from billhook.contract.declaration import Capability
from billhook.contract.outcomes import Rejected
from billhook.engine import budget, journal, leases, tables
from billhook.engine.commands import awaited
from billhook.engine.context import Context
from billhook.engine.dissolving import DISSOLVED
from billhook.engine.effects import Alone, Arrived, Doubt, Effect, Fault, Look, Park, Send, Settle, Settlement
from billhook.engine.inbox import INBOX
from billhook.engine.journal import Attempt
from billhook.engine.leases import Lease
from billhook.engine.locks import hold_each, of_customer
from billhook.engine.moments import maybe_micros, to_micros
from billhook.engine.number_plan import take_claims
from billhook.engine.open_operation import OpenOperation
from billhook.engine.settle import LOOKS, Settler
from billhook.engine.settled import Settled
from billhook.engine.timers import DueTimers, advance_due
from billhook.engine.unit import Unit
from billhook.engine.webhooks import look_once_more
from billhook.engine.work import CLAIMED, READY, Lane, WorkRow
from billhook.errors import StaleWrite
from billhook.store import schema
from billhook.store.statements import Insert, Update
from billhook.store.transaction import Transaction

OPERATION_COLUMNS = (
    "id",
    "app_id",
    "name",
    "status",
    "plugin_version",
    "frozen",
    "due",
    "reason",
    "faults",
    "created_at",
    "settled_at",
)
INSERT_OPERATION = Insert(schema.operation, OPERATION_COLUMNS)
UPDATE_OPERATION = Update(schema.operation, key=("id",), set=("status", "due", "reason", "faults", "settled_at"))

COLLECTS_NEXT = frozenset({Capability.SYNC_DRAFT, Capability.ISSUE, Capability.SEND})
"""Operations after which money may be collected."""

Commands = Callable[[Unit, Iterable[str]], None]
"""Applies the commands that waited for these invoices."""


@dataclass(slots=True)
class Step:
    """An operation and what it wants next. ``late`` is an answer to be kept even if the lease is lost."""

    operation: OpenOperation
    effect: Effect
    came: tuple[Attempt, Any] | None = None

    def is_under(self, fences: Mapping[str, int]) -> bool:
        """Whether its operation belongs to one of these leases: not to an earlier one of the same app."""
        lease = self.operation.held.lease
        return fences.get(lease.app_id) == lease.fence


@dataclass(slots=True)
class RoundResult:
    """What was committed. ``stale``: operations whose work somebody else changed, or that were given
    up; ``lost``: apps that are no longer held."""

    stale: set[str] = field(default_factory=set)
    lost: set[str] = field(default_factory=set)
    wanted: set[tuple[str, str]] = field(default_factory=set)


class Round:
    """What one commit of the worker holds."""

    def __init__(self, context: Context, settler: Settler, apply_commands: Commands, now: datetime) -> None:
        self._context = context
        self._settler = settler
        self._apply_commands = apply_commands
        self.now = now
        self.steps: list[Step] = []
        self.timers = DueTimers()
        self.leases: list[Lease] = []
        self.windows: list[budget.Window] = []
        self.looks_first = False
        """Whether to look which work is still as it was prepared. Claiming it tells too, at no cost, but not which it is that changed."""

    def by_app(self) -> dict[str, Round]:
        """The same work in a round for each app."""
        parts: dict[str, Round] = {}
        for step in self.steps:
            self._part(parts, step.operation.held.app.id).steps.append(step)
        for timer in self.timers.works:
            part = self._part(parts, timer.app_id)
            part.timers.works.append(timer)
            part.timers.quantities, part.timers.unanswered = self.timers.quantities, self.timers.unanswered
        return parts

    def singly(self) -> list[Round]:
        """The same work with each operation, and all timers, in a round of its own."""
        parts = []
        for step in self.steps:
            part = Round(self._context, self._settler, self._apply_commands, self.now)
            part.steps.append(step)
            parts.append(part)
        timers = Round(self._context, self._settler, self._apply_commands, self.now)
        timers.timers = self.timers
        return [*parts, timers] if self.timers.works else parts

    def _part(self, parts: dict[str, Round], app_id: str) -> Round:
        return parts.setdefault(app_id, Round(self._context, self._settler, self._apply_commands, self.now))

    @property
    def is_empty(self) -> bool:
        """Nothing is to be written."""
        return not (self.steps or self.timers.works)

    def __call__(self, tx: Transaction) -> RoundResult:
        """Write it all."""
        result = RoundResult()
        held = leases.held(tx, self.leases)
        concerned = {lease.app_id for lease in self.leases} | {step.operation.held.app.id for step in self.steps}
        result.lost = concerned - held
        fences = {lease.app_id: lease.fence for lease in self.leases if lease.app_id in held}
        self._keep_late_replies(tx, fences)
        steps = [step for step in self.steps if step.is_under(fences)]
        fresh = [step.operation for step in steps if step.operation.is_new]
        unclaimed = [step.operation for step in steps if step.operation.is_new and isinstance(step.effect, Settle)]
        result.stale = self._stale(tx, fresh if self.looks_first else unclaimed) | self._given_up(tx, steps)
        claims = {operation.id: operation.claims for operation in fresh}
        result.stale |= take_claims(tx, self._settler.numbers, claims, result.stale)
        steps = [step for step in steps if step.operation.id not in result.stale]
        # Before anything is written that the events' own looks may have to wait for; the customers first, as everybody holds them.
        hold_each(tx, _customers_brought(steps))
        hold_each(tx, _inboxes(steps))
        unit = Unit(self._context, tx, wakes_workers=False)
        self._write_operations(tx, steps)
        self._write_attempts(tx, steps)
        self._settle(tx, unit, steps)
        due = [work for work in self.timers.works if work.app_id in held]
        advance_due(unit, self._settler.advancer, self.timers, due)
        unit.match_events()
        result.wanted = unit.work.wanted()
        unit.flush()
        self._after_settling(unit, steps)
        ours = [lease for lease in self.leases if lease.app_id in held]
        if leases.renew(tx, ours, self.now, self._context.policy.lease) != len(ours):
            raise StaleWrite(
                "An app was taken by somebody else meanwhile. Nothing was written; look what is still held."
            )
        budget.store_windows(tx, self.windows)
        return result

    def _keep_late_replies(self, tx: Transaction, fences: Mapping[str, int]) -> None:
        for step in self.steps:
            if step.came is None or step.is_under(fences):
                continue
            attempt, came = step.came
            if isinstance(came, Arrived):
                journal.append_late_reply(tx, self._context.new_id(self.now), attempt.id, came.reply, self.now)

    def _stale(self, tx: Transaction, fresh: Sequence[OpenOperation]) -> set[str]:
        """New operations whose work is not as it was when they were prepared."""
        wanted = [work for operation in fresh for work in operation.works.values()]
        rows = tx.select_in(schema.work, tables.WORK_COLUMNS, "item_id", [work.item_id for work in wanted])
        present = {work.key: work for work in (WorkRow(*row) for row in rows)}
        return {
            operation.id
            for operation in fresh
            if any(not _is_same(present.get(work.key), work) for work in operation.works.values())
        }

    def _given_up(self, tx: Transaction, steps: Sequence[Step]) -> set[str]:
        """Known operations that a command gave up meanwhile, because everything they sent was refused."""
        known = [step.operation.id for step in steps if not step.operation.is_new]
        rows = tx.select_in(schema.operation, ("id", "status"), "id", known)
        return {id for id, status in rows if status == DISSOLVED}

    def _write_operations(self, tx: Transaction, steps: Sequence[Step]) -> None:
        fresh = [step for step in steps if step.operation.is_new]
        claimed = [
            (*work.key, work.version, CLAIMED, step.operation.id)
            for step in fresh
            if not isinstance(step.effect, Settle)
            for work in step.operation.works.values()
        ]
        tx.insert_many(INSERT_OPERATION, [self._operation_row(step) for step in fresh])
        if tx.update_many(tables.CLAIM_WORK, claimed) != len(claimed):
            raise StaleWrite(
                "Work that was about to be done was changed by somebody else. Nothing was written; prepare again."
            )
        known = [step for step in steps if not step.operation.is_new and not isinstance(step.effect, Send | Look)]
        tx.update_many(UPDATE_OPERATION, [self._operation_update(step) for step in known])

    def _operation_row(self, step: Step) -> tuple[Any, ...]:
        operation = step.operation
        status, due, reason, faults, settled_at = self._operation_update(step)[1:]
        return (
            operation.id,
            operation.held.app.id,
            operation.spec.name,
            status,
            operation.held.app.handle.version,
            operation.frozen.dump(),
            due,
            reason,
            faults,
            to_micros(self.now),
            settled_at,
        )

    def _operation_update(self, step: Step) -> tuple[Any, ...]:
        operation, now = step.operation, to_micros(self.now)
        match step.effect:
            case Park(until, reason):
                return (operation.id, "open", maybe_micros(until), reason, operation.faults, None)
            case Fault(reason) if is_dissolved(step):
                return (operation.id, "settled", None, reason, operation.faults + 1, now)
            case Fault(reason):
                return (
                    operation.id,
                    "open",
                    to_micros(operation.next_try(self._context.policy, self.now)),
                    reason,
                    operation.faults + 1,
                    None,
                )
            case Settle(outcomes):
                doubts = [outcome.reason for outcome in outcomes.values() if isinstance(outcome, Doubt)]
                status = "in_doubt" if doubts else "settled"
                return (
                    operation.id,
                    status,
                    None,
                    doubts[0] if doubts else None,
                    operation.faults,
                    None if doubts else now,
                )
            case _:
                return (operation.id, "open", now, None, operation.faults, None)

    def _write_attempts(self, tx: Transaction, steps: Sequence[Step]) -> None:
        changed = [attempt for step in steps for attempt in step.operation.driver.changed_attempts()]
        tx.insert_many(journal.INSERT_ATTEMPT, [attempt.as_tuple() for attempt in changed if not attempt.stored])
        known = [attempt for attempt in changed if attempt.stored]
        tx.upsert_many(journal.UPSERT_ATTEMPT, [attempt.as_tuple() for attempt in known if attempt.adopted])
        tx.update_many(journal.UPDATE_ATTEMPT, [attempt.as_update() for attempt in known if not attempt.adopted])

    def _settle(self, tx: Transaction, unit: Unit, steps: Sequence[Step]) -> None:
        settled = [one for step in steps for one in self._outcomes(step)]
        preload(unit, settled)
        unit.awaited = awaited(tx, (one.work.subject_id for one in settled))
        for one in settled:
            # What follows from it is as urgent as it was; what nobody asked for may have found what is.
            unit.lane = min(Lane(one.work.lane), Lane.BULK)
            self._settler.settle(unit, one)
        unit.lane, unit.awaited = Lane.BULK, set()

    def _outcomes(self, step: Step) -> list[Settled]:
        operation = step.operation
        match step.effect:
            case Settle(outcomes, leftovers):
                items = {item.id: item for item in operation.batch.items}
                return [
                    self._settled(operation, items[item_id], outcome, leftovers.get(item_id, {}))
                    for item_id, outcome in outcomes.items()
                    if item_id in operation.works
                ]
            case Fault(reason) if is_dissolved(step):
                return self._dissolved(operation, reason)
            case _:
                return []

    def _settled(self, operation: OpenOperation, item: Any, outcome: Settlement, leftovers: Any) -> Settled:
        work = operation.works[item.id]._replace(operation_id=operation.id)
        return Settled(operation.held.app, operation.spec.capability, work, item, outcome, leftovers)

    def _dissolved(self, operation: OpenOperation, reason: str) -> list[Settled]:
        # Nothing was sent. One of many is tried alone first, so that a troublemaker stops only itself.
        outcome: Settlement = Alone() if len(operation.works) > 1 else _plugin_fault(operation, reason)
        return [
            self._settled(operation, item, outcome, {}) for item in operation.batch.items if item.id in operation.works
        ]

    def _after_settling(self, unit: Unit, steps: Sequence[Step]) -> None:
        subjects = {
            work.subject_id
            for step in steps
            if isinstance(step.effect, Settle) or is_dissolved(step)
            for work in step.operation.works.values()
        }
        if subjects:
            self._apply_commands(unit, subjects)
        looks = (step for step in steps if isinstance(step.effect, Settle) and step.operation.spec.capability in LOOKS)
        look_once_more(self._context, unit.tx, [work for step in looks for work in step.operation.works.values()])


def _inboxes(steps: Sequence[Step]) -> set[tuple[str, str]]:
    """Where webhooks may have named already what becomes known now."""
    settling = (step.operation.held.app for step in steps if isinstance(step.effect, Settle))
    return {(app.id, INBOX) for app in settling if app.handle.declaration.can(Capability.READ_WEBHOOK)}


def _customers_brought(steps: Sequence[Step]) -> set[tuple[str, str]]:
    """The customers of whom an app tells now what it knows."""
    brought = (step for step in steps if step.operation.spec.capability is Capability.SYNC_CUSTOMER)
    settled = (step.operation for step in brought if isinstance(step.effect, Settle) or is_dissolved(step))
    return {(operation.held.app.namespace, of_customer(id)) for operation in settled for id in operation.works}


def is_dissolved(step: Step) -> bool:
    """Whether a faulty operation never sent anything that may have changed something, so that it can be given up."""
    return isinstance(step.effect, Fault) and not any(
        attempt.sends and attempt.step.effectful for attempt in step.operation.driver.journal
    )


def preload(unit: Unit, settled: Sequence[Settled]) -> None:
    """Read in a few statements what settling these needs."""
    by_kind: dict[str, list[Settled]] = {}
    for one in settled:
        by_kind.setdefault(type(one.item).__name__, []).append(one)
    invoices = [
        one.work.subject_id for kind in ("InvoiceItem", "PaymentItem", "RefundItem") for one in by_kind.get(kind, ())
    ]
    unit.load_invoices(invoices)
    unit.money.load_payments_of(invoices)
    unit.money.load_open_credits(one.work.subject_id for one in settled if one.capability in COLLECTS_NEXT)
    known_as = [(one.work.item_id, one.app.id) for one in settled if type(one.item).__name__ != "CustomerItem"]
    paid = [unit.invoices[one.work.subject_id] for one in by_kind.get("PaymentItem", ())]
    unit.links.load([*known_as, *((row.id, row.values["invoicing_app_id"]) for row in paid)])
    for kind, items in (("payment", "PaymentItem"), ("refund", "RefundItem"), ("credit_note", "CreditNoteItem")):
        unit.money.load(kind, [one.work.item_id for one in by_kind.get(items, ())])
    customers: dict[str, set[str]] = {}
    for row in unit.invoices.values():
        for app_id in (row.values["payment_app_id"], row.values["invoicing_app_id"]):
            customers.setdefault(app_id, set()).add(row.values["customer_id"])
    ours = {row.values["invoicing_app_id"] for row in unit.invoices.values()}
    needless = {id for id in ours if not unit.app(id).handle.declaration.can(Capability.SYNC_CUSTOMER)}
    for app_id, ids in customers.items():
        if app_id not in needless:
            unit.customer_links.load(sorted(ids), app_id)
            unit.customer_links.load_revisions(sorted(ids))


def _is_same(present: WorkRow | None, prepared: WorkRow) -> bool:
    return present is not None and present.state == READY and present.version == prepared.version


def _plugin_fault(operation: OpenOperation, reason: str) -> Rejected:
    app = operation.held.app
    message = (
        f"The provider {app.type} failed before anything was sent ({reason}). Mend the plugin or the data, then retry."
    )
    return Rejected.because("provider_fault", message)
