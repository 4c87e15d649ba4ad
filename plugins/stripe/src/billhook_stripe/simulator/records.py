"""What the books hold, as values in major units: what tests and demonstrations compare with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from billhook_stripe.simulator.desk import Body
from billhook_stripe.simulator.units import major

ISSUED_STATES = frozenset({"open", "paid", "uncollectible", "issued"})
"""Drafts and void documents were not issued, or are not any more."""

_MOVED = frozenset({"succeeded", "processing", "requires_action", "requires_capture"})


@dataclass(frozen=True, slots=True)
class Customer:
    id: str
    reference: str
    name: str | None
    email: str | None
    balance: Decimal | None = None
    """What the customer owes beyond invoices; credit is negative."""


@dataclass(frozen=True, slots=True)
class Line:
    id: str
    reference: str
    description: str | None
    amount: Decimal
    tax: Decimal
    account: str | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """An invoice or credit note. Credit on a customer's balance that stands for a credit note is one, `on_balance`."""

    id: str
    kind: str
    reference: str
    number: str | None
    status: str
    customer: str
    currency: str
    total: Decimal
    tax: Decimal
    lines: tuple[Line, ...] = ()
    invoice: str | None = None
    amount_remaining: Decimal = Decimal(0)
    sent_count: int = 0
    on_balance: bool = False
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_issued(self) -> bool:
        """Whether it is final, and not void."""
        return self.status in ISSUED_STATES


@dataclass(frozen=True, slots=True)
class Payment:
    """A payment that was charged, or recorded because it came another way."""

    id: str
    reference: str
    status: str
    origin: str
    amount: Decimal
    currency: str
    customer: str | None
    invoice: str | None

    @property
    def has_moved(self) -> bool:
        """Whether money moved, or may still do."""
        return self.status in _MOVED


@dataclass(frozen=True, slots=True)
class Refund:
    id: str
    reference: str
    payment: str
    amount: Decimal
    currency: str
    status: str


def customer_of(body: Body) -> Customer:
    """A customer as the books show it."""
    currency = body.get("currency")
    balance = major(body["balance"], currency) if currency else None
    return Customer(body["id"], body["metadata"].get("billhook_customer", ""), body["name"], body["email"], balance)


def document_of(body: Body) -> Document:
    """An invoice as the books show it."""
    currency = body["currency"]
    return Document(
        id=body["id"],
        kind="invoice",
        reference=body["metadata"].get("billhook_invoice", ""),
        number=body["number"],
        status=body["status"],
        customer=body["customer"],
        currency=currency.upper(),
        total=major(body["total"], currency),
        tax=major(sum(tax["amount"] for tax in body["total_taxes"]), currency),
        lines=tuple(_line_of(line, currency) for line in body["_lines"]),
        amount_remaining=major(body["amount_remaining"], currency),
        sent_count=body["_sent_count"],
        metadata=body["metadata"],
    )


def note_of(body: Body) -> Document:
    """A credit note as the books show it."""
    currency = body["currency"]
    return Document(
        id=body["id"],
        kind="credit_note",
        reference=body["metadata"].get("billhook_credit_note", ""),
        number=body["metadata"].get("billhook_number", body["number"]),
        status=body["status"],
        customer=body["customer"],
        currency=currency.upper(),
        total=major(body["total"], currency),
        tax=major(sum(tax["amount"] for tax in body["total_taxes"]), currency),
        lines=tuple(_line_of(line, currency) for line in body["lines"]["data"]),
        invoice=body["invoice"],
        metadata=body["metadata"],
    )


def credit_of(body: Body) -> Document:
    """Credit on a customer's balance that stands for a credit note."""
    currency = body["currency"]
    return Document(
        id=body["id"],
        kind="credit_note",
        reference=body["metadata"]["billhook_credit_note"],
        number=body["metadata"].get("billhook_number"),
        status="issued",
        customer=body["customer"],
        currency=currency.upper(),
        total=major(-body["amount"], currency),
        tax=Decimal(0),
        on_balance=True,
        metadata=body["metadata"],
    )


def payments_of(intents: Iterable[Body], records: Iterable[Body], invoices: Iterable[Body]) -> Iterator[Payment]:
    """Payments as the books show them; an intent that nobody tried to pay is none."""
    yield from (_intent_of(body) for body in intents if body["payment_method"] or body["last_payment_error"])
    yield from (_record_of(body) for body in records)
    yield from (_out_of_band_of(body) for body in invoices if body["_out_of_band"])


def refund_of(body: Body) -> Refund:
    """A refund as the books show it."""
    reference = body["metadata"].get("billhook_refund", "")
    amount = major(body["amount"], body["currency"])
    return Refund(body["id"], reference, body["payment_intent"], amount, body["currency"].upper(), body["status"])


def _line_of(body: Body, currency: str) -> Line:
    metadata = body["metadata"] or {}
    tax = major(sum(each["amount"] for each in body["taxes"] or ()), currency)
    amount = major(body["amount"], currency)
    reference, account = metadata.get("billhook_line", ""), metadata.get("billhook_account")
    return Line(body["id"], reference, body["description"], amount, tax, account)


def _intent_of(body: Body) -> Payment:
    # An invoice is paid once, so the payment of an invoice goes by the invoice.
    reference = body["metadata"].get("billhook_payment") or body["_invoice"] or ""
    status = "failed" if body["status"] == "requires_payment_method" else body["status"]
    amount, currency = major(body["amount"], body["currency"]), body["currency"].upper()
    return Payment(body["id"], reference, status, "charged", amount, currency, body["customer"], body["_invoice"])


def _record_of(body: Body) -> Payment:
    told = body["amount_requested"]
    reference = body["metadata"].get("billhook_payment", "")
    amount, currency = major(told["value"], told["currency"]), told["currency"].upper()
    return Payment(body["id"], reference, "succeeded", "recorded", amount, currency, None, body["_invoice"])


def _out_of_band_of(body: Body) -> Payment:
    amount, currency = major(body["_out_of_band"], body["currency"]), body["currency"].upper()
    return Payment(
        f"{body['id']}_oob", body["id"], "succeeded", "recorded", amount, currency, body["customer"], body["id"]
    )
