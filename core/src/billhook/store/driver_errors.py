"""What a database's driver says when something goes wrong, in its own words."""

from __future__ import annotations

import sqlite3

_SQLITE_FULL = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR})
_POSTGRES_FULL = frozenset({"53100", "58030"})


def said(error: BaseException) -> str:
    """The driver's own sentence, without what the library around it adds."""
    return str(_of_driver(error))


def is_disk_trouble(error: BaseException) -> bool:
    """Whether the disk is full, or can't be read or written."""
    cause = _of_driver(error)
    if isinstance(cause, sqlite3.OperationalError):
        return getattr(cause, "sqlite_errorcode", 0) & 0xFF in _SQLITE_FULL
    return getattr(cause, "sqlstate", None) in _POSTGRES_FULL


def _of_driver(error: BaseException) -> BaseException:
    return getattr(error, "orig", None) or error
