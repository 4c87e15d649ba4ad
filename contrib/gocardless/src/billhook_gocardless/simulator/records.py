"""What GoCardless's books hold, as values to compare with. Amounts are in major units."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

DECIMALS = 2


@dataclass(frozen=True, slots=True)
class Customer:
    """`reference` is what the client calls it: the value of its metadata that ends in the kind's name."""

    id: str
    reference: str | None
    name: str
    email: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Mandate:
    id: str
    customer: str
    scheme: str
    status: str


@dataclass(frozen=True, slots=True)
class Payment:
    id: str
    reference: str | None
    status: str
    amount: Decimal
    amount_refunded: Decimal
    currency: str
    mandate: str
    description: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Refund:
    id: str
    reference: str | None
    status: str
    amount: Decimal
    currency: str
    payment: str


def major(minor: int) -> Decimal:
    """Hundredths as an amount; every currency of GoCardless has two decimals [sdk: Payment.currency]."""
    return Decimal(minor).scaleb(-DECIMALS)
