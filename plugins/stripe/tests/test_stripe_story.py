"""The real engine bills through a Stripe, dies wherever it can, is started again, and ends with the same books."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from stripe_kit import CHARGED, FINAL, INVOICES, SENT, VAT, Shop, credit_the_chair, flat, give_good_card, submit, unit

from billhook.engine.engine import Engine
from billhook.errors import NotAllowed, NotFound
from billhook.testing.crash import LASTING_POINTS, Crashes, Run, work_until_quiet
from billhook.testing.invariants import problems_of
from billhook_stripe.simulator.server import StripeSimulator

SOON, MUCH_LATER = timedelta(seconds=3), timedelta(days=2)
ON_THE_DESK = {"key": "scratched", "customer_key": "ada", "lines": [flat("Desk, scratched", "25.50", tax_config=VAT)]}
ON_NOTHING = {"key": "goodwill", "customer_key": "grace", "lines": [flat("Goodwill", "5.00")]}
REFUND, PART = Decimal("2.55"), Decimal("100.00")
NOTES = (("scratch", "15.00"), ("stain", "12.00"), ("wobble", "53.01"))


class Story(Shop):
    """Three invoices, a part paid by bank transfer, two credit notes and a refund."""

    def play(self, engine: Engine) -> None:
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


class Corrections(Shop):
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
        give_good_card(self.books)
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


class GivenBack(Shop):
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


@pytest.fixture
def new_story(new_shop: Callable[..., Shop]) -> Callable[..., Shop]:
    return lambda kind=Story: new_shop(kind)


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
