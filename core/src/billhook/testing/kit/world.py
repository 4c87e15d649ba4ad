"""A world: a real engine on a temporary database, the provider's app, and a short story that bills through it."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from billhook.clock import TurnedClock
from billhook.contract import Capability, Provider
from billhook.engine.engine import Engine
from billhook.engine.namespace import Namespace
from billhook.engine.records import App
from billhook.engine.transport import HttpTransport, Transport
from billhook.plugins.catalog import ProviderCatalog
from billhook.testing.builders import CREDENTIAL_KEYS
from billhook.testing.crash import LONGEST_WAIT, NeverIdle, work_until_quiet
from billhook.testing.invariants import problems_of
from billhook.testing.kit.bench import BEGINS_AT, URL
from billhook.testing.kit.subject import SimulatorProtocol, Subject
from billhook.testing.sandbox import provider as sandbox_provider, simulator as sandbox_simulator
from billhook.testing.simulator.messages import Pairs
from billhook.testing.transport import SimulatorTransport

HOST_URL = "http://host.test"
CUSTOMERS = ("ada", "grace")
MOST_TURNS = 60
"""A story of two invoices takes a few; one that is never done is given up then."""
LINES = ({"name": "Lamp", "item_code": "L1", "quantity": "3", "price": {"type": "unit", "amount": "2.55"}},)

GIVEN_BACK = Decimal("1.00")


@dataclass
class World:
    """One database, and engines on it. What the provider can't do, a sandbox of the host's does."""

    subject: Subject
    clock: TurnedClock
    books: SimulatorProtocol
    engines: tuple[Engine, ...]
    app: App

    @property
    def billing(self) -> Namespace:
        """The tenant."""
        return self.engines[0].namespace()

    def tell(self) -> list[str]:
        """Two customers and an invoice each, worked until nothing is due. The ids of the invoices."""
        for key in CUSTOMERS:
            email = f"{key}@customer.example"
            self.billing.customers.create(key.title(), key=key, email=email, currency=self.subject.currency)
        drafts: list[dict[str, Any]] = [
            {"key": key, "customer_key": key, "currency": self.subject.currency, "lines": list(LINES)}
            for key in CUSTOMERS
        ]
        ids = [self.billing.invoices.submit(draft).id for draft in drafts]
        self.work()
        return ids

    def tell_the_rest(self, paid: str) -> list[str]:
        """What comes after billing, as far as the provider does it: of the invoice that is paid a part is given back, another one is
        credited, and one is made void. What did not end as it should.
        """
        does = self.subject.can
        wrong = self._refunded(paid) if does(Capability.REFUND) and does(Capability.COLLECT_PAYMENT) else []
        if does(Capability.CREDIT) and does(Capability.ISSUE):
            wrong += self._credited(self._sent("credited"))
        if does(Capability.VOID):
            wrong += self._voided(self._sent("voided"))
        return wrong

    def _sent(self, key: str) -> str:
        """An invoice that is issued and waits for its money."""
        draft = {"key": key, "customer_key": CUSTOMERS[0], "currency": self.subject.currency, "lines": list(LINES)}
        invoice = self.billing.invoices.submit({**draft, "workflow": {"collection_method": "send_invoice"}})
        self.work()
        return invoice.id

    def _refunded(self, invoice_id: str) -> list[str]:
        for payment in self.billing.invoices.get(invoice_id).payments:
            if payment.status == "succeeded":
                self.billing.refunds.refund(payment.id, GIVEN_BACK)
        self.work()
        invoice = self.billing.invoices.get(invoice_id).invoice
        expected = GIVEN_BACK if invoice.status == "paid" else Decimal(0)
        told = invoice.amount_refunded
        return [] if told == expected else [f"{expected} was to be given back, and {told} is"]

    def _credited(self, invoice_id: str) -> list[str]:
        note = {"type": "credit_note", "credited_invoice_id": invoice_id, "customer_key": CUSTOMERS[0]}
        lines = [{"name": "Lamp, scratched", "item_code": "L1", "price": {"type": "flat", "amount": "2.55"}}]
        submitted = self.billing.credit_notes.submit({**note, "currency": self.subject.currency, "lines": lines})
        self.work()
        status = self.billing.credit_notes.get(submitted.id).status
        issues = "; ".join(issue.message for issue in self.billing.credit_notes.issues(submitted.id))
        return [] if status == "issued" else [f"a credit note ends {status}: {issues or 'it waits'}"]

    def _voided(self, invoice_id: str) -> list[str]:
        self.billing.invoices.void(invoice_id)
        self.work()
        status = self.billing.invoices.get(invoice_id).status
        return [] if status == "voided" else [f"an invoice that was made void ends {status}"]

    def work(self) -> None:
        """Work until nothing is due, all engines at the same time."""
        if len(self.engines) == 1:
            work_until_quiet(self.engines[0], self.clock)
            return
        for _ in range(MOST_TURNS):
            _all_at_once(self.engines)
            due = self.engines[0].next_due()
            if due is None or due > self.clock.now() + LONGEST_WAIT:
                return
            self.clock.advance(max(due - self.clock.now(), timedelta(milliseconds=1)))
        raise NeverIdle(f"After {MOST_TURNS} turns of the clock something is still due.")

    def deliver(self) -> int:
        """Hand what the provider has to tell to the engine. How many events were new."""
        new = 0

        def post(headers: Pairs, body: bytes) -> int:
            nonlocal new
            new += self.engines[0].receive_webhook(self.app.id, dict(headers), body)
            return 200

        self.books.deliver_webhooks(post)
        return new

    def problems(self) -> list[str]:
        """What is wrong in the database and in the books now that everything has come to rest."""
        twice = [
            f"{each.kind} {each.reference} stands there as {', '.join(each.ids)}" for each in self.books.duplicates()
        ]
        doubts = [f"{doubt.document_id} is in doubt" for doubt in self.billing.doubts.list()]
        return [*twice, *doubts, *problems_of(self.engines[0])]


def _all_at_once(engines: tuple[Engine, ...]) -> None:
    """Each in a thread of its own. Raises what one of them raises."""
    with ThreadPoolExecutor(len(engines)) as pool:
        for running in [pool.submit(engine.run_until_idle) for engine in engines]:
            running.result()


@contextmanager
def a_world(subject: Subject, *, seed: int = 0, over_http: bool = False, engines: int = 1) -> Iterator[World]:
    """A world that is gone when the block ends. ``over_http``: the simulator listens on this machine's loopback."""
    clock, dice = TurnedClock(BEGINS_AT), random.Random(seed)
    providers: dict[str, type[Provider[Any]]] = {sandbox_provider.declaration.type: sandbox_provider}
    catalog = ProviderCatalog.from_objects({**providers, subject.name: subject.provider}.values())
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="billhook-check-"))
        books = subject.new_simulator(clock, subject.currency)
        stack.callback(books.close)
        host = sandbox_simulator(clock=clock)
        stack.callback(host.close)
        url = stack.enter_context(books.serve()).url if over_http else URL
        inside = SimulatorTransport({URL: books, HOST_URL: host})
        transport: Transport = _Split(inside, HttpTransport(), url) if over_http else inside
        stack.callback(transport.close)
        made = [
            stack.enter_context(
                Engine.open(
                    Path(folder) / "billhook.db",
                    clock=clock,
                    catalog=catalog,
                    transport=transport,
                    credential_keys=CREDENTIAL_KEYS,
                    randomness=dice.randbytes,
                )
            )
            for _ in range(engines)
        ]
        yield World(subject, clock, books, tuple(made), _installed(made[0], subject, books, url))


class _Split:
    """What goes to the provider goes over HTTP, and to the host's own sandbox in process."""

    def __init__(self, inside: Transport, outside: Transport, url: str) -> None:
        self._inside, self._outside, self._url = inside, outside, url

    def send(self, request: Any, timeout_seconds: float) -> Any:
        return (self._outside if request.url.startswith(self._url) else self._inside).send(request, timeout_seconds)

    def close(self) -> None:
        self._outside.close()


def _installed(engine: Engine, subject: Subject, books: SimulatorProtocol, url: str) -> App:
    billing, connection = engine.namespace(), books.connection(url)
    app = billing.apps.install(subject.name, settings=connection.settings, credentials=connection.credentials)
    other = app
    if not (subject.can(Capability.ISSUE) and subject.can(Capability.COLLECT_PAYMENT)):
        other = billing.apps.install("sandbox", settings={"base_url": HOST_URL}, credentials={"token": "sandbox-token"})
    billing.profiles.create(
        name="Default",
        is_default=True,
        supplier={"name": "Acme"},
        workflow={},
        tax_app_id=app.id,
        invoicing_app_id=(app if subject.can(Capability.ISSUE) else other).id,
        payment_app_id=(app if subject.can(Capability.COLLECT_PAYMENT) else other).id,
    )
    return app
