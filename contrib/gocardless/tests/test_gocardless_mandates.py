from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import timedelta

import pytest

from billhook.contract import Capability, CustomerLink, PaymentStatus, Pending, Rejected, Reply
from billhook.engine.settle_customer import remembered
from billhook.testing.builders import an_id
from billhook_gocardless.simulator.rules import GoCardlessRules


@pytest.fixture
def rules():
    """Nobody signs by itself."""
    return GoCardlessRules(new_customers_sign=())


@pytest.fixture
def customer(counter):
    """A customer that signed nothing yet."""
    return CustomerLink(an_id(901), counter.customer())


def collect(counter, customer, **changes):
    return counter.run(Capability.COLLECT_PAYMENT, counter.payment_item(customer=customer, **changes))


def test_without_a_mandate_nothing_is_sent_and_the_refusal_says_what_to_do(counter, customer):
    run = collect(counter, customer)
    assert isinstance(run.outcome, Rejected)
    assert run.outcome.issues[0].code == "mandate_missing"
    assert "Send the customer a billing request to sign, then retry" in run.outcome.issues[0].message
    assert run.steps == ["mandates"]


def test_the_mandate_to_charge_is_found_on_the_second_page(counter, customer):
    fitting = counter.books.sign_mandate(customer.external_id)
    counter.books.sign_mandate(customer.external_id, scheme="sepa_core")
    counter.books.fault("partial_page", matching="GET /mandates")
    run = collect(counter, customer)
    assert isinstance(run.outcome, Pending)
    assert json.loads(run.sent[-1].body)["payments"]["links"] == {"mandate": fitting}


def test_a_customer_without_a_mandate_stands_there_all_the_same(counter):
    outcome = counter.run(Capability.SYNC_CUSTOMER, counter.customer_item()).outcome
    assert outcome.result.external_id == counter.books.customers()[0].id
    assert outcome.result.payment_method is None


def test_once_the_customer_has_signed_the_same_payment_goes_through(counter, customer):
    item = counter.payment_item(customer=customer)
    assert isinstance(counter.run(Capability.COLLECT_PAYMENT, item).outcome, Rejected)
    counter.books.sign_mandate(customer.external_id)
    assert isinstance(counter.run(Capability.COLLECT_PAYMENT, item).outcome, Pending)


def test_a_customer_that_never_came_to_gocardless_is_refused(counter):
    run = collect(counter, CustomerLink(an_id(901)))
    assert run.outcome.issues[0].code == "customer_not_there"
    assert run.sent == []


@pytest.mark.parametrize(
    "signed, currency, told",
    [
        ([("bacs", "cancelled")], "GBP", r"MD\d+ \(bacs\) is cancelled"),
        ([("bacs", "failed"), ("bacs", "expired")], "GBP", r"is expired; MD\d+ \(bacs\) is failed"),
        ([("bacs", "suspended_by_payer")], "GBP", "is suspended_by_payer"),
        ([("bacs", "blocked")], "GBP", "is blocked"),
        ([("bacs", "consumed")], "GBP", "is consumed"),
        ([("sepa_core", "active")], "GBP", r"\(sepa_core\) is active"),
        ([("bacs", "active")], "EUR", "can be charged in EUR"),
    ],
)
def test_a_mandate_that_can_t_be_charged_is_refused_before_sending(counter, customer, signed, currency, told):
    for scheme, status in signed:
        counter.books.sign_mandate(customer.external_id, scheme, status)
    run = collect(counter, customer, currency=currency)
    assert run.outcome.issues[0].code == "mandate_not_usable"
    assert re.search(told, run.outcome.issues[0].message)
    assert run.steps == ["mandates"]


@pytest.mark.parametrize("status", ["pending_customer_approval", "pending_submission", "submitted", "active"])
def test_a_mandate_on_its_way_can_be_charged(counter, customer, status):
    mandate = counter.books.sign_mandate(customer.external_id, "bacs", status)
    collect(counter, customer)
    assert [payment.mandate for payment in counter.books.payments()] == [mandate]


def test_of_several_mandates_the_most_advanced_is_charged_then_the_newest(counter, customer, clock):
    signed = []
    for scheme, status in (("bacs", "active"), ("bacs", "active"), ("bacs", "submitted"), ("sepa_core", "active")):
        signed.append(counter.books.sign_mandate(customer.external_id, scheme, status))
        clock.advance(timedelta(seconds=1))
    collect(counter, customer)
    collect(counter, customer, number=501, currency="EUR")
    assert [payment.mandate for payment in counter.books.payments()] == [signed[1], signed[3]]


def test_the_mandate_that_the_host_names_is_charged_and_no_other(counter, customer, clock):
    pinned = counter.books.sign_mandate(customer.external_id)
    clock.advance(timedelta(seconds=1))
    counter.books.sign_mandate(customer.external_id)
    metadata = {"gocardless/customer": customer.external_id, "gocardless/mandate": pinned}
    synced = counter.run(Capability.SYNC_CUSTOMER, counter.customer_item(metadata=metadata)).outcome.result
    assert synced.payment_method == pinned
    link = replace(customer, payment_method=synced.payment_method, app_data=synced.app_data)
    collect(counter, link)
    assert [payment.mandate for payment in counter.books.payments()] == [pinned]
    counter.act(f"/mandates/{pinned}/actions/cancel")
    assert collect(counter, link, number=501).outcome.issues[0].code == "mandate_not_usable"


@pytest.mark.parametrize("metadata", [{}, {"gocardless/mandate": ""}])
def test_a_mandate_that_is_named_no_more_is_not_the_only_one_any_more(counter, customer, metadata):
    signed = counter.books.sign_mandate(customer.external_id)
    metadata = {"gocardless/customer": customer.external_id, **metadata}
    synced = counter.run(Capability.SYNC_CUSTOMER, counter.customer_item(metadata=metadata)).outcome.result
    assert remembered({"mandate_of_metadata": "MD999999"}, synced) == {}
    collect(counter, replace(customer, app_data=synced.app_data))
    assert [payment.mandate for payment in counter.books.payments()] == [signed]


def test_a_mandate_that_the_host_names_and_nobody_signed_is_refused(counter, customer):
    counter.books.sign_mandate(customer.external_id)
    outcome = collect(counter, replace(customer, app_data={"mandate": "MD999999"})).outcome
    assert outcome.issues[0].code == "mandate_not_there"
    assert "gocardless/mandate" in outcome.issues[0].message


def test_a_mandate_that_dies_between_the_look_and_the_charge_is_refused_by_gocardless(counter, customer):
    mandate = counter.books.sign_mandate(customer.external_id)
    batch = counter.batch(counter.payment_item(customer=customer))
    looked = Reply.of({"mandates": [{"id": mandate, "status": "active", "scheme": "bacs"}], "meta": {}})
    counter.act(f"/mandates/{mandate}/actions/cancel")
    run = counter.drive(Capability.COLLECT_PAYMENT, batch, {"mandates": looked})
    assert json.loads(run.sent[-1].body)["payments"]["links"]["mandate"] == mandate
    assert run.outcome.issues[0].code == "mandate_is_inactive"


def test_a_scheme_that_nobody_knows_here_is_left_to_gocardless_to_judge(counter, customer):
    mandate = counter.books.sign_mandate(customer.external_id)
    batch = counter.batch(counter.payment_item(customer=customer))
    looked = Reply.of({"mandates": [{"id": mandate, "status": "active", "scheme": "teleport"}], "meta": {}})
    assert isinstance(counter.drive(Capability.COLLECT_PAYMENT, batch, {"mandates": looked}).outcome, Pending)


def test_a_payment_that_a_second_signatory_has_to_approve_says_so(counter, customer):
    mandate = counter.books.sign_mandate(customer.external_id, "bacs", "pending_customer_approval")
    result = collect(counter, customer).outcome.result
    assert (result.status, result.amount) == (PaymentStatus.ACTION_REQUIRED, 0)
    assert "by the e-mail that GoCardless sent" in result.message
    counter.books.run_scenario("mandate_customer_approval_granted", mandate)
    item = counter.payment_item(customer=customer, external_id=result.external_id)
    assert isinstance(counter.run(Capability.CHECK_PAYMENT, item).outcome, Pending)
