"""The kit is worth what it finds: a perfect provider passes everything, and each broken one fails exactly the check of its mistake."""

from __future__ import annotations

import re

import pytest
from broken.books import FURTHER as FURTHER_OF_BOOKS
from broken.calling import CALLING, Calling
from broken.gold import FURTHER as FURTHER_UNDER_FAULTS, Renamed, Stray
from broken.refusals import FURTHER as FURTHER_OF_REFUSALS
from broken.silver import FURTHER, Later, Summing
from broken.torn import TornBooks
from broken_providers import BROKEN, PERFECT, subject_of

from billhook.providers.custom_invoicing import provider as all_local
from billhook.testing.kit import CHECKS, Exempt, Failed, Passed, Subject, Tier, check_named, examine
from billhook.testing.kit.examination import Examination
from billhook.testing.kit.examine import find
from billhook.testing.sandbox.provider import SandboxProvider


def failing(name: str, *checks: str) -> set[str]:
    """Which of these checks the broken provider of that check fails, those apart that were not tried."""
    report = examine(subject_of(BROKEN[name]), checks=[check_named(each) for each in checks])
    verdicts = ((finding.check.name, finding.verdict) for finding in report.findings)
    return {check for check, verdict in verdicts if isinstance(verdict, Failed) and not verdict.unproven}


def with_neighbours(name: str) -> list[str]:
    """The check and those beside it; a gold one alone, because striking everywhere takes its time."""
    names = [check.name for check in CHECKS if check.tier is not Tier.GOLD]
    if name not in names:
        return [name]
    place = names.index(name)
    return names[max(place - 1, 0) : place + 2]


@pytest.fixture(scope="module")
def perfect() -> Examination:
    return Examination(subject_of(PERFECT))


@pytest.mark.parametrize("name", [check.name for check in CHECKS])
def test_the_perfect_provider_passes(perfect, name):
    verdict = find(perfect, check_named(name)).verdict
    assert isinstance(verdict, Passed), verdict
    assert verdict.count > 0


@pytest.mark.parametrize("name", [check.name for check in CHECKS])
def test_every_check_has_a_provider_that_fails_it_and_not_its_neighbours(name):
    assert name in BROKEN, f"{name} has no broken provider: a check that nothing fails proves nothing"
    assert failing(name, *with_neighbours(name)) == {name}


@pytest.mark.long
@pytest.mark.parametrize("name", [check.name for check in CHECKS])
def test_a_broken_provider_fails_its_own_check_and_no_other(name):
    assert failing(name, *(check.name for check in CHECKS)) == {name}


def test_every_broken_provider_names_the_rule_that_it_breaks():
    for name, provider in BROKEN.items():
        rule = check_named(name).rule
        assert (provider.__doc__ or "").startswith(f"Rule {rule.name}: "), provider
    assert BROKEN.keys() == {check.name for check in CHECKS}


def test_checks_are_told_apart_and_come_in_the_order_of_their_tiers():
    assert len({check.name for check in CHECKS}) == len(CHECKS)
    ranks = [check.tier.rank for check in CHECKS]
    assert ranks == sorted(ranks)
    assert all(check.promise.endswith(".") for check in CHECKS)


def test_a_second_removal_that_is_refused_is_told_in_the_words_of_the_refusal():
    name = "removing_again_is_done"
    verdict = find(Examination(subject_of(BROKEN[name])), check_named(name)).verdict
    assert isinstance(verdict, Failed)
    assert verdict.happened == "a second delete comes to a refusal: There is nothing to delete."


def test_an_edit_is_one_though_the_total_stays():
    verdict = find(Examination(subject_of(Summing)), check_named("an_edit_replaces_what_stood")).verdict
    assert isinstance(verdict, Failed)
    assert verdict.happened == "its lines are named Reworded now, and nothing that is sent says so"


@pytest.mark.parametrize(
    "name, provider, told", [*FURTHER, *FURTHER_OF_BOOKS, *FURTHER_OF_REFUSALS, *FURTHER_UNDER_FAULTS]
)
def test_another_mistake_is_found_and_told(name, provider, told):
    verdict = find(Examination(subject_of(provider)), check_named(name)).verdict
    assert isinstance(verdict, Failed)
    assert told in verdict.happened


@pytest.mark.parametrize("tier", [Tier.SILVER, pytest.param(Tier.GOLD, marks=pytest.mark.long)])
def test_what_is_issued_later_is_looked_at_until_it_is(tier):
    report = examine(subject_of(Later), checks=[check for check in CHECKS if check.tier is tier])
    assert {finding.check.name: finding.verdict for finding in report.failures} == {}


@pytest.mark.parametrize("tier", [Tier.SILVER, pytest.param(Tier.GOLD, marks=pytest.mark.long)])
def test_an_sdk_that_sends_by_itself_is_let_in_to_the_simulator(tier):
    report = examine(subject_of(Calling), checks=[check for check in CHECKS if check.tier is tier])
    assert {finding.check.name: finding.verdict for finding in report.failures} == {}


def test_a_call_is_struck_as_a_request_is():
    (name, *_) = (name for name, *_ in CALLING)
    verdict = find(Examination(subject_of(Calling), only_fault="refund/lost_response"), check_named(name)).verdict
    assert verdict == Passed(1, "strike")


@pytest.mark.parametrize("name, provider, told", CALLING)
def test_a_mistake_with_an_sdk_is_found_and_told(name, provider, told):
    verdict = find(Examination(subject_of(provider)), check_named(name)).verdict
    assert isinstance(verdict, Failed)
    assert told in verdict.happened


def test_what_a_simulator_raises_is_told_with_its_place():
    subject = Subject.of(SandboxProvider, TornBooks)
    verdict = find(Examination(subject), check_named("a_recorded_payment_stands_in_the_books")).verdict
    assert isinstance(verdict, Failed)
    assert re.fullmatch(r"KeyError: 'payments' \(torn\.py, line \d+, in payments\)", verdict.happened)


def test_what_a_late_request_did_twice_is_told_with_the_way_out():
    name = "a_late_request_does_no_harm"
    verdict = find(Examination(subject_of(BROKEN[name])), check_named(name)).verdict
    assert isinstance(verdict, Failed)
    assert verdict.happened.endswith("say with Find(after=...) how late it may come")


def test_a_look_up_that_tells_another_id_is_found():
    verdict = find(Examination(subject_of(Renamed)), check_named("a_lost_answer_is_recovered")).verdict
    assert isinstance(verdict, Failed)
    assert "under which nothing stands there" in verdict.happened


def test_a_check_that_comes_to_no_end_fails_and_the_others_are_tried():
    report = examine(subject_of(Stray), checks=[check_named("no_secret_is_stored"), check_named("loads")])
    failed, passed = (finding.verdict for finding in report.findings)
    assert isinstance(failed, Failed)
    assert failed.happened.startswith("it came to no end: NeverIdle: ")
    assert isinstance(passed, Passed)


def test_without_a_simulator_nothing_beyond_bronze_is_proven():
    report = examine(subject_of(PERFECT).without_simulator())
    assert report.tier is Tier.BRONZE
    beyond = [finding.verdict for finding in report.findings if finding.check.tier is not Tier.BRONZE]
    assert all(isinstance(verdict, Failed) and verdict.unproven for verdict in beyond)


def test_where_everything_is_local_there_is_nobody_to_let_it_down():
    report = examine(Subject.of(all_local))
    assert report.tier is Tier.GOLD
    assert all(isinstance(finding.verdict, Passed | Exempt) for finding in report.findings)
