"""What tables are made of: three kinds of column that SQLite and PostgreSQL keep alike."""

from __future__ import annotations

import sqlalchemy as sa

TABLES = sa.MetaData()
PREFIX = "billhook_"


def text(name: str, *, null: bool = False, default: str | None = None) -> sa.Column[str]:
    """A text: also an amount, a name of a state, an id."""
    return sa.Column(name, sa.Text, nullable=null, server_default=default)


def whole(name: str, *, null: bool = False, default: int | None = None) -> sa.Column[int]:
    """A whole number of 64 bits: also a time, in microseconds since the epoch, and a yes or no."""
    return sa.Column(name, sa.BigInteger, nullable=null, server_default=None if default is None else str(default))


def binary(name: str, *, null: bool = False) -> sa.Column[bytes]:
    """Bytes as they are."""
    return sa.Column(name, sa.LargeBinary, nullable=null)


def table(
    name: str,
    *parts: sa.Column[str] | sa.Column[int] | sa.Column[bytes] | sa.Index | sa.Constraint,
    clustered: bool = False,
) -> sa.Table:
    """A table of ours. ``clustered``: SQLite keeps the row inside its primary key; right for narrow rows that are found by that key."""
    return sa.Table(PREFIX + name, TABLES, *parts, sqlite_with_rowid=not clustered)
