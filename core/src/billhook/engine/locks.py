"""Turns to take: what must not happen at the same time in two processes that share a PostgreSQL database."""

from __future__ import annotations

import sqlalchemy as sa

from billhook.store.transaction import Transaction


def hold(tx: Transaction, namespace: str, subject: str) -> None:
    """Nobody else holds that subject of the namespace until this transaction ends.

    SQLite needs nothing here: it has one writer at a time.
    """
    if tx.connection.dialect.name == "postgresql":
        key = sa.func.hashtextextended(f"billhook/{subject}/{namespace}", 0)
        tx.execute(sa.select(sa.func.pg_advisory_xact_lock(key)))
