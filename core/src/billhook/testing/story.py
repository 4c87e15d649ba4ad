"""A short billing story at the sandbox, played by a host that submits everything again whenever it is started: two customers, three invoices
with a discount and a tax, a credit note and a refund."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from billhook.clock import TurnedClock
from billhook.domain.invoice import InvoiceView
from billhook.engine.context import Policy, Randomness
from billhook.engine.engine import Engine
from billhook.engine.namespace import Namespace
from billhook.engine.records import Customer
from billhook.engine.transport import Transport
from billhook.errors import NotFound
from billhook.faults import NO_FAULTS, Faults
from billhook.plugins.catalog import ProviderCatalog
from billhook.store import schema
from billhook.testing.builders import CREDENTIAL_KEYS
from billhook.testing.crash import work_until_quiet
from billhook.testing.invariants import problems_of
from billhook.testing.sandbox import simulator as sandbox_simulator
from billhook.testing.sandbox.ledger import Ledger
from billhook.testing.sandbox.records import Document
from billhook.testing.sandbox.server import SandboxSimulator
from billhook.testing.transport import SimulatorTransport

BEGINS_AT = datetime(2026, 3, 2, 9, tzinfo=UTC)
SANDBOX_URL = "http://sandbox.test"
TOKEN = "sandbox-token"
CUSTOMERS = ("ada", "grace")

_CHARGED = {"collection_method": "charge_automatically"}
_SENT = {"collection_method": "send_invoice"}
INVOICES: tuple[Mapping[str, Any], ...] = (
    {
        "key": "lamp",
        "customer_key": "ada",
        "currency": "GBP",
        "workflow": _CHARGED,
        "lines": [{"name": "Lamp", "item_code": "L1", "quantity": "3", "price": {"type": "unit", "amount": "2.55"}}],
    },
    {
        "key": "desk",
        "customer_key": "ada",
        "currency": "GBP",
        "workflow": _SENT,
        "lines": [
            {
                "name": "Desk",
                "item_code": "D1",
                "quantity": "2",
                "price": {"type": "unit", "amount": "149.99"},
                "discounts": [{"type": "percentage", "percentage": "12.5"}],
            },
            {"name": "Postage", "item_code": "POST", "price": {"type": "flat", "amount": "18"}},
        ],
    },
    {
        "key": "chair",
        "customer_key": "grace",
        "currency": "GBP",
        "workflow": _CHARGED,
        "lines": [
            {
                "name": "Chair",
                "item_code": "C1",
                "quantity": "1",
                "price": {"type": "unit", "amount": "80.01"},
                "tax_config": {"code": "standard"},
            }
        ],
    },
)
CREDIT = {
    "key": "desk-scratched",
    "type": "credit_note",
    "customer_key": "ada",
    "currency": "GBP",
    "lines": [{"name": "Desk, scratched", "item_code": "D1", "price": {"type": "flat", "amount": "25.50"}}],
}
REFUND = Decimal("2.55")
FINAL = {"lamp": "paid", "desk": "payment_processing.pending", "chair": "paid"}
EXPECTED = {
    "customer": 2,
    "invoice paid": 2,
    "invoice issued": 1,
    "credit_note issued": 1,
    "payment paid": 2,
    "refund": 1,
    "sent": 1,
}


def prepare(engine: Engine, base_url: str = SANDBOX_URL) -> None:
    """Install the sandbox, and a billing profile that uses it for everything."""
    namespace = engine.namespace()
    app = namespace.apps.install("sandbox", settings={"base_url": base_url}, credentials={"token": TOKEN})
    namespace.profiles.create(
        name="Default",
        is_default=True,
        supplier={"name": "Acme"},
        workflow={},
        tax_app_id=app.id,
        invoicing_app_id=app.id,
        payment_app_id=app.id,
    )


def tell(engine: Engine, work: Callable[[], None]) -> None:
    """Everything the host does; told again under the same keys, it is the same. ``work`` is called when something is to be done."""
    namespace = engine.namespace()
    for key in CUSTOMERS:
        _customer(namespace, key)
    invoices = {draft["key"]: namespace.invoices.submit(draft).id for draft in INVOICES}
    work()
    namespace.credit_notes.submit({**CREDIT, "credited_invoice_id": invoices["desk"]})
    for payment in namespace.invoices.get(invoices["lamp"]).payments:
        if payment.status == "succeeded":
            namespace.refunds.refund(payment.id, REFUND, key="lamp-refund")
    work()


def _customer(namespace: Namespace, key: str) -> Customer:
    try:
        return namespace.customers.get(key)
    except NotFound:
        return namespace.customers.create(key.title(), key=key)


def is_in_doubt(engine: Engine) -> bool:
    """Whether some outcome is declared unknown, for a person to settle."""
    operation = schema.operation
    with engine.database.read() as tx:
        return tx.first(sa.select(operation.c.id).where(operation.c.status == "in_doubt").limit(1)) is not None


def books_problems(engine: Engine, books: Ledger) -> list[str]:
    """What is wrong in the sandbox's books when the story has come to rest.

    Nothing may stand there twice. Everything must stand there once, unless an outcome is in doubt; then it may be missing.
    """
    found = [f"{each.kind} {each.reference} stands there as {', '.join(each.ids)}" for each in books.duplicates()]
    found += [f"{each.reference} was sent {each.sent_count} times" for each in books.documents() if each.sent_count > 1]
    return found if is_in_doubt(engine) else found + list(_missing(engine, books))


def _missing(engine: Engine, books: Ledger) -> Iterator[str]:
    yield from _differing("counts", _counts(books), EXPECTED)
    namespace = engine.namespace()
    notes = {note.id: note for note in namespace.credit_notes.list().items}
    standing = {document.reference: document for document in books.documents()}
    for draft in INVOICES:
        invoice = namespace.invoices.find(draft["key"])
        assert invoice is not None
        yield from _differing(f"invoice {invoice.id}", invoice.status, FINAL[draft["key"]])
        yield from _same_document(standing.get(invoice.id), invoice.invoice)
    for note in notes.values():
        yield from _differing(f"credit note {note.id}", note.status, "issued")
        yield from _same_document(standing.get(note.id), note)


def _same_document(document: Document | None, view: InvoiceView) -> Iterator[str]:
    if document is None:
        yield f"{view.id} does not stand in the books"
        return
    yield from _differing(f"total of {view.id}", document.total, view.total)
    yield from _differing(f"number of {view.id}", document.number, view.number)
    yield from _differing(f"lines of {view.id}", len(document.lines), len(view.lines))


def _differing(what: str, found: object, expected: object) -> Iterator[str]:
    if found != expected:
        yield f"{what}: {found} instead of {expected}"


def _counts(books: Ledger) -> dict[str, int]:
    documents = books.documents()
    kinds = Counter(f"{document.kind} {document.status}" for document in documents)
    moved = Counter(f"payment {payment.status}" for payment in books.payments())
    kinds |= moved
    kinds["customer"] = len(books.customers())
    kinds["refund"] = len(books.refunds())
    kinds["sent"] = sum(document.sent_count for document in documents)
    return dict(kinds)


@dataclass(slots=True)
class SandboxStory:
    """One telling of the story in this process, on a prepared database: a scenario for `billhook.testing.crash`.

    The clock is turned, and the books are in memory. Made by ``on``.
    """

    store_url: str
    clock: TurnedClock
    books: SandboxSimulator
    transport: Transport
    catalog: ProviderCatalog
    policy: Policy = field(default_factory=Policy)
    clean_up: Callable[[], None] = lambda: None

    @classmethod
    def on(cls, store_url: str, catalog: ProviderCatalog, **options: Any) -> SandboxStory:
        """The story on that database, with the catalog's sandbox provider. ``options`` are the sandbox's own."""
        clock = TurnedClock(BEGINS_AT)
        books = sandbox_simulator(clock=clock, **options)
        return cls(store_url, clock, books, SimulatorTransport({SANDBOX_URL: books}), catalog)

    def open(self, faults: Faults = NO_FAULTS, randomness: Randomness = secrets.token_bytes) -> Engine:
        """The engine on the story's database."""
        return Engine.open(
            self.store_url,
            upgrade=False,
            clock=self.clock,
            catalog=self.catalog,
            transport=self.transport,
            faults=faults,
            policy=self.policy,
            randomness=randomness,
            credential_keys=CREDENTIAL_KEYS,
        )

    def play(self, engine: Engine) -> None:
        """Tell it, and work until nothing is due."""
        tell(engine, lambda: work_until_quiet(engine, self.clock))

    def problems(self, engine: Engine) -> list[str]:
        """What is wrong in the books and in the database an hour later, when what was still on its way has arrived."""
        self.clock.advance(timedelta(hours=1))
        self.books.tick()
        return [*books_problems(engine, self.books.ledger), *problems_of(engine)]

    def close(self) -> None:
        """Remove the books, and whatever was made for this telling."""
        self.books.close()
        self.clean_up()
