"""The rows that count: a series may have several, one for each customer or year."""

from __future__ import annotations

from typing import NamedTuple

import sqlalchemy as sa

from billhook.domain.numbering import NumberContext, Series, series_key
from billhook.store import schema
from billhook.store.statements import Query
from billhook.store.transaction import Transaction

_sequence = schema.sequence
_MINE = sa.and_(_sequence.c.namespace == sa.bindparam("counts_in"), _sequence.c.series == sa.bindparam("key"))
_BEGIN = sa.text(
    f"INSERT INTO {_sequence.name} (namespace, series, next_value) VALUES (:counts_in, :key, :start) "
    "ON CONFLICT DO NOTHING"
)
_NEXT = sa.select(_sequence.c.next_value).where(_MINE)
_PEEK = Query(_NEXT)
_RESERVE = sa.update(_sequence).where(_MINE).values(next_value=_sequence.c.next_value + sa.bindparam("size"))
_ADVANCE = (
    sa.update(_sequence)
    .where(_MINE, _sequence.c.next_value == sa.bindparam("expected"))
    .values(next_value=sa.bindparam("following"))
)


class Counter(NamedTuple):
    """One row that counts, unique by namespace and key."""

    namespace: str
    key: str
    start: int


def counter_of(series: Series, namespace: str, context: NumberContext) -> Counter:
    """The counter that a document's number comes from."""
    return Counter(namespace, series_key(series, context), series.start)


def counts_for(column: sa.ColumnElement[str], series_name: str) -> sa.ColumnElement[bool]:
    """Whether a counter's key belongs to the series."""
    return sa.or_(column == series_name, column.startswith(f"{series_name}/", autoescape=True))


def next_value(tx: Transaction, counter: Counter) -> int:
    """The value that comes next. Takes nothing."""
    following = tx.fetch(_PEEK, _place(counter))
    return int(following[0][0]) if following else counter.start


def locked_value(tx: Transaction, counter: Counter) -> int:
    """The value that comes next; nobody else moves the counter until this transaction ends."""
    _begin(tx, counter)
    # SQLite has one writer at a time and knows no row locks; there it is a plain read.
    return int(tx.scalar(_NEXT.with_for_update(), _place(counter)))


def advance(tx: Transaction, counter: Counter, expected: int, count: int) -> bool:
    """Take so many values from ``expected`` on; False, and nothing taken, when that is not the next value any more."""
    if expected == counter.start:
        _begin(tx, counter)
    moved = {**_place(counter), "expected": expected, "following": expected + count}
    return tx.execute(_ADVANCE, moved).rowcount == 1


def reserve(tx: Transaction, counter: Counter, size: int) -> range:
    """Take the next so many values, whichever they are."""
    _begin(tx, counter)
    tx.execute(_RESERVE, {**_place(counter), "size": size})
    following = next_value(tx, counter)
    return range(following - size, following)


def _begin(tx: Transaction, counter: Counter) -> None:
    tx.execute(_BEGIN, {**_place(counter), "start": counter.start})


def _place(counter: Counter) -> dict[str, str]:
    return {"counts_in": counter.namespace, "key": counter.key}
