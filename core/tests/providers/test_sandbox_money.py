"""What the sandbox computes from what we send is what we computed, to the smallest unit, for every kind of line."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from billhook.contract import Capability, Done
from billhook.domain.discount import AmountDiscount, PercentageDiscount, UsageDiscount
from billhook.domain.exchange import ExchangeRate
from billhook.domain.money import Rounding
from billhook.domain.price import DynamicPrice, FlatPrice, PackagePrice, Tier, TieredPrice, UnitPrice
from billhook.domain.tax import TaxBehavior, TaxConfig, TaxRate, TaxRounding
from billhook.domain.workflow import WorkflowConfig
from billhook.testing.builders import a_content, a_line, an_id, an_invoice
from billhook.testing.sandbox.encoding import invoice_entry
from billhook.testing.sandbox.sums import sums_of

PRICES_OF_ONE = st.decimals(0, 5000, places=5)
TIERS = st.lists(st.tuples(PRICES_OF_ONE, st.none() | PRICES_OF_ONE), min_size=1, max_size=3)
LIMITS = st.sampled_from([{}, {"minimum_amount": "700.00"}, {"maximum_amount": "3.33"}])


def tiered(mode, tiers, limits):
    last = len(tiers) - 1
    steps = [
        Tier(up_to_amount=None if place == last else Decimal(10 * (place + 1)), unit_price=unit, flat_price=flat)
        for place, (unit, flat) in enumerate(tiers)
    ]
    return TieredPrice(mode=mode, tiers=tuple(steps), **limits)


PRICES = st.one_of(
    st.builds(FlatPrice, amount=st.decimals(-5000, 5000, places=5)),
    st.builds(lambda amount, limits: UnitPrice(amount=amount, **limits), st.decimals(-99, 99, places=5), LIMITS),
    st.builds(tiered, st.sampled_from(["volume", "graduated"]), TIERS, LIMITS),
    st.builds(DynamicPrice, multiplier=st.decimals("0.1", 3, places=4)),
    st.builds(PackagePrice, amount=PRICES_OF_ONE, quantity_per_package=st.decimals("0.5", 100, places=2)),
)
DISCOUNTS = st.lists(
    st.one_of(
        st.builds(PercentageDiscount, percentage=st.decimals(0, 100, places=4)),
        st.builds(AmountDiscount, amount=st.decimals(0, 500, places=2)),
        st.builds(UsageDiscount, quantity=st.decimals(0, 100, places=2)),
    ),
    max_size=2,
)
RATES = st.lists(st.builds(TaxRate, name=st.sampled_from("AB"), percentage=st.decimals(0, 40, places=3)), max_size=2)
TAXES = st.builds(TaxConfig, behavior=st.sampled_from(TaxBehavior), rates=RATES.map(tuple))


@st.composite
def lines(draw):
    price = draw(PRICES)
    flat = isinstance(price, FlatPrice)
    discounts = [each for each in draw(DISCOUNTS) if not (flat and isinstance(each, UsageDiscount))]
    quantity = None if flat else draw(st.decimals(0, 3000, places=3))
    return a_line(price=price, quantity=quantity, discounts=tuple(discounts), tax_config=draw(st.none() | TAXES))


CONTENTS = st.builds(
    lambda currency, drafts, workflow: a_content(
        an_invoice(currency=currency).model_copy(update={"lines": tuple(drafts)}), workflow=workflow
    ),
    st.sampled_from(["JPY", "EUR", "KWD", "CLF"]),
    st.lists(lines(), min_size=1, max_size=5),
    st.builds(WorkflowConfig, rounding=st.sampled_from(Rounding), tax_rounding=st.sampled_from(TaxRounding)),
)


@settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(content=CONTENTS)
def test_the_sandbox_holds_the_totals_that_we_computed(counter, content):
    item = counter.invoice_item(1, content=content)
    outcome = counter.run(Capability.SYNC_DRAFT, item).outcomes[item.id]
    assert isinstance(outcome, Done), outcome
    held = outcome.result.totals
    assert (held.total, held.tax, held.discounts) == (
        content.totals.total,
        content.totals.taxes_total,
        content.totals.discounts_total,
    )
    assert held.line_totals == {line.id: line.totals.total for line in content.lines}


@pytest.fixture
def entry_of(counter):
    def encoded(line, **workflow):
        draft = an_invoice().model_copy(update={"lines": (line,)})
        item = counter.invoice_item(1, content=a_content(draft, workflow=WorkflowConfig(**workflow)))
        entry = invoice_entry(item)
        sums_of(entry, "inv_1")  # refuses figures that do not agree
        return entry["lines"][0]

    return encoded


def figures(line):
    return line["quantity"], line["unit_price"], line["amount"]


def test_a_plain_line_keeps_its_quantity_and_its_price(entry_of):
    sent = entry_of(a_line(3, quantity=Decimal("1.5"), price=UnitPrice(amount=Decimal("0.0333"))))
    assert figures(sent) == ("1.5", "0.0333", "0.05")
    assert sent["description"] == "Line 3"


def test_where_the_provider_would_round_the_other_way_the_amount_is_sent_and_the_line_says_of_what(entry_of):
    line = a_line(1, quantity=Decimal(1), price=UnitPrice(amount=Decimal("0.125")))
    sent = entry_of(line, rounding=Rounding.HALF_EVEN)
    assert figures(sent) == ("1", "0.12", "0.12")
    assert sent["description"] == "Line 1 (1 x 0.125)"


def test_tiers_are_sent_as_one_amount_and_told_in_the_description(entry_of):
    tiers = (Tier(up_to_amount=10, unit_price=1), Tier(unit_price=Decimal("0.5")))
    sent = entry_of(a_line(1, quantity=Decimal(30), price=TieredPrice(mode="graduated", tiers=tiers)))
    assert figures(sent) == ("1", "20.00", "20.00")
    assert sent["description"] == (
        "Line 1 (Line 1: usage price for tier 1: 10 x 1; Line 1: usage price for tier 2: 20 x 0.5)"
    )


def test_tax_inside_a_price_is_taken_out_of_the_amount(entry_of):
    inside = TaxConfig(behavior=TaxBehavior.INCLUSIVE, rates=(TaxRate(name="VAT", percentage=20),))
    sent = entry_of(a_line(1, quantity=Decimal(1), price=UnitPrice(amount=Decimal("12.00")), tax_config=inside))
    assert (sent["amount"], sent["tax_amount"]) == ("10.00", "2.00")


def test_a_usage_discount_is_in_the_quantity_and_a_discount_in_money_has_an_id(entry_of):
    discounts = (UsageDiscount(quantity=2), PercentageDiscount(percentage=10))
    sent = entry_of(a_line(1, quantity=Decimal(12), price=UnitPrice(amount=Decimal("1.00")), discounts=discounts))
    assert figures(sent) == ("10", "1.00", "10.00")
    assert [discount["amount"] for discount in sent["discounts"]] == ["1.00"]


def test_an_exchange_rate_goes_along(counter):
    rate = ExchangeRate(from_currency="EUR", to_currency="USD", rate=Decimal("1.0842"))
    item = counter.invoice_item(1, an_invoice(exchange_rate=rate))
    assert invoice_entry(item)["exchange_rate"] == "1.0842"


def test_a_number_of_twenty_eight_digits_arrives_digit_for_digit(counter, sandbox):
    price = UnitPrice(amount=Decimal("12345678901234.567800000001"))
    content = a_content(
        an_invoice().model_copy(update={"lines": (a_line(1, quantity=Decimal(1), price=price),)}), invoice_id=an_id(1)
    )
    counter.run(Capability.SYNC_DRAFT, counter.invoice_item(1, content=content))
    (line,) = sandbox.documents()[0].lines
    assert line.unit_price == Decimal("12345678901234.567800000001")
