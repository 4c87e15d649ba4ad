"""Who goes first: people before bulk, the longest waiting app before the busiest."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from engine_kit import Shop, a_provider, careful_draft, documents, put, repeat

from billhook.contract import Batch, OperationRules, RateLimit
from billhook.engine.context import Policy
from billhook.store import schema
from billhook.testing.turning import Timeline, TurnedSenders, work_through

OpenShop = Callable[..., Shop]
QUARTER = timedelta(seconds=0.25)


def issue(self: Any, batch: Batch[Any, Any]) -> Any:
    reply = yield put("issue", batch, "issue", recover=(repeat(),))
    return documents(batch, reply)


def test_an_invoice_that_somebody_waits_for_overtakes_a_bulk_run(a_shop: OpenShop):
    shop = a_shop()
    shop.ns.invoices.submit_many([shop.draft() for _ in range(10)])
    urgent = shop.submit()
    shop.run()
    assert shop.books.references[0] == urgent


def test_it_overtakes_at_every_step_while_the_budget_is_short(a_shop: OpenShop):
    slow = RateLimit(name="calls", calls=1, per=timedelta(seconds=6))
    shop = a_shop(a_provider(sync_draft=careful_draft, issue=issue, limits=[slow]))
    shop.ns.invoices.submit_many([shop.draft() for _ in range(20)])
    shop.run_for(20)
    urgent = shop.submit()
    shop.run_for(20)
    assert shop.status(urgent) == "payment_processing.pending"
    assert len(shop.wire.sent) < 8


def test_the_oldest_of_a_bulk_run_goes_first(a_shop: OpenShop):
    shop = a_shop()
    ids = []
    for _ in range(5):
        ids += shop.ns.invoices.submit_many([shop.draft()])
        shop.clock.advance(timedelta(seconds=1))
    shop.run()
    assert shop.books.references == ids


def many_apps(shop: Shop, number: int) -> list[str]:
    """Customers of as many small tenants, each with an app of its own."""
    keys = []
    for place in range(number):
        profile = shop.a_profile(shop.an_app(name=f"App {place}"), name=f"Profile {place}", is_default=False)
        customer = shop.ns.customers.create(f"Customer {place}", key=f"small-{place}")
        shop.ns.overrides.set(customer.id, profile_id=profile.id)
        keys.append(f"small-{place}")
    return keys


def test_a_worker_with_one_hand_serves_small_tenants_before_a_big_one_is_through(a_shop: OpenShop):
    shop = a_shop(policy=Policy(apps_per_worker=1, slice=timedelta(seconds=5)))
    shop.wire.seconds_per_call = 1
    small = many_apps(shop, 3)
    shop.ns.invoices.submit_many([shop.draft() for _ in range(40)])
    shop.clock.advance(timedelta(seconds=1))
    ids = shop.ns.invoices.submit_many([shop.draft(customer_key=key) for key in small])
    shop.run_for(200)
    places = [shop.books.references.index(id) for id in ids]
    assert max(places) < 20
    assert len(shop.books.documents) == 43


def test_a_worker_with_many_hands_begins_with_every_app_at_once(a_shop: OpenShop):
    shop = a_shop()
    small = many_apps(shop, 5)
    shop.ns.invoices.submit_many([shop.draft() for _ in range(20)])
    ids = shop.ns.invoices.submit_many([shop.draft(customer_key=key) for key in small])
    shop.run()
    assert max(shop.books.references.index(id) for id in ids) < 6


def test_no_more_requests_are_under_way_than_an_operation_allows(a_shop: OpenShop):
    rules = {"sync_draft": OperationRules(concurrency=3)}
    shop = a_shop(a_provider(sync_draft=careful_draft, rules=rules))
    shop.ns.invoices.submit_many([shop.draft() for _ in range(10)])
    under_way: list[int] = []
    shop.wire.before_each = lambda request: under_way.append(sum(row["status"] == "sending" for row in shop.attempts()))
    shop.run()
    assert max(under_way) == 3


def fence(shop: Shop) -> int:
    (lease,) = shop.rows(schema.app_lease)
    return int(lease["fence"])


def test_an_app_that_nobody_waits_behind_keeps_its_worker_until_it_is_changed(a_shop: OpenShop):
    shop = a_shop(policy=Policy(slice=timedelta(seconds=5)))
    shop.wire.seconds_per_call = 1
    shop.ns.invoices.submit_many([shop.draft() for _ in range(40)])
    shop.run()
    assert len(shop.books.documents) == 40
    assert fence(shop) == 1

    shop.ns.invoices.submit_many([shop.draft() for _ in range(40)])
    (app,) = shop.ns.apps.list().items

    def rename(request: Any) -> None:
        if len(shop.books.documents) == 60:
            shop.ns.apps.update(app.id, name="Another name")

    shop.wire.before_each = rename
    shop.run()
    assert len(shop.books.documents) == 80
    assert fence(shop) == 3


def test_a_worker_comes_back_to_an_app_when_its_budget_opens_and_not_at_its_next_look_around(a_shop: OpenShop):
    shop = a_shop(a_provider(sync_draft=careful_draft, limits=[RateLimit(name="calls", calls=1, per=QUARTER)]))
    timeline = Timeline(shop.clock)
    shop.ns.invoices.submit_many([shop.draft() for _ in range(12)])
    began = shop.clock.now()
    work_through(shop.engine, timeline, TurnedSenders(timeline, lambda: timedelta(milliseconds=20), at_once=4))
    assert len(shop.books.documents) == 12
    assert shop.clock.now() - began < 12 * QUARTER * 1.2
