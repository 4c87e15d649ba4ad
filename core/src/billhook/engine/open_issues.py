"""Which invoices have an issue that stands open."""

from __future__ import annotations

import sqlalchemy as sa

from billhook.store import schema

_invoice, _issue = schema.invoice, schema.validation_issue


def has_open_issue(wanted: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    """The invoice has an open issue of which that is true."""
    return sa.exists().where(_issue.c.document_id == _invoice.c.id, _issue.c.superseded_at.is_(None), wanted)
