"""Refunds that went wrong: the customer does not have the money, or has it twice."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from billhook.domain.issue import Severity, ValidationIssue
from billhook.engine.open_issues import has_open_issue
from billhook.store import schema

BOUNCED, REFUSED = "refund_bounced", "refund_failed"
"""The findings that tell of such a refund. They end once as much was given back after it, or nothing of the payment is left."""

BEYOND_PAYMENT = "refunded_beyond_payment"
"""The finding that tells of more given back than came. It ends once what was noted by mistake is taken back, or a person says so."""
CREDITED_TOO = "credited_and_refunded"
"""The finding that tells of a refund after a credit note which had given the customer the same money as credit."""


def has_failed_refund() -> sa.ColumnElement[bool]:
    """A refund of the invoice did not reach the customer, and nothing was done about it yet."""
    return has_open_issue(schema.validation_issue.c.code.in_((BOUNCED, REFUSED)))


def is_given_twice() -> sa.ColumnElement[bool]:
    """More was given back of a payment of the invoice than came, or what is credit of the customer was given back as well."""
    return has_open_issue(schema.validation_issue.c.code.in_((BEYOND_PAYMENT, CREDITED_TOO)))


def told_of(refund: dict[str, Any]) -> str:
    """The component that tells of one refund."""
    return f"refund.{refund['id']}"


def bounced(app_name: str, refund: dict[str, Any]) -> ValidationIssue:
    """The app paid the refund, and the money came back to it."""
    message = (
        f"{app_name} paid back {_amount(refund)}, and the money came back{_why(refund)}. The customer does not have it: refund it again, "
        f"{_elsewhere(refund)}"
    )
    return ValidationIssue(severity=Severity.WARNING, code=BOUNCED, message=message)


def refused(app_name: str, refund: dict[str, Any]) -> ValidationIssue:
    """The app did not pay the refund."""
    message = (
        f"{app_name} did not give back {_amount(refund)}{_why(refund)}. Mend the cause and refund it again under another key, "
        f"{_elsewhere(refund)}"
    )
    return ValidationIssue(severity=Severity.WARNING, code=REFUSED, message=message)


def _amount(refund: dict[str, Any]) -> str:
    return f"{refund['amount']} {refund['currency']}"


def _why(refund: dict[str, Any]) -> str:
    return f" ({refund['message'].rstrip('.')})" if refund["message"] else ""


def _elsewhere(refund: dict[str, Any]) -> str:
    return f"or pay it back another way and say so: billhook invoices refund {refund['payment_id']} AMOUNT --paid-elsewhere"
