"""Tax: what applies to a line, what it comes to, and where it is rounded."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from billhook.domain.base import Code, Name, Value
from billhook.domain.money import EXACT, HUNDRED, Amount, Rounding, round_to, settle, total_of


class TaxBehavior(StrEnum):
    """Whether prices contain the tax already."""

    INCLUSIVE = "inclusive"
    EXCLUSIVE = "exclusive"


class TaxRounding(StrEnum):
    """Rounded on each line and added up, or computed once on the sum and shared out."""

    PER_LINE = "per_line"
    ON_TOTAL = "on_total"


Percentage = Annotated[Amount, Field(ge=0, le=1000)]


class TaxRate(Value):
    """One tax and its percentage: 19 means 19 %."""

    name: Name
    percentage: Percentage


class TaxConfig(Value):
    """How a line is taxed: the provider's code for it, the rates, or both."""

    behavior: TaxBehavior = TaxBehavior.EXCLUSIVE
    code: Code | None = None
    rates: Annotated[tuple[TaxRate, ...], Field(max_length=16)] = ()


class TaxAmount(Value):
    """One tax on one line: the amount it is computed on, and what it comes to."""

    name: Name
    percentage: Percentage
    behavior: TaxBehavior
    taxable_amount: Amount
    amount: Amount


def taxes_on(
    bases: Sequence[Decimal], config: TaxConfig, currency: str, rounding: Rounding, tax_rounding: TaxRounding
) -> tuple[tuple[TaxAmount, ...], ...]:
    """The taxes of each line that shares one tax configuration.

    The bases are the lines' amounts after discounts. With rounding on the total, what the lines get adds up to the
    tax of their sum.
    """
    groups = [tuple(bases)] if tax_rounding is TaxRounding.ON_TOTAL else [(base,) for base in bases]
    amounts = _inclusive_amounts if config.behavior is TaxBehavior.INCLUSIVE else _exclusive_amounts
    return tuple(
        _named(base, row, config)
        for group in groups
        for base, row in zip(group, amounts(group, config, currency, rounding), strict=True)
    )


Rows = list[tuple[Decimal, ...]]


def _exclusive_amounts(bases: tuple[Decimal, ...], config: TaxConfig, currency: str, rounding: Rounding) -> Rows:
    """Each rate is rounded by itself, as it would be shown."""
    columns = []
    for rate in config.rates:
        ideals = [EXACT.divide(EXACT.multiply(base, rate.percentage), HUNDRED) for base in bases]
        columns.append(settle(ideals, round_to(total_of(ideals), currency, rounding), currency))
    return list(zip(*columns, strict=True))


def _inclusive_amounts(bases: tuple[Decimal, ...], config: TaxConfig, currency: str, rounding: Rounding) -> Rows:
    """The net is rounded and the tax is the rest, so that net and tax always make the gross that was agreed."""
    gross = total_of(bases)
    parts = EXACT.add(HUNDRED, total_of(rate.percentage for rate in config.rates))
    net = round_to(EXACT.divide(EXACT.multiply(gross, HUNDRED), parts), currency, rounding)
    ideals = [EXACT.divide(EXACT.multiply(base, rate.percentage), parts) for base in bases for rate in config.rates]
    shares = settle(ideals, EXACT.subtract(gross, net), currency)
    width = len(config.rates)
    return [shares[start : start + width] for start in range(0, len(shares), width)]


def _named(base: Decimal, amounts: tuple[Decimal, ...], config: TaxConfig) -> tuple[TaxAmount, ...]:
    inclusive = config.behavior is TaxBehavior.INCLUSIVE
    taxable = EXACT.subtract(base, total_of(amounts)) if inclusive else base
    return tuple(
        TaxAmount(
            name=rate.name,
            percentage=rate.percentage,
            behavior=config.behavior,
            taxable_amount=taxable,
            amount=amount,
        )
        for rate, amount in zip(config.rates, amounts, strict=True)
    )
