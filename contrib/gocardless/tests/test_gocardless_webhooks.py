from __future__ import annotations

import hashlib
import hmac
import json
from datetime import timedelta

import pytest

from billhook.contract import Capability, Refusal
from billhook_gocardless import GoCardlessCredentials
from billhook_gocardless.incoming import read_events
from billhook_gocardless.simulator.rules import GoCardlessRules

SECRET = "gocardless-webhook-secret"


def read(counter, headers, body, secrets=None):
    lowered = {name.lower(): value for name, value in headers}
    return counter.handle.read_webhook(
        lowered, body, secrets or counter.credentials, counter.clock.now(), counter.settings
    )


def signed(body: bytes, secret: str = SECRET):
    return {"webhook-signature": hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}


def test_one_webhook_tells_several_events_and_each_names_its_payment(counter):
    payment_id = counter.collected()
    ((headers, body),) = counter.books.pending_webhooks()
    events = read(counter, headers, body)
    assert [event.type for event in events] == [
        "payments.created",
        "payments.submitted",
        "payments.confirmed",
        "payments.paid_out",
    ]
    assert {(event.kind, event.external_id) for event in events} == {("payment", payment_id)}
    assert len({event.id for event in events}) == 4
    assert events[0].occurred_at == counter.clock.now()


def test_an_event_says_why_a_payment_failed(counter):
    payment_id = counter.run(Capability.COLLECT_PAYMENT, counter.payment_item()).outcome.external_id
    counter.books.run_scenario("payment_failed", payment_id)
    ((headers, body),) = counter.books.pending_webhooks()
    assert read(counter, headers, body)[-1].details["cause"] == "insufficient_funds"


def test_a_refund_is_told_as_one(counter):
    refund_id = counter.run(Capability.REFUND, counter.refund_item(counter.collected())).outcome.external_id
    ((headers, body),) = counter.books.pending_webhooks()
    last = read(counter, headers, body)[-1]
    assert (last.kind, last.external_id, last.type) == ("refund", refund_id, "refunds.created")


def test_what_happens_to_mandates_needs_no_reading(counter):
    counter.customer()
    ((headers, body),) = counter.books.pending_webhooks()
    assert {event["resource_type"] for event in json.loads(body)["events"]} == {"mandates"}
    assert read(counter, headers, body) == ()


def test_an_event_can_be_told_by_itself(counter):
    counter.collected()
    event = counter.books.ledger.events_to_tell()[-1]
    headers, body = counter.books.webhook(event, counter.clock.now())
    assert [each.type for each in read(counter, headers, body)] == ["payments.paid_out"]


@pytest.mark.parametrize("rules", [GoCardlessRules(events_per_webhook=3)])
def test_many_events_come_in_several_webhooks(counter):
    counter.collected()
    told = [read(counter, headers, body) for headers, body in counter.books.pending_webhooks()]
    assert [len(json.loads(body)["events"]) for _, body in counter.books.pending_webhooks()] == [3, 3]
    assert sum(len(events) for events in told) == 4


def test_a_webhook_that_was_answered_is_not_told_again_and_another_is(counter):
    counter.collected()
    assert counter.books.deliver_webhooks(lambda headers, body: 500) == 1
    assert counter.books.deliver_webhooks(lambda headers, body: 204) == 1
    assert counter.books.deliver_webhooks(lambda headers, body: 204) == 0


def test_events_delivered_twice_or_backwards_keep_their_ids(counter, books):
    counter.collected()
    bodies = []
    for kind in ("duplicate_delivery", "reordered_delivery"):
        books.fault(kind)
        books.deliver_webhooks(lambda headers, body: bodies.append((headers, body)) or 500)
    twice, backwards = ([event.id for event in read(counter, *each)] for each in bodies)
    assert twice == [*twice[:4], *twice[:4]]
    assert backwards == twice[3::-1]


def test_a_copy_of_an_old_webhook_reads_as_the_same_events(counter, clock):
    counter.collected()
    ((headers, body),) = counter.books.pending_webhooks()
    first = read(counter, headers, body)
    clock.advance(timedelta(days=365))
    assert read(counter, headers, body) == first


@pytest.mark.parametrize(
    "headers, reason",
    [
        ({}, "does not match"),
        ({"webhook-signature": ""}, "does not match"),
        ({"webhook-signature": "0" * 64}, "does not match"),
        ({"webhook-signature": "schlüssel"}, "does not match"),
        (signed(b'{"events":[]} '), "does not match"),
        (signed(b'{"events":[]}', "another"), "does not match"),
    ],
)
def test_a_webhook_without_our_signature_is_refused(headers, reason):
    refusal = read_events(headers, b'{"events":[]}', SECRET)
    assert isinstance(refusal, Refusal)
    assert reason in refusal.reason


def test_a_signed_webhook_without_events_is_taken():
    assert read_events(signed(b'{"events":[]}'), b'{"events":[]}', SECRET) == ()


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"events":[{}]}', b'{"events":[1]}', b'{"events":1}'])
def test_a_signed_body_that_is_none_of_gocardless_s_is_refused(body):
    refusal = read_events(signed(body), body, SECRET)
    assert isinstance(refusal, Refusal)
    assert "holds no events" in refusal.reason


def test_without_a_secret_every_webhook_is_refused(counter):
    bare = GoCardlessCredentials(access_token="token")
    refusal = read(counter, signed(b"{}").items(), b"{}", bare)
    assert isinstance(refusal, Refusal)
    assert "add webhook_secret" in refusal.reason


def test_no_secret_shows_in_what_is_printed(counter):
    assert "gocardless-token" not in repr(counter.credentials)
    assert SECRET not in repr(counter.credentials)
