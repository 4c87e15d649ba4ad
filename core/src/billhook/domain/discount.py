"""Discounts: what was agreed, and what it came to on a line."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from billhook.domain.base import Description, Key, Value
from billhook.domain.ids import Ulid
from billhook.domain.money import ZERO, Amount


class DiscountReason(StrEnum):
    MAXIMUM_SPEND = "maximum_spend"
    PERCENTAGE = "ratecard_percentage"
    USAGE = "ratecard_usage"
    AMOUNT = "amount"


class _Discount(Value):
    correlation_id: Key | None = None
    description: Description | None = None


# `type` has a default factory that takes the data, because such a default is written out even where defaults are
# left out: the tag must be on the wire.


class PercentageDiscount(_Discount):
    """A share of what the line comes to: 10 means 10 %."""

    type: Literal["percentage"] = Field(default_factory=lambda _data: "percentage")
    percentage: Annotated[Amount, Field(ge=0, le=100)]


class AmountDiscount(_Discount):
    """A fixed amount off the line, at most what the line comes to. Off a line below zero it takes so much of what that takes back."""

    type: Literal["amount"] = Field(default_factory=lambda _data: "amount")
    amount: Annotated[Amount, Field(ge=0)]


class UsageDiscount(_Discount):
    """A quantity that is not charged."""

    type: Literal["usage"] = Field(default_factory=lambda _data: "usage")
    quantity: Annotated[Amount, Field(ge=0)]


Discount = Annotated[PercentageDiscount | AmountDiscount | UsageDiscount, Field(discriminator="type")]


class AppliedDiscount(Value):
    """What a discount came to: an amount off, or for usage a quantity not charged."""

    id: Ulid
    reason: DiscountReason
    amount: Amount = ZERO
    quantity: Amount | None = None
    percentage: Amount | None = None
    correlation_id: Key | None = None
    description: Description | None = None
