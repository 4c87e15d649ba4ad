"""Whatever an app knows under an id of its own is found by that id: by an event that comes later, and by one that came before."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from engine_kit import Shop, a_provider, put, repeat

from billhook.contract import (
    Batch,
    CustomerResult,
    DocumentResult,
    Done,
    PaymentResult,
    PaymentStatus,
    RefundResult,
    RefundStatus,
    Rejected,
    Request,
    Snapshot,
    WebhookEvent,
)
from billhook.engine.customer_apps import CustomerAppEntry
from billhook.store import schema

OpenShop = Callable[..., Shop]
TOLD = {
    "customer": "customer:cus-1",
    "invoice": "document:inv-1",
    "credit note": "document:cn-1",
    "payment": "payment:pay-1",
    "refund": "refund:re-1",
}
"""What is made at the app, and what its events call it."""
LOOKS = {"invoice": "look", "payment": "check-payment", "refund": "check-refund"}
"""The request by which a thing is looked at that an event names; there is none for the others."""


def makes(step: str, result: Callable[[Any], Any]) -> Any:
    """An operation that makes something at the app."""

    def operation(self: Any, batch: Batch[Any, Any]) -> Any:
        yield put(step, batch, step, recover=(repeat(),))
        return {item.id: Done(result(item)) for item in batch.items}

    return operation


def looks(step: str, result: Callable[[Any], Any]) -> Any:
    """An operation that only looks."""

    def operation(self: Any, batch: Batch[Any, Any]) -> Any:
        yield Request(step, "GET", f"http://books/{step}?refs={batch.only.id}")
        return {batch.only.id: Done(result(batch.only))}

    return operation


def paid(item: Any) -> PaymentResult:
    return PaymentResult(PaymentStatus.SUCCEEDED, item.amount, "pay-1")


def given_back(item: Any) -> RefundResult:
    return RefundResult(RefundStatus.SUCCEEDED, item.amount, "re-1")


def read_webhook(self: Any, headers: Any, body: bytes, secrets: Any, now: Any) -> Any:
    return [WebhookEvent(f"about {line}", *line.split(":"), "changed") for line in body.decode().splitlines()]


HOOKS: dict[str, Any] = {
    "sync_customer": makes("customer", lambda item: CustomerResult("cus-1")),
    "sync_draft": makes("draft", lambda item: DocumentResult("inv-1")),
    "fetch": looks("look", lambda item: Snapshot(exists=True, external_id="inv-1")),
    "credit": makes("credit", lambda item: DocumentResult("cn-1")),
    "read_webhook": read_webhook,
}
CHARGING: dict[str, Any] = {
    "collect_payment": makes("collect", paid),
    "check_payment": looks("check-payment", paid),
    "refund": makes("refund", given_back),
    "check_refund": looks("check-refund", given_back),
}


def tell(shop: Shop, told: str) -> None:
    assert shop.engine.receive_webhook(shop.app.id, {}, told.encode()) == 1


def make_everything(shop: Shop) -> None:
    id = shop.submit()
    shop.run()
    shop.ns.refunds.refund(shop.get(id).payments[0].id, "1")
    shop.ns.credit_notes.submit(shop.draft(type="credit_note"))
    shop.run()


def state_of_the_only_event(shop: Shop) -> str:
    (event,) = shop.rows(schema.inbox)
    return str(event["state"])


def assert_it_is_no_orphan(shop: Shop) -> None:
    assert (state_of_the_only_event(shop), shop.rows(schema.work)) == ("worked", [])
    shop.clock.advance(timedelta(days=2))
    assert shop.engine.orphaned_events("acme") == ()


@pytest.mark.parametrize("comes_first", [True, False], ids=["event first", "answer first"])
@pytest.mark.parametrize("thing", TOLD)
def test_an_event_finds_what_it_names_whichever_comes_first(a_shop_anywhere: OpenShop, thing: str, comes_first: bool):
    shop = a_shop_anywhere(a_provider(**HOOKS, **CHARGING))
    if comes_first:
        tell(shop, TOLD[thing])
        assert state_of_the_only_event(shop) == "unmatched"
    make_everything(shop)
    if not comes_first:
        tell(shop, TOLD[thing])
    shop.run()
    looked = [part for part in LOOKS.values() if shop.wire.to(part)]
    assert looked == [LOOKS[each] for each in (thing,) if each in LOOKS]
    assert_it_is_no_orphan(shop)


@pytest.mark.parametrize("comes_first", [True, False], ids=["event first", "answer first"])
def test_an_event_about_a_payment_that_was_noted_in_the_books_has_them_looked_at(
    a_shop_anywhere: OpenShop, comes_first: bool
):
    noted = PaymentResult(PaymentStatus.SUCCEEDED, Decimal(10), "note-1")
    shop = a_shop_anywhere(a_provider(**HOOKS, record_payment=makes("note", lambda item: noted)))
    id = shop.submit()
    shop.run()
    if comes_first:
        tell(shop, "payment:note-1")
    shop.ns.invoices.record_payment(id, "10")
    shop.run()
    if not comes_first:
        tell(shop, "payment:note-1")
    shop.run()
    assert (shop.status(id), len(shop.wire.to("look"))) == ("paid", 1)
    assert_it_is_no_orphan(shop)


def test_an_event_about_what_a_refused_operation_left_behind_finds_it(a_shop_anywhere: OpenShop):
    def sync_customer(self: Any, batch: Batch[Any, Any]) -> Any:
        yield put("customer", batch, "customer", recover=(repeat(),))
        return {batch.only.id: Rejected.because("no_tax_number", "It has no tax number.", external_id="cus-1")}

    shop = a_shop_anywhere(a_provider(**{**HOOKS, "sync_customer": sync_customer}))
    tell(shop, "customer:cus-1")
    shop.submit()
    shop.run()
    assert state_of_the_only_event(shop) == "worked"


def test_an_event_about_a_customer_whom_the_host_names_finds_them(a_shop_anywhere: OpenShop):
    shop = a_shop_anywhere(a_provider(**HOOKS))
    tell(shop, "customer:cus-7")
    jane = shop.ns.customers.get("jane").id
    shop.ns.customer_apps.set(jane, [CustomerAppEntry(shop.app.id, external_id="cus-7")])
    assert_it_is_no_orphan(shop)


def test_an_event_about_one_kind_of_thing_is_not_taken_for_another_of_the_same_id(a_shop_anywhere: OpenShop):
    shop = a_shop_anywhere(a_provider(**HOOKS, **CHARGING))
    tell(shop, "customer:inv-1")
    make_everything(shop)
    assert state_of_the_only_event(shop) == "unmatched"
    shop.clock.advance(timedelta(days=2))
    assert [event["external_id"] for event in shop.engine.orphaned_events("acme")] == ["inv-1"]
