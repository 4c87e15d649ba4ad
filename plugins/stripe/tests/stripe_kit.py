"""What the stories share: a shop that bills through a Stripe of its own, what it sells, and what happens at Stripe."""

from __future__ import annotations

import secrets
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from billhook.clock import TurnedClock
from billhook.engine.engine import Engine
from billhook.errors import NotFound
from billhook.faults import NO_FAULTS
from billhook.plugins.catalog import ProviderCatalog
from billhook.testing.builders import CREDENTIAL_KEYS
from billhook.testing.simulator import Pairs, SimReply, SimRequest
from billhook.testing.transport import SimulatorTransport
from billhook_stripe import provider
from billhook_stripe.simulator.server import StripeSimulator

URL = "http://stripe.test"
BEGINS_AT = datetime(2026, 3, 2, 9, tzinfo=UTC)
CATALOG = ProviderCatalog.from_objects([provider])
VAT = {"rates": [{"name": "VAT", "percentage": "20"}]}
CHARGED, SENT = {"collection_method": "charge_automatically"}, {"collection_method": "send_invoice"}

HEADERS = (
    ("Authorization", "Bearer sk_test_simulator"),
    ("Stripe-Version", "2026-10-28.endive"),
    ("Content-Type", "application/x-www-form-urlencoded"),
)


def call(
    books: StripeSimulator, method: str, url: str, body: str = "", *, key: str | None = None, headers: Pairs = HEADERS
) -> SimReply:
    """One request to Stripe that no engine sends."""
    keyed = (("Idempotency-Key", key),) if key else ()
    return books.handle(SimRequest.from_url(method, url, (*headers, *keyed), body.encode()))


def unit(name: str, quantity: str, amount: str, **more: Any) -> dict[str, Any]:
    """A line at a price for each."""
    return {"name": name, "quantity": quantity, "price": {"type": "unit", "amount": amount}, **more}


def flat(name: str, amount: str, **more: Any) -> dict[str, Any]:
    """A line at one price for the whole."""
    return {"name": name, "price": {"type": "flat", "amount": amount}, **more}


INVOICES: tuple[dict[str, Any], ...] = (
    {"key": "lamp", "customer_key": "ada", "workflow": CHARGED, "lines": [unit("Lamp", "3", "2.55", tax_config=VAT)]},
    {
        "key": "desk",
        "customer_key": "ada",
        "workflow": SENT,
        "lines": [
            unit("Desk", "2", "149.99", discounts=[{"type": "percentage", "percentage": "12.5"}], tax_config=VAT),
            flat("Postage", "18"),
        ],
    },
    {"key": "chair", "customer_key": "grace", "workflow": CHARGED, "lines": [unit("Chair", "1", "80.01")]},
)
FINAL = {"lamp": "paid", "desk": "payment_processing.pending", "chair": "paid"}
"""Where they stand once nothing is left to do."""


def submit(engine: Engine) -> dict[str, str]:
    """Under their keys, so that telling it again changes nothing. Gives the ids of the invoices."""
    namespace = engine.namespace()
    for key in ("ada", "grace"):
        try:
            namespace.customers.get(key)
        except NotFound:
            namespace.customers.create(key.title(), key=key, email=f"{key}@customer.example")
    return {draft["key"]: namespace.invoices.submit({"currency": "GBP", **draft}).id for draft in INVOICES}


def credit_the_chair(engine: Engine, id: str, key: str, amount: str) -> None:
    """Credit that much of it."""
    note = {"type": "credit_note", "currency": "GBP", "credited_invoice_id": id, "customer_key": "grace"}
    engine.namespace().credit_notes.submit({**note, "key": key, "lines": [flat(key, amount)]})


@dataclass
class Shop:
    """A host with a prepared database, a Stripe of its own and a clock of its own."""

    store_url: str
    clock: TurnedClock
    books: StripeSimulator

    def open(self, faults: Any = NO_FAULTS, randomness: Any = secrets.token_bytes) -> Engine:
        return Engine.open(
            self.store_url,
            upgrade=False,
            clock=self.clock,
            catalog=CATALOG,
            transport=SimulatorTransport({URL: self.books}),
            faults=faults,
            randomness=randomness,
            credential_keys=CREDENTIAL_KEYS,
        )

    def close(self) -> None:
        self.books.close()
        for left in Path(self.store_url).parent.glob(f"{Path(self.store_url).name}*"):
            shutil.rmtree(left) if left.is_dir() else left.unlink()


def deliver(engine: Engine, books: StripeSimulator) -> None:
    """Stripe tells its events."""
    app = next(each for each in engine.namespace().apps.list().items if each.type == "stripe")
    for headers, body in books.pending_webhooks():
        engine.receive_webhook(app.id, dict(headers), body)


def give_good_card(books: StripeSimulator) -> None:
    """Every card that customers have here is good from now on."""
    for method in books.ledger.all_of("payment_method"):
        books.ledger.save({**method, "_token": "pm_card_visa"})
