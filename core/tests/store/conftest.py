"""A database with one table, `item`, on both stores."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest
import sqlalchemy as sa

from billhook.clock import SystemClock
from billhook.errors import StoreError
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


@pytest.fixture
def said_in_a_fork() -> Callable[[Callable[[], object]], str]:
    """Does something in a forked process. Returns with which words it was refused there, or that it was done."""

    def ask(act: Callable[[], object]) -> str:
        read_end, write_end = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                act()
                os.write(write_end, b"done")
            except StoreError as error:
                os.write(write_end, str(error).encode())
            os._exit(0)
        os.waitpid(child, 0)
        os.close(write_end)
        with os.fdopen(read_end) as said:
            return said.read()

    return ask
