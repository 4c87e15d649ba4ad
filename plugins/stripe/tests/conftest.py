"""Fixtures of the Stripe tests: a counter at which the provider is driven by hand over HTTP, and shops for the whole engine."""

from __future__ import annotations

import itertools
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from stripe_kit import BEGINS_AT, CATALOG, URL, Shop

from billhook.clock import TurnedClock
from billhook.contract import (
    Capability,
    CreditNoteItem,
    CustomerItem,
    CustomerLink,
    InvoiceItem,
    PaymentItem,
    Request,
)
from billhook.domain.invoice import DocumentType
from billhook.engine.engine import Engine
from billhook.engine.transport import HttpTransport
from billhook.testing.builders import (
    CREDENTIAL_KEYS,
    a_content,
    a_customer,
    a_line,
    a_view,
    a_workflow,
    an_id,
    an_invoice,
)
from billhook.testing.desk import Desk
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


class Counter(Desk):
    """Stripe's counter, seen from our side: invoices have their number from the start."""

    def __init__(self, books: StripeSimulator, clock: TurnedClock, settings: StripeSettings, client: httpx.Client):
        super().__init__(
            provider, HttpTransport(client), settings=settings, credentials=CREDENTIALS, clock=clock, simulator=books
        )
        self.books = books
        self.client = client

    def customer_item(self, number: int = 1, **changes: Any) -> CustomerItem:
        return super().customer_item(number, **{"customer": a_customer(id=an_id(900 + number)), **changes})

    def view(self, number: int = 1, lines: tuple[Any, ...] | None = None, **changes: Any) -> Any:
        currency = changes.pop("currency", "EUR")
        workflow = a_workflow(**changes.pop("workflow", {}))
        draft = an_invoice(currency=currency)
        draft = draft.model_copy(update={"lines": lines}) if lines else draft
        content = a_content(draft, invoice_id=an_id(number), workflow=workflow)
        return a_view(content, **{"id": an_id(number), "number": f"DRAFT-{number}", **changes})

    def invoice_item(self, number: int = 1, customer: CustomerLink | None = None, **changes: Any) -> InvoiceItem:
        view = self.view(number, **changes)
        link = customer or self.link()
        return InvoiceItem(view.id, view, link, self.mapped(view), f"INV-{number}", collected_here=True)

    def issued(self, number: int = 1, **changes: Any) -> InvoiceItem:
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

    def charged(self, number: int = 1, **changes: Any) -> tuple[PaymentItem, Any]:
        """A payment of an invoice that lives elsewhere."""
        item = self.payment_item(self.invoice_item(number), **changes)
        return item, self.run(Capability.COLLECT_PAYMENT, item)

    def look_up(self, request: Request) -> Any:
        """What the request's own look-up shows of its item."""
        (finding,) = super().look_up(request).values()
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


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("stripe") / "prepared.db"
    with Engine.open(
        str(path), catalog=CATALOG, clock=TurnedClock(BEGINS_AT), credential_keys=CREDENTIAL_KEYS
    ) as engine:
        namespace = engine.namespace()
        credentials = {"api_key": "sk_test_simulator", "webhook_secret": "whsec_simulator"}
        app = namespace.apps.install("stripe", settings={"base_url": URL}, credentials=credentials)
        roles = dict.fromkeys(("tax_app_id", "invoicing_app_id", "payment_app_id"), app.id)
        namespace.profiles.create(name="Usual", is_default=True, supplier={"name": "Acme"}, workflow={}, **roles)
    return path


@pytest.fixture
def new_shop(prepared: Path, tmp_path: Path) -> Callable[..., Shop]:
    """Make a shop, of that kind where one is given."""
    numbers = itertools.count(1)

    def make(kind: type[Shop] = Shop) -> Shop:
        clock = TurnedClock(BEGINS_AT)
        copied = shutil.copy(prepared, tmp_path / f"{next(numbers)}.db")
        return kind(str(copied), clock, simulator(clock=clock))

    return make
