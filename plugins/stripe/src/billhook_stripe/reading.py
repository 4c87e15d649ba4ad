"""What Stripe's answers mean. Amounts are whole units of the object's own currency."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

from billhook.contract import (
    Account,
    Answered,
    Busy,
    ConnectionResult,
    CustomerLink,
    CustomerResult,
    DocumentResult,
    Done,
    OutcomeUnknown,
    Pending,
    ProviderTotals,
    Receipt,
    RefundResult,
    RefundStatus,
    Rejected,
    Reply,
    Snapshot,
    Throttled,
    Unauthorized,
    ValidationIssue,
    Verdict,
)
from billhook_stripe.currencies import from_units
from billhook_stripe.lines import LINE_KEY

Body = Mapping[str, Any]

LOOK_AGAIN = timedelta(minutes=15)
REMEMBERED = "default_payment_method"
"""Where a customer's link keeps the default payment method as it was read last."""
_A_SECOND = timedelta(seconds=1)

_PATHS = {"number": "/number", "due_date": "/due_at", "currency": "/currency", "customer": "/customer"}


def verdict_of(reply: Reply) -> Verdict | None:
    """What Stripe documents beyond HTTP (docs.stripe.com/error-low-level, /rate-limits); None leaves it to the status."""
    if reply.status == 429:
        return Busy(_A_SECOND) if error_of(reply).get("code") == "lock_timeout" else Throttled(after=_A_SECOND)
    if reply.status == 401:
        return Unauthorized(error_of(reply).get("message", "Stripe does not know the API key"))
    if reply.status == 409:
        return Busy(_A_SECOND)
    if error_of(reply).get("type") == "idempotency_error":
        return OutcomeUnknown("Stripe has seen the key with other parameters")
    if 200 <= reply.status < 300:
        return Answered() if body_of(reply) else OutcomeUnknown("the answer is no JSON object")
    return None


def body_of(reply: Reply) -> Body:
    """The object in an answer; nothing where it holds none."""
    try:
        body = reply.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def error_of(reply: Reply) -> Body:
    """The error in an answer; nothing where it holds none."""
    error = body_of(reply).get("error")
    return error if isinstance(error, dict) else {}


def is_success(reply: Reply) -> bool:
    """Whether the request was accepted."""
    return 200 <= reply.status < 300


def is_missing(reply: Reply) -> bool:
    """Whether there is no such object, or none any more."""
    return reply.status == 404 or body_of(reply).get("deleted") is True


def refused(reply: Reply, external_id: str | None = None) -> Rejected:
    """Stripe's refusal, under its own code, at the place in the invoice that it is about."""
    error = error_of(reply)
    code = str(error.get("decline_code") or error.get("code") or "stripe_refused")
    message = error.get("message") or f"Stripe answered {reply.status} and said no more."
    path = _PATHS.get(str(error.get("param")), "")
    return Rejected((ValidationIssue.told(code, str(message), path=path, otherwise="stripe_refused"),), external_id)


def read_customer(reply: Reply) -> Done[CustomerResult] | Rejected:
    """The customer, and the payment method that Stripe would charge."""
    if not is_success(reply):
        return refused(reply)
    body = body_of(reply)
    if is_missing(reply):
        return Rejected.because(
            "customer_deleted", f"The customer {body.get('id')} was deleted at Stripe. Name another."
        )
    method = payment_method_of(body)
    return Done(CustomerResult(body["id"], method, {REMEMBERED: method} if method else {}))


def stated_method(customer: CustomerLink) -> str | None:
    """The payment method that somebody linked to the customer here; what was only read at Stripe may have changed there since."""
    return None if customer.payment_method == customer.app_data.get(REMEMBERED) else customer.payment_method


def payment_method_of(customer: Body) -> str | None:
    """The customer's default payment method."""
    return (customer.get("invoice_settings") or {}).get("default_payment_method") or customer.get("default_source")


def read_document(invoice: Body) -> Done[DocumentResult]:
    """An invoice with its totals, and its lines as far as the answer shows them: Stripe shows the first ten."""
    lines = _own_lines(invoice)
    return Done(
        DocumentResult(
            external_id=invoice["id"],
            number=invoice.get("number") if invoice.get("status") != "draft" else None,
            line_ids={line["metadata"][LINE_KEY]: line["id"] for line in lines},
            totals=totals_of(invoice),
            url=invoice.get("hosted_invoice_url"),
        )
    )


def totals_of(invoice: Body) -> ProviderTotals | None:
    """The totals as Stripe computed them; None of a sample, which has none. What came off is in the lines already."""
    if "total" not in invoice:
        return None
    currency = invoice["currency"].upper()
    return ProviderTotals(
        total=from_units(invoice["total"], currency),
        tax=from_units(sum(tax["amount"] for tax in invoice.get("total_taxes") or ()), currency),
        line_totals={line["metadata"][LINE_KEY]: _line_total(line, currency) for line in _own_lines(invoice)},
    )


def read_credit_note(note: Body) -> Done[DocumentResult]:
    """A credit note. Our own number stands in its memo; Stripe's is not one that can be chosen, and is not taken over."""
    if "total" not in note:
        return Done(DocumentResult(external_id=note["id"]))
    currency = note["currency"].upper()
    tax = from_units(sum(each["amount"] for each in note.get("total_taxes") or ()), currency)
    return Done(
        DocumentResult(
            external_id=note["id"],
            totals=ProviderTotals(total=from_units(note["total"], currency), tax=tax),
            url=note.get("pdf"),
            kept_as_credit=from_units(_kept_as_credit(note), currency),
        )
    )


def _kept_as_credit(note: Body) -> int:
    """What of a credit note went to the customer's balance: its post-payment part that nothing else gave
    (docs.stripe.com/api/credit_notes/object, post_payment_amount, refunds and out_of_band_amount)."""
    after_payment: int = note.get("post_payment_amount") or 0
    otherwise: int = note.get("out_of_band_amount") or 0
    linked: int = sum(link["amount_refunded"] for link in note.get("refunds") or ())
    return after_payment - otherwise - linked


def read_balance_entry(entry: Body) -> Done[DocumentResult]:
    """Credit on the customer's balance: negative there, positive here."""
    if "amount" not in entry:
        return Done(DocumentResult(external_id=entry["id"]))
    total = from_units(-entry["amount"], entry["currency"].upper())
    return Done(DocumentResult(external_id=entry["id"], totals=ProviderTotals(total=total)))


def read_snapshot(invoice: Body) -> Snapshot:
    """An invoice as it stands there, without its money."""
    status = invoice["status"]
    return Snapshot(True, invoice["id"], invoice.get("number"), status, totals_of(invoice), voided=status == "void")


def read_snapshot_with_money(invoice: Body, receipts: tuple[Receipt, ...]) -> Snapshot:
    """An invoice as it stands there, with what it received and what of that went back: Stripe counts it as paid all the same."""
    kept = _settled(invoice) - sum((receipt.refunded for receipt in receipts), Decimal(0))
    due = from_units(invoice["amount_remaining"], invoice["currency"].upper())
    return replace(read_snapshot(invoice), amount_paid=max(kept, Decimal(0)), receipts=receipts, amount_due=due)


def _settled(invoice: Body) -> Decimal:
    """What of an invoice is settled: money, and credit that Stripe took from the customer's balance."""
    currency = invoice["currency"].upper()
    credited = invoice.get("pre_payment_credit_notes_amount") or 0
    return from_units(invoice["total"] - credited - invoice["amount_remaining"], currency)


def read_refund(refund: Body) -> Done[RefundResult] | Pending:
    """How a refund stands. Anything but an end is looked at again."""
    amount = from_units(refund["amount"], refund["currency"].upper())
    match refund["status"]:
        case "succeeded":
            return Done(RefundResult(RefundStatus.SUCCEEDED, amount, refund["id"]))
        case "failed" | "canceled" as status:
            message = refund.get("failure_reason") or f"Stripe says that it is {status}"
            return Done(RefundResult(RefundStatus.FAILED, amount, refund["id"], message))
        case status:
            return Pending(f"The refund is {status} at Stripe", refund["id"], LOOK_AGAIN)


def read_connection(reply: Reply) -> Done[ConnectionResult] | Rejected:
    """The account that the key reaches."""
    if not is_success(reply):
        return refused(reply)
    body = body_of(reply)
    profile = (body.get("settings") or {}).get("dashboard") or body.get("business_profile") or {}
    name = profile.get("display_name") or profile.get("name") or body["id"]
    return Done(ConnectionResult((Account(body["id"], name),)))


def _own_lines(invoice: Body) -> Sequence[Body]:
    lines = (invoice.get("lines") or {}).get("data", ())
    return [line for line in lines if LINE_KEY in (line.get("metadata") or {})]


def _line_total(line: Body, currency: str) -> Decimal:
    taxes = line.get("taxes") or ()
    on_top = sum(tax["amount"] for tax in taxes if tax["tax_behavior"] == "exclusive")
    return from_units(line["amount"] + on_top, currency)
