"""The door of the store: open a database, read it, write to it, or take part in a host's transaction."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, IntegrityError

from billhook.clock import Clock
from billhook.errors import InvalidInput, StaleWrite, StoreError, StoreUnavailable
from billhook.faults import Faults
from billhook.store.adopt import adopted
from billhook.store.driver_errors import is_lock_timeout, is_turned_away, said
from billhook.store.file_liveness import FileLiveness
from billhook.store.liveness import Liveness
from billhook.store.postgres import PostgresBackend
from billhook.store.session_liveness import SessionLiveness
from billhook.store.sqlite import SqliteBackend
from billhook.store.transaction import Transaction
from billhook.store.unavailable import telling_when_unavailable
from billhook.store.writer import Job, T, Writer

PATIENCE = timedelta(minutes=2)
RUNS = 6
"""How often a job is run at most, when somebody else is always first."""


class Database:
    """One open database. All writes of this process go through its one writer; reads never wait for them."""

    def __init__(self, backend: SqliteBackend | PostgresBackend, *, clock: Clock, faults: Faults) -> None:
        self.backend = backend
        self.clock = clock
        self.faults = faults
        self._writer = Writer(backend, faults)

    @classmethod
    def open(
        cls, url: str | Path, *, clock: Clock, faults: Faults, create: bool = True, patience: timedelta = PATIENCE
    ) -> Self:
        """Open a database by file path, `sqlite:///path` or `postgresql://...`. StoreError if that can't be done.

        A missing SQLite file is made unless `create` is False; a PostgreSQL database has to be there. `patience` is
        how long the writer waits for whoever holds a lock.
        """
        if not isinstance(url, str | Path):
            raise StoreError(f"{url!r} is no database. Give a file path, sqlite:///path or postgresql://...")
        return cls(_backend(str(url), create=create, patience=patience), clock=clock, faults=faults)

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self.backend.engine.dialect.name

    @contextmanager
    def read(self) -> Iterator[Transaction]:
        """Read one state of the database, whatever is written meanwhile. Writing in it is refused. Raises StoreUnavailable."""
        with refusing_texts(), telling_when_unavailable(), self.backend.reading() as connection:
            yield Transaction(connection, writes=False)

    def write(self, job: Job[T]) -> T:
        """Run the job in a transaction and return its result once that is committed.

        It is run again from its start, a few times, where somebody else changed a row of it or stored the same key first:
        it looks anew, and decides or refuses by what it then finds. So it does nothing but work on its transaction; what else
        has to happen goes to `after_commit`. Its own exception comes back, and then nothing of it is stored.
        Raises StoreUnavailable where the database can't be used, and nothing is stored unless the message says otherwise.
        """
        with refusing_locks():
            for _ in range(RUNS - 1):
                with suppress(StaleWrite, IntegrityError):
                    return self.write_once(job)
            return self.write_once(job)

    def write_once(self, job: Job[T]) -> T:
        """As `write`; StaleWrite comes back at once, for whoever can prepare the job itself anew."""
        with refusing_texts():
            return self._writer.write(job)

    def submit(self, job: Job[T]) -> Future[T]:
        """Queue the job as `write` would run it, and return at once."""
        return self._writer.submit(job)

    def check_open(self) -> None:
        """Refuse (StoreError) a database that takes no writes any more: it is closed, or was opened before this process was forked."""
        self._writer.check_open()

    @contextmanager
    def bind(self, connection: object) -> Iterator[Transaction]:
        """Work inside a host's own transaction, on its SQLAlchemy, sqlite3 or psycopg connection.

        Nothing is ever committed or rolled back here: the host does that, and then calls the `callbacks` that the
        transaction collected, or leaves them to the sweep. A connection to another database is refused (StoreError)
        before anything is written, and so is a database that is closed or was opened before this process was forked.
        On SQLite the host holds the write lock from here until it ends its transaction.
        """
        self.check_open()
        with adopted(connection, self.backend) as own:
            tx = Transaction(own, hosts=True)
            try:
                yield tx
            finally:
                tx.is_over = True

    def check_bound(self, tx: Transaction) -> None:
        """Refuse (StoreError) what is asked after the end of ``bind``, or after the host ended its transaction."""
        if tx.is_over:
            raise StoreError(
                "The block of engine.bind is over. Nothing was written. Bind again, inside the transaction that is to hold it."
            )
        self.backend.check_in_transaction(tx.connection)

    def write_bound(self, tx: Transaction, job: Job[T]) -> T:
        """As ``write``, in a host's transaction: where the job raises nothing of it stays there, and the host may go on or roll back.

        Raises StaleWrite where somebody else was first and the host's transaction is too old to see it.
        """
        self.check_bound(tx)
        for _ in range(RUNS - 1):
            with suppress(StaleWrite):
                return _in_part(tx, job)
        return _in_part(tx, job)

    @cached_property
    def liveness(self) -> Liveness:
        """Who of those that have this database open is alive."""
        if isinstance(self.backend, SqliteBackend):
            path = self.backend.path
            return FileLiveness(path.with_name(f"{path.name}.owners"))
        return SessionLiveness(self.backend.url, self.backend.engine)

    def close(self) -> None:
        """Write what was submitted, then let go of the database. Closing twice does nothing."""
        self._writer.close()
        self.backend.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def _in_part(tx: Transaction, job: Job[T]) -> T:
    with telling_when_unavailable(), refusing_what_is_too_old(), refusing_texts(), tx.part():
        return job(tx)


@contextmanager
def refusing_texts() -> Iterator[None]:
    """Texts that no database takes, with a NUL or half a character in them, are the caller's mistake."""
    try:
        yield
    except (DataError, UnicodeEncodeError) as error:
        raise InvalidInput(
            "text_not_storable", "A value holds a NUL, half a character or too much to be stored. Nothing was stored."
        ) from error


@contextmanager
def refusing_what_is_too_old() -> Iterator[None]:
    """A host's transaction that can't see what somebody else stored since it began has to be run again."""
    try:
        yield
    except DBAPIError as error:
        if not (isinstance(error, IntegrityError) or is_turned_away(error)):
            raise
        raise StaleWrite(
            f"Somebody else was first, and the host's transaction can't see it ({said(error).splitlines()[0]}). Nothing was written. Roll it back and "
            "run it again."
        ) from error


@contextmanager
def refusing_locks() -> Iterator[None]:
    """A transaction that somebody left open is theirs to end."""
    try:
        yield
    except DBAPIError as error:
        if not is_lock_timeout(error):
            raise
        raise StoreUnavailable(
            "What is to be changed was locked by another transaction for too long. Nothing was stored. Look for a transaction that the host "
            "left open, above all one of the same thread: inside it, change invoices through what engine.bind gives, and all else before "
            "it begins or after its commit."
        ) from error


def _backend(url: str, *, create: bool, patience: timedelta) -> SqliteBackend | PostgresBackend:
    if not re.match(r"[a-z][a-z0-9+]*:", url) or re.match(r"[A-Za-z]:[\\/]|file:", url):
        return SqliteBackend(_file(url), create=create, patience=patience)
    parsed = _parsed(url)
    match parsed.get_backend_name():
        case "sqlite":
            return SqliteBackend(_file(parsed.database or ""), create=create, patience=patience)
        case "postgresql" | "postgres":
            return PostgresBackend(parsed, patience=patience)
    raise StoreError(
        f"Billhook can't store in {parsed.get_backend_name()!r}. Give a file path, sqlite:///path or postgresql://..."
    )


def _parsed(url: str) -> URL:
    try:
        return make_url(url)
    except ArgumentError as error:
        raise StoreError(
            "The database URL can't be read. Give a file path, sqlite:///path or postgresql://..."
        ) from error


def _file(path: str) -> Path:
    if path in ("", ":memory:") or path.startswith("file:"):
        raise StoreError(
            f"SQLite {path or 'without a file'!r} keeps nothing for the next process. Give the path of a file."
        )
    return Path(path).expanduser().resolve()
