"""What is sent, byte for byte: read off the requests alone, without a network."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from urllib.parse import parse_qsl

import pytest

from billhook.contract import Batch, Capability, CustomerItem, CustomerLink, InvoiceItem, MappedLine, RefundItem
from billhook.domain.tax import TaxAmount, TaxBehavior
from billhook.plugins import ProviderHandle
from billhook.testing.builders import a_content, a_customer, a_line, a_view, an_id, an_invoice
from billhook_stripe import StripeSettings, provider
from billhook_stripe.lines import line_params
from billhook_stripe.wire import STRIPE_VERSION, encoded

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HANDLE = ProviderHandle(provider)
SETTINGS = StripeSettings()
ADA = CustomerLink(an_id(901), "cus_ada")


def a_batch(item, settings=SETTINGS):
    return Batch(an_id(1000), (item,), settings, NOON, "app", "default")


def an_item(*lines, number="INV-1", mapped=None, currency="EUR", **changes):
    draft = an_invoice(currency=currency).model_copy(update={"lines": lines})
    view = a_view(a_content(draft, invoice_id=an_id(1)), id=an_id(1), **changes)
    where = mapped or tuple(HANDLE.map_line(line, view, SETTINGS) for line in view.lines)
    return InvoiceItem(view.id, view, ADA, where, number=number, collected_here=True)


def requests(capability, item, settings=SETTINGS):
    """Every request of an operation whose answers are the samples."""
    steps = HANDLE.start(capability, a_batch(item, settings))
    sent, request = [], next(steps)
    try:
        while True:
            sent.append(request)
            request = steps.send(request.sample)
    except StopIteration:
        return sent


def flat(amount, **changes):
    return a_line(1, price={"type": "flat", "amount": amount}, quantity=None, **changes)


def test_a_draft_goes_out_as_these_bytes():
    create, add = requests(Capability.SYNC_DRAFT, an_item(flat("12.34", name="Café")))
    assert (create.method, create.url) == ("POST", "https://api.stripe.com/v1/invoices")
    assert create.body.decode() == (
        "customer=cus_ada&currency=eur&auto_advance=false&pending_invoice_items_behavior=exclude&discounts="
        f"&collection_method=charge_automatically&metadata[billhook_invoice]={an_id(1)}"
    )
    assert add.url == "https://api.stripe.com/v1/invoices/in_sample/add_lines"
    assert add.body.startswith(
        b"lines[0][description]=Caf%C3%A9&lines[0][amount]=1234&lines[0][metadata][billhook_line]="
    )


def test_the_version_is_named_and_no_credential_is_in_the_request():
    for request in requests(Capability.SYNC_DRAFT, an_item(flat("1.00"))):
        assert dict(request.headers) == {
            "Content-Type": "application/x-www-form-urlencoded",
            "Stripe-Version": STRIPE_VERSION,
        }


def test_a_connected_account_is_named_in_a_header():
    (request, *_) = requests(Capability.SYNC_DRAFT, an_item(flat("1.00")), StripeSettings(account="acct_1"))
    assert dict(request.headers)["Stripe-Account"] == "acct_1"


def test_every_digit_arrives():
    wire = encoded(
        SETTINGS, "POST", "/v1/x", {"a": {"b": Decimal("12345678901234.5678")}, "c": Decimal("0.000000000001")}
    )
    assert wire.body == b"a[b]=12345678901234.5678&c=0.000000000001"


def test_a_price_of_many_digits_arrives_digit_for_digit():
    line = a_line(1, item_code="prod_1", quantity="100", price={"type": "unit", "amount": "12345678901.5678"})
    _, add = requests(Capability.SYNC_DRAFT, an_item(line))
    sent = dict(parse_qsl(add.body.decode()))
    assert sent["lines[0][price_data][unit_amount_decimal]"] == "1234567890156.78"
    assert sent["lines[0][quantity_decimal]"] == "100"


def test_taxes_are_sent_as_amounts():
    vat = TaxAmount(
        name="VAT", percentage="7.70", behavior=TaxBehavior.EXCLUSIVE, taxable_amount="10.00", amount="0.77"
    )
    _, add = requests(Capability.SYNC_DRAFT, an_item(flat("10.00", taxes=(vat,))))
    sent = dict(parse_qsl(add.body.decode()))
    assert {name: value for name, value in sent.items() if "tax_amounts" in name} == {
        "lines[0][tax_amounts][0][amount]": "77",
        "lines[0][tax_amounts][0][taxable_amount]": "1000",
        "lines[0][tax_amounts][0][tax_rate_data][display_name]": "VAT",
        "lines[0][tax_amounts][0][tax_rate_data][percentage]": "7.7",
        "lines[0][tax_amounts][0][tax_rate_data][inclusive]": "false",
    }


@pytest.mark.parametrize(
    "currency, amount, units",
    [
        ("EUR", "12.34", "1234"),
        ("JPY", "1234", "1234"),
        ("KWD", "1.230", "1230"),
        ("ISK", "5", "500"),
        ("MGA", "5.00", "5"),
    ],
)
def test_units_are_stripes_own(currency, amount, units):
    _, add = requests(Capability.SYNC_DRAFT, an_item(flat(amount), currency=currency))
    assert dict(parse_qsl(add.body.decode()))["lines[0][amount]"] == units


def test_what_came_off_is_told_in_the_description():
    line = a_line(
        1,
        name="Desk",
        quantity="2",
        price={"type": "unit", "amount": "149.99"},
        discounts=({"type": "percentage", "percentage": "12.5"},),
    )
    _, add = requests(Capability.SYNC_DRAFT, an_item(line))
    sent = dict(parse_qsl(add.body.decode()))
    assert (sent["lines[0][amount]"], sent["lines[0][description]"]) == ("26248", "Desk (2 x 149.99; less 37.50)")


def test_tiers_are_told_in_the_description():
    tiers = [{"up_to_amount": "10", "unit_price": "1"}, {"unit_price": "0.5"}]
    line = a_line(1, name="Calls", quantity="20", price={"type": "tiered", "mode": "graduated", "tiers": tiers})
    _, add = requests(Capability.SYNC_DRAFT, an_item(line))
    sent = dict(parse_qsl(add.body.decode()))
    assert sent["lines[0][amount]"] == "1500"
    assert sent["lines[0][description]"].count(" x ") == 2


def test_a_mapping_rule_gives_the_words_the_product_and_the_account():
    line = a_line(1, quantity="2", price={"type": "unit", "amount": "1.50"})
    item = an_item(line)
    to = MappedLine(item.invoice.lines[0].id, "In their words", "seats", account="4000", item_code="prod_9")
    (params,) = [line_params(each, to, "EUR") for each in item.invoice.lines]
    assert (params["description"], params["price_data"]["product"]) == ("In their words", "prod_9")
    assert params["metadata"]["billhook_account"] == "4000"


def test_a_line_that_is_mapped_elsewhere_is_another_line():
    item = an_item(flat("1.00"))
    (line,) = item.invoice.lines
    marks = {
        line_params(line, MappedLine(line.id, "x", "r", account=account), "EUR")["metadata"]["billhook_content"]
        for account in (None, "1", "2")
    }
    assert len(marks) == 3


def test_the_same_operation_again_gives_the_same_bytes():
    item = an_item(flat("1.00"), a_line(2))
    first, second = (requests(Capability.SYNC_DRAFT, item) for _ in range(2))
    assert first == second


def test_a_preview_by_another_operation_gives_the_same_bytes():
    item = an_item(flat("1.00"))
    other = replace(a_batch(item), operation_id=an_id(2000))
    steps = HANDLE.start(Capability.SYNC_DRAFT, other)
    create = next(steps)
    add = steps.send(create.sample)
    assert [create.body, add.body] == [request.body for request in requests(Capability.SYNC_DRAFT, item)]


def test_a_customer_is_told_with_address_and_our_id():
    item = CustomerItem(an_id(901), a_customer(id=an_id(901)))
    (request,) = requests(Capability.SYNC_CUSTOMER, item)
    sent = dict(parse_qsl(request.body.decode()))
    assert sent["metadata[billhook_customer]"] == an_id(901)
    assert (sent["name"], sent["address[country]"], sent["address[postal_code]"]) == ("Test Customer", "DE", "10115")


def test_a_refund_names_the_payment_and_the_amount():
    (request,) = requests(Capability.REFUND, RefundItem(an_id(7), Decimal("2.55"), "EUR", "pi_1"))
    assert request.body.decode() == f"payment_intent=pi_1&amount=255&metadata[billhook_refund]={an_id(7)}"
