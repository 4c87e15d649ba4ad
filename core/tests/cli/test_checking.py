"""The command `check`."""

from __future__ import annotations


def test_several_checks_are_run_by_themselves(cli):
    report = cli("check", "custom_invoicing", "--check", "loads", "--check", "hides_its_secrets", "--json").json
    assert [check["name"] for check in report["checks"]] == ["loads", "hides_its_secrets"]
    assert report["tier"] is None


def test_a_check_that_is_not_there_is_refused_with_those_that_are(cli):
    answer = cli("check", "custom_invoicing", "--check", "everything")
    assert answer.code != 0
    assert "There is no check 'everything'. There are: loads, " in answer.err
