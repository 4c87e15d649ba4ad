"""What Stripe's answers and webhooks mean, good ones and bad ones."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from billhook.contract import (
    Answered,
    Busy,
    OutcomeUnknown,
    Pending,
    RefundStatus,
    Refusal,
    Reply,
    Request,
    Throttled,
    Unauthorized,
)
from billhook.plugins import ProviderHandle
from billhook_stripe import StripeCredentials, StripeSettings, provider, reading
from billhook_stripe.paying import read_intent

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HANDLE = ProviderHandle(provider)
REQUEST = Request("x", "POST", "https://api.stripe.com/v1/x")
SECRETS = StripeCredentials(api_key="sk", webhook_secret="whsec_1")


def error(status, **told):
    return Reply.of({"error": told}, status=status)


@pytest.mark.parametrize(
    "reply, verdict",
    [
        (Reply.of({"id": "in_1"}), Answered),
        (error(400, type="invalid_request_error"), Answered),
        (error(402, type="card_error"), Answered),
        (error(403, type="invalid_request_error"), Answered),
        (error(404, type="invalid_request_error"), Answered),
        (error(401, type="invalid_request_error", message="Invalid API Key"), Unauthorized),
        (error(429, code="rate_limit"), Throttled),
        (error(429, code="lock_timeout"), Busy),
        (error(409, type="idempotency_error"), Busy),
        (error(400, type="idempotency_error"), OutcomeUnknown),
        (error(500, type="api_error"), OutcomeUnknown),
        (error(503, type="api_error"), OutcomeUnknown),
        (Reply(200, (), b"<html>"), OutcomeUnknown),
        (Reply(200, (("content-type", "application/json"),), b'{"id": "in'), OutcomeUnknown),
        (Reply(502, (), b"Bad gateway"), OutcomeUnknown),
    ],
)
def test_what_an_answer_says_of_the_request(reply, verdict):
    assert isinstance(HANDLE.classify(REQUEST, reply), verdict)


def test_a_refusal_keeps_stripes_code_and_says_where():
    refused = reading.refused(error(400, code="invoice_not_editable", message="No.", param="number"))
    assert [(issue.code, issue.message, issue.path) for issue in refused.issues] == [
        ("invoice_not_editable", "No.", "/number")
    ]


def test_a_refusal_that_says_nothing_is_still_told():
    (issue,) = reading.refused(Reply(404, (), b"not found")).issues
    assert (issue.code, "404" in issue.message) == ("stripe_refused", True)


def test_a_code_of_no_known_form_is_not_passed_on():
    assert reading.refused(error(400, code="Strange Code!", message="x")).issues[0].code == "stripe_refused"


def test_a_status_that_nobody_knows_is_neither_success_nor_failure():
    intent = {"id": "pi_1", "status": "requires_moonlight", "currency": "eur", "amount_received": 0}
    outcome = read_intent(intent)
    assert isinstance(outcome, Pending)
    assert (outcome.external_id, outcome.check_after) == ("pi_1", reading.LOOK_AGAIN)


@pytest.mark.parametrize("status", ["pending", "requires_action", "strange"])
def test_a_refund_that_is_under_way_waits(status):
    outcome = reading.read_refund({"id": "re_1", "amount": 100, "currency": "eur", "status": status})
    assert isinstance(outcome, Pending)


@pytest.mark.parametrize("status", ["failed", "canceled"])
def test_a_refund_that_failed_says_so(status):
    result = reading.read_refund({"id": "re_1", "amount": 100, "currency": "eur", "status": status}).result
    assert (result.status, result.amount) == (RefundStatus.FAILED, Decimal("1.00"))


# Webhooks.


def signed(body: bytes, secret: str = "whsec_1", at: datetime = NOON) -> dict[str, str]:
    seconds = int(at.timestamp())
    mac = hmac.new(secret.encode(), f"{seconds}.".encode() + body, hashlib.sha256).hexdigest()
    return {"stripe-signature": f"t={seconds},v1={mac}"}


def an_event(type_: str, object_id: str = "x_1", method: str = "send_invoice", **more: str) -> bytes:
    about = {"id": object_id, "collection_method": method}
    told = {"id": "evt_1", "type": type_, "created": int(NOON.timestamp()), "data": {"object": about}, **more}
    return json.dumps(told).encode()


@pytest.mark.parametrize(
    "type_, kind",
    [
        ("invoice.paid", "document"),
        ("invoice.voided", "document"),
        ("payment_intent.succeeded", "payment"),
        ("payment_intent.payment_failed", "payment"),
    ],
)
def test_an_event_is_a_hint_at_what_changed(type_, kind):
    body = an_event(type_)
    (event,) = HANDLE.read_webhook(signed(body), body, SECRETS, NOON, StripeSettings())
    assert (event.id, event.kind, event.external_id, event.type, event.occurred_at) == (
        "evt_1",
        kind,
        "x_1",
        type_,
        NOON,
    )


def a_refund_event(type_: str, **about: object) -> bytes:
    told = {"id": "re_1", "payment_intent": "pi_1", "metadata": {}, **about}
    return json.dumps(
        {"id": "evt_1", "type": type_, "created": int(NOON.timestamp()), "data": {"object": told}}
    ).encode()


OURS = {"metadata": {"billhook_refund": "01J"}}


@pytest.mark.parametrize(
    "type_, about, hint",
    [
        ("refund.created", {}, [("payment", "pi_1")]),
        ("refund.updated", {}, [("payment", "pi_1")]),
        ("refund.failed", {}, [("payment", "pi_1")]),
        ("refund.created", OURS, []),
        ("refund.updated", OURS, [("refund", "re_1")]),
        ("refund.created", {"payment_intent": None}, []),
    ],
)
def test_a_refund_that_somebody_made_in_the_dashboard_is_a_hint_at_its_payment(type_, about, hint):
    body = a_refund_event(type_, **about)
    events = HANDLE.read_webhook(signed(body), body, SECRETS, NOON, StripeSettings())
    assert [(event.kind, event.external_id) for event in events] == hint


@pytest.mark.parametrize(
    "body",
    [
        an_event("customer.created"),
        an_event("charge.dispute.created"),
        an_event("invoice_payment.paid"),
        an_event("invoice.finalized"),
        an_event("payment_intent.created"),
        an_event("invoice.paid", method="charge_automatically"),
    ],
)
def test_what_tells_nothing_new_is_accepted_and_costs_no_read(body):
    assert HANDLE.read_webhook(signed(body), body, SECRETS, NOON, StripeSettings()) == ()


@pytest.mark.parametrize("account, told", [(None, 0), ("acct_1", 1), ("acct_2", 0)])
def test_an_event_of_another_connected_account_is_left_out(account, told):
    body = an_event("invoice.paid", account="acct_1")
    assert len(HANDLE.read_webhook(signed(body), body, SECRETS, NOON, StripeSettings(account=account))) == told


def test_a_signature_among_several_is_enough():
    body = an_event("invoice.paid")
    old, new = signed(body, "whsec_old"), signed(body)
    both = {"stripe-signature": old["stripe-signature"] + "," + new["stripe-signature"].partition(",")[2]}
    assert len(HANDLE.read_webhook(both, body, SECRETS, NOON, StripeSettings())) == 1


@pytest.mark.parametrize(
    "headers, why",
    [
        ({}, "does not match"),
        ({"stripe-signature": "nonsense"}, "does not match"),
        ({"stripe-signature": "t=1,v1=00"}, "does not match"),
        (signed(an_event("invoice.paid"), "whsec_other"), "does not match"),
        (signed(an_event("invoice.voided")), "does not match"),
        (signed(an_event("invoice.paid"), at=NOON - timedelta(seconds=301)), "away from now"),
        (signed(an_event("invoice.paid"), at=NOON + timedelta(seconds=301)), "away from now"),
    ],
)
def test_a_webhook_that_is_not_stripes_or_is_old_is_refused(headers, why):
    refusal = HANDLE.read_webhook(headers, an_event("invoice.paid"), SECRETS, NOON, StripeSettings())
    assert isinstance(refusal, Refusal)
    assert why in refusal.reason


@pytest.mark.parametrize("secrets", [None, StripeCredentials(api_key="sk")])
def test_without_a_secret_every_webhook_is_refused(secrets):
    body = an_event("invoice.paid")
    refusal = HANDLE.read_webhook(signed(body, ""), body, secrets, NOON, StripeSettings())
    assert "webhook_secret" in refusal.reason


@pytest.mark.parametrize("body", [b"[]", b'{"type": "invoice.paid"}', b"null", b"\xff\xfe"])
def test_a_signed_body_that_is_no_event_is_refused(body):
    assert isinstance(HANDLE.read_webhook(signed(body), body, SECRETS, NOON, StripeSettings()), Refusal)


def test_the_simulators_webhooks_are_stripes(counter, books):
    sent, charged = counter.issued(1, workflow={"collection_method": "send_invoice"}), counter.issued(2)
    books.pay_on_page(sent.external_id)
    counter.run("collect_payment", counter.payment_item(charged))
    now = counter.clock.now()
    secrets = StripeCredentials(api_key="sk", webhook_secret="whsec_simulator")
    read = [
        HANDLE.read_webhook({name.lower(): value for name, value in headers}, body, secrets, now, StripeSettings())
        for headers, body in books.pending_webhooks()
    ]
    events = [event for each in read for event in each]
    told = [(event.type, event.external_id) for event in events]
    paid = [payment.id for payment in books.payments()]
    assert sorted(told) == sorted(
        [("invoice.paid", sent.external_id), *(("payment_intent.succeeded", id) for id in paid)]
    )


def test_no_secret_shows_in_a_credential():
    assert "sk_live" not in repr(StripeCredentials(api_key="sk_live_1", webhook_secret="whsec_2"))
