"""The real engine bills through a Stripe, dies wherever it can, is started again, and ends with the same books."""

from __future__ import annotations

import itertools
import secrets
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from billhook.clock import TurnedClock
from billhook.contract import Outgoing
from billhook.engine.engine import Engine
from billhook.errors import NotAllowed, NotFound
from billhook.faults import NO_FAULTS
from billhook.plugins.catalog import ProviderCatalog
from billhook.testing.builders import CREDENTIAL_KEYS
from billhook.testing.crash import LASTING_POINTS, Crashes, Run, work_until_quiet
from billhook.testing.invariants import problems_of
from billhook.testing.sandbox import provider as sandbox_provider, simulator as sandbox_simulator
from billhook.testing.sandbox.server import SandboxSimulator
from billhook.testing.transport import SimulatorTransport
from billhook_stripe import provider
from billhook_stripe.simulator import simulator
from billhook_stripe.simulator.rules import StripeRules
from billhook_stripe.simulator.server import StripeSimulator

URL = "http://stripe.test"
BEGINS_AT = datetime(2026, 3, 2, 9, tzinfo=UTC)
SOON, MUCH_LATER = timedelta(seconds=3), timedelta(days=2)
CATALOG = ProviderCatalog.from_objects([provider])
VAT = {"rates": [{"name": "VAT", "percentage": "20"}]}
DECLINED = {"openmeter.io/sandbox/target-payment-status": "failed"}
CHARGED, SENT = {"collection_method": "charge_automatically"}, {"collection_method": "send_invoice"}


def unit(name: str, quantity: str, amount: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "quantity": quantity, "price": {"type": "unit", "amount": amount}, **more}


def flat(name: str, amount: str, **more: Any) -> dict[str, Any]:
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
ON_THE_DESK = {"key": "scratched", "customer_key": "ada", "lines": [flat("Desk, scratched", "25.50", tax_config=VAT)]}
ON_NOTHING = {"key": "goodwill", "customer_key": "grace", "lines": [flat("Goodwill", "5.00")]}
REFUND, PART = Decimal("2.55"), Decimal("100.00")
FINAL = {"lamp": "paid", "desk": "payment_processing.pending", "chair": "paid"}


def submit(engine: Engine) -> dict[str, str]:
    """Under their keys, so that telling it again changes nothing. Gives the ids of the invoices."""
    namespace = engine.namespace()
    for key in ("ada", "grace"):
        try:
            namespace.customers.get(key)
        except NotFound:
            namespace.customers.create(key.title(), key=key, email=f"{key}@customer.example")
    return {draft["key"]: namespace.invoices.submit({"currency": "GBP", **draft}).id for draft in INVOICES}


@dataclass
class Story:
    """One telling on a prepared database, with a Stripe of its own: a scenario for crashes."""

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

    def play(self, engine: Engine) -> None:
        """Three invoices, a part paid by bank transfer, two credit notes and a refund."""
        ids, namespace = submit(engine), engine.namespace()
        work_until_quiet(engine, self.clock)
        namespace.invoices.record_payment(ids["desk"], PART, method="bank transfer", external_id="bank-1", key="part")
        note = {"type": "credit_note", "currency": "GBP"}
        namespace.credit_notes.submit({**note, **ON_THE_DESK, "credited_invoice_id": ids["desk"]})
        namespace.credit_notes.submit({**note, **ON_NOTHING})
        for payment in namespace.invoices.get(ids["lamp"]).payments:
            if payment.status == "succeeded":
                namespace.refunds.refund(payment.id, REFUND, key="lamp-refund")
        work_until_quiet(engine, self.clock)

    def problems(self, engine: Engine) -> list[str]:
        """What is wrong in the books and in the database, once what was on its way has arrived."""
        self.clock.advance(timedelta(hours=1))
        return [*_wrong_in_books(self.books), *_wrong_statuses(engine), *problems_of(engine)]

    def close(self) -> None:
        self.books.close()
        for left in Path(self.store_url).parent.glob(f"{Path(self.store_url).name}*"):
            shutil.rmtree(left) if left.is_dir() else left.unlink()


def _wrong_in_books(books: StripeSimulator) -> Iterator[str]:
    for each in books.duplicates():
        yield f"{each.kind} {each.reference} stands there as {', '.join(each.ids)}"
    documents = sorted((each.kind, each.status, each.total, each.tax, each.on_balance) for each in books.documents())
    expected = [
        ("credit_note", "issued", Decimal("5.00"), Decimal(0), True),
        ("credit_note", "issued", Decimal("30.60"), Decimal("5.10"), False),
        ("invoice", "open", Decimal("332.98"), Decimal("52.50"), False),
        ("invoice", "paid", Decimal("9.18"), Decimal("1.53"), False),
        ("invoice", "paid", Decimal("80.01"), Decimal("0.00"), False),
    ]
    if documents != expected:
        yield f"the books hold {documents}"
    moved = sorted((each.origin, each.amount) for each in books.payments() if each.has_moved)
    if moved != [("charged", Decimal("9.18")), ("charged", Decimal("80.01")), ("recorded", PART)]:
        yield f"this money moved: {moved}"
    if [each.amount for each in books.refunds()] != [REFUND]:
        yield f"this was given back: {books.refunds()}"
    if (count := len(books.customers())) != 2:
        yield f"there are {count} customers"
    if [each.amount_remaining for each in books.documents() if each.status == "open"] != [Decimal("202.38")]:
        yield "the open invoice has another amount open"
    if sum(each.sent_count for each in books.documents()) != 1:
        yield "it was not sent once"


def _wrong_statuses(engine: Engine) -> Iterator[str]:
    for key, expected in FINAL.items():
        invoice = engine.namespace().invoices.find(key)
        if invoice is None or invoice.status != expected:
            yield f"{key} is {invoice and invoice.status}"


class Corrections(Story):
    """What goes wrong in an office: an invoice is voided, a draft edited and deleted, a card declined and then good."""

    def play(self, engine: Engine) -> None:
        namespace = engine.namespace()
        self._have_customers(namespace)
        draft = {"currency": "GBP", "lines": [unit("Vase", "2", "7.50", tax_config=VAT), flat("Postage", "3")]}
        slip, mistake, unlucky = (
            namespace.invoices.submit({**draft, **more}).id
            for more in (
                {"key": "slip", "customer_key": "ada", "workflow": {"auto_advance": False}},
                {"key": "mistake", "customer_key": "ada", "workflow": SENT},
                {"key": "unlucky", "customer_key": "eve", "workflow": CHARGED},
            )
        )
        work_until_quiet(engine, self.clock)
        edited = [unit("Vase", "2", "7.50", tax_config=VAT), flat("Postage", "4")]
        for ask in (
            lambda: namespace.invoices.update(slip, {"lines": edited}),
            lambda: namespace.invoices.void(mistake),
            lambda: namespace.invoices.delete(slip),
        ):
            with suppress(NotAllowed):  # a life before asked for it
                ask()
            work_until_quiet(engine, self.clock)
        _give_good_card(self.books)
        with suppress(NotAllowed):
            namespace.invoices.retry(unlucky)
        work_until_quiet(engine, self.clock)

    def _have_customers(self, namespace: Any) -> None:
        bad_card = {"stripe_payment_method": "pm_card_chargeDeclined"}
        for key, metadata in (("ada", {}), ("eve", bad_card)):
            try:
                namespace.customers.get(key)
            except NotFound:
                namespace.customers.create(key.title(), key=key, email=f"{key}@example.com", metadata=metadata)

    def problems(self, engine: Engine) -> list[str]:
        self.clock.advance(timedelta(hours=1))
        found = [f"{each.kind} {each.reference} stands there twice" for each in self.books.duplicates()]
        held = sorted((each.status, each.total, each.sent_count) for each in self.books.documents())
        if held != [("paid", Decimal("21.00"), 0), ("void", Decimal("21.00"), 1)]:
            found.append(f"the books hold {held}")
        moved = [each.amount for each in self.books.payments() if each.has_moved]
        if moved != [Decimal("21.00")]:
            found.append(f"this money moved: {moved}")
        statuses = [engine.namespace().invoices.find(key) for key in ("slip", "mistake", "unlucky")]
        told = [each.status if each else None for each in statuses]
        if told != ["deleted", "voided", "paid"]:
            found.append(f"the invoices are {told}")
        return [*found, *problems_of(engine)]


NOTES = (("scratch", "15.00"), ("stain", "12.00"), ("wobble", "53.01"))


def credit_the_chair(engine: Engine, id: str, key: str, amount: str) -> None:
    note = {"type": "credit_note", "currency": "GBP", "credited_invoice_id": id, "customer_key": "grace"}
    engine.namespace().credit_notes.submit({**note, "key": key, "lines": [flat(key, amount)]})


class GivenBack(Story):
    """A paid invoice of which money went back, twice from here and once in the dashboard, before it is credited."""

    def play(self, engine: Engine) -> None:
        id, namespace = self.paid_chair(engine), engine.namespace()
        (payment,) = namespace.invoices.get(id).payments
        for key, amount in (("first", "20.00"), ("second", "10.00")):
            namespace.refunds.refund(payment.id, amount, key=key)
            work_until_quiet(engine, self.clock)
        if len(self.books.refunds()) == 2:
            self.books.refund_in_dashboard(payment.external_id, 501)
        self.credit(engine, id)

    def paid_chair(self, engine: Engine) -> str:
        namespace = engine.namespace()
        try:
            namespace.customers.get("grace")
        except NotFound:
            namespace.customers.create("Grace", key="grace")
        id = namespace.invoices.submit({"currency": "GBP", **INVOICES[2]}).id
        work_until_quiet(engine, self.clock)
        return id

    def credit(self, engine: Engine, id: str) -> None:
        for note in NOTES:
            credit_the_chair(engine, id, *note)
            work_until_quiet(engine, self.clock)

    def problems(self, engine: Engine) -> list[str]:
        self.clock.advance(timedelta(hours=1))
        found = [f"{each.kind} {each.reference} stands there twice" for each in self.books.duplicates()]
        namespace = engine.namespace()
        statuses = {note.key: note.status for note in namespace.credit_notes.list().items}
        if statuses != {key: "issued" for key, _ in NOTES}:
            found.append(f"the credit notes are {statuses}")
        gone = [each.amount for each in self.books.refunds()]
        if gone != [Decimal("20.00"), Decimal("10.00"), Decimal("5.01")]:
            found.append(f"this was given back: {gone}")
        notes = self.books.ledger.all_of("credit_note")
        linked = sum(link["amount_refunded"] for note in notes for link in note["refunds"])
        credit = self.books.customers()[0].balance
        if (linked, credit) != (3501, Decimal("-45.00")):
            found.append(f"of the refunds {linked} is linked, and the customer's balance is {credit}")
        return [*found, *problems_of(engine)]


class CreditedTogether(GivenBack):
    """As before, and all its credit notes are issued at once: each sees what the others took."""

    def credit(self, engine: Engine, id: str) -> None:
        for note in NOTES:
            credit_the_chair(engine, id, *note)
        work_until_quiet(engine, self.clock)


@pytest.fixture(scope="module")
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
def new_story(prepared: Path, tmp_path: Path) -> Callable[..., Story]:
    numbers = itertools.count(1)

    def make(kind: type[Story] = Story) -> Story:
        clock = TurnedClock(BEGINS_AT)
        copied = shutil.copy(prepared, tmp_path / f"{next(numbers)}.db")
        return kind(str(copied), clock, simulator(clock=clock))

    return make


@pytest.fixture
def new_corrections(new_story: Callable[..., Story]) -> Callable[[], Story]:
    return lambda: new_story(Corrections)


def what_went_wrong(runs: Iterable[Run]) -> list[str]:
    found: list[str] = []
    count = 0
    for run in runs:
        count += 1
        assert run.crashed_as_asked, run
        found += [f"{run}: {problem}" for problem in run.problems]
        run.scenario.close()
    assert count, "no crash was tried"
    return found


def test_the_story_ends_well_where_nothing_crashes(new_story):
    run = Crashes(new_story, SOON).run()
    assert not run.problems
    run.scenario.close()


def test_nothing_is_throttled_by_limits_of_our_own_making(new_story):
    story = new_story()
    with story.open() as engine:
        story.play(engine)
        for number in range(30):
            line = flat("One more", "10.00")
            engine.namespace().invoices.submit(
                {"key": f"more-{number}", "customer_key": "ada", "currency": "GBP", "lines": [line]}
            )
        work_until_quiet(engine, story.clock)
    assert [call for call in story.books.calls() if call.status == 429] == []
    assert len(story.books.documents()) == 35
    story.close()


def test_drafts_come_as_fast_as_their_endpoints_take_them(new_story):
    story = new_story()
    with story.open() as engine:
        submit(engine)
        work_until_quiet(engine, story.clock)
        story.clock.advance(timedelta(minutes=1))
        line, began_at = flat("One of many", "10.00"), story.clock.now()
        held = {**SENT, "auto_advance": False}
        drafts = [
            {"key": f"many-{number}", "customer_key": "ada", "currency": "GBP", "lines": [line], "workflow": held}
            for number in range(200)
        ]
        engine.namespace().invoices.submit_many(drafts)
        work_until_quiet(engine, story.clock)
        calls = [call for call in story.books.calls() if call.at >= began_at]
    assert (len(calls), {call.status for call in calls}) == (400, {200})
    assert (calls[-1].at - began_at).total_seconds() < 200 / 25 / 0.95
    story.close()


def test_a_part_that_was_paid_before_the_issue_is_not_charged_again(new_story):
    story = new_story()
    with story.open() as engine:
        submit(engine)
        invoices = engine.namespace().invoices
        draft = {"key": "prepaid", "customer_key": "ada", "currency": "GBP", "lines": [flat("Sofa", "100.00")]}
        id = invoices.submit({**draft, "workflow": {**CHARGED, "auto_advance": False}}).id
        work_until_quiet(engine, story.clock)
        invoices.record_payment(id, "40.00", method="bank transfer")
        invoices.approve(id)
        work_until_quiet(engine, story.clock)
        sofa = invoices.get(id)
    (there,) = [each for each in story.books.documents() if each.total == Decimal("100.00")]
    moved = {(each.origin, each.amount) for each in story.books.payments() if each.has_moved}
    assert (sofa.status, sofa.issues, there.status) == ("paid", (), "paid")
    assert {("recorded", Decimal("40.00")), ("charged", Decimal("60.00"))} <= moved
    story.close()


def test_a_crash_after_each_request_leaves_everything_exactly_once(new_story):
    assert what_went_wrong(Crashes(new_story, SOON).singles(frozenset({"send.after"}))) == []


def test_a_crash_anywhere_else_changes_nothing(new_story):
    assert what_went_wrong(Crashes(new_story, SOON, seed=1).sampled(8)) == []


def test_a_second_crash_changes_nothing(new_story):
    assert what_went_wrong(Crashes(new_story, SOON, seed=2).sampled(2, deaths=2)) == []


def test_a_restart_after_the_keys_ran_out_leaves_everything_exactly_once(new_story):
    runs = Crashes(new_story, MUCH_LATER, seed=3).sampled(5, points=frozenset({"send.after"}))
    assert what_went_wrong(runs) == []


def test_corrections_end_well_with_and_without_crashes(new_corrections):
    crashes = Crashes(new_corrections, SOON, seed=4)
    run = crashes.run()
    assert not run.problems
    run.scenario.close()
    assert what_went_wrong(crashes.sampled(5, points=frozenset({"send.after"}))) == []


def test_what_was_given_back_is_credited_once_with_and_without_crashes(new_story):
    crashes = Crashes(lambda: new_story(GivenBack), SOON, seed=5)
    run = crashes.run()
    assert not run.problems
    run.scenario.close()
    assert what_went_wrong(crashes.sampled(6, points=frozenset({"send.after"}))) == []
    late = Crashes(lambda: new_story(GivenBack), MUCH_LATER, seed=6)
    assert what_went_wrong(late.sampled(3, points=frozenset({"send.after"}))) == []


def test_credit_notes_that_are_issued_together_link_each_refund_once(new_story):
    run = Crashes(lambda: new_story(CreditedTogether), SOON).run()
    assert not run.problems
    run.scenario.close()


@pytest.mark.long
@pytest.mark.parametrize("kind", [Story, Corrections, GivenBack])
@pytest.mark.parametrize("downtime", [SOON, MUCH_LATER], ids=["soon", "much-later"])
def test_every_crash(new_story, kind, downtime):
    assert what_went_wrong(Crashes(lambda: new_story(kind), downtime).singles()) == []


@pytest.mark.long
def test_every_pair_of_crashes_after_requests(new_story):
    assert what_went_wrong(Crashes(new_story, SOON).pairs(LASTING_POINTS)) == []


@pytest.mark.parametrize(
    "kind", ["lost_response", "5xx_after_commit", "stored_500", "5xx_before", "slow", "late", "throttle"]
)
def test_a_stripe_that_lets_down_every_third_request_loses_nothing(new_story, kind):
    story = new_story()
    for at_call in range(1, 60, 3):
        story.books.fault(kind, at_call=at_call)
    with story.open() as engine:
        story.play(engine)
        found = story.problems(engine)
        doubts = engine.namespace().doubts.list()
    story.close()
    assert found == [] or doubts
    assert not any(problem for problem in found if "stands there as" in problem)


def test_money_that_a_webhook_tells_of_is_counted_once(new_story):
    story = new_story()
    with story.open() as engine:
        ids, namespace = submit(engine), engine.namespace()
        work_until_quiet(engine, story.clock)
        sent = next(each for each in story.books.documents() if each.reference == ids["desk"])
        story.books.pay_on_page(sent.id)
        app = namespace.apps.list().items[0]
        for _ in range(2):
            for headers, body in story.books.pending_webhooks():
                engine.receive_webhook(app.id, dict(headers), body)
            work_until_quiet(engine, story.clock)
        paid = {key: namespace.invoices.get(id).invoice for key, id in ids.items()}
        assert {key: (view.status, view.amount_paid == view.total) for key, view in paid.items()} == dict.fromkeys(
            ids, ("paid", True)
        )
        assert problems_of(engine) == []
    story.close()


def test_a_revoked_key_holds_the_work_until_a_good_one_is_given(new_story):
    story = new_story()
    with story.open() as engine:
        namespace = engine.namespace()
        app = namespace.apps.list().items[0]
        namespace.apps.set_credentials(app.id, {"api_key": "sk_revoked"})
        ids = submit(engine)
        work_until_quiet(engine, story.clock)
        assert namespace.apps.get(app.id).status == "unauthorized"
        assert story.books.documents() == ()
        namespace.apps.set_credentials(app.id, {"api_key": "sk_test_simulator"})
        work_until_quiet(engine, story.clock)
        assert {key: namespace.invoices.get(id).status for key, id in ids.items()} == FINAL
    assert story.books.duplicates() == ()
    story.close()


def test_a_bank_debit_that_settles_days_later_ends_paid(new_story):
    story = new_story()
    with story.open() as engine:
        namespace = engine.namespace()
        namespace.customers.create("Eve", key="eve", metadata={"stripe_payment_method": "pm_usBankAccount_success"})
        id = namespace.invoices.submit(
            {"key": "slow", "customer_key": "eve", "currency": "GBP", "lines": [flat("Rug", "99.00")]}
        ).id
        work_until_quiet(engine, story.clock, timedelta(hours=1))
        assert namespace.invoices.get(id).status == "payment_processing.pending"
        work_until_quiet(engine, story.clock, timedelta(days=6))
        assert namespace.invoices.get(id).status == "paid"
        assert problems_of(engine) == []
    story.close()


@pytest.mark.parametrize("told_by", ["a webhook", "a look"])
def test_a_part_that_came_another_way_is_not_counted_again_when_the_customer_pays_the_rest(new_story, told_by):
    story = new_story()
    with story.open() as engine:
        namespace = engine.namespace()
        namespace.customers.create(
            "Eve", key="eve", metadata={"stripe_payment_method": "pm_card_threeDSecure2Required"}
        )
        id = namespace.invoices.submit(
            {"key": "secured", "customer_key": "eve", "currency": "GBP", "lines": [flat("Rug", "99.00")]}
        ).id
        work_until_quiet(engine, story.clock, timedelta(minutes=5))
        assert namespace.invoices.get(id).status == "payment_processing.action_required"
        namespace.invoices.record_payment(id, Decimal("40.00"), method="bank transfer", key="part")
        work_until_quiet(engine, story.clock, timedelta(minutes=5))
        story.books.pay_on_page(story.books.documents()[0].id)
        if told_by == "a webhook":
            app = namespace.apps.list().items[0]
            for headers, body in story.books.pending_webhooks():
                engine.receive_webhook(app.id, dict(headers), body)
        work_until_quiet(engine, story.clock, timedelta(hours=9))
        view = namespace.invoices.get(id).invoice
        assert (view.status, view.amount_paid) == ("paid", Decimal("99.00"))
        assert problems_of(engine) == []
    story.close()


def test_a_decline_is_retried_with_another_card_and_counted_once(new_story):
    story = new_story()
    with story.open() as engine:
        namespace = engine.namespace()
        namespace.customers.create("Eve", key="eve", metadata={"stripe_payment_method": "pm_card_chargeDeclined"})
        id = namespace.invoices.submit(
            {"key": "declined", "customer_key": "eve", "currency": "GBP", "lines": [flat("Rug", "99.00")]}
        ).id
        work_until_quiet(engine, story.clock)
        assert namespace.invoices.get(id).status == "payment_processing.failed"
        _give_good_card(story.books)
        namespace.invoices.retry(id)
        work_until_quiet(engine, story.clock)
        app = namespace.apps.list().items[0]
        for headers, body in story.books.pending_webhooks():
            engine.receive_webhook(app.id, dict(headers), body)
        work_until_quiet(engine, story.clock)
        view = namespace.invoices.get(id).invoice
        assert (view.status, view.amount_paid) == ("paid", Decimal("99.00"))
        assert problems_of(engine) == []
    story.close()


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


def deliver(engine: Engine, books: StripeSimulator) -> None:
    """Stripe tells its events."""
    app = next(each for each in engine.namespace().apps.list().items if each.type == "stripe")
    for headers, body in books.pending_webhooks():
        engine.receive_webhook(app.id, dict(headers), body)


def test_what_is_paid_on_the_page_while_a_retry_is_asked_for_counts_once(new_story):
    story = new_story()
    with story.open() as engine:
        namespace = engine.namespace()
        namespace.customers.create("Eve", key="eve", metadata={"stripe_payment_method": "pm_card_chargeDeclined"})
        draft = {"key": "rug", "customer_key": "eve", "currency": "GBP", "lines": [flat("Rug", "99.00")]}
        id = namespace.invoices.submit(draft).id
        work_until_quiet(engine, story.clock)
        assert namespace.invoices.get(id).status == "payment_processing.failed"
        namespace.invoices.retry(id)
        story.books.pay_on_page(story.books.documents()[0].id)
        deliver(engine, story.books)
        work_until_quiet(engine, story.clock)
        view = namespace.invoices.get(id).invoice
        assert (view.status, view.amount_paid) == ("paid", Decimal("99.00"))
        assert problems_of(engine) == []
    story.close()


def test_what_the_page_took_counts_whole_where_a_part_was_noted_here_meanwhile(new_story):
    story = new_story()
    with story.open() as engine:
        namespace = engine.namespace()
        namespace.customers.create("Eve", key="eve", metadata={"stripe_payment_method": "pm_card_chargeDeclined"})
        draft = {"key": "rug", "customer_key": "eve", "currency": "GBP", "lines": [flat("Rug", "99.00")]}
        id = namespace.invoices.submit(draft).id
        work_until_quiet(engine, story.clock)
        story.books.pay_on_page(story.books.documents()[0].id)
        namespace.invoices.record_payment(id, "9.00")
        namespace.invoices.retry(id)
        work_until_quiet(engine, story.clock)
        details = namespace.invoices.get(id)
        assert (details.status, details.invoice.amount_paid) == ("paid", Decimal("108.00"))
        assert problems_of(engine) == []
    story.close()


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


class Recording(SimulatorTransport):
    """Keeps what goes out."""

    def __init__(self, books: StripeSimulator) -> None:
        super().__init__({URL: books})
        self.sent: list[Outgoing] = []

    def send(self, request: Outgoing, timeout_seconds: float) -> Any:
        self.sent.append(request)
        return super().send(request, timeout_seconds)


def test_a_preview_shows_the_very_bytes_that_are_sent_later(new_story):
    story = new_story()
    wire = Recording(story.books)
    with Engine.open(
        story.store_url, clock=story.clock, catalog=CATALOG, transport=wire, credential_keys=CREDENTIAL_KEYS
    ) as engine:
        submit(engine)  # so that the customers stand there
        work_until_quiet(engine, story.clock)
        draft = {"key": "shown", "customer_key": "ada", "currency": "GBP", "workflow": {"auto_advance": False}}
        id = engine.namespace().invoices.submit({**draft, "lines": [unit("Vase", "2", "7.50", tax_config=VAT)]}).id
        calls = len(wire.sent)
        first = next(step for step in engine.namespace().invoices.preview(id).steps if step.method == "POST")
        assert len(wire.sent) == calls
        work_until_quiet(engine, story.clock)
        sent = wire.sent[calls]
        assert (first.operation, first.url, first.body) == ("sync_draft", sent.url, sent.body)
        assert not {"sk_test_simulator", "whsec_simulator"} & set(repr(first).split())
    story.close()


def test_several_threads_carry_invoices_over_real_http(tmp_path):
    rules = StripeRules(account_calls=None, endpoint_calls=None)
    books = simulator(tmp_path / "books.db", rules=rules)
    with books.serve() as served, Engine.open(tmp_path / "billhook.db", catalog=CATALOG) as engine:
        namespace = engine.namespace()
        app = namespace.apps.install(
            "stripe", settings={"base_url": served.url}, credentials={"api_key": "sk_test_simulator"}
        )
        roles = dict.fromkeys(("tax_app_id", "invoicing_app_id", "payment_app_id"), app.id)
        namespace.profiles.create(name="Usual", is_default=True, supplier={"name": "Acme"}, workflow={}, **roles)
        submit(engine)
        lines = [flat("One more", "10.00")]
        namespace.invoices.submit_many(
            [{"key": f"more-{each}", "customer_key": "ada", "currency": "GBP", "lines": lines} for each in range(9)]
        )
        with engine.worker(threads=6):
            _wait_until(lambda: sum(each.status == "paid" for each in books.documents()) == 11)
    assert books.duplicates() == ()
    assert books.totals() == {"GBP": Decimal("512.17")}
    books.close()


def _wait_until(is_so: Callable[[], bool]) -> None:
    """Wait for what other threads do; give up when it can't come any more."""
    for _ in range(600):
        if is_so():
            return
        threading.Event().wait(0.05)
    raise AssertionError("it did not come to that within half a minute")


def _give_good_card(books: StripeSimulator) -> None:
    for method in books.ledger.all_of("payment_method"):
        books.ledger.save({**method, "_token": "pm_card_visa"})


def given_back_from_here_and_in_the_dashboard(engine, story):
    """A paid invoice and its payment, of which 1.00 went back from here and 2.50 in the dashboard."""
    namespace = engine.namespace()
    id = submit(engine)["chair"]
    work_until_quiet(engine, story.clock)
    (payment,) = namespace.invoices.get(id).payments
    namespace.refunds.refund(payment.id, Decimal("1.00"), key="from here")
    work_until_quiet(engine, story.clock)
    story.books.refund_in_dashboard(payment.external_id, 250)
    return id, payment


def test_money_given_back_in_the_dashboard_is_noted_here_once(new_story):
    story = new_story()
    with story.open() as engine:
        namespace = engine.namespace()
        id, payment = given_back_from_here_and_in_the_dashboard(engine, story)
        for _ in range(2):
            for headers, body in story.books.pending_webhooks():
                engine.receive_webhook(payment.app_id, dict(headers), body)
            work_until_quiet(engine, story.clock)
        view = namespace.invoices.get(id)
        assert (view.status, view.invoice.amount_refunded) == ("paid", Decimal("3.50"))
        told = [entry.summary for entry in namespace.invoices.timeline(id)]
        assert len([said for said in told if said.startswith("Money was given back at the provider")]) == 1
        assert problems_of(engine) == []
    story.close()


def test_money_given_back_in_the_dashboard_that_a_bank_sends_back_counts_no_more(new_story):
    story = new_story()
    with story.open() as engine:
        namespace = engine.namespace()
        id, _ = given_back_from_here_and_in_the_dashboard(engine, story)
        deliver(engine, story.books)
        work_until_quiet(engine, story.clock)
        (made_there,) = [refund for refund in story.books.refunds() if refund.amount == Decimal("2.50")]
        story.books.bounce_refund(made_there.id)
        deliver(engine, story.books)
        work_until_quiet(engine, story.clock)
        view = namespace.invoices.get(id)
        assert (view.status, view.invoice.amount_refunded) == ("paid", Decimal("1.00"))
        assert [issue.code for issue in view.issues] == ["refund_bounced"]
        assert problems_of(engine) == []
    story.close()


@pytest.mark.parametrize("made", ["from here", "in the dashboard"])
def test_a_refund_and_its_credit_note_give_the_money_once(new_story, made):
    story = new_story()
    with story.open() as engine:
        namespace = engine.namespace()
        id = submit(engine)["chair"]
        work_until_quiet(engine, story.clock)
        (payment,) = namespace.invoices.get(id).payments
        if made == "from here":
            namespace.refunds.refund(payment.id, "80.01", key="all")
        else:
            story.books.refund_in_dashboard(payment.external_id, 8001)
        work_until_quiet(engine, story.clock)
        deliver(engine, story.books)
        work_until_quiet(engine, story.clock)
        note = {"type": "credit_note", "customer_key": "grace", "currency": "GBP", "credited_invoice_id": id}
        note_id = namespace.credit_notes.submit({**note, "lines": [flat("Chair", "80.01")]}).id
        work_until_quiet(engine, story.clock)
        issued, view = namespace.credit_notes.get(note_id), namespace.invoices.get(id)
        assert (issued.status, issued.amount_credited, view.status, view.issues) == ("issued", 0, "paid", ())
        assert (view.invoice.amount_refunded, view.invoice.amount_due) == (Decimal("80.01"), 0)
        assert problems_of(engine) == []
    assert not any(each.balance for each in story.books.customers())
    assert [each.amount for each in story.books.refunds()] == [Decimal("80.01")]
    story.close()


def test_what_is_given_back_although_a_credit_note_made_it_credit_is_told_of(new_story):
    story = new_story()
    with story.open() as engine:
        namespace = engine.namespace()
        id = submit(engine)["chair"]
        work_until_quiet(engine, story.clock)
        (payment,) = namespace.invoices.get(id).payments
        namespace.refunds.refund(payment.id, Decimal("10.00"), key="before")
        work_until_quiet(engine, story.clock)
        credit_the_chair(engine, id, "note", "30.00")
        work_until_quiet(engine, story.clock)
        assert namespace.invoices.get(id).issues == ()
        for amount in ("5.00", "30.00"):
            namespace.refunds.refund(payment.id, Decimal(amount), key=amount)
            work_until_quiet(engine, story.clock)
        (issue,) = namespace.invoices.get(id).issues
        assert (issue.code, "twice" in issue.message) == ("credited_and_refunded", True)
        assert "the customer has 20.00 GBP twice" in issue.message
        credit_the_chair(engine, id, "another", "30.00")
        work_until_quiet(engine, story.clock)
        (issue,) = namespace.invoices.get(id).issues
        assert "the customer has 5.00 GBP twice" in issue.message
        assert problems_of(engine) == []
    story.close()


def test_a_credit_note_that_was_refused_is_issued_once_the_money_went_back(new_story):
    story = new_story()
    with story.open() as engine:
        namespace = engine.namespace()
        (app,) = namespace.apps.list().items
        settings = {"base_url": URL, "unattached_credit_notes": "refuse"}
        namespace.apps.update(app.id, settings=settings)
        id = submit(engine)["chair"]
        work_until_quiet(engine, story.clock)
        note = {"type": "credit_note", "customer_key": "grace", "currency": "GBP", "credited_invoice_id": id}
        note_id = namespace.credit_notes.submit({**note, "lines": [flat("Chair", "80.01")]}).id
        work_until_quiet(engine, story.clock)
        (issue,) = namespace.credit_notes.issues(note_id)
        assert (namespace.credit_notes.get(note_id).status, issue.code) == ("failed", "credit_note_exceeds_open_amount")
        namespace.refunds.refund(namespace.invoices.get(id).payments[0].id, "80.01", key="all")
        work_until_quiet(engine, story.clock)
        namespace.credit_notes.retry(note_id)
        work_until_quiet(engine, story.clock)
        assert namespace.credit_notes.get(note_id).status == "issued"
    assert not any(each.balance for each in story.books.customers())
    story.close()


def test_what_was_declined_and_tried_again_is_heard_of_when_the_customer_pays_on_the_page(new_story):
    story = new_story(Corrections)
    with story.open() as engine:
        namespace = engine.namespace()
        metadata = {"stripe_payment_method": "pm_card_chargeDeclined"}
        namespace.customers.create("Eve", key="eve", metadata=metadata)
        draft = {"customer_key": "eve", "currency": "GBP", "lines": [flat("Desk", "20.00")], "workflow": CHARGED}
        id = namespace.invoices.submit(draft).id
        work_until_quiet(engine, story.clock)
        story.clock.advance(timedelta(minutes=1))
        namespace.invoices.retry(id)
        work_until_quiet(engine, story.clock)
        assert namespace.invoices.get(id).status == "payment_processing.failed"
        story.books.pay_on_page(story.books.documents()[0].id)
        (app,) = namespace.apps.list().items
        for headers, body in story.books.pending_webhooks():
            engine.receive_webhook(app.id, dict(headers), body)
        work_until_quiet(engine, story.clock)
        assert namespace.invoices.get(id).status == "paid"
        assert problems_of(engine) == []
    story.close()


def sent_and_paid_on_the_page(engine, story):
    namespace = engine.namespace()
    namespace.customers.create("Eve", key="eve", email="eve@customer.example")
    workflow = {"collection_method": "send_invoice"}
    draft = {"customer_key": "eve", "currency": "GBP", "lines": [flat("Rug", "99.00")], "workflow": workflow}
    id = namespace.invoices.submit(draft).id
    work_until_quiet(engine, story.clock)
    story.books.pay_on_page(story.books.documents()[0].id)
    return id


@pytest.mark.parametrize("told_by", ["its own event", "a later event", "one look"])
def test_what_came_on_the_page_of_a_sent_invoice_and_went_back_in_the_dashboard_is_noted(new_story, told_by):
    story = new_story()
    with story.open() as engine:
        namespace = engine.namespace()
        id = sent_and_paid_on_the_page(engine, story)
        (intent,) = story.books.ledger.all_of("payment_intent")
        if told_by != "one look":
            deliver(engine, story.books)
            work_until_quiet(engine, story.clock)
            (payment,) = namespace.invoices.get(id).payments
            assert (payment.origin, payment.external_id, payment.amount_received) == (
                "outside",
                intent["id"],
                Decimal("99.00"),
            )
        story.books.refund_in_dashboard(intent["id"], 250)
        if told_by == "its own event":
            deliver(engine, story.books)
            work_until_quiet(engine, story.clock)
        story.books.refund_in_dashboard(intent["id"], 100)
        deliver(engine, story.books)
        work_until_quiet(engine, story.clock)
        view = namespace.invoices.get(id)
        assert (view.status, view.invoice.amount_paid, view.invoice.amount_refunded) == (
            "paid",
            Decimal("99.00"),
            Decimal("3.50"),
        )
        assert engine.orphaned_events() == ()
        assert problems_of(engine) == []
    story.close()


def test_what_came_on_the_page_is_refunded_from_here(new_story):
    story = new_story()
    with story.open() as engine:
        namespace = engine.namespace()
        id = sent_and_paid_on_the_page(engine, story)
        deliver(engine, story.books)
        work_until_quiet(engine, story.clock)
        (payment,) = namespace.invoices.get(id).payments
        namespace.refunds.refund(payment.id, "4.00", key="from here")
        work_until_quiet(engine, story.clock)
        deliver(engine, story.books)
        work_until_quiet(engine, story.clock)
        view = namespace.invoices.get(id)
        assert (view.status, view.invoice.amount_refunded) == ("paid", Decimal("4.00"))
        assert (
            [each.state for each in namespace.invoices.refunds(id)] == ["succeeded"]
            if hasattr(namespace.invoices, "refunds")
            else True
        )
        assert problems_of(engine) == []
    assert [each.amount for each in story.books.refunds()] == [Decimal("4.00")]
    story.close()
