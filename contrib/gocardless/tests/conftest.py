"""Drives the provider by hand against the simulator over loopback HTTP: one operation, one request at a time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import httpx
import pytest

from billhook.clock import TurnedClock
from billhook.contract import (
    Capability,
    CustomerItem,
    CustomerLink,
    PaymentItem,
    Request,
)
from billhook.engine.transport import HttpTransport
from billhook.testing.builders import a_content, a_customer, a_view, an_id, an_invoice
from billhook.testing.desk import Desk
from billhook_gocardless import GoCardlessCredentials, GoCardlessSettings, provider
from billhook_gocardless.simulator import simulator
from billhook_gocardless.simulator.rules import GoCardlessRules
from billhook_gocardless.simulator.server import GoCardlessSimulator

BEGINS_AT = datetime(2026, 3, 2, 9, tzinfo=UTC)
CREDENTIALS = GoCardlessCredentials(access_token="gocardless-token", webhook_secret="gocardless-webhook-secret")


class Counter(Desk):
    """GoCardless's counter, seen from our side: customers, and payments of invoices that live elsewhere."""

    def __init__(self, url: str, books: GoCardlessSimulator, clock: TurnedClock) -> None:
        super().__init__(
            provider,
            HttpTransport(httpx.Client(trust_env=False)),
            settings=GoCardlessSettings(base_url=url),
            credentials=CREDENTIALS,
            clock=clock,
            simulator=books,
            currency="GBP",
        )
        self.books = books

    def close(self) -> None:
        self.transport.close()

    def customer_item(self, number: int = 1, **changes: Any) -> CustomerItem:
        return super().customer_item(number, **{"customer": a_customer(id=an_id(900 + number)), **changes})

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

    def collected(self, amount: str = "7.65", number: int = 500) -> str:
        """A payment that was paid out; its id."""
        payment_id = self.run(Capability.COLLECT_PAYMENT, self.payment_item(amount, number)).outcome.external_id
        self.books.run_scenario("payment_paid_out", payment_id)
        return str(payment_id)

    def act(self, path: str) -> None:
        """What somebody does over there by hand."""
        headers = (("GoCardless-Version", "2015-07-06"),)
        assert self.send(Request("act", "POST", self.settings.base_url + path, headers)).status == 200

    def look_up(self, request: Request) -> Any:
        """What the request's own look-up shows of its one item."""
        (finding,) = super().look_up(request).values()
        return finding


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
