"""Statements for many rows at once, written once for each kind of database.

SQLite runs them row by row inside the library (`executemany`), PostgreSQL as one statement over arrays.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Column, Dialect, Select, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.compiler import Compiled, IdentifierPreparer, SQLCompiler

from billhook.store.arrays import array_type

SQLITE: IdentifierPreparer = sqlite.dialect().identifier_preparer
POSTGRES: IdentifierPreparer = postgresql.dialect().identifier_preparer  # type: ignore[no-untyped-call]


class Statement:
    """A statement over rows: tuples with one value for each of `parameters`, in that order."""

    sqlite_sql: str
    postgres_sql: str

    def __init__(self, table: Table, parameters: Sequence[str]) -> None:
        self.table = table
        self.parameters = tuple(parameters)
        self.array_types = tuple(array_type(column_of(table, name)) for name in self.parameters)

    def arrays(self, rows: Iterable[tuple[Any, ...]]) -> tuple[str, ...]:
        """The rows turned into one array literal for each parameter."""
        columns = zip(*rows, strict=True)
        return tuple(kind.encode(values) for kind, values in zip(self.array_types, columns, strict=True))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.table.name}: {', '.join(self.parameters)})"

    def _given(self) -> str:
        arrays = ", ".join(f"%s::{kind.name}" for kind in self.array_types)
        aliases = ", ".join(f"v{place}" for place, _ in enumerate(self.parameters, 1))
        return f"unnest({arrays}) AS given({aliases})"


class Insert(Statement):
    """Add rows. A row holds the values of `columns`."""

    def __init__(self, table: Table, columns: Sequence[str]) -> None:
        super().__init__(table, columns)
        places = ", ".join("?" for _ in columns)
        self.sqlite_sql = f"INSERT INTO {_target(SQLITE, table, columns)} VALUES ({places})"
        self.postgres_sql = f"INSERT INTO {_target(POSTGRES, table, columns)} SELECT * FROM {self._given()}"


class Upsert(Statement):
    """Add rows, or overwrite those whose `key` is there already. A row holds the values of `columns`, key included.

    `where` is a condition in SQL, with `{row}` for the row that is there: where it fails that row stays, and is not counted.
    """

    def __init__(self, table: Table, key: Sequence[str], columns: Sequence[str], *, where: str = "") -> None:
        super().__init__(table, columns)
        insert = Insert(table, columns)
        condition = f" WHERE {where.format(row=table.name)}" if where else ""
        self.sqlite_sql = f"{insert.sqlite_sql} {_on_conflict(SQLITE, key, columns)}{condition}"
        self.postgres_sql = f"{insert.postgres_sql} {_on_conflict(POSTGRES, key, columns)}{condition}"
        self._key_places = tuple(self.parameters.index(name) for name in key)

    def last_of_each_key(self, rows: Iterable[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        """The rows without those that a later row overwrites: PostgreSQL takes a key only once in a statement."""
        return list({tuple(row[place] for place in self._key_places): row for row in rows}.values())


class Update(Statement):
    """Change the rows that match `key`. A row holds the values of `key`, then those of `set`; a key comes once.

    With a version in the key, a row that somebody else changed first is neither matched nor counted. `where` is a
    further condition in SQL: a bare name is the column as it is stored, a name in braces the value given for it.
    """

    def __init__(self, table: Table, *, key: Sequence[str], set: Sequence[str], where: str = "") -> None:
        super().__init__(table, [*key, *set])
        places = dict(enumerate(set, len(key) + 1))
        self.sqlite_sql = (
            f"UPDATE {SQLITE.format_table(table)} SET {_changes(SQLITE, places, '?')} "
            f"WHERE {_matches(SQLITE, table, key, '?')}{_condition(where, places, '?')}"
        )
        self.postgres_sql = (
            f"UPDATE {POSTGRES.format_table(table)} SET {_changes(POSTGRES, places, 'given.v')} FROM {self._given()} "
            f"WHERE {_matches(POSTGRES, table, key, 'given.v')}{_condition(where, places, 'given.v')}"
        )


class Delete(Statement):
    """Remove the rows that match `key`. A row holds the values of `key`. `where` is a further condition in SQL."""

    def __init__(self, table: Table, *, key: Sequence[str], where: str = "") -> None:
        super().__init__(table, key)
        condition = f" AND ({where})" if where else ""
        self.sqlite_sql = (
            f"DELETE FROM {SQLITE.format_table(table)} WHERE {_matches(SQLITE, table, key, '?')}{condition}"
        )
        self.postgres_sql = (
            f"DELETE FROM {POSTGRES.format_table(table)} USING {self._given()} "
            f"WHERE {_matches(POSTGRES, table, key, 'given.v')}{condition}"
        )


class Query:
    """A select with named parameters, compiled once for each kind of database. Its rows are the driver's own tuples."""

    def __init__(self, select: Select[Any]) -> None:
        self._select = select
        self._compiled: dict[str, Compiled] = {}

    def bound(self, dialect: Dialect, parameters: Mapping[str, Any]) -> tuple[str, Any]:
        """The text for that database and its parameters, in the form that the driver takes."""
        compiled = self._compiled.get(dialect.name)
        if compiled is None:
            compiled = self._compiled[dialect.name] = self._select.compile(dialect=dialect)
        values = {**compiled.params, **parameters}
        assert isinstance(compiled, SQLCompiler)
        places = compiled.positiontup
        return str(compiled), values if places is None else tuple(values[name] for name in places)


@lru_cache(maxsize=512)
def select_in_sqlite(table: Table, columns: tuple[str, ...], key_column: str, count: int) -> str:
    """Read `columns` of the rows whose key is among `count` values."""
    places = ", ".join("?" for _ in range(count))
    return f"{_select(SQLITE, table, columns)} WHERE {SQLITE.quote(key_column)} IN ({places})"


@lru_cache(maxsize=512)
def select_in_postgres(table: Table, columns: tuple[str, ...], key_column: str) -> str:
    """Read `columns` of the rows whose key is in one array."""
    array = array_type(column_of(table, key_column)).name
    return f"{_select(POSTGRES, table, columns)} WHERE {POSTGRES.quote(key_column)} = ANY(%s::{array})"


def column_names(table: Table) -> tuple[str, ...]:
    """The names of all columns. Plain strings: the library's own kind makes every dictionary slower that has them as keys."""
    return tuple(str(column.name) for column in table.columns)


def column_of(table: Table, name: str) -> Column[Any]:
    """The column of that name, or an error that lists the names there are."""
    if name in table.columns:
        return table.columns[name]
    raise KeyError(f"Table {table.name} has no column {name!r}. It has {', '.join(table.columns.keys())}.")


def _select(quoting: IdentifierPreparer, table: Table, columns: Sequence[str]) -> str:
    return f"SELECT {_names(quoting, columns)} FROM {quoting.format_table(table)}"


def _target(quoting: IdentifierPreparer, table: Table, columns: Sequence[str]) -> str:
    return f"{quoting.format_table(table)} ({_names(quoting, columns)})"


def _names(quoting: IdentifierPreparer, columns: Sequence[str]) -> str:
    return ", ".join(quoting.quote(name) for name in columns)


def _matches(quoting: IdentifierPreparer, table: Table, key: Sequence[str], place: str) -> str:
    owner = quoting.format_table(table)
    return " AND ".join(f"{owner}.{quoting.quote(name)} = {place}{number}" for number, name in enumerate(key, 1))


def _changes(quoting: IdentifierPreparer, places: Mapping[int, str], place: str) -> str:
    return ", ".join(f"{quoting.quote(name)} = {place}{number}" for number, name in places.items())


def _condition(where: str, places: Mapping[int, str], place: str) -> str:
    return f" AND ({where.format(**{name: f'{place}{number}' for number, name in places.items()})})" if where else ""


def _on_conflict(quoting: IdentifierPreparer, key: Sequence[str], columns: Sequence[str]) -> str:
    changed = [quoting.quote(name) for name in columns if name not in key]
    action = f"UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in changed)}" if changed else "NOTHING"
    return f"ON CONFLICT ({_names(quoting, key)}) DO {action}"
