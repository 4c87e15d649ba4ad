"""Which invoices have an issue that stands open or a payment that failed, and why how many of them, or of credit notes, stand still."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from billhook.contract.declaration import Capability
from billhook.contract.operations import OPERATIONS
from billhook.domain.lifecycle import State, is_failed
from billhook.store import schema
from billhook.store.transaction import Transaction

_invoice, _issue, _payment, _note = schema.invoice, schema.validation_issue, schema.payment, schema.credit_note

_PAYMENT_FAILED = tuple(state.value for state in State if is_failed(state) and state.short == "payment_processing")

REST = "payment.rest"
"""The component that tells what a collection left of an invoice."""

_CAME_TO_NOTHING = ("failed", "canceled")
_FAILED = "Its payment failed."
"""What is told where nobody said why."""

_LENGTH_OF_ID = 26


def has_open_issue(wanted: sa.ColumnElement[bool], document: sa.Table = _invoice) -> sa.ColumnElement[bool]:
    """The invoice, or the other document, has an open issue of which that is true."""
    return sa.exists().where(_issue.c.document_id == document.c.id, _issue.c.superseded_at.is_(None), wanted)


def has_failed_payment(wanted: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    """The invoice stands still because a payment failed, of which that is true."""
    stopped_by = sa.and_(_invoice.c.state.in_(_PAYMENT_FAILED), _payment.c.id == _stopped_by())
    return sa.exists().where(_payment.c.invoice_id == _invoice.c.id, stopped_by, wanted)


@dataclass(frozen=True, slots=True)
class OpenIssue:
    """One cause that stands open on so many invoices, in the words of one of them. ``way_out`` says what can be done about that one where
    its payment failed; issues say so themselves."""

    code: str | None
    severity: str
    component: str
    invoices: int
    message: str
    example: str
    way_out: str | None = None


@dataclass(frozen=True, slots=True)
class OpenCreditNoteIssue:
    """One cause that stands open on so many credit notes, in the words of one of them."""

    code: str | None
    severity: str
    component: str
    credit_notes: int
    message: str
    example: str


def open_issues(tx: Transaction, which: sa.ColumnElement[bool]) -> tuple[OpenIssue, ...]:
    """Why these invoices stand still or warn, by code, severity and component: what stops them first, and of that what stops most.

    A payment that failed is a cause as well, where no issue tells it.
    """
    found = [
        OpenIssue(row.code, row.severity, row.component, int(row.documents), row.message, row.example)
        for row in tx.all(_issues(_invoice, which))
    ]
    found += [
        OpenIssue(row.code, "critical", _component(row.type), int(row.documents), row.message or _FAILED, row.example)
        for row in tx.all(_failed_payments(which))
    ]
    return tuple(sorted(found, key=lambda one: (one.severity != "critical", -one.invoices)))


def open_credit_note_issues(tx: Transaction, which: sa.ColumnElement[bool]) -> tuple[OpenCreditNoteIssue, ...]:
    """Why these credit notes stand still or warn, in the same order."""
    found = [
        OpenCreditNoteIssue(row.code, row.severity, row.component, int(row.documents), row.message, row.example)
        for row in tx.all(_issues(_note, which))
    ]
    return tuple(sorted(found, key=lambda one: (one.severity != "critical", -one.credit_notes)))


def _issues(document: sa.Table, which: sa.ColumnElement[bool]) -> sa.Select[Any]:
    open_ones = (
        sa.select(_issue.c.id, _issue.c.document_id, _issue.c.code, _issue.c.severity, _without_id(_issue.c.component))
        .join(document, document.c.id == _issue.c.document_id)
        .where(which, _issue.c.superseded_at.is_(None))
        .subquery()
    )
    cause = (open_ones.c.code, open_ones.c.severity, open_ones.c.component)
    documents = sa.func.count(sa.distinct(open_ones.c.document_id))
    causes = (
        sa.select(*cause, documents.label("documents"), sa.func.min(open_ones.c.id).label("one"))
        .group_by(*cause)
        .subquery()
    )
    select = sa.select(causes, _issue.c.message, _issue.c.document_id.label("example"))
    return select.join(_issue, _issue.c.id == causes.c.one).order_by(causes.c.one)


def _without_id(component: sa.ColumnElement[str]) -> sa.Label[str]:
    """The component without the id of the payment or refund that it may end with: the cause is the same for each of them."""
    before = sa.func.length(component) - _LENGTH_OF_ID
    ends_with_id = sa.func.substr(component, before, 1) == "."
    return sa.case((ends_with_id, sa.func.substr(component, 1, before - 1)), else_=component).label("component")


def _failed_payments(which: sa.ColumnElement[bool]) -> sa.Select[Any]:
    cause = (_payment.c.code, schema.app.c.type)
    of_rest = sa.and_(_payment.c.id.is_(None), _issue.c.component == REST)
    told = has_open_issue(sa.or_(_issue.c.code == _payment.c.code, of_rest))
    stopped = _invoice.outerjoin(_payment, _payment.c.id == _stopped_by())
    app_id = sa.func.coalesce(_payment.c.app_id, _invoice.c.payment_app_id)
    causes = (
        sa.select(
            *cause,
            sa.func.count().label("documents"),
            sa.func.min(_payment.c.id).label("one"),
            sa.func.min(_invoice.c.id).label("first"),
        )
        .select_from(stopped.join(schema.app, schema.app.c.id == app_id))
        .where(which, _invoice.c.state.in_(_PAYMENT_FAILED), ~told)
        .group_by(*cause)
        .subquery()
    )
    example = sa.func.coalesce(_payment.c.invoice_id, causes.c.first).label("example")
    found = causes.outerjoin(_payment, _payment.c.id == causes.c.one)
    return sa.select(causes, _payment.c.message, example).select_from(found).order_by(causes.c.one)


def _stopped_by() -> sa.ScalarSelect[str]:
    """The payment for which the invoice stands still: the last collection where that failed, or else the last payment that came to nothing since.

    Of money that was noted since, or taken back, the rest is still not collected, for the reason that the collection had.
    """
    one, collected = _payment.alias(), _payment.alias()
    collections = sa.and_(collected.c.invoice_id == _invoice.c.id, collected.c.origin == "collected")
    last = sa.select(sa.func.max(collected.c.id)).where(collections).correlate(_invoice).scalar_subquery()
    since = sa.or_(last.is_(None), one.c.id >= last)
    declined_first = sa.case((sa.and_(one.c.origin == "collected", one.c.state == "failed"), 0), else_=1)
    return (
        sa.select(one.c.id)
        .where(one.c.invoice_id == _invoice.c.id, one.c.state.in_(_CAME_TO_NOTHING), since)
        .order_by(declined_first, one.c.id.desc())
        .limit(1)
        .correlate(_invoice)
        .scalar_subquery()
    )


def _component(provider: str) -> str:
    return OPERATIONS[Capability.COLLECT_PAYMENT].component(provider)
