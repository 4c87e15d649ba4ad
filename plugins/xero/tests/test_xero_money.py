"""Cent by cent: what the simulator computes, by Xero's rules and in code of its own, against what was foretold."""

from __future__ import annotations

import random
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given, settings, strategies as st
from xero_kit import BEGINS_AT, URL, XeroDesk, settings_for

from billhook.clock import TurnedClock
from billhook.contract import Capability, MappedLine
from billhook.domain.invoice import DocumentType
from billhook.domain.tax import TaxBehavior, TaxConfig, TaxRate, TaxRounding
from billhook.domain.workflow import WorkflowConfig
from billhook.testing.builders import a_content, a_line, a_view, an_invoice
from billhook_xero import XeroSettings, encoding, provider
from billhook_xero.preflight import problems_of
from billhook_xero.representation import paper_of
from billhook_xero.sdk import exact_json, wire_form
from billhook_xero.simulator.arithmetic import computed_line, sums_of
from billhook_xero.simulator.rules import Org
from billhook_xero.simulator.wire import read_json

ORG = Org()
RATES = {"20": "OUTPUT2", "15": "OUTPUT15", "12": "OUTPUT12", "5": "RROUTPUT", "0": "ZERORATEDOUTPUT"}
ORGANISATION = {"tax_rates": {code: str(rate) for code, rate in ORG.tax_rates.items()}, "rounding_account": None}


def the_settings(**changes):
    return XeroSettings(**settings_for(URL, **{"organisation": ORGANISATION, **changes}))


def a_view_of(lines, currency="GBP", **workflow):
    draft = an_invoice(currency=currency, lines=1).model_copy(update={"lines": tuple(lines)})
    return a_view(a_content(draft, workflow=WorkflowConfig(**workflow)))


def mapped(view):
    return tuple(MappedLine(line.id, line.name, rule="all", account="200") for line in view.lines)


def computed_there(view, app):
    """What the simulator makes of the document that would be sent."""
    paper = paper_of(view, mapped(view), app)
    sent = read_json(exact_json(wire_form(encoding.models().Invoice(**encoding._head("ref", view, paper)))))
    kind = sent["LineAmountTypes"]
    lines = [computed_line(line, ORG, kind, 4, may_discount=True) for line in sent["LineItems"]]
    return sums_of(lines, kind), paper


def taxed(amounts, percentage, *, behavior=TaxBehavior.EXCLUSIVE):
    config = TaxConfig(behavior=behavior, rates=(TaxRate(name="VAT", percentage=Decimal(percentage)),))
    return [
        a_line(number, "GBP", quantity=None, price={"type": "flat", "amount": amount}, tax_config=config)
        for number, amount in enumerate(amounts, start=1)
    ]


THREE = ("25.06", "25.61", "25.63")


@pytest.mark.parametrize(
    "amounts, percentage, rounding, tax",
    [
        (THREE, 15, TaxRounding.PER_LINE, "11.44"),
        (THREE, 15, TaxRounding.ON_TOTAL, "11.45"),
        (("1.59",) * 31, 12, TaxRounding.PER_LINE, "5.89"),
        (("1.59",) * 31, 12, TaxRounding.ON_TOTAL, "5.91"),
    ],
)
def test_tax_rounded_by_line_or_on_the_total_stands_in_the_books_as_it_was_computed(amounts, percentage, rounding, tax):
    view = a_view_of(taxed(amounts, percentage), tax_rounding=rounding)
    assert view.totals.taxes_total == Decimal(tax)
    sums, _ = computed_there(view, the_settings())
    assert (sums.total_tax, sums.total) == (Decimal(tax), view.total)


def test_where_xero_computes_tax_a_rounding_line_makes_up_for_its_cents():
    app = the_settings(tax="xero", rounding_account="860")
    view = a_view_of(taxed(THREE, 15), tax_rounding=TaxRounding.ON_TOTAL)
    sums, paper = computed_there(view, app)
    assert (paper.rounding.line_amount, sums.total_tax, sums.total) == (Decimal("0.01"), Decimal("11.44"), view.total)
    assert problems_of(view, mapped(view), app) == ()


def test_a_percentage_without_a_tax_type_is_named_even_where_it_is_nothing():
    view = a_view_of(taxed(["4.90"], 0))
    rates = {rate: code for rate, code in RATES.items() if rate != "0"}
    (issue,) = problems_of(view, mapped(view), the_settings(tax_types=rates))
    assert issue.code == "tax_code_missing"
    assert "'Line 1' is taxed 0 %" in issue.message
    assert 'such as {"0": "TAX_TYPE"}' in issue.message


def test_without_one_it_is_refused_with_the_smallest_line_that_shows_why():
    view = a_view_of(taxed(THREE, 15), tax_rounding=TaxRounding.ON_TOTAL)
    (issue,) = problems_of(view, mapped(view), the_settings(tax="xero"))
    assert (issue.code, issue.path) == ("tax_not_reproducible", "/lines/2")
    assert "25.63 is taxed 3.85 here and 3.84 there" in issue.message
    assert "or name a rounding_account" in issue.message


@pytest.mark.parametrize("account", [None, "860"])
def test_a_rounding_line_is_no_way_out_of_tax_inside_prices_or_of_another_rate(account):
    inside = a_view_of(taxed(["2.99"], 5, behavior=TaxBehavior.INCLUSIVE), rounding="down")
    config = TaxConfig(rates=(TaxRate(name="VAT", percentage=Decimal(15)),))
    stated = {"name": "VAT", "percentage": "15", "behavior": "exclusive", "taxable_amount": "100", "amount": "15.02"}
    other = a_view_of(
        [a_line(1, "GBP", price={"type": "flat", "amount": "100"}, quantity=None, tax_config=config, taxes=[stated])]
    )
    for view in (inside, other):
        (issue,) = problems_of(view, mapped(view), the_settings(tax="xero", rounding_account=account))
        assert (issue.code, "rounding_account" in issue.message) == ("tax_not_reproducible", False)
        assert "--set tax=billhook" in issue.message


def test_a_credit_note_is_mailed_by_nobody():
    invoice = a_view_of(taxed(THREE, 15), collection_method="send_invoice")
    nobody = invoice.customer.model_copy(update={"email": None})
    found = []
    for type in DocumentType:
        content = invoice.content.model_copy(update={"type": type, "customer": nobody})
        view = replace(invoice, content=content)
        found.append([issue.code for issue in problems_of(view, mapped(view), the_settings())])
    assert found == [["customer_email_missing"], []]


def test_a_rate_that_is_not_known_cannot_be_foretold():
    app = the_settings(tax="xero", organisation={})
    view = a_view_of(taxed(THREE, 15))
    (issue,) = problems_of(view, mapped(view), app)
    assert issue.code == "tax_rate_unknown"


def test_prices_that_hold_their_tax_are_shown_with_it():
    view = a_view_of(taxed(("120.00",), 20, behavior=TaxBehavior.INCLUSIVE))
    sums, paper = computed_there(view, the_settings())
    assert (paper.amounts_are, paper.lines[0].unit_amount) == ("Inclusive", Decimal("120.00"))
    assert (sums.sub_total, sums.total_tax, sums.total) == (Decimal("100.00"), Decimal("20.00"), Decimal("120.00"))


def test_prices_with_and_without_their_tax_stand_on_one_invoice():
    lines = [*taxed(("120.00",), 20, behavior=TaxBehavior.INCLUSIVE), *taxed(("10.00",), 20)]
    view = a_view_of(lines)
    sums, paper = computed_there(view, the_settings())
    assert (paper.amounts_are, sums.total) == ("Exclusive", view.total)


def test_a_line_that_says_nothing_of_tax_gets_none_where_others_are_taxed():
    view = a_view_of([*taxed(("10.00",), 20), a_line(2, "GBP")])
    _, paper = computed_there(view, the_settings())
    assert (paper.lines[1].tax_type, paper.lines[1].tax_amount) == ("NONE", Decimal(0))


@pytest.mark.parametrize(
    "quantity, price, written",
    [
        ("3", "2.55", ("3", "2.55", "Line 1")),
        ("1.5", "0.1234", ("1.5", "0.1234", "Line 1")),
        ("1000", "0.00125", ("1", "1.25", "Line 1 (1000 x 0.00125)")),
        ("0.00001", "100000", ("1", "1.00", "Line 1 (0.00001 x 100000)")),
    ],
)
def test_what_is_finer_than_four_decimals_is_sent_as_one_of_the_whole_amount(quantity, price, written):
    line = a_line(1, "GBP", quantity=Decimal(quantity), price={"type": "unit", "amount": price})
    view = a_view_of([line])
    sums, paper = computed_there(view, the_settings())
    (found,) = paper.lines
    assert (found.quantity, found.unit_amount, found.description) == (
        Decimal(written[0]),
        Decimal(written[1]),
        written[2],
    )
    assert sums.total == view.total


def test_an_amount_finer_than_cents_is_refused_by_its_smallest_line():
    lines = [
        a_line(number, "KWD", price={"type": "unit", "amount": amount})
        for number, amount in ((1, "1.005"), (2, "0.001"))
    ]
    view = a_view_of(lines, currency="KWD")
    (issue,) = problems_of(view, mapped(view), the_settings())
    assert (issue.code, issue.path) == ("amount_finer_than_cents", "/lines/1")


money = st.decimals(min_value=Decimal("0.0001"), max_value=Decimal(10_000), places=4)
fine = st.decimals(min_value=Decimal("0.000001"), max_value=Decimal(100), places=6)
discounts = st.one_of(
    st.just(()),
    st.decimals(min_value=0, max_value=100, places=2).map(
        lambda share: ({"type": "percentage", "percentage": str(share)},)
    ),
    st.decimals(min_value=0, max_value=5, places=2).map(lambda amount: ({"type": "amount", "amount": str(amount)},)),
)
behaviors = st.sampled_from(list(TaxBehavior))


@st.composite
def random_lines(draw):
    rate = draw(st.sampled_from([None, *RATES]))
    config = rate and TaxConfig(behavior=draw(behaviors), rates=(TaxRate(name="VAT", percentage=Decimal(rate)),))
    price = {"type": "unit", "amount": format(draw(st.one_of(money, fine)), "f")}
    quantity = draw(st.one_of(st.integers(1, 500).map(Decimal), fine))
    return a_line(1, "GBP", quantity=quantity, price=price, tax_config=config or None, discounts=draw(discounts))


invoices = st.tuples(
    st.lists(random_lines(), min_size=1, max_size=6), st.sampled_from(list(TaxRounding)), st.booleans()
)


def check(drawn):
    lines, rounding, xero_computes = drawn
    view = a_view_of(lines, tax_rounding=rounding)
    app = the_settings(tax="xero", rounding_account="860") if xero_computes else the_settings()
    refused = problems_of(view, mapped(view), app)
    if refused:
        assert xero_computes
        assert {issue.code for issue in refused} == {"tax_not_reproducible"}
        return
    sums, paper = computed_there(view, app)
    assert sums.total == view.total
    assert paper.rounding is not None or sums.total_tax == view.totals.taxes_total


@settings(max_examples=150, deadline=None)
@given(invoices)
def test_what_is_foretold_is_what_xero_comes_to(drawn):
    check(drawn)


def rolled_line(dice):
    """As `random_lines` draws them, but fast enough for a hundred thousand invoices."""
    rate = dice.choice([None, *RATES])
    config = rate and TaxConfig(
        behavior=dice.choice(list(TaxBehavior)), rates=(TaxRate(name="VAT", percentage=Decimal(rate)),)
    )
    scale = dice.choice((2, 4, 6))
    quantity = dice.choice((Decimal(dice.randint(1, 500)), Decimal(dice.randint(1, 10**8)).scaleb(-6)))
    price = Decimal(dice.randint(1, 10 ** dice.randint(1, 4 + scale))).scaleb(-scale)
    off = dice.choice(
        (
            (),
            ({"type": "percentage", "percentage": str(Decimal(dice.randint(0, 10_000)).scaleb(-2))},),
            ({"type": "amount", "amount": str(Decimal(dice.randint(0, 500)).scaleb(-2))},),
        )
    )
    return a_line(
        1,
        "GBP",
        quantity=quantity,
        price={"type": "unit", "amount": format(price, "f")},
        tax_config=config or None,
        discounts=off,
    )


@pytest.mark.long
def test_a_hundred_thousand_invoices_come_to_the_cent():
    dice = random.Random(20_260_302)
    for _ in range(100_000):
        lines = [rolled_line(dice) for _ in range(dice.randint(1, 6))]
        check((lines, dice.choice(list(TaxRounding)), dice.random() < 0.5))


def test_thirty_random_invoices_stand_in_the_books_to_the_cent(xero, clock):
    dice = random.Random(7)
    with xero.serve() as served:
        desk = XeroDesk(xero, served.url, TurnedClock(BEGINS_AT), provider)
        items = []
        for number in range(1, 31):
            amounts = [f"{dice.randint(1, 99_999)}.{dice.randint(0, 99):02}" for _ in range(dice.randint(1, 9))]
            content = a_content(
                an_invoice(currency="GBP", lines=1).model_copy(
                    update={"lines": tuple(taxed(amounts, dice.choice(list(RATES))))}
                ),
                invoice_id=f"01KJPWD6M0REWNB93430CQ9{number:03}",
                workflow=WorkflowConfig(tax_rounding=dice.choice(list(TaxRounding))),
            )
            items.append(desk.invoice_item(number, content=content))
        outcomes = desk.run(Capability.SYNC_DRAFT, *items).outcomes
        for item in items:
            assert outcomes[item.id].result.totals.total == item.invoice.total
            assert outcomes[item.id].result.totals.tax == item.invoice.totals.taxes_total
        desk.close()
