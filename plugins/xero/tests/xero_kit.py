"""What these tests share: a desk at which the provider is driven by hand over real HTTP, and a story for the whole engine."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

import httpx

from billhook import Engine, ProviderCatalog
from billhook.clock import TurnedClock
from billhook.contract import (
    Answered,
    Batch,
    Capability,
    CreditNoteItem,
    CustomerItem,
    CustomerLink,
    Find,
    Found,
    InvoiceItem,
    Outgoing,
    PaymentItem,
    Reply,
    Request,
)
from billhook.errors import NotFound
from billhook.faults import NO_FAULTS, Faults
from billhook.plugins import ProviderHandle
from billhook.testing.builders import a_content, a_customer, a_view, an_id, an_invoice
from billhook.testing.crash import work_until_quiet
from billhook.testing.invariants import problems_of
from billhook.testing.transport import SimulatorTransport
from billhook_xero import XeroCredentials, XeroSettings, provider
from billhook_xero.simulator import app_credentials, app_settings
from billhook_xero.simulator.server import XeroSimulator

CREDENTIALS = XeroCredentials(**app_credentials())
BEGINS_AT = datetime(2026, 3, 2, 9, tzinfo=UTC)
URL = "http://xero.test"


def schema_folder() -> Path | None:
    """Xero's published schema, where it lies beside the checkout."""
    for folder in Path(__file__).resolve().parents:
        found = folder.parent / "shared" / "vendor-specs" / "xero"
        if found.is_dir():
            return found
    return None


def settings_for(url: str, **changes: Any) -> dict[str, Any]:
    tax_types = {"20": "OUTPUT2", "15": "OUTPUT15", "12": "OUTPUT12", "5": "RROUTPUT", "0": "ZERORATEDOUTPUT"}
    return {**app_settings(url), "tax_types": tax_types, **changes}


_operations = count(10_000)


@dataclass
class Run:
    """One operation, driven to its end."""

    outcomes: Mapping[str, Any]
    sent: list[Request]


class Desk:
    """The simulator's desk, seen from our side: everything goes over a real socket."""

    def __init__(self, xero: XeroSimulator, url: str, clock: TurnedClock, provider_class: Any = provider) -> None:
        self.xero = xero
        self.clock = clock
        self.handle = ProviderHandle(provider_class)
        self.settings = XeroSettings(**settings_for(url))
        self.http = httpx.Client(timeout=5)
        self._customers: dict[str, str] = {}

    def close(self) -> None:
        self.http.close()

    # What is handed in.

    def batch(self, *items: Any) -> Batch[Any, XeroSettings]:
        return Batch(an_id(next(_operations)), items, self.settings, self.clock.now(), "app", "default")

    def customer_item(self, number: int = 1, **changes: Any) -> CustomerItem:
        customer = a_customer(id=an_id(900 + number), name=f"Customer {number}", key=f"customer-{number}")
        return CustomerItem(**{"id": an_id(900 + number), "customer": customer, **changes})

    def invoice_item(self, number: int = 1, draft: Any = None, content: Any = None, **changes: Any) -> InvoiceItem:
        draft = draft or an_invoice(currency="GBP")
        content = content or a_content(draft, invoice_id=an_id(number))
        view = a_view(content, id=an_id(number), number=f"DRAFT-{number}")
        usual = {"id": view.id, "invoice": view, "customer": self.link(), "lines": self.mapped(view)}
        return InvoiceItem(**{**usual, **changes})

    def credit_item(self, number: int = 1, draft: Any = None, **changes: Any) -> CreditNoteItem:
        draft = draft or an_invoice(lines=1, currency="GBP")
        view = a_view(a_content(draft, invoice_id=an_id(number)), id=an_id(number))
        usual = {"id": view.id, "credit_note": view, "customer": self.link(), "lines": self.mapped(view)}
        return CreditNoteItem(**{**usual, "number": f"CN-{number}", **changes})

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

    def drafted(self, number: int = 1, **changes: Any) -> InvoiceItem:
        """An invoice whose draft stands there."""
        item = self.invoice_item(number, **changes)
        outcome = self.run(Capability.SYNC_DRAFT, item).outcomes[item.id]
        return replace(item, external_id=outcome.result.external_id, number=f"INV-A{number}")

    def issued(self, number: int = 1, **changes: Any) -> InvoiceItem:
        """An invoice that is final there."""
        item = self.drafted(number, **changes)
        self.run(Capability.ISSUE, item)
        return item

    def link(self) -> CustomerLink:
        item = self.customer_item()
        if not self._customers:
            self._customers[item.id] = self.run(Capability.SYNC_CUSTOMER, item).outcomes[item.id].result.external_id
        return CustomerLink(item.id, self._customers[item.id])

    def mapped(self, view: Any) -> tuple[Any, ...]:
        return tuple(self.handle.map_line(line, view, self.settings) for line in view.lines)

    # What is done.

    def raw(self, request: Request, key: str = "key-1", credentials: XeroCredentials = CREDENTIALS) -> Reply:
        """What comes back. Raises httpx.TransportError where the connection closes."""
        keyed = ((request.key.name, key),) if request.key else ()
        outgoing = Outgoing(request.method, request.url, request.headers + keyed, request.body)
        signed = self.handle.authenticate(outgoing, credentials, self.clock.now())
        came = self.http.request(signed.method, signed.url, headers=list(signed.headers), content=signed.body or None)
        return Reply(came.status_code, tuple(came.headers.multi_items()), came.content)

    def send(self, request: Request, key: str = "key-1") -> Reply:
        """What comes back, believed only when it is an answer."""
        reply = self.raw(request, key)
        assert isinstance(self.handle.classify(request, reply), Answered), reply
        return reply

    def run(self, capability: Capability, *items: Any) -> Run:
        """The whole operation, with nothing going wrong."""
        return self.drive(capability, self.batch(*items))

    def drive(self, capability: Capability, batch: Batch[Any, Any], answers: Mapping[str, Reply] | None = None) -> Run:
        """The whole operation; steps that `answers` names are not sent."""
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

    def effect(self, capability: Capability, batch: Batch[Any, Any], step: str | None = None) -> Request:
        """The first request that changes something (or the step of that name); what comes before it is sent."""
        steps = self.handle.start(capability, batch)
        request = next(steps)
        number = 0
        while not (request.effectful and step in {None, request.step}):
            number += 1
            request = steps.send(self.send(request, f"{batch.operation_id}-before-{number}"))
        steps.close()
        return request

    def lose(self, request: Request, key: str) -> None:
        """Send it, and see nothing of the answer."""
        self.xero.fault("lost_response")
        try:
            self.send(request, key)
        except httpx.TransportError:
            return
        raise AssertionError("the answer was not lost")

    def look_up(self, request: Request) -> Mapping[str, Any]:
        """What the request's own look-up shows, by item."""
        (way,) = (way for way in request.recover if isinstance(way, Find))
        return self.handle.registered_function(way.match.name)(self.send(way.request), **way.match.args)

    def settle_found(
        self, capability: Capability, batch: Batch[Any, Any], step: str, findings: Mapping[str, Any]
    ) -> dict[str, Any]:
        """The outcome of each item by what was found, read alone as the engine does."""
        outcomes: dict[str, Any] = {}
        for item in batch.items:
            finding = findings[item.id]
            assert isinstance(finding, Found), finding
            alone = replace(batch, items=(item,))
            outcomes |= self.drive(capability, alone, {step: replace(finding.reply, source="found")}).outcomes
        return outcomes

    def samples(self, capability: Capability, *items: Any) -> Run:
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


# The whole engine.

_UNIT = {"type": "unit", "amount": "2.55"}
INVOICES: tuple[Mapping[str, Any], ...] = (
    {"key": "lamp", "customer_key": "ada", "currency": "GBP", "lines": [{"name": "Lamp", "quantity": "3", "price": _UNIT}]},
    {
        "key": "desk",
        "customer_key": "ada",
        "currency": "GBP",
        "lines": [
            {
                "name": "Desk",
                "quantity": "2",
                "price": {"type": "unit", "amount": "149.99"},
                "discounts": [{"type": "percentage", "percentage": "12.5"}],
                "tax_config": {"rates": [{"name": "VAT", "percentage": "20"}]},
            },
            {"name": "Postage", "price": {"type": "flat", "amount": "18"}},
        ],
    },
    {
        "key": "chair",
        "customer_key": "grace",
        "currency": "GBP",
        "workflow": {"collection_method": "send_invoice"},
        "lines": [
            {
                "name": "Chair",
                "quantity": "1",
                "price": {"type": "unit", "amount": "80.01"},
                "tax_config": {"rates": [{"name": "VAT", "percentage": "15"}]},
            }
        ],
    },
)  # fmt: skip
CREDIT = {
    "key": "desk-scratched",
    "type": "credit_note",
    "customer_key": "ada",
    "currency": "GBP",
    "lines": [{"name": "Desk, scratched", "price": {"type": "flat", "amount": "25.50"}}],
}
PAID = Decimal("7.65")
EXPECTED = {
    "customers": 2,
    "invoice PAID": 1,
    "invoice AUTHORISED": 2,
    "credit_note PAID": 1,
    "payments": 1,
    "sent": 1,
}


@dataclass(slots=True)
class XeroStory:
    """Three invoices, one of them sent, a payment and a credit note: a scenario for `billhook.testing.crash`."""

    store_url: str
    clock: TurnedClock
    books: XeroSimulator
    provider_class: Any = provider
    clean_up: Callable[[], None] = field(default=lambda: None)

    def open(self, faults: Faults = NO_FAULTS, randomness: Any = secrets.token_bytes) -> Engine:
        return Engine.open(
            self.store_url,
            upgrade=False,
            clock=self.clock,
            catalog=ProviderCatalog.from_objects([self.provider_class]),
            transport=SimulatorTransport({URL: self.books}),
            faults=faults,
            randomness=randomness,
        )

    def prepare(self, engine: Engine) -> None:
        """Install the app, and a profile that uses it for everything."""
        namespace = engine.namespace()
        app = namespace.apps.install(
            self.provider_class.declaration.type,
            settings=settings_for(URL),
            credentials=app_credentials(),
        )
        namespace.profiles.create(
            name="Default",
            is_default=True,
            supplier={"name": "Acme"},
            workflow={},
            tax_app_id=app.id,
            invoicing_app_id=app.id,
            payment_app_id=app.id,
        )

    def play(self, engine: Engine) -> None:
        """Everything the host does; told again, it is the same."""
        namespace = engine.namespace()
        for key in ("ada", "grace"):
            try:
                namespace.customers.get(key)
            except NotFound:
                namespace.customers.create(key.title(), key=key, email=f"{key}@example.com")
        ids = {draft["key"]: namespace.invoices.submit(draft).id for draft in INVOICES}
        work_until_quiet(engine, self.clock)
        namespace.credit_notes.submit({**CREDIT, "credited_invoice_id": ids["desk"]})
        if namespace.invoices.get(ids["lamp"]).status.startswith("payment_processing"):
            namespace.invoices.record_payment(ids["lamp"], PAID, key="lamp-paid")
        work_until_quiet(engine, self.clock)

    def problems(self, engine: Engine) -> list[str]:
        # Minute by minute: what is still on its way arrives when it is due, while its key is honoured.
        for _ in range(60):
            self.clock.advance(timedelta(minutes=1))
            self.books.tick()
        return [*self.books_problems(engine), *problems_of(engine)]

    def books_problems(self, engine: Engine) -> list[str]:
        documents = self.books.documents()
        found = [f"{each.kind} {each.reference} twice: {each.ids}" for each in self.books.duplicates()]
        counts = {"customers": len(self.books.customers()), "payments": len(self.books.payments())}
        counts["sent"] = sum(each.sent_count for each in documents)
        for each in documents:
            counts[f"{each.kind} {each.status}"] = counts.get(f"{each.kind} {each.status}", 0) + 1
        if counts != EXPECTED:
            found.append(f"{counts} instead of {EXPECTED}")
        standing = {each.reference: each for each in documents}
        namespace = engine.namespace()
        views = [namespace.invoices.find(draft["key"]).invoice for draft in INVOICES]
        for view in (*views, *namespace.credit_notes.list()):
            there = standing.get(view.id)
            if there is None or (there.total, there.number) != (view.total, view.number):
                found.append(f"{view.id} {view.number} {view.total} stands there as {there}")
        return found

    def close(self) -> None:
        self.books.close()
        self.clean_up()
