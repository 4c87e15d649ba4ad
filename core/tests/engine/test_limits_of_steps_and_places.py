"""Limits that count the requests of some steps alone, and places for requests under way, whoever sends them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from engine_kit import Shop, a_provider, answers, careful_draft, documents, late, lost_after, open_shop, put, repeat

from billhook.contract import (
    Batch,
    Capability,
    DocumentResult,
    Done,
    OperationRules,
    RateLimit,
    RequestsAtOnce,
    Retry,
    Scope,
)
from billhook.engine.sending import Landing

OpenShop = Callable[..., Shop]
MINUTE = timedelta(minutes=1)


def a_limit(calls: int, *steps: str, **changes: Any) -> RateLimit:
    return RateLimit(name="-".join(steps) or "calls", calls=calls, per=MINUTE, steps=frozenset(steps), **changes)


@pytest.mark.parametrize(
    "limit, step, counts",
    [
        (a_limit(1), "create", True),
        (a_limit(1), None, True),
        (a_limit(1, "create"), "create", True),
        (a_limit(1, "create"), "create.2", True),
        (a_limit(1, "create"), "created", False),
        (a_limit(1, "create"), None, False),
        (a_limit(1, "create", operations=frozenset({Capability.ISSUE})), "create", False),
    ],
)
def test_a_limit_counts_what_it_names(limit: RateLimit, step: str | None, counts: bool):
    assert limit.counts(Capability.SYNC_DRAFT, step) is counts


# Steps.


def stepwise(self: Any, batch: Batch[Any, Any]) -> Any:
    """One request to make it, two more to fill it."""
    reply = yield put("create", batch, "created", recover=(repeat(),))
    for number in (1, 2):
        yield put(f"add.{number}", batch, "added", recover=(repeat(),))
    return documents(batch, reply)


def a_stepwise(*limits: RateLimit) -> Any:
    rules = {"sync_draft": OperationRules(concurrency=4)}
    return a_provider(sync_draft=stepwise, limits=limits, rules=rules)


def in_the_fullest_minute(shop: Shop, part: str) -> int:
    times = [at for at, request in zip(shop.wire.sent_at, shop.wire.sent, strict=True) if part in request.url]
    return max(sum(start <= at < start + MINUTE for at in times) for start in times)


def test_each_endpoint_has_a_budget_of_its_own_and_both_are_used_up(a_shop_anywhere: OpenShop):
    shop = a_shop_anywhere(a_stepwise(a_limit(2, "create"), a_limit(4, "add")))
    ids = shop.ns.invoices.submit_many([shop.draft() for _ in range(6)])
    shop.run_for(300)
    assert [shop.status(id) for id in ids] == ["payment_processing.pending"] * 6
    assert (in_the_fullest_minute(shop, "created"), in_the_fullest_minute(shop, "added")) == (2, 4)
    assert shop.wire.sent_at[-1] - shop.wire.sent_at[0] < timedelta(minutes=2, seconds=10)


def test_a_limit_of_a_later_step_holds_up_no_first_step(a_shop: OpenShop):
    shop = a_shop(a_stepwise(a_limit(1, "add")))
    shop.ns.invoices.submit_many([shop.draft() for _ in range(4)])
    shop.run()
    assert (len(shop.wire.to("created")), len(shop.wire.to("added"))) == (4, 1)
    shop.run_for(600)
    assert len(shop.wire.to("added")) == 8
    assert in_the_fullest_minute(shop, "added") == 1


@pytest.mark.parametrize("retries", ["the engine", "the provider"])
def test_a_spent_limit_of_one_operation_holds_up_no_other(a_shop_anywhere: OpenShop, retries: str):
    """A draft is tried again in seconds, while issuing waits for most of a minute."""
    busy = [False]

    def draft(self: Any, batch: Batch[Any, Any]) -> Any:
        yield put("draft", batch, "drafts", recover=(repeat(),))
        again = busy.pop() if busy else False
        return {
            item.id: Retry(timedelta(seconds=5), "It is busy.") if again else Done(DocumentResult(item.id))
            for item in batch.items
        }

    limit = a_limit(1, operations=frozenset({Capability.ISSUE}))
    shop = a_shop_anywhere(a_provider(sync_draft=draft, issue=issue, limits=[limit]))
    shop.ns.invoices.submit_many([shop.draft() for _ in range(2)])
    shop.run()
    assert (len(shop.wire.to("drafts")), len(shop.wire.to("issued"))) == (2, 1)
    if retries == "the engine":
        shop.wire.plan(answers(503))
    else:
        busy.append(True)
    late = shop.submit()
    shop.run_for(20)
    assert (len(shop.wire.to("drafts")), shop.status(late), len(shop.wire.to("issued"))) == (4, "issuing.syncing", 1)
    shop.run_for(200)
    assert shop.status(late) == "payment_processing.pending"


def test_a_shared_limit_of_a_step_counts_over_all_its_apps(a_shop: OpenShop):
    shop = a_shop(a_stepwise(a_limit(2, "create", scope=Scope.DEVELOPER)))
    other = shop.a_profile(shop.an_app(name="Second"), name="Second", is_default=False)
    shop.ns.overrides.set(shop.ns.customers.create("Ann", key="ann").id, profile_id=other.id)
    shop.ns.invoices.submit_many([shop.draft(customer_key=key) for key in ("jane", "ann", "jane", "ann")])
    shop.run_for(300)
    assert in_the_fullest_minute(shop, "created") == 2
    assert len(shop.wire.to("created")) == 4


def test_invoices_that_were_begun_are_issued_before_more_are_begun(a_shop: OpenShop):
    rules = {name: OperationRules(concurrency=8) for name in ("sync_draft", "issue")}
    shop = a_shop(a_provider(sync_draft=careful_draft, issue=issue, limits=[a_limit(4)], rules=rules))
    ids = shop.ns.invoices.submit_many([shop.draft() for _ in range(8)])
    shop.run_for(90)
    assert len(shop.wire.sent) == 8
    assert [shop.status(id) for id in ids] == ["payment_processing.pending"] * 4 + ["draft.syncing"] * 4


# Places.


def crowded(requests: int = 1, scope: Scope = Scope.APP, **hooks: Any) -> Any:
    rules = {"sync_draft": OperationRules(concurrency=8), "issue": OperationRules(concurrency=8)}
    at_once = [RequestsAtOnce(requests=requests, scope=scope)]
    return a_provider(at_once=at_once, rules=rules, **{"sync_draft": careful_draft, "issue": issue, **hooks})


def issue(self: Any, batch: Batch[Any, Any]) -> Any:
    reply = yield put("issue", batch, "issued", recover=(repeat(),))
    return documents(batch, reply)


class SlowSenders:
    """Answers come only when the worker has looked for them five times: until then everything sent is under way together."""

    def __init__(self) -> None:
        self.most = 0
        self._under_way: list[Callable[[], Landing]] = []
        self._looks = 0

    def submit(self, task: Callable[[], Landing]) -> None:
        self._under_way.append(task)
        self.most = max(self.most, len(self._under_way))

    def landed(self, timeout_seconds: float | None) -> list[Landing]:
        self._looks += 1
        if self._looks % 5:
            return []
        tasks, self._under_way = self._under_way, []
        return [task() for task in tasks]

    def close(self) -> None:
        """Nothing is open."""


def test_no_more_requests_are_under_way_than_there_are_places(a_shop: OpenShop):
    shop = a_shop(crowded(3))
    ids = shop.ns.invoices.submit_many([shop.draft() for _ in range(9)])
    senders = SlowSenders()
    shop.engine.run_until_idle(senders=senders)
    assert senders.most == 3
    assert {shop.status(id) for id in ids} == {"payment_processing.pending"}


def test_a_place_is_taken_by_whatever_operation_asks_first(a_shop_anywhere: OpenShop):
    shop = a_shop_anywhere(crowded(1))
    ids = shop.ns.invoices.submit_many([shop.draft() for _ in range(5)])
    shop.run()
    assert {shop.status(id) for id in ids} == {"payment_processing.pending"}
    assert (len(shop.wire.to("drafts")), len(shop.wire.to("issued"))) == (5, 5)


def test_what_was_lost_keeps_its_place_until_the_provider_must_have_stopped(a_shop: OpenShop):
    shop = a_shop(crowded(1))
    shop.wire.plan(late)
    shop.ns.invoices.submit_many([shop.draft() for _ in range(3)])
    shop.run_for(29)
    assert len(shop.wire.sent) == 1
    shop.run_for(60)
    assert len(set(shop.books.references)) == 3


def test_a_worker_that_died_keeps_no_place_for_ever(a_shop: OpenShop):
    shop = a_shop(crowded(1))
    ids = shop.ns.invoices.submit_many([shop.draft() for _ in range(3)])
    shop.crash("send.after")
    shop.run()
    assert len(shop.wire.sent) == 1
    shop.run_for(120)
    assert {shop.status(id) for id in ids} == {"payment_processing.pending"}


def test_two_apps_of_one_developer_share_the_places_in_two_processes(a_shop_anywhere: OpenShop):
    shop = a_shop_anywhere(crowded(1, Scope.DEVELOPER))
    other = shop.a_profile(shop.an_app(name="Second"), name="Second", is_default=False)
    shop.ns.overrides.set(shop.ns.customers.create("Ann", key="ann").id, profile_id=other.id)
    shop.wire.plan(lost_after)
    shop.submit(customer_key="jane")
    shop.run()
    assert len(shop.wire.sent) == 1
    shop.submit(customer_key="ann")
    elsewhere = open_shop(shop.url, *shop.providers, ready=False)
    elsewhere.engine.close()
    elsewhere.clock, elsewhere.books, elsewhere.wire = shop.clock, shop.books, shop.wire
    elsewhere.restart()
    try:
        elsewhere.run()
        assert len(shop.wire.sent) == 1
        elsewhere.run_for(120)
    finally:
        elsewhere.close()
    assert len(shop.books.documents) == 4
