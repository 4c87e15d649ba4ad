"""Who goes first: people before bulk, the longest waiting app before the busiest."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from engine_kit import Shop, a_provider, careful_draft, documents, put, repeat

from billhook.contract import Batch, OperationRules, RateLimit
from billhook.engine.context import Policy

OpenShop = Callable[..., Shop]


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


def test_two_invoices_of_a_new_customer_make_one_contact(a_shop_anywhere: OpenShop):
    from billhook.contract import CustomerResult, Done

    def sync_customer(self: Any, batch: Batch[Any, Any]) -> Any:
        reply = yield put("customer", batch, "customers", recover=(repeat(),))
        return {item["ref"]: Done(CustomerResult(item["id"])) for item in reply.json()["items"]}

    rules = {"sync_draft": OperationRules(concurrency=4), "sync_customer": OperationRules(concurrency=4)}
    shop = a_shop_anywhere(a_provider(sync_draft=careful_draft, sync_customer=sync_customer, rules=rules))
    ids = [shop.submit(), shop.submit(), *shop.ns.invoices.submit_many([shop.draft(), shop.draft()])]
    shop.run()
    assert len(shop.wire.to("customers")) == 1
    assert {shop.status(id) for id in ids} == {"payment_processing.pending"}
    later = shop.submit()
    shop.run()
    assert shop.status(later) == "payment_processing.pending"
    assert len(shop.wire.to("customers")) == 1


def test_an_edited_customer_is_brought_to_the_app_that_knows_it(a_shop: OpenShop):
    from billhook.contract import CustomerResult, Done

    seen: list[tuple[str, str | None]] = []

    def sync_customer(self: Any, batch: Batch[Any, Any]) -> Any:
        seen.append((batch.only.customer.name, batch.only.external_id))
        reply = yield put("customer", batch, "customers", recover=(repeat(),))
        known = batch.only.external_id or reply.json()["items"][0]["id"]
        return {batch.only.id: Done(CustomerResult(known))}

    shop = a_shop(a_provider(sync_draft=careful_draft, sync_customer=sync_customer))
    shop.submit()
    shop.run()
    shop.ns.customers.update("jane", name="Jane Smith")
    shop.run()
    assert seen == [("Jane Doe", None), ("Jane Smith", "customers-1")]


def test_a_customer_that_is_edited_while_it_is_under_way_is_brought_again(a_shop: OpenShop):
    from billhook.contract import CustomerResult, Done

    seen: list[str] = []

    def sync_customer(self: Any, batch: Batch[Any, Any]) -> Any:
        seen.append(batch.only.customer.name)
        yield put("customer", batch, "customers", recover=(repeat(),))
        return {batch.only.id: Done(CustomerResult("c1"))}

    shop = a_shop(a_provider(sync_draft=careful_draft, sync_customer=sync_customer))

    def edit(request: Any) -> None:
        shop.wire.before_each = None
        shop.ns.customers.update("jane", name="Jane Smith")

    shop.wire.before_each = edit
    shop.submit()
    shop.run()
    assert seen == ["Jane Doe", "Jane Smith"]
