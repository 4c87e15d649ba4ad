"""Bring a database to the present schema, from code: no command line, no settings file, no global state of alembic.

alembic is loaded only where there is something to do: loading it takes as long as a short command.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from billhook.errors import StoreError
from billhook.store.columns import PREFIX
from billhook.store.database import Database
from billhook.store.migrations import HEAD
from billhook.store.schema import metadata
from billhook.store.transaction import Transaction

if TYPE_CHECKING:
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

VERSION_TABLE = f"{PREFIX}schema_version"
REVISIONS = Path(__file__).parent / "migrations"

# Any number that no other program takes, the same in every release.
UPGRADE_LOCK = 0x62696C6C686F6F6B


def upgrade(db: Database) -> str:
    """Bring the database to the newest schema and return its revision. Doing it again does nothing.

    All or nothing, and safe to call from many processes at once: the others wait and find the work done.
    StoreError if the database is newer than this release.
    """
    if current(db) != HEAD:
        db.write(_upgrade)
    return HEAD


def current(db: Database) -> str | None:
    """The revision that the database is at; None for one without Billhook's tables."""
    with db.read() as tx:
        if not sa.inspect(tx.connection).has_table(VERSION_TABLE):
            return None
        return tx.scalar(sa.select(sa.column("version_num")).select_from(sa.table(VERSION_TABLE)))  # type: ignore[no-any-return]


def check(db: Database) -> list[Any]:
    """What differs between the database and the schema of this release, as alembic's operations. Empty when equal."""
    from alembic.autogenerate import compare_metadata

    with db.read() as tx:
        return list(compare_metadata(_context(tx.connection, include_name=_is_ours), metadata))


def _upgrade(tx: Transaction) -> None:
    from alembic.operations import Operations

    if tx.connection.dialect.name == "postgresql":
        tx.connection.exec_driver_sql("SELECT pg_advisory_xact_lock(%s)", (UPGRADE_LOCK,))
    context = _context(tx.connection, fn=_steps)
    _refuse_newer(context.get_current_revision())
    # Handed to each revision, so that the global `alembic.op` of a host is left as it is.
    context.run_migrations(op=Operations(context))


def _steps(heads: Any, _context: MigrationContext) -> Iterable[Any]:
    return _scripts()._upgrade_revs("head", heads)  # noqa: SLF001 - how alembic's own upgrade command asks


def _refuse_newer(revision: str | None) -> None:
    known = {script.revision for script in _scripts().walk_revisions()}
    if revision is not None and revision not in known:
        raise StoreError(
            f"The database is at schema {revision}, which this release does not know; its newest is {HEAD}. "
            "Nothing was changed. Install the release that made the database, or a newer one."
        )


def _context(connection: sa.Connection, **options: Callable[..., object]) -> MigrationContext:
    from alembic.runtime.migration import MigrationContext

    return MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE, **options})


def _scripts() -> ScriptDirectory:
    from alembic.script import ScriptDirectory

    return ScriptDirectory(str(REVISIONS))


def _is_ours(name: str | None, kind: str, parents: object) -> bool:
    """Leave a host's tables in the same database out of the comparison."""
    return kind != "table" or (name is not None and name.startswith(PREFIX))
