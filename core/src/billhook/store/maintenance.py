"""Whether a database is sound."""

from __future__ import annotations

from sqlalchemy.exc import DatabaseError

from billhook.errors import Problem
from billhook.store import migrate
from billhook.store.database import Database
from billhook.store.migrations import HEAD
from billhook.store.transaction import Transaction

BROKEN_INDEXES = """
SELECT indexrelid::regclass::text FROM pg_index
WHERE NOT indisvalid AND indrelid::regclass::text ~ '^billhook_' ORDER BY 1
"""


def check(db: Database) -> tuple[Problem, ...]:
    """Everything wrong with the database, none if it is sound. Reads all of a SQLite file, so it takes its time."""
    try:
        with db.read() as tx:
            found = _sqlite_problems(tx) if db.dialect == "sqlite" else _postgres_problems(tx)
        return (*found, *_schema_problems(db))
    except DatabaseError as error:
        return (Problem("file_damaged", f"The database can't be read: {error.orig}. Restore a backup."),)


def _sqlite_problems(tx: Transaction) -> list[Problem]:
    damage = [row[0] for row in tx.connection.exec_driver_sql("PRAGMA integrity_check") if row[0] != "ok"]
    return [Problem("file_damaged", f"SQLite found damage: {line}. Restore a backup.") for line in damage]


def _postgres_problems(tx: Transaction) -> list[Problem]:
    ask = tx.connection.exec_driver_sql
    problems = [
        Problem("index_invalid", f"Index {name} is not valid. Rebuild it with REINDEX INDEX {name}.")
        for name in ask(BROKEN_INDEXES).scalars()
    ]
    if ask("SELECT pg_is_in_recovery()").scalar_one():
        problems.append(
            Problem("read_only", "The server is a replica and can't be written to. Connect to the primary.")
        )
    if ask("SHOW fsync").scalar_one() == "off":
        problems.append(
            Problem("fsync_off", "The server runs with fsync off and forgets commits on a crash. Turn it on.")
        )
    if (encoding := ask("SHOW server_encoding").scalar_one()) != "UTF8":
        problems.append(Problem("encoding", f"The database is encoded in {encoding}. Make one with ENCODING 'UTF8'."))
    return problems


def _schema_problems(db: Database) -> list[Problem]:
    revision, newest = migrate.current(db), HEAD
    if revision != newest:
        return [Problem("schema_version", f"The schema is at {revision}, not at {newest}. Upgrade it.")]
    return [Problem("schema_differs", f"The schema differs from revision {newest}: {d}.") for d in migrate.check(db)]
