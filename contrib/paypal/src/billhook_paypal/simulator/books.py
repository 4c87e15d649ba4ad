"""The invoices and payments as this PayPal keeps them, and as its books show them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from billhook.testing.simulator import Thing
from billhook_paypal.simulator.sums import money

UNFINISHED = frozenset({"DRAFT", "SCHEDULED"})
GONE = frozenset({"CANCELLED", "DELETED"})
_NOTE_WORDS = 3


@dataclass(frozen=True)
class PaypalDocument:
    """An invoice in the books. ``reference`` is what our memo names."""

    id: str
    reference: str
    number: str
    status: str
    currency: str
    total: Decimal
    kind: str = "invoice"

    @property
    def is_issued(self) -> bool:
        """Whether the customer owes it, or has paid it."""
        return self.status not in UNFINISHED | GONE


@dataclass(frozen=True)
class PaypalPayment:
    """Money in the books: ``type`` is PAYPAL where the customer paid it there, EXTERNAL where it was recorded."""

    id: str
    reference: str
    amount: Decimal
    type: str
    status: str


def document_of(thing: Thing) -> PaypalDocument:
    """The invoice as the books show it."""
    told = thing.body["paypal"]
    amount = told["amount"]
    number, total = told["detail"]["invoice_number"], Decimal(amount["value"])
    return PaypalDocument(told["id"], thing.reference, number, told["status"], amount["currency_code"], total)


def payment_of(thing: Thing) -> PaypalPayment:
    """The payment as the books show it."""
    told = thing.body["paypal"]
    amount = Decimal(told["amount"]["value"])
    return PaypalPayment(told["payment_id"], thing.reference, amount, told["type"], thing.body["status"])


def refunds_of(thing: Thing) -> Iterator[PaypalPayment]:
    """The refunds of an invoice, oldest first."""
    for told in thing.body["paypal"].get("refunds", {}).get("transactions", []):
        amount = Decimal(told["amount"]["value"])
        yield PaypalPayment(told["refund_id"], told["refund_id"], amount, told["type"], "refunded")


def shelved(told: Mapping[str, Any]) -> dict[str, Any]:
    """What the shelf keeps of an invoice: what every simulator's books show, and PayPal's own beside it."""
    status = told["status"]
    shown = "gone" if status in GONE else "unfinished" if status in UNFINISHED else "issued"
    amount = told["amount"]
    return {"currency": amount["currency_code"], "total": amount["value"], "status": shown, "paypal": dict(told)}


def reference_of(told: Mapping[str, Any]) -> str:
    """Ours, from the memo; an invoice that somebody else made stands under its number."""
    detail = told["detail"]
    return str(detail.get("memo", "")).partition("/")[0] or str(detail["invoice_number"])


def payment_reference(note: str, payment_id: str) -> str:
    """Ours, from the note; money of other sources stands under PayPal's id."""
    words = note.split()
    return words[-1] if len(words) == _NOTE_WORDS else payment_id


def due_of(told: Mapping[str, Any]) -> Decimal:
    """What is still to be paid."""
    return Decimal(told["amount"]["value"]) - sum_in(told, "payments", "paid_amount")


def sum_in(told: Mapping[str, Any], group: str, name: str) -> Decimal:
    """What was paid or refunded."""
    return Decimal(told[group][name]["value"]) if group in told else Decimal(0)


def with_transaction(told: Mapping[str, Any], group: str, name: str, transaction: Mapping[str, Any]) -> dict[str, Any]:
    """The invoice with one more payment or refund."""
    currency = told["amount"]["currency_code"]
    before = told.get(group, {"transactions": []})
    total = sum_in(told, group, name) + Decimal(transaction["amount"]["value"])
    grown = {name: money(total, currency), "transactions": [*before["transactions"], dict(transaction)]}
    return {**told, group: grown}


def moment(at: datetime) -> str:
    """A time as PayPal writes it."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
