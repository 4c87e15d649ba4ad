"""A database with one table, `item`, on both stores."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from billhook.clock import SystemClock
from billhook.faults import NO_FAULTS
from billhook.store import Database

metadata = sa.MetaData()


@pytest.fixture(scope="session")
def item() -> sa.Table:
    return metadata.tables.get("item") or sa.Table(
        "item",
        metadata,
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("order", sa.Text),  # a reserved word, so that quoting is tried too
        sa.Column("body", sa.LargeBinary),
    )


@pytest.fixture
def db(store_url: str, item: sa.Table) -> Iterator[Database]:
    with Database.open(store_url, clock=SystemClock(), faults=NO_FAULTS) as database:
        database.write(lambda tx: item.create(tx.connection))
        yield database
