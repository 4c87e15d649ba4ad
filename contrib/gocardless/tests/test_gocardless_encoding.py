from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import given, settings, strategies as st

from billhook.contract import Capability, Rejected, Reply
from billhook.domain.party import Address
from billhook.testing.builders import a_customer, a_view, an_id
from billhook_gocardless import GoCardlessSettings, provider
from billhook_gocardless.money import CURRENCIES, problems_of, to_major, to_minor
from billhook_gocardless.refusals import refused

CENTS = st.integers(min_value=1, max_value=10**18 - 1)


def body_of(run, step):
    return next(request.body for request in run.sent if request.step == step)


def test_a_payment_is_sent_in_pence_with_our_own_id_on_it(counter):
    run = counter.run(Capability.COLLECT_PAYMENT, counter.payment_item("7.65"))
    mandate = counter.books.mandates()[0].id
    assert body_of(run, "create").decode() == (
        '{"payments":{"amount":765,"currency":"GBP","description":"Invoice INV-1",'
        f'"metadata":{{"billhook_payment":"{an_id(500)}","billhook_invoice":"{an_id(1)}"}},'
        f'"links":{{"mandate":"{mandate}"}}}}}}'
    )


def test_a_large_amount_arrives_digit_for_digit(counter):
    run = counter.run(Capability.COLLECT_PAYMENT, counter.payment_item("12345678901234.56"))
    assert b'"amount":1234567890123456,' in body_of(run, "create")
    assert counter.books.payments()[0].amount == Decimal("12345678901234.56")


def test_an_amount_finer_than_a_penny_is_refused_and_never_rounded(counter):
    run = counter.run(Capability.COLLECT_PAYMENT, counter.payment_item("12345678901234.5678"))
    assert [issue.code for issue in run.outcome.issues] == ["amount_too_fine"]
    assert run.sent == []


def test_a_customer_is_sent_with_its_address_and_without_what_it_has_not(counter):
    party = a_customer(
        id=an_id(901),
        name="Ada & Söhne",
        email="ada@customer.example",
        addresses=(Address(country="GB", city="London", postal_code="N1 9GU", line1="338 Goswell Road"),),
    )
    run = counter.run(Capability.SYNC_CUSTOMER, counter.customer_item(1, customer=party))
    assert body_of(run, "create").decode() == (
        '{"customers":{"company_name":"Ada & Söhne","email":"ada@customer.example","address_line1":"338 Goswell Road",'
        f'"city":"London","postal_code":"N1 9GU","country_code":"GB","metadata":{{"billhook_customer":"{an_id(901)}"}}}}}}'
    )


def test_a_person_is_sent_by_given_and_family_name(counter):
    names = {"gocardless/given_name": "Ada", "gocardless/family_name": "Lovelace"}
    run = counter.run(Capability.SYNC_CUSTOMER, counter.customer_item(1, metadata=names))
    sent = json.loads(body_of(run, "create"))["customers"]
    assert (sent["given_name"], sent["family_name"]) == ("Ada", "Lovelace")
    assert "company_name" not in sent


def test_an_edit_clears_what_the_customer_no_longer_has_and_leaves_metadata_alone(counter):
    customer_id = counter.customer()
    edited = counter.customer_item(1, customer=a_customer(id=an_id(901), email=None), external_id=customer_id)
    run = counter.run(Capability.SYNC_CUSTOMER, edited)
    sent = json.loads(body_of(run, "update"))["customers"]
    assert sent["email"] is None
    assert "metadata" not in sent
    (standing,) = counter.books.customers()
    assert (standing.email, standing.reference) == (None, an_id(901))


def test_a_refund_confirms_the_sum_of_all_refunds(counter):
    payment_id = counter.collected()
    counter.run(Capability.REFUND, counter.refund_item(payment_id, "1.00", 700))
    run = counter.run(Capability.REFUND, counter.refund_item(payment_id, "2.50", 701, reason="broken"))
    assert body_of(run, "create").decode() == (
        '{"refunds":{"amount":250,"total_amount_confirmation":350,'
        f'"metadata":{{"billhook_refund":"{an_id(701)}","reason":"broken"}},"links":{{"payment":"{payment_id}"}}}}}}'
    )


@given(CENTS)
def test_every_amount_in_cents_goes_there_and_back_unchanged(cents):
    amount = Decimal(cents).scaleb(-2)
    assert problems_of(amount, "GBP") == ()
    assert to_minor(amount) == cents
    assert to_major(cents) == amount


@pytest.mark.long
@settings(max_examples=100_000, deadline=None)
@given(CENTS)
def test_a_hundred_thousand_amounts_go_there_and_back_unchanged(cents):
    amount = Decimal(cents).scaleb(-2)
    assert to_major(to_minor(amount)) == amount


@given(CENTS, st.integers(min_value=1, max_value=9999))
def test_every_finer_amount_is_refused(cents, rest):
    amount = Decimal(cents).scaleb(-2) + Decimal(rest).scaleb(-6)
    assert [issue.code for issue in problems_of(amount, "EUR")] == ["amount_too_fine"]
    with pytest.raises(ValueError, match="finer than a hundredth"):
        to_minor(amount)


@pytest.mark.parametrize(
    "amount, currency, codes",
    [
        ("10.00", "JPY", ["currency_not_collected"]),
        ("0.00", "GBP", ["amount_not_positive"]),
        ("-1.00", "GBP", ["amount_not_positive"]),
        ("-0.005", "CHF", ["currency_not_collected", "amount_too_fine", "amount_not_positive"]),
        *((amount, currency, []) for amount in ("0.01", "10.00", "10") for currency in sorted(CURRENCIES)),
    ],
)
def test_what_can_t_be_collected_is_told_all_at_once(amount, currency, codes):
    assert [issue.code for issue in problems_of(Decimal(amount), currency)] == codes


def test_an_invoice_in_a_currency_that_nobody_debits_is_told_before_it_is_issued():
    from billhook.testing.builders import a_content, an_invoice

    settings = GoCardlessSettings()
    yen, pounds = (a_view(a_content(an_invoice(currency=each))) for each in ("JPY", "GBP"))
    (issue,) = provider().validate_invoice(yen, (), settings)
    assert (issue.code, issue.path) == ("currency_not_collected", "/currency")
    assert "a billing profile with another payment app" in issue.message
    assert provider().validate_invoice(pounds, (), settings) == ()


def test_a_refusal_of_a_payment_says_everything_at_once(counter):
    outcome = counter.run(Capability.COLLECT_PAYMENT, counter.payment_item("10.005", currency="CHF")).outcome
    assert isinstance(outcome, Rejected)
    assert [issue.code for issue in outcome.issues] == ["currency_not_collected", "amount_too_fine"]


@pytest.mark.parametrize("reason", ["Card-Declined", "x" * 200, ""])
def test_a_refusal_is_told_whatever_its_reason_looks_like(reason):
    told = {"type": "invalid_state", "message": "No.", "errors": [{"reason": reason, "message": "w" * 5000}]}
    (issue,) = refused(Reply.of({"error": told}, status=422)).issues
    assert issue.code in {"refused", "validation_failed"}
    assert issue.message.startswith("GoCardless refuses: www")
