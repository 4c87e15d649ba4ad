"""The page of tables, with the comments that stand above them in the source."""

from __future__ import annotations

import inspect

import sqlalchemy as sa

from billhook.store import schema
from billhook.store.columns import PREFIX
from generators.source import clean, code, table

INTRO = """\
# Tables

Made from the code. Read them as you like; write only through the engine. They are the same on SQLite and PostgreSQL and move with releases, by
`billhook db upgrade`.
"""

KINDS = {"TEXT": "text", "BIGINT": "whole number", "BLOB": "bytes"}


def page() -> str:
    """The page."""
    comments = _comments()
    doc = clean(schema.__doc__).partition("\n\n")[2]
    parts = [INTRO, doc]
    for found in schema.metadata.sorted_tables:
        parts += [
            f"## {found.name}",
            comments.get(found.name.removeprefix(PREFIX), ""),
            _columns(found),
            _indexes(found),
        ]
    return "\n\n".join(part.strip() for part in parts if part.strip())


def _columns(found: sa.Table) -> str:
    rows = []
    for column in found.columns:
        default = "" if column.server_default is None else str(getattr(column.server_default, "arg", ""))
        kind = KINDS[str(column.type)] + (" or nothing" if column.nullable else "")
        rows.append((code(column.name), kind, code(default)))
    return table(("column", "holds", "default"), rows)


def _indexes(found: sa.Table) -> str:
    lines = [f"- Primary key: {_names(found.primary_key.columns)}"]
    unique = [each for each in found.constraints if isinstance(each, sa.UniqueConstraint)]
    lines += sorted(f"- Unique: {_names(each.columns)}" for each in unique)
    for index in sorted(found.indexes, key=lambda index: str(index.name)):
        lines.append(f"- {'Unique' if index.unique else 'Index'}: {_names(index.columns)}")
    return "\n".join(lines)


def _names(columns: object) -> str:
    return ", ".join(code(column.name) for column in columns)  # type: ignore[attr-defined]


def _comments() -> dict[str, str]:
    """The comment above each table, by the name of the table."""
    found: dict[str, str] = {}
    above: list[str] = []
    for line in inspect.getsource(schema).splitlines():
        if line.startswith("# "):
            above.append(line[2:])
        elif "= table(" in line:
            found[line.partition(" ")[0]] = " ".join(above)
            above = []
        else:
            above = []
    return found
