"""What must not happen at the same time in two processes that share a PostgreSQL database: turns to take, and rows that are read to last.

A row that was merely read may be another one by the next statement. SQLite needs nothing of this: it has one writer at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from billhook.store.transaction import Transaction

T = TypeVar("T")
Select = TypeVar("Select", bound=sa.Select[Any])
Lasting = Callable[[sa.Select[Any]], sa.Select[Any]]
"""For how long rows that are read are good."""


def hold(tx: Transaction, namespace: str, subject: str) -> None:
    """Nobody else holds that subject of the namespace until this transaction ends."""
    hold_each(tx, [(namespace, subject)])


def hold_each(tx: Transaction, turns: Iterable[tuple[str, str]]) -> None:
    """As ``hold``, for several subjects with their namespaces in one question."""
    names = [f"billhook/{subject}/{namespace}" for namespace, subject in sorted(set(turns))]
    if names and tx.connection.dialect.name == "postgresql":
        name = sa.func.unnest(sa.cast(names, ARRAY(sa.Text))).column_valued("name")
        tx.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(name, 0))))


def of_customer(customer_id: str) -> str:
    """The subject to hold for what is known of a customer: by us, and by its apps."""
    return f"customer/{customer_id}"


def in_turn(namespace: str, subject: str, job: Callable[[Transaction], T]) -> Callable[[Transaction], T]:
    """The job while nobody else holds that subject, from its first look on."""

    def held(tx: Transaction) -> T:
        hold(tx, namespace, subject)
        return job(tx)

    return held


def as_seen(select: Select) -> Select:
    """The rows as they are now, and perhaps no longer by the next statement."""
    return select


def needed(select: Select, *tables: sa.Table) -> Select:
    """The rows (of these tables alone, where they are given) stay there until this transaction ends: whoever takes one away waits."""
    return select.with_for_update(read=True, key_share=True, of=tables or None)


def to_change(select: Select) -> Select:
    """The rows as they are now, which nobody else changes until this transaction ends. Who needs them goes on."""
    return select.with_for_update(key_share=True)


def to_end(select: Select) -> Select:
    """As ``to_change``, once nobody needs the rows any more who does not show yet: they are to be taken away."""
    return select.with_for_update()
