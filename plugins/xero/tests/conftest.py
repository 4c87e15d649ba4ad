"""Fixtures of the Xero tests. What they share lies in xero_kit and xero_office."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from xero_kit import BEGINS_AT, XeroDesk, schema_folder
from xero_office import Office

from billhook import Engine, ProviderCatalog
from billhook.clock import SystemClock, TurnedClock
from billhook.faults import NO_FAULTS
from billhook.store import migrate
from billhook.store.database import Database
from billhook_xero import own_numbers_provider, provider
from billhook_xero.simulator import simulator
from billhook_xero.simulator.server import XeroSimulator


@pytest.fixture
def clock() -> TurnedClock:
    return TurnedClock(BEGINS_AT)


@pytest.fixture
def xero(clock: TurnedClock) -> Iterator[XeroSimulator]:
    books = simulator(clock=clock, schemas=schema_folder())
    yield books
    books.close()


@pytest.fixture
def desk(xero: XeroSimulator, clock: TurnedClock) -> Iterator[XeroDesk]:
    with xero.serve() as served:
        made = XeroDesk(xero, served.url, clock)
        yield made
        made.close()


@pytest.fixture
def own_numbers_desk(xero: XeroSimulator, clock: TurnedClock) -> Iterator[XeroDesk]:
    with xero.serve() as served:
        made = XeroDesk(xero, served.url, clock, own_numbers_provider, first_operation=20_000)
        yield made
        made.close()


@pytest.fixture(scope="session")
def file_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database file with all tables."""
    path = tmp_path_factory.mktemp("template") / "template.db"
    with Database.open(str(path), clock=SystemClock(), faults=NO_FAULTS) as database:
        migrate.upgrade(database)
    return path


@pytest.fixture
def office(file_template: Path, tmp_path: Path, xero: XeroSimulator, clock: TurnedClock) -> Iterator[Office]:
    path = tmp_path / "billhook.db"
    shutil.copy(file_template, path)
    catalog = ProviderCatalog.from_objects([provider])
    with xero.serve() as served, Engine.open(path, upgrade=False, clock=clock, catalog=catalog) as engine:
        yield Office(engine, xero, served.url, clock)
