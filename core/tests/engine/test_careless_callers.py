"""A host that hands in something of a wrong kind is told which argument it is and what it has to be, and nothing is done."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import cached_property
from http.client import HTTPMessage
from pathlib import Path
from typing import Any

import pytest
from engine_kit import Shop

from billhook import Engine, InvoiceFilter, Policy
from billhook.engine.customer_apps import CustomerAppEntry
from billhook.engine.invoices import Invoices
from billhook.errors import BillhookError, InvalidInput, StoreError, Unsupported

OpenShop = Callable[..., Shop]
DOORS_OF_ENGINE = (
    *("receive_webhook", "orphaned_events", "check_connection", "prune", "run_until_idle", "worker", "dispatcher"),
    *("notify_until_idle", "next_due", "wake", "namespace"),
)
NOT_FOR_HOSTS = {"retry_in", "pin_within"}
"""Parts of commands, in a transaction that is open already."""


class Stranger:
    """Nothing that anybody could ask for."""


def public(thing: object) -> Iterator[Callable[..., Any]]:
    """Every public method of a command object, and of those that it holds."""
    for name, member in inspect.getmembers(type(thing)):
        if name.startswith("_") or name in NOT_FOR_HOSTS:
            continue
        if isinstance(member, cached_property):
            yield from public(getattr(thing, name))
        elif inspect.isfunction(member):
            yield getattr(thing, name)


def doors(shop: Shop) -> list[Callable[..., Any]]:
    hooks = shop.ns.notifications
    inside = [method for each in (hooks.channels, hooks.rules, hooks.events) for method in public(each)]
    return [*public(shop.ns), *inside, *(getattr(shop.engine, name) for name in DOORS_OF_ENGINE)]


def with_one_stranger(method: Callable[..., Any]) -> Iterator[tuple[str, Callable[[], Any]]]:
    parameters = inspect.signature(method).parameters.values()
    needed = [each.name for each in parameters if each.default is each.empty and each.kind is not each.VAR_KEYWORD]
    for each in parameters:
        if each.kind is not each.VAR_KEYWORD:
            given = {**dict.fromkeys(needed, "x"), each.name: Stranger()}
            yield each.name, lambda given=given: method(**given)


def test_a_stranger_is_refused_by_name_at_every_argument_of_every_door(a_shop: OpenShop):
    shop = a_shop()
    before = shop.counts()
    refused = 0
    for method in doors(shop):
        for name, call in with_one_stranger(method):
            what = f"{method.__qualname__}: {name}"
            with pytest.raises(BillhookError) as refusal:
                call()
            assert str(refusal.value), what
            refused += name in str(refusal.value)
    assert refused > 250
    assert shop.counts() == before


WRONG: dict[str, tuple[Callable[[Shop], Any], str, str]] = {
    "a dict for a filter": (
        lambda shop: shop.ns.invoices.list({"statuses": ["paid"]}),
        "/filter",
        "filter is of type dict, and has to be InvoiceFilter | None (Input should be an instance of InvoiceFilter).",
    ),
    "a text for several": (
        lambda shop: InvoiceFilter(statuses="paid"),
        "/statuses",
        "statuses is of type str, and has to be tuple[str, ...] (Input should be a valid tuple).",
    ),
    "no thread": (
        lambda shop: shop.engine.worker(threads=0),
        "/threads",
        "threads is of type int, and has to be PositiveInt (Input should be greater than 0).",
    ),
    "no headers": (
        lambda shop: shop.engine.receive_webhook(shop.app.id, None, b""),
        "/headers",
        "headers is of type NoneType, and has to be Mapping[str, str] (Input should be a valid dictionary).",
    ),
    "headers in bytes": (
        lambda shop: shop.engine.receive_webhook(shop.app.id, {b"a": b"b"}, b""),
        "/headers",
        "has to be Mapping[str, str] (Input should be a valid string).",
    ),
    "a body that was decoded": (
        lambda shop: shop.engine.receive_webhook(shop.app.id, {}, "{}"),
        "/body",
        "body is of type str, and has to be bytes (Input should be a valid bytes).",
    ),
    "an id that is a number": (
        lambda shop: shop.ns.invoices.get(5),
        "/invoice_id",
        "Invoices.get: invoice_id is of type int, and has to be str (Input should be a valid string).",
    ),
    "an order that there is not": (
        lambda shop: shop.ns.customers.list(order="nme"),
        "/order",
        "has to be CustomerOrder (Input should be 'id', 'name',",
    ),
    "days for a time": (
        lambda shop: shop.engine.prune(30),
        "/older_than",
        "older_than is of type int, and has to be timedelta (Input should be a valid timedelta).",
    ),
    "a time below nothing": (
        lambda shop: Policy(send_margin=timedelta(days=-1)),
        "/send_margin",
        "Policy: send_margin is of type timedelta, and has to be timedelta (Input should be greater than or equal to 0 seconds).",
    ),
    "no time at all where some has to pass": (
        lambda shop: Policy(longest_unseen=timedelta()),
        "/longest_unseen",
        "Policy: longest_unseen is of type timedelta, and has to be PositiveTime (Input should be greater than 0 seconds).",
    ),
    "a secret that is no mapping": (
        lambda shop: shop.ns.apps.install("books", credentials="sk_live_1"),
        "/credentials",
        "credentials is of type str, and has to be Json | None (Input should be a valid dictionary).",
    ),
    "a dict for an entry": (
        lambda shop: shop.ns.customer_apps.set("jane", [{"app_id": "x"}]),
        "/entries",
        "(Input should be an instance of CustomerAppEntry).",
    ),
    "a time without a zone": (
        lambda shop: shop.ns.invoices.record_payment("x", "1", received_at=datetime(2026, 1, 1)),
        "/received_at",
        "received_at: A time without offset can mean any moment.",
    ),
    "a binary fraction": (
        lambda shop: shop.ns.invoices.record_payment("x", 0.1),
        "/amount_received",
        "amount_received: An amount came as a binary fraction.",
    ),
    "a page before the first": (lambda shop: shop.ns.invoices.list(page=-1), "/page", "There is no page -1."),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_of_a_wrong_kind_is_refused_at_its_place_in_words(a_shop: OpenShop, case: str):
    shop = a_shop()
    act, path, words = WRONG[case]
    before = shop.counts()
    with pytest.raises(InvalidInput) as refusal:
        act(shop)
    assert refusal.value.path == path
    assert words in str(refusal.value)
    assert "sk_live" not in str(refusal.value)
    assert shop.counts() == before


@pytest.mark.parametrize(
    "name, value",
    [
        ("observers", [Stranger()]),
        ("catalog", {}),
        ("policy", {"retries": 3}),
        ("clock", datetime),
        ("usage", {"seats": "3"}),
        ("overrides", [Stranger()]),
        ("overrides", {"books": Stranger()}),
        ("credential_keys", "one key"),
        ("targets", ["https://example.com"]),
    ],
)
def test_an_engine_that_is_opened_with_a_stranger_makes_no_database(tmp_path: Path, name: str, value: Any):
    with pytest.raises(InvalidInput, match=rf"^Engine\.open: {name} is of type \w+, and has to be ") as refusal:
        Engine.open(tmp_path / "billhook.db", **{name: value})
    assert refusal.value.path == f"/{name}"
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_database_or_no_connection_is_told_by_the_store(a_shop: OpenShop):
    with pytest.raises(StoreError, match="5 is no database"):
        Engine.open(5)
    with pytest.raises(StoreError, match="can't be used"), a_shop().engine.bind(None):
        pass


def test_what_fits_goes_through(a_shop: OpenShop):
    shop = a_shop()
    headers = HTTPMessage()
    headers["X-Signature"] = "1"
    with pytest.raises(Unsupported):  # and no word of the headers, which are read like a mapping
        shop.engine.receive_webhook(shop.app.id, headers, b"")
    assert InvoiceFilter(statuses=["paid"]).statuses == ["paid"]
    assert shop.ns.invoices.list(None, page=1).items == ()
    assert shop.ns.invoices.submit_many(iter([shop.draft()]))
    assert len(shop.ns.invoices.submit_many(shop.draft() for _ in range(2))) == 2
    assert CustomerAppEntry(shop.app.id, data={"a": "b"}).data == {"a": "b"}
    with pytest.raises(TypeError, match="unexpected keyword argument 'invoice'"):
        shop.ns.invoices.get(invoice="x")
    assert inspect.signature(Invoices.get).parameters["invoice_id"].annotation == "str"
