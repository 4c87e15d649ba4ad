"""How the sandbox shows its documents: whole ones when they are read, short ones in the answers of batches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from billhook.testing.sandbox.fields import exponent_of, plain
from billhook.testing.sandbox.records import Discount, Document, Line
from billhook.testing.sandbox.sums import added


def answered(document: Document) -> dict[str, Any] | None:
    """The item of a batch's answer: short, so that what is missing has to be looked up."""
    if document.metadata.get("sandbox/omit") == "true":
        return None
    totals = _line_totals(document)
    lines = [{"reference": line.reference, "id": line.id, "total": totals[line.reference]} for line in document.lines]
    discounts = [{"reference": each.reference, "id": each.id} for each in document.discounts]
    return {**_head(document), "ok": True, "lines": lines, "discounts": discounts}


def shown(document: Document) -> dict[str, Any]:
    """The whole document."""
    totals = _line_totals(document)
    return {
        **_head(document),
        "customer": document.customer,
        "currency": document.currency,
        "issue_date": document.issue_date,
        "due_date": document.due_date,
        "exchange_rate": document.exchange_rate,
        "invoice": document.invoice,
        "lines": [{**_shown_line(line), "total": totals[line.reference]} for line in document.lines],
        "discounts": [_shown_discount(discount) for discount in document.discounts],
        "metadata": document.metadata,
        "sent_count": document.sent_count,
        "sent_at": document.sent_at,
    }


def _head(document: Document) -> dict[str, Any]:
    totals: Mapping[str, str] = {
        "amount": plain(document.amount),
        "discounts": plain(document.discounted),
        "tax": plain(document.tax),
        "total": plain(document.total),
    }
    url = f"https://sandbox.example/{document.kind}/{document.id}"
    status, number = document.status, document.number
    return {
        "reference": document.reference,
        "id": document.id,
        "number": number,
        "status": status,
        "url": url,
        "totals": totals,
    }


def _line_totals(document: Document) -> dict[str, str]:
    """What each line comes to, by its reference: its amount less its own discounts, and its tax."""
    parts = {line.reference: [line.amount, line.tax] for line in document.lines}
    for discount in document.discounts:
        if discount.line is not None:
            parts[discount.line].append(-discount.amount)
    exponent = exponent_of(document.currency) or 0
    return {reference: plain(added(amounts, exponent)) for reference, amounts in parts.items()}


def _shown_line(line: Line) -> dict[str, Any]:
    figures = {"quantity": line.quantity, "unit_price": line.unit_price, "amount": line.amount, "tax_amount": line.tax}
    codes = {"account": line.account, "item": line.item, "tax_code": line.tax_code}
    amounts = {name: plain(figure) for name, figure in figures.items()}
    return {"reference": line.reference, "id": line.id, "description": line.description, **amounts, **codes}


def _shown_discount(discount: Discount) -> dict[str, Any]:
    amount = plain(discount.amount)
    return {"reference": discount.reference, "id": discount.id, "amount": amount, "line": discount.line}
