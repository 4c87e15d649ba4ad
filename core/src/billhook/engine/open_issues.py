"""Which invoices have an issue that stands open, and which issues stand open on how many."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from billhook.store import schema
from billhook.store.transaction import Transaction

_invoice, _issue = schema.invoice, schema.validation_issue


def has_open_issue(wanted: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    """The invoice has an open issue of which that is true."""
    return sa.exists().where(_issue.c.document_id == _invoice.c.id, _issue.c.superseded_at.is_(None), wanted)


@dataclass(frozen=True, slots=True)
class OpenIssue:
    """One cause that stands open on so many invoices, in the words of one of them."""

    code: str | None
    severity: str
    component: str
    invoices: int
    message: str
    example: str


def open_issues(tx: Transaction, which: sa.ColumnElement[bool]) -> tuple[OpenIssue, ...]:
    """The open issues of these invoices by code, severity and component: what stops invoices first, and of that what stops most."""
    cause = (_issue.c.code, _issue.c.severity, _issue.c.component)
    invoices = sa.func.count(sa.distinct(_issue.c.document_id))
    causes = (
        sa.select(*cause, invoices.label("invoices"), sa.func.min(_issue.c.id).label("one"))
        .join(_invoice, _invoice.c.id == _issue.c.document_id)
        .where(which, _issue.c.superseded_at.is_(None))
        .group_by(*cause)
        .subquery()
    )
    select = (
        sa.select(causes, _issue.c.message, _issue.c.document_id.label("example"))
        .join(_issue, _issue.c.id == causes.c.one)
        .order_by(causes.c.severity != "critical", causes.c.invoices.desc(), causes.c.one)
    )
    return tuple(
        OpenIssue(row.code, row.severity, row.component, int(row.invoices), row.message, row.example)
        for row in tx.all(select)
    )
