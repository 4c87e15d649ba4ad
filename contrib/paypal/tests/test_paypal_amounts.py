from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, assume, given, settings as profile, strategies as st

from billhook.contract import encode_json
from billhook_paypal.amounts import worth_of
from billhook_paypal.encoding import encode_invoice
from billhook_paypal.simulator.rules import INVOICE, read_body
from billhook_paypal.simulator.sums import with_sums
from billhook_paypal.validation import find_faults


def codes_of(item):
    return [fault.code for fault in find_faults(item.invoice, item.lines, email_recipient=True)]


def priced(amount):
    return {"type": "unit", "amount": amount}


def taxed(percentage, behavior="exclusive"):
    return {"behavior": behavior, "rates": [{"name": "VAT", "percentage": percentage}]}


def test_the_published_example_comes_to_paypals_own_figures():
    # detail, items and amount of the example "invoice_draft" in PayPal's specification, without its shipping and
    # invoice-level discount: 50.00 less 5 %, and 10.00 less 5.00, both at 7.25 %.
    items = [
        {
            "name": "Yoga Mat",
            "quantity": "1",
            "unit_amount": {"currency_code": "USD", "value": "50.00"},
            "tax": {"name": "Sales Tax", "percent": "7.25"},
            "discount": {"percent": "5"},
        },
        {
            "name": "Yoga t-shirt",
            "quantity": "1",
            "unit_amount": {"currency_code": "USD", "value": "10.00"},
            "tax": {"name": "Sales Tax", "percent": "7.25"},
            "discount": {"amount": {"currency_code": "USD", "value": "5.00"}},
        },
    ]
    breakdown = with_sums({"detail": {"currency_code": "USD"}, "items": items})["amount"]["breakdown"]
    assert breakdown["item_total"]["value"] == "60.00"
    assert breakdown["discount"]["item_discount"]["value"] == "-7.50"


def test_half_a_cent_of_tax_is_rounded_up_as_in_the_example(counter):
    (line,) = counter.of_lines({"quantity": "1", "price": priced("10.00"), "tax_config": taxed("7.25")}).invoice.lines
    assert worth_of(line, "USD").tax == Decimal("0.73")


def test_quantity_and_price_stand_there_where_they_make_the_amount(counter):
    item = counter.of_lines({"quantity": "3", "price": priced("2.55")}, {"quantity": "3", "price": priced("0.335")})
    exact, once = encode_invoice(item)["items"]
    assert (exact["quantity"], exact["unit_amount"]["value"]) == ("3", "2.55")
    assert (once["quantity"], once["unit_amount"]["value"]) == ("1", "1.01")


def test_a_price_with_its_tax_inside_goes_there_net(counter):
    item = counter.of_lines({"quantity": "1", "price": priced("12.00"), "tax_config": taxed("20", "inclusive")})
    (line,) = encode_invoice(item)["items"]
    assert (line["unit_amount"]["value"], line["tax"]) == ("10", {"name": "VAT", "percent": "20"})
    assert codes_of(item) == []


def test_tax_that_paypal_would_round_another_way_is_refused_before_it_is_sent(counter):
    lines = [{"quantity": "1", "price": priced("0.50"), "tax_config": taxed("7")}] * 3
    item = counter.of_lines(*lines)
    assert codes_of(item) == []
    (first, *rest) = item.invoice.lines
    less = first.model_copy(
        update={"totals": first.totals.model_copy(update={"taxes_exclusive_total": Decimal("0.03")})}
    )
    content = item.invoice.content.model_copy(update={"lines": (less, *rest)})
    (fault,) = find_faults(_with(item.invoice, content), item.lines, email_recipient=True)
    assert fault.code == "tax_not_reproducible"


def _with(view, content):
    return replace(view, content=content)


@pytest.mark.parametrize("currency", ["HUF", "TWD"])
def test_currencies_that_paypal_takes_whole_are_refused_in_parts(counter, currency):
    whole = counter.of_lines({"quantity": "1", "price": priced("10")}, currency=currency)
    parts = counter.of_lines({"quantity": "1", "price": priced("10.50")}, currency=currency)
    assert (codes_of(whole), codes_of(parts)) == ([], ["amount_has_decimals"])


def test_two_taxes_on_a_line_are_refused(counter):
    both = {"behavior": "exclusive", "rates": [{"name": "A", "percentage": "5"}, {"name": "B", "percentage": "2"}]}
    item = counter.of_lines({"quantity": "1", "price": priced("10"), "tax_config": both})
    assert codes_of(item) == ["one_tax_per_line"]


def test_a_long_name_is_cut_and_stands_whole_in_the_description(counter):
    item = counter.of_lines({"name": "x" * 230, "description": "a lamp", "price": priced("1")})
    (line,) = encode_invoice(item)["items"]
    assert (len(line["name"]), line["description"]) == (200, "x" * 230 + "\na lamp")


def test_a_customer_without_an_address_for_e_mail_is_only_a_warning(counter):
    item = counter.of_lines({"price": priced("1")})
    customer = item.invoice.customer.model_copy(update={"email": None})
    view = _with(item.invoice, item.invoice.content.model_copy(update={"customer": customer}))
    faults = list(find_faults(view, item.lines, email_recipient=True))
    assert [(fault.code, str(fault.severity)) for fault in faults] == [("no_email_address", "warning")]
    assert list(find_faults(view, item.lines, email_recipient=False)) == []


PRICES = st.decimals("0.01", "3000", places=4) | st.decimals("0.01", "999", places=2)
DISCOUNTS = st.one_of(
    st.builds(
        lambda share: {"type": "percentage", "percentage": share}, st.sampled_from(("7", "12.5", "33.33", "100"))
    ),
    st.builds(lambda off: {"type": "amount", "amount": str(off)}, st.decimals("0", "900", places=2)),
    st.just({"type": "usage", "quantity": "0.5"}),
)
LINES = st.builds(
    lambda price, zeros, quantity, rate, behavior, discounts: {
        "quantity": str(quantity),
        "price": priced(f"{price}{zeros}"),
        "tax_config": taxed(rate, behavior),
        "discounts": discounts,
    },
    PRICES,
    st.sampled_from(("", "0", "000")),
    st.decimals("0.5", "1000", places=3),
    st.sampled_from(("0", "7.25", "8.8750", "20")),
    st.sampled_from(("exclusive", "inclusive")),
    st.lists(DISCOUNTS, max_size=2),
)


@profile(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(LINES, min_size=1, max_size=4), st.sampled_from(("EUR", "HUF", "JPY", "TWD", "USD")))
def test_what_is_not_refused_before_is_taken_by_paypal_and_comes_to_the_same_total(counter, lines, currency):
    item = counter.of_lines(*lines, currency=currency)
    assume(codes_of(item) == [])
    told = with_sums(read_body(encode_json(encode_invoice(item)), INVOICE))
    assert Decimal(told["amount"]["value"]) == item.invoice.total


def test_zeros_at_the_end_of_a_price_are_no_decimals(counter):
    item = counter.of_lines({"quantity": "3.000", "price": priced("2.5500")})
    (line,) = encode_invoice(item)["items"]
    assert (line["quantity"], line["unit_amount"]["value"]) == ("3", "2.55")


def test_a_discount_that_is_larger_than_paypal_takes_is_told_before(counter):
    free = [{"type": "percentage", "percentage": "100"}]
    item = counter.of_lines({"quantity": "1000", "price": priced("2450"), "discounts": free}, {"price": priced("1")})
    assert codes_of(item) == ["amount_too_large"]


def test_a_line_whose_parts_have_decimals_is_refused_even_where_their_sum_has_none(counter):
    off = [{"type": "amount", "amount": "0.50"}]
    item = counter.of_lines({"quantity": "1", "price": priced("10.50"), "discounts": off}, currency="HUF")
    assert codes_of(item) == ["amount_has_decimals"]


def test_a_tax_inside_the_price_that_can_t_be_computed_from_the_net_is_refused(counter):
    refused = [
        amount
        for amount in ("0.01", "0.02", "0.03", "0.04", "0.05", "0.06", "0.07")
        if codes_of(
            counter.of_lines({"quantity": "1", "price": priced(amount), "tax_config": taxed("20", "inclusive")})
        )
    ]
    assert refused == ["0.03"]
