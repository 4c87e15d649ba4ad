"""GoCardless's books: a SQLite file apart from any engine's database, readable by itself after everything else died."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from billhook.testing.simulator.memory import Memory, micros, moment

_SCHEMA = """
CREATE TABLE IF NOT EXISTS things (
  seq INTEGER PRIMARY KEY, kind TEXT NOT NULL, id TEXT NOT NULL UNIQUE, reference TEXT, parent TEXT, status TEXT,
  created_at INTEGER NOT NULL, due_at INTEGER, body TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS things_by_kind ON things (kind, seq);
CREATE INDEX IF NOT EXISTS things_by_parent ON things (kind, parent);
CREATE INDEX IF NOT EXISTS things_due ON things (due_at) WHERE due_at IS NOT NULL;
CREATE TABLE IF NOT EXISTS used_keys (
  kind TEXT NOT NULL, key TEXT NOT NULL, id TEXT NOT NULL, used_at INTEGER NOT NULL, PRIMARY KEY (kind, key)
) WITHOUT ROWID;
"""

# [sdk: each resource's id] "Unique identifier, beginning with" these.
PREFIXES = {"customers": "CU", "mandates": "MD", "payments": "PM", "refunds": "RF", "events": "EV"}

_COLUMNS = "seq, kind, id, reference, parent, status, created_at, due_at, body"


@dataclass(frozen=True, slots=True)
class Thing:
    """One resource: what it is, whom it belongs to, when time moves it on, and its body as GoCardless shows it."""

    kind: str
    id: str
    parent: str | None
    created_at: datetime
    body: Mapping[str, Any]
    due_at: datetime | None = None
    seq: int = 0

    @property
    def status(self) -> str | None:
        """Where it stands; None for what has no states."""
        return self.body.get("status")

    @property
    def reference(self) -> str | None:
        """What the client calls it: the value of the metadata whose name ends in the kind, in the singular."""
        metadata = self.body.get("metadata") or {}
        return next((value for name, value in metadata.items() if name.endswith(self.kind.removesuffix("s"))), None)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which things of a kind: with these columns, created within these bounds, older than a sequence number, the newest first."""

    where: Mapping[str, Sequence[str]]
    since: datetime | None = None
    until: datetime | None = None
    before_seq: int | None = None
    limit: int = -1


class Ledger(Memory):
    """The books. `Ledger.open(path)` reads them, whether or not the simulator that wrote them still lives."""

    schema: ClassVar[str] = _SCHEMA

    def all(self, kind: str) -> tuple[Thing, ...]:
        """Everything of a kind, oldest first."""
        rows = self.read(f"SELECT {_COLUMNS} FROM things WHERE kind = ? ORDER BY seq", (kind,))
        return tuple(_thing(row) for row in rows)

    def find(self, kind: str, id: str) -> Thing | None:
        """That one thing."""
        rows = self.read(f"SELECT {_COLUMNS} FROM things WHERE kind = ? AND id = ?", (kind, id))
        return _thing(rows[0]) if rows else None

    def of(self, kind: str, parent: str) -> tuple[Thing, ...]:
        """What belongs to that parent, oldest first."""
        statement = f"SELECT {_COLUMNS} FROM things WHERE kind = ? AND parent = ? ORDER BY seq"
        return tuple(_thing(row) for row in self.read(statement, (kind, parent)))

    def newest(self, kind: str, wanted: Wanted) -> tuple[Thing, ...]:
        """Those things, the newest first."""
        conditions: list[str] = ["kind = ?"]
        values: list[str | int] = [kind]
        for column, among in wanted.where.items():
            conditions.append(f"{column} IN ({', '.join('?' * len(among))})")
            values.extend(among)
        bounds = (
            ("created_at >= ?", None if wanted.since is None else micros(wanted.since)),
            ("created_at <= ?", None if wanted.until is None else micros(wanted.until)),
            ("seq < ?", wanted.before_seq),
        )
        for condition, value in bounds:
            if value is not None:
                conditions.append(condition)
                values.append(value)
        statement = f"SELECT {_COLUMNS} FROM things WHERE {' AND '.join(conditions)} ORDER BY seq DESC LIMIT ?"
        return tuple(_thing(row) for row in self.read(statement, (*values, wanted.limit)))

    def due(self, now: datetime) -> Thing | None:
        """The thing that time moves on next, if its time has come."""
        statement = f"SELECT {_COLUMNS} FROM things WHERE due_at <= ? ORDER BY due_at, seq LIMIT 1"
        rows = self.read(statement, (micros(now),))
        return _thing(rows[0]) if rows else None

    def new_id(self, kind: str) -> str:
        """An id that nothing has."""
        ((last,),) = self.read("SELECT coalesce(max(seq), 0) FROM things")
        return f"{PREFIXES[kind]}{last + 1:06d}"

    def put(self, thing: Thing) -> None:
        """Write it, new or changed. Raises TurnedDown where it is to be refused."""
        self.decisions.heed(thing.id, thing.reference)
        row = (
            *(thing.kind, thing.id, thing.reference, thing.parent, thing.status, micros(thing.created_at)),
            None if thing.due_at is None else micros(thing.due_at),
            json.dumps(thing.body, ensure_ascii=False),
        )
        changed = (
            "reference = excluded.reference, status = excluded.status, due_at = excluded.due_at, body = excluded.body"
        )
        columns = _COLUMNS.removeprefix("seq, ")
        statement = (
            f"INSERT INTO things ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET {changed}"
        )
        with self.transaction() as tx:
            tx.execute(statement, row)

    def made_under(self, kind: str, key: str, since: datetime) -> str | None:
        """What was made of that kind under that key, unless that was before `since`."""
        statement = "SELECT id FROM used_keys WHERE kind = ? AND key = ? AND used_at > ?"
        rows = self.read(statement, (kind, key, micros(since)))
        return str(rows[0][0]) if rows else None

    def use_key(self, kind: str, key: str, id: str, at: datetime) -> None:
        """Remember what was made under a key."""
        with self.transaction() as tx:
            tx.execute("INSERT OR REPLACE INTO used_keys VALUES (?, ?, ?, ?)", (kind, key, id, micros(at)))


def _thing(row: Sequence[Any]) -> Thing:
    seq, kind, id, _reference, parent, _status, created_at, due_at, body = row
    due = None if due_at is None else moment(due_at)
    return Thing(kind, id, parent, moment(created_at), json.loads(body), due, seq)
