"""Prices in the third form of the API: as they are shown, and as callers say them.

A package is shown as a price for each unit of so many; a dynamic price as a price for each unit of money. What was agreed as the least and
the most has no word here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError

from billhook.domain.base import not_empty
from billhook.domain.money import ZERO, plain
from billhook.domain.parsing import invalid_input
from billhook.domain.price import DynamicPrice, FlatPrice, PackagePrice, Price, Tier, TieredPrice, TierMode, UnitPrice
from billhook.server.v1.shown import filled
from billhook.server.v3.wire import Numeric, WireModel

_PRICE: TypeAdapter[Price] = TypeAdapter(Price)


class FreeInput(WireModel):
    """Nothing."""

    type: Literal["free"]

    def values(self) -> Mapping[str, Any]:
        """The values of a price."""
        return {"type": "flat", "amount": ZERO}


class FlatInput(WireModel):
    """One amount, whatever the quantity."""

    type: Literal["flat"]
    amount: Numeric

    def values(self) -> Mapping[str, Any]:
        """The values of a price."""
        return dict(self)


class UnitInput(WireModel):
    """An amount for each unit."""

    type: Literal["unit"]
    amount: Numeric

    def values(self) -> Mapping[str, Any]:
        """The values of a price."""
        return dict(self)


class TierInput(WireModel):
    """The price up to and including a quantity; without one, for all above."""

    up_to_amount: Numeric | None = None
    flat_price: FlatInput | None = None
    unit_price: UnitInput | None = None

    def values(self) -> Mapping[str, Any]:
        """The values of a tier."""
        parts = {"flat_price": self.flat_price, "unit_price": self.unit_price}
        amounts = {name: None if part is None else part.amount for name, part in parts.items()}
        return {"up_to_amount": self.up_to_amount, **amounts}


class TieredInput(WireModel):
    """Prices that change with the quantity: each tier for its own part, or one tier for all of it."""

    type: Literal["graduated", "volume"]
    tiers: Annotated[tuple[TierInput, ...], AfterValidator(not_empty)]

    def values(self) -> Mapping[str, Any]:
        """The values of a price."""
        return {"type": "tiered", "mode": TierMode(self.type), "tiers": [tier.values() for tier in self.tiers]}


PriceInput = Annotated[FreeInput | FlatInput | UnitInput | TieredInput, Field(discriminator="type")]


def price_of(stated: PriceInput, before: Price | None) -> Price:
    """That price; the one before, with all that can't be said here, where it is shown just so. Raises InvalidInput."""
    try:
        price = _PRICE.validate_python(stated.values())
    except ValidationError as error:
        raise invalid_input(error) from None
    return before if before is not None and price_v3(before) == price_v3(price) else price


def price_v3(price: Price) -> dict[str, Any]:
    """A price."""
    return _SHOWN[type(price)](price)


def unit_config_v3(price: Price) -> dict[str, Any]:
    """What a unit of the price is, where it is not one of what was used."""
    if not isinstance(price, PackagePrice):
        return {}
    return {"operation": "divide", "conversion_factor": plain(price.quantity_per_package), "rounding": "ceiling"}


def _of_amount(type: str) -> Callable[[Any], dict[str, Any]]:
    return lambda price: {"type": type, "amount": plain(price.amount)}


def _tiered(price: TieredPrice) -> dict[str, Any]:
    return {"type": price.mode.value, "tiers": [_tier(tier) for tier in price.tiers]}


def _tier(tier: Tier) -> dict[str, Any]:
    return filled(
        up_to_amount=None if tier.up_to_amount is None else plain(tier.up_to_amount),
        flat_price=_part("flat", tier.flat_price),
        unit_price=_part("unit", tier.unit_price),
    )


def _part(type: str, amount: Decimal | None) -> dict[str, Any] | None:
    return None if amount is None else {"type": type, "amount": plain(amount)}


_SHOWN: Mapping[type[Any], Callable[[Any], dict[str, Any]]] = {
    FlatPrice: _of_amount("flat"),
    UnitPrice: _of_amount("unit"),
    TieredPrice: _tiered,
    DynamicPrice: lambda price: {"type": "unit", "amount": plain(price.multiplier)},
    PackagePrice: _of_amount("unit"),
}
