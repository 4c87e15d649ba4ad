"""Every operation of every provider is struck at each of its steps: the engine dies there, or the answer is lost after it was done there.

One story goes through all that the providers can do. It is played undisturbed first; whatever strikes, its books must come to the same.
"""

from __future__ import annotations

import itertools
import random
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from billhook import Engine, ProviderCatalog
from billhook.clock import TurnedClock
from billhook.contract import Capability
from billhook.contract.operations import OPERATIONS, Family
from billhook.errors import NotFound
from billhook.faults import NO_FAULTS
from billhook.store import schema
from billhook.testing.builders import CREDENTIAL_KEYS
from billhook.testing.crash import LASTING_POINTS, Crashes, Run, work_until_quiet
from billhook.testing.invariants import problems_of
from billhook.testing.simulator import Simulator
from billhook.testing.simulator.installed import simulator_of
from billhook.testing.transport import SimulatorTransport

PAIRS = (("xero", "gocardless"), ("quickbooks", "stripe"), ("stripe", "stripe"), ("sandbox", "sandbox"))
"""Who has the invoices, and who has the money."""
BEGINS_AT = datetime(2026, 3, 2, 9, tzinfo=UTC)
SOON, LATER = timedelta(seconds=3), timedelta(minutes=10)
DAYS = timedelta(days=4)

CHARGED, SENT = {"collection_method": "charge_automatically"}, {"collection_method": "send_invoice"}
HELD = {"collection_method": "send_invoice", "auto_advance": False}
PART = Decimal("10.00")
YIELDS = frozenset({"send.before", "send.after", "reply.received"})
"""Where a step is about to leave, has left, and has come back."""
MONEY = {Capability.SYNC_CUSTOMER, Capability.COLLECT_PAYMENT, Capability.CHECK_PAYMENT, Capability.REFUND}
"""What is asked of a provider that has the money alone."""
UNREACHED = frozenset(
    {
        ("quickbooks", "delete"),
        *(("stripe", name) for name in ("capture_payment", "cancel_payment", "check_refund")),
    }
)
"""QuickBooks has no drafts: what stands there is voided. Stripe is told to take all money at once, and its bank sends none back."""
AUTHORIZED = {"openmeter.io/sandbox/target-payment-status": "authorized"}
"""What makes the sandbox only authorize a payment."""


def draft(
    key: str, customer: str, workflow: Mapping[str, Any], amount: str, tax: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    line = {"name": key.title(), "quantity": "3", "price": {"type": "unit", "amount": amount}, "tax_config": tax}
    return {"key": key, "customer_key": customer, "currency": "GBP", "workflow": workflow, "lines": [line]}


@dataclass
class Story:
    """All that is done to invoices, told by a host that tells it again whenever it is started."""

    path: Path
    pair: tuple[str, str]
    clock: TurnedClock = field(default_factory=lambda: TurnedClock(BEGINS_AT))
    struck: str = ""
    """What was done to it, other than a crash."""

    def __post_init__(self) -> None:
        self.books: dict[str, Simulator] = {}
        for name in dict.fromkeys(self.pair):
            self.books[name] = simulator_of(name)(clock=self.clock, hurried=True, currency="GBP")
        self.transport = SimulatorTransport({f"http://{name}.test": books for name, books in self.books.items()})
        self.app_ids: dict[str, str] = {}

    def open(self, faults: Any = NO_FAULTS, randomness: Any = None) -> Engine:
        given = {"randomness": randomness} if randomness is not None else {}
        return Engine.open(
            self.path,
            clock=self.clock,
            catalog=ProviderCatalog(),
            transport=self.transport,
            faults=faults,
            credential_keys=CREDENTIAL_KEYS,
            **given,
        )

    def prepare(self) -> Story:
        with self.open() as engine:
            namespace = engine.namespace()
            for name, books in self.books.items():
                found = books.connection(f"http://{name}.test")
                settings, secrets = dict(found.settings), dict(found.credentials)
                self.app_ids[name] = namespace.apps.install(name, settings=settings, credentials=secrets or None).id
            invoicing, payment = (self.app_ids[name] for name in self.pair)
            apps = {"tax_app_id": invoicing, "invoicing_app_id": invoicing, "payment_app_id": payment}
            namespace.profiles.create(name="Default", is_default=True, supplier={"name": "Acme"}, **apps)
        return self

    def play(self, engine: Engine) -> None:
        namespace, work = engine.namespace(), partial(self._work, engine)
        for key in ("ada", "grace"):
            try:
                namespace.customers.get(key)
            except NotFound:
                namespace.customers.create(key.title(), key=key, email=f"{key}@customer.example", currency="GBP")
        asked_for = {"code": "standard"} if "sandbox" in self.pair else None
        lamp, desk, chair, rug = (
            namespace.invoices.submit(draft(*each)).id
            for each in (
                ("lamp", "ada", CHARGED, "2.55", asked_for),
                ("desk", "grace", SENT, "149.99"),
                ("chair", "ada", SENT, "80.01"),
                ("rug", "grace", HELD, "44.00"),
            )
        )
        work()
        self._if_draft(engine, rug, lambda: namespace.invoices.update(rug, {"description": "A red rug"}))
        namespace.customers.update("ada", name="Ada Lovelace")
        work()
        self._if_draft(engine, rug, lambda: namespace.invoices.delete(rug))
        if namespace.invoices.get(chair).status.startswith("payment_processing"):
            namespace.invoices.void(chair)
        namespace.invoices.record_payment(desk, PART, method="bank transfer", external_id="bank-1", key="part")
        note = {**draft("scratched", "grace", SENT, "8.50"), "type": "credit_note", "credited_invoice_id": desk}
        del note["workflow"]
        namespace.credit_notes.submit(note)
        for payment in namespace.invoices.get(lamp).payments:
            if payment.status in {"succeeded", "refunded", "partially_refunded"}:
                namespace.refunds.refund(payment.id, Decimal("2.55"), key="lamp-refund")
        work()
        self._hear(engine)
        work()
        if "sandbox" in self.pair:
            self._end_what_is_authorized(engine)
        if namespace.invoices.get(desk).status.startswith("payment_processing"):
            namespace.invoices.payment_status(desk, "payment_uncollectible")
        work()

    def _end_what_is_authorized(self, engine: Engine) -> None:
        invoices = engine.namespace().invoices
        for key, end in (("vase", invoices.capture), ("bowl", invoices.cancel_payment)):
            invoice_id = invoices.submit({**draft(key, "ada", CHARGED, "5.00"), "metadata": AUTHORIZED}).id
            self._work(engine)
            if invoices.get(invoice_id).status == "payment_processing.authorized":
                end(invoice_id)
            self._work(engine)

    def _if_draft(self, engine: Engine, invoice_id: str, act: Callable[[], object]) -> None:
        if engine.namespace().invoices.get(invoice_id).status.startswith("draft"):
            act()

    def _work(self, engine: Engine) -> None:
        work_until_quiet(engine, self.clock, DAYS)

    def _hear(self, engine: Engine) -> None:
        def post(app_id: str, headers: Any, body: bytes) -> int:
            engine.receive_webhook(app_id, dict(headers), body)
            return 200

        for name, books in self.books.items():
            books.deliver_webhooks(partial(post, self.app_ids[name]))

    def problems(self, engine: Engine) -> list[str]:
        """What is wrong an hour later, when what was still on its way has arrived."""
        for _ in range(60):
            self.clock.advance(timedelta(minutes=1))
            for books in self.books.values():
                books.tick()
        twice = [
            f"{each.kind} {each.reference}: {each.ids}" for books in self.books.values() for each in books.duplicates()
        ]
        return [*twice, *problems_of(engine)]

    def came_to(self) -> dict[str, Any]:
        """What stands in all books."""
        return {name: _content(books) for name, books in self.books.items()}

    def worked(self) -> frozenset[tuple[str, str]]:
        """Every operation that sent something, by provider."""
        attempt, operation, app = schema.attempt, schema.operation, schema.app
        with self.open() as engine, engine.database.read() as tx:
            rows = tx.all(
                sa.select(app.c.type, operation.c.name)
                .select_from(attempt)
                .join(operation, operation.c.id == attempt.c.operation_id)
                .join(app, app.c.id == operation.c.app_id)
                .distinct()
            )
        return frozenset((row.type, row.name) for row in rows)

    def close(self) -> None:
        for books in self.books.values():
            books.close()
        for left in self.path.parent.glob(f"{self.path.name}*"):
            shutil.rmtree(left) if left.is_dir() else left.unlink()


def _content(books: Simulator) -> dict[str, Any]:
    documents = sorted((each.kind, each.currency, each.total, each.is_issued) for each in books.documents())
    payments = sorted((str(each.amount), str(each.status)) for each in books.payments())
    return {"customers": len(books.customers()), "documents": documents, "payments": payments}


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("every-operation") / "empty.db"
    Engine.open(path, catalog=ProviderCatalog(), credential_keys=CREDENTIAL_KEYS).close()
    return path


@pytest.fixture(params=PAIRS, ids="-and-".join)
def new_story(request: pytest.FixtureRequest, database: Path, tmp_path: Path) -> Callable[[], Story]:
    numbers = itertools.count()

    def new() -> Story:
        path = tmp_path / f"{next(numbers)}.db"
        shutil.copy(database, path)
        return Story(path, request.param).prepare()

    return new


def what_went_wrong(runs: Iterable[Run], came_to: Mapping[str, Any]) -> list[str]:
    """Nothing twice, nothing open, and the same books as if nothing had struck."""
    found: list[str] = []
    for run in runs:
        story = run.scenario
        found += [f"{story.struck or run}: {problem}" for problem in run.problems]
        if story.came_to() != came_to:
            found.append(f"{story.struck or run}: {story.came_to()} instead of {came_to}")
        story.close()
    return found


@dataclass(frozen=True)
class Undisturbed:
    """What the story comes to, and how many calls each provider gets."""

    came_to: Mapping[str, Any]
    worked: frozenset[tuple[str, str]]
    calls: Mapping[str, int]


@pytest.fixture
def undisturbed(new_story: Callable[[], Story]) -> Undisturbed:
    run = Crashes(new_story, SOON).run()
    story = run.scenario
    calls = {name: books.count_calls() for name, books in story.books.items()}
    found = Undisturbed(story.came_to(), story.worked(), calls)
    story.close()
    assert not run.problems
    return found


def losing(new_story: Callable[[], Story], name: str, at_call: int) -> Callable[[], Story]:
    """Stories in which that provider does what it is asked in that call, and nobody hears of it."""

    def new() -> Story:
        story = new_story()
        story.books[name].fault("lost_response", at_call=at_call)
        story.struck = f"the answer of call {at_call} to {name} is lost"
        return story

    return new


def every_loss(new_story: Callable[[], Story], undisturbed: Undisturbed) -> list[Callable[[], Story]]:
    return [
        losing(new_story, name, at_call) for name, calls in undisturbed.calls.items() for at_call in range(1, calls + 1)
    ]


def test_the_story_goes_through_every_operation_that_its_providers_can_do(undisturbed: Undisturbed):
    catalog = ProviderCatalog()
    for name in undisturbed.came_to:
        declared = catalog.load(name).declaration
        works = {each for each, spec in OPERATIONS.items() if spec.family is not Family.CONNECTION}
        can = {each for each in works if declared.can(each) and not declared.rules(each).local}
        is_money_only = not undisturbed.came_to[name]["documents"]
        can &= MONEY if is_money_only else can
        missing = {(name, str(each)) for each in can} - undisturbed.worked
        assert missing <= UNREACHED, f"the story leaves out {missing}"


def test_a_crash_at_any_step_leaves_everything_once(new_story: Callable[[], Story], undisturbed: Undisturbed):
    crashes = Crashes(new_story, SOON, seed=6)
    assert what_went_wrong(crashes.sampled(2, points=YIELDS), undisturbed.came_to) == []


def test_an_answer_that_is_lost_at_any_step_leaves_everything_once(
    new_story: Callable[[], Story], undisturbed: Undisturbed
):
    sample = random.Random(7).sample(every_loss(new_story, undisturbed), 2)
    assert what_went_wrong((Crashes(story, SOON).run() for story in sample), undisturbed.came_to) == []


@pytest.mark.long
@pytest.mark.parametrize("downtime", [SOON, LATER], ids=["soon", "later"])
def test_a_crash_at_every_step_of_every_operation_leaves_everything_once(
    new_story: Callable[[], Story], undisturbed: Undisturbed, downtime: timedelta
):
    assert what_went_wrong(Crashes(new_story, downtime).singles(YIELDS), undisturbed.came_to) == []


@pytest.mark.long
def test_a_lost_answer_at_every_step_of_every_operation_leaves_everything_once(
    new_story: Callable[[], Story], undisturbed: Undisturbed
):
    runs = (Crashes(story, SOON).run() for story in every_loss(new_story, undisturbed))
    assert what_went_wrong(runs, undisturbed.came_to) == []


@pytest.mark.long
def test_a_lost_answer_at_every_step_and_a_crash_after_it_leave_everything_once(
    new_story: Callable[[], Story], undisturbed: Undisturbed
):
    for number, story in enumerate(every_loss(new_story, undisturbed)):
        crashes = Crashes(story, SOON, seed=number)
        assert what_went_wrong(crashes.sampled(1, points=LASTING_POINTS), undisturbed.came_to) == []
