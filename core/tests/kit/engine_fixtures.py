"""Fixtures around a shop: databases that have all tables already, as copies of a file or of a PostgreSQL database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from engine_kit import Shop, copy_of, open_shop

from billhook.clock import SystemClock
from billhook.faults import NO_FAULTS
from billhook.store import migrate
from billhook.store.database import Database
from billhook.testing.postgres import PostgresServer, database_name

__all__ = [
    "a_shop",
    "a_shop_anywhere",
    "database_template",
    "file_template",
    "file_url",
    "shop_on",
    "shop_where_money_comes",
    "store_url",
]


def _upgrade(url: str) -> None:
    with Database.open(url, clock=SystemClock(), faults=NO_FAULTS) as database:
        migrate.upgrade(database)


@pytest.fixture(scope="session")
def file_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database file with all tables."""
    path = tmp_path_factory.mktemp("template") / "template.db"
    _upgrade(str(path))
    return path


@pytest.fixture(scope="session")
def database_template(postgres_server: PostgresServer) -> str:
    """The name of a PostgreSQL database with all tables."""
    url = postgres_server.create()
    _upgrade(url)
    return database_name(url)


@pytest.fixture(params=["sqlite", "postgres"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database with all tables, on both stores."""
    if request.param == "sqlite":
        yield copy_of(request.getfixturevalue("file_template"), tmp_path / "billhook.db")
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    url = server.create(request.getfixturevalue("database_template"))
    yield url
    server.retire(url)


@pytest.fixture
def file_url(file_template: Path, tmp_path: Path) -> str:
    """A database file with all tables, for what does not depend on the store."""
    return copy_of(file_template, tmp_path / "billhook.db")


@pytest.fixture
def shop_on() -> Iterator[Callable[..., Shop]]:
    """Opens shops, and closes them when the test is over."""
    opened: list[Shop] = []

    def open_one(url: str, *providers: Any, **options: Any) -> Shop:
        opened.append(open_shop(url, *providers, **options))
        return opened[-1]

    yield open_one
    for shop in opened:
        shop.close()


@pytest.fixture
def a_shop(shop_on: Callable[..., Shop], file_url: str) -> Callable[..., Shop]:
    """Opens a shop with these providers on a database file."""
    return lambda *providers, **options: shop_on(file_url, *providers, **options)


@pytest.fixture
def a_shop_anywhere(shop_on: Callable[..., Shop], store_url: str) -> Callable[..., Shop]:
    """Opens a shop with these providers, on both stores."""
    return lambda *providers, **options: shop_on(store_url, *providers, **options)


@pytest.fixture(params=["at a bank, on PostgreSQL", "at the books' app, on SQLite"])
def shop_where_money_comes(
    request: pytest.FixtureRequest, shop_on: Callable[..., Shop]
) -> Iterator[tuple[Callable[..., Shop], bool]]:
    """Opens a shop with these providers, and whether money comes at an app that keeps no books. Each place on a store of its own: what the
    stores do differently has nothing to do with it."""
    if request.param.endswith("SQLite"):
        file_url = request.getfixturevalue("file_url")
        yield lambda *providers, **options: shop_on(file_url, *providers, **options), False
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    url = server.create(request.getfixturevalue("database_template"))
    yield lambda *providers, **options: shop_on(url, *providers, **options), True
    server.retire(url)
