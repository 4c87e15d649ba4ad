"""Hosts, operators, two workers, a provider that tells of what happened there and a bad network, all at once on one database. Then the books."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa

from billhook.clock import SystemClock
from billhook.engine.engine import Engine
from billhook.engine.moments import to_micros
from billhook.engine.namespace import Namespace
from billhook.engine.queries import InvoiceDetails
from billhook.errors import BillhookError
from billhook.plugins.catalog import ProviderCatalog
from billhook.store import schema
from billhook.testing.builders import CREDENTIAL_KEYS, a_supplier
from billhook.testing.invariants import problems_of
from billhook.testing.sandbox import provider, simulator
from billhook.testing.sandbox.payments import STEERING_KEY
from billhook.testing.sandbox.server import SandboxSimulator

CATALOG = ProviderCatalog.from_objects([provider])
NAMESPACE = "crowd"
CREDENTIALS = {"token": "sandbox-token", "webhook_secret": "sandbox-webhook-secret"}
HOSTS, CUSTOMERS, LATEST = 3, 4, 25
SECONDS, PATIENCE_SECONDS = 15.0, 120.0
FAULTS = ("lost_response", "5xx_after_commit", "5xx_before", "garbage", "truncated", "throttle", "late", "slow")
PAYMENTS = ("paid", "paid", "failed", "action_required", "authorized", "uncollectible", "pending")
WORKFLOWS: tuple[dict[str, Any], ...] = ({}, {}, {"auto_advance": False}, {"collection_method": "send_invoice"})
IS_FINAL_THERE = ("payment_processing", "overdue", "paid", "uncollectible")


def customer_key(chance: random.Random) -> str:
    return f"customer-{chance.randrange(CUSTOMERS)}"


def line(chance: random.Random) -> dict[str, Any]:
    price = {"type": "unit", "amount": chance.choice(["1", "3", "5", "10.05"])}
    return {"name": "Work", "quantity": "2", "price": price}


@dataclass
class Host:
    """One of many that use the engine at the same time. What the engine refuses is no trouble; anything else is."""

    space: Namespace
    chance: random.Random
    name: str
    ids: list[str]
    notes: list[str]
    troubles: list[BaseException]
    count: int = 0

    def work(self, ended: threading.Event) -> None:
        while not ended.wait(self.chance.random() * 0.02):
            self.count += 1
            act = self.chance.choice(ACTS) if self.ids else Host.submit
            try:
                act(self)
            except BillhookError:
                continue
            except Exception as trouble:  # noqa: BLE001 - shown at the end
                self.troubles.append(trouble)

    @property
    def key(self) -> str:
        return f"{self.name}-{self.count}"

    def some(self) -> InvoiceDetails:
        return self.space.invoices.get(self.chance.choice(self.ids[-LATEST:]))

    def some_payment(self) -> str:
        payments = self.some().payments
        return self.chance.choice(payments).id if payments else "none"

    def submit(self) -> None:
        steering = {STEERING_KEY: self.chance.choice(PAYMENTS)} if self.chance.random() < 0.7 else {}
        if self.chance.random() < 0.2:
            steering[self.chance.choice(["sandbox/draft", "sandbox/issue"])] = self.chance.choice(["pending", "reject"])
        draft = {
            "key": self.key,
            "customer_key": customer_key(self.chance),
            "currency": "EUR",
            "lines": [line(self.chance)],
            "metadata": steering,
            "workflow": self.chance.choice(WORKFLOWS),
        }
        self.ids.append(self.space.invoices.submit(draft).id)

    def command(self) -> None:
        names = ("advance", "approve", "retry", "void", "delete", "capture", "cancel_payment", "timeline")
        getattr(self.space.invoices, self.chance.choice(names))(self.some().invoice.id)

    def edit(self) -> None:
        self.space.invoices.update(self.some().invoice.id, {"lines": [line(self.chance)]})

    def say_how_it_is_paid(self) -> None:
        said = self.chance.choice(["paid", "payment_failed", "payment_uncollectible", "payment_overdue"])
        self.space.invoices.payment_status(self.some().invoice.id, said)

    def pay(self) -> None:
        invoice = self.some().invoice
        amount = self.chance.choice([Decimal(1), invoice.amount_due or Decimal(1)])
        self.space.invoices.record_payment(invoice.id, amount, key=self.key)

    def take_back(self) -> None:
        invoice = self.some()
        if invoice.payments:
            self.space.invoices.take_back_payment(
                invoice.invoice.id, self.chance.choice(invoice.payments).id, reason="not ours"
            )

    def refund(self) -> None:
        give = self.chance.choice([self.space.refunds.refund, self.space.refunds.record])
        give(self.some_payment(), self.chance.choice(["1", "2", "6"]), key=self.key)

    def credit(self) -> None:
        invoice = self.some().invoice
        draft = {
            "key": self.key,
            "type": "credit_note",
            "customer_key": invoice.content.customer.key,
            "currency": "EUR",
            "lines": [line(self.chance)],
            "credited_invoice_id": invoice.id,
        }
        self.notes.append(self.space.credit_notes.submit(draft).id)

    def mend_a_note(self) -> None:
        if self.notes:
            act = self.chance.choice([self.space.credit_notes.retry, self.space.credit_notes.void])
            act(self.chance.choice(self.notes))

    def rename(self) -> None:
        self.space.customers.update(customer_key(self.chance), name=f"Customer {self.key}")


ACTS: tuple[Callable[[Host], None], ...] = (
    *(Host.submit, Host.submit, Host.command, Host.command, Host.command, Host.command, Host.edit),
    *(Host.say_how_it_is_paid, Host.pay, Host.take_back, Host.refund, Host.refund, Host.credit, Host.mend_a_note),
    Host.rename,
)


@dataclass
class Crowd:
    """Everybody, for a while."""

    engines: list[Engine]
    books: SandboxSimulator
    app_id: str
    chance: random.Random
    ids: list[str] = field(default_factory=list)
    troubles: list[BaseException] = field(default_factory=list)

    @property
    def space(self) -> Namespace:
        return self.engines[0].namespace(NAMESPACE)

    def live(self) -> None:
        ended, notes = threading.Event(), list[str]()
        hosts = [
            Host(
                self.engines[number % 2].namespace(NAMESPACE),
                random.Random(self.chance.random()),
                f"host-{number}",
                self.ids,
                notes,
                self.troubles,
            )
            for number in range(HOSTS)
        ]
        threads = [threading.Thread(target=host.work, args=(ended,)) for host in hosts]
        with self.engines[0].worker(threads=4), self.engines[1].worker(threads=4):
            for thread in threads:
                thread.start()
            until = time.monotonic() + SECONDS
            while time.monotonic() < until:
                self.books.fault(self.chance.choice(FAULTS), matching=self.chance.choice(["POST", "PUT", "GET"]))
                self.deliver()
                time.sleep(0.25)
            ended.set()
            for thread in threads:
                thread.join()
            self.books.clear_faults()
            self.come_to_rest()

    def come_to_rest(self) -> None:
        until = time.monotonic() + PATIENCE_SECONDS
        while self.is_busy():
            assert time.monotonic() < until, "it never comes to rest"
            self.deliver()
            time.sleep(0.5)

    def is_busy(self) -> bool:
        work, operation = schema.work, schema.operation
        due = sa.exists().where(work.c.state == 0, work.c.due <= to_micros(SystemClock().now()))
        is_open = sa.exists().where(operation.c.status == "open")
        with self.engines[0].database.read() as tx:
            return bool(tx.scalar(sa.select(sa.or_(due, is_open))))

    def deliver(self) -> None:
        def post(headers: Any, body: bytes) -> int:
            try:
                self.engines[0].receive_webhook(self.app_id, dict(headers), body)
            except BillhookError:
                return 503
            return 200

        self.books.deliver_webhooks(post)

    # What must hold then.

    def problems(self) -> Iterator[str]:
        yield from (f"{trouble!r}" for trouble in self.troubles)
        yield from problems_of(self.engines[0])
        yield from map(str, self.books.duplicates())
        there = {document.reference: document for document in self.books.documents()}
        known = [self.space.invoices.get(id) for id in self.ids]
        for details in known:
            yield from _sums(details)
            if details.in_doubt is None and details.invoice.id in there:
                yield from _in_the_books(details, there[details.invoice.id])
        if all(details.in_doubt is None for details in known):
            yield from self._charges({payment.external_id: payment for one in known for payment in one.payments})

    def _charges(self, ours: Mapping[str | None, Any]) -> Iterator[str]:
        for charge in self.books.payments():
            if charge.origin != "charged":
                continue
            payment = ours.get(charge.id)
            if charge.status == "paid" and payment is None:
                yield f"{charge.amount} were charged as {charge.id}, and nobody here knows"
            elif payment is not None and (charge.status == "paid") != (payment.status == "succeeded"):
                yield f"payment {payment.id} is {payment.status} here and {charge.status} there"
            elif charge.status == "paid" and charge.amount != payment.amount_received:
                yield f"payment {payment.id} is {payment.amount_received} here and {charge.amount} there"


def _sums(details: InvoiceDetails) -> Iterator[str]:
    invoice = details.invoice
    received = sum((one.amount_received for one in details.payments if one.status == "succeeded"), Decimal(0))
    if received != invoice.amount_paid:
        yield f"{invoice.id}: {received} were received, and {invoice.amount_paid} counts"
    given_back = Decimal(0) if details.status == "paid" else invoice.amount_refunded
    due = max(invoice.total - max(invoice.amount_paid - given_back, Decimal(0)) - invoice.amount_credited, Decimal(0))
    if due != invoice.amount_due:
        yield f"{invoice.id}: {due} is left to pay, and {invoice.amount_due} is due"
    if invoice.amount_refunded > invoice.amount_paid and not details.issues:
        yield f"{invoice.id}: more went back than came"


def _in_the_books(details: InvoiceDetails, document: Any) -> Iterator[str]:
    if details.status.startswith(IS_FINAL_THERE) and (
        not document.is_issued or document.total != details.invoice.total
    ):
        yield f"{document.reference} is {details.status} here, and {document.status} over {document.total} there"
    if details.status in ("voided", "deleted") and document.is_issued and not details.issues:
        yield f"{document.reference} is {details.status} here, and {document.status} there"


@pytest.mark.long
@pytest.mark.parametrize("seed", range(4))
def test_whoever_comes_between_no_money_is_lost_made_or_moved_twice(shelf: Any, seed: int):
    url = shelf.take()
    with ExitStack() as open_until_end:
        books = simulator(hurried=True)
        served = open_until_end.enter_context(books.serve())
        engines = [
            open_until_end.enter_context(Engine.open(url, catalog=CATALOG, credential_keys=CREDENTIAL_KEYS))
            for _ in range(2)
        ]
        space = engines[0].namespace(NAMESPACE)
        app_id = space.apps.install("sandbox", settings={"base_url": served.url}, credentials=CREDENTIALS).id
        uses = dict.fromkeys(("tax_app_id", "invoicing_app_id", "payment_app_id"), app_id)
        space.profiles.create(name="Default", is_default=True, supplier=a_supplier(), **uses)
        for number in range(CUSTOMERS):
            space.customers.create(f"Customer {number}", key=f"customer-{number}", email="to@customer.example")
        crowd = Crowd(engines, books, app_id, random.Random(seed))
        crowd.live()
        assert len(crowd.ids) > 10
        assert list(crowd.problems()) == []
    shelf.give_back(url)
