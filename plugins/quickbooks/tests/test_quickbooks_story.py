"""A month in a shop: invoices in QuickBooks, the money at another app, with crashes wherever one can strike."""

from __future__ import annotations

import secrets
import shutil
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

import pytest

from billhook.clock import TurnedClock
from billhook.contract import Capability
from billhook.engine.engine import Engine
from billhook.errors import NotFound
from billhook.faults import NO_FAULTS
from billhook.plugins.catalog import ProviderCatalog
from billhook.testing.crash import LASTING_POINTS, Crashes, work_until_quiet
from billhook.testing.invariants import problems_of
from billhook.testing.sandbox import provider as sandbox_provider, simulator as sandbox_simulator
from billhook.testing.transport import SimulatorTransport
from billhook_quickbooks import QuickBooksOwnNumbersProvider, QuickBooksProvider
from billhook_quickbooks.simulator import simulator

BANK = "http://bank.test"
CATALOG = ProviderCatalog.from_objects([QuickBooksProvider, QuickBooksOwnNumbersProvider, sandbox_provider])
_VAT = {"rates": [{"name": "Sales tax", "percentage": "8.875"}]}
_CHARGED, _SENT = {"collection_method": "charge_automatically"}, {"collection_method": "send_invoice"}
INVOICES = (
    ("lamp", "ada", _CHARGED, [{"name": "Lamp", "quantity": "3", "price": {"type": "unit", "amount": "2.555"}}]),
    ("desk", "ada", _SENT, [
        {"name": "Desk", "quantity": "2", "price": {"type": "unit", "amount": "149.99"}, "tax_config": _VAT,
         "discounts": [{"type": "percentage", "percentage": "12.5"}]},
        {"name": "Postage", "price": {"type": "flat", "amount": "18"}},
    ]),
    ("chair", "grace", _CHARGED, [
        {"name": "Chair", "quantity": "1", "price": {"type": "unit", "amount": "80.01"}, "tax_config": _VAT}
    ]),
)  # fmt: skip
CREDIT = {
    "key": "desk-scratched",
    "type": "credit_note",
    "customer_key": "ada",
    "currency": "EUR",
    "lines": [{"name": "Scratched", "price": {"type": "flat", "amount": "25.50"}}],
}


@dataclass
class Story:
    """One telling: a scenario for billhook.testing.crash."""

    store_url: str
    scene: Any
    type: str = "quickbooks"
    clock: TurnedClock = field(default_factory=lambda: TurnedClock(datetime(2026, 3, 2, 9, tzinfo=UTC)))

    def __post_init__(self):
        rules = replace(self.scene.rules, custom_numbers=self.type == "quickbooks")
        self.company = simulator(clock=self.clock, rules=rules)
        self.bank = sandbox_simulator(clock=self.clock)
        self.transport = SimulatorTransport({self.scene.url: self.company, BANK: self.bank})

    def open(self, faults=NO_FAULTS, randomness=secrets.token_bytes):
        return Engine.open(
            self.store_url,
            upgrade=False,
            clock=self.clock,
            catalog=CATALOG,
            transport=self.transport,
            faults=faults,
            randomness=randomness,
        )

    def prepare(self):
        with self.open() as engine:
            namespace = engine.namespace()
            given = {name: secret.get_secret_value() for name, secret in self.scene.credentials}
            books = namespace.apps.install(
                self.type, settings=self.scene.some_settings().model_dump(mode="json"), credentials=given
            )
            bank = namespace.apps.install(
                "sandbox", settings={"base_url": BANK}, credentials={"token": "sandbox-token"}
            )
            namespace.profiles.create(
                name="Default",
                is_default=True,
                supplier={"name": "Acme"},
                workflow={},
                tax_app_id=books.id,
                invoicing_app_id=books.id,
                payment_app_id=bank.id,
            )
        return self

    def play(self, engine):
        namespace = engine.namespace()
        for key in ("ada", "grace"):
            try:
                namespace.customers.get(key)
            except NotFound:
                namespace.customers.create(key.title(), key=key, email=f"{key}@shop.example")
        ids = {}
        for key, customer, workflow, lines in INVOICES:
            draft = {"key": key, "customer_key": customer, "currency": "EUR", "workflow": workflow, "lines": lines}
            ids[key] = namespace.invoices.submit(draft).id
        work_until_quiet(engine, self.clock)
        namespace.credit_notes.submit({**CREDIT, "credited_invoice_id": ids["desk"]})
        work_until_quiet(engine, self.clock)

    def problems(self, engine):
        self.clock.advance(timedelta(hours=1))
        self.company.tick()
        found = [f"{each.kind} {each.reference}: {each.ids}" for each in self.company.duplicates()]
        found += [
            f"{each.number} was sent {each.sent_count} times"
            for each in self.company.documents()
            if each.sent_count > 1
        ]
        return [*found, *problems_of(engine), *self._missing(engine)]

    def _missing(self, engine):
        namespace = engine.namespace()
        held = {document.reference: document for document in self.company.documents()}
        notes = {note.id: note for note in namespace.credit_notes.list().items}
        invoices = {found.id: found.invoice for key, *_ in INVOICES if (found := namespace.invoices.find(key))}
        for id, view in {**invoices, **notes}.items():
            document = held.get(id)
            if document is None or (document.total, document.number) != (view.total, view.number):
                yield f"{view.number} of {view.total} stands there as {document}"
        statuses = sorted((document.kind, document.status) for document in held.values())
        if statuses != [("credit_note", "paid"), ("invoice", "issued"), ("invoice", "paid"), ("invoice", "paid")]:
            yield f"documents: {statuses}"
        if sorted(payment.amount for payment in self.company.payments()) != [Decimal("7.67"), Decimal("87.11")]:
            yield f"payments: {self.company.payments()}"
        if len(self.company.customers()) != 2 or sum(each.sent_count for each in held.values()) != 1:
            yield "customers or mails differ"

    def close(self):
        self.company.close()
        self.bank.close()


@pytest.fixture(scope="session")
def database(tmp_path_factory):
    """A database file with all tables."""
    path = tmp_path_factory.mktemp("template") / "template.db"
    Engine.open(str(path), catalog=CATALOG).close()
    return path


@pytest.fixture
def a_story(database, tmp_path, scene):
    places = count()

    def new(**options):
        folder = tmp_path / str(next(places))
        folder.mkdir()
        return Story(str(shutil.copy(database, folder / "billhook.db")), scene, **options).prepare()

    return new


def test_invoices_credit_note_and_payments_end_in_the_books_to_the_cent(a_story):
    run = Crashes(a_story, timedelta(seconds=3)).run()
    assert run.problems == ()
    posted = [call for call in run.scenario.company.calls() if call.method == "POST"]
    batches = [call for call in posted if call.path.endswith("/batch")]
    assert len(batches) <= 6, "two for the customers, one for the invoices, two at most for the payments"
    run.scenario.close()


def test_a_crash_anywhere_makes_nothing_twice(a_story):
    for run in Crashes(a_story, timedelta(seconds=3), seed=3).sampled(6, points=LASTING_POINTS):
        assert not run.problems, run
        run.scenario.close()


@pytest.mark.long
def test_a_crash_at_every_point_makes_nothing_twice(a_story):
    for run in Crashes(a_story, timedelta(seconds=3)).singles():
        assert not run.problems, run
        run.scenario.close()


def test_every_answer_that_is_lost_is_found_again(a_story):
    for matching in ("POST /v3/company/9341452000000001/batch", "creditmemo", "payment", "send"):
        story = a_story()
        story.company.fault("lost_response", matching=matching, times=2)
        with story.open() as engine:
            story.play(engine)
            assert story.problems(engine) == []
        story.close()


def test_a_company_that_gives_its_own_numbers_gives_each_once(a_story):
    story = a_story(type="quickbooks_own_numbers")
    story.company.fault("lost_response", matching="/batch", at_call=2, times=3)
    with story.open() as engine:
        story.play(engine)
        assert story.problems(engine) == []
    assert sorted(document.number for document in story.company.documents()) == ["1001", "1002", "1003", "1004"]
    story.close()


@pytest.mark.parametrize("fault, params", [
    ("5xx_after_commit", {}), ("garbage", {}), ("truncated", {}), ("late", {"seconds": 40}), ("throttle", {"after_seconds": 5}),
    ("stored_500", {"applied": True}), ("slow", {"seconds": 200}),
])  # fmt: skip
def test_whatever_goes_wrong_on_the_way_nothing_is_made_twice(a_story, fault, params):
    story = a_story()
    story.company.fault(fault, matching="/batch", at_call=2, times=2, **params)
    with story.open() as engine:
        story.play(engine)
        assert story.problems(engine) == []
    story.close()


def test_an_expired_token_is_renewed_and_the_work_goes_on(a_story):
    story = a_story()
    story.company.fault("token_expired", matching="/batch", times=1)
    with story.open() as engine:
        story.play(engine)
        assert story.problems(engine) == []
    assert any(call.path == "/oauth2/v1/tokens/bearer" for call in story.company.calls())
    assert CATALOG.load("quickbooks").declaration.can(Capability.REFRESH_CREDENTIALS)
    story.close()


MONTH_END = 120


def test_a_month_end_goes_beyond_no_limit_and_takes_the_fewest_calls(a_story):
    story = a_story()
    story.company.rules = replace(story.company.rules, throttles=True)
    line = {"name": "Seats", "quantity": "3", "price": {"type": "unit", "amount": "2.55"}}
    with story.open() as engine:
        namespace = engine.namespace()
        namespace.customers.create("Ada", key="ada", email="ada@shop.example")
        for number in range(MONTH_END):
            draft = {"key": f"m{number}", "customer_key": "ada", "currency": "EUR", "workflow": _SENT, "lines": [line]}
            namespace.invoices.submit(draft)
        began = story.clock.now()
        work_until_quiet(engine, story.clock)
        assert problems_of(engine) == []
    calls = story.company.calls()
    assert story.company.limits.refused == 0
    assert sum(call.path.endswith("/batch") for call in calls) == 2 + MONTH_END // 30
    assert sum(call.path.endswith("/send") for call in calls) == MONTH_END
    assert {document.sent_count for document in story.company.documents()} == {1}
    # Ten a second, as the limit has it: sending is what takes the time.
    assert max(call.at for call in calls) - began < timedelta(seconds=MONTH_END // 8 + 2)
    story.close()


def _told(engine, story):
    """The company tells what changed in it, and what that leads to is done."""
    books = next(app for app in engine.namespace().apps.list().items if app.type == "quickbooks")

    def receive(headers, body):
        engine.receive_webhook(books.id, dict(headers), body)
        return 200

    story.company.deliver_webhooks(receive)
    work_until_quiet(engine, story.clock)


def _a_sent_invoice(engine, story):
    """An invoice of 7.65 that waits for its money. Returns its id here, and as it stands in the company."""
    namespace = engine.namespace()
    namespace.customers.create("Ada", key="ada", email="ada@shop.example")
    line = {"name": "Seats", "quantity": "3", "price": {"type": "unit", "amount": "2.55"}}
    draft = {"key": "one", "customer_key": "ada", "currency": "EUR", "workflow": _SENT, "lines": [line]}
    invoice_id = namespace.invoices.submit(draft).id
    work_until_quiet(engine, story.clock)
    (document,) = story.company.documents()
    return invoice_id, document


def _line(kind, id, amount):
    return {"Amount": amount, "LinkedTxn": [{"TxnId": id, "TxnType": kind}]}


def test_money_that_somebody_records_in_the_company_pays_the_invoice(a_story):
    story = a_story()
    with story.open() as engine:
        invoice_id, document = _a_sent_invoice(engine, story)
        lines = [_line("Invoice", document.id, "7.65")]
        paid = {"CustomerRef": {"value": document.customer}, "TotalAmt": "7.65", "Line": lines}
        story.company.do("Payment", "create", paid)
        _told(engine, story)
        assert engine.namespace().invoices.get(invoice_id).status == "paid"
        assert len(story.company.payments()) == 1, "what was seen there is not recorded there again"
    story.close()


def test_of_a_payment_that_also_brings_a_credit_memo_only_the_money_counts_and_a_person_is_told(a_story):
    story = a_story()
    with story.open() as engine:
        invoice_id, document = _a_sent_invoice(engine, story)
        invoice = story.company.ledger.entity("Invoice", document.id)
        credited = {**invoice["Line"][0], "Amount": "2.00"}
        credited["SalesItemLineDetail"] = {**credited["SalesItemLineDetail"], "Qty": 1, "UnitPrice": "2.00"}
        customer = {"CustomerRef": {"value": document.customer}}
        memo = story.company.do("CreditMemo", "create", {**customer, "Line": [credited]})
        lines = [_line("Invoice", document.id, "7.65"), _line("CreditMemo", memo["Id"], "2.00")]
        story.company.do("Payment", "create", {**customer, "TotalAmt": "5.65", "Line": lines})
        _told(engine, story)
        story.clock.advance(timedelta(minutes=15))
        work_until_quiet(engine, story.clock)
        details = engine.namespace().invoices.get(invoice_id)
        assert (details.invoice.amount_paid, details.invoice.amount_due) == (Decimal("5.65"), Decimal("2.00"))
        (issue,) = details.issues
        assert (issue.code, "asks 2.00 EUR less" in issue.message) == ("less_due_in_books", True)
    story.close()
