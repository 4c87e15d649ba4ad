"""Drives the provider by hand against the simulator over HTTP: one operation, one request at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from billhook.clock import TurnedClock
from billhook.contract import (
    Answered,
    Batch,
    Capability,
    CreditNoteItem,
    CustomerItem,
    CustomerLink,
    Find,
    InvoiceItem,
    Outgoing,
    PaymentItem,
    RefundItem,
    Reply,
    Request,
)
from billhook.domain.invoice import DocumentType
from billhook.plugins import ProviderHandle
from billhook.testing.builders import a_content, a_customer, a_line, a_view, a_workflow, an_id, an_invoice
from billhook_stripe import StripeCredentials, StripeSettings, provider
from billhook_stripe.simulator import simulator
from billhook_stripe.simulator.rules import StripeRules
from billhook_stripe.simulator.server import StripeSimulator

CREDENTIALS = StripeCredentials(api_key="sk_test_simulator", webhook_secret="whsec_simulator")
NO_LIMITS = StripeRules(account_calls=None, endpoint_calls=None)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def vendor_data() -> Path | None:
    """The folder of vendor data beside the checkout, where there is one."""
    here = Path(__file__).resolve()
    return next((path for each in here.parents if (path := each / "shared" / "vendor-specs").is_dir()), None)


@dataclass
class Run:
    """One operation, driven to its end: what was sent and how it ended for its item."""

    outcome: Any
    sent: list[Request]

    @property
    def result(self) -> Any:
        return self.outcome.result

    @property
    def codes(self) -> list[str]:
        return [issue.code for issue in self.outcome.issues]

    @property
    def steps(self) -> list[str]:
        return [request.step for request in self.sent]


@dataclass
class Counter:
    """Stripe's counter, seen from our side."""

    books: StripeSimulator
    clock: TurnedClock
    settings: StripeSettings
    client: httpx.Client
    handle: ProviderHandle = field(default_factory=lambda: ProviderHandle(provider))
    operations: int = 0
    customers: dict[str, str] = field(default_factory=dict)

    # What is handed in.

    def batch(self, item: Any) -> Batch[Any, StripeSettings]:
        self.operations += 1
        operation_id = an_id(10_000 + self.operations)
        return Batch(operation_id, (item,), self.settings, self.clock.now(), "app", "default")

    def customer_item(self, number: int = 1, **changes: Any) -> CustomerItem:
        return CustomerItem(**{"id": an_id(900 + number), "customer": a_customer(id=an_id(900 + number)), **changes})

    def link(self, **changes: Any) -> CustomerLink:
        item = self.customer_item(**changes)
        if item.id not in self.customers:
            self.customers[item.id] = self.run(Capability.SYNC_CUSTOMER, item).result.external_id
        return CustomerLink(item.id, self.customers[item.id])

    def view(self, number: int = 1, lines: tuple[Any, ...] | None = None, **changes: Any) -> Any:
        currency = changes.pop("currency", "EUR")
        workflow = a_workflow(**changes.pop("workflow", {}))
        draft = an_invoice(currency=currency)
        draft = draft.model_copy(update={"lines": lines}) if lines else draft
        content = a_content(draft, invoice_id=an_id(number), workflow=workflow)
        return a_view(content, **{"id": an_id(number), "number": f"DRAFT-{number}", **changes})

    def invoice_item(self, number: int = 1, customer: CustomerLink | None = None, **changes: Any) -> InvoiceItem:
        view = self.view(number, **changes)
        return InvoiceItem(view.id, view, customer or self.link(), self.mapped(view), number=f"INV-{number}")

    def mapped(self, view: Any) -> tuple[Any, ...]:
        return tuple(self.handle.map_line(line, view, self.settings) for line in view.lines)

    def drafted(self, number: int = 1, **changes: Any) -> InvoiceItem:
        """An invoice whose draft stands there."""
        item = self.invoice_item(number, **changes)
        return replace(item, external_id=self.run(Capability.SYNC_DRAFT, item).result.external_id)

    def issued(self, number: int = 1, **changes: Any) -> InvoiceItem:
        """An invoice that is final there."""
        item = self.drafted(number, **changes)
        assert self.run(Capability.ISSUE, item).result.number == f"INV-{number}"
        return item

    def credit_item(
        self, number: int = 50, applies_to: str | None = None, amount: str = "10.00", **changes: Any
    ) -> Any:
        taxes = changes.pop("taxes", ())
        line = a_line(1, price={"type": "flat", "amount": amount}, quantity=None, taxes=taxes)
        view = self.view(number, lines=(line,), **changes)
        view = replace(view, content=view.content.model_copy(update={"type": DocumentType.CREDIT_NOTE}))
        return CreditNoteItem(
            view.id, view, self.link(), self.mapped(view), number=f"CN-{number}", applies_to=applies_to
        )

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

    def charged(self, number: int = 1, **changes: Any) -> tuple[PaymentItem, Any]:
        """A payment of an invoice that lives elsewhere."""
        item = self.payment_item(self.invoice_item(number), **changes)
        return item, self.run(Capability.COLLECT_PAYMENT, item)

    def refund_item(self, payment_id: str, amount: str = "1.00", number: int = 700, **changes: Any) -> RefundItem:
        return RefundItem(an_id(number), Decimal(amount), "EUR", payment_id, **changes)

    # What is done.

    def send(self, request: Request, key: str) -> Reply:
        """What comes back, believed only when it is an answer."""
        reply = self.came(request, key)
        verdict = self.handle.classify(request, reply)
        assert isinstance(verdict, Answered), (verdict, reply)
        return reply

    def came(self, request: Request, key: str = "key") -> Reply:
        """What comes back."""
        keyed = ((request.key.name, key),) if request.key else ()
        outgoing = Outgoing(request.method, request.url, request.headers + keyed, request.body)
        signed = self.handle.authenticate(outgoing, CREDENTIALS, self.clock.now())
        came = self.client.request(signed.method, signed.url, headers=list(signed.headers), content=signed.body)
        return Reply(came.status_code, tuple(came.headers.items()), came.content)

    def lose(self, request: Request, key: str) -> None:
        """Send it, and see nothing of the answer."""
        self.books.fault("lost_response")
        with pytest.raises(httpx.RemoteProtocolError):
            self.came(request, key)

    def run(self, capability: Capability, item: Any) -> Run:
        """The whole operation, with nothing going wrong."""
        return self.drive(capability, self.batch(item))

    def drive(self, capability: Capability, batch: Any, answers: Mapping[str, Reply] | None = None) -> Run:
        """The whole operation; steps that `answers` names are not sent."""
        steps: Any = self.handle.start(capability, batch)
        sent: list[Request] = []
        try:
            request = next(steps)
            while True:
                given = (answers or {}).get(request.step)
                sent.append(request)
                request = steps.send(given or self.send(request, f"{batch.operation_id}-{len(sent)}"))
        except StopIteration as end:
            return Run(end.value[batch.only.id], sent)

    def rehearse(self, capability: Capability, item: Any) -> Run:
        """The operation with made-up answers alone: what a preview does."""
        batch = self.batch(item)
        steps: Any = self.handle.start(capability, batch)
        sent: list[Request] = []
        try:
            request = next(steps)
            while True:
                sent.append(request)
                assert request.sample is not None, request.step
                request = steps.send(request.sample)
        except StopIteration as end:
            return Run(end.value[batch.only.id], sent)

    def look_up(self, request: Request) -> Any:
        """What the request's own look-up shows of its item."""
        (way,) = (way for way in request.recover if isinstance(way, Find))
        match = self.handle.registered_function(way.match.name)
        (finding,) = match(self.send(way.request, "look"), **way.match.args).values()
        return finding


@pytest.fixture
def clock() -> TurnedClock:
    return TurnedClock(NOON)


@pytest.fixture
def rules() -> StripeRules:
    return NO_LIMITS


@pytest.fixture
def books(clock: TurnedClock, rules: StripeRules) -> Iterator[StripeSimulator]:
    there = simulator(clock=clock, rules=rules, schemas=vendor_data())
    yield there
    there.close()


@pytest.fixture(scope="session")
def client() -> Iterator[httpx.Client]:
    with httpx.Client(trust_env=False) as client:
        yield client


@pytest.fixture
def counter(books: StripeSimulator, clock: TurnedClock, client: httpx.Client) -> Iterator[Counter]:
    with books.serve() as served:
        yield Counter(books, clock, StripeSettings(base_url=served.url), client)
