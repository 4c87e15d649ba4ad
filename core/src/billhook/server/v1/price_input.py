"""The five kinds of price, as callers say them."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError

from billhook.domain.base import not_empty
from billhook.domain.parsing import invalid_input
from billhook.domain.price import PaymentTerm, Price, TierMode
from billhook.server.v1.wire import Numeric, WireModel

_PRICE: TypeAdapter[Price] = TypeAdapter(Price)


class FlatPriceInput(WireModel):
    """One amount, whatever the quantity."""

    type: Literal["flat"]
    amount: Numeric
    payment_term: PaymentTerm = PaymentTerm.IN_ADVANCE

    def values(self) -> Mapping[str, Any]:
        """The values of a price."""
        return dict(self)


class _MeteredPriceInput(WireModel):
    minimum_amount: Numeric | None = None
    maximum_amount: Numeric | None = None

    def values(self) -> Mapping[str, Any]:
        """The values of a price."""
        return dict(self)


class UnitPriceInput(_MeteredPriceInput):
    """An amount for each unit."""

    type: Literal["unit"]
    amount: Numeric


class FlatPartInput(WireModel):
    """What a tier costs as a whole."""

    type: Literal["flat"]
    amount: Numeric


class UnitPartInput(WireModel):
    """What each unit of a tier costs."""

    type: Literal["unit"]
    amount: Numeric


class TierInput(WireModel):
    """The price up to and including a quantity; without one, for all above."""

    up_to_amount: Numeric | None = None
    flat_price: FlatPartInput | None = None
    unit_price: UnitPartInput | None = None

    def values(self) -> Mapping[str, Any]:
        """The values of a tier."""
        return {
            "up_to_amount": self.up_to_amount,
            "flat_price": _amount(self.flat_price),
            "unit_price": _amount(self.unit_price),
        }


class TieredPriceInput(_MeteredPriceInput):
    """Prices that change with the quantity."""

    type: Literal["tiered"]
    mode: TierMode
    tiers: Annotated[tuple[TierInput, ...], AfterValidator(not_empty)]

    def values(self) -> Mapping[str, Any]:
        """The values of a price, its last tier open where the sender set no limit."""
        return {**dict(self), "tiers": [tier.values() for tier in self.tiers]}


class DynamicPriceInput(_MeteredPriceInput):
    """The metered quantity is itself an amount of money."""

    type: Literal["dynamic"]
    multiplier: Numeric = Decimal(1)


class PackagePriceInput(_MeteredPriceInput):
    """An amount for each package begun."""

    type: Literal["package"]
    amount: Numeric
    quantity_per_package: Numeric


PriceInput = Annotated[
    FlatPriceInput | UnitPriceInput | TieredPriceInput | DynamicPriceInput | PackagePriceInput,
    Field(discriminator="type"),
]


def price_of(stated: PriceInput) -> Price:
    """That price. Raises InvalidInput for one that means nothing."""
    try:
        return _PRICE.validate_python(stated.values())
    except ValidationError as error:
        raise invalid_input(error) from None


def _amount(part: FlatPartInput | UnitPartInput | None) -> Decimal | None:
    return None if part is None else part.amount
