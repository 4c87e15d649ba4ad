"""An engine's surroundings on a real database, with two small providers and a clock that stands still."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict, SecretStr

from billhook.clock import SystemClock, TurnedClock
from billhook.contract import (
    Capability,
    Declaration,
    Full,
    InstallMethod,
    OperationRules,
    Provider,
    hookimpl,
)
from billhook.contract.declaration import NumberRules
from billhook.domain.invoice import InvoiceDraft
from billhook.domain.states import State
from billhook.engine.app_commands import AppCommands
from billhook.engine.apps import Apps
from billhook.engine.context import Context
from billhook.engine.credential_keys import GivenKeys, KeyRing
from billhook.engine.customer_apps import CustomerAppCommands
from billhook.engine.customer_commands import CustomerCommands
from billhook.engine.gathering import GatheringCommands
from billhook.engine.invoice_row import InvoiceRow
from billhook.engine.moments import to_micros
from billhook.engine.numbers import Numbers
from billhook.engine.override_commands import OverrideCommands
from billhook.engine.pending_lines import PendingLineCommands
from billhook.engine.profile_commands import ProfileCommands
from billhook.engine.records import App, BillingProfile
from billhook.engine.telemetry import Telemetry
from billhook.engine.unit import Unit
from billhook.faults import NO_FAULTS
from billhook.plugins.catalog import ProviderCatalog
from billhook.plugins.observers import Observers
from billhook.store import migrate, schema
from billhook.store.database import Database
from billhook.store.transaction import Transaction
from billhook.testing.builders import CREDENTIAL_KEYS, a_supplier
from billhook.testing.postgres import PostgresServer, database_name

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


class BooksSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    ledger: str = "main"


class BooksKey(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    api_key: SecretStr
    webhook_key: SecretStr | None = None


class BooksProvider(Provider[BooksSettings]):
    declaration = Declaration(
        type="books",
        name="Books",
        description="Keeps invoices.",
        capabilities={Capability.ISSUE: Full()},
        operations={Capability.ISSUE: OperationRules(local=True)},
        numbers=NumberRules(max_length=20),
        settings=BooksSettings,
        credentials=BooksKey,
        install_methods=(InstallMethod.API_KEY,),
    )

    @hookimpl
    def issue(self, batch):
        return {}


class DutyProvider(Provider[BaseModel]):
    declaration = Declaration(type="duty", name="Duty", description="Knows taxes.", capabilities={})


class Watcher:
    """Remembers what observers are told of apps."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, bool]] = []

    @hookimpl
    def app_status_changed(self, event):
        self.seen.append((event.status, event.enabled))


@dataclass
class SubmittedDrafts:
    """Stands where invoices are made: keeps each draft as a bare invoice row, or refuses."""

    profile: BillingProfile
    drafts: list[tuple[InvoiceDraft, Mapping[str, Decimal]]] = field(default_factory=list)
    refusal: Exception | None = None

    def __call__(self, unit: Unit, draft: InvoiceDraft, *, quantities: Mapping[str, Decimal]) -> InvoiceRow:
        if self.refusal is not None:
            raise self.refusal
        self.drafts.append((draft, quantities))
        values = invoice_values(
            unit.context.new_id(unit.now), self.profile, str(draft.customer_id), State.DRAFT_CREATED
        )
        unit.tx.execute(sa.insert(schema.invoice).values(values))
        return InvoiceRow({column.name: values.get(column.name) for column in schema.invoice.columns})


def invoice_values(id: str, profile: BillingProfile, customer_id: str, state: State) -> dict[str, object]:
    return {
        "id": id,
        "namespace": profile.namespace,
        "draft_hash": "",
        "state": state.value,
        "version": 1,
        "revision": 1,
        "customer_id": customer_id,
        "profile_id": profile.id,
        "tax_app_id": profile.tax_app_id,
        "invoicing_app_id": profile.invoicing_app_id,
        "payment_app_id": profile.payment_app_id,
        "currency": "EUR",
        "number": "",
        "total": "0",
        "amount_paid": "0",
        "amount_credited": "0",
        "amount_refunded": "0",
        "auto_advance": 1,
        "collection_method": "charge_automatically",
        "draft_period": "P0D",
        "due_after": "P30D",
        "created_at": to_micros(NOON),
        "updated_at": to_micros(NOON),
    }


@dataclass
class Desk:
    """One namespace's commands, and what lies under them."""

    context: Context
    watcher: Watcher
    namespace: str = "acme"

    @property
    def apps(self) -> AppCommands:
        return AppCommands(self.context, self.namespace)

    @property
    def profiles(self) -> ProfileCommands:
        return ProfileCommands(self.context, self.namespace)

    @property
    def customers(self) -> CustomerCommands:
        return CustomerCommands(self.context, self.namespace)

    @property
    def customer_apps(self) -> CustomerAppCommands:
        return CustomerAppCommands(self.context, self.namespace)

    @property
    def overrides(self) -> OverrideCommands:
        return OverrideCommands(self.context, self.namespace)

    def pending(self, numbers: Numbers | None = None) -> PendingLineCommands:
        return PendingLineCommands(self.context, self.namespace, numbers or Numbers(self.context))

    def gathering(self, submit: SubmittedDrafts, usage: object = None) -> GatheringCommands:
        return GatheringCommands(self.context, self.namespace, submit, usage)

    @property
    def clock(self) -> TurnedClock:
        clock = self.context.clock
        assert isinstance(clock, TurnedClock)
        return clock

    def beside(self, namespace: str) -> Desk:
        """The same engine, another namespace."""
        return Desk(self.context, self.watcher, namespace)

    def an_app(self, type: str = "books", **changes: object) -> App:
        credentials = {"credentials": {"api_key": "sesame"}} if type == "books" else {}
        return self.apps.install(type, **{**credentials, **changes})

    def a_profile(self, app: App | None = None, **changes: object) -> BillingProfile:
        app = app or self.an_app()
        usual = {"supplier": a_supplier(), "tax_app_id": app.id, "invoicing_app_id": app.id, "payment_app_id": app.id}
        return self.profiles.create(**{"name": "Usual", "is_default": True, **usual, **changes})

    def put_invoice(self, profile: BillingProfile, state: State, customer_id: str = "nobody") -> str:
        """An invoice row as it would stand in that state."""
        id = self.context.new_id(NOON)
        row = invoice_values(id, profile, customer_id, state)
        self.write(lambda tx: tx.execute(sa.insert(schema.invoice).values(row)))
        return id

    def set_state(self, invoice_id: str, state: State) -> None:
        here = schema.invoice.c.id == invoice_id
        self.write(lambda tx: tx.execute(sa.update(schema.invoice).where(here).values(state=state.value)))

    def write(self, job: Callable[[Transaction], object]) -> object:
        return self.context.database.write(job)

    def all(self, table: sa.Table) -> list[dict[str, object]]:
        """Every row of a table."""
        with self.context.database.read() as tx:
            return [dict(row._mapping) for row in tx.all(sa.select(table))]


def open_desk(url: str, overrides: Mapping[str, list[object]] | None = None) -> Desk:
    clock, watcher = TurnedClock(NOON), Watcher()
    database = Database.open(url, clock=clock, faults=NO_FAULTS)
    catalog = ProviderCatalog.from_objects([BooksProvider, DutyProvider])
    context = Context(
        database=database,
        clock=clock,
        apps=Apps(catalog, overrides or {}),
        documents=None,  # no document is read here
        observers=Observers([watcher]),
        telemetry=Telemetry(),
        faults=NO_FAULTS,
        credential_keys=GivenKeys(KeyRing(CREDENTIAL_KEYS, "the test")),
    )
    return Desk(context, watcher)


@pytest.fixture(scope="session")
def template(postgres_server: PostgresServer) -> str:
    """The name of a database with all tables, to be copied."""
    url = postgres_server.create()
    _upgrade(url)
    return database_name(url)


@pytest.fixture(scope="session")
def file_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database file with all tables, to be copied."""
    path = tmp_path_factory.mktemp("template") / "template.db"
    _upgrade(str(path))
    return path


@pytest.fixture(params=["sqlite", "postgres"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database with all tables, on both kinds."""
    if request.param == "sqlite":
        yield str(shutil.copy(request.getfixturevalue("file_template"), tmp_path / "billhook.db"))
        return
    template, server = request.getfixturevalue("template"), request.getfixturevalue("postgres_server")
    url = server.create(template)
    yield url
    server.drop(url)


def _upgrade(url: str) -> None:
    with Database.open(url, clock=SystemClock(), faults=NO_FAULTS) as database:
        migrate.upgrade(database)


@pytest.fixture
def desk(store_url: str) -> Iterator[Desk]:
    desk = open_desk(store_url)
    yield desk
    desk.context.database.close()


@pytest.fixture
def second_desk(desk: Desk, store_url: str) -> Iterator[Desk]:
    """Another process's view: its own writer, caches and blocks on the same database."""
    other = open_desk(store_url)
    yield other
    other.context.database.close()


@pytest.fixture
def profile(desk: Desk) -> BillingProfile:
    return desk.a_profile()


@pytest.fixture
def submitted(profile: BillingProfile) -> SubmittedDrafts:
    return SubmittedDrafts(profile)
