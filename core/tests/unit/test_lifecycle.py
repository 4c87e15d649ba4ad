from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from billhook.domain.lifecycle import (
    Action,
    Decision,
    InvoiceFacts,
    Refused,
    State,
    Trigger,
    available_actions,
    collection_time,
    decide,
    decide_from_outside,
    due_trigger,
    work_needed,
)
from billhook.domain.period import CalendarDuration

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
A_DAY = timedelta(days=1)


def a_new_invoice(**changes: object) -> InvoiceFacts:
    facts = InvoiceFacts(
        state=State.DRAFT_CREATED,
        revision=1,
        created_at=NOW,
        amount_due=Decimal("10.00"),
        amount_paid=Decimal(0),
    )
    return facts.replace(**changes)


def fired(facts: InvoiceFacts, trigger: Trigger = Trigger.NEXT, now: datetime = NOW) -> InvoiceFacts:
    return decided(facts, trigger, now).facts


def decided(facts: InvoiceFacts, trigger: Trigger = Trigger.NEXT, now: datetime = NOW) -> Decision:
    decision = decide(facts, trigger, now)
    assert isinstance(decision, Decision), decision
    return decision


def a_draft_that_waits_for_sync(**changes: object) -> InvoiceFacts:
    return fired(fired(a_new_invoice(**changes)).replace(validated_revision=1))


def an_issued_invoice(**changes: object) -> InvoiceFacts:
    approved = fired(a_draft_that_waits_for_sync(**changes).replace(synced_revision=1))
    return fired(approved.replace(issued_revision=1))


def test_an_invoice_goes_from_draft_to_paid_stopping_only_where_work_is_needed():
    facts = a_new_invoice(tax_required=True)
    story = []
    passes = {"calculate_tax": "validated_revision", "sync_draft": "synced_revision", "issue": "issued_revision"}
    while True:
        facts = fired(facts)
        work = work_needed(facts)
        story.append((facts.state, work))
        if work.operation == "collect_payment":
            break
        facts = facts.replace(**{passes[work.operation]: facts.revision})
    assert story == [
        ("draft.validating", ("tax", "calculate_tax")),
        ("draft.syncing", ("invoicing", "sync_draft")),
        ("issuing.syncing", ("invoicing", "issue")),
        ("payment_processing.pending", ("payment", "collect_payment")),
    ]
    paid = decided(facts.replace(amount_due=Decimal(0)), Trigger.PAID)
    assert [hop.to_state for hop in paid.hops] == ["payment_processing.booking_authorized_and_settled", "paid"]
    assert work_needed(paid.facts) is None


def test_an_edit_during_the_draft_pause_is_validated_and_pauses_again():
    edited = decided(a_draft_that_waits_for_sync(), Trigger.UPDATED)
    assert edited.facts.revision == 2
    assert edited.facts.state == "draft.validating"
    waits_again = fired(edited.facts.replace(validated_revision=2, synced_revision=1))
    assert waits_again.state == "draft.syncing"
    assert work_needed(waits_again) == ("invoicing", "sync_draft")


def test_an_answer_about_an_older_revision_does_not_end_the_pause():
    edited = fired(a_draft_that_waits_for_sync(), Trigger.UPDATED).replace(validated_revision=2)
    assert isinstance(decide(fired(edited).replace(synced_revision=1), Trigger.NEXT, NOW), Refused)


def test_a_refused_draft_is_validated_anew_on_retry_although_critical_issues_are_stored():
    failed = fired(a_draft_that_waits_for_sync().replace(critical_issues=2), Trigger.FAILED)
    assert failed.state == "draft.sync_failed"
    retried = fired(failed, Trigger.RETRY)
    assert (retried.state, retried.critical_issues) == ("draft.validating", 0)
    assert work_needed(retried) == ("invoicing", "validate")


def test_an_invalid_draft_is_validated_anew_on_retry():
    invalid = fired(fired(a_new_invoice()), Trigger.FAILED)
    retried = fired(invalid, Trigger.RETRY)
    assert (retried.state, work_needed(retried)) == ("draft.validating", ("invoicing", "validate"))


def test_a_sent_invoice_is_issued_then_sent_and_never_collected():
    facts = fired(
        a_draft_that_waits_for_sync(collection_method="send_invoice", send_required=True).replace(synced_revision=1)
    )
    assert work_needed(facts) == ("invoicing", "issue")
    facts = facts.replace(issued_revision=1)
    assert work_needed(facts) == ("invoicing", "send")
    pending = fired(facts.replace(sent_revision=1))
    assert pending.state == "payment_processing.pending"
    assert work_needed(pending) is None


def test_nothing_is_collected_for_an_invoice_that_owes_nothing():
    assert work_needed(an_issued_invoice().replace(amount_due=Decimal(0))) is None


def test_a_voided_invoice_is_voided_at_its_app_once():
    voided = fired(an_issued_invoice(), Trigger.VOID)
    assert work_needed(voided) == ("invoicing", "void")
    assert work_needed(voided.replace(void_confirmed=True)) is None


def test_an_invoice_with_captured_money_is_not_voided():
    refused = decide(an_issued_invoice().replace(amount_paid=Decimal("0.01")), Trigger.VOID, NOW)
    assert refused.code == "invoice_action_not_available"


def test_a_deleted_invoice_waits_until_its_app_has_deleted_it():
    deleting = fired(a_draft_that_waits_for_sync(), Trigger.DELETE)
    assert (deleting.state, work_needed(deleting)) == ("delete.syncing", ("invoicing", "delete"))
    assert fired(deleting.replace(delete_confirmed=True)).state == "deleted"


def test_a_stop_keeps_the_invoice_before_issuing_until_it_is_advanced():
    waiting = a_draft_that_waits_for_sync().replace(synced_revision=1)
    held = decide(waiting, Trigger.NEXT, NOW, stop_at=State.DRAFT_READY_TO_ISSUE)
    assert held.facts.state == "draft.ready_to_issue"
    assert held.facts.issued_at is None
    assert fired(held.facts).state == "issuing.syncing"


def test_a_refusal_says_where_the_invoice_is_and_what_it_could_take():
    refused = decide(a_draft_that_waits_for_sync(), Trigger.APPROVE, NOW)
    assert refused.code == "invoice_action_not_available"
    assert "draft.syncing" in refused.message
    assert "Possible in this state: delete, update." in refused.message
    assert decide(a_draft_that_waits_for_sync(), Trigger.NEXT, NOW).code == "invoice_cannot_advance"
    assert "nothing" in decide(a_new_invoice(state=State.VOIDED), Trigger.DELETE, NOW).message


def test_a_refusal_speaks_of_what_callers_can_ask_for():
    pending = a_new_invoice(state=State.PAYMENT_PENDING)
    refused = decide_from_outside(pending, Trigger.UPDATED, NOW)
    assert "where update is not available" in refused.message
    possible = "payment_failed, payment_uncollectible, payment_overdue, action_required, void"
    assert refused.message.endswith(f"Possible in this state: paid, {possible}.")
    assert "snapshot_quantities" in decide_from_outside(pending, Trigger.FORCE_COLLECT, NOW).message
    paid = decide_from_outside(a_new_invoice(state=State.PAID), Trigger.VOID, NOW)
    assert paid.message.endswith("Possible in this state: nothing.")


@pytest.mark.parametrize("state", [state for state in State if not state.startswith(("paid", "payment", "overdue"))])
def test_nobody_outside_can_make_a_sync_fail(state):
    assert isinstance(decide_from_outside(a_new_invoice(state=state), Trigger.FAILED, NOW), Refused)


@pytest.mark.parametrize("state", ["pending", "authorized", "action_required"])
def test_a_payment_failure_is_heard_from_outside(state):
    facts = a_new_invoice(state=State(f"payment_processing.{state}"))
    assert decide_from_outside(facts, Trigger.FAILED, NOW).facts.state == "payment_processing.failed"


def test_a_booking_cannot_be_made_to_fail_from_outside():
    facts = a_new_invoice(state=State.PAYMENT_BOOKING_SETTLED)
    assert isinstance(decide_from_outside(facts, Trigger.FAILED, NOW), Refused)


def test_other_triggers_from_outside_do_the_same_as_inside():
    facts = an_issued_invoice()
    assert decide_from_outside(facts, Trigger.PAID, NOW) == decide(facts, Trigger.PAID, NOW)


# Time.


def test_the_draft_waits_for_usage_and_then_for_its_period():
    collecting = decided(a_new_invoice(collection_at=NOW + A_DAY, draft_period=timedelta(hours=2)))
    assert collecting.facts.state == "draft.waiting_for_collection"
    assert collecting.wakes_at == NOW + A_DAY
    assert due_trigger(collecting.facts, NOW) is None
    assert due_trigger(collecting.facts, NOW + A_DAY) is Trigger.NEXT

    validated = fired(collecting.facts, now=NOW + A_DAY).replace(validated_revision=1)
    synced = fired(validated, now=NOW + A_DAY).replace(synced_revision=1)
    visible = decided(synced, now=NOW + A_DAY)
    assert visible.facts.state == "draft.waiting_auto_approval"
    assert visible.wakes_at == visible.facts.draft_until == NOW + A_DAY + timedelta(hours=2)
    assert fired(visible.facts, now=visible.wakes_at).state == "issuing.syncing"


def test_force_collect_skips_the_wait_for_usage():
    waiting = fired(a_new_invoice(collection_at=NOW + A_DAY))
    assert fired(waiting, Trigger.FORCE_COLLECT).state == "draft.validating"


def test_the_due_date_follows_the_draft_period_where_drafts_advance_by_themselves():
    assert an_issued_invoice(draft_period=timedelta(0)).due_at == NOW + timedelta(days=30)


def test_the_due_date_follows_the_issue_date_where_a_person_approves():
    draft = a_draft_that_waits_for_sync(auto_advance=False, due_after=CalendarDuration(1)).replace(synced_revision=1)
    waiting = fired(draft)
    assert (waiting.draft_until, waiting.due_at) == (None, None)
    late = datetime(2026, 3, 31, 9, 0, 0, 500, tzinfo=UTC)
    issuing = fired(waiting, Trigger.APPROVE, late)
    assert (issuing.issued_at, issuing.due_at) == (late, datetime(2026, 4, 30, 9, tzinfo=UTC))


def test_a_retried_issue_takes_the_new_date_until_the_document_carries_one():
    failed = fired(fired(a_draft_that_waits_for_sync().replace(synced_revision=1)), Trigger.FAILED)
    retried = fired(failed, Trigger.RETRY, NOW + A_DAY)
    assert retried.issued_at == NOW + A_DAY

    issued = retried.replace(issued_revision=1, send_required=True)
    resent = fired(fired(issued, Trigger.FAILED), Trigger.RETRY, NOW + 2 * A_DAY)
    assert resent.issued_at == NOW + A_DAY
    assert work_needed(resent) == ("invoicing", "send")


def test_only_a_profile_that_opts_in_makes_invoices_overdue_by_date():
    assert decided(an_issued_invoice(), Trigger.AUTHORIZED).wakes_at is None

    pending = an_issued_invoice(overdue_after_due=True)
    assert due_trigger(pending, pending.due_at) is Trigger.PAYMENT_OVERDUE
    assert due_trigger(pending, pending.due_at - timedelta(seconds=1)) is None
    assert fired(pending, Trigger.PAYMENT_OVERDUE, pending.due_at).state == "overdue"


def test_a_retried_payment_is_not_overdue_again_at_once():
    pending = an_issued_invoice(overdue_after_due=True)
    overdue = fired(pending, Trigger.PAYMENT_OVERDUE, pending.due_at)
    assert overdue.overdue_at == pending.due_at
    retried = decided(overdue, Trigger.RETRY, pending.due_at + A_DAY)
    assert retried.wakes_at is None
    assert work_needed(retried.facts) == ("payment", "collect_payment")
    again = fired(retried.facts, Trigger.PAYMENT_OVERDUE, pending.due_at + 2 * A_DAY)
    assert again.overdue_at == pending.due_at


def test_a_mirrored_invoice_has_no_clock_of_its_own():
    upstream_dates = {"due_at": NOW + A_DAY, "issued_at": NOW - A_DAY}
    mirrored = a_new_invoice(mirrored=True, overdue_after_due=True, collection_at=NOW + A_DAY, **upstream_dates)
    approval = decided(fired(fired(mirrored).replace(validated_revision=1)).replace(synced_revision=1), now=NOW)
    assert (approval.facts.state, approval.wakes_at) == ("draft.waiting_auto_approval", None)

    pending = decided(fired(approval.facts, Trigger.APPROVE).replace(issued_revision=1))
    assert (pending.facts.state, pending.wakes_at) == ("payment_processing.pending", None)
    assert due_trigger(pending.facts, NOW + 2 * A_DAY) is None
    assert (pending.facts.due_at, pending.facts.issued_at) == (NOW + A_DAY, NOW - A_DAY)


def test_a_mirrored_invoice_is_issued_now_where_the_upstream_gives_no_date():
    mirrored = a_new_invoice(mirrored=True, state=State.DRAFT_READY_TO_ISSUE, due_at=NOW + A_DAY)
    issuing = fired(mirrored)
    assert (issuing.issued_at, issuing.due_at) == (NOW, NOW + A_DAY)


def test_collection_waits_for_the_latest_metered_line():
    assert collection_time([NOW + A_DAY, NOW], timedelta(hours=1)) == NOW + A_DAY + timedelta(hours=1)
    assert collection_time([], timedelta(hours=1)) is None


# Actions.


def test_the_actions_of_a_draft_that_waits_for_approval():
    waiting = fired(a_draft_that_waits_for_sync(auto_advance=False).replace(synced_revision=1))
    assert available_actions(waiting, NOW) == {Action.APPROVE: "issuing.syncing", Action.DELETE: "deleted"}
    assert available_actions(waiting.replace(has_lines=False), NOW)[Action.APPROVE] == "delete.syncing"


def test_where_issuing_needs_no_wait_the_actions_see_past_it():
    waiting = fired(a_draft_that_waits_for_sync(auto_advance=False).replace(synced_revision=1))
    at_once = available_actions(waiting.replace(issued_revision=1), NOW)
    assert at_once[Action.APPROVE] == "payment_processing.pending"


def test_the_actions_ignore_issues_on_the_way_but_not_at_the_start():
    failed = fired(a_draft_that_waits_for_sync().replace(critical_issues=1), Trigger.FAILED)
    assert available_actions(failed, NOW) == {Action.RETRY: "draft.validating", Action.DELETE: "deleted"}
    collected = a_new_invoice(state=State.DRAFT_WAITING_FOR_COLLECTION, validated_revision=1, critical_issues=1)
    assert available_actions(collected, NOW)[Action.ADVANCE] == "draft.syncing"
    blocked = a_new_invoice(state=State.DRAFT_MANUAL_APPROVAL_NEEDED, critical_issues=1)
    assert Action.APPROVE not in available_actions(blocked, NOW)


def test_the_actions_follow_the_clock():
    waiting = fired(a_new_invoice(collection_at=NOW + A_DAY))
    assert available_actions(waiting, NOW) == {
        Action.SNAPSHOT_QUANTITIES: "draft.validating",
        Action.DELETE: "deleted",
    }
    assert available_actions(waiting, NOW + A_DAY)[Action.ADVANCE] == "draft.validating"


def test_facts_refuse_a_field_they_do_not_have():
    with pytest.raises(TypeError, match="paid_revision"):
        a_new_invoice().replace(paid_revision=1)


def test_facts_made_at_once_are_those_that_the_constructor_makes():
    facts = a_draft_that_waits_for_sync()
    assert InvoiceFacts.of(**vars(facts)) == facts
    with pytest.raises(TypeError, match="revision"):
        InvoiceFacts.of(**{name: value for name, value in vars(facts).items() if name != "revision"})
