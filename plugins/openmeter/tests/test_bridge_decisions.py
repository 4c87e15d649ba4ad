"""What is decided, for every pair of places where an invoice can stand."""

from __future__ import annotations

import itertools

import pytest

from billhook.domain.lifecycle import State
from billhook_openmeter import PostAt, Situation, Step, decide
from billhook_openmeter.decision import ACTS_HERE, ISSUED, REFUSED, STEPS, TOLD_ONCE
from billhook_openmeter.phases import Here, Upstream, phase_here, upstream_phase
from billhook_openmeter.reasons import stuck

EVERYTHING = [
    Situation(upstream, here, *truths)
    for upstream, here, *truths in itertools.product(Upstream, Here, *[(True, False)] * 6)
]
U, H = Upstream, Here
MOVES_HERE = {H.DRAFTING, H.ISSUING, H.DELETING}
# Where neither side waits for the other, though they say different things. Everything else that rests is the same on both, or told.
RESTS = {
    # Its draft waits upstream for a time, an approval or a person; a document may stand already at a provider without drafts.
    **{upstream: {H.ABSENT, H.READY, *ISSUED} for upstream in (U.DRAFTING, U.ISSUING)},
    # Delivered before there was a bridge.
    **{upstream: {H.ABSENT} for upstream in (U.PAYMENT_FAILED, U.ACTION_REQUIRED, U.OVERDUE, U.PAID, U.UNCOLLECTIBLE)},
    U.VOIDED: {H.ABSENT, H.DELETED},
    U.DELETED: {H.ABSENT, H.VOIDED},
}
# Unpaid on both sides: upstream was told so by somebody else, and a payment here ends it.
RESTS[U.PAYMENT_FAILED] |= {H.UNPAID}
RESTS[U.ACTION_REQUIRED] |= {H.UNPAID}
SAME = {
    (U.PAYMENT_PENDING, H.UNPAID),
    (U.PAID, H.PAID),
    (U.UNCOLLECTIBLE, H.UNCOLLECTIBLE),
    (U.ACTION_REQUIRED, H.ACTION_REQUIRED),
    (U.VOIDED, H.VOIDED),
    (U.DELETED, H.DELETED),
}


def test_every_pair_has_an_answer():
    assert all(set(STEPS[upstream]) == set(Here) for upstream in Upstream)
    assert all(decide(situation, post_at) in Step for situation in EVERYTHING for post_at in PostAt)


def test_every_state_here_has_a_phase_and_every_phase_a_state():
    phases = {phase_here(state.value) for state in State}
    assert phases == set(Here) - {Here.ABSENT}


@pytest.mark.parametrize(
    "extended_status, phase",
    [
        ("gathering", None),
        ("draft.created", Upstream.DRAFTING),
        ("draft.syncing", Upstream.DRAFT_SYNC),
        ("draft.invalid", Upstream.DRAFTING),
        ("draft.sync_failed", Upstream.DRAFT_REFUSED),
        ("issuing.syncing", Upstream.ISSUE_SYNC),
        ("issuing.failed", Upstream.ISSUE_REFUSED),
        ("issuing.charge_booking_failed", Upstream.ISSUING),
        ("issued", Upstream.ISSUING),
        ("payment_processing.booking_authorized_and_settled", Upstream.PAYMENT_PENDING),
        ("payment_processing.failed", Upstream.PAYMENT_FAILED),
        ("delete.syncing", Upstream.DELETED),
        ("deleted", Upstream.DELETED),
        ("something.new", None),
    ],
)
def test_states_upstream_are_known_by_their_names_on_the_wire(extended_status, phase):
    assert upstream_phase(extended_status) is phase


@pytest.mark.parametrize("upstream", Upstream)
def test_no_pair_stays_different_without_anybody_being_told(upstream):
    """A step moves it, or a person is told. A refusal here is told wherever it rests."""
    silent = {here for here in Here if decide(Situation(upstream, here)) is Step.WAIT} - MOVES_HERE - REFUSED
    assert {here for here in silent if (upstream, here) not in SAME} == RESTS.get(upstream, set())


def test_every_pair_that_needs_a_person_says_how_it_ends():
    for each in EVERYTHING:
        if decide(each) is Step.STUCK or each.here in REFUSED:
            assert len(stuck(each.upstream, each, None)) > len("it is paid upstream and was never here: ")


def test_nothing_is_made_twice():
    assert all(
        situation.here is Here.ABSENT or not situation.current
        for situation in EVERYTHING
        if decide(situation) is Step.MIRROR
    )


def test_nothing_is_issued_before_upstream_issues_it_but_where_that_is_wanted():
    early = {Upstream.DRAFTING, Upstream.DRAFT_SYNC, Upstream.DRAFT_REFUSED}
    assert not [each for each in EVERYTHING if each.upstream in early and decide(each) is Step.APPROVE]
    for_those_without_drafts = [
        each for each in EVERYTHING if each.upstream in early and decide(each, PostAt.DRAFT) is Step.APPROVE
    ]
    assert for_those_without_drafts
    assert not any(each.drafts_at_provider for each in for_those_without_drafts)


def test_a_callback_is_made_only_where_upstream_waits_for_it():
    for each in EVERYTHING:
        step = decide(each)
        assert (step is Step.TELL_DRAFT) <= (each.upstream is Upstream.DRAFT_SYNC)
        assert (step is Step.TELL_ISSUED) <= (each.upstream is Upstream.ISSUE_SYNC and each.here in ISSUED)


def test_what_was_told_once_is_not_told_again_and_tried_again_when_upstream_asks():
    for each in EVERYTHING:
        if each.here in TOLD_ONCE and each.told and each.current and each.has_lines:
            assert decide(each) not in (Step.TELL_FAILED, Step.TELL_PAYMENT, Step.NOTE_TOLD)
    asked = {(U.DRAFT_SYNC, H.DRAFT_FAILED), (U.ISSUE_SYNC, H.ISSUE_FAILED), (U.PAYMENT_PENDING, H.PAYMENT_FAILED)}
    asked |= {(U.PAYMENT_PENDING, H.OVERDUE)}
    assert {decide(Situation(*pair, told=True)) for pair in asked} == {Step.RETRY}


def test_what_is_owed_upstream_is_brought_as_it_is_there_before_it_is_issued():
    owed = {U.PAYMENT_PENDING, U.PAYMENT_FAILED, U.ACTION_REQUIRED, U.OVERDUE, U.PAID}
    assert {decide(Situation(upstream, H.READY, current=False)) for upstream in owed} == {Step.MIRROR}
    assert {decide(Situation(upstream, H.READY)) for upstream in owed} == {Step.APPROVE}


def test_what_is_asked_for_here_already_is_not_asked_for_again():
    assert not [each for each in EVERYTHING if each.asked and decide(each) in ACTS_HERE]


def test_money_that_was_given_back_is_no_contradiction_any_more():
    for upstream in (U.VOIDED, U.DELETED):
        assert decide(Situation(upstream, H.PAID)) is Step.STUCK
        assert decide(Situation(upstream, H.PAID, given_back=True)) is Step.WAIT


def test_money_that_is_held_here_is_never_voided_or_deleted():
    assert not [each for each in EVERYTHING if each.here is Here.PAID and decide(each) in (Step.VOID, Step.DELETE)]


def test_what_moves_here_never_undoes_what_is_final_here():
    final = {Here.VOIDED, Here.DELETED}
    assert not [each for each in EVERYTHING if each.here in final and each.current and decide(each) in ACTS_HERE]
