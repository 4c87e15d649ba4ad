from __future__ import annotations

from decimal import Decimal

from billhook.domain.money import Rounding, total_of
from billhook.domain.tax import TaxBehavior, TaxConfig, TaxRate, TaxRounding, taxes_on


def config(*percentages: str, behavior: TaxBehavior = TaxBehavior.EXCLUSIVE) -> TaxConfig:
    rates = tuple(TaxRate(name=f"Tax {place}", percentage=Decimal(each)) for place, each in enumerate(percentages))
    return TaxConfig(behavior=behavior, rates=rates)


def tax_of(bases, tax_config, tax_rounding, currency="USD"):
    return amounts([(base, tax_config) for base in bases], tax_rounding, currency)


def amounts(lines, tax_rounding, currency="USD"):
    bases, configs = [Decimal(base) for base, _ in lines], [tax_config for _, tax_config in lines]
    return [[tax.amount for tax in row] for row in taxes_on(bases, configs, currency, Rounding.HALF_UP, tax_rounding)]


def total(bases, tax_config, tax_rounding):
    return total_of(amount for row in tax_of(bases, tax_config, tax_rounding) for amount in row)


XERO_EXAMPLE = ["25.06", "25.61", "25.63"]


def test_xeros_own_example_of_the_two_roundings():
    assert tax_of(XERO_EXAMPLE, config("15"), TaxRounding.PER_LINE) == [
        [Decimal("3.76")],
        [Decimal("3.84")],
        [Decimal("3.84")],
    ]
    assert total(XERO_EXAMPLE, config("15"), TaxRounding.PER_LINE) == Decimal("11.44")
    assert total(XERO_EXAMPLE, config("15"), TaxRounding.ON_TOTAL) == Decimal("11.45")


def test_thirty_one_small_lines_differ_by_two_cents():
    bases = ["1.59"] * 31
    assert total(bases, config("12"), TaxRounding.PER_LINE) == Decimal("5.89")
    assert total(bases, config("12"), TaxRounding.ON_TOTAL) == Decimal("5.91")


def test_the_cent_of_the_sum_goes_to_the_line_that_rounding_cost_most():
    shares = tax_of(XERO_EXAMPLE, config("15"), TaxRounding.ON_TOTAL)
    assert shares == [[Decimal("3.76")], [Decimal("3.84")], [Decimal("3.85")]]


def test_a_rate_is_rounded_once_whatever_else_its_lines_are_taxed_with():
    plain, more = config("20"), config("20", "5.2").model_copy(update={"code": "with-surcharge"})
    lines = [("12.37", plain), ("11.27", more)]
    assert amounts(lines, TaxRounding.ON_TOTAL) == [[Decimal("2.48")], [Decimal("2.25"), Decimal("0.59")]]
    assert amounts(lines, TaxRounding.PER_LINE) == [[Decimal("2.47")], [Decimal("2.25"), Decimal("0.59")]]


def test_prices_of_one_rate_are_split_once_whatever_their_code():
    plain = config("20", behavior=TaxBehavior.INCLUSIVE)
    lines = [("10.01", plain), ("10.01", plain.model_copy(update={"code": "other"}))]
    assert amounts(lines, TaxRounding.ON_TOTAL) == [[Decimal("1.67")], [Decimal("1.67")]]
    assert amounts([*lines, lines[0]], TaxRounding.ON_TOTAL) == [
        [Decimal("1.67")],
        [Decimal("1.67")],
        [Decimal("1.66")],
    ]


def test_tax_inside_a_price_leaves_net_and_tax_that_make_the_price():
    (row,) = taxes_on(
        [Decimal("19.99")],
        [config("19", behavior=TaxBehavior.INCLUSIVE)],
        "EUR",
        Rounding.HALF_UP,
        TaxRounding.PER_LINE,
    )
    assert (row[0].taxable_amount, row[0].amount) == (Decimal("16.80"), Decimal("3.19"))


def test_two_taxes_inside_a_price_share_what_is_not_net():
    (row,) = tax_of(["100.00"], config("5", "9.975", behavior=TaxBehavior.INCLUSIVE), TaxRounding.PER_LINE, "CAD")
    # 86.98 is net; 4.3487 and 8.6758 would round to a cent too much together.
    assert row == [Decimal("4.35"), Decimal("8.67")]


def test_two_taxes_on_top_are_rounded_each():
    (row,) = tax_of(["10.10"], config("5", "9.975"), TaxRounding.PER_LINE, "CAD")
    assert row == [Decimal("0.51"), Decimal("1.01")]


def test_lines_that_cancel_out_pay_no_tax_together():
    for tax_rounding in TaxRounding:
        assert total(["10.05", "-10.05"], config("10"), tax_rounding) == 0


def test_yen_have_no_cents_of_tax():
    assert tax_of(["105"], config("10"), TaxRounding.PER_LINE, "JPY") == [[Decimal(11)]]
