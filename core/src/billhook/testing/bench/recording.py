"""Everything that an engine writes, statement by statement and commit by commit, as the database driver was given it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sqlalchemy import Connection, event

from billhook.store.database import Database

WRITES = ("INSERT", "UPDATE", "DELETE")


class Write(NamedTuple):
    """One statement with its parameters; ``is_many`` says that they are a list of rows."""

    sql: str
    parameters: Any
    is_many: bool


@dataclass
class Recording:
    """The commits that wrote something, in order. What was only read is not in it."""

    commits: list[list[Write]] = field(default_factory=list)
    _open: dict[Connection, list[Write]] = field(default_factory=dict)

    @property
    def statements(self) -> int:
        """How many statements there are."""
        return sum(map(len, self.commits))

    def note(
        self, connection: Connection, _cursor: object, sql: str, parameters: Any, _context: object, is_many: bool
    ) -> None:
        """A statement is about to run."""
        if sql.lstrip().upper().startswith(WRITES):
            self._open.setdefault(connection, []).append(Write(sql, parameters, is_many))

    def commit(self, connection: Connection) -> None:
        """What the connection wrote is stored."""
        written = self._open.pop(connection, None)
        if written:
            self.commits.append(written)

    def roll_back(self, connection: Connection) -> None:
        """What the connection wrote is gone."""
        self._open.pop(connection, None)


@contextmanager
def recorded(database: Database) -> Iterator[Recording]:
    """Record what is written to the database in this block."""
    recording, engine = Recording(), database.backend.engine
    listeners: dict[str, Callable[..., None]] = {
        "before_cursor_execute": recording.note,
        "commit": recording.commit,
        "rollback": recording.roll_back,
    }
    for name, listener in listeners.items():
        event.listen(engine, name, listener)
    try:
        yield recording
    finally:
        for name, listener in listeners.items():
            event.remove(engine, name, listener)
