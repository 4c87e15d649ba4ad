"""Statements are compiled once in a process, whatever is opened."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.engine.interfaces import CacheStats

from billhook.clock import SystemClock
from billhook.faults import NO_FAULTS
from billhook.store import Database
from billhook.store.compiled import CompiledStatements
from billhook.testing.postgres import PostgresServer


def asked(database: Database, select: sa.Select[tuple[int]]) -> CacheStats:
    """Whether the statement had to be compiled to be run."""
    with database.read() as tx:
        result = tx.execute(select)
        assert result.scalar_one() == 1
        return result.context.cache_hit


@pytest.fixture(params=["sqlite", "postgres"])
def two(request: pytest.FixtureRequest, tmp_path: Path):
    """Two databases of a kind."""
    if request.param == "sqlite":
        urls = [str(tmp_path / name) for name in ("one.db", "other.db")]
    else:
        server: PostgresServer = request.getfixturevalue("postgres_server")
        urls = [server.create(), server.create()]
    databases = [Database.open(url, clock=SystemClock(), faults=NO_FAULTS) for url in urls]
    yield databases
    for database in databases:
        database.close()


def test_what_one_database_compiled_another_of_its_kind_runs_at_once(two):
    one, other = two
    select = sa.select(sa.literal_column("1").label("asked_of_both"))
    assert asked(one, select) is CacheStats.CACHE_MISS
    assert asked(other, select) is CacheStats.CACHE_HIT


def test_what_was_compiled_to_read_is_there_to_write(two):
    select = sa.select(sa.literal_column("1").label("read_and_written"))
    assert asked(two[0], select) is CacheStats.CACHE_MISS
    assert two[0].write(lambda tx: tx.execute(select).context.cache_hit) is CacheStats.CACHE_HIT


@pytest.mark.parametrize(
    "differently", [{"server_version_info": (14, 1)}, {"_backslash_escapes": True}], ids=["older", "backslashes"]
)
def test_servers_that_read_differently_share_nothing(differently):
    statements, (one, like_it, another) = CompiledStatements(10), (sa.dialects.postgresql.dialect() for _ in range(3))
    for dialect in (one, like_it, another):
        dialect.server_version_info, dialect._backslash_escapes = (17, 2), False
    vars(another).update(differently)
    statements[one, "SELECT"] = "compiled"
    assert (statements.get((like_it, "SELECT")), statements.get((another, "SELECT"))) == ("compiled", None)


def test_the_two_kinds_share_nothing():
    statements = CompiledStatements(10)
    statements[sa.dialects.sqlite.dialect(), "SELECT"] = "compiled"
    assert statements.get((sa.dialects.postgresql.dialect(), "SELECT")) is None
