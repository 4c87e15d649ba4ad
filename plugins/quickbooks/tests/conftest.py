"""Drives the provider by hand against the simulated company: one operation, one request at a time, in-process or over HTTP."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from billhook.clock import TurnedClock
from billhook.contract import (
    Answered,
    Batch,
    Capability,
    ConnectionItem,
    CreditNoteItem,
    CustomerItem,
    CustomerLink,
    Done,
    Find,
    Found,
    InvoiceItem,
    Outgoing,
    PaymentItem,
    Reply,
    Request,
)
from billhook.engine.effects import Arrived, Lost
from billhook.engine.sending import outgoing
from billhook.engine.transport import HttpTransport
from billhook.plugins import ProviderHandle
from billhook.testing.builders import a_content, a_customer, a_view, an_id, an_invoice
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


@dataclass
class Run:
    """One operation, driven to its end: what was sent and how it ended for each item."""

    outcomes: Mapping[str, Any]
    sent: list[Request]


class Desk:
    """The company, seen from our side."""

    def __init__(
        self,
        company: QuickBooksSimulator,
        clock: TurnedClock,
        transport: Any,
        settings: QuickBooksSettings,
        provider: Any,
    ) -> None:
        self.company = company
        self.clock = clock
        self.settings = settings
        self.handle = ProviderHandle(provider)
        self.transport = transport
        self._operations = 0
        self._customers: dict[str, str] = {}

    # What is handed in.

    def batch(self, *items: Any) -> Batch[Any, QuickBooksSettings]:
        self._operations += 1
        return Batch(an_id(10_000 + self._operations), items, self.settings, self.clock.now(), "app", "default")

    def customer_item(self, number: int = 1, **changes: Any) -> CustomerItem:
        id = an_id(900 + number)
        name = changes.pop("name", f"Customer {number}")
        customer = a_customer(id=id, name=name, key=changes.pop("key", f"customer-{number}"))
        return CustomerItem(**{"id": id, "customer": customer, **changes})

    def invoice_item(self, place: int = 1, draft: Any = None, content: Any = None, **changes: Any) -> InvoiceItem:
        content = content or a_content(draft or an_invoice(), invoice_id=an_id(place))
        view = a_view(content, id=an_id(place), number=f"DRAFT-{place}")
        usual = {"id": view.id, "invoice": view, "customer": self._link(), "lines": self.mapped(view)}
        return InvoiceItem(**{**usual, "number": f"INV-{place}", **changes})

    def credit_item(self, place: int = 1, draft: Any = None, **changes: Any) -> CreditNoteItem:
        view = a_view(a_content(draft or an_invoice(lines=1), invoice_id=an_id(place)), id=an_id(place))
        usual = {"id": view.id, "credit_note": view, "customer": self._link(), "lines": self.mapped(view)}
        return CreditNoteItem(**{**usual, "number": f"CN-{place}", **changes})

    def payment_item(self, invoice: InvoiceItem, number: int = 500, **changes: Any) -> PaymentItem:
        usual: dict[str, Any] = {
            "id": an_id(number),
            "invoice": invoice.invoice,
            "amount": invoice.invoice.total,
            "currency": invoice.invoice.currency,
            "customer": invoice.customer,
            "invoice_external_id": invoice.external_id,
        }
        return PaymentItem(**{**usual, **changes})

    def issued(self, place: int = 1, **changes: Any) -> InvoiceItem:
        """An invoice that is posted there."""
        item = self.invoice_item(place, **changes)
        outcome = self.run(Capability.ISSUE, item).outcomes[item.id]
        assert isinstance(outcome, Done), outcome
        return replace(item, external_id=outcome.result.external_id)

    def connection(self, **parameters: str) -> Batch[Any, QuickBooksSettings]:
        return self.batch(ConnectionItem("app", parameters))

    def _link(self) -> CustomerLink:
        item = self.customer_item()
        if not self._customers:
            self._customers[item.id] = self.run(Capability.SYNC_CUSTOMER, item).outcomes[item.id].result.external_id
        return CustomerLink(item.id, self._customers[item.id])

    def mapped(self, view: Any) -> tuple[Any, ...]:
        return tuple(self.handle.map_line(line, view, self.settings) for line in view.lines)

    # What is done.

    def transmit(self, request: Request, key: str | None = "key-1") -> Reply | Lost:
        """What comes back, whatever it says."""
        signed: Outgoing = self.handle.authenticate(outgoing(request, key), CREDENTIALS, self.clock.now())
        came = self.transport.send(signed, 10)
        return came.reply if isinstance(came, Arrived) else came

    def send(self, request: Request, key: str = "key-1") -> Reply:
        """What comes back, believed only when it is an answer."""
        reply = self.transmit(request, key)
        assert isinstance(reply, Reply), reply
        assert isinstance(self.handle.classify(request, reply), Answered), reply
        return reply

    def run(self, capability: Capability, *items: Any) -> Run:
        """The whole operation, with nothing going wrong."""
        return self.drive(capability, self.batch(*items))

    def drive(self, capability: Capability, batch: Batch[Any, Any], answers: Mapping[str, Reply] | None = None) -> Run:
        """The whole operation; steps that ``answers`` names are not sent."""
        steps = self.handle.start(capability, batch)
        sent: list[Request] = []
        try:
            request = next(steps)
            while True:
                given = (answers or {}).get(request.step)
                sent.append(request)
                request = steps.send(given or self.send(request, f"{batch.operation_id}-{len(sent)}"))
        except StopIteration as end:
            return Run(end.value, sent)

    def to_effect(
        self, capability: Capability, batch: Batch[Any, Any], step: str | None = None
    ) -> tuple[Request, dict[str, Reply]]:
        """The first request that changes something (or the one of that step), and the answers before it."""
        steps = self.handle.start(capability, batch)
        before: dict[str, Reply] = {}
        request = next(steps)
        while not request.effectful or step not in {None, request.step}:
            before[request.step] = self.send(request, f"before-{request.step}"[:36])
            request = steps.send(before[request.step])
        steps.close()
        return request, before

    def lose(self, request: Request, key: str) -> None:
        """Send it, and see nothing of the answer."""
        self.company.fault("lost_response", matching=f"{request.method} ")
        assert isinstance(self.transmit(request, key), Lost)

    def look_up(self, request: Request) -> Mapping[str, Any]:
        """What the request's own look-up shows, by item."""
        (way,) = (way for way in request.recover if isinstance(way, Find))
        return self.handle.registered_function(way.match.name)(self.send(way.request), **way.match.args)

    def settle_found(
        self,
        capability: Capability,
        batch: Batch[Any, Any],
        step: str,
        before: Mapping[str, Reply],
        findings: Mapping[str, Any],
    ) -> dict[str, Any]:
        """The outcome of each item by what was found, read alone as the engine does."""
        outcomes: dict[str, Any] = {}
        for item in batch.items:
            finding = findings[item.id]
            assert isinstance(finding, Found), finding
            known = {**before, step: replace(finding.reply, source="found")}
            outcomes |= self.drive(capability, replace(batch, items=(item,)), known).outcomes
        return outcomes

    def samples(self, capability: Capability, items: Sequence[Any]) -> Run:
        """The operation with made-up answers alone: what a preview does."""
        steps = self.handle.start(capability, self.batch(*items))
        sent: list[Request] = []
        try:
            request = next(steps)
            while True:
                sent.append(request)
                assert request.sample is not None, request.step
                request = steps.send(request.sample)
        except StopIteration as end:
            return Run(end.value, sent)


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
def a_desk(clock: TurnedClock) -> Callable[..., Desk]:
    """A desk at a company, in-process."""

    def at(company: QuickBooksSimulator, provider: Any = QuickBooksProvider, **settings: Any) -> Desk:
        there = SimulatorTransport({URL: company})
        return Desk(company, clock, there, some_settings(**settings), provider)

    return at


@pytest.fixture
def desk(a_desk: Callable[..., Desk], company: QuickBooksSimulator) -> Desk:
    return a_desk(company)


@pytest.fixture
def desk_over_http(company: QuickBooksSimulator, clock: TurnedClock) -> Iterator[Desk]:
    """The same company behind a real socket."""
    transport = HttpTransport()
    with company.serve() as served:
        yield Desk(company, clock, transport, some_settings(served.url), QuickBooksProvider)
    transport.close()


@pytest.fixture(scope="session")
def scene() -> SimpleNamespace:
    """What every test of the company agrees on."""
    return SimpleNamespace(url=URL, rules=RULES, credentials=CREDENTIALS, some_settings=some_settings)
