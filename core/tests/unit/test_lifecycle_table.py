"""The table against an expectation written down independently of it: state, trigger, where the invoice is after one hop."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from billhook.domain.diagram import mermaid, table_markdown
from billhook.domain.lifecycle import InvoiceFacts, Refused, State, Trigger, decide, is_failed, is_final, is_mutable
from billhook.domain.transitions import STATES, TRANSITIONS

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def the_facts(state: str, **changes: object) -> InvoiceFacts:
    """An invoice for which every wait is over."""
    facts = InvoiceFacts(
        state=State(state),
        revision=4,
        created_at=NOW - timedelta(days=1),
        amount_due=Decimal("10.00"),
        amount_paid=Decimal(0),
        validated_revision=4,
        synced_revision=4,
        issued_revision=4,
        delete_confirmed=True,
        draft_until=NOW,
    )
    return facts.replace(**changes)


DRAFTS_THAT_EDIT = (
    "created waiting_for_collection collecting validating invalid syncing sync_failed waiting_auto_approval "
    "manual_approval_needed ready_to_issue"
)
PAYMENTS_THAT_VOID = (
    "pending booking_authorized booking_authorized_failed booking_authorized_and_settled "
    "booking_authorized_and_settled_failed authorized booking_settled booking_settled_failed failed action_required"
)
PAYMENT = "payment_processing."
SETTLING = PAYMENT + "booking_authorized_and_settled"
AUTHORIZING = PAYMENT + "booking_authorized"

ONE_HOP = [
    ("draft.created", "next", "draft.waiting_for_collection"),
    ("draft.created", "failed", "draft.invalid"),
    ("draft.waiting_for_collection", "next", "draft.collecting"),
    ("draft.waiting_for_collection", "force_collect", "draft.collecting"),
    ("draft.collecting", "next", "draft.validating"),
    ("draft.collecting", "failed", "draft.invalid"),
    ("draft.updating", "next", "draft.waiting_for_collection"),
    ("draft.updating", "failed", "draft.invalid"),
    ("draft.updating", "delete", "delete.in_progress"),
    ("draft.validating", "next", "draft.syncing"),
    ("draft.validating", "failed", "draft.invalid"),
    ("draft.invalid", "retry", "draft.validating"),
    ("draft.syncing", "next", "draft.waiting_auto_approval"),
    ("draft.syncing", "failed", "draft.sync_failed"),
    ("draft.sync_failed", "retry", "draft.validating"),
    ("draft.waiting_auto_approval", "next", "draft.ready_to_issue"),
    ("draft.waiting_auto_approval", "approve", "draft.ready_to_issue"),
    ("draft.manual_approval_needed", "approve", "draft.ready_to_issue"),
    ("draft.ready_to_issue", "next", "issuing.line_finalization"),
    *[(f"draft.{draft}", "updated", "draft.updating") for draft in DRAFTS_THAT_EDIT.split()],
    *[(f"draft.{draft}", "delete", "delete.in_progress") for draft in DRAFTS_THAT_EDIT.split()],
    ("delete.in_progress", "next", "delete.syncing"),
    ("delete.in_progress", "failed", "delete.failed"),
    ("delete.syncing", "next", "deleted"),
    ("delete.syncing", "failed", "delete.failed"),
    ("delete.failed", "delete", "delete.in_progress"),
    ("issuing.line_finalization", "next", "issuing.syncing"),
    ("issuing.line_finalization", "failed", "issuing.line_finalization_failed"),
    ("issuing.line_finalization", "delete", "delete.in_progress"),
    ("issuing.line_finalization_failed", "retry", "issuing.line_finalization"),
    ("issuing.line_finalization_failed", "delete", "delete.in_progress"),
    ("issuing.syncing", "next", "issuing.charge_booking"),
    ("issuing.syncing", "failed", "issuing.failed"),
    ("issuing.syncing", "delete", "delete.in_progress"),
    ("issuing.failed", "retry", "issuing.syncing"),
    ("issuing.failed", "delete", "delete.in_progress"),
    ("issuing.charge_booking", "next", "issued"),
    ("issuing.charge_booking", "failed", "issuing.charge_booking_failed"),
    ("issuing.charge_booking", "delete", "delete.in_progress"),
    ("issuing.charge_booking_failed", "retry", "issuing.charge_booking"),
    ("issuing.charge_booking_failed", "delete", "delete.in_progress"),
    ("issued", "next", PAYMENT + "pending"),
    ("issued", "void", "voided"),
    (PAYMENT + "pending", "authorized", AUTHORIZING),
    (PAYMENT + "pending", "paid", SETTLING),
    (PAYMENT + "pending", "failed", PAYMENT + "failed"),
    (PAYMENT + "pending", "payment_uncollectible", "uncollectible"),
    (PAYMENT + "pending", "payment_overdue", "overdue"),
    (PAYMENT + "pending", "action_required", PAYMENT + "action_required"),
    (AUTHORIZING, "next", PAYMENT + "authorized"),
    (AUTHORIZING, "failed", AUTHORIZING + "_failed"),
    (AUTHORIZING + "_failed", "retry", AUTHORIZING),
    (SETTLING, "next", "paid"),
    (SETTLING, "failed", SETTLING + "_failed"),
    (SETTLING + "_failed", "retry", SETTLING),
    (PAYMENT + "authorized", "paid", PAYMENT + "booking_settled"),
    (PAYMENT + "authorized", "failed", PAYMENT + "failed"),
    (PAYMENT + "authorized", "payment_uncollectible", "uncollectible"),
    (PAYMENT + "authorized", "payment_overdue", "overdue"),
    (PAYMENT + "authorized", "action_required", PAYMENT + "action_required"),
    (PAYMENT + "booking_settled", "next", "paid"),
    (PAYMENT + "booking_settled", "failed", PAYMENT + "booking_settled_failed"),
    (PAYMENT + "booking_settled_failed", "retry", PAYMENT + "booking_settled"),
    (PAYMENT + "failed", "authorized", AUTHORIZING),
    (PAYMENT + "failed", "paid", SETTLING),
    (PAYMENT + "failed", "retry", PAYMENT + "pending"),
    (PAYMENT + "failed", "payment_overdue", "overdue"),
    (PAYMENT + "failed", "payment_uncollectible", "uncollectible"),
    (PAYMENT + "failed", "action_required", PAYMENT + "action_required"),
    (PAYMENT + "action_required", "authorized", AUTHORIZING),
    (PAYMENT + "action_required", "paid", SETTLING),
    (PAYMENT + "action_required", "failed", PAYMENT + "failed"),
    (PAYMENT + "action_required", "retry", PAYMENT + "pending"),
    (PAYMENT + "action_required", "payment_overdue", "overdue"),
    (PAYMENT + "action_required", "payment_uncollectible", "uncollectible"),
    *[(PAYMENT + payment, "void", "voided") for payment in PAYMENTS_THAT_VOID.split()],
    ("overdue", "authorized", AUTHORIZING),
    ("overdue", "paid", SETTLING),
    ("overdue", "failed", PAYMENT + "failed"),
    ("overdue", "retry", PAYMENT + "pending"),
    ("overdue", "payment_uncollectible", "uncollectible"),
    ("overdue", "action_required", PAYMENT + "action_required"),
    ("paid", "failed", PAYMENT + "failed"),
    ("uncollectible", "void", "voided"),
    ("uncollectible", "authorized", AUTHORIZING),
    ("uncollectible", "paid", SETTLING),
]


@pytest.mark.parametrize("state,trigger,to", ONE_HOP, ids=str)
def test_the_trigger_leads_to_the_expected_state(state, trigger, to):
    decision = decide(the_facts(state), Trigger(trigger), NOW, stop_at=State(to))
    assert decision.facts.state == to
    assert [(hop.trigger, hop.from_state, hop.to_state) for hop in decision.hops] == [(trigger, state, to)]


def test_no_other_trigger_does_anything():
    expected = {(state, trigger) for state, trigger, _ in ONE_HOP}
    for state in State:
        for trigger in Trigger:
            if (state, trigger) not in expected:
                assert isinstance(decide(the_facts(state), trigger, NOW), Refused), (state, trigger)


def test_the_table_has_no_row_that_nothing_expects():
    two_ways_on = {
        ("issuing.failed", "retry", "draft.validating"),
        ("draft.syncing", "next", "draft.manual_approval_needed"),
        ("draft.ready_to_issue", "next", "delete.syncing"),
    }
    assert {(row.state, row.trigger, row.to) for row in TRANSITIONS} == set(ONE_HOP) | two_ways_on
    assert len(TRANSITIONS) == len(ONE_HOP) + len(two_ways_on)


@pytest.mark.parametrize(
    "state,trigger,in_the_way",
    [
        ("draft.waiting_for_collection", "next", {"collection_at": NOW + timedelta(seconds=1)}),
        ("draft.validating", "next", {"validated_revision": 3}),
        ("draft.validating", "next", {"critical_issues": 1}),
        ("draft.syncing", "next", {"synced_revision": None}),
        ("draft.syncing", "next", {"synced_revision": 3}),
        ("draft.syncing", "next", {"critical_issues": 1}),
        ("draft.syncing", "next", {"critical_issues": 1, "auto_advance": False}),
        ("draft.waiting_auto_approval", "next", {"draft_until": NOW + timedelta(seconds=1)}),
        ("draft.waiting_auto_approval", "next", {"draft_until": None}),
        ("draft.waiting_auto_approval", "next", {"auto_advance": False}),
        ("draft.waiting_auto_approval", "next", {"critical_issues": 1}),
        ("draft.waiting_auto_approval", "next", {"mirrored": True}),
        ("draft.manual_approval_needed", "approve", {"critical_issues": 1}),
        ("delete.syncing", "next", {"delete_confirmed": False}),
        ("issuing.syncing", "next", {"issued_revision": 3}),
        ("issuing.syncing", "next", {"send_required": True}),
        ("issuing.syncing", "next", {"send_required": True, "sent_revision": 3}),
        *[(PAYMENT + payment, "void", {"amount_paid": Decimal("0.01")}) for payment in PAYMENTS_THAT_VOID.split()],
        ("issued", "void", {"amount_paid": Decimal("0.01")}),
        ("uncollectible", "void", {"amount_paid": Decimal("0.01")}),
        *[(f"draft.{draft}", "delete", {"amount_paid": Decimal("0.01")}) for draft in DRAFTS_THAT_EDIT.split()],
        ("issuing.failed", "delete", {"amount_paid": Decimal("0.01")}),
        ("paid", "failed", {"amount_due": Decimal(0)}),
    ],
    ids=str,
)
def test_a_guard_holds_the_trigger_back(state, trigger, in_the_way):
    assert isinstance(decide(the_facts(state, **in_the_way), Trigger(trigger), NOW), Refused)


def test_without_auto_advance_a_person_approves():
    decision = decide(the_facts("draft.syncing", auto_advance=False), Trigger.NEXT, NOW)
    assert decision.facts.state == "draft.manual_approval_needed"


def test_what_was_changed_since_its_sync_is_validated_before_it_is_issued():
    decision = decide(the_facts("issuing.failed", synced_revision=3, validated_revision=3), Trigger.RETRY, NOW)
    assert decision.facts.state == "draft.validating"


def test_an_invoice_without_lines_is_deleted_instead_of_issued():
    decision = decide(the_facts("draft.ready_to_issue", has_lines=False), Trigger.NEXT, NOW)
    assert [hop.to_state for hop in decision.hops] == ["delete.syncing", "deleted"]


def test_the_mutable_states():
    assert {state for state in State if is_mutable(state)} == {f"draft.{draft}" for draft in DRAFTS_THAT_EDIT.split()}


def test_the_failed_states():
    assert {state for state in State if is_failed(state)} == {
        "draft.sync_failed",
        "issuing.line_finalization_failed",
        "issuing.failed",
        "issuing.charge_booking_failed",
        "delete.failed",
        "payment_processing.failed",
        "payment_processing.booking_authorized_failed",
        "payment_processing.booking_authorized_and_settled_failed",
        "payment_processing.booking_settled_failed",
    }


def test_the_final_states():
    assert {state for state in State if is_final(state)} == {"deleted", "paid", "uncollectible", "voided"}


def test_only_settled_invoices_have_no_way_on():
    dead_ends = {state for state in State if all(row.state is not state for row in TRANSITIONS)}
    assert dead_ends == {"deleted", "voided"}


def test_advancing_cannot_run_in_a_circle():
    followers = {
        state: {row.to for row in TRANSITIONS if row.state is state and row.trigger == "next"} for state in State
    }
    reached = dict(followers)
    for _ in State:
        reached = {state: to.union(*(followers[step] for step in to)) for state, to in reached.items()}
    assert not [state for state, to in reached.items() if state in to]


def test_every_state_can_be_reached():
    assert {row.to for row in TRANSITIONS} | {"draft.created"} == set(State)


def test_the_short_status_is_the_part_before_the_dot():
    assert {state.short for state in State} == {
        *("draft", "delete", "deleted", "issuing", "issued", "payment_processing"),
        *("overdue", "paid", "uncollectible", "voided"),
    }


def test_the_diagram_draws_every_transition():
    drawn = mermaid()
    assert drawn.startswith("stateDiagram-v2\n")
    assert "    draft_syncing --> draft_updating: updated\n" in drawn
    assert "    overdue --> payment_processing_failed: failed\n" in drawn
    assert "    issued --> voided: void [nothing is captured]\n" in drawn
    assert "    voided --> [*]\n" in drawn
    assert "    paid --> payment_processing_failed: failed [something is owed]\n" in drawn
    assert drawn.count(" --> ") == len({(row.state, row.to) for row in TRANSITIONS}) + 3
    assert sum(line.count(" / ") for line in drawn.splitlines()) == len(TRANSITIONS) - (drawn.count(" --> ") - 3)


def test_the_markdown_table_has_a_row_for_each_state():
    rows = table_markdown().splitlines()
    assert len(rows) == 2 + len(STATES)
    assert rows[-1] == "| `voided` | none | invoicing: void | final |"
    failed = "| `draft.sync_failed` | retry → `draft.validating`<br>delete [nothing is captured] → `delete.in_progress`"
    assert failed in table_markdown()
