"""Fresh databases that a sandbox app and a profile already stand in, by the dozen: each telling of the story gets a copy of its own."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from billhook.clock import TurnedClock
from billhook.engine.engine import Engine
from billhook.plugins.catalog import ProviderCatalog
from billhook.testing import story
from billhook.testing.builders import CREDENTIAL_KEYS
from billhook.testing.postgres import PostgresServer, database_name
from billhook.testing.sandbox import provider as sandbox_provider
from billhook.testing.story import SandboxStory

CATALOG = ProviderCatalog.from_objects([sandbox_provider])


class FileShelf:
    """SQLite files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = itertools.count(1)
        self._prepared = folder / "prepared.db"
        prepare(str(self._prepared))

    def take(self) -> str:
        return str(shutil.copy(self._prepared, self._folder / f"{next(self._numbers)}.db"))

    def give_back(self, url: str) -> None:
        for left in self._folder.glob(f"{Path(url).name}*"):
            shutil.rmtree(left) if left.is_dir() else left.unlink()


class ServerShelf:
    """Databases of a PostgreSQL server."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        self._prepared = server.create()
        prepare(self._prepared)

    def take(self) -> str:
        return self._server.create(template=database_name(self._prepared))

    def give_back(self, url: str) -> None:
        self._server.drop(url)


Shelf = FileShelf | ServerShelf


def prepare(url: str) -> None:
    with Engine.open(
        url, catalog=CATALOG, clock=TurnedClock(story.BEGINS_AT), credential_keys=CREDENTIAL_KEYS
    ) as engine:
        story.prepare(engine)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    with PostgresServer() as server:
        yield server


@pytest.fixture(scope="session")
def sqlite_shelf(tmp_path_factory: pytest.TempPathFactory) -> FileShelf:
    return FileShelf(tmp_path_factory.mktemp("shelf"))


@pytest.fixture(scope="session")
def postgres_shelf(postgres_server: PostgresServer) -> ServerShelf:
    return ServerShelf(postgres_server)


@pytest.fixture(params=["sqlite", "postgres"])
def shelf(request: pytest.FixtureRequest) -> Shelf:
    found: Shelf = request.getfixturevalue(f"{request.param}_shelf")
    return found


NewStory = Callable[[], SandboxStory]


@pytest.fixture
def stories(shelf: Shelf) -> Callable[..., NewStory]:
    return lambda **options: story_maker(shelf, **options)


@pytest.fixture
def sqlite_stories(sqlite_shelf: FileShelf) -> Callable[..., NewStory]:
    return lambda **options: story_maker(sqlite_shelf, **options)


@pytest.fixture
def postgres_stories(postgres_shelf: ServerShelf) -> Callable[..., NewStory]:
    return lambda **options: story_maker(postgres_shelf, **options)


def story_maker(shelf: Shelf, *, catalog: ProviderCatalog = CATALOG, **options: Any) -> NewStory:
    """Makes tellings of the story; ``options`` are the sandbox's."""

    def new_story() -> SandboxStory:
        url = shelf.take()
        telling = SandboxStory.on(url, catalog, **options)
        telling.clean_up = lambda: shelf.give_back(url)
        return telling

    return new_story
