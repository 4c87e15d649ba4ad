"""How notifications arrive: signed, in order, again until they do, and without one receiver slowing another."""

from __future__ import annotations

import base64
import hmac
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import pytest
from receiving import Received, receiving
from standardwebhooks.webhooks import Webhook
from telling import render

from billhook.engine.notifications.kinds import DeliveryState
from billhook.engine.notifications.schedule import GIVE_UP_AFTER, PAUSES
from billhook.errors import InvalidInput, NotFound
from billhook.store import schema

OpenTelling = Callable[..., Any]
SCHEDULE_SECONDS = [0, 5, 300, 1_800, 7_200, 18_000, 36_000, 36_000]


def one_event(told: Any) -> Any:
    """A test event, which is one delivery to one channel."""
    return told.notifications.events.test(told.rules[0].id)


def signed_as_svix_says(received: Received, secret: str) -> bool:
    """Svix's own rule, written out."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{received.headers['svix-id']}.{received.headers['svix-timestamp']}.".encode() + received.body
    expected = base64.b64encode(hmac.new(key, signed, sha256).digest()).decode()
    given = [each.split(",", 1) for each in received.headers["svix-signature"].split(" ")]
    return any(version == "v1" and hmac.compare_digest(expected, value) for version, value in given)


def test_both_families_of_headers_verify_with_the_secret(telling_anywhere: OpenTelling):
    told = telling_anywhere()
    # Receivers check how old a request is by their own clock.
    told.shop.clock.advance(datetime.now(UTC) - told.shop.clock.now())
    event = one_event(told)
    told.send()
    (received,) = told.receiver.received
    secret = told.channel.signing_secret.get_secret_value()
    verified = Webhook(secret).verify(received.body, received.headers)
    assert verified == received.json
    assert signed_as_svix_says(received, secret)
    assert received.headers["webhook-id"] == received.headers["svix-id"] == received.json["id"] == event.id
    assert received.headers["content-type"] == "application/json"
    other = told.a_channel().signing_secret.get_secret_value()
    assert not signed_as_svix_says(received, other)


def test_the_headers_of_a_channel_are_sent_with_it(telling: OpenTelling):
    told = telling()
    told.notifications.channels.update(
        told.channel.id, custom_headers={"Authorization": "Bearer sesame", "X-Team": "billing"}
    )
    one_event(told)
    told.send()
    headers = told.receiver.received[0].headers
    assert (headers["authorization"], headers["x-team"]) == ("Bearer sesame", "billing")


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_any_success_is_one(telling: OpenTelling, status: int):
    told = telling()
    told.receiver.plan.append(status)
    event = one_event(told)
    told.send()
    delivery = told.delivery(event.id)
    assert (delivery.state, delivery.next_attempt_at) == (DeliveryState.SUCCESS, None)
    assert [(each.status_code, each.state) for each in delivery.attempts] == [(status, DeliveryState.SUCCESS)]


def test_a_redirect_is_a_failure_and_is_not_followed(telling: OpenTelling):
    told = telling()
    told.receiver.plan.append(307)
    told.receiver.headers = {"location": told.receiver.url}
    event = one_event(told)
    told.send()
    assert len(told.receiver.received) == 1
    delivery = told.delivery(event.id)
    assert (delivery.state, delivery.reason) == (DeliveryState.SENDING, "The receiver answered 307.")


def test_a_failure_is_tried_again_on_schedule_and_given_up_at_its_end(telling_anywhere: OpenTelling):
    told = telling_anywhere()
    told.receiver.otherwise, told.receiver.body = 500, b"out of order"
    event = one_event(told)
    began = told.shop.clock.now()
    for seconds in SCHEDULE_SECONDS:
        if seconds:
            told.turn(seconds - 1)
            assert told.delivery(event.id).state is DeliveryState.SENDING
            told.turn(1)
        else:
            told.send()
    delivery = told.delivery(event.id)
    assert (delivery.state, delivery.next_attempt_at) == (DeliveryState.FAILED, None)
    assert delivery.reason == "The receiver answered 500. It was tried 8 times."
    waited = [round((attempt.at - began).total_seconds()) for attempt in delivery.attempts]
    assert waited == [sum(SCHEDULE_SECONDS[: place + 1]) for place in range(8)]
    assert {attempt.body for attempt in delivery.attempts} == {"out of order"}
    assert set(told.receiver.ids) == {event.id}
    bodies = {each.body for each in told.receiver.received}
    assert len(bodies) == 1
    told.turn(200_000)
    assert len(told.receiver.received) == 8
    assert [pause.total_seconds() for pause in PAUSES] == SCHEDULE_SECONDS[1:]


def test_no_answer_in_time_is_a_failure(telling: OpenTelling):
    told = telling()
    told.notifications.channels.update(told.channel.id, url="http://127.0.0.1:9/nobody")
    event = one_event(told)
    told.send()
    delivery = told.delivery(event.id)
    assert delivery.state is DeliveryState.SENDING
    assert delivery.reason.startswith("No answer: ConnectError")
    assert delivery.attempts[0].status_code is None


def test_what_came_later_does_not_wait_for_what_failed(telling: OpenTelling):
    told = telling()
    told.receiver.plan.extend([503])
    told.shop.submit()
    told.send()
    ids = told.receiver.ids
    assert told.receiver.told[0] == ("invoice.updated", "draft.waiting_for_collection")
    assert told.receiver.told[-1] == ("invoice.created", "draft.syncing")
    told.turn(5)
    assert told.receiver.ids[len(ids) :] == [ids[0]]


def test_an_event_is_sent_once_more_under_the_id_that_it_had(telling_anywhere: OpenTelling):
    told = telling_anywhere()
    event = one_event(told)
    told.send()
    told.shop.clock.advance(timedelta(days=1))
    told.notifications.events.resend(event.id)
    assert told.delivery(event.id).state is DeliveryState.RESENDING
    told.receiver.plan.append(500)
    told.send()
    assert told.delivery(event.id).state is DeliveryState.SENDING
    told.turn(5)
    assert told.delivery(event.id).state is DeliveryState.SUCCESS
    assert told.receiver.ids == [event.id] * 3
    assert len({each.body for each in told.receiver.received}) == 1
    assert len(told.delivery(event.id).attempts) == 3


def test_what_is_about_to_be_sent_is_not_sent_twice_by_asking_for_it_once_more(telling: OpenTelling):
    told = telling()
    event = one_event(told)
    told.notifications.events.resend(event.id)
    assert told.delivery(event.id).state is DeliveryState.PENDING
    told.send()
    assert told.receiver.ids == [event.id]


def test_only_channels_that_take_something_can_get_an_event_once_more(telling: OpenTelling):
    told = telling()
    event = one_event(told)
    told.send()
    stranger = told.a_channel()
    with pytest.raises(InvalidInput, match="did not go to channel"):
        told.notifications.events.resend(event.id, [stranger.id])
    told.notifications.channels.update(told.channel.id, disabled=True)
    with pytest.raises(InvalidInput, match="Enable it first"):
        told.notifications.events.resend(event.id, [told.channel.id])
    with pytest.raises(NotFound):
        told.shop.engine.namespace("other").notifications.events.resend(event.id)


def test_a_channel_where_nothing_arrives_for_days_is_disabled_with_the_reason(telling_anywhere: OpenTelling):
    told = telling_anywhere()
    told.receiver.otherwise = 500
    first = one_event(told)
    told.send()
    for _ in range(4):
        told.turn(86_400)
        one_event(told)
        told.send()
    assert told.notifications.channels.get(told.channel.id).disabled is False
    told.turn(86_400)
    channel = told.notifications.channels.get(told.channel.id)
    assert channel.disabled is True
    assert channel.disabled_reason.startswith("Nothing has arrived since 2026-05-01 12:00 UTC.")
    assert timedelta(days=5) == GIVE_UP_AFTER
    later = one_event(told)
    told.turn(86_400)
    sent = len(told.receiver.received)
    assert told.delivery(later.id).reason == "The channel is disabled. Enable it, then resend."
    told.receiver.otherwise = 204
    enabled = told.notifications.channels.update(told.channel.id, disabled=False)
    assert (enabled.disabled, enabled.disabled_reason) == (False, None)
    for event in (first, later):
        told.notifications.events.resend(event.id)
    told.send()
    assert told.receiver.ids[sent:] == [first.id, later.id]
    assert told.delivery(first.id).state is told.delivery(later.id).state is DeliveryState.SUCCESS


def test_one_success_lets_a_failing_channel_live_on(telling: OpenTelling):
    told = telling()
    told.receiver.otherwise = 500
    for day in range(8):
        one_event(told)
        told.receiver.otherwise = 204 if day == 3 else 500
        told.turn(86_400)
    assert told.notifications.channels.get(told.channel.id).disabled is False


def test_disabling_a_channel_ends_what_is_on_its_way(telling: OpenTelling):
    told = telling()
    event = one_event(told)
    told.notifications.channels.update(told.channel.id, disabled=True)
    told.send()
    assert told.receiver.received == []
    delivery = told.delivery(event.id)
    assert (delivery.state, delivery.next_attempt_at) == (DeliveryState.FAILED, None)


def test_a_secret_is_neither_stored_nor_shown_in_clear(telling: OpenTelling, caplog: pytest.LogCaptureFixture):
    told = telling()
    channel = told.a_channel(custom_headers={"Authorization": "Bearer sesame-open"}, url=told.receiver.url)
    told.a_rule("invoice.created", channel)
    told.receiver.otherwise = 500
    told.shop.submit()
    told.send()
    secret = channel.signing_secret.get_secret_value()
    kept = repr([told.shop.rows(table) for table in schema.metadata.sorted_tables]) + caplog.text + repr(channel)
    assert secret not in kept
    assert "sesame-open" not in kept
    assert told.notifications.channels.get(channel.id) == channel


def test_secrets_are_encrypted_anew_when_keys_are_rotated(telling: OpenTelling):
    told = telling()
    before = told.shop.rows(schema.credential, id=told.channel.id)[0]["data"]
    assert before
    assert told.shop.engine.rotate_credentials().credentials >= 1
    assert told.notifications.channels.get(told.channel.id).signing_secret == told.channel.signing_secret


# Threads.


def test_a_dead_receiver_slows_nobody_else(telling: OpenTelling):
    told = telling()
    release = threading.Event()
    with receiving() as dead:
        dead.before_answer = lambda _: release.wait(30) and None
        slow = [told.a_channel(url=dead.url) for _ in range(4)]
        for channel in slow:
            told.a_rule("invoice.updated", channel)
        arrived = threading.Event()
        told.receiver.before_answer = lambda came: arrived.set() if came.told[0] == "invoice.created" else None
        with told.shop.engine.dispatcher(render, threads=8):
            told.shop.submit()
            assert arrived.wait(20), "nothing arrived while others gave no answer"
            assert len(dead.received) <= 4
            release.set()
