from __future__ import annotations

from decimal import ROUND_DOWN, ROUND_FLOOR, Decimal

from hypothesis import given, strategies as st

from billhook.domain.currency import exponent
from billhook.domain.money import Rounding, allocate, amount, from_minor, plain, round_to, to_minor, total_of

CURRENCIES = st.sampled_from(["JPY", "EUR", "USD", "KWD", "CLF"])
MINOR_UNITS = st.integers(-(10**12), 10**12)
NUMBERS = st.decimals(min_value=-(10**15), max_value=10**15, places=12, allow_nan=False, allow_infinity=False)
WEIGHTS = st.lists(st.decimals(0, 10**9, places=6), min_size=1, max_size=40)


@given(MINOR_UNITS, WEIGHTS, CURRENCIES)
def test_allocation_never_loses_or_makes_a_minor_unit(units, weights, currency):
    total = from_minor(units, currency)
    shares = allocate(total, weights, currency)
    assert len(shares) == len(weights)
    assert sum(to_minor(share, currency) for share in shares) == units


@given(MINOR_UNITS, WEIGHTS, CURRENCIES)
def test_no_share_is_a_minor_unit_or_more_away_from_its_due(units, weights, currency):
    whole = total_of(weights)
    if not whole:
        return
    for share, weight in zip(allocate(from_minor(units, currency), weights, currency), weights, strict=True):
        assert abs(to_minor(share, currency) * whole - units * weight) < whole


@given(MINOR_UNITS, st.integers(1, 40), CURRENCIES)
def test_equal_weights_get_shares_that_differ_by_one_unit_at_most(units, count, currency):
    shares = [
        to_minor(share, currency) for share in allocate(from_minor(units, currency), [Decimal(1)] * count, currency)
    ]
    assert max(shares) - min(shares) <= 1


@given(NUMBERS, CURRENCIES, st.sampled_from(Rounding))
def test_rounding_is_exact_stays_near_and_is_done_once(number, currency, rounding):
    rounded = round_to(number, currency, rounding)
    assert abs(rounded - number) < Decimal(1).scaleb(-exponent(currency))
    assert round_to(rounded, currency, rounding) == rounded
    assert from_minor(to_minor(rounded, currency), currency) == rounded


@given(NUMBERS, CURRENCIES)
def test_rounding_down_goes_towards_zero(number, currency):
    assert abs(round_to(number, currency, Rounding.DOWN)) <= abs(number) <= abs(round_to(number, currency, Rounding.UP))


@given(NUMBERS)
def test_the_written_form_of_an_amount_is_read_as_the_same_amount(number):
    assert amount(plain(number)) == number == amount(number)


def test_the_integers_of_the_allocation_agree_with_another_way_to_compute_them():
    # The classic method of the largest remainder, in integers alone.
    units, weights = 10_007, [3, 1, 4, 1, 5, 9, 2, 6]
    floors = [units * weight // sum(weights) for weight in weights]
    remainders = sorted(range(8), key=lambda i: (-(units * weights[i] % sum(weights)), i))
    for index in remainders[: units - sum(floors)]:
        floors[index] += 1
    shares = allocate(Decimal(units), [Decimal(weight) for weight in weights], "JPY")
    assert [int(share) for share in shares] == floors


def test_rounding_modes_are_the_ones_of_the_decimal_module():
    value = Decimal("-2.345")
    assert round_to(value, "EUR", Rounding.DOWN) == value.quantize(Decimal("0.01"), ROUND_DOWN)
    assert round_to(value, "EUR", Rounding.UP) == value.quantize(Decimal("0.01"), ROUND_FLOOR)
