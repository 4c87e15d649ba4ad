from __future__ import annotations

from decimal import Decimal

import pytest
from pydantic import ValidationError

from billhook.domain.discount import AmountDiscount, DiscountReason, PercentageDiscount, UsageDiscount
from billhook.domain.invoice import LineCategory
from billhook.domain.price import DynamicPrice, FlatPrice, PackagePrice, Tier, TieredPrice, UnitPrice
from billhook.domain.rating import Terms, rate
from billhook.errors import InvalidInput
from billhook.testing.builders import an_id

API_CALLS = Terms(an_id(), "API calls", "USD")


def tiers(mode: str) -> TieredPrice:
    return TieredPrice(
        mode=mode,
        tiers=(
            Tier(up_to_amount=Decimal(10), flat_price=Decimal(100), unit_price=Decimal("0.5")),
            Tier(up_to_amount=Decimal(20), unit_price=Decimal("0.25")),
            Tier(flat_price=Decimal(5), unit_price=Decimal("0.10")),
        ),
    )


def charged(price, quantity, *discounts):
    """Name, quantity, price and total of each detail."""
    return [
        (line.name.removeprefix("API calls"), line.quantity, line.per_unit_amount, line.totals.total)
        for line in rate(price, Decimal(quantity), API_CALLS, discounts)
    ]


def test_a_flat_price_counts_once_whatever_was_used():
    assert charged(FlatPrice(amount=Decimal(49)), 1) == [("", 1, 49, 49)]


def test_a_unit_price_charges_the_usage():
    assert charged(UnitPrice(amount=Decimal("0.333")), "7.5") == [
        (": usage in period", Decimal("7.5"), Decimal("0.333"), Decimal("2.50"))
    ]


@pytest.mark.parametrize("price", [UnitPrice(amount=Decimal(1)), DynamicPrice(), PackagePrice(amount=Decimal(1))])
def test_no_usage_is_no_charge(price):
    assert charged(price, 0) == []


def test_volume_tiers_price_the_whole_quantity_by_the_tier_it_reaches():
    assert charged(tiers("volume"), 10) == [
        (": flat price for tier 1", 1, 100, 100),
        (": unit price for tier 1", 10, Decimal("0.5"), 5),
    ]
    assert charged(tiers("volume"), 11) == [(": unit price for tier 2", 11, Decimal("0.25"), Decimal("2.75"))]


def test_volume_tiers_charge_the_first_flat_price_even_for_nothing():
    assert charged(tiers("volume"), 0) == [(": flat price for tier 1", 1, 100, 100)]


def test_graduated_tiers_price_each_part_by_its_own_tier():
    assert charged(tiers("graduated"), 25) == [
        (": usage price for tier 1", 10, Decimal("0.5"), 5),
        (": flat price for tier 1", 1, 100, 100),
        (": usage price for tier 2", 10, Decimal("0.25"), Decimal("2.50")),
        (": usage price for tier 3", 5, Decimal("0.10"), Decimal("0.50")),
        (": flat price for tier 3", 1, 5, 5),
    ]


def test_a_tier_that_is_just_full_does_not_open_the_next():
    assert len(charged(tiers("graduated"), 10)) == 2
    assert len(charged(tiers("graduated"), 20)) == 3


def test_graduated_tiers_charge_the_first_flat_price_even_for_nothing():
    assert charged(tiers("graduated"), 0) == [(": flat price for tier 1", 1, 100, 100)]


def test_a_dynamic_price_charges_the_metered_amount_times_the_multiplier():
    assert charged(DynamicPrice(multiplier=Decimal("1.2")), "10.129") == [
        (": usage in period", 1, Decimal("12.15"), Decimal("12.15"))
    ]


@pytest.mark.parametrize("quantity, packages", [("0.001", 1), ("1000", 1), ("1000.1", 2), ("2000", 2)])
def test_a_package_that_is_begun_is_charged(quantity, packages):
    price = PackagePrice(amount=Decimal(15), quantity_per_package=Decimal(1000))
    assert charged(price, quantity) == [(": usage in period", packages, 15, 15 * packages)]


def test_the_agreed_least_adds_what_is_missing_as_a_commitment():
    usage, minimum = rate(UnitPrice(amount=Decimal(10), minimum_amount=Decimal(100)), Decimal(3), API_CALLS)
    assert usage.totals.amount == 30
    assert minimum.name == "API calls: minimum spend"
    assert minimum.category is LineCategory.COMMITMENT
    assert (minimum.totals.amount, minimum.totals.charges_total, minimum.totals.total) == (0, 70, 70)


def test_the_agreed_least_stands_alone_where_nothing_was_used():
    price = UnitPrice(amount=Decimal(10), minimum_amount=Decimal(100))
    assert charged(price, 0) == [(": minimum spend", 1, 100, 100)]


def test_the_agreed_most_cuts_what_is_above_it():
    price = tiers("graduated").model_copy(update={"maximum_amount": Decimal(103)})
    details = rate(price, Decimal(25), API_CALLS)
    assert [line.totals.total for line in details] == [5, 98, 0, 0, 0]
    assert [line.totals.discounts_total for line in details] == [0, 2, Decimal("2.50"), Decimal("0.50"), 5]
    cut = details[1].discounts[0]
    assert cut.reason is DiscountReason.MAXIMUM_SPEND
    assert cut.description == "Maximum spend discount for charges over 103.00"


def test_the_agreed_least_counts_after_discounts():
    price = UnitPrice(amount=Decimal(10), minimum_amount=Decimal(100))
    assert charged(price, 10, PercentageDiscount(percentage=Decimal(50))) == [
        (": usage in period", 10, 10, 50),
        (": minimum spend", 1, 50, 50),
    ]


def test_discounts_come_off_one_after_the_other():
    (line,) = rate(
        UnitPrice(amount=Decimal(1)),
        Decimal(120),
        API_CALLS,
        (
            UsageDiscount(quantity=Decimal(20)),
            PercentageDiscount(percentage=Decimal(10)),
            AmountDiscount(amount=Decimal(15)),
            PercentageDiscount(percentage=Decimal(50)),
        ),
    )
    assert line.quantity == 100
    assert [discount.amount for discount in line.discounts] == [10, 15, Decimal("37.50")]
    assert line.totals.total == Decimal("37.50")
    assert len({line.id, *(discount.id for discount in line.discounts)}) == 4


def test_an_amount_off_spreads_over_the_details_and_never_below_zero():
    details = rate(tiers("graduated"), Decimal(15), API_CALLS, (AmountDiscount(amount=Decimal(1000)),))
    assert [line.totals.total for line in details] == [0, 0, 0]


@pytest.mark.parametrize(
    "discount, left",
    [
        (AmountDiscount(amount=Decimal(2)), -8),
        (AmountDiscount(amount=Decimal(20)), 0),
        (PercentageDiscount(percentage=Decimal(20)), -8),
    ],
)
def test_what_is_taken_back_was_discounted_too(discount, left):
    (line,) = rate(UnitPrice(amount=Decimal(10)), Decimal(-1), API_CALLS, (discount,))
    assert (line.totals.amount, line.totals.total) == (-10, left)
    assert [each.amount for each in line.discounts] == [-10 - left]


def test_a_unit_price_may_take_something_back():
    assert charged(UnitPrice(amount=Decimal("-4.50")), 2) == [(": usage in period", 2, Decimal("-4.50"), -9)]


@pytest.mark.parametrize(
    "price", [tiers("volume"), tiers("graduated"), DynamicPrice(), PackagePrice(amount=Decimal(1))]
)
def test_usage_below_zero_has_no_price(price):
    with pytest.raises(InvalidInput) as refused:
        rate(price, Decimal(-1), API_CALLS)
    assert refused.value.code == "quantity_negative"


def test_a_period_that_was_billed_in_part_is_refused():
    with pytest.raises(InvalidInput) as refused:
        rate(UnitPrice(amount=Decimal(1)), Decimal(1), API_CALLS, pre_line_period_quantity=Decimal(1))
    assert refused.value.code == "progressive_billing_not_supported"


def test_the_same_line_gets_the_same_ids_every_time():
    first, second = (rate(tiers("graduated"), Decimal(25), API_CALLS) for _ in range(2))
    assert [line.id for line in first] == [line.id for line in second]
    assert len({line.id for line in first}) == 5


@pytest.mark.parametrize(
    "limits, code",
    [
        ([Decimal(10)], "tiers_not_open_ended"),
        ([None, None], "tiers_not_open_ended"),
        ([Decimal(10), Decimal(10), None], "tiers_not_rising"),
        ([Decimal(10), Decimal(5), None], "tiers_not_rising"),
    ],
)
def test_tiers_that_leave_a_quantity_without_one_price_are_refused(limits, code):
    with pytest.raises(ValidationError) as refused:
        TieredPrice(mode="volume", tiers=[Tier(up_to_amount=limit, unit_price=Decimal(1)) for limit in limits])
    assert refused.value.errors()[0]["type"] == code


def test_a_least_above_the_most_is_refused():
    with pytest.raises(ValidationError) as refused:
        UnitPrice(amount=Decimal(1), minimum_amount=Decimal(2), maximum_amount=Decimal(1))
    assert refused.value.errors()[0]["type"] == "commitment_contradictory"
