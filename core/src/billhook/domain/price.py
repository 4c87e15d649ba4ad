"""The five kinds of price."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from billhook.domain.base import Value, not_empty
from billhook.domain.money import ONE, Amount


class PaymentTerm(StrEnum):
    IN_ADVANCE = "in_advance"
    IN_ARREARS = "in_arrears"


class TierMode(StrEnum):
    """Volume: one tier prices the whole quantity. Graduated: each tier prices its own part."""

    VOLUME = "volume"
    GRADUATED = "graduated"


NotNegative = Annotated[Amount, Field(ge=0)]
MoreThanZero = Annotated[Amount, Field(gt=0)]

# `type` has a default factory that takes the data, because such a default is written out even where defaults are
# left out: the tag must be on the wire.


class FlatPrice(Value):
    """One amount, whatever the quantity."""

    type: Literal["flat"] = Field(default_factory=lambda _data: "flat")
    amount: Amount
    payment_term: PaymentTerm = PaymentTerm.IN_ADVANCE


class _MeteredPrice(Value):
    """A price with an agreed least and most that one line comes to."""

    minimum_amount: NotNegative | None = None
    maximum_amount: NotNegative | None = None

    @field_validator("maximum_amount")
    @classmethod
    def _most_is_not_less_than_least(cls, maximum: Decimal | None, info: ValidationInfo) -> Decimal | None:
        minimum = info.data.get("minimum_amount")
        if maximum is None or minimum is None or minimum <= maximum:
            return maximum
        raise PydanticCustomError("commitment_contradictory", "The minimum amount is more than the maximum amount.")


class UnitPrice(_MeteredPrice):
    """An amount for each unit. May be negative, to take something back."""

    type: Literal["unit"] = Field(default_factory=lambda _data: "unit")
    amount: Amount


class Tier(Value):
    """The price up to and including a quantity; without one, for all above."""

    up_to_amount: MoreThanZero | None = None
    unit_price: NotNegative | None = None
    flat_price: NotNegative | None = None

    @model_validator(mode="after")
    def _has_a_price(self) -> Self:
        if self.unit_price is None and self.flat_price is None:
            raise PydanticCustomError("tier_without_price", "A tier has a unit price, a flat price or both.")
        return self


class TieredPrice(_MeteredPrice):
    """Prices that change with the quantity. The last tier is open, so that every quantity has a price."""

    type: Literal["tiered"] = Field(default_factory=lambda _data: "tiered")
    mode: TierMode
    tiers: Annotated[tuple[Tier, ...], Field(max_length=100), AfterValidator(not_empty)]

    @model_validator(mode="after")
    def _tiers_rise_to_an_open_one(self) -> Self:
        limits = [tier.up_to_amount for tier in self.tiers[:-1]]
        if self.tiers[-1].up_to_amount is not None or None in limits:
            raise PydanticCustomError("tiers_not_open_ended", "The last tier, and only the last, has no upper limit.")
        if any(lower >= upper for lower, upper in pairwise(limit for limit in limits if limit is not None)):
            raise PydanticCustomError("tiers_not_rising", "Each tier's upper limit is above the one before.")
        return self


class DynamicPrice(_MeteredPrice):
    """The metered quantity is itself an amount of money; it is charged times the multiplier."""

    type: Literal["dynamic"] = Field(default_factory=lambda _data: "dynamic")
    multiplier: MoreThanZero = ONE


class PackagePrice(_MeteredPrice):
    """An amount for each package begun."""

    type: Literal["package"] = Field(default_factory=lambda _data: "package")
    amount: NotNegative
    quantity_per_package: MoreThanZero = ONE


Price = Annotated[
    FlatPrice | UnitPrice | TieredPrice | DynamicPrice | PackagePrice,
    Field(discriminator="type"),
]


def has_commitment(price: Price) -> bool:
    """Whether a least or a most was agreed."""
    return not isinstance(price, FlatPrice) and (price.minimum_amount is not None or price.maximum_amount is not None)
