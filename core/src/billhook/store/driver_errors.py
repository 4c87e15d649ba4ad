"""What a database's driver says when something goes wrong, in its own words."""

from __future__ import annotations

import sqlite3

from sqlalchemy.exc import DBAPIError, OperationalError

_SQLITE_FULL = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR})
_POSTGRES_FULL = frozenset({"53100", "58030"})
_LOCK_NOT_AVAILABLE = "55P03"
_TURNED_AWAY = frozenset({"40P01", "40001"})
_READ_ONLY = "25006"


def said(error: BaseException) -> str:
    """The driver's own sentence, without what the library around it adds."""
    return str(_of_driver(error))


def is_disk_trouble(error: BaseException) -> bool:
    """Whether the disk is full, or can't be read or written."""
    cause = _of_driver(error)
    if isinstance(cause, sqlite3.OperationalError):
        return getattr(cause, "sqlite_errorcode", 0) & 0xFF in _SQLITE_FULL
    return getattr(cause, "sqlstate", None) in _POSTGRES_FULL


def is_turned_away(error: BaseException) -> bool:
    """Whether PostgreSQL gave the turn to another transaction: a deadlock, or one that can't be put in an order."""
    return getattr(_of_driver(error), "sqlstate", None) in _TURNED_AWAY


def is_lock_timeout(error: BaseException) -> bool:
    """Whether PostgreSQL gave up waiting for a lock."""
    return getattr(_of_driver(error), "sqlstate", None) == _LOCK_NOT_AVAILABLE


def is_unavailable(error: BaseException) -> bool:
    """Whether the database as a whole could not be reached or used just then. A row that somebody else holds is another matter."""
    if is_turned_away(error) or is_lock_timeout(error):
        return False
    cause = _of_driver(error)
    if isinstance(cause, sqlite3.OperationalError):
        # A statement that SQLite does not understand is an OperationalError, too.
        return getattr(cause, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF != sqlite3.SQLITE_ERROR
    if isinstance(error, OperationalError) or getattr(cause, "sqlstate", None) == _READ_ONLY:
        return True
    return isinstance(error, DBAPIError) and error.connection_invalidated


def _of_driver(error: BaseException) -> BaseException:
    return getattr(error, "orig", None) or error
