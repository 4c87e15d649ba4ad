"""What the sandbox's books hold, as values to compare with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

# Documents in these states count: the customer has them.
ISSUED_STATES = frozenset({"issued", "paid"})


@dataclass(frozen=True, slots=True)
class Customer:
    id: str
    reference: str
    name: str
    email: str | None = None
    address: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Discount:
    """`line` is the reference of the line that it reduces, None for the whole document."""

    id: str
    reference: str
    amount: Decimal
    line: str | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """`amount` is quantity times unit price, rounded half up to the currency, before discounts and tax."""

    id: str
    reference: str
    description: str
    quantity: Decimal
    unit_price: Decimal
    amount: Decimal
    tax: Decimal
    account: str | None = None
    item: str | None = None
    tax_code: str | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """An invoice or credit note, with totals that the sandbox computed itself.

    `status` is draft_pending, draft, issue_pending, issued, paid, void or deleted.
    """

    id: str
    kind: str
    reference: str
    number: str | None
    status: str
    customer: str
    currency: str
    amount: Decimal
    discounted: Decimal
    tax: Decimal
    total: Decimal
    lines: tuple[Line, ...] = ()
    discounts: tuple[Discount, ...] = ()
    issue_date: str | None = None
    due_date: str | None = None
    exchange_rate: str | None = None
    invoice: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    sent_count: int = 0
    sent_at: str | None = None
    pending_until: datetime | None = None

    @property
    def is_issued(self) -> bool:
        """Whether it counts: the customer has it."""
        return self.status in ISSUED_STATES


@dataclass(frozen=True, slots=True)
class Payment:
    """`status` is paid, failed, uncollectible, action_required, authorized, processing or canceled; `origin` is charged or recorded."""

    id: str
    reference: str
    status: str
    origin: str
    amount: Decimal
    currency: str
    invoice: str | None = None
    customer: str | None = None
    method: str | None = None
    received_at: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    settles_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Refund:
    """`status` is succeeded, or bounced where the customer's bank sent the money back."""

    id: str
    reference: str
    payment: str
    amount: Decimal
    currency: str
    status: str = "succeeded"
