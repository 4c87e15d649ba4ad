"""Stripe keeps the invoices or collects, and another app does the rest."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import pytest
from stripe_kit import BEGINS_AT, URL, deliver, flat, submit

from billhook.clock import TurnedClock
from billhook.engine.engine import Engine
from billhook.plugins.catalog import ProviderCatalog
from billhook.testing.crash import work_until_quiet
from billhook.testing.invariants import problems_of
from billhook.testing.sandbox import provider as sandbox_provider, simulator as sandbox_simulator
from billhook.testing.sandbox.server import SandboxSimulator
from billhook.testing.transport import SimulatorTransport
from billhook_stripe import provider
from billhook_stripe.simulator import simulator
from billhook_stripe.simulator.server import StripeSimulator

DECLINED = {"openmeter.io/sandbox/target-payment-status": "failed"}


@contextmanager
def two_apps(path: Path, books: StripeSimulator, elsewhere: SandboxSimulator, *, invoicing: str) -> Iterator[Engine]:
    """Stripe and a sandbox: one keeps the invoices, the other collects."""
    there = SimulatorTransport({URL: books, "http://sandbox.test": elsewhere})
    catalog = ProviderCatalog.from_objects([provider, sandbox_provider])
    with Engine.open(path, clock=books.clock, catalog=catalog, transport=there) as engine:
        namespace = engine.namespace()
        keys = {"api_key": "sk_test_simulator", "webhook_secret": "whsec_simulator"}
        apps = {
            "stripe": namespace.apps.install("stripe", settings={"base_url": URL}, credentials=keys).id,
            "sandbox": namespace.apps.install(
                "sandbox", settings={"base_url": "http://sandbox.test"}, credentials={"token": "sandbox-token"}
            ).id,
        }
        (collecting,) = apps.keys() - {invoicing}
        namespace.profiles.create(
            name="Both",
            is_default=True,
            supplier={"name": "Acme"},
            workflow={},
            tax_app_id=apps[invoicing],
            invoicing_app_id=apps[invoicing],
            payment_app_id=apps[collecting],
        )
        yield engine


@pytest.mark.parametrize("told_by", ["a webhook", "a look"])
def test_what_a_customer_pays_on_stripes_page_is_not_collected_again_by_another_app(tmp_path, told_by):
    clock = TurnedClock(BEGINS_AT)
    books, elsewhere = simulator(clock=clock), sandbox_simulator(clock=clock)
    with two_apps(tmp_path / "two.db", books, elsewhere, invoicing="stripe") as engine:
        namespace = engine.namespace()
        namespace.customers.create("Eve", key="eve", email="eve@customer.example")
        draft = {"key": "rug", "customer_key": "eve", "currency": "GBP", "lines": [flat("Rug", "99.00")]}
        id = namespace.invoices.submit({**draft, "metadata": DECLINED}).id
        work_until_quiet(engine, clock)
        assert namespace.invoices.get(id).status == "payment_processing.failed"
        books.pay_on_page(books.documents()[0].id)
        if told_by == "a webhook":
            deliver(engine, books)
        else:
            namespace.invoices.retry(id)
        work_until_quiet(engine, clock)
        view = namespace.invoices.get(id).invoice
        assert (view.status, view.amount_paid) == ("paid", Decimal("99.00"))
        deliver(engine, books)
        work_until_quiet(engine, clock)
        assert namespace.invoices.get(id).invoice.amount_paid == Decimal("99.00")
        assert problems_of(engine) == []
    assert {each.status for each in elsewhere.payments()} == {"failed"}
    books.close()
    elsewhere.close()


def test_an_invoice_that_lives_elsewhere_is_paid_here_and_noted_there(tmp_path):
    clock = TurnedClock(BEGINS_AT)
    books, elsewhere = simulator(clock=clock), sandbox_simulator(clock=clock)
    with two_apps(tmp_path / "two.db", books, elsewhere, invoicing="sandbox") as engine:
        namespace = engine.namespace()
        id = submit(engine)["chair"]
        work_until_quiet(engine, clock)
        (payment,) = namespace.invoices.get(id).payments
        namespace.refunds.refund(payment.id, Decimal("1.00"), key="back")
        work_until_quiet(engine, clock)
        assert namespace.invoices.get(id).status == "paid"
        assert problems_of(engine) == []
    assert [(each.amount, each.invoice) for each in books.payments() if each.id == payment.external_id] == [
        (Decimal("80.01"), None)
    ]
    assert [each.amount for each in books.refunds()] == [Decimal("1.00")]
    assert books.documents() == ()
    noted = [each for each in elsewhere.payments() if each.origin == "recorded"]
    assert sorted(each.amount for each in noted) == [Decimal("9.18"), Decimal("80.01")]
    books.close()
    elsewhere.close()
