"""What a quantity costs at a price, as detailed lines. The rules are OpenMeter's.

Usage discounts come off the quantity first. Then the price makes charges, percentages and amounts come off each, the
agreed most cuts what is above it, and the agreed least adds what is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, Decimal
from typing import Any, NamedTuple

from billhook.domain.discount import (
    AmountDiscount,
    AppliedDiscount,
    Discount,
    DiscountReason,
    PercentageDiscount,
    UsageDiscount,
)
from billhook.domain.ids import child_ulid
from billhook.domain.invoice import FLAT_PRICE, UNIT_PRICE_USAGE, DetailedLine, LineCategory, Totals, usage_name
from billhook.domain.money import EXACT, HUNDRED, ONE, ZERO, Rounding, plain, round_to, total_of
from billhook.domain.price import (
    DynamicPrice,
    FlatPrice,
    PackagePrice,
    PaymentTerm,
    Price,
    Tier,
    TieredPrice,
    TierMode,
    UnitPrice,
)
from billhook.errors import InvalidInput


class Terms(NamedTuple):
    """For which line, in which currency and by which rounding a price is applied."""

    line_id: str
    name: str
    currency: str
    rounding: Rounding = Rounding.HALF_UP

    def rounded(self, value: Decimal) -> Decimal:
        return round_to(value, self.currency, self.rounding)


class Charge(NamedTuple):
    """One thing that a price charges for. The reference is unique within the line."""

    reference: str
    name: str
    quantity: Decimal
    per_unit_amount: Decimal
    payment_term: PaymentTerm = PaymentTerm.IN_ARREARS
    category: LineCategory = LineCategory.REGULAR


@dataclass(slots=True)
class RatedCharge:
    """A charge and what the discounts so far have left of it."""

    line_id: str
    charge: Charge
    amount: Decimal
    left: Decimal
    discounts: list[AppliedDiscount] = field(default_factory=list)

    @property
    def id(self) -> str:
        return child_ulid(self.line_id, self.charge.reference)

    @property
    def totals(self) -> Totals:
        off = EXACT.subtract(self.amount, self.left)
        if self.charge.category is LineCategory.COMMITMENT:
            return Totals(charges_total=self.amount, discounts_total=off)
        return Totals(amount=self.amount, discounts_total=off)

    def take_off(self, amount: Decimal, discount: AppliedDiscount) -> None:
        self.left = EXACT.subtract(self.left, amount)
        self.discounts.append(discount)


def rate(
    price: Price,
    quantity: Decimal,
    terms: Terms,
    discounts: Sequence[Discount] = (),
    *,
    pre_line_period_quantity: Decimal = ZERO,
) -> tuple[DetailedLine, ...]:
    """What that quantity comes to at that price, before taxes.

    Raises InvalidInput with `progressive_billing_not_supported` where a part of the period was billed before.
    """
    refuse_progressive_billing(pre_line_period_quantity)
    charges = rated_charges(price, charged_quantity(quantity, discounts), terms, discounts)
    return tuple(detailed_line(each) for each in charges)


def rated_charges(
    price: Price, quantity: Decimal, terms: Terms, discounts: Sequence[Discount] = ()
) -> list[RatedCharge]:
    """The charges for a quantity that usage discounts came off already, with all other discounts and commitments."""
    rated = [_rated(charge, terms) for charge in _PRICERS[type(price)](price, quantity, terms)]
    for index, discount in enumerate(discounts):
        _DISCOUNTERS[type(discount)](rated, discount, index, terms)
    return _within_commitments(rated, price, terms)


def refuse_progressive_billing(pre_line_period_quantity: Decimal) -> None:
    """Raises InvalidInput where a part of the line's period was billed before."""
    if pre_line_period_quantity:
        raise InvalidInput(
            "progressive_billing_not_supported",
            "A part of this period was billed before. Bill the period in one line.",
            "/pre_line_period_quantity",
        )


def charged_quantity(quantity: Decimal, discounts: Sequence[Discount]) -> Decimal:
    """The quantity that is left to charge after usage discounts."""
    if not discounts:
        return quantity
    return EXACT.subtract(quantity, total_of(free for _, free in free_quantities(quantity, discounts)))


def free_quantities(quantity: Decimal, discounts: Sequence[Discount]) -> list[tuple[int, Decimal]]:
    """How much each usage discount, by its place in the list, takes off the quantity."""
    left, free = quantity, []
    for index, discount in enumerate(discounts):
        if isinstance(discount, UsageDiscount) and left > ZERO:
            free.append((index, min(left, discount.quantity)))
            left = EXACT.subtract(left, discount.quantity)
    return free


# Prices: each makes charges of a quantity.


def _flat(price: FlatPrice, quantity: Decimal, terms: Terms) -> list[Charge]:
    return [Charge(FLAT_PRICE, terms.name, ONE, price.amount, price.payment_term)]


def _unit(price: UnitPrice, quantity: Decimal, terms: Terms) -> list[Charge]:
    return [Charge(UNIT_PRICE_USAGE, usage_name(terms.name), quantity, price.amount)] if quantity else []


def _tiered(price: TieredPrice, quantity: Decimal, terms: Terms) -> list[Charge]:
    _refuse_negative(quantity)
    by_mode = _volume if price.mode is TierMode.VOLUME else _graduated
    return by_mode(price, quantity, terms)


def _volume(price: TieredPrice, quantity: Decimal, terms: Terms) -> list[Charge]:
    number, tier = next(
        (number, tier)
        for number, tier in enumerate(price.tiers, 1)
        if tier.up_to_amount is None or quantity <= tier.up_to_amount
    )
    charges = []
    if tier.flat_price is not None:
        charges.append(Charge("volume-flat-price", f"{terms.name}: flat price for tier {number}", ONE, tier.flat_price))
    if tier.unit_price is not None and quantity:
        name = f"{terms.name}: unit price for tier {number}"
        charges.append(Charge("volume-tiered-price", name, quantity, tier.unit_price))
    return charges


def _graduated(price: TieredPrice, quantity: Decimal, terms: Terms) -> list[Charge]:
    charges, below = [], ZERO
    for number, tier in enumerate(price.tiers, 1):
        top = quantity if tier.up_to_amount is None else min(quantity, tier.up_to_amount)
        charges += _one_tier(tier, number, EXACT.subtract(top, below), terms)
        below = top
        if below >= quantity:
            break
    return charges


def _one_tier(tier: Tier, number: int, quantity: Decimal, terms: Terms) -> list[Charge]:
    charges = []
    if tier.unit_price is not None and quantity:
        name = f"{terms.name}: usage price for tier {number}"
        charges.append(Charge(f"graduated-tiered-{number}-price-usage", name, quantity, tier.unit_price))
    if tier.flat_price is not None:
        name = f"{terms.name}: flat price for tier {number}"
        charges.append(Charge(f"graduated-tiered-{number}-flat-price", name, ONE, tier.flat_price))
    return charges


def _dynamic(price: DynamicPrice, quantity: Decimal, terms: Terms) -> list[Charge]:
    _refuse_negative(quantity)
    amount = terms.rounded(EXACT.multiply(quantity, price.multiplier))
    return [Charge("usage", usage_name(terms.name), ONE, amount)] if quantity else []


def _package(price: PackagePrice, quantity: Decimal, terms: Terms) -> list[Charge]:
    _refuse_negative(quantity)
    packages = EXACT.divide(quantity, price.quantity_per_package).quantize(ONE, ROUND_CEILING, EXACT)
    return [Charge("usage", usage_name(terms.name), packages, price.amount)] if packages else []


def _refuse_negative(quantity: Decimal) -> None:
    if quantity < ZERO:
        raise InvalidInput("quantity_negative", "This kind of price needs a quantity of zero or more.", "/quantity")


_PRICERS: dict[type, Callable[[Any, Decimal, Terms], list[Charge]]] = {
    FlatPrice: _flat,
    UnitPrice: _unit,
    TieredPrice: _tiered,
    DynamicPrice: _dynamic,
    PackagePrice: _package,
}


# Discounts: each takes something off charges that are rated.


def _take_percentage(rated: list[RatedCharge], discount: PercentageDiscount, index: int, terms: Terms) -> None:
    for each in rated:
        amount = terms.rounded(EXACT.divide(EXACT.multiply(each.left, discount.percentage), HUNDRED))
        applied = _applied(each, discount, index, DiscountReason.PERCENTAGE, amount)
        each.take_off(amount, applied.model_copy(update={"percentage": discount.percentage}))


def _take_amount(rated: list[RatedCharge], discount: AmountDiscount, index: int, terms: Terms) -> None:
    left = terms.rounded(discount.amount)
    for each in rated:
        amount = min(left, abs(each.left))
        if amount > ZERO:
            # What came back was sold for less: it takes less off.
            off = amount if each.left > ZERO else -amount
            each.take_off(off, _applied(each, discount, index, DiscountReason.AMOUNT, off))
            left = EXACT.subtract(left, amount)


def _take_nothing(rated: list[RatedCharge], discount: UsageDiscount, index: int, terms: Terms) -> None:
    """A usage discount came off the quantity already."""


_DISCOUNTERS: dict[type, Callable[[list[RatedCharge], Any, int, Terms], None]] = {
    PercentageDiscount: _take_percentage,
    AmountDiscount: _take_amount,
    UsageDiscount: _take_nothing,
}


def _applied(
    each: RatedCharge,
    discount: PercentageDiscount | AmountDiscount,
    index: int,
    reason: DiscountReason,
    amount: Decimal,
) -> AppliedDiscount:
    return AppliedDiscount(
        id=child_ulid(each.id, f"discount/{index}"),
        reason=reason,
        amount=amount,
        correlation_id=discount.correlation_id,
        description=discount.description,
    )


# Commitments.


def _within_commitments(rated: list[RatedCharge], price: Price, terms: Terms) -> list[RatedCharge]:
    if isinstance(price, FlatPrice):
        return rated
    if price.maximum_amount is not None:
        _cut_above(rated, terms.rounded(price.maximum_amount), terms)
    if price.minimum_amount is not None:
        return rated + _missing_to(terms.rounded(price.minimum_amount), rated, terms)
    return rated


def _cut_above(rated: list[RatedCharge], maximum: Decimal, terms: Terms) -> None:
    room = maximum
    for each in rated:
        excess = EXACT.subtract(each.left, room)
        if excess > ZERO:
            each.take_off(excess, _maximum_spend(each, excess, maximum))
        room = EXACT.subtract(room, each.left)


def _maximum_spend(each: RatedCharge, excess: Decimal, maximum: Decimal) -> AppliedDiscount:
    return AppliedDiscount(
        id=child_ulid(each.id, "maximum-spend"),
        reason=DiscountReason.MAXIMUM_SPEND,
        amount=excess,
        description=f"Maximum spend discount for charges over {plain(maximum)}",
    )


def _missing_to(minimum: Decimal, rated: list[RatedCharge], terms: Terms) -> list[RatedCharge]:
    missing = EXACT.subtract(minimum, total_of(each.left for each in rated))
    if missing <= ZERO:
        return []
    name = f"{terms.name}: minimum spend"
    return [_rated(Charge("min-spend", name, ONE, missing, category=LineCategory.COMMITMENT), terms)]


def _rated(charge: Charge, terms: Terms) -> RatedCharge:
    amount = terms.rounded(EXACT.multiply(charge.quantity, charge.per_unit_amount))
    return RatedCharge(terms.line_id, charge, amount, amount)


def detailed_line(rated: RatedCharge) -> DetailedLine:
    """The charge as it stands on the invoice."""
    charge = rated.charge
    return DetailedLine(
        id=rated.id,
        name=charge.name,
        quantity=charge.quantity,
        per_unit_amount=charge.per_unit_amount,
        category=charge.category,
        payment_term=charge.payment_term,
        discounts=tuple(rated.discounts),
        totals=rated.totals,
    )
