"""Two workers on one database: who holds nothing waits, and does not ask again and again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from engine_kit import NOON, Shop, a_provider, careful_draft, documents, look_up

from billhook.contract import Batch, Call, registered
from billhook.engine.moments import to_micros
from billhook.engine.running import LONGEST_SLEEP_SECONDS, SHORTEST_SLEEP_SECONDS, pause_seconds
from billhook.engine.sending import ThreadSenders
from billhook.engine.worker import Worker
from billhook.errors import CredentialKeyError, StoreError
from billhook.store import schema
from billhook.store.transaction import Transaction

OpenShop = Callable[..., Shop]
PENDING = "payment_processing.pending"
PATIENCE_SECONDS = 30


def held_by(shop: Shop, owner: str | None) -> None:
    """Let that worker hold the app, in which something is due."""
    values = {"owner": owner, "fence": 1, "next_due": to_micros(NOON), "expires_at": to_micros(NOON) + 300_000_000}
    shop.engine.database.write(lambda tx: tx.execute(sa.update(schema.app_lease).values(values)))


def test_a_worker_does_not_poll_an_app_that_another_one_holds(a_shop_anywhere: OpenShop):
    shop = a_shop_anywhere()
    shop.submit()
    with shop.engine.database.liveness.claim("other"):
        held_by(shop, "other")
        assert shop.engine.next_due() == NOON
        assert shop.engine.next_due("ours") is None
        assert pause_seconds(shop.engine.next_due("ours"), NOON) == LONGEST_SLEEP_SECONDS
        assert pause_seconds(shop.engine.next_due("other"), NOON) == SHORTEST_SLEEP_SECONDS
    held_by(shop, None)
    assert pause_seconds(shop.engine.next_due("ours"), NOON) == SHORTEST_SLEEP_SECONDS


def test_a_worker_takes_over_what_a_dead_one_held(a_shop_anywhere: OpenShop):
    shop = a_shop_anywhere()
    id = shop.submit()
    held_by(shop, "dead")
    shop.run()
    assert shop.status(id) == "payment_processing.pending"


def test_a_worker_of_a_closed_engine_is_refused_before_it_begins(a_shop: OpenShop):
    shop = a_shop()
    shop.engine.close()
    with pytest.raises(StoreError, match="The database is closed"), shop.engine.worker():
        pytest.fail("the block was entered")


def test_a_worker_that_can_not_begin_says_so_to_whoever_stops_it(a_shop: OpenShop, monkeypatch, caplog):
    shop = a_shop()

    def no_keys(tx: Transaction) -> None:
        raise CredentialKeyError("no key opens them")

    monkeypatch.setattr(shop.engine.credentials, "check_keys", no_keys)
    running = shop.engine.worker().start()
    with pytest.raises(CredentialKeyError, match="no key opens them"):
        running.stop()
    assert "A thread of the engine died." in caplog.text


def test_a_worker_that_ended_leaves_no_thread_behind(a_shop: OpenShop):
    shop = a_shop(a_provider(sync_draft=careful_draft))
    id = shop.submit()
    before = threading.active_count()
    with shop.engine.worker(threads=4):
        deadline_seconds = time.monotonic() + PATIENCE_SECONDS
        while shop.status(id) != PENDING and time.monotonic() < deadline_seconds:
            time.sleep(0.01)
        assert threading.active_count() > before + 1
    assert threading.active_count() == before


# A call that never returns.


class Hanging:
    """An SDK whose first call does nothing and does not come back, until the test is over. Later ones make a document."""

    def __init__(self) -> None:
        self.entered, self.over = threading.Event(), threading.Event()
        self.made: list[str] = []

    def provider(self) -> Any:
        hanging = self

        def sync_draft(self: Any, batch: Batch[Any, Any]) -> Any:
            reply = yield Call("push", self.function("push", ref=batch.only.id), recover=(look_up(self, batch),))
            return documents(batch, reply)

        @registered
        def push(self: Any, credentials: Any, ref: str) -> Any:
            return hanging.push(ref)

        return a_provider("hanging", sync_draft=sync_draft, members={"push": push})

    def push(self, ref: str) -> Any:
        if not self.entered.is_set():
            self.entered.set()
            assert self.over.wait(PATIENCE_SECONDS)
            return {"items": [{"ref": ref, "id": "too-late"}]}
        self.made.append(ref)
        return {"items": [{"ref": ref, "id": f"made-{len(self.made)}"}]}


@pytest.fixture
def hanging() -> Iterator[Hanging]:
    found = Hanging()
    yield found
    found.over.set()


@contextmanager
def caught_in_a_call(shop: Shop, hanging: Hanging) -> Iterator[Worker]:
    """A living worker in one of whose threads the call hangs."""
    senders = ThreadSenders(4)
    worker = shop.engine.new_worker(senders)
    with shop.engine.database.liveness.claim(worker.owner):
        until(hanging.entered.is_set, worker)
        yield worker
        hanging.over.set()
        until(lambda: bool(shop.rows(schema.late_reply)), worker)
        worker.give_back()
    senders.close()


def until(happened: Callable[[], bool], worker: Worker) -> None:
    """Let the worker work until it happened; that it does not within the test's patience is a failure."""
    deadline_seconds = time.monotonic() + PATIENCE_SECONDS
    while not happened():
        worker.tick(wait_seconds=0.01)
        assert time.monotonic() < deadline_seconds


def a_shop_of_two_apps(open_one: OpenShop, hanging: Hanging) -> tuple[Shop, str]:
    """A shop with a sound app and one that hangs, and an invoice for the latter."""
    shop = open_one(a_provider(sync_draft=careful_draft), hanging.provider())
    ann = shop.ns.customers.create("Ann", key="ann")
    slow = shop.a_profile(shop.an_app("hanging"), name="Slow", is_default=False)
    shop.ns.overrides.set(ann.id, profile_id=slow.id)
    return shop, shop.submit(customer_key="ann")


def test_a_call_that_never_returns_does_not_keep_its_app_from_a_busy_worker(
    a_shop_anywhere: OpenShop, hanging: Hanging
):
    shop, id = a_shop_of_two_apps(a_shop_anywhere, hanging)
    with caught_in_a_call(shop, hanging) as worker:
        for _ in range(8):
            other = shop.submit()
            shop.clock.advance(timedelta(minutes=1))
            until(lambda other=other: shop.status(other) == PENDING, worker)
        until(lambda: shop.status(id) == PENDING, worker)
        assert hanging.made == [id]
    assert hanging.made == [id]
    assert shop.status(id) == PENDING


def test_another_worker_takes_over_from_a_call_that_never_returns(a_shop_anywhere: OpenShop, hanging: Hanging):
    shop, id = a_shop_of_two_apps(a_shop_anywhere, hanging)
    with caught_in_a_call(shop, hanging):
        shop.clock.advance(timedelta(minutes=6))
        shop.run_for(600)
        assert (shop.status(id), hanging.made) == (PENDING, [id])
    assert (shop.status(id), hanging.made) == (PENDING, [id])
