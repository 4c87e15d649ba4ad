"""What PayPal's answers say: a document, a payment, a refusal."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from billhook.contract import (
    DocumentResult,
    Done,
    InvoiceItem,
    PaymentResult,
    PaymentStatus,
    Pending,
    ProviderTotals,
    Rejected,
    Reply,
    Snapshot,
    ValidationIssue,
)
from billhook_paypal.amounts import is_plain
from billhook_paypal.encoding import NOTE_BEGINS

NOT_ISSUED = frozenset({"DRAFT", "SCHEDULED"})
CANCELLED = "CANCELLED"
LOOK_AGAIN_AFTER = timedelta(minutes=15)
PAYMENT_STATUSES = {
    "PAID": PaymentStatus.SUCCEEDED,
    "MARKED_AS_PAID": PaymentStatus.SUCCEEDED,
    "REFUNDED": PaymentStatus.SUCCEEDED,
    "PARTIALLY_REFUNDED": PaymentStatus.SUCCEEDED,
    "MARKED_AS_REFUNDED": PaymentStatus.SUCCEEDED,
    "SENT": PaymentStatus.ACTION_REQUIRED,
    "UNPAID": PaymentStatus.ACTION_REQUIRED,
    "PARTIALLY_PAID": PaymentStatus.ACTION_REQUIRED,
    "PAYMENT_PENDING": PaymentStatus.PROCESSING,
    "CANCELLED": PaymentStatus.CANCELED,
}
_ZERO = Decimal(0)


def read_document(told: dict[str, Any], item: InvoiceItem, *, emailed: bool) -> DocumentResult:
    """The invoice as PayPal holds it, with the totals that PayPal computed."""
    detail = told["detail"]
    about = detail.get("metadata", {})
    ids = [one.get("id") for one in told.get("items", [])]
    pairs = zip(item.invoice.lines, ids, strict=False)
    return DocumentResult(
        told["id"],
        detail.get("invoice_number"),
        line_ids={line.id: id for line, id in pairs if id},
        totals=_totals(told, with_discounts=all(is_plain(line) for line in item.invoice.lines)),
        url=about.get("recipient_view_url"),
        sent_at=_moment(about.get("first_sent_time")) if emailed else None,
    )


def read_snapshot(told: dict[str, Any]) -> Snapshot:
    """What PayPal holds now; what it received, less what was given back."""
    received = amount_in(told.get("payments"), "paid_amount") - amount_in(told.get("refunds"), "refund_amount")
    return Snapshot(
        True,
        told["id"],
        told["detail"]["invoice_number"],
        told["status"],
        _totals(told, with_discounts=False),
        received,
        voided=told["status"] == CANCELLED,
        amount_due=amount_in(told, "due_amount") if "due_amount" in told else None,
    )


def read_payment(told: dict[str, Any]) -> Done[PaymentResult] | Pending:
    """How the payment that the customer was asked for stands. What we noted ourselves came another way, and is none of it."""
    status = PAYMENT_STATUSES.get(told["status"])
    if status is None:
        return Pending(f"the invoice is {told['status']} at PayPal", told["id"], check_after=LOOK_AGAIN_AFTER)
    url = told["detail"].get("metadata", {}).get("recipient_view_url")
    if status is not PaymentStatus.SUCCEEDED:
        return Done(PaymentResult(status, _ZERO, told["id"], action_url=url))
    noted = _noted_by_us(told)
    received = amount_in(told.get("payments"), "paid_amount") - noted
    if noted and not received:
        return Done(PaymentResult(PaymentStatus.CANCELED, _ZERO, told["id"]))
    return Done(PaymentResult(status, received, told["id"], action_url=url, refunded=_given_back_by_paypal(told)))


def _given_back_by_paypal(told: dict[str, Any]) -> Decimal:
    """What PayPal itself gave back; refunds that were only noted there, as ours are, are of other money."""
    refunds = told.get("refunds", {}).get("transactions", [])
    return sum((amount_in(one, "amount") for one in refunds if one.get("type") == "PAYPAL"), start=_ZERO)


def _noted_by_us(told: dict[str, Any]) -> Decimal:
    payments = told.get("payments", {}).get("transactions", [])
    ours = (one for one in payments if str(one.get("note", "")).startswith(NOTE_BEGINS))
    return sum((amount_in(one, "amount") for one in ours), start=_ZERO)


def refused(reply: Reply) -> Rejected | None:
    """PayPal's refusal in its own words, with the id by which its support finds it; None where it did not refuse."""
    if reply.status < 400:
        return None
    told = reply.json()
    found = told.get("details") or [{}]
    return Rejected(tuple(_issue(told, detail, reply.status) for detail in found))


def issues_of(reply: Reply) -> frozenset[str]:
    """PayPal's own codes of what is wrong, such as ``INVOICE_CANCELED_ALREADY``."""
    return frozenset(str(detail.get("issue")) for detail in reply.json().get("details") or [])


def amount_in(told: Mapping[str, Any] | None, name: str) -> Decimal:
    """An amount that PayPal leaves out where it is nothing."""
    found = (told or {}).get(name)
    return Decimal(found["value"]) if found else _ZERO


def _totals(told: dict[str, Any], *, with_discounts: bool) -> ProviderTotals:
    parts = told["amount"].get("breakdown", {})
    # PayPal writes a discount as a negative amount.
    discounts = abs(amount_in(parts.get("discount"), "item_discount")) if with_discounts else None
    return ProviderTotals(Decimal(told["amount"]["value"]), amount_in(parts, "tax_total"), discounts)


def _issue(told: dict[str, Any], detail: dict[str, Any], status: int) -> ValidationIssue:
    name = str(detail.get("issue") or told.get("name") or f"http_{status}")
    words = detail.get("description") or told.get("message") or f"HTTP {status}"
    message = f"PayPal refused it: {words} ({name}, debug id {told.get('debug_id', 'not told')})"
    return ValidationIssue.told(name.lower(), message)


def _moment(told: str | None) -> datetime | None:
    return datetime.fromisoformat(told) if told else None
