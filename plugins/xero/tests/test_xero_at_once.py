"""Many things to do at one organisation whose answers take their time, over real HTTP: never more than five requests at once."""

from __future__ import annotations

import shutil
import threading
import time
from typing import Any

import pytest
from xero_kit import settings_for

from billhook.contract.requests import Outgoing
from billhook.engine.effects import Arrived, Transmission
from billhook.engine.engine import Engine
from billhook.engine.sending import ThreadSenders
from billhook.engine.transport import HttpTransport
from billhook.plugins.catalog import ProviderCatalog
from billhook_xero import provider
from billhook_xero.simulator import app_credentials, simulator

INVOICES = 8
LINE = {"name": "Lamp", "quantity": "1", "price": {"type": "unit", "amount": "10.00"}}


class Watching:
    """Real HTTP, with the statuses that came back and how many requests were under way at once."""

    def __init__(self) -> None:
        self._http = HttpTransport()
        self._lock = threading.Lock()
        self._under_way = 0
        self.most = 0
        self.statuses: list[int] = []

    def send(self, request: Outgoing, timeout_seconds: float) -> Transmission:
        with self._lock:
            self._under_way += 1
            self.most = max(self.most, self._under_way)
        came = self._http.send(request, timeout_seconds)
        with self._lock:
            self._under_way -= 1
            self.statuses += [came.reply.status] if isinstance(came, Arrived) else []
        return came

    def close(self) -> None:
        self._http.close()


def bill(engine: Engine, url: str) -> None:
    """Invoices to be sent, each with a payment and a credit note that come when it stands there."""
    ns = engine.namespace()
    app = ns.apps.install("xero", settings=settings_for(url), credentials=app_credentials())
    apps = {"tax_app_id": app.id, "invoicing_app_id": app.id, "payment_app_id": app.id}
    workflow = {"collection_method": "send_invoice"}
    ns.profiles.create("Usual", is_default=True, supplier={"name": "Acme"}, workflow=workflow, **apps)
    ns.customers.create("Ada", key="ada", email="ada@customer.example")
    usual: dict[str, Any] = {"customer_key": "ada", "currency": "GBP", "lines": [LINE]}
    for id in ns.invoices.submit_many([usual] * INVOICES):
        ns.invoices.record_payment(id, "4.00")
        credited = {**LINE, "price": {"type": "flat", "amount": "1.00"}, "quantity": None}
        ns.credit_notes.submit({**usual, "type": "credit_note", "lines": [credited], "credited_invoice_id": id})


@pytest.fixture
def watching(file_template, tmp_path):
    """What was seen of the whole work."""
    path, transport = tmp_path / "billhook.db", Watching()
    shutil.copy(file_template, path)
    catalog = ProviderCatalog.from_objects([provider])
    books = simulator(latency_seconds=0.05)
    with books.serve() as served, Engine.open(path, upgrade=False, catalog=catalog, transport=transport) as engine:
        bill(engine, served.url)
        ends_at = time.monotonic() + 60
        while len(books.documents()) < 2 * INVOICES or len(books.payments()) < INVOICES:
            assert time.monotonic() < ends_at, "it takes too long"
            engine.run_until_idle(senders=ThreadSenders(16))
    yield transport
    books.close()


def test_five_may_be_under_way_and_none_is_refused(watching):
    assert 1 < watching.most <= 5
    assert 429 not in watching.statuses
