"""An invoice as PayPal takes it: plain functions, tested without a network."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from hashlib import sha256
from typing import Any

from billhook.contract import InvoiceItem, InvoiceView, Line, MappedLine, PaymentItem, RefundItem, encode_json
from billhook_paypal.amounts import plain, worth_of

NAME_LENGTH = 200
MARK_LENGTH = 12
NOTE_BEGINS = "Billhook payment "
METHODS = frozenset({"BANK_TRANSFER", "CASH", "CHECK", "CREDIT_CARD", "DEBIT_CARD", "PAYPAL", "WIRE_TRANSFER"})


def encode_invoice(item: InvoiceItem) -> dict[str, Any]:
    """The body of ``POST /v2/invoicing/invoices`` and of a full update. No amounts of our own: PayPal computes them."""
    content = _content(item)
    return {**content, "detail": {**content["detail"], "memo": _mark(item, content)}}


def memo_of(item: InvoiceItem) -> str:
    """Our mark: the invoice, and what its content comes to. PayPal shows it to the merchant alone."""
    return _mark(item, _content(item))


def _mark(item: InvoiceItem, content: dict[str, Any]) -> str:
    return f"{item.id}/{sha256(encode_json(content)).hexdigest()[:MARK_LENGTH]}"


def _content(item: InvoiceItem) -> dict[str, Any]:
    invoice = item.invoice
    pairs = zip(invoice.lines, item.lines, strict=True)
    return {
        "detail": _detail(item),
        "invoicer": {"business_name": invoice.supplier.name},
        "primary_recipients": [{"billing_info": _billing_info(invoice)}],
        "items": [_item(line, mapped, invoice.currency) for line, mapped in pairs],
        # These are PayPal's defaults, but a merchant's own template may have others.
        "configuration": {
            "tax_calculated_after_discount": True,
            "tax_inclusive": False,
            "allow_tip": False,
            "partial_payment": {"allow_partial_payment": False},
        },
    }


def encode_payment(item: PaymentItem, today: date) -> dict[str, Any]:
    """The body of ``POST .../payments``. Our payment id stands in the note, by which it is found again."""
    received = item.received_at.date() if item.received_at else today
    return {
        "method": _method(item.method),
        "payment_date": received.isoformat(),
        "note": note_of(item),
        "amount": money(item.amount, item.currency),
    }


def note_of(item: PaymentItem) -> str:
    """What marks a recorded payment as ours."""
    return f"{NOTE_BEGINS}{item.id}"


def encode_refund(item: RefundItem, method: str, today: date) -> dict[str, Any]:
    """The body of ``POST .../refunds``. There is no place for a reference of ours."""
    return {"method": method, "refund_date": today.isoformat(), "amount": money(item.amount, item.currency)}


def money(value: Decimal, currency: str) -> dict[str, str]:
    """An amount as PayPal writes it."""
    return {"currency_code": currency, "value": plain(value)}


def _detail(item: InvoiceItem) -> dict[str, Any]:
    # No invoice_date: PayPal takes the day of the merchant, and one that is ahead of it would be scheduled, not sent.
    due = item.invoice.due_at
    told = {
        "invoice_number": item.number,
        "currency_code": item.invoice.currency,
        "note": item.invoice.content.description,
        "payment_term": {"due_date": due.date().isoformat()} if due else None,
    }
    return _without_empty(told)


def _billing_info(invoice: InvoiceView) -> dict[str, Any]:
    customer = invoice.customer
    address = customer.addresses[0] if customer.addresses else None
    told: dict[str, Any] = {"business_name": customer.name, "email_address": customer.email}
    if address and address.country:
        parts = {
            "address_line_1": address.line1,
            "address_line_2": address.line2,
            "admin_area_2": address.city,
            "admin_area_1": address.state,
            "postal_code": address.postal_code,
            "country_code": address.country,
        }
        told["address"] = _without_empty(parts)
    return _without_empty(told)


def _item(line: Line, mapped: MappedLine, currency: str) -> dict[str, Any]:
    worth = worth_of(line, currency)
    told: dict[str, Any] = {
        "name": mapped.description[:NAME_LENGTH],
        "description": _description(line, mapped),
        "quantity": plain(worth.quantity),
        "unit_amount": money(worth.unit_amount, currency),
    }
    if worth.discount:
        told["discount"] = {"amount": money(worth.discount, currency)}
    if worth.tax_name:
        told["tax"] = {"name": worth.tax_name, "percent": plain(worth.tax_percent)}
    return _without_empty(told)


def _description(line: Line, mapped: MappedLine) -> str:
    """A name that is cut stands here whole."""
    parts = [mapped.description] if len(mapped.description) > NAME_LENGTH else []
    return "\n".join(parts + ([line.description] if line.description else []))


def _method(name: str | None) -> str:
    word = (name or "").upper().replace("-", "_").replace(" ", "_")
    return word if word in METHODS else "OTHER"


def _without_empty(told: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in told.items() if value not in (None, "")}
