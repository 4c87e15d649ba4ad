"""A change of the contract needs its version, and what is going to go is told beforehand and goes when it was told."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from copy import deepcopy
from typing import Any

import pytest
from provider_of_contract_1_0 import KeptProvider

from billhook.contract import deprecation, frozen
from billhook.contract.deprecation import DEPRECATED, Deprecation
from billhook.contract.evolution import RULES, Bump, compare, version_after
from billhook.contract.frozen import changes_since_published, describe_contract, published_contract, version_problem
from billhook.contract.version import CURRENT, ContractVersion
from billhook.plugins import check_provider

PUBLISHED = ContractVersion.parse(published_contract()["version"])


def test_the_version_is_the_one_that_the_changes_need() -> None:
    assert version_problem(changes_since_published(), PUBLISHED) is None


def changed_by(path: str, value: Any) -> dict[str, Any]:
    """The present contract with something at that path changed; None takes it away."""
    described = deepcopy(describe_contract())
    *above, name = path.split(".")
    place = described
    for part in above:
        place = place[part]
    if value is None:
        del place[name]
    else:
        place[name] = value
    return described


OPTIONAL = {"type": "str", "required": False, "default": "''"}
DEMANDED = {"type": "str", "required": True}


@pytest.mark.parametrize(
    "path, value, needed",
    [
        ("hooks.send", None, "2.0"),
        ("names.Done", None, "2.0"),
        ("types.Request.fields.items", None, "2.0"),
        ("types.Request.fields.priority", DEMANDED, "2.0"),
        ("hooks.map_line.returns", "MappedLine", "2.0"),
        ("types.Request.fields.step.type", "int", "2.0"),
        ("types.Request.fields.note", OPTIONAL, "1.1"),
        ("types.Request.fields.step", OPTIONAL, "1.1"),
        ("types.Capability.members.REMIND", "remind", "1.1"),
        ("hooks.send.arguments.reason", "str", "1.1"),
        ("names.Reminder", "type", "1.1"),
        ("deprecated.send", {"since": "1.1", "removed_in": "2.0"}, "1.1"),
        ("version", "7.7", "1.0"),
    ],
)
def test_each_change_needs_its_version(path: str, value: Any, needed: str) -> None:
    changes = compare(describe_contract(), changed_by(path, value))
    assert str(version_after(ContractVersion(1, 0), changes)) == needed


@pytest.mark.parametrize("version", [ContractVersion(1, 0), ContractVersion(1, 2), ContractVersion(2, 0)])
def test_a_version_that_does_not_fit_is_refused(version: ContractVersion) -> None:
    changes = compare(describe_contract(), changed_by("types.Request.fields.note", OPTIONAL))
    problem = version_problem(changes, ContractVersion(1, 0), version)
    assert problem is not None
    assert "needs 1.1" in problem


def test_where_nothing_changed_the_version_stays() -> None:
    assert version_problem([], CURRENT) is None
    assert version_problem([], CURRENT, ContractVersion(1, 9)) is not None


def test_a_docstring_is_no_part_of_the_contract() -> None:
    assert "Money." not in json.dumps(describe_contract())
    assert "docstring" not in json.dumps(describe_contract()).lower()


def test_whatever_happens_some_rule_judges_it() -> None:
    judged = {rule.happened for rule in RULES if rule.where == "*"}
    assert judged == {"added", "demanded", "gone", "relaxed", "changed"}
    assert all(rule.because for rule in RULES)


def test_the_command_names_every_change_and_the_version() -> None:
    script = "import json, sys; sys.path[:] = json.loads(sys.argv.pop()); import runpy; runpy.run_module(sys.argv.pop(1), run_name='__main__')"
    command = [sys.executable, "-c", script, "billhook.contract.frozen", "--diff", json.dumps(sys.path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert len(lines) == len(changes_since_published()) + 1
    assert lines[-1] == f"Since contract {PUBLISHED} that is {CURRENT}."


def test_a_wrong_version_agrees_to_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    demanding = compare(describe_contract(), changed_by("hooks.send", None))
    monkeypatch.setattr(frozen, "changes_since_published", lambda: demanding)
    before = frozen.AGREED.read_bytes()
    assert frozen.main(["--diff"]) == 1
    with pytest.raises(SystemExit, match=r"needs 2\.0"):
        frozen.main([])
    assert frozen.AGREED.read_bytes() == before


# What is going to go.

HOOK = Deprecation("hooks.fetch", "1.1", "2.0", "look")
ARGUMENT = Deprecation("hooks.map_line.arguments.invoice", "1.1", "2.0", "line.invoice")
FIELD = Deprecation("types.OperationRules.fields.concurrency", "1.1", "2.0", "at_once")
UNUSED = Deprecation("hooks.send", "1.1", "2.0", "deliver")


def test_a_provider_is_told_what_it_uses_since_when_until_when_and_what_instead(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(deprecation, "DEPRECATED", (HOOK, ARGUMENT, FIELD, UNUSED))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert check_provider(KeptProvider) is KeptProvider
    assert {warning.category for warning in caught} == {DeprecationWarning}
    goes = "which is deprecated since contract 1.1 and goes away in 2.0."
    assert [str(warning.message) for warning in caught] == [
        f"kept uses fetch, {goes} Use look instead.",
        f"kept uses the argument invoice of map_line, {goes} Use line.invoice instead.",
        f"kept uses OperationRules.concurrency, {goes} Use at_once instead.",
    ]


def test_what_was_to_be_gone_by_now_fails() -> None:
    assert list(deprecation.expired([HOOK], ContractVersion(1, 9))) == []
    (problem,) = deprecation.expired([HOOK], ContractVersion(2, 0))
    assert problem.startswith("hooks.fetch was to go away in 2.0, and this is 2.0.")


def test_nothing_is_there_that_was_to_be_gone_and_what_is_told_is_right() -> None:
    assert list(deprecation.expired(DEPRECATED, CURRENT)) == []
    assert list(deprecation.misstated(DEPRECATED, CURRENT, describe_contract())) == []


@pytest.mark.parametrize(
    "wrong, told",
    [
        (Deprecation("hooks.remind", "1.1", "2.0", "x"), "is no part of the contract"),
        (Deprecation("hooks.send", "9.0", "10.0", "x"), "is deprecated since 9.0"),
        (Deprecation("hooks.send", "1.1", "1.2", "x"), "Only a later major"),
    ],
)
def test_a_deprecation_that_is_written_down_wrongly_fails(wrong: Deprecation, told: str) -> None:
    (problem,) = deprecation.misstated([wrong], CURRENT, describe_contract())
    assert told in problem


def test_bumps_are_told_in_words() -> None:
    assert [str(bump) for bump in Bump] == ["none", "minor", "major"]
