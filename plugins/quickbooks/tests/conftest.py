"""Drives the provider by hand against the simulated company: one operation, one request at a time, in-process or over HTTP."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from billhook.clock import TurnedClock
from billhook.contract import Batch, ConnectionItem, CustomerItem, InvoiceItem
from billhook.engine.transport import HttpTransport
from billhook.testing.desk import Desk
from billhook.testing.transport import SimulatorTransport
from billhook_quickbooks import QuickBooksCredentials, QuickBooksProvider, QuickBooksSettings
from billhook_quickbooks.simulator import simulator
from billhook_quickbooks.simulator.rules import CompanyRules
from billhook_quickbooks.simulator.server import QuickBooksSimulator

URL = "http://quickbooks.test"
RULES = CompanyRules(home_currency="EUR", throttles=False)
CREDENTIALS = QuickBooksCredentials(
    client_secret="simulated-secret",
    access_token="simulated-access-token",
    refresh_token="simulated-refresh-token-0",
    verifier_token="simulated-verifier",
)


def some_settings(base_url: str = URL, **changes: Any) -> QuickBooksSettings:
    usual: dict[str, Any] = {
        "account": RULES.realm,
        "client_id": RULES.client_id,
        "base_url": base_url,
        "authorization_url": f"{base_url}/connect/oauth2",
        "token_url": f"{base_url}/oauth2/v1/tokens/bearer",
        "home_currency": "EUR",
        "default_item": "1",
        "items": {"ITEM-2": "2"},
    }
    return QuickBooksSettings(**{**usual, **changes})


class CompanyDesk(Desk):
    """The company, seen from our side. An invoice has its number from the start, because there are no drafts."""

    def __init__(
        self,
        company: QuickBooksSimulator,
        clock: TurnedClock,
        transport: Any,
        settings: QuickBooksSettings,
        provider: Any,
    ) -> None:
        super().__init__(
            provider, transport, settings=settings, credentials=CREDENTIALS, clock=clock, simulator=company
        )
        self.company = company

    def customer_item(self, number: int = 1, **changes: Any) -> CustomerItem:
        named = {part: changes.pop(part) for part in ("name", "key") if part in changes}
        item = super().customer_item(number, **changes)
        return replace(item, customer=item.customer.model_copy(update=named))

    def invoice_item(self, place: int = 1, draft: Any = None, content: Any = None, **changes: Any) -> InvoiceItem:
        return super().invoice_item(place, draft, content, **{"number": f"INV-{place}", **changes})

    def connection(self, **parameters: str) -> Batch[Any, Any]:
        return self.batch(ConnectionItem("app", parameters))


@pytest.fixture(scope="session")
def schema_folder() -> Path | None:
    """Intuit's schema, where a sibling of the checkout has it."""
    for parent in Path(__file__).resolve().parents:
        folder = parent / "shared" / "vendor-specs" / "quickbooks"
        if folder.is_dir():
            return folder
    return None


@pytest.fixture
def clock() -> TurnedClock:
    return TurnedClock(datetime(2026, 3, 2, 12, tzinfo=UTC))


@pytest.fixture
def a_company(clock: TurnedClock, schema_folder: Path | None) -> Iterator[Callable[..., QuickBooksSimulator]]:
    """Companies with books in memory, which judge by Intuit's schema where it is there."""
    opened: list[QuickBooksSimulator] = []

    def open_one(*, judged: bool = True, **changes: Any) -> QuickBooksSimulator:
        rules = replace(RULES, **changes)
        opened.append(simulator(clock=clock, rules=rules, schema_folder=schema_folder if judged else None))
        return opened[-1]

    yield open_one
    for company in opened:
        company.close()


@pytest.fixture
def company(a_company: Callable[..., QuickBooksSimulator]) -> QuickBooksSimulator:
    return a_company()


@pytest.fixture
def a_desk(clock: TurnedClock) -> Callable[..., CompanyDesk]:
    """A desk at a company, in-process."""

    def at(company: QuickBooksSimulator, provider: Any = QuickBooksProvider, **settings: Any) -> CompanyDesk:
        there = SimulatorTransport({URL: company})
        return CompanyDesk(company, clock, there, some_settings(**settings), provider)

    return at


@pytest.fixture
def desk(a_desk: Callable[..., CompanyDesk], company: QuickBooksSimulator) -> CompanyDesk:
    return a_desk(company)


@pytest.fixture
def desk_over_http(company: QuickBooksSimulator, clock: TurnedClock) -> Iterator[CompanyDesk]:
    """The same company behind a real socket."""
    transport = HttpTransport()
    with company.serve() as served:
        yield CompanyDesk(company, clock, transport, some_settings(served.url), QuickBooksProvider)
    transport.close()


@pytest.fixture(scope="session")
def scene() -> SimpleNamespace:
    """What every test of the company agrees on."""
    return SimpleNamespace(url=URL, rules=RULES, credentials=CREDENTIALS, some_settings=some_settings)
