"""Refunds that the customer does not have: a provider refused them, or the money came back."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from billhook.store import schema

BOUNCED, REFUSED = "refund_bounced", "refund_failed"
"""The findings that tell of such a refund. They end once as much was given back after it, or nothing of the payment is left."""

_invoice, _issue = schema.invoice, schema.validation_issue


def has_failed_refund() -> sa.ColumnElement[bool]:
    """A refund of the invoice did not reach the customer, and nothing was done about it yet."""
    return sa.exists().where(
        _issue.c.document_id == _invoice.c.id, _issue.c.superseded_at.is_(None), _issue.c.code.in_((BOUNCED, REFUSED))
    )


def told_of(refund: dict[str, Any]) -> str:
    """The component that tells of one refund."""
    return f"refund.{refund['id']}"
