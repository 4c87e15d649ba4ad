"""Exact amounts. Nothing here is a float, and nothing depends on the ambient decimal context."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from decimal import (
    ROUND_DOWN,
    ROUND_FLOOR,
    ROUND_HALF_DOWN,
    ROUND_HALF_EVEN,
    ROUND_HALF_UP,
    ROUND_UP,
    Context,
    Decimal,
    DivisionByZero,
    InvalidOperation,
    Overflow,
)
from enum import StrEnum
from typing import Annotated, Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from billhook.domain.base import Value, inside_model
from billhook.domain.currency import CurrencyCode, exponent
from billhook.errors import InvalidInput

ZERO = Decimal(0)
ONE = Decimal(1)
HUNDRED = Decimal(100)

INTEGER_DIGITS = 16
DECIMAL_DIGITS = 12
_PLAIN_PATTERN = r"-?[0-9]{1,16}(\.[0-9]{1,12})?"
_plain_number = re.compile(_PLAIN_PATTERN, re.ASCII).fullmatch

# Two amounts of 28 digits and a percentage multiply exactly in 80.
EXACT = Context(prec=80, rounding=ROUND_HALF_EVEN, traps=[InvalidOperation, DivisionByZero, Overflow])


class Rounding(StrEnum):
    HALF_UP = "half_up"
    HALF_EVEN = "half_even"
    HALF_DOWN = "half_down"
    DOWN = "down"
    UP = "up"


_DECIMAL_ROUNDING = {
    Rounding.HALF_UP: ROUND_HALF_UP,
    Rounding.HALF_EVEN: ROUND_HALF_EVEN,
    Rounding.HALF_DOWN: ROUND_HALF_DOWN,
    Rounding.DOWN: ROUND_DOWN,
    Rounding.UP: ROUND_UP,
}
_UNITS = {digits: ONE.scaleb(-digits) for digits in range(5)}


class InexactAmount(InvalidInput):
    """An amount has more decimals than its currency."""

    def __init__(self, value: Decimal, currency: str) -> None:
        super().__init__(
            "amount_inexact",
            f"{plain(value)} {currency} is finer than the smallest unit of {currency}. Round it first.",
        )


def amount(value: object) -> Decimal:
    """That number as an exact decimal of at most 16 digits before and 12 after the point.

    Takes a decimal string, a Decimal or an int.
    """
    if type(value) is str:
        return _from_text(value)
    if isinstance(value, Decimal):
        return _bounded(value)
    if isinstance(value, float):
        raise InvalidInput("amount_is_float", 'An amount came as a binary fraction. Send it as a string: "12.34".')
    if isinstance(value, int) and not isinstance(value, bool):
        return _bounded(Decimal(value))
    raise InvalidInput("amount_invalid", f'An amount is a decimal string such as "12.34", not {type(value).__name__}.')


def plain(value: Decimal) -> str:
    """The number in digits, never with an exponent."""
    return format(value, "f")


def _from_text(text: str) -> Decimal:
    if _plain_number(text):
        # Minus zero is zero.
        return Decimal(text) or ZERO
    if text.strip().lower().lstrip("+-") in {"nan", "snan", "inf", "infinity"}:
        raise InvalidInput("amount_not_finite", f"{text.strip()} is no amount.")
    if re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", text, re.ASCII):
        raise _out_of_bounds(text)
    raise InvalidInput("amount_invalid", f'{text[:40]!r} is no decimal number. Write digits and a point: "12.34".')


def _bounded(value: Decimal) -> Decimal:
    if not value.is_finite():
        raise InvalidInput("amount_not_finite", f"{value} is no amount.")
    # The size is looked at first: writing out 1E+999999 would be the attack itself.
    if value.adjusted() >= INTEGER_DIGITS or int(value.as_tuple().exponent) < -DECIMAL_DIGITS:
        raise _out_of_bounds(str(value))
    return Decimal(plain(value)) or ZERO


def _out_of_bounds(text: str) -> InvalidInput:
    return InvalidInput(
        "amount_out_of_bounds",
        f"{text[:40]} has more than {INTEGER_DIGITS} digits before or {DECIMAL_DIGITS} after the point.",
    )


_checked_amount = inside_model(amount)


def _field_amount(value: object) -> Decimal:
    # An invoice has hundreds of amounts: the usual one takes the short way.
    if type(value) is str and _plain_number(value):
        return Decimal(value) or ZERO
    if type(value) is Decimal and _plain_number(str(value)):
        return value or ZERO
    return _checked_amount(value)


class _AmountSchema:
    """Teaches pydantic that an amount is a decimal string on the wire."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            _field_amount,
            serialization=core_schema.plain_serializer_function_ser_schema(
                plain, return_schema=core_schema.str_schema(), when_used="json"
            ),
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "string", "pattern": f"^{_PLAIN_PATTERN}$", "examples": ["12.34"]}


Amount = Annotated[Decimal, _AmountSchema]


class Money(Value):
    """An amount and its currency."""

    amount: Amount
    currency: CurrencyCode

    def __str__(self) -> str:
        return f"{plain(self.amount)} {self.currency}"


def total_of(amounts: Iterable[Decimal]) -> Decimal:
    """The exact sum; zero of nothing."""
    total = ZERO
    for each in amounts:
        total = EXACT.add(total, each)
    return total


def round_to(value: Decimal, currency: str, rounding: Rounding = Rounding.HALF_UP) -> Decimal:
    """The amount in whole smallest units of the currency."""
    unit = _UNITS[exponent(currency)]
    rounded = value.quantize(unit, _DECIMAL_ROUNDING[rounding], EXACT)
    if rounded.adjusted() >= INTEGER_DIGITS and rounded:
        raise _out_of_bounds(plain(rounded))
    return rounded or ZERO


def is_exact(value: Decimal, currency: str) -> bool:
    """Whether the amount is a whole number of the currency's smallest units."""
    return value.quantize(_UNITS[exponent(currency)], ROUND_DOWN, EXACT) == value


def to_minor(value: Decimal, currency: str) -> int:
    """The amount in smallest units: 1234 for 12.34 EUR. Raises InexactAmount where that would round."""
    if not is_exact(value, currency):
        raise InexactAmount(value, currency)
    return int(EXACT.scaleb(value, exponent(currency)))


def from_minor(units: int, currency: str) -> Decimal:
    """The amount that many smallest units make."""
    return amount(EXACT.scaleb(Decimal(units), -exponent(currency)))


def allocate(total: Decimal, weights: Sequence[Decimal], currency: str) -> tuple[Decimal, ...]:
    """The total split by weight into whole smallest units that add up to it exactly.

    The units that rounding leaves over go to the shares that lost most, the earlier first. Equal shares where the
    weights add up to zero. Raises InexactAmount when the total itself is finer than the currency.
    """
    if not is_exact(total, currency):
        raise InexactAmount(total, currency)
    if not weights:
        raise InvalidInput("weights_missing", "There is nothing to allocate to. Give at least one weight.")
    if any(weight < 0 for weight in weights):
        raise InvalidInput("weight_negative", "A weight is negative. Weights are zero or more.")
    whole = total_of(weights)
    shares = weights if whole else [ONE] * len(weights)
    whole = whole or Decimal(len(weights))
    return settle([EXACT.divide(EXACT.multiply(total, share), whole) for share in shares], total, currency)


def settle(ideals: Sequence[Decimal], total: Decimal, currency: str) -> tuple[Decimal, ...]:
    """The ideal amounts in whole smallest units, moved as little as needed to add up to the total.

    The total must be a rounding of the ideals' own sum.
    """
    if len(ideals) == 1:
        return (total,)
    unit = _UNITS[exponent(currency)]
    floors = [ideal.quantize(unit, ROUND_FLOOR, EXACT) for ideal in ideals]
    left_over = int(EXACT.divide(EXACT.subtract(total, total_of(floors)), unit))
    by_loss = sorted(range(len(ideals)), key=lambda index: EXACT.subtract(floors[index], ideals[index]))
    raised = set(by_loss[:left_over])
    shares = (EXACT.add(floor, unit) if index in raised else floor for index, floor in enumerate(floors))
    return tuple(share or ZERO for share in shares)
