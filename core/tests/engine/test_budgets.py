"""Rate budgets: never more calls than a provider allows in any stretch of time, whoever shares it, whatever happened before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import sqlalchemy as sa
from engine_kit import (
    NOON,
    Shop,
    a_provider,
    answers,
    careful_draft,
    copy_of,
    documents,
    lost_before,
    not_sent,
    open_shop,
    put,
)
from hypothesis import HealthCheck, given, settings, strategies as st
from pydantic import BaseModel, ConfigDict

from billhook.contract import Answered, Batch, Capability, OperationRules, RateLimit, Reply, Scope, hookimpl
from billhook.engine.budget import CALLS_TO_KNOW, STEPS, Budget, Purpose, Trip, Window
from billhook.engine.sending import InlineSenders, Landed, Landing
from billhook.errors import ConfigError, InvalidInput
from billhook.store import schema

OpenShop = Callable[..., Shop]
MINUTE = timedelta(minutes=1)
AT_ONCE = {"sync_draft": OperationRules(concurrency=8)}


def a_limit(calls: int = 3, per: timedelta = MINUTE, **changes: Any) -> RateLimit:
    return RateLimit(name=changes.pop("name", "calls"), calls=calls, per=per, **changes)


def most_in_any_stretch(times: Sequence[datetime], per: timedelta) -> int:
    """How many of these fall into the fullest stretch of that length."""
    return max((sum(start <= time < start + per for time in times) for start in times), default=0)


@settings(max_examples=300, deadline=None)
@given(
    calls=st.integers(1, 5),
    per=st.sampled_from([timedelta(seconds=1), MINUTE, timedelta(seconds=7, microseconds=13), timedelta(days=1)]),
    pauses=st.lists(st.integers(0, 2_000_000), max_size=60),
)
def test_no_stretch_of_time_ever_holds_more_calls_than_allowed(calls: int, per: timedelta, pauses: list[int]):
    window, now, made = Window(a_limit(calls, per), "app:1"), NOON, []
    for pause in pauses:
        now += per * pause / 1_000_000
        if window.room(now) > 0:
            window.spend(now, 1)
            made.append(now)
    assert most_in_any_stretch(made, per) <= calls


@settings(max_examples=200, deadline=None)
@given(calls=st.integers(1, 4), per=st.sampled_from([timedelta(seconds=1), MINUTE]), offset=st.integers(0, 1_000_000))
def test_a_caller_that_waits_as_long_as_it_is_told_may_call_and_is_not_kept_waiting_much_longer(
    calls: int, per: timedelta, offset: int
):
    window, now, made = Window(a_limit(calls, per), "app:1"), NOON + timedelta(microseconds=offset), []
    for _ in range(calls * 4):
        now = window.opens_at(now)
        assert window.room(now) > 0
        window.spend(now, 1)
        made.append(now)
    assert most_in_any_stretch(made, per) <= calls
    assert made[-1] - made[0] <= per * 3 * (STEPS + 3) / STEPS + timedelta(seconds=1)


def test_a_worst_case_at_the_edge_of_two_steps_stays_inside():
    window = Window(a_limit(2, timedelta(seconds=1)), "app:1")
    step = 1_000_000 // STEPS
    first = NOON + timedelta(microseconds=step - 1)
    window.spend(first, 2)
    assert window.room(first + timedelta(microseconds=999_999)) == 0


def test_a_call_that_was_counted_early_and_sent_late_counts_from_when_it_landed():
    window, second = Window(a_limit(2, timedelta(seconds=1)), "app:1"), timedelta(seconds=1)
    window.spend(NOON, 2)
    window.sent(NOON)
    window.sent(NOON)
    assert window.room(NOON + 10 * second) == 0
    window.landed(NOON, Trip(NOON, NOON, True))
    assert window.room(NOON + 10 * second) == 1
    window.landed(NOON, Trip(NOON, NOON + 10 * second, True))
    assert window.room(NOON + 10.5 * second) == 1
    assert window.opens_at(NOON + 10.5 * second) <= NOON + 11.1 * second
    assert window.room(NOON + 11.1 * second) == 2


def test_where_everything_is_under_way_the_next_look_is_soon_and_not_at_once():
    window = Window(a_limit(1, timedelta(seconds=60)), "app:1")
    window.spend(NOON, 1)
    window.sent(NOON)
    later = NOON + timedelta(minutes=5)
    assert window.room(later) == 0
    assert timedelta(0) < window.opens_at(later) - later <= timedelta(seconds=3)


def test_what_the_provider_says_is_left_counts_too():
    window = Window(a_limit(10), "app:1")
    window.observe(NOON, 4)
    assert window.room(NOON) == 4
    window.observe(NOON, 9)
    assert window.room(NOON) == 4


def test_what_a_provider_tells_of_a_shared_budget_is_not_forgotten_when_the_common_row_is_read():
    shared = a_limit(10).model_copy(update={"scope": Scope.ACCOUNT})
    window = Window(shared, "account:1")
    window.observe(NOON, 4)
    window.learn({})
    assert window.room(NOON) == 4
    assert window.room(NOON + 2 * shared.per) == 10


def test_an_app_that_is_given_back_and_taken_again_remembers_how_late_its_calls_were():
    limit, second = a_limit(2, timedelta(seconds=1)), timedelta(seconds=1)
    before = Budget([Window(limit, "app:1")])
    before.spend(Purpose(Capability.ISSUE), NOON)
    before.sent(Purpose(Capability.ISSUE), NOON)
    assert not before.has_memory(NOON)
    before.landed(Purpose(Capability.ISSUE), NOON, Trip(NOON, NOON + 0.5 * second, True))
    assert before.has_memory(NOON + second)
    again = Budget([Window(limit, "app:1", before.windows[0].spent), Window(limit, "another")])
    again.remember(before)
    assert again.room(Purpose(Capability.ISSUE), NOON + 1.2 * second, 2) == 1
    assert again.room(Purpose(Capability.ISSUE), NOON + 1.6 * second, 2) == 2


WAY = timedelta(milliseconds=250)
"""There and back, for the fastest."""


class Slower(NamedTuple):
    """By how many ways a call is slower than the fastest: before it leaves, on its way there and back, and before it is taken in."""

    before: float = 0
    there: float = 0
    back: float = 0
    after: float = 0


def called_as_fast_as_allowed(window: Window, calls: Sequence[Slower]) -> tuple[list[datetime], timedelta]:
    """When these arrived, and how long it took to make them all."""
    step, now, arrived = timedelta(milliseconds=5), NOON, []
    under_way: list[tuple[datetime, datetime, Trip]] = []
    for slower in calls:
        while not window.room(now):
            now += step
            for call in [call for call in under_way if call[0] <= now]:
                window.landed(*call[1:])
                under_way.remove(call)
        window.spend(now, 1)
        window.sent(now)
        left_at = now + WAY * slower.before
        arrived.append(left_at + WAY / 2 + WAY * slower.there)
        trip = Trip(left_at, arrived[-1] + WAY / 2 + WAY * slower.back, True)
        under_way.append((trip.ended_at + WAY * slower.after, now, trip))
    return arrived, now - NOON


@pytest.mark.parametrize("after", [0, 0.4], ids=["taken in at once", "taken in late"])
def test_a_long_way_that_every_call_takes_costs_nothing_of_the_budget(after: float):
    window = Window(a_limit(25, timedelta(seconds=1)), "app:1")
    _, took = called_as_fast_as_allowed(window, [Slower(after=after)] * 1_000)
    assert 1_000 / took.total_seconds() >= 25 * 0.97


slower_by = st.floats(0, 3)


@settings(max_examples=30, deadline=None)
@given(
    slower=st.lists(st.builds(Slower, slower_by, slower_by, slower_by, slower_by), min_size=60, max_size=120),
    calls=st.integers(1, 9),
)
def test_calls_that_were_slow_on_their_way_never_arrive_too_many_in_a_stretch(slower: list[Slower], calls: int):
    window = Window(a_limit(calls, timedelta(seconds=1)), "app:1")
    arrived, _ = called_as_fast_as_allowed(window, [Slower()] * 5 + slower)
    assert most_in_any_stretch(arrived, timedelta(seconds=1)) <= calls


def test_a_call_that_never_left_and_one_that_was_lost_at_once_say_nothing_of_how_long_the_way_is():
    window, second = Window(a_limit(2, timedelta(seconds=1)), "app:1"), timedelta(seconds=1)
    ways = [Trip(NOON, NOON + 0.2 * second, True)] * CALLS_TO_KNOW
    for trip in [*ways, None, Trip(NOON, NOON, False)]:
        window.sent(NOON)
        window.landed(NOON, trip)
    window.spend(NOON, 2)
    for _ in range(2):
        window.sent(NOON)
        window.landed(NOON, Trip(NOON, NOON + 0.2 * second, True))
    assert window.room(NOON + 1.1 * second) == 2


def test_where_somebody_else_spends_too_room_is_left_for_what_they_spend_before_the_next_answer():
    window = Window(a_limit(10), "app:1")
    window.observe(NOON, 6)
    assert window.room(NOON) == 6
    assert window.room(NOON + MINUTE / 4) == 5
    assert window.room(NOON + MINUTE / 2) == 4
    window.observe(NOON + MINUTE / 2, 6)
    assert window.room(NOON + MINUTE / 2) == 6
    assert window.room(NOON + 2 * MINUTE) == 10


def test_where_somebody_else_spends_too_the_last_calls_are_made_one_after_the_other():
    window = Window(a_limit(10), "app:1")
    window.observe(NOON, 2)
    window.spend(NOON, 1)
    window.sent(NOON)
    assert window.room(NOON) == 0
    window.landed(NOON, Trip(NOON, NOON, True))
    window.observe(NOON, 1)
    assert window.room(NOON) == 1


# In the engine.


def limited(*limits: RateLimit, type: str = "books", **hooks: Any) -> Any:
    return a_provider(type, limits=limits, rules=AT_ONCE, **{"sync_draft": careful_draft, **hooks})


class KeptSenders(InlineSenders[Landing]):
    """Keeps the trips of what landed."""

    trips: list[Trip | None]

    def __init__(self) -> None:
        super().__init__()
        self.trips = []

    def landed(self, timeout_seconds: float | None) -> list[Landing]:
        landed = super().landed(timeout_seconds)
        self.trips.extend(each.trip for each in landed if isinstance(each, Landed))
        return landed


def test_a_trip_begins_when_the_request_leaves_and_ends_with_its_answer(a_shop: OpenShop):
    shop, senders = a_shop(limited(a_limit(5))), KeptSenders()
    shop.wire.seconds_per_call = 1
    shop.wire.plan(answers(500), lost_before, not_sent)
    for _ in range(3):
        shop.submit()
    shop.engine.run_until_idle(senders=senders)
    left = shop.wire.sent_at
    assert senders.trips[:3] == [
        Trip(left[0], left[0] + timedelta(seconds=1), was_answered=True),
        Trip(left[1], left[1] + timedelta(seconds=1), was_answered=False),
        None,
    ]


def test_a_budget_of_three_a_minute_is_kept_and_used_up(a_shop_anywhere: OpenShop):
    shop = a_shop_anywhere(limited(a_limit(3)))
    ids = shop.ns.invoices.submit_many([shop.draft() for _ in range(10)])
    shop.run()
    assert len(shop.wire.sent) == 3
    shop.run_for(240)
    assert most_in_any_stretch(shop.wire.sent_at, MINUTE) == 3
    assert [shop.status(id) for id in ids] == ["payment_processing.pending"] * 10
    assert shop.wire.sent_at[-1] - NOON < timedelta(minutes=3, seconds=10)


@pytest.mark.parametrize("ours", [1, 5])
def test_the_host_says_how_many_calls_of_a_limit_are_its_own(a_shop: OpenShop, ours: int):
    shop = a_shop(limited(a_limit(3)))
    shop.ns.apps.update(shop.app.id, limits={"calls": ours})
    ids = shop.ns.invoices.submit_many([shop.draft() for _ in range(10)])
    shop.run_for(660)
    assert most_in_any_stretch(shop.wire.sent_at, MINUTE) == ours
    assert [shop.status(id) for id in ids] == ["payment_processing.pending"] * 10


def test_what_the_host_says_of_a_shared_limit_holds_for_its_own_app_alone(a_shop: OpenShop):
    shop = a_shop(limited(a_limit(4, scope=Scope.DEVELOPER)))
    modest = shop.ns.apps.install(shop.app.type, limits={"calls": 1})
    shop.ns.apps.update(shop.app.id, name="Ours")
    assert (modest.limits, shop.ns.apps.get(shop.app.id).limits) == ({"calls": 1}, {})
    shop.ns.invoices.submit_many([shop.draft() for _ in range(8)])
    shop.run_for(240)
    assert most_in_any_stretch(shop.wire.sent_at, MINUTE) == 4


def test_a_limit_that_the_provider_does_not_have_is_refused_with_those_that_it_has(a_shop: OpenShop):
    shop = a_shop(limited(a_limit(3)))
    with pytest.raises(ConfigError, match="has no limit 'minute': it has calls"):
        shop.ns.apps.update(shop.app.id, limits={"minute": 3})
    with pytest.raises(InvalidInput, match="greater than 0"):
        shop.ns.apps.update(shop.app.id, limits={"calls": 0})
    assert shop.ns.apps.get(shop.app.id).limits == {}


def test_a_limit_that_an_upgraded_provider_dropped_is_in_nobodys_way(a_shop: OpenShop):
    shop = a_shop(limited(a_limit(3), a_limit(3, name="daily")))
    shop.ns.apps.update(shop.app.id, limits={"calls": 2, "daily": 1})
    shop.restart([limited(a_limit(3))])
    shop.ns.apps.update(shop.app.id, limits={**shop.app.limits, "calls": 1})
    shop.ns.invoices.submit_many([shop.draft() for _ in range(3)])
    shop.run_for(180)
    assert (len(shop.wire.sent), most_in_any_stretch(shop.wire.sent_at, MINUTE)) == (3, 1)


def test_what_was_spent_is_not_forgotten_by_a_restart_or_a_crash(a_shop: OpenShop):
    shop = a_shop(limited(a_limit(3)))
    shop.ns.invoices.submit_many([shop.draft() for _ in range(8)])
    shop.crash("send.after", visit=2)
    shop.run()
    shop.restart()
    shop.run()
    assert len(shop.wire.sent) <= 3
    shop.run_for(600)
    assert most_in_any_stretch(shop.wire.sent_at, MINUTE) <= 3
    assert len(set(shop.books.references)) == 8


def test_look_ups_and_repeats_count_as_well(a_shop: OpenShop):
    shop = a_shop(limited(a_limit(2)))
    shop.wire.plan(*[answers(503)] * 7)
    shop.submit()
    shop.run_for(3600)
    assert most_in_any_stretch(shop.wire.sent_at, MINUTE) <= 2
    assert len(shop.books.documents) == 1


def test_a_limit_of_some_operations_holds_up_no_other(a_shop: OpenShop):
    def issue(self: Any, batch: Batch[Any, Any]) -> Any:
        reply = yield put("issue", batch, "issue")
        return documents(batch, reply)

    shop = a_shop(limited(a_limit(2, operations=frozenset({Capability.ISSUE})), issue=issue))
    shop.ns.invoices.submit_many([shop.draft() for _ in range(6)])
    shop.run()
    assert (len(shop.wire.to("drafts")), len(shop.wire.to("issue"))) == (6, 2)
    shop.run_for(180)
    assert len(shop.wire.to("issue")) == 6


def test_a_shared_limit_of_some_operations_holds_up_no_other(a_shop: OpenShop):
    def issue(self: Any, batch: Batch[Any, Any]) -> Any:
        reply = yield put("issue", batch, "issue")
        return documents(batch, reply)

    shared = a_limit(2, scope=Scope.DEVELOPER, operations=frozenset({Capability.ISSUE}))
    shop = a_shop(limited(shared, issue=issue))
    shop.ns.invoices.submit_many([shop.draft() for _ in range(6)])
    shop.run()
    assert (len(shop.wire.to("drafts")), len(shop.wire.to("issue"))) == (6, 2)
    shop.run_for(180)
    assert len(shop.wire.to("issue")) == 6


def test_the_tightest_of_several_limits_counts(a_shop: OpenShop):
    shop = a_shop(limited(a_limit(2, timedelta(seconds=10), name="burst"), a_limit(5, MINUTE, name="minute")))
    shop.ns.invoices.submit_many([shop.draft() for _ in range(12)])
    shop.run_for(300)
    assert most_in_any_stretch(shop.wire.sent_at, timedelta(seconds=10)) == 2
    assert most_in_any_stretch(shop.wire.sent_at, MINUTE) == 5
    assert len(shop.books.documents) == 12


def two_apps(shop: Shop, type: str = "books", **changes: Any) -> None:
    other = shop.a_profile(shop.an_app(type, name="Second", **changes), name="Second", is_default=False)
    ann = shop.ns.customers.create("Ann", key="ann")
    shop.ns.overrides.set(ann.id, profile_id=other.id)


def six_each(shop: Shop) -> list[str]:
    return shop.ns.invoices.submit_many([shop.draft(customer_key=key) for key in ("jane", "ann") for _ in range(6)])


def test_each_app_has_a_budget_of_its_own(a_shop: OpenShop):
    shop = a_shop(limited(a_limit(3)))
    two_apps(shop)
    six_each(shop)
    shop.run()
    assert len(shop.wire.sent) == 6


def test_all_apps_of_a_developer_share_one_budget(a_shop_anywhere: OpenShop):
    shop = a_shop_anywhere(limited(a_limit(4, scope=Scope.DEVELOPER)))
    two_apps(shop)
    ids = six_each(shop)
    shop.run()
    assert len(shop.wire.sent) == 4
    shop.run_for(300)
    assert most_in_any_stretch(shop.wire.sent_at, MINUTE) == 4
    assert {shop.status(id) for id in ids} == {"payment_processing.pending"}


def test_apps_that_share_a_grant_share_its_budget(a_shop: OpenShop):
    from engine_kit import bearer

    provider = a_provider(
        credentials=True,
        sync_draft=careful_draft,
        limits=[a_limit(4, scope=Scope.CREDENTIAL)],
        rules=AT_ONCE,
        members={"authenticate": hookimpl(bearer)},
    )
    shop = a_shop(provider)
    two_apps(shop)
    grant = shop.rows(schema.app)[0]["credential_id"]
    shop.engine.database.write(lambda tx: tx.execute(sa.update(schema.app).values(credential_id=grant)))
    shop.restart()
    six_each(shop)
    shop.run()
    assert len(shop.wire.sent) == 4
    shop.run_for(300)
    assert most_in_any_stretch(shop.wire.sent_at, MINUTE) == 4
    assert len(shop.books.documents) == 12


class Accounts(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    account: str = "one"


def test_two_apps_of_one_account_share_its_budget_and_a_third_does_not(a_shop: OpenShop):
    provider = a_provider(
        sync_draft=careful_draft, limits=[a_limit(4, scope=Scope.ACCOUNT)], rules=AT_ONCE, settings=Accounts
    )
    shop = a_shop(provider)
    two_apps(shop)
    six_each(shop)
    shop.run()
    assert len(shop.wire.sent) == 4
    third = shop.a_profile(shop.an_app(settings={"account": "two"}), name="Third", is_default=False)
    shop.ns.overrides.set(shop.ns.customers.create("Eve", key="eve").id, profile_id=third.id)
    shop.submit(customer_key="eve")
    shop.run()
    assert len(shop.wire.sent) == 5


def test_two_processes_share_one_developers_budget(a_shop_anywhere: OpenShop):
    shop = a_shop_anywhere(limited(a_limit(4, scope=Scope.DEVELOPER)))
    two_apps(shop)
    six_each(shop)
    other = open_shop(shop.url, *shop.providers, ready=False)
    other.engine.close()
    other.clock, other.books, other.wire = shop.clock, shop.books, shop.wire
    other.restart()
    try:
        for _ in range(40):
            shop.engine.run_until_idle(at_most=2)
            other.engine.run_until_idle(at_most=2)
            shop.clock.advance(timedelta(seconds=11))
    finally:
        other.close()
    assert most_in_any_stretch(shop.wire.sent_at, MINUTE) == 4
    assert len(set(shop.books.references)) == 12


def test_a_reply_that_says_how_much_is_left_is_believed(a_shop: OpenShop):
    def classify(self: Any, request: Any, reply: Reply) -> Any:
        left = reply.header("x-left")
        return Answered({"calls": int(left)}) if left and reply.status == 200 else None

    shop = a_shop(a_provider(sync_draft=careful_draft, limits=[a_limit(100)], members={"classify": hookimpl(classify)}))

    def nothing_left(wire: Any, request: Any) -> Any:
        from billhook.engine.effects import Arrived

        reply = wire.books.serve(request)
        return Arrived(Reply(reply.status, (*reply.headers, ("x-left", "0")), reply.body))

    shop.wire.plan(nothing_left)
    shop.ns.invoices.submit_many([shop.draft() for _ in range(3)])
    shop.run_for(55)
    assert len(shop.wire.sent) == 1
    shop.run_for(60)
    assert len(shop.books.documents) == 3


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    script=st.lists(st.tuples(st.integers(0, 40), st.integers(0, 3), st.sampled_from(["", "429", "503"])), max_size=8),
    scope=st.sampled_from([Scope.APP, Scope.DEVELOPER]),
)
def test_whatever_comes_when_the_provider_is_never_called_too_often(
    file_template: Path, tmp_path_factory: pytest.TempPathFactory, script: list[tuple[int, int, str]], scope: Scope
):
    url = copy_of(file_template, tmp_path_factory.mktemp("budget") / "billhook.db")
    shop = open_shop(url, limited(a_limit(3, scope=scope)))
    try:
        ids = []
        for pause, invoices, trouble in script:
            if trouble:
                shop.wire.plan(answers(int(trouble), retry_after="5"))
            ids += shop.ns.invoices.submit_many([shop.draft() for _ in range(invoices)])
            shop.run_for(pause)
        shop.run_for(3600)
        assert most_in_any_stretch(shop.wire.sent_at, MINUTE) <= 3
        assert sorted(set(shop.books.references)) == sorted(ids)
    finally:
        shop.close()
