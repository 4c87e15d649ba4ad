"""Taking part in a host's own transaction: what the host commits is stored, what it rolls back never was."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from billhook.clock import SystemClock
from billhook.errors import StaleWrite, StoreError, StoreUnavailable
from billhook.faults import NO_FAULTS
from billhook.store import Database, Insert, Transaction, migrate

ROW = ("a", 1, None, b"\x00\xff")


@pytest.fixture
def db(db: Database) -> Database:
    migrate.upgrade(db)
    return db


@contextmanager
def sqlalchemy_host(url: str) -> Iterator[sa.Connection]:
    address = f"sqlite:///{url}" if "://" not in url else url.replace("postgresql:", "postgresql+psycopg:")
    engine = sa.create_engine(address)
    with engine.connect() as connection:
        connection.begin()
        yield connection
    engine.dispose()


@contextmanager
def driver_host(url: str) -> Iterator[Any]:
    with closing(psycopg.connect(url) if "://" in url else sqlite3.connect(url)) as connection:
        yield connection


@contextmanager
def django_like_host(url: str) -> Iterator[Any]:
    """As Django holds it: its own row and cursor types, and transactions begun by hand."""
    if "://" not in url:
        with closing(sqlite3.connect(url, isolation_level=None)) as connection:
            connection.row_factory = sqlite3.Row
            connection.execute("BEGIN")
            yield connection
        return
    with closing(
        psycopg.connect(url, cursor_factory=psycopg.ClientCursor, row_factory=psycopg.rows.dict_row)
    ) as connection:
        yield connection


hosts = pytest.mark.parametrize("host", [sqlalchemy_host, driver_host, django_like_host])


def add(tx: Transaction, item: sa.Table) -> None:
    tx.insert_many(Insert(item, ("id", "version", "order", "body")), [ROW])


def rows(db: Database, item: sa.Table) -> list[tuple[Any, ...]]:
    with db.read() as tx:
        return [tuple(row) for row in tx.all(sa.select(item))]


def bind_once(db: Database, host: Any) -> None:
    with db.bind(host):
        pass


@hosts
def test_what_the_host_commits_is_stored(db: Database, item: sa.Table, store_url: str, host) -> None:
    with host(store_url) as connection:
        with db.bind(connection) as tx:
            add(tx, item)
            assert tx.select_in(item, ("id", "version", "order", "body"), "id", ["a"]) == [ROW]
        assert rows(db, item) == []
        connection.commit()

    assert rows(db, item) == [ROW]


@hosts
def test_what_the_host_rolls_back_never_was(db: Database, item: sa.Table, store_url: str, host) -> None:
    with host(store_url) as connection:
        with db.bind(connection) as tx:
            add(tx, item)
        connection.rollback()

    assert rows(db, item) == []


def test_an_error_inside_leaves_the_transaction_to_the_host(db: Database, item: sa.Table, store_url: str) -> None:
    with driver_host(store_url) as connection:
        connection.execute("INSERT INTO item (id, version) VALUES ('host', 1)")
        with suppress(LookupError), db.bind(connection) as tx:
            add(tx, item)
            raise LookupError
        connection.commit()

    assert sorted(id for id, *_ in rows(db, item)) == ["a", "host"]


def test_callbacks_are_handed_back_and_not_called(db: Database, store_url: str) -> None:
    called: list[str] = []
    with driver_host(store_url) as connection:
        with db.bind(connection) as tx:
            tx.after_commit(lambda: called.append("woken"))
        connection.commit()
        assert called == []

    for callback in tx.callbacks:
        callback()
    assert called == ["woken"]


def test_a_host_that_holds_its_transaction_open_delays_the_writer(db: Database, item: sa.Table, store_url: str) -> None:
    with driver_host(store_url) as connection:
        with db.bind(connection) as tx:
            add(tx, item)
        waiting = db.submit(lambda tx: tx.insert_many(Insert(item, ("id", "version")), [("ours", 1)]))
        connection.commit()
        waiting.result(10)

    assert sorted(id for id, *_ in rows(db, item)) == ["a", "ours"]


@pytest.mark.parametrize("host", [sqlalchemy_host, driver_host])
def test_another_database_is_refused_before_anything_is_written(
    db: Database, item: sa.Table, tmp_path: Path, request: pytest.FixtureRequest, host
) -> None:
    other = str(tmp_path / "other.db")
    if db.dialect == "postgresql":
        other = request.getfixturevalue("postgres_server").create()
    with Database.open(other, clock=SystemClock(), faults=NO_FAULTS) as twin:
        twin.write(lambda tx: item.create(tx.connection))
        migrate.upgrade(twin)
        with host(other) as connection:
            with pytest.raises(StoreError, match="but Billhook is open on"), db.bind(connection) as tx:
                add(tx, item)
            connection.commit()
        assert rows(twin, item) == rows(db, item) == []


def test_a_connection_of_another_kind_is_refused(db: Database, tmp_path: Path, postgres_server) -> None:
    wrong = str(tmp_path / "wrong.db") if db.dialect == "postgresql" else postgres_server.url()
    for host in (sqlalchemy_host, driver_host):
        with host(wrong) as connection, pytest.raises(StoreError, match="Nothing was written"), db.bind(connection):
            pass
    with pytest.raises(StoreError, match=r"builtins\.str can't be used"), db.bind("a string"):
        pass


def test_a_connection_in_no_transaction_is_refused(db: Database, item: sa.Table, store_url: str) -> None:
    autocommit = {"autocommit": True} if db.dialect == "postgresql" else {"isolation_level": None}
    connect: Any = psycopg.connect if db.dialect == "postgresql" else sqlite3.connect
    with (
        closing(connect(store_url, **autocommit)) as connection,
        pytest.raises(StoreError, match="in no transaction"),
        db.bind(connection) as tx,
    ):
        add(tx, item)
    with sqlalchemy_host(store_url) as connection:
        connection.rollback()
        with pytest.raises(StoreError, match=r"Call connection\.begin"), db.bind(connection) as tx:
            add(tx, item)

    assert rows(db, item) == []


def test_a_transaction_that_failed_before_is_refused(postgres_server) -> None:
    url = postgres_server.create()
    with Database.open(url, clock=SystemClock(), faults=NO_FAULTS) as db, driver_host(url) as connection:
        migrate.upgrade(db)
        with suppress(psycopg.Error):
            connection.execute("SELECT nothing")
        with pytest.raises(StoreError, match=r"failed before.*Roll it back"), db.bind(connection):
            pass


def test_what_raises_in_a_hosts_transaction_leaves_nothing_of_itself(
    db: Database, item: sa.Table, store_url: str
) -> None:
    def half(tx: Transaction) -> None:
        add(tx, item)
        raise LookupError

    with driver_host(store_url) as connection:
        connection.execute("INSERT INTO item (id, version) VALUES ('host', 1)")
        with db.bind(connection) as tx:
            with pytest.raises(LookupError):
                db.write_bound(tx, half)
            db.write_bound(tx, lambda tx: tx.insert_many(Insert(item, ("id", "version")), [("ours", 1)]))
        connection.commit()
    assert sorted(id for id, *_ in rows(db, item)) == ["host", "ours"]


def test_a_database_without_our_tables_is_refused(store_url: str) -> None:
    with (
        Database.open(store_url, clock=SystemClock(), faults=NO_FAULTS) as bare,
        driver_host(store_url) as connection,
        pytest.raises(StoreError, match=r"Upgrade (the|its) schema first"),
        bare.bind(connection),
    ):
        pass


def test_an_old_read_of_the_host_is_refused_with_advice(tmp_path: Path, item: sa.Table) -> None:
    path = str(tmp_path / "shared.db")
    with Database.open(path, clock=SystemClock(), faults=NO_FAULTS) as db, closing(sqlite3.connect(path)) as host:
        migrate.upgrade(db)
        db.write(lambda tx: item.create(tx.connection))
        host.isolation_level = None
        host.execute("BEGIN")
        host.execute("SELECT count(*) FROM item").fetchall()
        db.write(lambda tx: add(tx, item))

        with pytest.raises(StaleWrite, match="Roll it back and run it again; one that begins with BEGIN IMMEDIATE"):
            bind_once(db, host)


def test_a_host_that_reads_while_somebody_else_writes_is_told_to_come_again(tmp_path: Path) -> None:
    path = str(tmp_path / "shared.db")
    with (
        Database.open(path, clock=SystemClock(), faults=NO_FAULTS) as db,
        closing(sqlite3.connect(path, isolation_level=None)) as host,
        closing(sqlite3.connect(path, isolation_level=None)) as other,
    ):
        migrate.upgrade(db)
        host.execute("BEGIN")
        host.execute("SELECT count(*) FROM billhook_schema_version").fetchall()
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="BEGIN IMMEDIATE"):
            bind_once(db, host)


def test_a_hosts_connection_that_may_not_write_is_not_taken_for_a_database_without_tables(tmp_path: Path) -> None:
    path = str(tmp_path / "shared.db")
    with (
        Database.open(path, clock=SystemClock(), faults=NO_FAULTS) as db,
        closing(sqlite3.connect(path, isolation_level=None)) as host,
    ):
        migrate.upgrade(db)
        host.execute("PRAGMA query_only = ON")
        host.execute("BEGIN")
        with pytest.raises(StoreUnavailable, match="readonly database"):
            bind_once(db, host)


def test_a_closed_database_takes_part_in_no_transaction(db: Database, store_url: str) -> None:
    db.close()
    with driver_host(store_url) as connection, pytest.raises(StoreError, match="The database is closed"):
        bind_once(db, connection)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # that it is dangerous is what this is about
def test_a_forked_child_takes_part_in_no_transaction(db: Database, store_url: str, said_in_a_fork) -> None:
    def bind_in_a_host() -> None:
        with driver_host(store_url) as connection:
            bind_once(db, connection)

    assert "after the fork" in said_in_a_fork(bind_in_a_host)


def test_a_connection_in_pipeline_mode_is_refused(postgres_server) -> None:
    url = postgres_server.create()
    with Database.open(url, clock=SystemClock(), faults=NO_FAULTS) as db, driver_host(url) as connection:
        migrate.upgrade(db)
        with connection.pipeline(), pytest.raises(StoreError, match="pipeline mode"), db.bind(connection):
            pass


def test_what_is_no_address_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    nothing: Any = None
    with pytest.raises(StoreError, match="None is no database"):
        Database.open(nothing, clock=SystemClock(), faults=NO_FAULTS)
    assert list(tmp_path.iterdir()) == []
