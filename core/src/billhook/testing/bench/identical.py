"""Whether two databases hold the same rows, byte for byte."""

from __future__ import annotations

import hashlib

import sqlalchemy as sa

from billhook.clock import SystemClock
from billhook.faults import NO_FAULTS
from billhook.store.database import Database
from billhook.store.schema import metadata


def differing_tables(one: str, other: str) -> list[str]:
    """The tables that differ between two databases."""
    first, second = fingerprints(one), fingerprints(other)
    return [name for name in first if first[name] != second[name]]


def fingerprints(url: str) -> dict[str, str]:
    """For each table how many rows it has and a hash over all of them, in the order of their key."""
    with Database.open(url, clock=SystemClock(), faults=NO_FAULTS, create=False) as database, database.read() as tx:
        return {table.name: _fingerprint(tx.connection, table) for table in metadata.sorted_tables}


def _fingerprint(connection: sa.Connection, table: sa.Table) -> str:
    digest, rows = hashlib.sha256(), 0
    for row in connection.execute(sa.select(table).order_by(*table.primary_key)):
        digest.update(repr(tuple(row)).encode())
        rows += 1
    return f"{rows} rows, {digest.hexdigest()}"
