"""What every simulator must remember: calls, answers kept under keys, requests on their way, and events to tell."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar, Self

from billhook.errors import StoreError
from billhook.testing.simulator.decisions import Decisions
from billhook.testing.simulator.messages import Event, SimCall, SimReply, SimRequest

Stored = str | int | bytes | None

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS calls (
  number INTEGER PRIMARY KEY, at INTEGER NOT NULL, method TEXT NOT NULL, path TEXT NOT NULL,
  key TEXT, verdict TEXT NOT NULL, status INTEGER
);
CREATE TABLE IF NOT EXISTS kept_answers (
  key TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, kept_at INTEGER NOT NULL, answered_at INTEGER NOT NULL,
  status INTEGER NOT NULL, headers TEXT NOT NULL, body BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS late_requests (
  number INTEGER PRIMARY KEY, due_at INTEGER NOT NULL, method TEXT NOT NULL, path TEXT NOT NULL,
  query TEXT NOT NULL, headers TEXT NOT NULL, body BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS events (
  number INTEGER PRIMARY KEY, type TEXT NOT NULL, reference TEXT NOT NULL, object_id TEXT NOT NULL,
  at INTEGER NOT NULL, skew INTEGER NOT NULL, delivered INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS events_to_tell ON events (number) WHERE delivered = 0;
"""


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """The answer that a key stands for. Until `answered_at` the first request counts as still in flight."""

    fingerprint: str
    answered_at: datetime
    reply: SimReply


class Memory:
    """A simulator's memory: one SQLite file of its own, committed before anything is answered.

    Raises StoreError, with nothing written, for a file that is something else. Subclasses add their tables by `schema`. One object may be shared by threads; a second process may read the file.
    """

    schema: ClassVar[str] = ""

    def __init__(self, path: str | Path = ":memory:") -> None:
        self.path = str(path)
        self.decisions = Decisions()
        if self.path != ":memory:":
            _check_file(Path(self.path), _SCHEMA + self.schema)
        self._lock = threading.RLock()
        self._this_thread = threading.local()
        self._database = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, timeout=30)
        self._database.execute("PRAGMA journal_mode = WAL")
        # NORMAL outlives a killed process. Only a power cut could take the last commits, and nobody simulates that.
        self._database.execute("PRAGMA synchronous = NORMAL")
        self._database.executescript(_SCHEMA + self.schema)

    @classmethod
    def open(cls, path: str | Path = ":memory:") -> Self:
        """The memory kept in that file, made if absent. Works beside a running simulator and after a killed one."""
        return cls(path)

    def close(self) -> None:
        """Close the file. What was answered is in it already."""
        with self._lock:
            self._database.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Kept whole when the block ends and undone when it raises. Within another it is kept when the outermost ends."""
        with self._lock:
            nested = self._database.in_transaction
            self._database.execute("SAVEPOINT part" if nested else "BEGIN IMMEDIATE")
            try:
                yield self._database
            except BaseException:
                self._database.execute("ROLLBACK TO part" if nested else "ROLLBACK")
                raise
            finally:
                if nested:
                    self._database.execute("RELEASE part")
            if not nested:
                self._database.execute("COMMIT")

    def read(self, statement: str, values: Iterable[Stored] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        with self._lock:
            return self._database.execute(statement, tuple(values)).fetchall()

    # -- the request log ------------------------------------------------------------------------------------------

    def note_call(self, at: datetime, request: SimRequest, key: str | None, verdict: str, status: int | None) -> None:
        """Write a line of the request log."""
        row = (micros(at), request.method, request.path, key, verdict, status)
        with self.transaction() as tx:
            tx.execute("INSERT INTO calls (at, method, path, key, verdict, status) VALUES (?, ?, ?, ?, ?, ?)", row)

    def calls(self) -> tuple[SimCall, ...]:
        """The request log, in the order in which the requests ended."""
        rows = self.read("SELECT number, at, method, path, key, verdict, status FROM calls ORDER BY number")
        return tuple(SimCall(number, moment(at), *rest) for number, at, *rest in rows)

    def count_calls(self) -> int:
        """How many requests ended."""
        ((count,),) = self.read("SELECT count(*) FROM calls")
        return int(count)

    # -- answers kept under keys ----------------------------------------------------------------------------------

    def kept_answer(self, key: str, since: datetime) -> KeptAnswer | None:
        """The answer kept under that key, unless it was first kept before `since`."""
        statement = (
            "SELECT fingerprint, answered_at, status, headers, body FROM kept_answers WHERE key = ? AND kept_at > ?"
        )
        rows = self.read(statement, (key, micros(since)))
        if not rows:
            return None
        ((content, answered_at, status, headers, body),) = rows
        return KeptAnswer(content, moment(answered_at), SimReply(status, _pairs(headers), body))

    def keep_answer(self, key: str, request: SimRequest, reply: SimReply, at: datetime) -> None:
        """Keep an answer under its key, in place of an older one."""
        now = micros(at)
        row = (key, fingerprint(request), now, now, reply.status, json.dumps(reply.headers), reply.body)
        with self.transaction() as tx:
            tx.execute("INSERT OR REPLACE INTO kept_answers VALUES (?, ?, ?, ?, ?, ?, ?)", row)

    def hold_key(self, key: str, until: datetime) -> None:
        """Let the request of that key count as in flight until then."""
        with self.transaction() as tx:
            tx.execute("UPDATE kept_answers SET answered_at = ? WHERE key = ?", (micros(until), key))

    # -- requests that are still on their way ---------------------------------------------------------------------

    def delay_request(self, request: SimRequest, due_at: datetime) -> None:
        """Hold back a request until it is due."""
        pairs = (json.dumps(request.query), json.dumps(request.headers))
        row = (micros(due_at), request.method, request.path, *pairs, request.body)
        statement = "INSERT INTO late_requests (due_at, method, path, query, headers, body) VALUES (?, ?, ?, ?, ?, ?)"
        with self.transaction() as tx:
            tx.execute(statement, row)

    def take_late_requests(self, now: datetime) -> list[tuple[datetime, SimRequest]]:
        """The requests that are due by now, each given once, with when they arrive."""
        statement = (
            "SELECT due_at, method, path, query, headers, body FROM late_requests WHERE due_at <= ? ORDER BY due_at"
        )
        with self._lock:
            rows = self.read(statement, (micros(now),))
            if not rows:
                return []
            with self.transaction() as tx:
                tx.execute("DELETE FROM late_requests WHERE due_at <= ?", (micros(now),))
        return [
            (moment(due_at), SimRequest(method, path, _pairs(query), _pairs(head), body))
            for due_at, method, path, query, head, body in rows
        ]

    # -- events ---------------------------------------------------------------------------------------------------

    def note_event(self, type: str, reference: str, object_id: str, at: datetime) -> None:
        """Write down that the provider has something to tell."""
        skew: timedelta = getattr(self._this_thread, "skew", timedelta())
        row = (type, reference, object_id, micros(at), skew // timedelta(microseconds=1))
        with self.transaction() as tx:
            tx.execute("INSERT INTO events (type, reference, object_id, at, skew) VALUES (?, ?, ?, ?, ?)", row)

    @contextmanager
    def skewed_clock(self, skew: timedelta) -> Iterator[None]:
        """Events noted by this thread within the block are told with a clock that is wrong by `skew`."""
        self._this_thread.skew = skew
        try:
            yield
        finally:
            self._this_thread.skew = timedelta()

    def events_to_tell(self) -> list[Event]:
        """The events that nobody has confirmed yet, oldest first."""
        statement = (
            "SELECT number, type, reference, object_id, at, skew FROM events WHERE delivered = 0 ORDER BY number"
        )
        return [
            Event(_event_id(number), type, reference, object_id, moment(at), timedelta(microseconds=skew))
            for number, type, reference, object_id, at, skew in self.read(statement)
        ]

    def confirm_event(self, event_id: str) -> None:
        """The receiver has it: don't tell it again."""
        with self.transaction() as tx:
            tx.execute("UPDATE events SET delivered = 1 WHERE number = ?", (int(event_id.removeprefix("evt_")),))


def fingerprint(request: SimRequest) -> str:
    """What makes two requests under one key the same request."""
    head = f"{request.line}\n{json.dumps(request.query)}\n".encode()
    return hashlib.sha256(head + request.body).hexdigest()


def micros(at: datetime) -> int:
    """Microseconds since 1970, as stored."""
    return (at - EPOCH) // timedelta(microseconds=1)


def moment(stored: int) -> datetime:
    """The aware datetime of stored microseconds."""
    return EPOCH + timedelta(microseconds=stored)


def _event_id(number: int) -> str:
    return f"evt_{number:06d}"


def _pairs(stored: str) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in json.loads(stored))


def _check_file(path: Path, schema: str) -> None:
    """Raise StoreError unless the file is absent, empty, or holds such tables."""
    if not path.parent.is_dir():
        raise StoreError(f"The folder {path.parent} for the books {path.name} is missing. Make it first.")
    if not path.exists():
        return
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=30)) as database:
            held = _columns(database)
    except sqlite3.DatabaseError as error:
        raise StoreError(
            f"{path} is no SQLite file that could hold a simulator's books ({error}). Give another."
        ) from None
    with closing(sqlite3.connect(":memory:")) as pattern:
        pattern.executescript(schema)
        wanted = _columns(pattern)
    if any(wanted.get(table) != columns for table, columns in held.items()):
        raise StoreError(
            f"{path} holds tables that are not those of a simulator's books. Nothing was written. Give another file."
        )


def _columns(database: sqlite3.Connection) -> dict[str, set[str]]:
    """The columns of every table."""
    tables = database.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    ).fetchall()
    return {table: {name for _, name, *_ in database.execute(f'PRAGMA table_info("{table}")')} for (table,) in tables}
