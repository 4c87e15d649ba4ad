"""What is decided, for every pair of places where an invoice can stand."""

from __future__ import annotations

import itertools

import pytest

from billhook.domain.lifecycle import State
from billhook_openmeter import PostAt, Situation, Step, decide
from billhook_openmeter.decision import FAILED, ISSUED, STEPS
from billhook_openmeter.phases import Here, Upstream, phase_here, upstream_phase

EVERYTHING = [
    Situation(upstream, here, current, told, drafts)
    for upstream, here, current, told, drafts in itertools.product(
        Upstream, Here, (True, False), (True, False), (True, False)
    )
]
# What a step leads to, on either side, when it is done.
ACTS_HERE = {Step.MIRROR, Step.APPROVE, Step.RETRY, Step.DELETE, Step.VOID, Step.HEAR_PAYMENT}


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
        ("draft.sync_failed", Upstream.DRAFTING),
        ("issuing.syncing", Upstream.ISSUE_SYNC),
        ("issuing.failed", Upstream.ISSUING),
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


def test_nothing_is_made_twice():
    assert all(
        situation.here is Here.ABSENT or not situation.current
        for situation in EVERYTHING
        if decide(situation) is Step.MIRROR
    )


def test_nothing_is_issued_before_upstream_issues_it_but_where_that_is_wanted():
    early = {Upstream.DRAFTING, Upstream.DRAFT_SYNC}
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


def test_a_failure_is_told_once_and_tried_again_when_upstream_asks():
    for each in EVERYTHING:
        if each.here in FAILED and each.told and each.current:
            assert decide(each) not in (Step.TELL_FAILED, Step.TELL_PAYMENT, Step.NOTE_TOLD)
    asked = {Upstream.DRAFT_SYNC, Upstream.ISSUE_SYNC}
    assert {decide(Situation(upstream, Here.DRAFT_FAILED, told=True)) for upstream in asked} == {Step.RETRY}


def test_money_that_is_held_here_is_never_voided_or_deleted():
    assert not [each for each in EVERYTHING if each.here is Here.PAID and decide(each) in (Step.VOID, Step.DELETE)]


def test_what_moves_here_never_undoes_what_is_final_here():
    final = {Here.VOIDED, Here.DELETED}
    assert not [each for each in EVERYTHING if each.here in final and each.current and decide(each) in ACTS_HERE]
