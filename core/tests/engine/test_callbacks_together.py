"""Callbacks that come at the same moment are committed together, and each is answered by itself."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from engine_kit import Shop

from billhook.contract import DocumentResult
from billhook.errors import Conflict, InvalidInput, NotAllowed, NotFound, StoreError
from billhook.providers.custom_invoicing import provider as custom_invoicing
from billhook.store import schema
from billhook.testing.builders import an_id

OpenShop = Callable[..., Shop]
HOOKS = {"enable_draft_sync_hook": True, "enable_issuing_sync_hook": True}


def a_waiting_shop(open_one: OpenShop) -> Shop:
    shop = open_one(custom_invoicing)
    shop.ns.apps.update(shop.app.id, settings=HOOKS)
    return shop


@contextmanager
def writer_held(shop: Shop) -> Iterator[None]:
    """Nothing is written until the block ends; what is submitted in it goes together."""
    begun, go_on = threading.Event(), threading.Event()

    def hold(tx: object) -> None:
        begun.set()
        assert go_on.wait(30)

    held = shop.engine.database.submit(hold)
    assert begun.wait(30)
    yield
    go_on.set()
    held.result()


def test_many_at_once_are_all_made(a_shop_anywhere: OpenShop):
    shop = a_waiting_shop(a_shop_anywhere)
    ids = [shop.submit() for _ in range(12)]
    with writer_held(shop):
        made = [shop.ns.callbacks.draft_synchronized(id, DocumentResult(external_id=f"x-{id}")) for id in ids]
    assert [each.result() for each in made] == [None] * 12
    assert {shop.status(id) for id in ids} == {"issuing.syncing"}
    assert {shop.get(id).invoice.external_ids["invoicing"] for id in ids} == {f"x-{id}" for id in ids}


def test_who_is_refused_takes_nobody_along(a_shop_anywhere: OpenShop):
    shop = a_waiting_shop(a_shop_anywhere)
    good, wrong, paid = shop.submit(), shop.submit(), shop.submit()
    stranger = DocumentResult(line_ids={an_id(7): "x"})
    with writer_held(shop):
        calls = [
            shop.ns.callbacks.draft_synchronized(good, DocumentResult(number="A-1")),
            shop.ns.callbacks.draft_synchronized(wrong, stranger),
            shop.ns.callbacks.draft_synchronized(an_id(99), DocumentResult()),
            shop.ns.callbacks.payment_status(paid, "paid"),
            shop.engine.namespace("other").callbacks.draft_synchronized(good, DocumentResult()),
            shop.ns.callbacks.draft_synchronized(good, DocumentResult(number="A-2")),
        ]
    errors = [each.exception() for each in calls]
    kinds = [type(error) for error in errors]
    assert kinds == [type(None), InvalidInput, NotFound, NotAllowed, NotFound, Conflict]
    assert (shop.status(good), shop.get(good).invoice.number) == ("issuing.syncing", "A-1")
    assert [shop.status(id) for id in (wrong, paid)] == ["draft.syncing"] * 2
    assert len(shop.rows(schema.confirmation)) == 1


def test_callbacks_for_one_invoice_follow_each_other(a_shop_anywhere: OpenShop):
    shop = a_waiting_shop(a_shop_anywhere)
    id = shop.submit()
    with writer_held(shop):
        calls = [
            shop.ns.callbacks.draft_synchronized(id, DocumentResult(number="A-1")),
            shop.ns.callbacks.draft_synchronized(id, DocumentResult(number="A-1")),
            shop.ns.callbacks.issuing_synchronized(id, DocumentResult()),
            shop.ns.callbacks.payment_status(id, "paid"),
            shop.ns.callbacks.payment_status(id, "paid"),
        ]
    assert [each.result() for each in calls] == [None] * 5
    assert (shop.status(id), len(shop.rows(schema.payment))) == ("paid", 1)


def test_a_text_that_can_not_be_stored_is_the_callers_mistake(a_shop_anywhere: OpenShop):
    shop = a_waiting_shop(a_shop_anywhere)
    id = shop.submit()
    with pytest.raises(InvalidInput):
        shop.ns.callbacks.draft_synchronized(id, DocumentResult(external_id="half \ud800")).result()
    assert shop.status(id) == "draft.syncing"


def test_after_the_end_every_callback_is_told(a_shop: OpenShop):
    shop = a_waiting_shop(a_shop)
    id = shop.submit()
    shop.engine.close()
    for _ in range(2):
        with pytest.raises(StoreError):
            shop.ns.callbacks.draft_synchronized(id, DocumentResult()).result()
