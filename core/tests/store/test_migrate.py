"""The schema comes from revisions, run from code, and is exactly the one that the code expects."""

from __future__ import annotations

import logging
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import alembic.op
import pytest
import sqlalchemy as sa
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from billhook import Engine
from billhook.clock import SystemClock
from billhook.errors import StoreError
from billhook.faults import NO_FAULTS
from billhook.store import Database, maintenance, migrate, schema
from billhook.store.migrations import HEAD

SHAPE = {
    "sqlite": "SELECT name, sql FROM sqlite_master WHERE name LIKE 'billhook%' AND name <> 'billhook_schema_version'",
    "postgresql": """
        SELECT c.relname, coalesce(pg_get_indexdef(i.indexrelid), c.reloptions::text) FROM pg_class c
        LEFT JOIN pg_index i ON i.indexrelid = c.oid
        WHERE c.relname LIKE 'billhook%%' AND c.relname NOT LIKE '%%schema_version%%' AND c.relkind IN ('r', 'i')
        UNION ALL
        SELECT c.relname || '.' || a.attname,
               format_type(a.atttypid, a.atttypmod) || a.attnotnull || coalesce(pg_get_expr(d.adbin, d.adrelid), '')
        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
        LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
        WHERE c.relname LIKE 'billhook%%' AND c.relname NOT LIKE '%%schema_version%%' AND c.relkind = 'r'
    """,
}


@pytest.fixture
def empty(store_url: str):
    with Database.open(store_url, clock=SystemClock(), faults=NO_FAULTS) as db:
        yield db


def shape(db: Database) -> dict[str, str]:
    with db.read() as tx:
        rows = tx.connection.exec_driver_sql(
            SHAPE[db.dialect].replace("%%", "%" if db.dialect == "sqlite" else "%%"), ()
        )
        return {name: " ".join(sql.split()) if sql else "" for name, sql in rows}


def test_the_newest_revision_is_the_one_that_alembic_finds() -> None:
    assert ScriptDirectory(str(migrate.REVISIONS)).get_current_head() == HEAD


def test_a_database_that_is_up_to_date_is_opened_without_alembic(tmp_path: Path) -> None:
    path = str(tmp_path / "billhook.db")
    Engine.open(path).close()
    program = f"import sys; from billhook import Engine; Engine.open({path!r}).close(); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert {"alembic", "httpx"} & set(loaded) == set()
    assert "sqlalchemy" in loaded


def test_an_empty_database_is_brought_to_the_newest_schema(empty: Database) -> None:
    assert migrate.current(empty) is None
    assert migrate.check(empty) != []

    assert migrate.upgrade(empty) == HEAD

    assert migrate.current(empty) == HEAD
    assert migrate.check(empty) == []
    assert maintenance.check(empty) == ()


def test_upgrading_again_does_nothing(empty: Database) -> None:
    migrate.upgrade(empty)
    before = shape(empty)
    migrate.upgrade(empty)
    assert shape(empty) == before


def test_the_revisions_make_what_the_schema_says_to_the_letter(
    empty: Database, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    other = str(tmp_path / "other.db")
    if empty.dialect == "postgresql":
        other = request.getfixturevalue("postgres_server").create()
    migrate.upgrade(empty)
    with Database.open(other, clock=SystemClock(), faults=NO_FAULTS) as direct:
        direct.write(lambda tx: schema.metadata.create_all(tx.connection))

        assert shape(empty) == shape(direct), "run python -m billhook.store.migrations.generate"


def test_many_processes_may_upgrade_at_once(empty: Database, store_url: str) -> None:
    def upgrade(_: int) -> str:
        with Database.open(store_url, clock=SystemClock(), faults=NO_FAULTS) as db:
            return migrate.upgrade(db)

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(upgrade, range(4))) == {HEAD}
    assert migrate.check(empty) == []


def test_a_database_of_a_newer_release_is_left_as_it_is(empty: Database) -> None:
    migrate.upgrade(empty)
    empty.write(lambda tx: tx.connection.exec_driver_sql("UPDATE billhook_schema_version SET version_num = '9999'"))

    with pytest.raises(StoreError, match="at schema 9999, which this release does not know"):
        migrate.upgrade(empty)
    assert [problem.code for problem in maintenance.check(empty)] == ["schema_version"]


def test_a_hosts_own_tables_and_alembic_are_none_of_our_business(empty: Database) -> None:
    empty.write(lambda tx: tx.connection.exec_driver_sql("CREATE TABLE alembic_version (version_num TEXT)"))
    handlers, level = list(logging.root.handlers), logging.getLogger("alembic").level
    with sa.create_engine("sqlite://").connect() as own:
        # A host in the middle of a migration of its own.
        with Operations.context(MigrationContext.configure(own)):
            migrate.upgrade(empty)
            alembic.op.create_table("hosts_next", sa.Column("id", sa.Text))
        assert sa.inspect(own).has_table("hosts_next")

    assert migrate.check(empty) == []
    assert (list(logging.root.handlers), logging.getLogger("alembic").level) == (handlers, level)


def test_a_schema_that_was_changed_by_hand_is_reported(empty: Database) -> None:
    migrate.upgrade(empty)
    empty.write(lambda tx: tx.connection.exec_driver_sql("DROP INDEX billhook_app_namespace"))

    assert [problem.code for problem in maintenance.check(empty)] == ["schema_differs"]
