"""What can be opened, and what the refusal of the rest says."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from billhook.clock import SystemClock
from billhook.errors import StoreError
from billhook.faults import NO_FAULTS
from billhook.store import Database


def opened(url: str | Path, *, create: bool = True) -> Database:
    return Database.open(url, clock=SystemClock(), faults=NO_FAULTS, create=create)


@pytest.mark.parametrize("prefix", ["", "sqlite:///", "sqlite+pysqlite:///"])
def test_a_path_and_a_url_lead_to_the_same_file(tmp_path: Path, prefix: str) -> None:
    with opened(f"{prefix}{tmp_path}/billhook.db") as db:
        assert db.dialect == "sqlite"
    assert (tmp_path / "billhook.db").exists()


def test_a_sqlite_commit_is_on_disk_before_it_is_confirmed(tmp_path: Path) -> None:
    with opened(tmp_path / "billhook.db") as db:

        def pragma(name: str) -> object:
            return db.write(lambda tx: tx.connection.exec_driver_sql(f"PRAGMA {name}").scalar_one())

        assert (pragma("journal_mode"), pragma("synchronous"), pragma("foreign_keys")) == ("wal", 2, 1)


@pytest.mark.parametrize(
    "url",
    [
        ":memory:",
        "sqlite://",
        "sqlite:///:memory:",
        "file::memory:?cache=shared",
        "file:memorydb_default?mode=memory&cache=shared",
        "",
    ],
)
def test_a_database_in_memory_is_refused(url: str) -> None:
    with pytest.raises(StoreError, match=r"keeps nothing for the next process\. Give the path of a file"):
        opened(url)


@pytest.mark.parametrize(
    "url, says",
    [
        ("mysql://somewhere/billing", "can't store in 'mysql'"),
        ("postgresql://nobody:secret@/none?host=/nowhere", "can't be reached"),
        ("no/such/folder/billhook.db", "is missing. Make it first"),
    ],
)
def test_what_can_not_be_opened_says_why(url: str, says: str) -> None:
    with pytest.raises(StoreError, match=says) as refusal:
        opened(url)
    assert "secret" not in str(refusal.value)


def test_a_missing_file_is_not_made_when_that_is_not_wanted(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="There is no database"):
        opened(tmp_path / "billhook.db", create=False)
    assert not (tmp_path / "billhook.db").exists()


def test_a_file_that_is_no_database_is_left_as_it_is(tmp_path: Path) -> None:
    letter = tmp_path / "letter.txt"
    letter.write_text("Dear customer, " * 100)
    with pytest.raises(StoreError, match="can't be opened as a SQLite database"):
        opened(letter)
    assert letter.read_text() == "Dear customer, " * 100


def test_postgres_sessions_keep_no_old_snapshot_nor_old_plan_and_forget_no_commit(postgres_server) -> None:
    url = postgres_server.create()
    with psycopg.connect(url) as admin:
        admin.execute(f"ALTER DATABASE {admin.info.dbname} SET synchronous_commit = off")
    with opened(url) as db:

        def setting(name: str) -> object:
            return db.write(lambda tx: tx.connection.exec_driver_sql(f"SHOW {name}").scalar_one())

        assert setting("synchronous_commit") == "on"
        assert setting("plan_cache_mode") == "force_custom_plan"
        assert setting("idle_in_transaction_session_timeout") == "1min"
