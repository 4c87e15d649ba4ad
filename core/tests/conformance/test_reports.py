"""What is told of an examination: the same for the same seed, whole in each form, and enough to see a failure again."""

from __future__ import annotations

import io
import json

import pytest
from broken_providers import BROKEN, PERFECT, subject_of
from rich.console import Console

from billhook.errors import InvalidInput, ProviderLoadError
from billhook.testing.kit import Failed, ProviderConformance, Subject, Tier, check_named, examine
from billhook.testing.kit.report import as_page, as_text, headline

EXPLAINS = check_named("explains_its_settings")


@pytest.fixture(scope="module")
def found_wanting():
    return examine(subject_of(BROKEN["explains_its_settings"]), tier=Tier.BRONZE)


def test_the_same_seed_gives_the_same_report(found_wanting):
    again = examine(subject_of(BROKEN["explains_its_settings"]), tier=Tier.BRONZE)
    assert again.as_json() == found_wanting.as_json()


def test_a_report_says_what_was_expected_what_happened_and_how_to_see_it_again(found_wanting):
    told = json.loads(json.dumps(found_wanting.as_json()))
    assert told["counts"] == {"passed": 8, "exempt": 0, "failed": 1}
    assert told["tier"] is None
    assert set(told["versions"]) == {"contract", "billhook", "provider", "sdk"}
    failed = next(check for check in told["checks"] if check["verdict"] == "failed")
    assert failed["happened"] == "there is none for setting base_url"
    assert failed["again"] == "billhook check sandbox --check explains_its_settings --seed 0"


def test_a_page_needs_nothing_else_and_escapes_what_stands_in_it(found_wanting):
    page = as_page(found_wanting)
    assert "<!doctype html>" in page
    assert "src=" not in page
    assert "href=" not in page
    assert "explains_its_settings" in page
    assert "sandbox unpackaged reaches no tier: 8 passed, 1 failed" in page


def test_some_checks_alone_prove_no_tier():
    report = examine(subject_of(PERFECT), checks=[check_named("loads"), check_named("renews_as_often_as_it_takes")])
    assert report.tier is None
    assert headline(report).startswith("sandbox unpackaged: 2 passed (")


def test_a_strike_can_be_seen_again_alone():
    check = check_named("a_refusal_for_now_is_waited_out")
    subject = subject_of(BROKEN[check.name])
    (finding,) = examine(subject, checks=[check]).findings
    assert isinstance(finding.verdict, Failed)
    place = finding.verdict.place
    assert f"--fault {place.scene}/{place.fault} --step {place.step}" in finding.again
    alone = examine(subject, checks=[check], fault=f"{place.scene}/{place.fault}", step=place.step)
    assert alone.findings[0].verdict == finding.verdict
    elsewhere = examine(subject, checks=[check], fault="fetch/late", step=9)
    assert elsewhere.findings[0].verdict.kind == "exempt"


def test_whom_nobody_installed_and_what_nobody_wrote_are_refused():
    with pytest.raises(ProviderLoadError, match="There is no provider 'nobody'"):
        Subject.named("nobody")
    with pytest.raises(InvalidInput, match="There is no check 'nothing'"):
        check_named("nothing")


class TestThePerfectOne(ProviderConformance):
    provider = PERFECT
    simulator = staticmethod(subject_of(PERFECT).simulator)
    tier = Tier.BRONZE


def test_a_provider_that_does_not_load_is_told_by_its_one_cause():
    report = examine(subject_of(BROKEN["loads"]), tier=Tier.SILVER)
    console = Console(width=300, record=True, file=io.StringIO())
    console.print(as_text(report))
    told = console.export_text()
    assert len(report.failures) == len(report.findings) > 20
    assert told.count("FAILED") == 1
    assert f"{len(report.findings) - 1} other checks can't be tried before it loads." in told
