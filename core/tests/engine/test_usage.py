"""Metered quantities are asked for again when an invoice is collected, and frozen into it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from billhook.clock import TurnedClock
from billhook.domain.usage import UsageQuestion
from billhook.engine.engine import Engine
from billhook.engine.namespace import Namespace
from billhook.plugins.catalog import ProviderCatalog
from billhook.providers.custom_invoicing import provider

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Meter:
    """A usage source that can be read, changed, and broken."""

    def __init__(self) -> None:
        self.quantity = Decimal(3)
        self.is_broken = False
        self.asked: list[str] = []

    def quantities(self, questions: Sequence[UsageQuestion]) -> dict[str, Decimal]:
        if self.is_broken:
            raise ConnectionError("the meter is away")
        self.asked += [question.feature_key for question in questions]
        return {question.line_id: self.quantity for question in questions}


@pytest.fixture
def clock() -> TurnedClock:
    return TurnedClock(NOON)


@pytest.fixture
def meter() -> Meter:
    return Meter()


@pytest.fixture
def engine(store_url: str, clock: TurnedClock, meter: Meter) -> Iterator[Engine]:
    catalog = ProviderCatalog.from_objects([provider])
    with Engine.open(store_url, clock=clock, catalog=catalog, usage=meter) as opened:
        yield opened


@pytest.fixture
def billing(engine: Engine) -> Namespace:
    billing = engine.namespace()
    app = billing.apps.install("custom_invoicing")
    billing.profiles.create(
        "Default",
        supplier={"name": "Seller"},
        tax_app_id=app.id,
        invoicing_app_id=app.id,
        payment_app_id=app.id,
        is_default=True,
    )
    return billing


def a_metered_invoice(billing: Namespace) -> str:
    customer = billing.customers.create("Buyer", key="buyer")
    line = {
        "name": "Calls",
        "feature_key": "calls",
        "price": {"type": "unit", "amount": "2"},
        "invoice_at": NOON.isoformat(),
        "period": {"start": (NOON - timedelta(days=1)).isoformat(), "end": NOON.isoformat()},
    }
    billing.pending_lines.add(customer.id, "EUR", [line])
    (invoice_id,) = billing.gathering.invoice_now(customer.id)
    return invoice_id


def test_late_usage_counts_when_the_collection_interval_is_over(
    engine: Engine, billing: Namespace, clock: TurnedClock, meter: Meter
) -> None:
    invoice_id = a_metered_invoice(billing)
    engine.run_until_idle()
    assert billing.invoices.get(invoice_id).status == "draft.waiting_for_collection"
    meter.quantity = Decimal(5)
    clock.advance(timedelta(hours=1))
    engine.run_until_idle()
    collected = billing.invoices.get(invoice_id)
    assert collected.status == "payment_processing.pending"
    assert collected.invoice.total == Decimal(10)
    assert collected.invoice.revision == 2


def test_unchanged_usage_makes_no_new_revision(engine: Engine, billing: Namespace, clock: TurnedClock) -> None:
    invoice_id = a_metered_invoice(billing)
    clock.advance(timedelta(hours=1))
    engine.run_until_idle()
    assert billing.invoices.get(invoice_id).invoice.revision == 1


def test_an_invoice_waits_while_the_usage_source_is_away(
    engine: Engine, billing: Namespace, clock: TurnedClock, meter: Meter
) -> None:
    invoice_id = a_metered_invoice(billing)
    meter.is_broken = True
    clock.advance(timedelta(hours=1))
    engine.run_until_idle()
    assert billing.invoices.get(invoice_id).status == "draft.waiting_for_collection"
    meter.is_broken = False
    clock.advance(timedelta(hours=1))
    engine.run_until_idle()
    assert billing.invoices.get(invoice_id).status == "payment_processing.pending"


def test_a_snapshot_on_demand_asks_at_once(billing: Namespace, meter: Meter) -> None:
    invoice_id = a_metered_invoice(billing)
    meter.quantity = Decimal(7)
    taken = billing.invoices.snapshot_quantities(invoice_id)
    assert taken.invoice.total == Decimal(14)
    assert taken.status == "draft.waiting_auto_approval"  # the draft period counts from the collection time
