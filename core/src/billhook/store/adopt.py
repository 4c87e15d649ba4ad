"""A host's own connection, used inside its transaction and never ended by us."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from sqlalchemy import Connection, Engine
from sqlalchemy.pool import NullPool

from billhook.errors import StoreError

DRIVERS = ("pysqlite", "psycopg")


class HostChecks(Protocol):
    """What a host's connection is compared with."""

    @property
    def engine(self) -> Engine: ...

    def check_host(self, connection: Connection) -> None: ...


@contextmanager
def adopted(host: object, backend: HostChecks) -> Iterator[Connection]:
    """The host's connection for SQLAlchemy Core, in the host's transaction; StoreError if it is to another database.

    Takes a SQLAlchemy Connection, a sqlite3.Connection or a psycopg.Connection. Leaving ends no transaction.
    """
    if isinstance(host, Connection):
        _check_sqlalchemy(host, backend)
        backend.check_host(host)
        yield host
        return
    with _wrapped(host, backend.engine) as connection:
        backend.check_host(connection)
        yield connection


class HostConnection:
    """A driver's connection whose transaction belongs to the host: commit, rollback and close do nothing."""

    def __init__(self, driver: Any, open_cursor: Callable[[], Any]) -> None:
        self._driver = driver
        self._open_cursor = open_cursor

    def cursor(self) -> Any:
        """A cursor that gives tuples, whatever row type the host has set."""
        return self._open_cursor()

    def commit(self) -> None:
        """The host commits."""

    def rollback(self) -> None:
        """The host rolls back."""

    def close(self) -> None:
        """The host closes."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._driver, name)


def _check_sqlalchemy(host: Connection, backend: HostChecks) -> None:
    if host.dialect.name != backend.engine.dialect.name or host.dialect.driver not in DRIVERS:
        raise StoreError(
            f"The connection is to {host.dialect.name} through {host.dialect.driver}, but Billhook is open on "
            f"{backend.engine.dialect.name}. Nothing was written. Give a connection to the same database through "
            f"one of {', '.join(DRIVERS)}."
        )
    if not host.in_transaction():
        raise StoreError("The connection is in no transaction. Nothing was written. Call connection.begin() first.")


@contextmanager
def _wrapped(host: object, engine: Engine) -> Iterator[Connection]:
    driver = HostConnection(host, _cursor_opener(host, engine))
    # Our engine's dialect has met its database already, so SQLAlchemy sends nothing of its own over the host's
    # connection, and the pool that is made for it forgets it without a rollback.
    pool = NullPool(lambda: driver, dialect=engine.dialect, reset_on_return=None)
    with Engine(pool, engine.dialect, engine.url).connect() as connection:
        yield connection


def _cursor_opener(host: object, engine: Engine) -> Callable[[], Any]:
    wanted = engine.dialect.name
    if wanted == "sqlite" and isinstance(host, sqlite3.Connection):
        return lambda: _sqlite_cursor(host)
    # A host that holds a psycopg connection has imported psycopg.
    psycopg = sys.modules.get("psycopg")
    if wanted == "postgresql" and psycopg is not None and isinstance(host, psycopg.Connection):
        return lambda: psycopg.Cursor(host, row_factory=psycopg.rows.tuple_row)
    raise StoreError(
        f"A {type(host).__module__}.{type(host).__qualname__} can't be used with Billhook open on {wanted}. Nothing was "
        "written. Give a SQLAlchemy Connection, a sqlite3.Connection or a psycopg.Connection to the same database "
        "(Django's is django.db.connection.connection, a Session's is session.connection(), and that of an AsyncSession or AsyncConnection is "
        "what run_sync gives)."
    )


def _sqlite_cursor(host: sqlite3.Connection) -> sqlite3.Cursor:
    cursor = host.cursor()
    cursor.row_factory = None
    return cursor
