from __future__ import annotations

from decimal import Decimal

from billhook.domain.money import Rounding, total_of
from billhook.domain.tax import TaxBehavior, TaxConfig, TaxRate, TaxRounding, taxes_on


def config(*percentages: str, behavior: TaxBehavior = TaxBehavior.EXCLUSIVE) -> TaxConfig:
    rates = tuple(TaxRate(name=f"Tax {place}", percentage=Decimal(each)) for place, each in enumerate(percentages))
    return TaxConfig(behavior=behavior, rates=rates)


def tax_of(bases, tax_config, tax_rounding, currency="USD"):
    rows = taxes_on([Decimal(base) for base in bases], tax_config, currency, Rounding.HALF_UP, tax_rounding)
    return [[tax.amount for tax in row] for row in rows]


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


def test_tax_inside_a_price_leaves_net_and_tax_that_make_the_price():
    (row,) = taxes_on(
        [Decimal("19.99")],
        config("19", behavior=TaxBehavior.INCLUSIVE),
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
