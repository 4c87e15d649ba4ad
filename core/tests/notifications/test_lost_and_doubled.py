"""Crashes and several dispatchers: whatever happens, what was committed arrives, under the id that it had."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from engine_kit import FaultsAt
from telling import render

from billhook.engine.notifications.kinds import DeliveryState
from billhook.faults import NO_FAULTS, Crash
from billhook.store import schema

OpenTelling = Callable[..., Any]


def crash_while_sending(told: Any, point: str, visit: int) -> bool:
    """Send until a crash there, and open the database again. False where that point was not reached so often."""
    told.shop.restart(faults=FaultsAt(point, visit))
    try:
        told.shop.engine.notify_until_idle(render, at_most=500)
    except Crash:
        return True
    finally:
        told.shop.restart(faults=NO_FAULTS)
    return False


def test_what_was_committed_is_sent_although_the_process_died_at_once(telling_anywhere: OpenTelling):
    told = telling_anywhere()
    told.shop.restart(faults=FaultsAt("commit.after"))
    with pytest.raises(Crash):
        told.shop.submit()
    told.shop.restart(faults=NO_FAULTS)
    told.send()
    assert told.receiver.told[-1] == ("invoice.created", "draft.syncing")


def test_what_was_not_committed_is_never_sent(telling_anywhere: OpenTelling):
    told = telling_anywhere()
    told.shop.restart(faults=FaultsAt("commit.before"))
    with pytest.raises(Crash):
        told.shop.submit()
    told.shop.restart(faults=NO_FAULTS)
    told.send()
    assert told.receiver.received == []


@pytest.mark.parametrize("point", ["commit.before", "commit.after", "notify.send.before", "notify.send.after"])
def test_a_crash_anywhere_loses_nothing_and_changes_no_id(telling_anywhere: OpenTelling, point: str):
    told = telling_anywhere()
    told.shop.submit()
    expected = [event.id for event in told.notifications.events.list(descending=False).items]
    visit = 1
    while crash_while_sending(told, point, visit):
        told.notifications.events.resend(expected[0])
        told.notifications.events.resend(expected[-1])
        visit += 1
        assert visit < 40
    assert visit > 3
    told.send()
    assert set(told.receiver.ids) == set(expected)
    bodies = {(each.id, each.body) for each in told.receiver.received}
    assert len(bodies) == len(expected), "the same id stood over another body"
    assert all(told.delivery(id).state is DeliveryState.SUCCESS for id in expected)


def test_a_dead_dispatchers_lanes_fall_at_once(telling_anywhere: OpenTelling):
    told = telling_anywhere()
    told.notifications.events.test(told.rules[0].id)
    assert crash_while_sending(told, "notify.send.before", 1)
    lane = told.shop.rows(schema.notification_lane)[0]
    assert lane["owner"] is not None
    told.send()
    assert len(told.receiver.received) == 1


def test_a_living_dispatchers_lane_is_left_alone(telling_anywhere: OpenTelling):
    told = telling_anywhere()
    event = told.notifications.events.test(told.rules[0].id)
    first = told.shop.engine.new_dispatcher(render, Holding(), 4)
    with told.shop.engine.database.liveness.claim(first.owner):
        assert first.tick()
        told.send()
        assert told.receiver.received == []
        told.shop.clock.advance(told.shop.engine.context.policy.lease)
        told.send()
        assert told.receiver.ids == [event.id], "an owner that is alive but silent keeps its lanes too long"
        first._senders.let_go()
        assert first.tick()
    first.close()
    assert told.receiver.ids == [event.id] * 2
    assert told.delivery(event.id).state is DeliveryState.SUCCESS
    assert told.shop.rows(schema.notification_lane)[0]["owner"] is None


class Holding:
    """Keeps what is to be sent until it is let go."""

    def __init__(self) -> None:
        self.tasks: list[Any] = []
        self.ready: list[Any] = []

    def submit(self, task: Any) -> None:
        self.tasks.append(task)

    def let_go(self) -> None:
        self.ready = [task() for task in self.tasks]
        self.tasks = []

    def landed(self, timeout_seconds: float | None) -> list[Any]:
        ready, self.ready = self.ready, []
        return ready

    def close(self) -> None:
        """Nothing is open."""


def test_one_invoices_events_are_in_flight_one_at_a_time(telling: OpenTelling):
    told = telling()
    invoices = [told.shop.submit() for _ in range(6)]
    senders = Holding()
    dispatcher = told.shop.engine.new_dispatcher(render, senders, 16)
    with told.shop.engine.database.liveness.claim(dispatcher.owner):
        dispatcher.tick()
        assert len(senders.tasks) == 4, "a channel gets so many at a time, each of another invoice"
        while senders.tasks:
            senders.let_go()
            dispatcher.tick()
        dispatcher.give_back()
    dispatcher.close()
    by_invoice = {
        id: [each.told for each in told.receiver.received if each.json["data"]["id"] == id] for id in invoices
    }
    assert {tuple(steps) for steps in by_invoice.values()} == {
        (
            ("invoice.updated", "draft.waiting_for_collection"),
            ("invoice.updated", "draft.collecting"),
            ("invoice.updated", "draft.validating"),
            ("invoice.updated", "draft.syncing"),
            ("invoice.created", "draft.syncing"),
        )
    }


def test_pruning_forgets_what_was_told_long_ago_and_nothing_that_is_on_its_way(telling_anywhere: OpenTelling):
    told = telling_anywhere()
    told.receiver.plan.extend([204] * 4 + [500])
    told.shop.submit()
    told.send()
    told.shop.clock.advance(timedelta(days=100))
    late = told.notifications.events.test(told.rules[0].id)
    result = told.shop.engine.prune(timedelta(days=90))
    assert result.notification_events == 4
    left = {event.id for event in told.notifications.events.list().items}
    assert late.id in left
    assert len(left) == 2
    assert len(told.shop.rows(schema.notification_delivery)) == 2
    assert len(told.shop.rows(schema.notification_attempt)) == 1
