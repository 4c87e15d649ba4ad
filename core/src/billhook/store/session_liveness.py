"""Owners of a PostgreSQL database: one session each, which holds an advisory lock."""

from __future__ import annotations

import hashlib
import threading
from contextlib import suppress

from sqlalchemy import URL, Connection, Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from billhook.store.liveness import Claim, already_held, check_owner_id
from billhook.store.postgres import session_engine
from billhook.store.unavailable import telling_when_unavailable

# The session of a machine that lost power is noticed in about 20 seconds, where the system's default is two hours.
NOTICE_A_DEAD_MACHINE = (
    "SET tcp_keepalives_idle = 5",
    "SET tcp_keepalives_interval = 5",
    "SET tcp_keepalives_count = 3",
    "SET idle_session_timeout = 0",
)

# A lock on one 64-bit key is listed as its two halves, with objsubid 1.
IS_HELD = """
SELECT EXISTS (
  SELECT 1 FROM pg_locks
  WHERE locktype = 'advisory' AND granted AND objsubid = 1 {whose}
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND (classid::bigint << 32) | objid::bigint = %s
)
"""
HELD_BY_ANYBODY = IS_HELD.format(whose="")
HELD_BY_THIS_SESSION = IS_HELD.format(whose="AND pid = pg_backend_pid()")


class SessionClaim(Claim):
    """An advisory lock of a session of its own, so it lives exactly as long as that connection."""

    def __init__(self, owner_id: str, connection: Connection) -> None:
        super().__init__(owner_id)
        self._connection: Connection | None = connection
        self._one_at_a_time = threading.Lock()

    def is_held(self) -> bool:
        with self._one_at_a_time:
            return self._connection is not None and _answers_held(self._connection, self.owner_id)

    def release(self) -> None:
        with self._one_at_a_time:
            connection, self._connection = self._connection, None
        if connection is None:
            return
        # Closing alone lets the lock fall a moment later. A connection that was lost took its lock with it.
        with suppress(SQLAlchemyError):
            connection.exec_driver_sql("SELECT pg_advisory_unlock(%s)", (lock_key(self.owner_id),))
        connection.close()


class SessionLiveness:
    """Owners whose sessions are in the database at `url`."""

    def __init__(self, url: URL, engine: Engine) -> None:
        self._sessions = session_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
        self._looking = engine

    def claim(self, owner_id: str) -> SessionClaim:
        key = lock_key(check_owner_id(owner_id))
        with telling_when_unavailable():
            connection = self._sessions.connect()
            for setting in NOTICE_A_DEAD_MACHINE:
                connection.exec_driver_sql(setting)
            if connection.exec_driver_sql("SELECT pg_try_advisory_lock(%s)", (key,)).scalar_one():
                return SessionClaim(owner_id, connection)
            connection.close()
        raise already_held(owner_id)

    def is_alive(self, owner_id: str) -> bool:
        with telling_when_unavailable(), self._looking.connect() as connection:
            return _ask(connection, HELD_BY_ANYBODY, check_owner_id(owner_id))

    def sweep(self) -> int:
        """Nothing is left behind: the server ends a session together with its locks."""
        return 0


def lock_key(owner_id: str) -> int:
    """The 64-bit key of the owner's advisory lock."""
    digest = hashlib.blake2b(b"billhook.owner:" + owner_id.encode(), digest_size=8).digest()
    return int.from_bytes(digest, signed=True)


def _answers_held(connection: Connection, owner_id: str) -> bool:
    try:
        return _ask(connection, HELD_BY_THIS_SESSION, owner_id)
    except DBAPIError as error:
        if error.connection_invalidated:
            return False
        raise


def _ask(connection: Connection, question: str, owner_id: str) -> bool:
    return bool(connection.exec_driver_sql(question, (lock_key(owner_id),)).scalar_one())
