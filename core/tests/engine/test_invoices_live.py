"""A real engine under random commands, random answers, crashes and the passing of time: what must hold, holds after every step."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from engine_kit import (
    Shop,
    a_provider,
    answers,
    careful_draft,
    copy_of,
    documents,
    late_by,
    look_up,
    lost_after,
    lost_before,
    not_sent,
    open_shop,
    put,
    repeat,
)
from hypothesis import HealthCheck, settings, strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from billhook.contract import Batch, Done, PaymentResult, PaymentStatus, Rejected, RemovalResult
from billhook.domain.states import State, Trigger
from billhook.domain.transitions import TRANSITIONS
from billhook.engine.commands import PAYMENT_TRIGGERS
from billhook.engine.invoice_row import COLUMNS, fold
from billhook.errors import BillhookError, StoreError
from billhook.faults import NO_FAULTS
from billhook.store import schema
from billhook.testing.invariants import problems_of

WAYS = {(row.state, row.trigger, row.to) for row in TRANSITIONS}
NOT_IN_EVENTS = {"id", "namespace", "version"}
TROUBLE = {
    "lost before": lost_before,
    "lost after": lost_after,
    "late": late_by(25),
    "no connection": not_sent,
    "throttled": answers(429, retry_after="20"),
    "down": answers(503),
    "unreadable": answers(200, b"{"),
}
POINTS = ("send.before", "send.after", "reply.received", "round.before", "round.after")
KEPT = {
    "sync_draft": "drafts",
    "issue": "issue",
    "delete": "removed",
    "void": "removed",
    "collect_payment": "collect",
}
"""Under which name the books keep what an operation makes."""
EDITS = (
    {"description": "again"},
    {"lines": [{"name": "More", "quantity": "2", "price": {"type": "unit", "amount": "3"}}]},
)


def issue(self: Any, batch: Batch[Any, Any]) -> Any:
    reply = yield put("issue", batch, "issue", recover=(repeat(), look_up(self, batch, "issue")))
    return documents(batch, reply)


def remove(self: Any, batch: Batch[Any, Any]) -> Any:
    yield put("remove", batch, "removed", recover=(repeat(), look_up(self, batch, "removed")))
    return {batch.only.id: Done(RemovalResult())}


class InvoicesLive(RuleBasedStateMachine):
    """A few invoices, and everything that can happen to them."""

    invoices = Bundle("invoices")

    def __init__(self, url: str) -> None:
        super().__init__()
        self.payment_status = PaymentStatus.SUCCEEDED
        provider = a_provider(
            sync_draft=careful_draft, issue=issue, delete=remove, void=remove, collect_payment=self._collecting()
        )
        self.shop: Shop = open_shop(url, provider, workflow={"draft_period": "PT10M", "overdue_after_due": True})

    def _collecting(self) -> Callable[..., Any]:
        machine = self

        def collect_payment(self: Any, batch: Batch[Any, Any]) -> Any:
            item = batch.only
            yield put("collect", batch, "collect", recover=(repeat(), look_up(self, batch, "collect")))
            if machine.payment_status is PaymentStatus.CANCELED:
                return {item.id: Rejected.because("refused", "No.")}
            amount = item.amount if machine.payment_status is PaymentStatus.SUCCEEDED else Decimal(0)
            return {item.id: Done(PaymentResult(machine.payment_status, amount, f"pay-{item.id}"))}

        return collect_payment

    # What a host does.

    @rule(
        target=invoices,
        auto=st.booleans(),
        method=st.sampled_from(["charge_automatically", "send_invoice"]),
        seconds=st.sampled_from([None, 0, 700]),
    )
    def submit(self, auto: bool, method: str, seconds: int | None) -> str:
        id = self.shop.submit(workflow={"auto_advance": auto, "collection_method": method})
        if seconds is not None:
            self.shop.run_for(seconds)
        return id

    @initialize(target=invoices, method=st.sampled_from(["charge_automatically", "send_invoice"]))
    def an_issued_invoice(self, method: str) -> str:
        return self.submit(auto=True, method=method, seconds=700)

    def _give(self, id: str, act: Callable[[], Any]) -> None:
        before = self._row(id)["version"]
        try:
            act()
        except StoreError:
            raise
        except BillhookError:
            assert self._row(id)["version"] == before

    @rule(id=invoices, edit=st.sampled_from(EDITS))
    def update(self, id: str, edit: dict[str, Any]) -> None:
        self._give(id, lambda: self.shop.ns.invoices.update(id, edit))

    @rule(id=invoices, name=st.sampled_from(["approve", "retry", "advance", "void", "snapshot_quantities"]))
    def command(self, id: str, name: str) -> None:
        self._give(id, lambda: getattr(self.shop.ns.invoices, name)(id))

    @rule(id=consumes(invoices))
    def delete(self, id: str) -> None:
        self._give(id, lambda: self.shop.ns.invoices.delete(id))

    @rule(id=invoices, trigger=st.sampled_from(sorted(PAYMENT_TRIGGERS)))
    def say(self, id: str, trigger: str) -> None:
        self._give(id, lambda: self.shop.ns.invoices.payment_status(id, trigger))

    @rule(id=invoices, amount=st.sampled_from(["1", "4.50", "10", "25"]), key=st.sampled_from([None, "a", "b"]))
    def pay(self, id: str, amount: str, key: str | None) -> None:
        self._give(id, lambda: self.shop.ns.invoices.record_payment(id, amount, key=key))

    # What the provider does.

    @rule(names=st.lists(st.sampled_from(sorted(TROUBLE)), min_size=1, max_size=4))
    def trouble(self, names: list[str]) -> None:
        self.shop.wire.plan(*[TROUBLE[name] for name in names])

    @rule(status=st.sampled_from(list(PaymentStatus)))
    def the_bank_answers(self, status: PaymentStatus) -> None:
        self.payment_status = status

    @rule(id=invoices)
    def the_books_refuse(self, id: str) -> None:
        self.shop.books.refuses ^= {id}

    # Time and accidents.

    @rule(rounds=st.integers(1, 4))
    def work_a_little(self, rounds: int) -> None:
        self.shop.engine.run_until_idle(at_most=rounds)

    @rule(seconds=st.sampled_from([0, 5, 60, 700, 86_400]))
    def time_passes(self, seconds: int) -> None:
        self.shop.run_for(seconds)

    @rule(point=st.sampled_from(POINTS), visit=st.integers(1, 2))
    def crash(self, point: str, visit: int) -> None:
        try:
            self.shop.crash(point, visit)
        except AssertionError:
            self.shop.restart(faults=NO_FAULTS)

    # What must hold.

    def _row(self, id: str) -> dict[str, Any]:
        return self.shop.rows(schema.invoice, id=id)[0]

    @invariant()
    def events_lead_to_every_row_along_the_table(self) -> None:
        with self.shop.engine.database.read() as tx:
            rows = [dict(row._mapping) for row in tx.all(sa.select(schema.invoice))]
            events = [row._mapping for row in tx.all(sa.select(schema.event).order_by(schema.event.c.version))]
        for row in rows:
            mine = [event for event in events if event["document_id"] == row["id"]]
            assert [event["version"] for event in mine] == list(range(1, row["version"] + 1))
            folded = fold([event["changes"] for event in mine])
            assert {name: folded.get(name) for name in COLUMNS if name not in NOT_IN_EVENTS} == {
                name: row[name] for name in COLUMNS if name not in NOT_IN_EVENTS
            }
            self._walk(row, mine)

    def _walk(self, row: dict[str, Any], events: list[Any]) -> None:
        state = State.DRAFT_CREATED
        for event in events:
            for trigger, to in json.loads(event["hops"] or "[]"):
                assert (state, Trigger(trigger), State(to)) in WAYS, (state, trigger, to)
                state = State(to)
            stated = json.loads(event["changes"]).get("state")
            assert stated is None or stated == state
        assert row["state"] == state

    @invariant()
    def money_is_what_the_payments_say(self) -> None:
        payments = self.shop.rows(schema.payment)
        for row in self.shop.rows(schema.invoice):
            received = [Decimal(each["amount_received"]) for each in payments if each["invoice_id"] == row["id"]]
            assert Decimal(row["amount_paid"]) == sum(received, Decimal(0))

    @invariant()
    def nobody_made_more_documents_than_there_were_revisions(self) -> None:
        made = [(reference, document.partition("-")[0]) for reference, document in self.shop.books.documents]
        for row in self.shop.rows(schema.invoice):
            assert made.count((row["id"], "drafts")) <= row["revision"]
            assert made.count((row["id"], "issue")) <= 1

    @invariant()
    def numbers_are_whole(self) -> None:
        for counter in self.shop.engine.numbers.audit("acme", "invoice").values():
            assert counter.is_whole

    def _settle_doubts(self) -> None:
        """Where the trouble outlasted the engine's patience, a person looks into the books and says what stands there."""
        doubts = self.shop.ns.doubts
        while in_doubt := doubts.list():
            self.shop.wire.let_arrive()
            for doubt in in_doubt:
                made = {
                    reference: id for reference, id in self.shop.books.documents if id.startswith(KEPT[doubt.operation])
                }
                found = made.get(doubt.document_id)
                doubts.resolve(doubt.document_id, operation=doubt.operation, found=found, absent=found is None)
            self.shop.run_for(5 * 86_400)

    def teardown(self) -> None:
        try:
            self.shop.books.refuses = set()
            self.shop.run_for(5 * 86_400)
            self._settle_doubts()
            assert problems_of(self.shop.engine) == []
            assert [row["operation"] for row in self.shop.rows(schema.work) if row["operation"] != "advance"] == []
        finally:
            self.shop.close()


def live(template: Path, folder: Path, examples: int, steps: int) -> None:
    numbers = itertools.count()
    run_state_machine_as_test(
        lambda: InvoicesLive(copy_of(template, folder / f"{next(numbers)}.db")),
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        ),
    )


def test_random_lives_of_a_few_invoices(file_template: Path, tmp_path: Path):
    live(file_template, tmp_path, examples=12, steps=20)


@pytest.mark.long
def test_many_random_lives_of_many_invoices(file_template: Path, tmp_path: Path):
    live(file_template, tmp_path, examples=200, steps=40)
