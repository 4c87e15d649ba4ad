"""SQLite: one file in WAL mode, synchronous FULL, one writer and any number of readers."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TypeVar, cast

from sqlalchemy import URL, Connection, Engine, Pool, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool, QueuePool

from billhook.errors import StaleWrite, StoreError, StoreUnavailable
from billhook.store.compiled import COMPILED
from billhook.store.driver_errors import is_disk_trouble, said
from billhook.store.forking import apart_after_fork
from billhook.store.unavailable import told

READERS_WAIT = timedelta(seconds=10)
WRITER_WAIT = timedelta(milliseconds=250)
LONGEST_PAUSE = timedelta(seconds=1)

T = TypeVar("T")


class SqliteBackend:
    """The database in one file. Readers see one state of it and never wait for the writer."""

    def __init__(self, path: Path, *, create: bool, patience: timedelta) -> None:
        _check_place(path, create=create)
        self.path = path
        self._patience = patience
        self.engine = _engine(path, NullPool, f"PRAGMA busy_timeout = {_milliseconds(WRITER_WAIT)}")
        reading = (f"PRAGMA busy_timeout = {_milliseconds(READERS_WAIT)}", "PRAGMA query_only = ON")
        self._readers = _engine(path, QueuePool, *reading)
        self._switch_to_wal()

    def connect_writer(self) -> Connection:
        """A connection for the writer to keep."""
        return self.engine.connect()

    def begin_write(self, connection: Connection) -> None:
        """Begin a write transaction, waiting for whoever holds the lock. StoreUnavailable when patience runs out."""
        driver = driver_connection(connection)
        self._when_free(lambda: driver.execute("BEGIN IMMEDIATE"))
        connection.begin()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection that sees one state of the database and can't write."""
        with self._readers.connect() as connection:
            driver_connection(connection).execute("BEGIN")
            yield connection

    def check_host(self, connection: Connection) -> None:
        """Refuse (StoreError) a host's connection that is not in a transaction on this very file.

        The host's transaction takes the write lock here: one that first reads and then writes is refused by SQLite
        when anybody else wrote in between (StaleWrite), or writes just then (StoreUnavailable).
        """
        files = connection.exec_driver_sql("PRAGMA database_list").all()
        main = next((row.file for row in files if row.name == "main"), "")
        if not main or not Path(main).samefile(self.path):
            raise StoreError(
                f"The connection is to {main or 'an in-memory database'}, but Billhook is open on {self.path}. "
                "Nothing was written. Give a connection to that file, or open Billhook on the host's file."
            )
        self._take_write_lock(connection)
        self.check_in_transaction(connection)

    def check_in_transaction(self, connection: Connection) -> None:
        """Refuse (StoreError) a host's connection that is in no transaction."""
        if not driver_connection(connection).in_transaction:
            raise StoreError(
                f"The connection to {self.path} is in no transaction, so each statement would be stored by itself. "
                "Nothing was written. Begin a transaction on it first."
            )

    def close(self) -> None:
        """Close every connection that is not in use."""
        self._readers.dispose()
        self.engine.dispose()

    def _take_write_lock(self, connection: Connection) -> None:
        try:
            connection.exec_driver_sql("UPDATE billhook_schema_version SET version_num = version_num WHERE 1 = 0")
        except DBAPIError as error:
            raise self._why_no_lock(error) from error

    def _why_no_lock(self, error: DBAPIError) -> Exception:
        again = "Nothing was written. Roll it back and run it again; one that begins with BEGIN IMMEDIATE waits for its turn instead."
        if is_old_read(error.orig):
            return StaleWrite(
                f"Somebody else wrote to {self.path} since the host's transaction read from it ({error.orig}). {again}"
            )
        if is_busy(error.orig):
            return StoreUnavailable(f"The host's transaction can't write to {self.path} now ({error.orig}). {again}")
        cause = told(error)
        if isinstance(cause, StoreUnavailable):
            return cause
        return StoreError(f"{self.path} has no Billhook tables ({error.orig}). Upgrade its schema first.")

    def _switch_to_wal(self) -> None:
        try:
            with self.connect_writer() as connection:
                driver = driver_connection(connection)
                mode = self._when_free(lambda: driver.execute("PRAGMA journal_mode = WAL").fetchone()[0])
        except (sqlite3.DatabaseError, DBAPIError) as error:
            cure = "Check its disk, and whether it is full." if is_disk_trouble(error) else "Check the file."
            raise StoreError(f"{self.path} can't be opened as a SQLite database ({said(error)}). {cure}") from error
        if mode != "wal":
            raise StoreError(
                f"{self.path} stays in journal mode {mode!r}; Billhook needs WAL. Put it on a local, writable disk."
            )

    def _when_free(self, action: Callable[[], T]) -> T:
        for pause in growing_pauses(self._patience):
            try:
                return action()
            except sqlite3.OperationalError as error:
                if not is_busy(error):
                    raise
                # The holder works in real time: a clock that a test turns would not make it let go.
                threading.Event().wait(pause.total_seconds())
        raise StoreUnavailable(
            f"{self.path} was locked by somebody else for more than {self._patience}. Look for a transaction that the "
            "host left open (one bound to Billhook too), for another process, or for a database tool, and end it."
        )


def driver_connection(connection: Connection) -> sqlite3.Connection:
    """The sqlite3 connection below."""
    # A host's connection comes wrapped and answers like the real one.
    return cast("sqlite3.Connection", connection.connection.driver_connection)


def is_busy(error: BaseException | None) -> bool:
    """Whether SQLite refused because somebody else holds a lock."""
    if not isinstance(error, sqlite3.OperationalError):
        return False
    return error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def is_old_read(error: BaseException | None) -> bool:
    """Whether SQLite refused to write because somebody else did since this transaction began to read."""
    return isinstance(error, sqlite3.OperationalError) and error.sqlite_errorcode == sqlite3.SQLITE_BUSY_SNAPSHOT


def growing_pauses(patience: timedelta) -> Iterator[timedelta]:
    """Pauses between tries, each twice the last one, until the tries have waited for as long as patience allows."""
    waited, pause = timedelta(), timedelta(milliseconds=5)
    while waited < patience:
        yield pause
        waited += pause + WRITER_WAIT
        pause = min(pause * 2, LONGEST_PAUSE)


def _engine(path: Path, pool: type[Pool], *pragmas: str) -> Engine:
    url = URL.create("sqlite+pysqlite", database=str(path))
    unbounded = {"max_overflow": -1} if pool is QueuePool else {}
    # Without an isolation level the driver begins nothing by itself: each BEGIN is ours.
    connect_args = {"isolation_level": None, "check_same_thread": False}
    # What is stored is nobody's business but the database's: no error shows it.
    engine = create_engine(
        url,
        poolclass=pool,
        connect_args=connect_args,
        execution_options={"compiled_cache": COMPILED},
        hide_parameters=True,
        **unbounded,
    )

    def prepare(driver: sqlite3.Connection, _record: object) -> None:
        for pragma in (*pragmas, "PRAGMA synchronous = FULL", "PRAGMA foreign_keys = ON"):
            driver.execute(pragma)

    event.listen(engine, "connect", prepare)
    return apart_after_fork(engine)


def _check_place(path: Path, *, create: bool) -> None:
    if path.exists():
        return
    if not create:
        raise StoreError(f"There is no database at {path}. Check the path, or open it with create=True.")
    if not path.parent.is_dir():
        raise StoreError(f"The folder {path.parent} for the database {path.name} is missing. Make it first.")


def _milliseconds(wait: timedelta) -> int:
    return wait // timedelta(milliseconds=1)
