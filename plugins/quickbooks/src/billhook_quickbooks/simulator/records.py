"""What the company's books hold, as values to compare with. ``reference`` is ours, as the note of the thing had it when it was made."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Customer:
    id: str
    reference: str
    name: str
    email: str | None
    currency: str


@dataclass(frozen=True, slots=True)
class Line:
    """``amount`` is without tax."""

    id: str
    number: int
    description: str
    quantity: Decimal
    unit_price: Decimal
    amount: Decimal
    item: str | None
    tax_code: str | None


@dataclass(frozen=True, slots=True)
class Document:
    """``kind`` is invoice or credit_note; ``status`` is issued, paid, void or deleted. ``open_amount`` is what is left of it."""

    id: str
    kind: str
    reference: str
    number: str | None
    status: str
    customer: str
    currency: str
    tax: Decimal
    total: Decimal
    open_amount: Decimal
    date: str
    due_date: str | None
    exchange_rate: Decimal | None
    sent_count: int
    lines: tuple[Line, ...]

    @property
    def is_issued(self) -> bool:
        """Whether it stands, and is neither void nor deleted."""
        return self.status in {"issued", "paid"}


@dataclass(frozen=True, slots=True)
class Payment:
    """``applied`` tells how much of it went to which invoice; a payment of nothing applies a credit memo."""

    id: str
    reference: str
    amount: Decimal
    currency: str
    customer: str
    applied: tuple[tuple[str, Decimal], ...]
    status: str = "paid"
