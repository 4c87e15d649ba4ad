"""What every command shares: the database, the namespace, and how to answer."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from billhook.cli.output import print_json, print_text
from billhook.errors import StoreError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from billhook.engine.engine import Engine
    from billhook.engine.namespace import Namespace
    from billhook.plugins.catalog import ProviderCatalog

DEFAULT_DB = "billhook.db"
DEFAULT_NAMESPACE = "default"
PROVIDERS_VARIABLE = "BILLHOOK_PROVIDERS"


@dataclass(frozen=True, slots=True)
class Session:
    """One command's surroundings, as its options say."""

    db: str = DEFAULT_DB
    namespace: str = DEFAULT_NAMESPACE
    as_json: bool = False

    @contextmanager
    def engine(self, *, create: bool = False, **options: Any) -> Iterator[Engine]:
        """The engine on the database, closed afterwards. A fresh database gets its tables; an older one is left as it is.

        Raises StoreError for a missing database unless it may be created, and for one that has to be upgraded first.
        """
        from billhook.engine.engine import Engine

        self.require_database(create=create)
        with Engine.open(self.db, create=create, upgrade=False, catalog=catalog(), **options) as engine:
            _bring_up_to_date(engine, self.db)
            yield engine

    @contextmanager
    def billing(self, *, create: bool = False) -> Iterator[Namespace]:
        """The namespace in that database."""
        with self.engine(create=create) as engine:
            yield engine.namespace(self.namespace)

    def answer(self, value: Any, as_text: Callable[[], RenderableType]) -> None:
        """Print the value as JSON, or what ``as_text`` makes of it."""
        if self.as_json:
            print_json(value)
        else:
            print_text(as_text())

    def require_database(self, *, create: bool = False) -> None:
        """Raise StoreError for a file that is not there, unless it may be created."""
        path = sqlite_path(self.db)
        if create or path is None or path.exists():
            return
        raise StoreError(f"There is no database at {path}. Check --db, or make one: billhook db upgrade --db {path}")


def catalog() -> ProviderCatalog:
    """The installed providers, or those that the environment allows."""
    from billhook.plugins.catalog import ProviderCatalog

    allowed = os.environ.get(PROVIDERS_VARIABLE)
    if allowed is None:
        return ProviderCatalog()
    return ProviderCatalog(allow=[name.strip() for name in allowed.split(",") if name.strip()])


def sqlite_path(url: str) -> Path | None:
    """The file of a SQLite database, None for a database on a server."""
    if url.startswith("sqlite:///"):
        return Path(url.removeprefix("sqlite:///"))
    return None if "://" in url else Path(url)


def _bring_up_to_date(engine: Engine, db: str) -> None:
    from billhook.store import migrate
    from billhook.store.migrations import HEAD

    revision = migrate.current(engine.database)
    if revision is None:
        migrate.upgrade(engine.database)
    elif revision != HEAD:
        raise StoreError(
            f"The database is at schema {revision}, this release works with {HEAD}. "
            f"Stop what works on it, then run: billhook db upgrade --db {db}"
        )
