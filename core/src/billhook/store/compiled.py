"""The texts of statements, compiled once in a process for every database of a kind.

Compiling a statement costs several times what running it costs, and a process opens a database several times over:
a SQLite file to read and to write, a PostgreSQL database for its sessions, another file next.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Dialect
from sqlalchemy.engine.interfaces import Compiled
from sqlalchemy.util import LRUCache

STATEMENTS_REMEMBERED = 2000
"""Billhook has about five hundred on both stores together; a host's are not among them."""


class CompiledStatements(LRUCache[Any, Compiled]):
    """SQLAlchemy's cache of compiled statements, for all engines that compile alike instead of for one."""

    __slots__ = ()

    def get(self, key: Any, default: Any = None) -> Any:
        return super().get(_alike(key), default)

    def __setitem__(self, key: Any, value: Compiled) -> None:
        super().__setitem__(_alike(key), value)


def _alike(key: Any) -> Any:
    # How a key is made up is the library's own business. One that is made up otherwise is its engine's alone, as without us.
    match key:
        case (Dialect() as dialect, *rest):
            return (*_compiling_as(dialect), *rest)
    return key


def _compiling_as(dialect: Dialect) -> tuple[object, ...]:
    """What the text of a statement depends on: servers differ in their version and in how they read a backslash."""
    return type(dialect), dialect.server_version_info, getattr(dialect, "_backslash_escapes", None)


COMPILED = CompiledStatements(STATEMENTS_REMEMBERED)
