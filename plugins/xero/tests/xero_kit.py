"""What these tests share: a desk at which the provider is driven by hand over real HTTP, and a story for the whole engine."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from billhook import Engine, ProviderCatalog
from billhook.clock import TurnedClock
from billhook.engine.transport import HttpTransport
from billhook.errors import NotFound
from billhook.faults import NO_FAULTS, Faults
from billhook.testing.crash import work_until_quiet
from billhook.testing.desk import Desk
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


class XeroDesk(Desk):
    """The simulator's desk, seen from our side: everything goes over a real socket."""

    def __init__(
        self, xero: XeroSimulator, url: str, clock: TurnedClock, provider_class: Any = provider, **more: Any
    ) -> None:
        settings = XeroSettings(**settings_for(url))
        super().__init__(
            provider_class,
            HttpTransport(),
            settings=settings,
            credentials=CREDENTIALS,
            clock=clock,
            simulator=xero,
            currency="GBP",
            **more,
        )
        self.xero = xero

    def close(self) -> None:
        self.transport.close()


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
        for view in (*views, *namespace.credit_notes.list().items):
            there = standing.get(view.id)
            if there is None or (there.total, there.number) != (view.total, view.number):
                found.append(f"{view.id} {view.number} {view.total} stands there as {there}")
        return found

    def close(self) -> None:
        self.books.close()
        self.clean_up()
