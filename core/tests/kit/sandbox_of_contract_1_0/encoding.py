"""Our documents, customers and payments as the sandbox takes them.

The sandbox multiplies and rounds half up by itself, so each line is sent in a form whose product it gets right: quantity and price
where they give our amount, else once the amount. Tax inside prices is taken out of the amount, because the sandbox adds tax on top.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from decimal import Decimal
from typing import Any

from billhook.contract import (
    CreditNoteItem,
    CustomerItem,
    InvoiceItem,
    InvoiceView,
    Line,
    MappedLine,
    PaymentItem,
    RefundItem,
    Remembered,
    encode_json,
    remote_id,
)
from billhook.domain.money import EXACT, round_to

Entry = dict[str, Any]

CONTENT_MARK = "billhook/content"
"""The metadata key under which the sandbox keeps a fingerprint of what was sent, so that a look-up can tell an old copy from the new one."""


def left_behind(item: Remembered) -> str | None:
    """The id of what an unfinished operation left at the provider."""
    return next(iter(item.leftovers.values()), None)


def marked(content: Entry, item: Remembered) -> Entry:
    """The entry with its fingerprint, and with its remote id where it has one."""
    mark = hashlib.sha256(encode_json(content)).hexdigest()[:16]
    entry = {**content, "metadata": {**content["metadata"], CONTENT_MARK: mark}}
    known = remote_id(item)
    return entry if known is None else {"id": known, **entry}


def customer_entry(item: CustomerItem) -> Entry:
    """A customer to be created or changed."""
    party = item.customer
    address = party.addresses[0].model_dump(exclude_none=True) if party.addresses else {}
    content = {
        "reference": item.id,
        "name": party.name or party.key or item.id,
        "email": party.email,
        "address": address,
        "metadata": dict(item.metadata),
    }
    return marked(content, item)


def invoice_entry(item: InvoiceItem) -> Entry:
    """A draft to be created or replaced."""
    return marked(_document(item.id, item.invoice, item.lines, item.customer.external_id), item)


def credit_note_entry(item: CreditNoteItem) -> Entry:
    """A credit note to be issued, on its invoice where it has one."""
    content = _document(item.id, item.credit_note, item.lines, item.customer.external_id)
    return marked({**content, "number": item.number, "invoice": item.applies_to}, item)


def issue_entry(item: InvoiceItem, document_id: str) -> Entry:
    """A draft to be made final."""
    return {
        "id": document_id,
        "reference": item.id,
        "number": item.number,
        "issue_date": _date(item.invoice.issued_at),
        "due_date": _date(item.invoice.due_at),
    }


def charge_entry(item: PaymentItem) -> Entry:
    """A payment to be taken. The invoice's metadata go with it: they steer what the sandbox makes of it."""
    return {
        "reference": item.id,
        "amount": plain(item.amount),
        "currency": item.currency,
        "invoice": item.invoice_external_id,
        "customer": item.customer.external_id,
        "method": item.method or item.customer.payment_method,
        "metadata": dict(item.invoice.content.metadata),
    }


def record_entry(item: PaymentItem, now: datetime) -> Entry:
    """A payment that came another way."""
    return {
        "reference": item.id,
        "amount": plain(item.amount),
        "currency": item.currency,
        "invoice": item.invoice_external_id,
        "received_at": (item.received_at or now).isoformat(),
        "method": item.method,
    }


def refund_entry(item: RefundItem) -> Entry:
    """Money to be given back."""
    return {"reference": item.id, "payment": item.payment_external_id, "amount": plain(item.amount)}


def tax_entry(item: InvoiceItem) -> Entry | None:
    """The lines to be taxed; None where no line has a code. Taxes that the sender stated are left alone."""
    codes = {mapped.line_id: mapped.tax_code for mapped in item.lines}
    lines = [
        {
            "reference": line.id,
            "tax_code": codes[line.id],
            "amount": plain(line.totals.before_taxes),
            "inclusive": is_inclusive(line, item.invoice),
        }
        for line in item.invoice.lines
        if codes.get(line.id) and not line.taxes_stated
    ]
    return {"reference": item.id, "currency": item.invoice.currency, "lines": lines} if lines else None


def tax_code_of(line: Line, invoice: InvoiceView) -> str | None:
    """The line's own tax code, or the workflow's where the line says nothing of tax."""
    config = line.tax_config or invoice.content.workflow.default_tax_config
    return None if config is None else config.code


def is_inclusive(line: Line, invoice: InvoiceView) -> bool:
    """Whether the line's price contains its tax."""
    config = line.tax_config or invoice.content.workflow.default_tax_config
    return config is not None and config.behavior.value == "inclusive"


def plain(amount: Decimal) -> str:
    """The decimal in digits, never with an exponent."""
    return format(amount, "f")


def _document(reference: str, view: InvoiceView, mapped: tuple[MappedLine, ...], customer_id: str | None) -> Entry:
    content = view.content
    rate = content.exchange_rate
    return {
        "reference": reference,
        "customer": customer_id,
        "currency": view.currency,
        "issue_date": _date(view.issued_at),
        "due_date": _date(view.due_at),
        "exchange_rate": None if rate is None else plain(rate.rate),
        "lines": [_line(line, to, view.currency) for line, to in zip(view.lines, mapped, strict=True)],
        "total": plain(view.total),
        "metadata": dict(content.metadata),
    }


def _line(line: Line, mapped: MappedLine, currency: str) -> Entry:
    totals = line.totals
    charged = EXACT.add(totals.amount, totals.charges_total)
    amount = EXACT.subtract(charged, EXACT.add(totals.credits_total, totals.taxes_inclusive_total))
    return {
        "reference": line.id,
        **_factors(line, mapped.description or line.name, amount, currency),
        "amount": plain(amount),
        "tax_amount": plain(totals.taxes_total),
        "account": mapped.account,
        "item": mapped.item_code,
        "tax_code": mapped.tax_code,
        "discounts": _discounts(line),
    }


def _factors(line: Line, description: str, amount: Decimal, currency: str) -> Entry:
    quantity, price = _quantity_and_price(line)
    if not line.detailed_lines and round_to(EXACT.multiply(quantity, price), currency) == amount:
        return {"description": description, "quantity": plain(quantity), "unit_price": plain(price)}
    return {"description": f"{description} ({_made_of(line)})", "quantity": "1", "unit_price": plain(amount)}


def _quantity_and_price(line: Line) -> tuple[Decimal, Decimal]:
    """Of a line that is plainly quantity times price; what it says of other lines is not used."""
    price: Decimal = getattr(line.price, "amount", Decimal(0))
    return (Decimal(1) if line.price.type == "flat" else line.quantity), price


def _made_of(line: Line) -> str:
    if not line.detailed_lines:
        quantity, price = _quantity_and_price(line)
        return f"{plain(quantity)} x {plain(price)}"
    parts = ((each.name, each.quantity, each.per_unit_amount) for each in line.detailed_lines)
    return "; ".join(f"{name}: {plain(quantity)} x {plain(price)}" for name, quantity, price in parts)


def _discounts(line: Line) -> list[Entry]:
    """What came off in money; a discount on usage is in the quantity already."""
    applied = [*line.discounts, *(discount for detail in line.detailed_lines for discount in detail.discounts)]
    return [
        {"reference": discount.id, "amount": plain(discount.amount)}
        for discount in applied
        if discount.quantity is None
    ]


def _date(moment: datetime | None) -> str | None:
    return None if moment is None else moment.date().isoformat()
