"""Our customers, documents and payments as Stripe's parameters. Pure: what is sent is read off these alone."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from billhook.contract import (
    CreditNoteItem,
    CustomerItem,
    InvoiceItem,
    InvoiceView,
    Line,
    MappedLine,
    PaymentItem,
    RefundItem,
)
from billhook_stripe.currencies import to_units
from billhook_stripe.lines import Params, amount_params, mark_of, tax_name
from billhook_stripe.settings import StripeSettings, given_payment_method

CUSTOMER_KEY = "billhook_customer"
INVOICE_KEY = "billhook_invoice"
CREDIT_NOTE_KEY = "billhook_credit_note"
PAYMENT_KEY = "billhook_payment"
REFUND_KEY = "billhook_refund"
NUMBER_KEY = "billhook_number"
STEP_KEY = "billhook_step"
METHOD_KEY = "billhook_payment_method"
COLLECTED_ELSEWHERE_KEY = "billhook_collected_elsewhere"
"""Metadata that Stripe keeps: our ids, our number where Stripe takes none, a fingerprint of the last step that was done, the payment
method of the host's metadata that was made the default last, and whether another app collects the invoice."""

_USUAL_DAYS_UNTIL_DUE = 30
_SOON = timedelta(minutes=5)


def customer_params(
    item: CustomerItem, settings: StripeSettings, *, is_new: bool, attached: str | None = None
) -> Params:
    """A customer to be created or changed. The payment method of the metadata is given with the creation; later it has to be ``attached``."""
    party = item.customer
    content: Params = {
        "name": party.name or party.key or item.id,
        "email": party.email or ("" if not is_new else None),
        "address": _address(item),
    }
    method = given_payment_method(item, settings)
    if is_new and method is not None:
        content |= {"payment_method": method, "invoice_settings": {"default_payment_method": method}}
    if attached is not None:
        content |= {"invoice_settings": {"default_payment_method": attached}}
    marked = {STEP_KEY: mark_of({**content, "id": item.id}), **({METHOD_KEY: method} if method else {})}
    return {**content, "metadata": {CUSTOMER_KEY: item.id, **marked}}


def invoice_params(item: InvoiceItem, now: datetime) -> Params:
    """A draft to be created, without its lines.

    Stripe neither finalizes it by itself, nor adds items that are pending there, nor takes over a coupon of the customer
    (docs.stripe.com/api/invoices/create).
    """
    return {
        "customer": item.customer.external_id,
        "currency": item.invoice.currency.lower(),
        "auto_advance": False,
        "pending_invoice_items_behavior": "exclude",
        "discounts": "",
        **_terms(item.invoice, now),
        "description": item.invoice.content.description,
        "metadata": _named(item),
    }


def header_params(item: InvoiceItem, now: datetime) -> Params:
    """What an edit changes of a draft that stands there, its lines aside."""
    content = {**_terms(item.invoice, now), "description": item.invoice.content.description or ""}
    marked = mark_of({**content, "revision": item.invoice.revision})
    return {**content, "metadata": {**_named(item), STEP_KEY: marked}}


def number_params(item: InvoiceItem, now: datetime) -> Params:
    """The number and the terms under which a draft becomes final."""
    issued_at = item.invoice.issued_at
    effective = {"effective_at": _seconds(issued_at)} if issued_at is not None and issued_at <= now else {}
    return {"number": item.number, **effective, **_terms(item.invoice, now)}


def credit_note_params(item: CreditNoteItem, rates: Mapping[str, str], beyond: Params) -> Params:
    """A credit note on an invoice. ``rates`` has Stripe's tax rates by name; ``beyond`` says where goes what no open amount takes."""
    view = item.credit_note
    return {
        "invoice": item.applies_to,
        "lines": [
            _credited_line(line, mapped, view.currency, rates)
            for line, mapped in zip(view.lines, item.lines, strict=True)
        ],
        **beyond,
        "memo": f"{item.number}: {view.content.description}" if view.content.description else item.number,
        "metadata": {CREDIT_NOTE_KEY: item.id, NUMBER_KEY: item.number or ""},
    }


def balance_params(item: CreditNoteItem) -> Params:
    """A credit note as credit on the customer's balance: negative, because it is owed to the customer."""
    view = item.credit_note
    return {
        "amount": -to_units(view.total, view.currency),
        "currency": view.currency.lower(),
        "description": f"Credit note {item.number}",
        "metadata": {CREDIT_NOTE_KEY: item.id, NUMBER_KEY: item.number or ""},
    }


def charge_params(item: PaymentItem, method: str, settings: StripeSettings) -> Params:
    """Money to be taken at once for an invoice that lives elsewhere, without the customer at hand."""
    return {
        "amount": to_units(item.amount, item.currency),
        "currency": item.currency.lower(),
        "customer": item.customer.external_id,
        "payment_method": method,
        "confirm": True,
        "off_session": True,
        "capture_method": settings.capture,
        # Without this a confirmed payment needs an address to return to (docs.stripe.com/api/payment_intents/create).
        "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
        "description": f"Invoice {item.invoice.number or item.invoice.id}",
        "metadata": {PAYMENT_KEY: item.id, INVOICE_KEY: item.invoice.id},
    }


def capture_params(item: PaymentItem) -> Params:
    """What is to be taken of an authorized payment; Stripe lets the rest go (docs.stripe.com/api/payment_intents/capture)."""
    return {"amount_to_capture": to_units(item.amount, item.currency)}


def report_params(item: PaymentItem, now: datetime) -> Params:
    """Money that came another way."""
    at = _seconds(item.received_at or now)
    return {
        "amount_requested": {"value": to_units(item.amount, item.currency), "currency": item.currency.lower()},
        "initiated_at": at,
        "customer_details": {"customer": item.customer.external_id},
        "outcome": "guaranteed",
        "guaranteed": {"guaranteed_at": at},
        "payment_method_details": {"type": "custom", "custom": {"display_name": item.method or "Recorded by Billhook"}},
        "metadata": {PAYMENT_KEY: item.id, INVOICE_KEY: item.invoice.id},
    }


def refund_params(item: RefundItem) -> Params:
    """Money to be given back."""
    return {
        "payment_intent": item.payment_external_id,
        "amount": to_units(item.amount, item.currency),
        "metadata": {REFUND_KEY: item.id, **({"reason": item.reason[:500]} if item.reason else {})},
    }


def tax_names(item: CreditNoteItem) -> frozenset[str]:
    """The taxes on a credit note, by what tells them apart at Stripe."""
    return frozenset(
        tax_name(tax.name, tax.percentage, tax.behavior.value) for line in item.credit_note.lines for tax in line.taxes
    )


def _credited_line(line: Line, mapped: MappedLine, currency: str, rates: Mapping[str, str]) -> Params:
    params = amount_params(line, mapped, currency)
    taxes = [
        {
            "amount": stated["amount"],
            "taxable_amount": stated["taxable_amount"],
            "tax_rate": rates[tax_name(tax.name, tax.percentage, tax.behavior.value)],
        }
        for tax, stated in zip(line.taxes, params.get("tax_amounts", ()), strict=True)
    ]
    credited = {
        "type": "custom_line_item",
        "description": params["description"],
        "quantity": 1,
        "unit_amount": params["amount"],
        "metadata": params["metadata"],
    }
    return {**credited, "tax_amounts": taxes} if taxes else credited


def _named(item: InvoiceItem) -> Params:
    return {INVOICE_KEY: item.id, **({} if item.collected_here else {COLLECTED_ELSEWHERE_KEY: "yes"})}


def _terms(invoice: InvoiceView, now: datetime) -> Params:
    """How it is to be paid. A date that is over, or almost, is told as due at once: Stripe takes no due date in the past."""
    method = invoice.content.workflow.collection_method.value
    if method != "send_invoice":
        return {"collection_method": "charge_automatically"}
    if invoice.due_at is None:
        return {"collection_method": method, "days_until_due": _USUAL_DAYS_UNTIL_DUE}
    if invoice.due_at <= now + _SOON:
        return {"collection_method": method, "days_until_due": 0}
    return {"collection_method": method, "due_date": _seconds(invoice.due_at)}


def _address(item: CustomerItem) -> Params | None:
    if not item.customer.addresses:
        return None
    address = item.customer.addresses[0]
    told = {
        "line1": address.line1,
        "line2": address.line2,
        "city": address.city,
        "state": address.state,
        "postal_code": address.postal_code,
        "country": address.country,
    }
    return {name: value for name, value in told.items() if value is not None} or None


def _seconds(moment: datetime) -> int:
    return int(moment.timestamp())
