"""The rate between the invoice's currency and the one its books are kept in."""

from __future__ import annotations

from typing import Self

from pydantic import model_validator
from pydantic_core import PydanticCustomError

from billhook.domain.base import Value
from billhook.domain.currency import CurrencyCode
from billhook.domain.money import ONE, ZERO, Amount


class ExchangeRate(Value):
    """How much of `to_currency` one unit of `from_currency` buys."""

    from_currency: CurrencyCode
    to_currency: CurrencyCode
    rate: Amount

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if self.from_currency == self.to_currency:
            raise PydanticCustomError("exchange_rate_same_currency", "An exchange rate names two different currencies.")
        if self.rate <= ZERO:
            raise PydanticCustomError("exchange_rate_not_positive", "An exchange rate is more than zero.")
        if self.rate == ONE:
            # A rate of one between two currencies is a forgotten rate far more often than a real one.
            raise PydanticCustomError(
                "exchange_rate_of_one", "A rate of exactly 1 between two currencies is refused. State the real rate."
            )
        return self
