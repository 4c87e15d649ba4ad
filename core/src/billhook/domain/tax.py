"""Tax: what applies to a line, what it comes to, and where it is rounded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
    """Rounded on each line and added up, or once for each rate on the sum of its lines and shared out."""

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
    bases: Sequence[Decimal],
    configs: Sequence[TaxConfig],
    currency: str,
    rounding: Rounding,
    tax_rounding: TaxRounding,
) -> tuple[tuple[TaxAmount, ...], ...]:
    """The taxes of each line, of which ``bases`` has the amount after discounts.

    With rounding on the total, what the lines get of one rate adds up to that rate on their sum, whatever else they are taxed with.
    """
    lines = list(zip(bases, configs, strict=True))
    groups = [lines] if tax_rounding is TaxRounding.ON_TOTAL else [[line] for line in lines]
    return tuple(taxes for group in groups for taxes in _rounded_once(group, currency, rounding))


Taxed = tuple[Decimal, TaxConfig]
Slot = tuple[int, int]
"""A line of a group, and which of its rates."""


def _rounded_once(lines: Sequence[Taxed], currency: str, rounding: Rounding) -> Iterator[tuple[TaxAmount, ...]]:
    amounts: dict[Slot, Decimal] = {}
    for rate, slots in _exclusive_slots(lines).items():
        amounts.update(_exclusive_amounts(lines, rate, slots, currency, rounding))
    for rates, indexes in _inclusive_lines(lines).items():
        amounts.update(_inclusive_amounts(lines, rates, indexes, currency, rounding))
    for index, (base, config) in enumerate(lines):
        yield _named(base, [amounts[index, place] for place in range(len(config.rates))], config)


def _exclusive_slots(lines: Sequence[Taxed]) -> dict[TaxRate, list[Slot]]:
    """Each rate is rounded by itself, as it would be shown."""
    found: dict[TaxRate, list[Slot]] = {}
    for index, (_, config) in enumerate(lines):
        if config.behavior is TaxBehavior.EXCLUSIVE:
            for place, rate in enumerate(config.rates):
                found.setdefault(rate, []).append((index, place))
    return found


def _exclusive_amounts(
    lines: Sequence[Taxed], rate: TaxRate, slots: Sequence[Slot], currency: str, rounding: Rounding
) -> Iterator[tuple[Slot, Decimal]]:
    ideals = [EXACT.divide(EXACT.multiply(lines[index][0], rate.percentage), HUNDRED) for index, _ in slots]
    return zip(slots, settle(ideals, round_to(total_of(ideals), currency, rounding), currency), strict=True)


def _inclusive_lines(lines: Sequence[Taxed]) -> dict[tuple[TaxRate, ...], list[int]]:
    """All rates in a price are rounded together."""
    found: dict[tuple[TaxRate, ...], list[int]] = {}
    for index, (_, config) in enumerate(lines):
        if config.behavior is TaxBehavior.INCLUSIVE:
            found.setdefault(config.rates, []).append(index)
    return found


def _inclusive_amounts(
    lines: Sequence[Taxed], rates: Sequence[TaxRate], indexes: Sequence[int], currency: str, rounding: Rounding
) -> Iterator[tuple[Slot, Decimal]]:
    """The net is rounded and the tax is the rest, so that net and tax always make the gross that was agreed."""
    gross = total_of(lines[index][0] for index in indexes)
    parts = EXACT.add(HUNDRED, total_of(rate.percentage for rate in rates))
    net = round_to(EXACT.divide(EXACT.multiply(gross, HUNDRED), parts), currency, rounding)
    slots = [(index, place) for index in indexes for place in range(len(rates))]
    ideals = [EXACT.divide(EXACT.multiply(lines[index][0], rates[place].percentage), parts) for index, place in slots]
    return zip(slots, settle(ideals, EXACT.subtract(gross, net), currency), strict=True)


def _named(base: Decimal, amounts: Sequence[Decimal], config: TaxConfig) -> tuple[TaxAmount, ...]:
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
