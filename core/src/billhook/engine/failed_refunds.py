"""Refunds that the customer does not have: a provider refused them, or the money came back."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from billhook.engine.open_issues import has_open_issue
from billhook.store import schema

BOUNCED, REFUSED = "refund_bounced", "refund_failed"
"""The findings that tell of such a refund. They end once as much was given back after it, or nothing of the payment is left."""


def has_failed_refund() -> sa.ColumnElement[bool]:
    """A refund of the invoice did not reach the customer, and nothing was done about it yet."""
    return has_open_issue(schema.validation_issue.c.code.in_((BOUNCED, REFUSED)))


def told_of(refund: dict[str, Any]) -> str:
    """The component that tells of one refund."""
    return f"refund.{refund['id']}"
