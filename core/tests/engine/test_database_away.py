"""The database goes away while the engine works: whoever asks is told, and what works goes on once it is back."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta

import psycopg
import pytest
from engine_kit import Outgoing, Shop, a_provider, careful_draft
from psycopg import sql

from billhook.engine import running
from billhook.errors import StoreUnavailable
from billhook.testing.postgres import PostgresServer, database_name

OpenShop = Callable[..., Shop]
PENDING = "payment_processing.pending"
PATIENCE_SECONDS = 30
BEGINS_ANEW = "begins anew after a pause"


class Away:
    """A database of a real server that takes no connection, and lets none live, until it is back."""

    def __init__(self, server: PostgresServer, url: str) -> None:
        self._server, self._name = server, database_name(url)

    def go(self) -> None:
        self._set(allowed=False)
        with psycopg.connect(self._server.url(), autocommit=True) as connection:
            # A session that was just beginning may come through behind the last look.
            while connection.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s", (self._name,)
            ).fetchall():
                continue

    def come_back(self) -> None:
        self._set(allowed=True)

    def _set(self, *, allowed: bool) -> None:
        command = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}")
        with psycopg.connect(self._server.url(), autocommit=True) as connection:
            connection.execute(command.format(sql.Identifier(self._name), sql.Literal(allowed)))


@pytest.fixture
def shop(shop_on: OpenShop, postgres_server: PostgresServer, database_template: str) -> Shop:
    return shop_on(postgres_server.create(database_template), a_provider(sync_draft=careful_draft))


@pytest.fixture
def away(shop: Shop, postgres_server: PostgresServer) -> Away:
    return Away(postgres_server, shop.url)


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(running, "FIRST_PAUSE_SECONDS", 0.02)


def until(happened: Callable[[], bool]) -> None:
    deadline_seconds = time.monotonic() + PATIENCE_SECONDS
    while not happened():
        assert time.monotonic() < deadline_seconds, "it did not happen within the test's patience"
        time.sleep(0.01)


def test_whoever_asks_is_told_and_is_answered_again_once_it_is_back(shop: Shop, away: Away):
    id = shop.submit()
    away.go()
    for ask in (lambda: shop.get(id), shop.submit, shop.engine.run_until_idle):
        with pytest.raises(StoreUnavailable, match="can't be used now"):
            ask()
    away.come_back()
    shop.run()
    assert shop.status(id) == PENDING


def test_a_worker_goes_on_once_the_database_is_back(shop: Shop, away: Away, caplog: pytest.LogCaptureFixture):
    id = shop.submit()
    with shop.engine.worker() as worker:
        until(lambda: shop.status(id) == PENDING)
        away.go()

        def has_tried_again_and_again() -> bool:
            shop.clock.advance(timedelta(seconds=1))
            return caplog.text.count(BEGINS_ANEW) >= 3

        until(has_tried_again_and_again)
        assert worker.is_alive
        away.come_back()
        other = shop.submit()
        until(lambda: shop.status(other) == PENDING)
    assert shop.wire.books.references.count(id) == shop.wire.books.references.count(other) == 1


def test_what_was_sent_while_the_database_went_away_is_found_and_not_sent_again(shop: Shop, away: Away, caplog):
    gone = threading.Event()

    def cut_off(request: Outgoing) -> None:
        if not gone.is_set():
            away.go()
            gone.set()

    shop.wire.before_each = cut_off
    id = shop.submit()
    with shop.engine.worker():
        until(lambda: BEGINS_ANEW in caplog.text)
        assert shop.wire.books.references == [id]
        away.come_back()

        def is_pending() -> bool:
            shop.clock.advance(timedelta(seconds=10))
            return shop.status(id) == PENDING

        until(is_pending)
    assert shop.wire.books.references.count(id) == 1


def test_a_worker_that_waits_for_the_database_is_stopped_at_once(shop: Shop, away: Away, caplog):
    shop.submit()
    worker = shop.engine.worker().start()
    away.go()
    until(lambda: BEGINS_ANEW in caplog.text)
    worker.stop()
    assert not worker.is_alive
    assert "A thread of the engine died" not in caplog.text


def test_a_worker_waits_for_a_file_that_somebody_else_holds(
    a_shop: OpenShop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    shop = a_shop(a_provider(sync_draft=careful_draft))
    monkeypatch.setattr(shop.engine.database.backend, "_patience", timedelta(milliseconds=300))
    id = shop.submit()
    with closing(sqlite3.connect(shop.url, isolation_level=None)) as tool:
        tool.execute("BEGIN IMMEDIATE")
        with shop.engine.worker():
            until(lambda: BEGINS_ANEW in caplog.text)
            tool.execute("ROLLBACK")
            until(lambda: shop.status(id) == PENDING)
