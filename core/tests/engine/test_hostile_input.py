"""Ids, pages and webhooks as nobody honest sends them: a clear refusal on either store, never a driver's error."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import psycopg
import pytest
from engine_kit import Shop, a_provider, careful_draft

from billhook.contract import Refusal, WebhookEvent
from billhook.contract.requests import Reply
from billhook.contract.verdict import is_readable, retry_after
from billhook.engine.invoice_filter import InvoiceFilter
from billhook.errors import InvalidInput, NotFound, WebhookRefused
from billhook.store import schema
from billhook.testing.sandbox.incoming import _events

OpenShop = Callable[..., Shop]
UNSTORABLE = {"a NUL": "a\0b", "half a character": "\ud800", "a hundred thousand letters": "x" * 100_000}


def with_that_id(shop: Shop, id: str) -> Iterator[Callable[[], Any]]:
    ns = shop.ns
    for command in (ns.invoices.get, ns.invoices.timeline, ns.invoices.preview, ns.invoices.void, ns.invoices.approve):
        yield lambda command=command: command(id)
    yield lambda: ns.invoices.update(id, {"description": "x"})
    yield lambda: ns.invoices.record_payment(id, "1")
    yield lambda: ns.invoices.draft_synchronized(id)
    yield lambda: ns.credit_notes.get(id)
    yield lambda: ns.refunds.refund(id, "1")
    yield lambda: ns.customers.get(id)
    yield lambda: ns.apps.get(id)
    yield lambda: ns.profiles.get(id)
    yield lambda: ns.overrides.get(id)
    yield lambda: ns.erase_customer(id)
    yield lambda: shop.engine.namespace(id).invoices.get("x")
    yield lambda: shop.engine.receive_webhook(id, {}, b"")
    yield lambda: shop.engine.check_connection(id)


@pytest.mark.parametrize("id", UNSTORABLE.values(), ids=UNSTORABLE.keys())
def test_an_id_that_cant_be_stored_finds_nothing_and_is_not_told_at_length(a_shop_anywhere: OpenShop, id: str):
    shop = a_shop_anywhere()
    for act in with_that_id(shop, id):
        with pytest.raises((NotFound, InvalidInput)) as refusal:
            act()
        assert len(str(refusal.value)) < 400
        assert str(refusal.value).isprintable()


@pytest.mark.parametrize("id", UNSTORABLE.values(), ids=UNSTORABLE.keys())
def test_in_a_hosts_transaction_too_such_an_id_is_refused_clearly(a_shop_anywhere: OpenShop, id: str):
    shop = a_shop_anywhere()
    with host(shop) as connection, shop.engine.bind(connection, "acme") as bound:
        for act in (bound.invoices.get, bound.invoices.timeline):
            with pytest.raises((NotFound, InvalidInput)):
                act(id)


@contextmanager
def host(shop: Shop) -> Iterator[Any]:
    connection = psycopg.connect(shop.url) if "://" in shop.url else sqlite3.connect(shop.url)
    with closing(connection):
        yield connection


PAGES = [(0, 10), (-1, 10), (10**30, 10), ("1", 10), (1.5, 10), (True, 10), (None, 10), (1, 0), (1, -5), (1, 10**9)]


@pytest.mark.parametrize("page, page_size", PAGES)
def test_a_page_that_cant_be_is_refused(a_shop: OpenShop, page: Any, page_size: Any):
    ns = a_shop().ns
    pages = (ns.invoices, ns.customers, ns.apps, ns.profiles, ns.overrides, ns.credit_notes)
    for read in (each.list for each in pages):
        with pytest.raises(InvalidInput) as refusal:
            read(page=page, page_size=page_size)
        assert refusal.value.code == "page_invalid"


def test_the_last_page_that_may_be_asked_for_is_empty(a_shop_anywhere: OpenShop):
    shop = a_shop_anywhere()
    assert shop.ns.invoices.list(InvoiceFilter(), page=10**12, page_size=1000).items == ()


# Webhooks.


def tells(*events: Any) -> Any:
    def read_webhook(self: Any, headers: Any, body: Any, secrets: Any, now: Any) -> Any:
        return list(events)

    return a_provider(sync_draft=careful_draft, read_webhook=read_webhook)


GOOD = {"id": "e1", "kind": "document", "external_id": "d-1", "type": "updated"}
BAD_EVENTS = {
    "a NUL in its id": {"id": "e\0"},
    "half a character in what it is about": {"external_id": "\ud800"},
    "an id of ten thousand letters": {"id": "e" * 10_000},
    "a type of ten thousand letters": {"type": "t" * 10_000},
    "no id": {"id": ""},
    "a number for an id": {"id": 7},
    "a list for what it is about": {"external_id": ["d-1"]},
    "a kind that nobody knows": {"kind": "invoices"},
    "details that are no texts": {"details": {"a": {"b": 1}}},
    "details that are no mapping": {"details": "x"},
    "a NUL in its details": {"details": {"a": "\0"}},
    "a time that is none": {"occurred_at": "yesterday"},
}


@pytest.mark.parametrize("changes", BAD_EVENTS.values(), ids=BAD_EVENTS.keys())
def test_a_webhook_with_a_bad_event_is_refused_whole(a_shop_anywhere: OpenShop, changes: dict[str, Any]):
    good, bad = WebhookEvent(**GOOD), WebhookEvent(**{**GOOD, "id": "e2", **changes})
    shop = a_shop_anywhere(tells(good, bad))
    with pytest.raises(WebhookRefused):
        shop.engine.receive_webhook(shop.app.id, {}, b"{}")
    assert shop.rows(schema.inbox) == []


def test_a_webhook_that_its_provider_stumbles_over_is_refused_and_says_so(a_shop: OpenShop):
    def read_webhook(self: Any, headers: Any, body: Any, secrets: Any, now: Any) -> Any:
        return [json.loads(body)["id"]]

    shop = a_shop(a_provider(sync_draft=careful_draft, read_webhook=read_webhook))
    for body, reason in ((b"{}", "KeyError"), (b"[" * 200_000, "RecursionError"), (b"\xff", "UnicodeDecodeError")):
        with pytest.raises(WebhookRefused, match=reason):
            shop.engine.receive_webhook(shop.app.id, {}, body)


@pytest.mark.parametrize("body", [b"[" * 200_000, b'{"type":' * 200_000, b"\xff", b"null", b'{"type": 1}'])
def test_the_sandbox_refuses_a_body_that_is_no_event(body: bytes):
    assert isinstance(_events(body), Refusal)


# Answers.


def test_an_answer_of_a_hundred_thousand_brackets_is_unreadable():
    assert not is_readable(Reply(200, (("content-type", "application/json"),), b"[" * 100_000))


@pytest.mark.parametrize("value", ["²", "9" * 400, "-1", "soon"])
def test_a_time_to_wait_that_is_none_is_ignored(value: str):
    assert retry_after(Reply(429, (("retry-after", value),))) is None
