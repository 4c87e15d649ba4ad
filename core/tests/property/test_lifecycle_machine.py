"""Any trigger, in any order, at any time: the invoice stays inside the table."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from billhook.domain.lifecycle import (
    STATES,
    Decision,
    InvoiceFacts,
    Refused,
    State,
    Trigger,
    available_actions,
    decide,
    decide_from_outside,
    due_trigger,
    is_failed,
    timers,
    work_needed,
)
from billhook.domain.states import TRIGGER_OF_ACTION
from billhook.domain.transitions import TRANSITIONS

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ROWS = {(row.trigger, row.state, row.to) for row in TRANSITIONS}
PASS_OF_OPERATION = {
    "calculate_tax": "validated_revision",
    "validate": "validated_revision",
    "sync_draft": "synced_revision",
    "issue": "issued_revision",
    "send": "sent_revision",
}
CONFIRMED_BY = {
    "delete": "delete_confirmed",
    "void": "void_confirmed",
    "mark_uncollectible": "write_off_confirmed",
}

BEFORE_VALIDATION = {
    State.DRAFT_CREATED,
    State.DRAFT_WAITING_FOR_COLLECTION,
    State.DRAFT_COLLECTING,
    State.DRAFT_UPDATING,
    State.DRAFT_VALIDATING,
    State.DRAFT_INVALID,
}
BEFORE_SYNC = {State.DRAFT_SYNCING, State.DRAFT_SYNC_FAILED}
AFTER_ISSUE = {"issued", "payment_processing", "paid", "overdue", "uncollectible", "voided"}
ISSUE_CONFIRMED = {
    State.ISSUING_CHARGE_BOOKING,
    State.ISSUING_CHARGE_BOOKING_FAILED,
    *(state for state in State if state.short in AFTER_ISSUE),
}


class AnInvoice(RuleBasedStateMachine):
    @initialize(
        state=st.sampled_from(State),
        auto_advance=st.booleans(),
        mirrored=st.booleans(),
        overdue_after_due=st.booleans(),
        tax_required=st.booleans(),
        send_required=st.booleans(),
        collection_at=st.none() | st.just(NOW + timedelta(days=1)),
        draft_period=st.sampled_from([timedelta(0), timedelta(days=2)]),
        due_after=st.sampled_from([timedelta(0), timedelta(days=3)]),
    )
    def begin_anywhere(self, state: State, **settings: object) -> None:
        self.now = NOW
        self.facts = InvoiceFacts(
            state=state,
            revision=1,
            created_at=NOW,
            amount_due=Decimal("10.00"),
            amount_paid=Decimal(0),
            validated_revision=1 if state not in BEFORE_VALIDATION else None,
            synced_revision=1 if state not in BEFORE_VALIDATION | BEFORE_SYNC else None,
            issued_revision=1 if state in ISSUE_CONFIRMED else None,
            sent_revision=1 if state in ISSUE_CONFIRMED else None,
            draft_until=NOW,
            due_at=NOW,
        ).replace(**settings)

    @rule(trigger=st.sampled_from(Trigger))
    def fire(self, trigger: Trigger) -> None:
        self.take(decide(self.facts, trigger, self.now), trigger)

    @rule(trigger=st.sampled_from(Trigger))
    def fire_from_outside(self, trigger: Trigger) -> None:
        decision = decide_from_outside(self.facts, trigger, self.now)
        if trigger is Trigger.FAILED and isinstance(decision, Decision):
            assert decision.facts.state is State.PAYMENT_FAILED
        self.take(decision, trigger)

    @rule()
    def do_the_work(self) -> None:
        work = work_needed(self.facts)
        if work is None or work.operation == "collect_payment":
            return
        if work.operation in CONFIRMED_BY:
            self.facts = self.facts.replace(**{CONFIRMED_BY[work.operation]: True})
        else:
            self.facts = self.facts.replace(**{PASS_OF_OPERATION[work.operation]: self.facts.revision})
        self.take(decide(self.facts, Trigger.NEXT, self.now), Trigger.NEXT)

    @rule(data=st.data())
    def go_on(self, data: st.DataObject) -> None:
        """Fire something that the table has for this state, and spare the invoice from deletion."""
        triggers = sorted({row.trigger for row in TRANSITIONS if row.state is self.facts.state} - {Trigger.DELETE})
        if triggers:
            trigger = data.draw(st.sampled_from(triggers))
            self.take(decide(self.facts, trigger, self.now), trigger)

    @rule()
    def find_something_critical(self) -> None:
        self.facts = self.facts.replace(critical_issues=self.facts.critical_issues + 1)

    @rule(captured=st.sampled_from([Decimal(0), Decimal("4.00"), Decimal("10.00")]))
    def move_money(self, captured: Decimal) -> None:
        self.facts = self.facts.replace(amount_paid=captured, amount_due=Decimal("10.00") - captured)

    @rule(has_lines=st.booleans())
    def change_lines(self, has_lines: bool) -> None:
        self.facts = self.facts.replace(has_lines=has_lines)

    @rule(hours=st.integers(1, 100))
    def let_time_pass(self, hours: int) -> None:
        self.now += timedelta(hours=hours)
        trigger = due_trigger(self.facts, self.now)
        if trigger is None:
            return
        decision = decide(self.facts, trigger, self.now)
        assert isinstance(decision, Decision), "a timer that is over must move the invoice, or it would ring for ever"
        self.take(decision, trigger)

    def take(self, decision: Decision | Refused, trigger: Trigger) -> None:
        if isinstance(decision, Refused):
            assert decision.code in {"invoice_action_not_available", "invoice_cannot_advance"}
            return
        before, self.facts = self.facts, decision.facts
        assert decision.hops[0].trigger is trigger
        assert all(hop.trigger is Trigger.NEXT for hop in decision.hops[1:])
        assert all(hop in ROWS for hop in decision.hops)
        path = [before.state, *(hop.to_state for hop in decision.hops)]
        assert [hop.from_state for hop in decision.hops] == path[:-1]
        assert self.facts.state is path[-1]
        assert decision.wakes_at == timers(self.facts)
        if State.VOIDED in path:
            assert before.nothing_captured
        if trigger is Trigger.UPDATED:
            self.check_rearmed(before)

    def check_rearmed(self, before: InvoiceFacts) -> None:
        assert STATES[before.state].mutable
        assert self.facts.revision == before.revision + 1
        assert self.facts.state in {State.DRAFT_WAITING_FOR_COLLECTION, State.DRAFT_VALIDATING}

    @invariant()
    def its_actions_say_what_then_happens(self) -> None:
        foretold = available_actions(self.facts, self.now)
        for action, trigger in TRIGGER_OF_ACTION.items():
            decision = decide(self.facts, trigger, self.now)
            assert (action in foretold) == isinstance(decision, Decision)
            if isinstance(decision, Decision) and trigger is not Trigger.DELETE and not self.facts.critical_issues:
                assert decision.facts.state == foretold[action]

    @invariant()
    def is_never_stuck(self) -> None:
        ways_on = [trigger for trigger in Trigger if isinstance(decide(self.facts, trigger, self.now), Decision)]
        assert ways_on or self.facts.state in {State.DELETED, State.PAID, State.VOIDED}

    @invariant()
    def shows_a_failure_only_where_something_failed(self) -> None:
        if is_failed(self.facts.state):
            assert work_needed(self.facts) is None

    @invariant()
    def is_synced_before_it_is_issued(self) -> None:
        if self.facts.state.short in AFTER_ISSUE:
            passes = (self.facts.validated_revision, self.facts.synced_revision, self.facts.issued_revision)
            assert passes == (self.facts.revision,) * 3


TestAnInvoice = AnInvoice.TestCase
