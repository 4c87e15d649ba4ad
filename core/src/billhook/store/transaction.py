"""One open transaction: statements over many rows at once, SQLAlchemy Core for the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

from sqlalchemy import Connection, CursorResult, Executable, Row, Table
from sqlalchemy.exc import DBAPIError

from billhook.store.arrays import array_type
from billhook.store.statements import (
    Delete,
    Insert,
    Query,
    Statement,
    Update,
    Upsert,
    column_of,
    select_in_postgres,
    select_in_sqlite,
)

AnyRow: TypeAlias = "Row[*tuple[Any, ...]]"
Parameters = Mapping[str, Any]

# SQLite binds at most 999 values in a statement unless it was built to take more.
SQLITE_CHUNK = 512


class Transaction:
    """Statements that are stored together or not at all. Who opened the transaction ends it.

    One that does not ``writes`` sees nothing but what was committed before it began. One that is the ``hosts`` may lose some of its
    statements to a savepoint, or all of them, and nobody tells us.
    """

    def __init__(self, connection: Connection, *, writes: bool = True, hosts: bool = False) -> None:
        self.connection = connection
        self.writes = writes
        self.hosts = hosts
        self.is_over = False
        self._takes_arrays = connection.dialect.name == "postgresql"
        self._callbacks: list[Callable[[], object]] = []

    @property
    def callbacks(self) -> tuple[Callable[[], object], ...]:
        """What is to be called once this transaction is committed, in the order in which it was asked for."""
        return tuple(self._callbacks)

    def after_commit(self, callback: Callable[[], object]) -> None:
        """Call it once this transaction is committed, and never if it is rolled back."""
        self._callbacks.append(callback)

    def once_certain(self, callback: Callable[[], object]) -> None:
        """Call it once what this transaction sees now is stored for certain: at once where it only reads, else after its commit.

        Never in a host's transaction. Whatever remembers what is stored goes through here.
        """
        if not self.writes:
            callback()
        elif not self.hosts:
            self._callbacks.append(callback)

    @contextmanager
    def part(self) -> Iterator[None]:
        """Statements of which nothing stays where one of them raises, as if they had not been: what was done before goes on."""
        asked_before = len(self._callbacks)
        try:
            with self.connection.begin_nested():
                yield
        except BaseException:
            del self._callbacks[asked_before:]
            raise

    def insert_many(self, statement: Insert, rows: Sequence[tuple[Any, ...]]) -> None:
        """Add the rows."""
        self._run_many(statement, rows)

    def upsert_many(self, statement: Upsert, rows: Sequence[tuple[Any, ...]]) -> int:
        """Add the rows, or overwrite those that are there, and say how many. Of rows with the same key the last one stays."""
        return self._run_many(statement, statement.last_of_each_key(rows))

    def update_many(self, statement: Update, rows: Sequence[tuple[Any, ...]]) -> int:
        """Change the rows that match, and say how many they were."""
        return self._run_many(statement, rows)

    def delete_many(self, statement: Delete, rows: Sequence[tuple[Any, ...]]) -> int:
        """Remove the rows that match, and say how many they were."""
        return self._run_many(statement, rows)

    def select_in(
        self, table: Table, columns: Sequence[str], key_column: str, values: Sequence[Any]
    ) -> list[tuple[Any, ...]]:
        """The `columns` of every row whose key is among `values`, in no particular order. Any number of values."""
        if not values:
            return []
        if self._takes_arrays:
            return self._select_in_array(table, tuple(columns), key_column, values)
        distinct = list(dict.fromkeys(values))
        chunks = [distinct[start : start + SQLITE_CHUNK] for start in range(0, len(distinct), SQLITE_CHUNK)]
        return [row for chunk in chunks for row in self._select_in_chunk(table, tuple(columns), key_column, chunk)]

    def fetch(self, query: Query, parameters: Parameters) -> list[tuple[Any, ...]]:
        """Every row of a query that is asked all the time."""
        return self._fetch(*query.bound(self.connection.dialect, parameters))

    def execute(self, statement: Executable, parameters: Parameters | None = None) -> CursorResult[*tuple[Any, ...]]:
        """Run a Core statement."""
        return self.connection.execute(statement, parameters)

    def all(self, select: Executable, parameters: Parameters | None = None) -> list[AnyRow]:
        """Every row."""
        return list(self.connection.execute(select, parameters).all())

    def first(self, select: Executable, parameters: Parameters | None = None) -> AnyRow | None:
        """The first row, or None."""
        return self.connection.execute(select, parameters).first()

    def scalar(self, select: Executable, parameters: Parameters | None = None) -> Any:
        """The first column of the first row, or None."""
        return self.connection.scalar(select, parameters)

    def _run_many(self, statement: Statement, rows: Sequence[tuple[Any, ...]]) -> int:
        if not rows:
            return 0
        if self._takes_arrays:
            return self.connection.exec_driver_sql(statement.postgres_sql, statement.arrays(rows)).rowcount
        return self.connection.exec_driver_sql(statement.sqlite_sql, list(rows)).rowcount

    def _select_in_array(
        self, table: Table, columns: tuple[str, ...], key_column: str, values: Sequence[Any]
    ) -> list[tuple[Any, ...]]:
        array = array_type(column_of(table, key_column)).encode(values)
        sql = select_in_postgres(table, columns, key_column)
        return self._fetch(sql, (array,))

    def _select_in_chunk(
        self, table: Table, columns: tuple[str, ...], key_column: str, values: list[Any]
    ) -> list[tuple[Any, ...]]:
        # Filled up to a power of two with a value that is there already, so that few texts are ever prepared.
        count = 1 << (len(values) - 1).bit_length()
        filled = values + values[-1:] * (count - len(values))
        sql = select_in_sqlite(table, columns, key_column, count)
        return self._fetch(sql, tuple(filled))

    def _fetch(self, sql: str, parameters: Any) -> list[tuple[Any, ...]]:
        # On the driver's own cursor: the library would describe every column anew for each statement that it did not compile.
        cursor = self.connection.connection.cursor()
        try:
            cursor.execute(sql, parameters)
            return list(cursor.fetchall())
        except self.connection.dialect.loaded_dbapi.Error as error:
            raise self._as_the_library_tells(sql, error) from error
        finally:
            cursor.close()

    def _as_the_library_tells(self, sql: str, error: Any) -> BaseException:
        dialect, driver = self.connection.dialect, self.connection.connection
        is_lost = dialect.is_disconnect(error, driver, None)
        if is_lost:
            self.connection.invalidate(error)
        told: BaseException = DBAPIError.instance(
            sql, None, error, dialect.loaded_dbapi.Error, connection_invalidated=is_lost, dialect=dialect
        )
        return told
