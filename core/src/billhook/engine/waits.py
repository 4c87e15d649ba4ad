"""Why invoices do not go on: what each waits for, since when, and for how long at most."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from billhook.contract.declaration import Capability
from billhook.domain.lifecycle import State
from billhook.engine.doubted import IN_DOUBT
from billhook.engine.invoice_row import InvoiceRow
from billhook.engine.moments import from_micros
from billhook.engine.money_changes import OPEN_CREDIT_STATES
from billhook.engine.payments import has_open
from billhook.engine.records import AppStatus
from billhook.engine.unit import Unit
from billhook.engine.work import Lane, until_customer_of, until_told
from billhook.store import schema
from billhook.store.transaction import Transaction

_operation, _work = schema.operation, schema.work
OPEN = "open"


class Waits:
    """What some invoices wait for, by invoice id. Each cause is read in one statement for all of them."""

    def __init__(self, tx: Transaction, ids: Sequence[str]) -> None:
        self._reasons = reasons(tx, ids)
        self._held = held_by_apps(tx, ids)
        self._doubted_customers = doubted_customers(tx, ids)
        self._books_to_tell = _books_to_tell(tx, ids)
        self._silent = _silent_apps(tx, ids)
        self._pauses = _pauses(tx, ids)
        self._given_up_at = _given_up_at(tx, self._pauses)

    def in_doubt(self, id: str) -> str | None:
        """What nobody knows of it, and a person must settle."""
        return self._reasons.get((id, IN_DOUBT))

    def reason(self, unit: Unit, row: InvoiceRow) -> str | None:
        """Why it does not go on."""
        pause = self._pauses.get(row.id)
        return (
            self._held.get(row.id)
            or self._reasons.get((row.id, OPEN))
            or self._doubted_customers.get(row.id)
            or self._books_to_tell.get(row.id)
            or (pause.note if pause else _money_from_outside(unit, row))
            or self._silent.get(row.id)
        )

    def since(self, id: str) -> datetime | None:
        """Since when it waits for its provider, or for a caller."""
        pause = self._pauses.get(id)
        return from_micros(pause.at) if pause else None

    def given_up_at(self, id: str) -> datetime | None:
        """Until when it does at most."""
        return self._given_up_at.get(id)


def reasons(tx: Transaction, ids: Sequence[str]) -> dict[tuple[str, str], str]:
    """Why an operation on a document does not go on, by the document and by how the operation stands."""
    rows = tx.all(
        sa.select(_work.c.subject_id, _operation.c.status, _operation.c.reason)
        .join(_operation, _work.c.operation_id == _operation.c.id)
        .where(_work.c.subject_id.in_(ids), _operation.c.reason.is_not(None))
    )
    return {(row.subject_id, row.status): row.reason for row in rows}


def held_by_apps(tx: Transaction, ids: Sequence[str]) -> dict[str, str]:
    """Why a document waits for which an app has something to do that is disabled, or that nobody lets in."""
    app = schema.app
    held = sa.or_(app.c.enabled == 0, app.c.status == AppStatus.UNAUTHORIZED.value)
    rows = tx.all(
        sa.select(_work.c.subject_id, app.c.id, app.c.name, app.c.enabled, app.c.status)
        .join(app, app.c.id == _work.c.app_id)
        .where(_work.c.subject_id.in_(ids), _is_waited_for(), held)
    )
    return {row.subject_id: str(why_switched_off(row)) for row in rows}


def _is_waited_for() -> sa.ColumnElement[bool]:
    return _work.c.lane != Lane.UNASKED


def why_switched_off(app: Any) -> str | None:
    """Why nothing is sent to an app, of whose row this is a part: it is disabled, or nobody lets it in. None where neither is so."""
    if not app.enabled:
        return f"{app.name} is disabled. Let it work again: billhook apps enable {app.id}"
    if app.status == AppStatus.UNAUTHORIZED:
        return f"{app.name} is unauthorized. See why: billhook apps check {app.id}"
    return None


def _silent_apps(tx: Transaction, ids: Sequence[str]) -> dict[str, str]:
    """Why a document waits for which an app has something to do that gave no answer the last time."""
    app, lease = schema.app, schema.app_lease
    rows = tx.all(
        sa.select(_work.c.subject_id, app.c.id, app.c.name, lease.c.failures)
        .join(app, app.c.id == _work.c.app_id)
        .join(lease, lease.c.app_id == app.c.id)
        .where(_work.c.subject_id.in_(ids), _is_waited_for(), lease.c.failures > 0)
    )
    return {row.subject_id: _why_silent(row) for row in rows}


def _why_silent(app: Any) -> str:
    failed = "the last request" if app.failures == 1 else f"the last {app.failures} requests"
    return f"{app.name} gave no answer to {failed}, and is asked again. See why: billhook apps check {app.id}"


def doubted_customers(tx: Transaction, ids: Sequence[str]) -> dict[str, str]:
    """Why a document waits whose customer may or may not have been made at an app."""
    held = _work.alias()
    rows = tx.all(
        sa.select(_work.c.subject_id, held.c.item_id, schema.app.c.name)
        .join(held, _work.c.waits_for == until_customer_of(held))
        .join(_operation, _operation.c.id == held.c.operation_id)
        .join(schema.app, schema.app.c.id == held.c.app_id)
        .where(
            _work.c.subject_id.in_(ids),
            held.c.operation == Capability.SYNC_CUSTOMER.value,
            _operation.c.status == IN_DOUBT,
        )
    )
    return {
        row.subject_id: f"it is not known whether {row.name} has the customer {row.item_id}. See billhook invoices doubts"
        for row in rows
    }


def _books_to_tell(tx: Transaction, ids: Sequence[str]) -> dict[str, str]:
    """Why an invoice is not collected yet, where its books are told first of what was paid or credited otherwise."""
    note, held = schema.credit_note, _work.alias()
    rows = tx.all(
        sa.select(
            _work.c.subject_id,
            _work.c.app_id,
            _work.c.waits_for,
            schema.app.c.name,
            note.c.id.label("credit_note_id"),
            _operation.c.status,
        )
        .join(schema.app, schema.app.c.id == _work.c.app_id)
        .outerjoin(note, sa.and_(note.c.invoice_id == _work.c.subject_id, note.c.state.in_(OPEN_CREDIT_STATES)))
        .outerjoin(held, held.c.item_id == note.c.id)
        .outerjoin(_operation, _operation.c.id == held.c.operation_id)
        .where(_work.c.subject_id.in_(ids), _work.c.operation == Capability.COLLECT_PAYMENT.value)
    )
    waiting = [row for row in rows if row.waits_for == until_told(row.subject_id, row.app_id)]
    told_first = {row.subject_id: _told_first(row) for row in waiting}
    return told_first | {row.subject_id: _doubted_credit(row) for row in waiting if row.status == IN_DOUBT}


def _told_first(row: Any) -> str:
    return f"the rest is collected once {row.name} is told of what was paid or credited otherwise"


def _doubted_credit(row: Any) -> str:
    return (
        f"it is not known whether {row.name} has the credit note {row.credit_note_id}, and the rest is collected after it. "
        "See billhook invoices doubts"
    )


def _pauses(tx: Transaction, ids: Sequence[str]) -> dict[str, Any]:
    """The wait in which each is: for the provider, or for a caller. It ends with the state, or with a word on that very operation."""
    event = schema.event
    rows = tx.all(
        sa.select(event.c.document_id, event.c.cause, event.c.note, event.c.at, event.c.hops)
        .where(event.c.document_id.in_(ids), sa.or_(event.c.operation_id.is_not(None), event.c.hops.is_not(None)))
        .order_by(event.c.document_id, event.c.version)
    )
    pauses: dict[str, Any] = {}
    for row in rows:
        pause = pauses.get(row.document_id)
        if pause is not None and (row.hops is not None or _operation_of(row) == _operation_of(pause)):
            del pauses[row.document_id]
        if row.note and row.cause.endswith(".pending"):
            pauses[row.document_id] = row
    return pauses


def _operation_of(event: Any) -> str:
    return str(event.cause.partition(".")[0])


def _given_up_at(tx: Transaction, ids: Iterable[str]) -> dict[str, datetime]:
    waiting = list(ids)
    if not waiting:
        return {}
    rows = tx.all(
        sa.select(_work.c.subject_id, sa.func.min(_work.c.give_up_at).label("at"))
        .where(_work.c.subject_id.in_(waiting), _work.c.give_up_at.is_not(None))
        .group_by(_work.c.subject_id)
    )
    return {row.subject_id: from_micros(row.at) for row in rows}


def _money_from_outside(unit: Unit, row: InvoiceRow) -> str | None:
    """That an invoice is due and nobody collects it from here, though it is to be charged automatically."""
    if row.state is not State.PAYMENT_PENDING or not row.is_charged or has_open(unit, row):
        return None
    app = unit.app_if_loaded(row.values["payment_app_id"])
    if app is None or app.handle.declaration.can(Capability.COLLECT_PAYMENT):
        return None
    return f"{app.name} collects nothing by itself: whoever gets the money has to tell that it came"
