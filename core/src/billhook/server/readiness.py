"""Whether this process can do its work now."""

from __future__ import annotations

from collections.abc import Callable

from billhook.engine.engine import Engine
from billhook.errors import StoreError
from billhook.store import migrate
from billhook.store.migrations import HEAD

Check = Callable[[], str | None]
"""Says what stands in the way, or None."""


class Readiness:
    """Asks everything that has to work. ``checks`` are those of what runs beside the application."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.checks: list[Check] = [self._schema]

    def reasons(self) -> list[str]:
        """What stands in the way; nothing when all is well."""
        return [reason for check in self.checks if (reason := check()) is not None]

    def _schema(self) -> str | None:
        try:
            revision = migrate.current(self._engine.database)
        except StoreError:
            return "The database can't be read."
        return None if revision == HEAD else "The database's schema is not that of this release."
