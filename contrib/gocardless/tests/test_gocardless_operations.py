from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from billhook.contract import (
    Account,
    Capability,
    ConnectionItem,
    CustomerLink,
    OutcomeUnknown,
    PaymentStatus,
    Pending,
    RefundStatus,
    Reply,
    Retry,
    Throttled,
    Unauthorized,
)
from billhook.testing.builders import an_id
from billhook_gocardless import GoCardlessCredentials
from billhook_gocardless.reading import LOOK_AGAIN
from billhook_gocardless.simulator.rules import GoCardlessRules

# Customers and mandates.


def test_a_new_customer_stands_there_with_the_mandate_that_it_signed(counter):
    outcome = counter.run(Capability.SYNC_CUSTOMER, counter.customer_item()).outcome
    (customer,) = counter.books.customers()
    assert outcome.result.external_id == customer.id
    assert outcome.result.payment_method == counter.books.mandates()[0].id


def test_a_customer_that_the_host_names_is_read_and_never_changed(counter):
    customer_id = counter.customer()
    before = counter.books.customers()
    metadata = {"gocardless/customer": customer_id}
    run = counter.run(Capability.SYNC_CUSTOMER, counter.customer_item(2, metadata=metadata))
    assert run.outcome.result.external_id == customer_id
    assert not any(request.effectful for request in run.sent)
    assert counter.books.customers() == before


def test_a_customer_that_the_host_names_wrongly_is_refused(counter):
    item = counter.customer_item(metadata={"gocardless/customer": "CU999999"})
    outcome = counter.run(Capability.SYNC_CUSTOMER, item).outcome
    assert [issue.code for issue in outcome.issues] == ["resource_not_found"]


def test_everything_wrong_with_a_customer_is_told(counter):
    party = counter.customer_item().customer.model_copy(update={"email": "nobody"})
    outcome = counter.run(Capability.SYNC_CUSTOMER, counter.customer_item(customer=party)).outcome
    assert [issue.code for issue in outcome.issues] == ["validation_failed"]
    assert "email: is not a valid email address" in outcome.issues[0].message


# Payments, from the first day to the last.


def check(counter, payment_id, **changes):
    item = counter.payment_item(external_id=payment_id, **changes)
    return counter.run(Capability.CHECK_PAYMENT, item).outcome


def test_a_payment_is_pending_for_days_and_then_received(counter, clock):
    outcome = counter.run(Capability.COLLECT_PAYMENT, counter.payment_item()).outcome
    assert isinstance(outcome, Pending)
    assert (outcome.external_id, outcome.check_after) == (counter.books.payments()[0].id, LOOK_AGAIN)
    assert "to be charged on 2026-03-05" in outcome.reason
    clock.advance(timedelta(days=1))
    assert "is submitted" in check(counter, outcome.external_id).reason
    clock.advance(timedelta(days=2))
    received = check(counter, outcome.external_id).result
    assert (received.status, received.amount) == (PaymentStatus.SUCCEEDED, Decimal("7.65"))


def test_money_counts_when_it_is_paid_out_where_the_app_says_so(counter, clock):
    counter.settings = counter.settings.model_copy(update={"received_when": "paid_out"})
    payment_id = counter.run(Capability.COLLECT_PAYMENT, counter.payment_item()).outcome.external_id
    clock.advance(timedelta(days=3))
    assert isinstance(check(counter, payment_id), Pending)
    clock.advance(timedelta(days=2))
    assert check(counter, payment_id).result.status is PaymentStatus.SUCCEEDED


@pytest.mark.parametrize(
    "scenario, status, code, told",
    [
        ("payment_failed", PaymentStatus.FAILED, "insufficient_funds", "insufficient funds"),
        ("payment_late_failure", PaymentStatus.FAILED, "insufficient_funds", "insufficient funds"),
        ("payment_charged_back", PaymentStatus.FAILED, "charged_back", "not authorised"),
    ],
)
def test_a_payment_that_fails_early_or_late_says_why(counter, scenario, status, code, told):
    payment_id = counter.run(Capability.COLLECT_PAYMENT, counter.payment_item()).outcome.external_id
    counter.books.run_scenario(scenario, payment_id)
    result = check(counter, payment_id).result
    assert (result.status, result.code, result.amount) == (status, code, 0)
    assert told in result.message


def test_a_chargeback_that_the_bank_takes_back_is_received_again(counter):
    payment_id = counter.collected()
    counter.books.run_scenario("payment_charged_back", payment_id)
    assert check(counter, payment_id).result.status is PaymentStatus.FAILED
    counter.books.run_scenario("payment_chargeback_cancelled", payment_id)
    assert check(counter, payment_id).result.status is PaymentStatus.SUCCEEDED


def test_a_payment_cancelled_with_its_mandate_is_canceled_here(counter):
    payment_id = counter.run(Capability.COLLECT_PAYMENT, counter.payment_item()).outcome.external_id
    (mandate,) = {payment.mandate for payment in counter.books.payments()}
    counter.act(f"/mandates/{mandate}/actions/cancel")
    result = check(counter, payment_id).result
    assert (result.status, result.code) == (PaymentStatus.CANCELED, "cancelled")


def test_a_payment_cancelled_in_the_dashboard_is_canceled_here(counter):
    payment_id = counter.run(Capability.COLLECT_PAYMENT, counter.payment_item()).outcome.external_id
    counter.act(f"/payments/{payment_id}/actions/cancel")
    assert check(counter, payment_id).result.status is PaymentStatus.CANCELED


def test_a_failed_payment_that_was_retried_over_there_is_pending_again(counter):
    payment_id = counter.run(Capability.COLLECT_PAYMENT, counter.payment_item()).outcome.external_id
    counter.books.run_scenario("payment_failed", payment_id)
    counter.act(f"/payments/{payment_id}/actions/retry")
    assert isinstance(check(counter, payment_id), Pending)


def test_a_status_that_nobody_knows_yet_is_neither_success_nor_failure(counter):
    payment_id = counter.run(Capability.COLLECT_PAYMENT, counter.payment_item()).outcome.external_id
    payment = counter.books.ledger.find("payments", payment_id)
    counter.books.ledger.put(replace(payment, body={**payment.body, "status": "teleported"}, due_at=None))
    assert "is teleported" in check(counter, payment_id).reason


def test_a_payment_that_stands_there_already_is_read_and_not_made_again(counter):
    item = counter.payment_item()
    payment_id = counter.run(Capability.COLLECT_PAYMENT, item).outcome.external_id
    run = counter.run(Capability.COLLECT_PAYMENT, replace(item, leftovers={"create": payment_id}))
    assert run.outcome.external_id == payment_id
    assert len(counter.books.payments()) == 1


def test_a_payment_whose_id_was_never_heard_is_found_among_the_customer_s(counter):
    item = counter.payment_item()
    counter.run(Capability.COLLECT_PAYMENT, item)
    outcome = counter.run(Capability.CHECK_PAYMENT, item).outcome
    assert outcome.external_id == counter.books.payments()[0].id
    other = counter.payment_item(number=501, customer=item.customer)
    assert counter.run(Capability.CHECK_PAYMENT, other).outcome.issues[0].code == "payment_not_there"


def test_a_payment_whose_id_is_not_known_is_found_on_the_second_page(counter):
    customer = CustomerLink(an_id(901), counter.customer())
    older, newer = (counter.payment_item(number=number, customer=customer) for number in (501, 502))
    made = [counter.run(Capability.COLLECT_PAYMENT, item).outcome.external_id for item in (older, newer)]
    counter.books.fault("partial_page", matching="GET /payments")
    assert counter.run(Capability.CHECK_PAYMENT, older).outcome.external_id == made[0]


# Refunds.


def test_a_refund_takes_days_and_counts_when_it_was_paid(counter, clock):
    item = counter.refund_item(counter.collected())
    outcome = counter.run(Capability.REFUND, item).outcome
    assert isinstance(outcome, Pending)
    again = replace(item, external_id=outcome.external_id)
    clock.advance(timedelta(days=3))
    result = counter.run(Capability.REFUND, again).outcome.result
    assert (result.status, result.amount) == (RefundStatus.SUCCEEDED, Decimal("1.00"))
    assert len(counter.books.refunds()) == 1


@pytest.mark.parametrize("scenario", ["refund_bounced", "refund_returned"])
def test_a_refund_that_comes_back_has_failed(counter, scenario):
    item = counter.refund_item(counter.collected())
    refund_id = counter.run(Capability.REFUND, item).outcome.external_id
    counter.books.run_scenario(scenario, refund_id)
    result = counter.run(Capability.REFUND, replace(item, external_id=refund_id)).outcome.result
    assert result.status is RefundStatus.FAILED
    assert "did not reach the customer" in result.message


def test_more_than_is_left_is_refused_before_sending(counter):
    payment_id = counter.collected("7.65")
    counter.run(Capability.REFUND, counter.refund_item(payment_id, "7.00"))
    run = counter.run(Capability.REFUND, counter.refund_item(payment_id, "1.00", 701))
    assert run.outcome.issues[0].code == "refund_too_large"
    assert "0.65 of payment" in run.outcome.issues[0].message
    assert run.steps == ["payment"]


def test_a_refund_that_somebody_overtook_is_tried_again_with_the_new_sum(counter):
    payment_id = counter.collected()
    batch = counter.batch(counter.refund_item(payment_id))
    before = counter.answer(next(counter.handle.start(Capability.REFUND, batch)))
    counter.run(Capability.REFUND, counter.refund_item(payment_id, "2.00", 701))
    assert isinstance(counter.drive(Capability.REFUND, batch, {"payment": before}).outcome, Retry)
    assert isinstance(counter.drive(Capability.REFUND, batch).outcome, Pending)
    assert counter.books.payments()[0].amount_refunded == Decimal("3.00")


def test_what_was_not_collected_yet_can_t_be_refunded(counter):
    payment_id = counter.run(Capability.COLLECT_PAYMENT, counter.payment_item()).outcome.external_id
    outcome = counter.run(Capability.REFUND, counter.refund_item(payment_id)).outcome
    assert outcome.issues[0].code == "refund_payment_invalid_state"


# Connection, limits and tokens.


def test_the_connection_shows_for_whom_is_collected(counter):
    outcome = counter.run(Capability.CHECK_CONNECTION, ConnectionItem(an_id(1))).outcome
    assert outcome.result.accounts == (Account("CR000001", "Acme Ltd"),)


def test_a_token_that_nobody_knows_is_unauthorized(counter):
    request = counter.effect(Capability.COLLECT_PAYMENT, counter.batch(counter.payment_item()))
    counter.credentials = GoCardlessCredentials(access_token="stolen")
    assert isinstance(counter.handle.classify(request, counter.answer(request)), Unauthorized)


@pytest.mark.parametrize("rules", [GoCardlessRules(calls_per_minute=4)])
def test_a_full_minute_says_until_when_to_wait_and_every_answer_what_is_left(counter, clock):
    request = counter.effect(Capability.COLLECT_PAYMENT, counter.batch(counter.payment_item()))
    fourth, fifth = counter.answer(request, "one"), counter.answer(request, "two")
    assert counter.handle.classify(request, fourth).remaining == {"requests": 0}
    next_minute = clock.now().replace(second=0) + timedelta(minutes=1)
    assert counter.handle.classify(request, fifth) == Throttled(until=next_minute, limit="requests")
    clock.advance(timedelta(minutes=1))
    assert counter.send(request, "two").status == 201


@pytest.mark.parametrize(
    "reply, verdict",
    [
        (Reply(500), OutcomeUnknown),
        (Reply(503), OutcomeUnknown),
        (Reply(408), OutcomeUnknown),
        (Reply(409), OutcomeUnknown),
        (Reply.of({"error": {"type": "gocardless", "code": 500}}, status=500), OutcomeUnknown),
        (Reply.of({"error": {"code": "request_in_flight"}}, status=409), OutcomeUnknown),
        (Reply(201, (("content-type", "text/html"),), b"<html>"), OutcomeUnknown),
        (Reply(200, (), b""), OutcomeUnknown),
        (Reply(200, (), b"[]"), OutcomeUnknown),
        (Reply(401), Unauthorized),
        (Reply.of({"error": {"errors": [{"reason": "access_token_revoked"}]}}, status=403), Unauthorized),
        (Reply(429), Throttled),
        (Reply(429, (("ratelimit-reset", "soon"),)), Throttled),
        (Reply(429, (("retry-after", "7"),)), Throttled),
    ],
)
def test_only_what_surely_was_judged_is_believed(counter, reply, verdict):
    request = counter.effect(Capability.COLLECT_PAYMENT, counter.batch(counter.payment_item()))
    assert isinstance(counter.handle.classify(request, reply), verdict)


def test_a_refusal_that_holds_nothing_readable_still_says_what_was_answered(counter):
    item = counter.payment_item()
    outcome = counter.drive(Capability.COLLECT_PAYMENT, counter.batch(item), {"mandates": Reply(404)}).outcome
    assert outcome.issues[0].message == "GoCardless answered 404."


FORBIDDEN = Reply.of(
    {
        "error": {
            "type": "invalid_api_usage",
            "message": "Forbidden",
            "errors": [{"reason": "insufficient_permissions"}],
        }
    },
    status=403,
)


@pytest.mark.parametrize(
    "capability, item, step",
    [
        (Capability.SYNC_CUSTOMER, lambda counter: counter.customer_item(), "create"),
        (Capability.SYNC_CUSTOMER, lambda counter: counter.customer_item(), "mandates"),
        (Capability.COLLECT_PAYMENT, lambda counter: counter.payment_item(), "mandates"),
        (Capability.COLLECT_PAYMENT, lambda counter: counter.payment_item(), "create"),
        (Capability.CHECK_PAYMENT, lambda counter: counter.payment_item(), "payments"),
        (Capability.CHECK_PAYMENT, lambda counter: counter.payment_item(external_id="PM1"), "payment"),
        (Capability.REFUND, lambda counter: counter.refund_item("PM1"), "payment"),
        (Capability.REFUND, lambda counter: counter.refund_item("PM1", external_id="RF1"), "refund"),
        (Capability.CHECK_CONNECTION, lambda counter: ConnectionItem(an_id(1)), "creditors"),
    ],
)
def test_a_refusal_at_any_step_is_told_with_its_reason(counter, capability, item, step):
    outcome = counter.drive(capability, counter.batch(item(counter)), {step: FORBIDDEN}).outcome
    assert [(issue.code, issue.message) for issue in outcome.issues] == [
        ("insufficient_permissions", "GoCardless refuses: Forbidden")
    ]


def test_a_failure_whose_events_can_t_be_read_is_told_by_its_status(counter):
    payment_id = counter.run(Capability.COLLECT_PAYMENT, counter.payment_item()).outcome.external_id
    counter.books.run_scenario("payment_failed", payment_id)
    batch = counter.batch(counter.payment_item(external_id=payment_id))
    result = counter.drive(Capability.CHECK_PAYMENT, batch, {"events": FORBIDDEN}).outcome.result
    assert (result.code, result.message) == ("failed", "GoCardless says that the payment is failed.")


def test_a_payment_of_a_customer_that_never_came_there_can_t_be_found(counter):
    item = counter.payment_item(customer=CustomerLink(an_id(901)))
    assert counter.run(Capability.CHECK_PAYMENT, item).outcome.issues[0].code == "customer_not_there"


def test_a_refund_finer_than_a_penny_is_refused_before_sending(counter):
    run = counter.run(Capability.REFUND, counter.refund_item("PM1", "0.005"))
    assert run.outcome.issues[0].code == "amount_too_fine"
    assert run.sent == []
