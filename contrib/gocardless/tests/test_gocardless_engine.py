"""The real engine, with invoices in the sandbox and their money collected at GoCardless: both in-process, on a turned clock."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cached_property
from itertools import count, product
from pathlib import Path
from typing import Any

import pytest

from billhook import Engine, ProviderCatalog
from billhook.clock import TurnedClock
from billhook.errors import InvalidInput, WebhookRefused
from billhook.testing.builders import CREDENTIAL_KEYS
from billhook.testing.crash import Crashes, work_until_quiet
from billhook.testing.invariants import problems_of
from billhook.testing.sandbox import provider as sandbox_provider, simulator as sandbox_simulator
from billhook.testing.transport import SimulatorTransport
from billhook_gocardless import provider
from billhook_gocardless.simulator import simulator
from billhook_gocardless.simulator.rules import GoCardlessRules

BEGINS_AT = datetime(2026, 3, 2, 9, tzinfo=UTC)
SANDBOX_URL, GOCARDLESS_URL = "http://sandbox.test", "http://gocardless.test"
HOURS = GoCardlessRules(
    submit_after=timedelta(hours=1), confirm_after=timedelta(hours=2), pay_out_after=timedelta(hours=2)
)
"""A bank that is done within hours, so that a telling of the story takes few looks."""
CATALOG = ProviderCatalog.from_objects([sandbox_provider, provider])


def draft(
    key: str, customer: str = "ada", price: str = "2.55", currency: str = "GBP", **changes: Any
) -> dict[str, Any]:
    line = {"name": "Lamp", "item_code": "L1", "quantity": "3", "price": {"type": "unit", "amount": price}}
    return {"key": key, "customer_key": customer, "currency": currency, "lines": [line], **changes}


def prepare(path: Path) -> None:
    """A database with both apps, a profile that uses them, and two customers."""
    with Engine.open(path, clock=TurnedClock(BEGINS_AT), catalog=CATALOG, credential_keys=CREDENTIAL_KEYS) as engine:
        namespace = engine.namespace()
        token = {"token": "sandbox-token"}
        books = namespace.apps.install("sandbox", settings={"base_url": SANDBOX_URL}, credentials=token)
        secrets = {"access_token": "gocardless-token", "webhook_secret": "gocardless-webhook-secret"}
        money = namespace.apps.install("gocardless", settings={"base_url": GOCARDLESS_URL}, credentials=secrets)
        namespace.profiles.create(
            name="Usual",
            is_default=True,
            supplier={"name": "Acme"},
            workflow={"collection_method": "charge_automatically"},
            tax_app_id=books.id,
            invoicing_app_id=books.id,
            payment_app_id=money.id,
        )
        for key in ("ada", "grace"):
            namespace.customers.create(key.title(), key=key, currency="GBP")


@dataclass
class House:
    """A database, the sandbox and GoCardless, and the engine between them. Also a scenario for the crash harness."""

    path: Path
    clock: TurnedClock
    rules: GoCardlessRules = field(default_factory=GoCardlessRules)

    def __post_init__(self) -> None:
        self.invoices = sandbox_simulator(clock=self.clock)
        self.money = simulator(clock=self.clock, rules=self.rules)
        self.transport = SimulatorTransport({SANDBOX_URL: self.invoices, GOCARDLESS_URL: self.money})

    def open(self, faults: Any = None, randomness: Any = None) -> Engine:
        given = {"faults": faults, "randomness": randomness}
        return Engine.open(
            self.path,
            upgrade=False,
            clock=self.clock,
            catalog=CATALOG,
            transport=self.transport,
            credential_keys=CREDENTIAL_KEYS,
            **{name: value for name, value in given.items() if value is not None},
        )

    @cached_property
    def app_id(self) -> str:
        """The app of GoCardless."""
        with self.open() as engine:
            return next(app.id for app in engine.namespace().apps.list().items if app.type == "gocardless")

    # As a scenario.

    def play(self, engine: Engine) -> None:
        """Three invoices: one is paid and refunded in part, one fails late, one is credited. Told again it is the same."""
        namespace = engine.namespace()
        lamp = namespace.invoices.submit(draft("lamp")).id
        chair = namespace.invoices.submit(draft("chair", "grace", "26.67")).id
        desk = namespace.invoices.submit(draft("desk", price="10.00")).id
        work_until_quiet(engine, self.clock, timedelta(days=4))
        credit = draft("desk-scratched", price="1.00", type="credit_note")
        namespace.credit_notes.submit({**credit, "credited_invoice_id": desk})
        for payment in namespace.invoices.get(lamp).payments:
            namespace.refunds.refund(payment.id, Decimal("2.55"), key="lamp-refund")
        self._let_fail(chair)
        work_until_quiet(engine, self.clock, timedelta(days=4))

    def _let_fail(self, invoice_id: str) -> None:
        for payment in self.money.payments():
            if payment.metadata["billhook_invoice"] == invoice_id and payment.status != "failed":
                self.money.run_scenario("payment_late_failure", payment.id)

    def problems(self, engine: Engine) -> list[str]:
        """What is wrong when everything has come to rest."""
        self.clock.advance(timedelta(hours=1))
        found = [str(each) for each in (*self.money.duplicates(), *self.invoices.duplicates())]
        statuses = sorted(payment.status for payment in self.money.payments())
        if statuses != ["failed", "paid_out", "paid_out"]:
            found.append(f"payments are {statuses}")
        if self.money.totals() != {"GBP": Decimal("35.10")}:
            found.append(f"collected {self.money.totals()}")
        if [(each.amount, each.status) for each in self.money.refunds()] != [(Decimal("2.55"), "paid")]:
            found.append(f"refunds are {self.money.refunds()}")
        if len(self.money.customers()) != 2:
            found.append(f"customers are {self.money.customers()}")
        if [each.status for each in self.invoices.payments()] != ["paid"] * 3:
            found.append(f"the books hold the payments {self.invoices.payments()}")
        if sorted(each.kind for each in self.invoices.documents()) != ["credit_note", "invoice", "invoice", "invoice"]:
            found.append(f"the books hold {self.invoices.documents()}")
        return [*found, *problems_of(engine)]

    def close(self) -> None:
        self.invoices.close()
        self.money.close()


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("prepared") / "billhook.db"
    prepare(path)
    return path


@pytest.fixture
def house(tmp_path: Path, prepared: Path, clock: TurnedClock, rules: GoCardlessRules) -> Iterator[House]:
    made = House(Path(shutil.copy(prepared, tmp_path)), clock, rules)
    yield made
    made.close()


@pytest.fixture
def engine(house: House) -> Iterator[Engine]:
    with house.open() as opened:
        yield opened


@pytest.fixture
def tell(house, engine):
    """Deliver what GoCardless has to tell, and work on it."""

    def deliver() -> int:
        def post(headers, body):
            engine.receive_webhook(house.app_id, dict(headers), body)
            return 200

        posts = house.money.deliver_webhooks(post)
        engine.run_until_idle()
        return posts

    return deliver


@pytest.fixture
def invoice(engine):
    """An invoice whose payment is under way."""
    invoice_id = engine.namespace().invoices.submit(draft("lamp")).id
    engine.run_until_idle()
    return lambda: engine.namespace().invoices.get(invoice_id)


def test_an_invoice_is_paid_days_later_and_the_books_are_told(house, engine, invoice, clock):
    assert (invoice().status, invoice().payments[0].status) == ("payment_processing.pending", "processing")
    work_until_quiet(engine, clock)
    assert (invoice().status, invoice().invoice.amount_due) == ("paid", 0)
    (noted,) = house.invoices.payments()
    assert (noted.origin, noted.amount) == ("recorded", Decimal("7.65"))
    assert problems_of(engine) == []


def test_a_webhook_tells_sooner_than_the_next_look(house, engine, invoice, clock, tell):
    tell()
    house.money.run_scenario("payment_confirmed", house.money.payments()[0].id)
    assert invoice().status == "payment_processing.pending"
    tell()
    assert invoice().status == "paid"
    assert clock.now() == invoice().payments[0].received_at


def test_without_any_webhook_it_is_looked_at_twice_a_day(house, engine, invoice, clock):
    clock.advance(timedelta(days=3, hours=12))
    engine.run_until_idle()
    assert invoice().status == "paid"


def test_a_payment_that_fails_is_told_with_the_bank_s_reason_and_can_be_tried_again(
    house, engine, invoice, tell, clock
):
    first = house.money.payments()[0]
    house.money.run_scenario("payment_failed", first.id)
    tell()
    assert invoice().status == "payment_processing.failed"
    assert (invoice().payments[0].code, invoice().payments[0].status) == ("insufficient_funds", "failed")
    engine.namespace().invoices.retry(invoice().id)
    work_until_quiet(engine, clock)
    assert invoice().status == "paid"
    assert [payment.status for payment in house.money.payments()] == ["failed", "confirmed"]


@pytest.mark.parametrize("scenario", ["payment_late_failure", "payment_charged_back"])
def test_money_that_is_taken_back_after_it_counted_no_longer_counts(house, engine, invoice, tell, clock, scenario):
    work_until_quiet(engine, clock)
    assert invoice().invoice.amount_paid == Decimal("7.65")
    house.money.run_scenario(scenario, house.money.payments()[0].id)
    tell()
    assert invoice().payments[0].status == "failed"
    assert invoice().status == "payment_processing.failed"
    assert (invoice().invoice.amount_paid, invoice().invoice.amount_due) == (0, Decimal("7.65"))
    assert "recorded_payment_taken_back" in [issue.code for issue in invoice().issues]
    assert problems_of(engine) == []


def test_a_webhook_delivered_twice_or_years_later_changes_nothing(house, engine, invoice, tell, clock):
    ((headers, body),) = house.money.pending_webhooks()
    assert engine.receive_webhook(house.app_id, dict(headers), body) > 0
    work_until_quiet(engine, clock)
    clock.advance(timedelta(days=700))
    assert engine.receive_webhook(house.app_id, dict(headers), body) == 0
    engine.run_until_idle()
    assert invoice().status == "paid"


def test_a_forged_webhook_is_refused_and_nothing_is_stored(house, engine, invoice):
    ((headers, body),) = house.money.pending_webhooks()
    with pytest.raises(WebhookRefused, match="does not match"):
        engine.receive_webhook(house.app_id, dict(headers), body + b" ")


def test_a_refund_ends_when_gocardless_has_paid_it(house, engine, invoice, clock):
    work_until_quiet(engine, clock)
    namespace = engine.namespace()
    with pytest.raises(InvalidInput, match="is left"):
        namespace.refunds.refund(invoice().payments[0].id, Decimal("7.66"))
    namespace.refunds.refund(invoice().payments[0].id, Decimal("2.55"), key="r")
    work_until_quiet(engine, clock, timedelta(days=4))
    assert house.money.totals() == {"GBP": Decimal("5.10")}
    assert invoice().invoice.amount_refunded == Decimal("2.55")
    assert problems_of(engine) == []


@pytest.mark.parametrize("rules", [GoCardlessRules(new_customers_sign=())])
def test_without_a_mandate_the_payment_waits_for_the_customer_s_signature(house, engine, invoice, clock):
    assert invoice().status == "payment_processing.failed"
    assert invoice().payments[0].code == "mandate_missing"
    house.money.sign_mandate(house.money.customers()[0].id)
    engine.namespace().invoices.retry(invoice().id)
    work_until_quiet(engine, clock)
    assert invoice().status == "paid"


KINDS = (
    "lost_response",
    "5xx_after_commit",
    "5xx_before",
    "garbage",
    "truncated",
    "throttle",
    "refuse",
    "late",
    "slow",
)
PATHS = ("POST /customers", "GET /mandates", "POST /payments", "GET /payments", "POST /refunds")
WORST = [*product(("lost_response", "5xx_after_commit", "late"), PATHS[::2]), ("garbage", "GET /mandates"), ("throttle", "GET /payments")]  # fmt: skip
REST = [pytest.param(*each, marks=pytest.mark.long) for each in product(KINDS, PATHS) if each not in WORST]


@pytest.mark.parametrize("rules", [HOURS])
@pytest.mark.parametrize("kind, path", [*WORST, *REST])
def test_whatever_goes_wrong_on_the_way_there_is_one_customer_one_payment_and_one_refund(
    house, engine, invoice, clock, kind, path
):
    house.money.fault(kind, matching=path)
    other = engine.namespace().invoices.submit(draft("other", "grace")).id
    work_until_quiet(engine, clock, timedelta(days=4))
    payment = engine.namespace().invoices.get(other).payments[0]
    engine.namespace().refunds.refund(payment.id, Decimal("1.00"), key="r")
    work_until_quiet(engine, clock, timedelta(days=4))
    assert house.money.duplicates() == ()
    assert house.money.totals() == {"GBP": Decimal("14.30")}
    assert len(house.money.customers()) == 2
    assert problems_of(engine) == []


def test_a_dead_token_parks_the_work_and_a_new_one_lets_it_go_on(house, engine, clock):
    house.money.fault("token_expired", times=None, matching="/")
    invoice_id = engine.namespace().invoices.submit(draft("lamp")).id
    engine.run_until_idle()
    assert engine.namespace().apps.get(house.app_id).status == "unauthorized"
    house.money.clear_faults()
    engine.namespace().apps.set_credentials(house.app_id, {"access_token": "gocardless-token"})
    work_until_quiet(engine, clock)
    assert engine.namespace().invoices.get(invoice_id).status == "paid"


def test_a_preview_shows_the_payment_before_anything_is_sent(house, engine):
    namespace = engine.namespace()
    invoice_id = namespace.invoices.submit(draft("lamp", workflow={"auto_advance": False})).id
    engine.run_until_idle()
    before = len(house.money.calls())
    steps = [step for step in namespace.invoices.preview(invoice_id).steps if GOCARDLESS_URL in step.url]
    assert [(step.operation, step.method) for step in steps][-1] == ("collect_payment", "POST")
    assert b'"amount":765,"currency":"GBP"' in steps[-1].body
    assert len(house.money.calls()) == before


# Crashes.


@pytest.fixture
def crashes(tmp_path: Path, prepared: Path) -> Crashes:
    numbers = count(1)

    def a_fresh_house() -> House:
        return House(Path(shutil.copy(prepared, tmp_path / f"{next(numbers)}.db")), TurnedClock(BEGINS_AT), HOURS)

    return Crashes(a_fresh_house, timedelta(seconds=3))


def what_went_wrong(runs) -> list[str]:
    found, tried = [], 0
    for run in runs:
        tried += 1
        assert run.crashed_as_asked, run
        found += [f"{run}: {problem}" for problem in run.problems]
        run.scenario.close()
    assert tried, "no crash was tried"
    return found


def test_the_story_ends_well_where_nothing_crashes(crashes):
    run = crashes.run()
    assert not run.problems
    run.scenario.close()


def test_a_crash_after_whatever_was_sent_leaves_everything_exactly_once(crashes):
    assert what_went_wrong(crashes.singles(frozenset({"send.after"}))) == []


@pytest.mark.long
def test_a_crash_anywhere_leaves_everything_exactly_once(crashes):
    assert what_went_wrong(crashes.singles()) == []


@pytest.mark.long
def test_two_crashes_leave_everything_exactly_once(crashes):
    assert what_went_wrong(crashes.sampled(100, deaths=2)) == []
