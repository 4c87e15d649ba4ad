from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from hypothesis import HealthCheck, given, settings, strategies as st

from billhook.domain.calculation import InvoiceEdit, apply_taxes, recalculate
from billhook.domain.discount import AmountDiscount, PercentageDiscount, UsageDiscount
from billhook.domain.exchange import ExchangeRate
from billhook.domain.invoice import (
    DocumentType,
    InvoiceDraft,
    LineDraft,
    Totals,
    content_json,
    details_of,
    discounts_of,
    parse_content,
)
from billhook.domain.money import Rounding, is_exact, total_of
from billhook.domain.period import CalendarDuration, Period
from billhook.domain.price import DynamicPrice, FlatPrice, PackagePrice, Tier, TieredPrice, UnitPrice
from billhook.domain.tax import TaxBehavior, TaxConfig, TaxRate, TaxRounding
from billhook.domain.workflow import WorkflowConfig
from billhook.testing.builders import a_content

CURRENCIES = st.sampled_from(["JPY", "EUR", "KWD", "CLF"])
PRICES_OF_ONE = st.decimals(0, 5000, places=5)
QUANTITIES = st.decimals(0, 3000, places=3)
TEXTS = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), min_size=1, max_size=12)
METADATA = st.dictionaries(TEXTS, TEXTS, max_size=3)
LIMITS = st.none() | st.decimals(0, 9000, places=2)

COMMITMENTS = st.tuples(LIMITS, LIMITS).map(
    lambda pair: dict(
        zip(("minimum_amount", "maximum_amount"), sorted(pair) if None not in pair else pair, strict=True)
    )
)


@st.composite
def tiered_prices(draw):
    limits = sorted(draw(st.sets(st.decimals("0.001", 2000, places=3), max_size=3)))
    tiers = tuple(
        Tier(up_to_amount=limit, unit_price=draw(PRICES_OF_ONE), flat_price=draw(st.none() | PRICES_OF_ONE))
        for limit in [*limits, None]
    )
    return TieredPrice(mode=draw(st.sampled_from(["volume", "graduated"])), tiers=tiers, **draw(COMMITMENTS))


PRICES = st.one_of(
    st.builds(FlatPrice, amount=st.decimals(-5000, 5000, places=5)),
    st.builds(lambda amount, limits: UnitPrice(amount=amount, **limits), st.decimals(-99, 99, places=5), COMMITMENTS),
    tiered_prices(),
    st.builds(
        lambda multiplier, limits: DynamicPrice(multiplier=multiplier, **limits),
        st.decimals("0.1", 3, places=4),
        COMMITMENTS,
    ),
    st.builds(PackagePrice, amount=PRICES_OF_ONE, quantity_per_package=st.decimals("0.5", 100, places=2)),
)
PERCENTAGES = st.decimals(0, 100, places=4)
DISCOUNTS = st.lists(
    st.one_of(
        st.builds(PercentageDiscount, percentage=PERCENTAGES, description=st.none() | TEXTS),
        st.builds(AmountDiscount, amount=st.decimals(0, 500, places=2)),
        st.builds(UsageDiscount, quantity=st.decimals(0, 100, places=2)),
    ),
    max_size=3,
)
RATES = st.lists(
    st.builds(TaxRate, name=st.sampled_from(["A", "B"]), percentage=st.decimals(0, 40, places=3)), max_size=2
)
TAX_CONFIGS = st.builds(TaxConfig, behavior=st.sampled_from(TaxBehavior), rates=RATES.map(tuple))
PERIODS = st.just(Period(start=datetime(2026, 1, 1, tzinfo=UTC), end=datetime(2026, 2, 1, tzinfo=UTC)))


@st.composite
def lines(draw):
    price = draw(PRICES)
    flat = isinstance(price, FlatPrice)
    discounts = [each for each in draw(DISCOUNTS) if not (flat and isinstance(each, UsageDiscount))]
    return LineDraft(
        name=draw(TEXTS),
        description=draw(st.none() | TEXTS),
        quantity=None if flat else draw(QUANTITIES),
        price=price,
        discounts=tuple(discounts),
        tax_config=draw(st.none() | TAX_CONFIGS),
        metadata=draw(METADATA),
        period=draw(st.none() | PERIODS),
    )


WORKFLOWS = st.builds(
    WorkflowConfig,
    rounding=st.sampled_from(Rounding),
    tax_rounding=st.sampled_from(TaxRounding),
    default_tax_config=st.none() | TAX_CONFIGS,
    due_after=st.builds(CalendarDuration, st.integers(1, 12)),
)
CONTENTS = st.builds(
    lambda draft, workflow: a_content(draft, workflow=workflow),
    st.builds(
        InvoiceDraft,
        type=st.sampled_from(DocumentType),
        customer_key=st.just("customer-1"),
        currency=CURRENCIES,
        lines=st.lists(lines(), min_size=1, max_size=6).map(tuple),
        description=st.none() | TEXTS,
        metadata=METADATA,
        exchange_rate=st.none(),
    ),
    WORKFLOWS,
)

relaxed = settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
PARTS = ("total", "net", "before_taxes", "taxes_total", *Totals.model_fields)


def adds_up(whole: Totals, parts) -> None:
    parts = tuple(parts)
    for name in PARTS:
        assert getattr(whole, name) == total_of(getattr(part, name) for part in parts), name


@relaxed
@given(CONTENTS)
def test_lines_add_up_to_the_document_and_details_to_their_line(content):
    adds_up(content.totals, (line.totals for line in content.lines))
    for line in content.lines:
        adds_up(line.totals, (detail.totals for detail in details_of(line)))


@relaxed
@given(CONTENTS)
def test_every_total_is_made_of_what_is_listed(content):
    for line in content.lines:
        assert line.totals.discounts_total == total_of(discount.amount for discount in discounts_of(line))
        assert line.totals.taxes_total == total_of(tax.amount for tax in line.taxes)
        for detail in details_of(line):
            assert detail.totals.taxes_total == total_of(tax.amount for tax in detail.taxes)
            assert detail.totals.discounts_total == total_of(discount.amount for discount in detail.discounts)


@relaxed
@given(CONTENTS)
def test_every_amount_is_whole_in_its_currency(content):
    for line in content.lines:
        for totals in [line.totals, *(detail.totals for detail in details_of(line))]:
            assert all(is_exact(getattr(totals, name), content.currency) for name in PARTS)


@relaxed
@given(CONTENTS)
def test_commitments_hold_after_discounts(content):
    for line in content.lines:
        minimum = getattr(line.price, "minimum_amount", None)
        maximum = getattr(line.price, "maximum_amount", None)
        one_unit = Decimal(1)
        if minimum is not None:
            assert line.totals.before_taxes > minimum - one_unit
        if maximum is not None:
            assert line.totals.before_taxes < maximum + one_unit


@relaxed
@given(CONTENTS)
def test_stored_content_is_read_back_the_same(content):
    body = content_json(content)
    again = parse_content(body)
    assert again == content
    assert content_json(again) == body


@relaxed
@given(CONTENTS)
def test_an_edit_of_nothing_changes_nothing(content):
    assert recalculate(content, InvoiceEdit()) == content


@relaxed
@given(CONTENTS)
def test_taxes_that_come_back_from_a_provider_as_they_were_change_nothing(content):
    assert apply_taxes(content, {line.id: line.taxes for line in content.lines}) == content


@relaxed
@given(CONTENTS)
def test_all_ids_of_a_document_differ(content):
    ids = [line.id for line in content.lines]
    ids += [detail.id for line in content.lines for detail in details_of(line)]
    ids += [discount.id for line in content.lines for discount in discounts_of(line)]
    assert len(set(ids)) == len(ids)


@given(st.decimals("0.000001", 10**6, places=6).filter(lambda rate: rate != 1))
def test_any_rate_but_one_is_an_exchange_rate(rate):
    assert ExchangeRate(from_currency="EUR", to_currency="USD", rate=rate).rate == rate
