from __future__ import annotations

import decimal
from decimal import Decimal

import pytest
from pydantic import BaseModel, ValidationError

from billhook.domain.currency import exponent
from billhook.domain.money import (
    Amount,
    InexactAmount,
    Money,
    Rounding,
    allocate,
    amount,
    from_minor,
    plain,
    round_to,
    to_minor,
)
from billhook.errors import InvalidInput


class Priced(BaseModel):
    amount: Amount


@pytest.mark.parametrize(
    "value, code",
    [
        (1.5, "amount_is_float"),
        (float("nan"), "amount_is_float"),
        ("NaN", "amount_not_finite"),
        ("-Infinity", "amount_not_finite"),
        (Decimal("NaN"), "amount_not_finite"),
        (Decimal("Infinity"), "amount_not_finite"),
        ("1e3", "amount_invalid"),
        ("1,5", "amount_invalid"),
        (" 1", "amount_invalid"),
        ("", "amount_invalid"),
        ("١٢", "amount_invalid"),
        (True, "amount_invalid"),
        (None, "amount_invalid"),
        ("1" * 17, "amount_out_of_bounds"),
        ("0." + "1" * 13, "amount_out_of_bounds"),
        (Decimal("1E+999999"), "amount_out_of_bounds"),
        (Decimal("1E-999999"), "amount_out_of_bounds"),
        (10**16, "amount_out_of_bounds"),
    ],
)
def test_what_is_no_exact_amount_is_refused_with_a_code(value, code):
    with pytest.raises(InvalidInput) as refused:
        amount(value)
    assert refused.value.code == code

    with pytest.raises(ValidationError) as in_model:
        Priced(amount=value)
    assert in_model.value.errors()[0]["type"] == code


def test_a_json_number_with_a_fraction_is_refused_because_it_was_a_float_on_the_way():
    with pytest.raises(ValidationError) as refused:
        Priced.model_validate_json('{"amount": 0.1}')
    assert refused.value.errors()[0]["type"] == "amount_is_float"


@pytest.mark.parametrize("text", ["12345678901234.5678", "9999999999999999.999999999999", "0.000000000001", "-7.50"])
def test_an_amount_arrives_digit_for_digit(text):
    assert Priced.model_validate_json(f'{{"amount": "{text}"}}').model_dump_json() == f'{{"amount":"{text}"}}'


def test_amounts_are_written_without_exponent():
    assert Priced(amount=Decimal("1E+3")).model_dump_json() == '{"amount":"1000"}'
    assert Priced(amount=Decimal("1E-9")).model_dump_json() == '{"amount":"0.000000001"}'


def test_minus_zero_is_zero():
    assert plain(amount("-0.00")) == "0"
    assert Priced.model_validate_json('{"amount": "-0.00"}').model_dump_json() == '{"amount":"0"}'
    assert plain(round_to(Decimal("-0.001"), "EUR")) == "0"


def test_the_ambient_decimal_context_changes_nothing():
    with decimal.localcontext() as coarse:
        coarse.prec = 3
        coarse.rounding = decimal.ROUND_UP
        assert round_to(Decimal("1234567.891"), "EUR") == Decimal("1234567.89")
        assert allocate(Decimal("12345.67"), [Decimal(1), Decimal(2)], "EUR") == (
            Decimal("4115.22"),
            Decimal("8230.45"),
        )
        assert to_minor(Decimal("12345.67"), "EUR") == 1234567
        assert amount(Decimal("-12345.67")) == Decimal("-12345.67")


@pytest.mark.parametrize("currency, decimals", [("JPY", 0), ("EUR", 2), ("KWD", 3), ("CLF", 4)])
def test_decimals_follow_the_currency(currency, decimals):
    assert exponent(currency) == decimals
    assert to_minor(Decimal(5), currency) == 5 * 10**decimals
    assert from_minor(5 * 10**decimals, currency) == Decimal(5)


@pytest.mark.parametrize("code", ["XXX", "XAU", "eur", "BTC", ""])
def test_what_cannot_be_paid_in_is_no_currency(code):
    with pytest.raises(InvalidInput) as refused:
        exponent(code)
    assert refused.value.code == "currency_unknown"
    with pytest.raises(ValidationError):
        Money(amount=Decimal(1), currency=code)


def test_half_a_yen_has_no_minor_units():
    with pytest.raises(InexactAmount) as refused:
        to_minor(Decimal("0.5"), "JPY")
    assert refused.value.code == "amount_inexact"


@pytest.mark.parametrize(
    "rounding, up, down",
    [
        (Rounding.HALF_UP, "0.13", "-0.13"),
        (Rounding.HALF_EVEN, "0.12", "-0.12"),
        (Rounding.HALF_DOWN, "0.12", "-0.12"),
        (Rounding.DOWN, "0.12", "-0.12"),
        (Rounding.UP, "0.13", "-0.13"),
    ],
)
def test_each_rounding_treats_the_half_cent_its_own_way(rounding, up, down):
    assert round_to(Decimal("0.125"), "EUR", rounding) == Decimal(up)
    assert round_to(Decimal("-0.125"), "EUR", rounding) == Decimal(down)


def test_the_cent_left_over_goes_to_the_share_that_lost_most():
    thirds = allocate(Decimal("100.00"), [Decimal(1)] * 3, "EUR")
    assert thirds == (Decimal("33.34"), Decimal("33.33"), Decimal("33.33"))
    assert allocate(Decimal(10), [Decimal("0.1"), Decimal("0.6"), Decimal("0.3")], "JPY") == (1, 6, 3)
    assert allocate(Decimal("-0.05"), [Decimal(1), Decimal(1)], "EUR") == (Decimal("-0.02"), Decimal("-0.03"))


def test_weights_of_zero_share_alike():
    assert allocate(Decimal("0.03"), [Decimal(0), Decimal(0)], "EUR") == (Decimal("0.02"), Decimal("0.01"))


@pytest.mark.parametrize("weights, code", [([], "weights_missing"), ([Decimal(1), Decimal(-1)], "weight_negative")])
def test_allocation_refuses_weights_that_mean_nothing(weights, code):
    with pytest.raises(InvalidInput) as refused:
        allocate(Decimal(1), weights, "EUR")
    assert refused.value.code == code


def test_allocation_refuses_a_total_that_is_not_whole():
    with pytest.raises(InexactAmount):
        allocate(Decimal("0.001"), [Decimal(1)], "EUR")
