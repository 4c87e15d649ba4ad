"""How a namespace stands when nothing is due: what failed, what is held, and what a person has to look at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from billhook.domain.lifecycle import State
from billhook.domain.payment import CreditNoteStatus
from billhook.engine.beyond_providers import all_beyond
from billhook.engine.context import Context
from billhook.engine.failed import stands_still
from billhook.engine.failed_refunds import has_failed_refund, is_given_twice
from billhook.engine.held_documents import why_unusable
from billhook.engine.left_work import LeftWork, left_work
from billhook.engine.moments import maybe_from_micros, to_micros
from billhook.engine.not_in_books import (
    payment_refused,
    shows_too_little,
    shows_too_much,
    stands_otherwise,
    void_refused,
)
from billhook.engine.work import CLAIMED, READY
from billhook.store import schema
from billhook.store.transaction import Transaction

_app, _invoice, _operation, _work = schema.app, schema.invoice, schema.operation, schema.work
_note = schema.credit_note

_PAUSES = tuple(state.value for state in (State.DRAFT_SYNCING, State.ISSUING_SYNCING, State.DELETE_SYNCING))


@dataclass(frozen=True, slots=True)
class HeldWork:
    """So many things to do at an app that do not go on by themselves, and why."""

    app_id: str
    app: str
    items: int
    reason: str


@dataclass(frozen=True, slots=True)
class SilentApp:
    """So many requests in a row to which an app gave no answer. It is asked again, less and less often, and needs nobody where it is away
    for a while."""

    app_id: str
    app: str
    failures: int


@dataclass(frozen=True, slots=True)
class Standing:
    """How many invoices failed or are invalid, how many things are held or in doubt, how many invoices have a payment
    (``unrecorded``) or a void (``unvoided``) that the books do not take, of how many the books still show money that was
    taken or given back (``still_in_books``) or show less than is known of them (``missing_in_books``), how many are void there, gone,
    changed or settled in part without being asked for (``otherwise_in_books``), how many have a refund that the customer does not have
    (``failed_refunds``), how many gave money twice (``given_twice``), and how many credit notes failed.

    ``waiting`` counts the invoices whose draft, issue or deletion goes on only when a provider or a caller says so; the one that waits
    longest does so since ``waiting_since``. Invoices that wait to be paid are not among them. ``silent_apps`` gave no answer the last time,
    and have something to do.
    """

    failed: int
    invalid: int
    in_doubt: int
    held: int
    held_work: tuple[HeldWork, ...]
    unrecorded: int = 0
    unvoided: int = 0
    still_in_books: int = 0
    missing_in_books: int = 0
    otherwise_in_books: int = 0
    failed_refunds: int = 0
    given_twice: int = 0
    failed_credit_notes: int = 0
    waiting: int = 0
    waiting_since: datetime | None = None
    silent_apps: tuple[SilentApp, ...] = ()
    left: tuple[LeftWork, ...] = ()

    @property
    def needs_a_person(self) -> bool:
        """Whether something will not go on by itself."""
        refused = self.unrecorded or self.unvoided
        differs = self.still_in_books or self.missing_in_books or self.otherwise_in_books
        refunds = self.failed_refunds or self.given_twice
        failed = self.failed or self.invalid or refunds or self.failed_credit_notes
        return bool(failed or refused or differs or self.in_doubt or self.held)


def standing_of(context: Context, namespace: str) -> Standing:
    """How the namespace stands now. What waits for a disabled app is not counted: somebody wanted that."""
    with context.database.read() as tx:
        states = _invoices_by_state(tx, namespace)
        work = _work_by_cause(context, tx, namespace)
        held = tuple(_held(context, tx, namespace, work))
        waiting = _waiting(tx, namespace)
        unrecorded = _count(tx, namespace, payment_refused())
        unvoided = _count(tx, namespace, void_refused())
        still_in_books = _count(tx, namespace, shows_too_much())
        missing_in_books = _count(tx, namespace, shows_too_little())
        otherwise_in_books = _count(tx, namespace, stands_otherwise())
        failed_refunds = _count(tx, namespace, has_failed_refund())
        given_twice = _count(tx, namespace, is_given_twice())
        failed_credit_notes = _failed_credit_notes(tx, namespace)
        silent_apps = tuple(_silent(tx, namespace))
        left = tuple(left_work(context, tx, namespace))
    return Standing(
        failed=sum(count for state, count in states.items() if state is not State.DRAFT_INVALID),
        invalid=states.get(State.DRAFT_INVALID, 0),
        in_doubt=sum(row.items for row in work if row.status == "in_doubt"),
        held=sum(entry.items for entry in held),
        held_work=held,
        unrecorded=unrecorded,
        unvoided=unvoided,
        still_in_books=still_in_books,
        missing_in_books=missing_in_books,
        otherwise_in_books=otherwise_in_books,
        failed_refunds=failed_refunds,
        given_twice=given_twice,
        failed_credit_notes=failed_credit_notes,
        waiting=waiting.invoices,
        waiting_since=maybe_from_micros(waiting.since),
        silent_apps=silent_apps,
        left=left,
    )


def _invoices_by_state(tx: Transaction, namespace: str) -> dict[State, int]:
    select = (
        sa.select(_invoice.c.state, sa.func.count())
        .where(_invoice.c.namespace == namespace, stands_still())
        .group_by(_invoice.c.state)
    )
    return {State(state): int(count) for state, count in tx.all(select)}


def _count(tx: Transaction, namespace: str, wanted: sa.ColumnElement[bool]) -> int:
    return int(tx.scalar(sa.select(sa.func.count()).where(_invoice.c.namespace == namespace, wanted)))


def _failed_credit_notes(tx: Transaction, namespace: str) -> int:
    failed = sa.and_(_note.c.namespace == namespace, _note.c.state == CreditNoteStatus.FAILED.value)
    return int(tx.scalar(sa.select(sa.func.count()).where(failed)))


def _silent(tx: Transaction, namespace: str) -> Iterator[SilentApp]:
    lease = schema.app_lease
    has_work = sa.exists().where(_work.c.app_id == _app.c.id)
    select = (
        sa.select(_app.c.id, _app.c.name, lease.c.failures)
        .join(lease, lease.c.app_id == _app.c.id)
        .where(_app.c.namespace == namespace, _app.c.enabled == 1, lease.c.failures > 0, has_work)
        .order_by(_app.c.id)
    )
    for row in tx.all(select):
        yield SilentApp(row.id, row.name, int(row.failures))


def _waiting(tx: Transaction, namespace: str) -> Any:
    """Invoices that wait in a sync pause with nothing to be done for them, but perhaps to be given up one day."""
    to_be_done = sa.exists().where(
        _work.c.subject_id == _invoice.c.id, sa.or_(_work.c.give_up_at.is_(None), _work.c.due < _work.c.give_up_at)
    )
    return tx.first(
        sa.select(sa.func.count().label("invoices"), sa.func.min(_invoice.c.updated_at).label("since")).where(
            _invoice.c.namespace == namespace,
            _invoice.c.state.in_(_PAUSES),
            sa.not_(to_be_done),
        )
    )


def _work_by_cause(context: Context, tx: Transaction, namespace: str) -> list[Any]:
    """What is due or under way, by app and by how its operation stands."""
    faulty = _operation.c.faults > 0
    grouped = (_app.c.id, _app.c.name, _app.c.status, _app.c.enabled, _operation.c.status, faulty)
    claimed = sa.and_(_operation.c.id == _work.c.operation_id, _work.c.state == CLAIMED)
    due = sa.or_(_work.c.state != READY, _work.c.due <= to_micros(context.clock.now()))
    select = (
        sa.select(
            _app.c.id,
            _app.c.name,
            _app.c.status.label("app_status"),
            _app.c.enabled,
            _operation.c.status,
            faulty.label("faulty"),
            sa.func.max(_operation.c.reason).label("reason"),
            sa.func.count().label("items"),
        )
        .select_from(_work.join(_app, _app.c.id == _work.c.app_id).outerjoin(_operation, claimed))
        .where(_app.c.namespace == namespace, due)
        .group_by(*grouped)
        .order_by(_app.c.id)
    )
    return tx.all(select)


def _held(context: Context, tx: Transaction, namespace: str, work: list[Any]) -> Iterator[HeldWork]:
    held: dict[tuple[str, str, str], int] = {}
    for row in work:
        reason = _why_held(context, tx, row) if row.enabled and row.status != "in_doubt" else None
        if reason is not None:
            cause = (row.id, row.name, reason)
            held[cause] = held.get(cause, 0) + row.items
    for (app_id, app, reason), items in held.items():
        yield HeldWork(app_id, app, items, reason)
    unusable = {app_id for app_id, *_ in held}
    for each in all_beyond(context, tx, namespace):
        if each.app_id not in unusable:
            yield HeldWork(each.app_id, each.app, each.items, each.reason)


def _why_held(context: Context, tx: Transaction, row: Any) -> str | None:
    if row.app_status == "unauthorized":
        return "The app is unauthorized. Give it credentials that work."
    failing = f"Its provider fails: {row.reason}" if row.faulty else None
    return why_unusable(context, tx, row.id) or failing
