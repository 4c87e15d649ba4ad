"""Channels and rules: what may be stored, changed, listed and deleted."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from billhook.engine.notifications.kinds import ListOrder
from billhook.errors import Conflict, InvalidInput, NotAllowed, NotFound

OpenTelling = Callable[..., Any]
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def test_a_channel_keeps_what_it_was_given(telling_anywhere: OpenTelling):
    told = telling_anywhere()
    channels = told.notifications.channels
    made = channels.create(
        "Shop",
        told.receiver.url,
        disabled=True,
        signing_secret=SECRET,
        custom_headers={"X-Team": "billing"},
        metadata={"team": "billing"},
    )
    assert channels.get(made.id) == made
    assert made.signing_secret.get_secret_value() == SECRET
    changed = channels.update(made.id, name="Other", disabled=False)
    assert changed.signing_secret == made.signing_secret
    assert (changed.name, changed.disabled, changed.metadata) == ("Other", False, {"team": "billing"})
    other = channels.update(made.id, signing_secret=SECRET.removeprefix("whsec_") + "AAAA", custom_headers={})
    assert channels.get(made.id) == other


def test_a_fresh_secret_is_one_that_the_standard_knows(telling: OpenTelling):
    secret = telling().channel.signing_secret.get_secret_value()
    assert secret.startswith("whsec_")
    assert len(secret) == 50


@pytest.mark.parametrize(
    "changes",
    [
        {"signing_secret": "short"},
        {"signing_secret": "whsec_" + "a" * 33},
        {"signing_secret": "not base64 at all, and long enough for it"},
        {"custom_headers": {"Webhook-Id": "mine"}},
        {"custom_headers": {"svix-signature": "v1,mine"}},
        {"custom_headers": {"Host": "other.example"}},
        {"custom_headers": {"X-Break": "a\r\nX-Other: b"}},
        {"custom_headers": {"X Space": "a"}},
        {"custom_headers": {"X-Empty": ""}},
        {"custom_headers": {f"X-{number}": "a" for number in range(33)}},
        {"name": ""},
        {"name": "n" * 257},
        {"url": "http://user:secret-password@receiver.example"},
    ],
)
def test_what_can_not_be_sent_with_is_refused_without_being_shown(telling: OpenTelling, changes: dict[str, Any]):
    told = telling()
    with pytest.raises(InvalidInput) as refused:
        told.a_channel(**changes)
    with pytest.raises(InvalidInput):
        told.notifications.channels.update(told.channel.id, **changes)
    for value in ("not base64", "secret-password", "X-Other"):
        assert value not in str(refused.value)
    assert told.notifications.channels.list().total_count == 1


def test_a_channel_that_a_rule_names_can_not_be_deleted(telling_anywhere: OpenTelling):
    told = telling_anywhere()
    channels, rules = told.notifications.channels, told.notifications.rules
    with pytest.raises(NotAllowed) as refused:
        channels.delete(told.channel.id)
    assert refused.value.code == "notification_channel_in_use"
    for rule in told.rules:
        rules.delete(rule.id)
    channels.delete(told.channel.id)
    channels.delete(told.channel.id)
    assert channels.get(told.channel.id).deleted_at is not None
    assert channels.list().items == ()
    assert channels.list(include_deleted=True).total_count == 1
    with pytest.raises(Conflict) as gone:
        channels.update(told.channel.id, name="Again")
    assert gone.value.code == "notification_channel_deleted"


def test_a_rule_names_one_to_five_channels_that_are_there(telling: OpenTelling):
    told = telling()
    channels = [told.a_channel() for _ in range(6)]
    rule = told.a_rule("invoice.updated", *channels[:5])
    assert rule.channel_ids == tuple(channel.id for channel in channels[:5])
    assert told.notifications.rules.get(rule.id) == rule
    rules = told.notifications.rules
    for ids in ([], [channel.id for channel in channels], [channels[0].id, channels[0].id]):
        with pytest.raises(InvalidInput) as refused:
            rules.create("invoice.updated", "Rule", ids)
        assert refused.value.code == "channels_invalid"
    for stranger in ("01G65Z755AFWAKHE12NY0CQ9FH", told.shop.app.id):
        with pytest.raises(InvalidInput, match=stranger):
            rules.create("invoice.updated", "Rule", [stranger])
    with pytest.raises(InvalidInput):
        rules.create("invoice.deleted", "Rule", [channels[0].id])
    assert rules.list().total_count == 3


def test_a_channel_of_another_namespace_is_not_there(telling: OpenTelling):
    told = telling()
    other = told.shop.engine.namespace("other").notifications
    with pytest.raises(InvalidInput, match="no notification channel"):
        other.rules.create("invoice.updated", "Rule", [told.channel.id])
    for act in (
        lambda: other.channels.get(told.channel.id),
        lambda: other.channels.update(told.channel.id, name="Mine"),
        lambda: other.channels.delete(told.channel.id),
        lambda: other.rules.get(told.rules[0].id),
        lambda: other.rules.update(told.rules[0].id, name="Mine"),
        lambda: other.rules.delete(told.rules[0].id),
        lambda: other.events.test(told.rules[0].id),
    ):
        with pytest.raises(NotFound):
            act()


def test_a_channel_serves_ten_rules_at_most(telling: OpenTelling):
    told = telling()
    made = [told.a_rule("invoice.updated") for _ in range(8)]
    with pytest.raises(InvalidInput) as refused:
        told.a_rule("invoice.updated")
    assert refused.value.code == "channel_rules_exceeded"
    assert told.notifications.rules.update(made[0].id, channel_ids=[told.channel.id], name="Same").name == "Same"
    told.notifications.rules.delete(made[0].id)
    told.a_rule("invoice.updated")


def test_a_rule_that_is_deleted_changes_no_more(telling: OpenTelling):
    told = telling()
    rules, rule = told.notifications.rules, told.rules[0]
    rules.delete(rule.id)
    rules.delete(rule.id)
    with pytest.raises(Conflict) as gone:
        rules.update(rule.id, name="Again")
    assert gone.value.code == "notification_rule_deleted"
    assert rules.get(rule.id).deleted_at is not None
    assert [each.id for each in rules.list().items] == [told.rules[1].id]
    with pytest.raises(NotFound):
        told.notifications.events.test(rule.id)


def test_lists_are_filtered_and_sorted(telling_anywhere: OpenTelling):
    told = telling_anywhere()
    rules, channels = told.notifications.rules, told.notifications.channels
    told.shop.clock.advance(timedelta(minutes=1))
    second = told.a_channel(disabled=True)
    third = told.a_rule("invoice.created", second, disabled=True)
    assert [each.id for each in channels.list(descending=True).items] == [second.id, told.channel.id]
    assert [each.id for each in channels.list(include_disabled=False).items] == [told.channel.id]
    assert [each.id for each in rules.list(channel_ids=[second.id]).items] == [third.id]
    assert rules.list(include_disabled=False).total_count == 2
    told.shop.clock.advance(timedelta(minutes=1))
    rules.update(told.rules[0].id, name="Newest")
    newest = rules.list(order=ListOrder.UPDATED_AT, descending=True).items[0]
    assert newest.id == told.rules[0].id
    assert [each.type for each in rules.list(order=ListOrder.TYPE).items] == ["invoice.created"] * 2 + [
        "invoice.updated"
    ]
    page = rules.list(page=2, page_size=2)
    assert (len(page.items), page.total_count) == (1, 3)


def test_events_are_filtered_by_time_rule_and_channel(telling_anywhere: OpenTelling):
    from billhook.engine.notifications.events import EventFilter

    told = telling_anywhere()
    events = told.notifications.events
    second = told.a_channel()
    rule = told.a_rule("invoice.created", second, told.channel)
    first = events.test(told.rules[0].id)
    told.shop.clock.advance(timedelta(hours=1))
    later = events.test(rule.id)
    assert [each.id for each in events.list().items] == [later.id, first.id]
    assert [each.id for each in events.list(EventFilter(since=later.created_at)).items] == [later.id]
    assert [each.id for each in events.list(EventFilter(until=first.created_at)).items] == [first.id]
    assert [each.id for each in events.list(EventFilter(rule_ids=(rule.id,))).items] == [later.id]
    assert [each.id for each in events.list(EventFilter(channel_ids=(second.id,))).items] == [later.id]
    assert [each.channel_id for each in later.deliveries] == sorted([told.channel.id, second.id])
    with pytest.raises(InvalidInput):
        EventFilter(since=later.created_at.replace(tzinfo=None))
