"""Write the first revision anew from the schema: `python -m billhook.store.migrations.generate`.

Only while nothing has been released. Afterwards a change of the schema is a revision of its own.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from alembic.autogenerate import produce_migrations, render_python_code
from alembic.runtime.migration import MigrationContext
from sqlalchemy import MetaData, create_engine

from billhook.store.schema import metadata

FIRST = Path(__file__).parent / "versions" / "r0001_first.py"

PAGE = '''\
"""The first schema."""

from __future__ import annotations

import sqlalchemy as sa
from alembic.operations import Operations

revision = "0001"
down_revision = None


def upgrade(op: Operations) -> None:
    {body}
'''


def first_revision(schema: MetaData = metadata) -> str:
    """The text of a revision that makes every table of the schema in an empty database."""
    with create_engine("sqlite://").connect() as empty:
        context = MigrationContext.configure(empty)
        (operations,) = produce_migrations(context, schema).upgrade_ops_list
        body = render_python_code(operations, migration_context=context)
    statements = [line for line in body.splitlines() if "### " not in line]
    return PAGE.format(body="\n".join(statements).strip())


if __name__ == "__main__":
    FIRST.write_text(first_revision())
    subprocess.run([sys.executable, "-m", "ruff", "format", str(FIRST)], check=True)  # noqa: S603 - our own command
