"""Drives the sandbox provider by hand against the sandbox in-process: one operation, one request at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

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
    Found,
    InvoiceItem,
    Outgoing,
    PaymentItem,
    RefundItem,
    Reply,
    Request,
)
from billhook.contract.requests import SAFE_METHODS
from billhook.plugins import ProviderHandle
from billhook.testing.builders import a_content, a_customer, a_view, an_id, an_invoice
from billhook.testing.sandbox import provider, simulator
from billhook.testing.sandbox.config import SandboxCredentials, SandboxSettings
from billhook.testing.sandbox.server import SandboxSimulator
from billhook.testing.simulator import Dropped, SimRequest

CREDENTIALS = SandboxCredentials(token="sandbox-token", webhook_secret="sandbox-webhook-secret")
SETTINGS = SandboxSettings(base_url="http://sandbox.example/")


@dataclass
class Run:
    """One operation, driven to its end: what was sent and how it ended for each item."""

    outcomes: Mapping[str, Any]
    sent: list[Request]


class Counter:
    """The sandbox's counter, seen from our side."""

    def __init__(self, sandbox: SandboxSimulator, clock: TurnedClock) -> None:
        self.sandbox = sandbox
        self.clock = clock
        self.handle = ProviderHandle(provider)
        self._operations = 0
        self._customers: dict[str, str] = {}

    # What is handed in.

    def batch(self, *items: Any) -> Batch[Any, SandboxSettings]:
        self._operations += 1
        return Batch(an_id(10_000 + self._operations), items, SETTINGS, self.clock.now(), "app", "default")

    def customer_item(self, number: int = 1, **changes: Any) -> CustomerItem:
        return CustomerItem(**{"id": an_id(900 + number), "customer": a_customer(id=an_id(900 + number)), **changes})

    def invoice_item(self, number: int = 1, draft: Any = None, content: Any = None, **changes: Any) -> InvoiceItem:
        content = content or a_content(draft or an_invoice(), invoice_id=an_id(number))
        view = a_view(content, id=an_id(number), number=f"DRAFT-{number}")
        return InvoiceItem(
            **{"id": view.id, "invoice": view, "customer": self._link(), "lines": self._mapped(view), **changes}
        )

    def credit_item(self, number: int = 1, **changes: Any) -> CreditNoteItem:
        view = a_view(a_content(invoice_id=an_id(number)), id=an_id(number))
        usual = {
            "id": view.id,
            "credit_note": view,
            "customer": self._link(),
            "lines": self._mapped(view),
            "number": f"CN-{number}",
        }
        return CreditNoteItem(**{**usual, **changes})

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

    def refund_item(self, payment_id: str, amount: str = "1.00", number: int = 700, **changes: Any) -> RefundItem:
        return RefundItem(**{
            "id": an_id(number), "amount": Decimal(amount), "currency": "EUR", "payment_external_id": payment_id, **changes
        })  # fmt: skip

    def drafted(self, number: int = 1, **changes: Any) -> InvoiceItem:
        """An invoice whose draft stands there."""
        item = self.invoice_item(number, **changes)
        outcome = self.run(Capability.SYNC_DRAFT, item).outcomes[item.id]
        return replace(item, external_id=outcome.result.external_id, number=f"INV-{number}")

    def issued(self, number: int = 1, **changes: Any) -> InvoiceItem:
        """An invoice that is final there."""
        item = self.drafted(number, **changes)
        self.run(Capability.ISSUE, item)
        return item

    def _link(self) -> CustomerLink:
        item = self.customer_item()
        if not self._customers:
            self._customers[item.id] = self.run(Capability.SYNC_CUSTOMER, item).outcomes[item.id].result.external_id
        return CustomerLink(item.id, self._customers[item.id])

    def _mapped(self, view: Any) -> tuple[Any, ...]:
        return tuple(self.handle.map_line(line, view, SETTINGS) for line in view.lines)

    # What is done.

    def send(self, request: Request, key: str = "key-1") -> Reply:
        """What comes back, believed only when it is an answer. Raises Dropped where the connection closes."""
        keyed = ((request.key.name, key),) if request.key else ()
        outgoing = Outgoing(request.method, request.url, request.headers + keyed, request.body)
        signed = self.handle.authenticate(outgoing, CREDENTIALS, self.clock.now())
        came = self.sandbox.handle(SimRequest.from_url(signed.method, signed.url, signed.headers, signed.body))
        reply = Reply(came.status, came.headers, came.body)
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

    def first_effect(self, capability: Capability, batch: Batch[Any, Any]) -> Request:
        """The first request that changes something."""
        steps = self.handle.start(capability, batch)
        request = next(steps)
        steps.close()
        assert request.effectful
        return request

    def lose(self, request: Request, key: str) -> None:
        """Send it, and see nothing of the answer."""
        self.sandbox.fault("lost_response")
        with pytest.raises(Dropped):
            self.send(request, key)

    def look_up(self, request: Request) -> Mapping[str, Any]:
        """What the request's own look-up shows, by item."""
        (way,) = (way for way in request.recover if isinstance(way, Find))
        assert way.request.method in SAFE_METHODS
        return self.handle.registered_function(way.match.name)(self.send(way.request), **way.match.args)

    def settle_found(
        self, capability: Capability, batch: Batch[Any, Any], findings: Mapping[str, Any]
    ) -> dict[str, Any]:
        """The outcome of each item by what was found, read alone as the engine does."""
        outcomes: dict[str, Any] = {}
        for item in batch.items:
            finding = findings[item.id]
            assert isinstance(finding, Found), finding
            alone = replace(batch, items=(item,))
            step = self.first_effect(capability, alone).step
            run = self.drive(capability, alone, {step: replace(finding.reply, source="found")})
            outcomes |= run.outcomes
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


@pytest.fixture
def clock() -> TurnedClock:
    return TurnedClock(datetime(2026, 3, 1, 12, tzinfo=UTC))


@pytest.fixture
def sandbox(clock: TurnedClock) -> Iterator[SandboxSimulator]:
    books = simulator(clock=clock)
    yield books
    books.close()


@pytest.fixture
def counter(sandbox: SandboxSimulator, clock: TurnedClock) -> Counter:
    return Counter(sandbox, clock)
