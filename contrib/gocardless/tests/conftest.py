"""Drives the provider by hand against the simulator over loopback HTTP: one operation, one request at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import httpx
import pytest

from billhook.clock import TurnedClock
from billhook.contract import (
    Answered,
    Batch,
    Capability,
    CustomerItem,
    CustomerLink,
    Find,
    Outgoing,
    PaymentItem,
    RefundItem,
    Reply,
    Request,
)
from billhook.plugins import ProviderHandle
from billhook.testing.builders import a_content, a_customer, a_view, an_id, an_invoice
from billhook_gocardless import GoCardlessCredentials, GoCardlessSettings, provider
from billhook_gocardless.simulator import simulator
from billhook_gocardless.simulator.rules import GoCardlessRules
from billhook_gocardless.simulator.server import GoCardlessSimulator

BEGINS_AT = datetime(2026, 3, 2, 9, tzinfo=UTC)
CREDENTIALS = GoCardlessCredentials(access_token="gocardless-token", webhook_secret="gocardless-webhook-secret")


@dataclass
class Run:
    """One operation, driven to its end: what was sent and how it ended for each item."""

    outcomes: Mapping[str, Any]
    sent: list[Request]

    @property
    def outcome(self) -> Any:
        """Of the one item that there was."""
        (outcome,) = self.outcomes.values()
        return outcome

    @property
    def steps(self) -> list[str]:
        return [request.step for request in self.sent]


class Counter:
    """GoCardless's counter, seen from our side."""

    def __init__(self, url: str, books: GoCardlessSimulator, clock: TurnedClock) -> None:
        self.books = books
        self.clock = clock
        self.handle = ProviderHandle(provider)
        self.settings = GoCardlessSettings(base_url=url)
        self.token = CREDENTIALS
        self._http = httpx.Client(timeout=10, trust_env=False)
        self._operations = 0

    def close(self) -> None:
        self._http.close()

    # What is handed in.

    def batch(self, *items: Any) -> Batch[Any, GoCardlessSettings]:
        self._operations += 1
        return Batch(an_id(10_000 + self._operations), items, self.settings, self.clock.now(), "app", "default")

    def customer_item(self, number: int = 1, **changes: Any) -> CustomerItem:
        usual = {"id": an_id(900 + number), "customer": a_customer(id=an_id(900 + number)), "currency": "GBP"}
        return CustomerItem(**{**usual, **changes})

    def customer(self, number: int = 1, **changes: Any) -> str:
        """A customer that stands there; its id."""
        outcome = self.run(Capability.SYNC_CUSTOMER, self.customer_item(number, **changes)).outcome
        return str(outcome.result.external_id)

    def payment_item(self, amount: str = "7.65", number: int = 500, **changes: Any) -> PaymentItem:
        """A payment of a customer that stands there."""
        view = a_view(a_content(an_invoice(currency="GBP"), invoice_id=an_id(1)), id=an_id(1), number="INV-1")
        customer = changes.pop("customer", None) or CustomerLink(an_id(901), self.customer())
        usual = {"id": an_id(number), "invoice": view, "amount": Decimal(amount), "currency": "GBP"}
        return PaymentItem(**{**usual, "customer": customer, **changes})

    def refund_item(self, payment_id: str, amount: str = "1.00", number: int = 700, **changes: Any) -> RefundItem:
        usual = {"id": an_id(number), "amount": Decimal(amount), "currency": "GBP", "payment_external_id": payment_id}
        return RefundItem(**{**usual, **changes})

    def collected(self, amount: str = "7.65", number: int = 500) -> str:
        """A payment that was paid out; its id."""
        payment_id = self.run(Capability.COLLECT_PAYMENT, self.payment_item(amount, number)).outcome.external_id
        self.books.run_scenario("payment_paid_out", payment_id)
        return str(payment_id)

    # What is done.

    def exchange(self, request: Request, key: str = "key-1") -> Reply:
        """What comes back, believed or not."""
        keyed = ((request.key.name, key),) if request.key else ()
        outgoing = Outgoing(request.method, request.url, request.headers + keyed, request.body)
        signed = self.handle.authenticate(outgoing, self.token, self.clock.now())
        came = self._http.request(signed.method, signed.url, headers=list(signed.headers), content=signed.body)
        return Reply(came.status_code, tuple(came.headers.items()), came.content)

    def send(self, request: Request, key: str = "key-1") -> Reply:
        """What comes back, which must be an answer. Raises httpx.TransportError where the connection closes."""
        reply = self.exchange(request, key)
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
        """The first request that changes something; what only reads is sent before it."""
        steps = self.handle.start(capability, batch)
        request = next(steps)
        while not request.effectful:
            request = steps.send(self.send(request))
        steps.close()
        return request

    def act(self, path: str) -> None:
        """What somebody does over there by hand."""
        headers = (("GoCardless-Version", "2015-07-06"),)
        assert self.send(Request("act", "POST", self.settings.base_url + path, headers)).status == 200

    def lose(self, request: Request, key: str) -> None:
        """Send it, and see nothing of the answer."""
        self.books.fault("lost_response", matching=request.method)
        with pytest.raises(httpx.TransportError):
            self.send(request, key)

    def look_up(self, request: Request) -> Any:
        """What the request's own look-up shows of its one item."""
        (way,) = (way for way in request.recover if isinstance(way, Find))
        findings = self.handle.registered_function(way.match.name)(self.send(way.request), **way.match.args)
        (finding,) = findings.values()
        return finding

    def samples(self, capability: Capability, item: Any) -> Run:
        """The operation with made-up answers alone: what a preview does."""
        steps = self.handle.start(capability, self.batch(item))
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
    return TurnedClock(BEGINS_AT)


@pytest.fixture
def rules() -> GoCardlessRules:
    return GoCardlessRules()


@pytest.fixture
def books(clock: TurnedClock, rules: GoCardlessRules) -> Iterator[GoCardlessSimulator]:
    made = simulator(clock=clock, rules=rules)
    yield made
    made.close()


@pytest.fixture
def counter(books: GoCardlessSimulator, clock: TurnedClock) -> Iterator[Counter]:
    with books.serve() as served:
        made = Counter(served.url, books, clock)
        yield made
        made.close()
