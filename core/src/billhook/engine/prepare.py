"""Forms batches: which due work becomes an operation now, within concurrency, batch sizes and budgets, the oldest and most urgent first."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from datetime import datetime
from operator import itemgetter

import sqlalchemy as sa

from billhook.contract.declaration import Capability
from billhook.contract.items import CreditNoteItem
from billhook.contract.operations import OPERATIONS, OperationSpec
from billhook.contract.outcomes import Rejected
from billhook.engine.budget import Purpose
from billhook.engine.context import Context
from billhook.engine.freeze import Freezer, Frozen, FrozenBatch, Thawer
from billhook.engine.leaving_room import share_left
from billhook.engine.moments import to_micros
from billhook.engine.number_plan import Assigned, NumberPlan, numbered_document, profile_names, wants_number
from billhook.engine.open_operation import WORKED, HeldApp, OpenOperation, opened
from billhook.engine.settle import LOOKS, gave_up
from billhook.engine.tables import WORK_COLUMNS
from billhook.engine.work import ADVANCE, Lane, WorkRow
from billhook.store import schema
from billhook.store.statements import Query
from billhook.store.transaction import Transaction

Urgency = tuple[int, int]
"""A lane, and since when it is due."""

_FINISHING = frozenset({Capability.ISSUE, Capability.SEND})

_work = schema.work
_DUE = Query(
    sa.select(*(_work.c[name] for name in WORK_COLUMNS))
    .where(
        _work.c.app_id == sa.bindparam("app"),
        _work.c.state == 0,
        _work.c.operation == sa.bindparam("name"),
        _work.c.lane.in_(
            [sa.literal_column(f"{lane:d}") for lane in Lane]
        ),  # so that an index finds each lane's due ones alone
        _work.c.due <= sa.bindparam("now"),
    )
    .order_by(_work.c.lane, _work.c.due, _work.c.item_id)
    .limit(sa.bindparam("most"))
)


def due_work(tx: Transaction, app_id: str, operation: str, now: datetime, most: int) -> list[WorkRow]:
    """What is due of one operation, the most urgent lane and the oldest first."""
    rows = tx.fetch(_DUE, {"app": app_id, "name": operation, "now": to_micros(now), "most": most})
    return [WorkRow(*row) for row in rows]


def due_timers(tx: Transaction, held: HeldApp, now: datetime, most: int) -> list[WorkRow]:
    """Invoices that time moves on."""
    return due_work(tx, held.app.id, ADVANCE, now, most)


class Preparer:
    """Prepares the operations of one round."""

    def __init__(self, context: Context, plan: NumberPlan, now: datetime) -> None:
        self._context = context
        self._plan = plan
        self._now = now

    def prepare(self, tx: Transaction, held: HeldApp) -> Iterator[OpenOperation]:
        """New operations of an app, as far as its limits allow."""
        for capability in WORKED:
            if held.app.handle.declaration.can(capability) and capability not in held.empty:
                yield from self._of(tx, held, capability)

    def _of(self, tx: Transaction, held: HeldApp, capability: Capability) -> Iterator[OpenOperation]:
        spec = OPERATIONS[capability]
        rules = held.app.handle.declaration.rules(capability)
        running = sum(operation.spec is spec and operation.in_flight for operation in held.operations.values())
        free = rules.concurrency - running
        purpose = Purpose(capability, held.first_steps.get(capability))
        slots = held.budget.room(purpose, self._now, free)
        if slots <= 0:
            if free > 0:
                held.blocked[capability] = held.budget.opens_at(purpose, self._now)
            return
        held.blocked.pop(capability, None)
        due = due_work(tx, held.app.id, capability, self._now, slots * rules.batch)
        works = self._leaving_room(held, purpose, due, free, rules.batch)
        if not works:
            held.empty.add(capability)
            return
        yield from self._open(tx, held, spec, batches(works, rules.batch)[:slots])

    def _leaving_room(
        self, held: HeldApp, purpose: Purpose, due: list[WorkRow], free: int, batch: int
    ) -> list[WorkRow]:
        """What is due, but of looks that nobody asked for no more than leave room in the budget for what somebody may ask for next."""
        asked = [work for work in due if work.lane != Lane.UNASKED]
        unasked = due[len(asked) :]
        if not unasked:
            held.unasked_from = None
            return due
        share = share_left(unasked, self._context.policy.first_look, self._now)
        most = max(held.budget.room(purpose, self._now, free, share) * batch - len(asked), 0)
        is_short = most < len(unasked)
        held.unasked_from = held.budget.opens_at(purpose, self._now, share) if is_short else None
        return [*asked, *unasked[:most]]

    def _open(
        self, tx: Transaction, held: HeldApp, spec: OperationSpec, groups: Sequence[Sequence[WorkRow]]
    ) -> Iterator[OpenOperation]:
        """An operation for each group; what they need is read for all of them together."""
        works = [work for group in groups for work in group]
        frozen = Freezer(self._context, tx, held.app.id).freeze(spec, works, {})
        given_up = self._given_up(held, spec, works)
        assigned = self._number(tx, held, spec, frozen, given_up)
        refused = given_up | {
            work.item_id: assigned.refused[work.subject_id] for work in works if work.subject_id in assigned.refused
        }
        items = Thawer(self._context, tx, held.app.id).items(spec, frozen)
        by_id = {item.id: (plain, item) for plain, item in zip(frozen, items, strict=True)}
        for group in _told_apart(groups, refused):
            present = [work for work in group if work.item_id in by_id]
            if not present:
                continue
            pairs = [by_id[work.item_id] for work in present]
            batch = FrozenBatch(tuple(plain for plain, _ in pairs), held.app.settings_json, self._now)
            claims = tuple(assigned.claims[work.subject_id] for work in present if work.subject_id in assigned.claims)
            operation = opened(self._context, held, spec, present, batch, tuple(item for _, item in pairs), claims)
            operation.refused = {work.item_id: refused[work.item_id] for work in present if work.item_id in refused}
            yield operation

    def _given_up(self, held: HeldApp, spec: OperationSpec, works: Sequence[WorkRow]) -> dict[str, Rejected]:
        """What the provider left pending for too long and can't be asked about: it is not done a second time to find out."""
        if spec.capability in LOOKS:
            return {}
        now = to_micros(self._now)
        return {
            work.item_id: gave_up(held.app.name, "it was left pending, and can't be looked at")
            for work in works
            if work.give_up_at is not None and work.give_up_at <= now
        }

    def _number(
        self, tx: Transaction, held: HeldApp, spec: OperationSpec, items: list[Frozen], but: Container[str]
    ) -> Assigned:
        """Give the items their final numbers where they need one."""
        series = wants_number(spec, held.app)
        if series is None:
            return Assigned()
        wanting = [item for item in items if not (item["row"]["number_final"] or item["row"]["id"] in but)]
        if not wanting:
            return Assigned()
        keys = [_key(spec, item["row"]) for item in wanting]
        contents = self._context.documents.contents(tx, keys)
        profiles = self._profiles(tx, spec, [key[0] for key in keys])
        documents = [
            numbered_document(item["row"], contents[key], profiles.get(key[0], ""))
            for item, key in zip(wanting, keys, strict=True)
        ]
        assigned = self._plan.assign(tx, held.app, series, documents)
        for item in wanting:
            item["number"] = assigned.numbers.get(item["row"]["id"], item["number"])
        return assigned

    def _profiles(self, tx: Transaction, spec: OperationSpec, ids: list[str]) -> dict[str, str]:
        if spec.item is CreditNoteItem:
            return {}
        of_invoice = dict(tx.select_in(schema.invoice, ("id", "profile_id"), "id", ids))
        names = profile_names(tx, list(of_invoice.values()))
        return {id: names.get(profile, "") for id, profile in of_invoice.items()}


def by_urgency(operations: Sequence[OpenOperation]) -> list[OpenOperation]:
    """The most urgent lane and the oldest first, whatever is to be done; those of one kind at one app keep their order.

    An invoice that was begun at an app is finished there before more are begun: issuing is as urgent as any draft that is to be made.
    """
    latest: dict[tuple[str, str], Urgency] = {}
    placed: list[tuple[Urgency, bool, OpenOperation]] = []
    drafts = _oldest_drafts(operations)
    for operation in operations:
        kind, begins = (operation.held.app.id, operation.spec.name), operation.spec.capability not in _FINISHING
        own = _urgency(operation) if begins else min(_urgency(operation), drafts.get(kind[0], _urgency(operation)))
        latest[kind] = max(latest.get(kind, own), own)
        placed.append((latest[kind], begins, operation))
    return [operation for *_, operation in sorted(placed, key=itemgetter(0, 1))]


def _oldest_drafts(operations: Sequence[OpenOperation]) -> dict[str, Urgency]:
    """The most urgent draft of each app."""
    oldest: dict[str, Urgency] = {}
    for operation in operations:
        if operation.spec.capability is Capability.SYNC_DRAFT:
            app_id, own = operation.held.app.id, _urgency(operation)
            oldest[app_id] = min(oldest.get(app_id, own), own)
    return oldest


def _urgency(operation: OpenOperation) -> Urgency:
    return min((work.lane, work.due) for work in operation.works.values())


def batches(works: Sequence[WorkRow], most: int) -> list[list[WorkRow]]:
    """The work in batches of at most so many; what must be alone is alone."""
    alone = [[work] for work in works if work.alone]
    together = [work for work in works if not work.alone]
    return alone + [together[start : start + most] for start in range(0, len(together), most)]


def _told_apart(groups: Sequence[Sequence[WorkRow]], refused: Mapping[str, Rejected]) -> Iterator[Sequence[WorkRow]]:
    """The groups without what is refused, which makes groups of its own."""
    for group in groups:
        yield [work for work in group if work.item_id not in refused]
        yield [work for work in group if work.item_id in refused]


def _key(spec: OperationSpec, row: Frozen) -> tuple[str, int]:
    return (row["id"], 1 if spec.item is CreditNoteItem else row["revision"])
