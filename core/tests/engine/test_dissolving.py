"""What was refused every time is no obstacle: it is given up, and prepared anew."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from billhook.clock import TurnedClock
from billhook.contract import Outgoing
from billhook.engine.effects import NotSent, Transmission
from billhook.engine.engine import Engine
from billhook.engine.namespace import Namespace
from billhook.plugins.catalog import ProviderCatalog
from billhook.testing.builders import CREDENTIAL_KEYS
from billhook.testing.sandbox import provider, simulator
from billhook.testing.transport import SimulatorTransport

OLD, NEW = "http://old.test", "http://new.test"


class Moved:
    """Documents are taken at the new address only."""

    def __init__(self, inner: SimulatorTransport) -> None:
        self._inner = inner
        self.refused = 0

    def send(self, request: Outgoing, timeout_seconds: float) -> Transmission:
        if request.url.startswith(NEW) or "/customers" in request.url:
            return self._inner.send(request, timeout_seconds)
        self.refused += 1
        return NotSent("connection refused")

    def close(self) -> None:
        """Nothing to close."""


@pytest.fixture
def clock() -> TurnedClock:
    return TurnedClock(datetime(2026, 5, 1, tzinfo=UTC))


@pytest.fixture
def engine(store_url: str, clock: TurnedClock) -> Iterator[Engine]:
    books = simulator(clock=clock)
    transport = Moved(SimulatorTransport({NEW: books, OLD: books}))
    catalog = ProviderCatalog.from_objects([provider])
    with Engine.open(
        store_url, clock=clock, catalog=catalog, transport=transport, credential_keys=CREDENTIAL_KEYS
    ) as opened:
        yield opened


@pytest.fixture
def billing(engine: Engine) -> Namespace:
    billing = engine.namespace()
    app = billing.apps.install("sandbox", settings={"base_url": OLD}, credentials={"token": "sandbox-token"})
    billing.profiles.create(
        "Default",
        supplier={"name": "Seller"},
        workflow={"tax_enabled": False},
        tax_app_id=app.id,
        invoicing_app_id=app.id,
        payment_app_id=app.id,
        is_default=True,
    )
    billing.customers.create("Buyer", key="buyer")
    return billing


def a_refused_invoice(engine: Engine, billing: Namespace) -> str:
    line = {"name": "Work", "price": {"type": "flat", "amount": "10"}}
    invoice = billing.invoices.submit({"customer_key": "buyer", "currency": "EUR", "lines": [line]})
    engine.run_until_idle()
    assert billing.invoices.get(invoice.id).status == "draft.syncing"
    return invoice.id


def test_refused_work_goes_on_at_the_apps_new_address(engine: Engine, billing: Namespace, clock: TurnedClock) -> None:
    invoice_id = a_refused_invoice(engine, billing)
    (app,) = billing.apps.list().items
    billing.apps.update(app.id, settings={"base_url": NEW})
    clock.advance(timedelta(minutes=30))
    engine.run_until_idle()
    assert billing.invoices.get(invoice_id).status == "paid"


def test_an_edit_does_not_wait_for_what_was_refused_every_time(engine: Engine, billing: Namespace) -> None:
    invoice_id = a_refused_invoice(engine, billing)
    edited = billing.invoices.update(invoice_id, {"description": "changed"})
    assert edited.pending_command is None
    assert edited.invoice.content.description == "changed"
