"""What is still open, and so needs its app or its customer."""

from __future__ import annotations

from collections.abc import Iterator

import sqlalchemy as sa

from billhook.domain.lifecycle import is_final
from billhook.domain.payment import CreditNoteStatus, PaymentStatus, RefundStatus
from billhook.domain.states import State
from billhook.engine.work import CLAIMED
from billhook.store import schema
from billhook.store.transaction import Transaction

OPEN_INVOICE = tuple(state.value for state in State if not is_final(state))
OPEN_CREDIT_NOTE = (CreditNoteStatus.DRAFT.value, CreditNoteStatus.ISSUING.value, CreditNoteStatus.FAILED.value)
OPEN_PAYMENT = (
    PaymentStatus.PENDING.value,
    PaymentStatus.PROCESSING.value,
    PaymentStatus.ACTION_REQUIRED.value,
    PaymentStatus.AUTHORIZED.value,
)
OPEN_REFUND = (RefundStatus.PENDING.value, RefundStatus.PROCESSING.value)

_invoice, _note, _payment, _refund = schema.invoice, schema.credit_note, schema.payment, schema.refund


def needs_app(tx: Transaction, namespace: str, app_id: str) -> str | None:
    """One thing that still needs the app, such as "invoice 01J...", or None."""
    return _first_of(tx, _needing_app(namespace, app_id))


def needs_customer(tx: Transaction, namespace: str, customer_id: str) -> str | None:
    """One thing that still needs the customer, or None."""
    return _first_of(tx, _needing_customer(namespace, customer_id))


def _first_of(tx: Transaction, questions: Iterator[tuple[str, sa.Select[tuple[str]]]]) -> str | None:
    for kind, select in questions:
        found = tx.scalar(select.limit(1))
        if found is not None:
            return f"{kind} {found}"
    return None


def _needing_app(namespace: str, app_id: str) -> Iterator[tuple[str, sa.Select[tuple[str]]]]:
    profile, work = schema.profile, schema.work
    yield (
        "billing profile",
        sa.select(profile.c.id).where(
            profile.c.namespace == namespace, profile.c.deleted_at.is_(None), _of_app(profile, app_id)
        ),
    )
    yield "invoice", _open_invoices(namespace).where(_of_app(_invoice, app_id))
    yield "credit note", _open(_note, OPEN_CREDIT_NOTE, namespace).where(_note.c.app_id == app_id)
    yield "payment", _open(_payment, OPEN_PAYMENT, namespace).where(_payment.c.app_id == app_id)
    yield "refund", _open(_refund, OPEN_REFUND, namespace).where(_refund.c.app_id == app_id)
    yield (
        "a running operation for",
        sa.select(work.c.item_id).where(work.c.app_id == app_id, work.c.state == CLAIMED),
    )


def _needing_customer(namespace: str, customer_id: str) -> Iterator[tuple[str, sa.Select[tuple[str]]]]:
    line, gathering = schema.pending_line, schema.gathering
    yield "invoice", _open_invoices(namespace).where(_invoice.c.customer_id == customer_id)
    yield "credit note", _open(_note, OPEN_CREDIT_NOTE, namespace).where(_note.c.customer_id == customer_id)
    yield (
        "gathering invoice",
        sa.select(gathering.c.id)
        .join(line, line.c.gathering_id == gathering.c.id)
        .where(gathering.c.namespace == namespace, gathering.c.customer_id == customer_id),
    )


def _open_invoices(namespace: str) -> sa.Select[tuple[str]]:
    return _open(_invoice, OPEN_INVOICE, namespace).where(_invoice.c.deleted_at.is_(None))


def _open(table: sa.Table, states: tuple[str, ...], namespace: str) -> sa.Select[tuple[str]]:
    return sa.select(table.c.id).where(table.c.namespace == namespace, table.c.state.in_(states))


def _of_app(table: sa.Table, app_id: str) -> sa.ColumnElement[bool]:
    return sa.or_(table.c.tax_app_id == app_id, table.c.invoicing_app_id == app_id, table.c.payment_app_id == app_id)
