from __future__ import annotations

import inspect
import json
import subprocess
import sys
from copy import deepcopy
from typing import Any

import pytest

from billhook.contract import Provider
from billhook.contract.evolution import Bump, compare
from billhook.contract.frozen import AGREED, agreed_contract, describe_contract
from billhook.contract.hooks import PROVIDER_SPECS
from billhook.contract.table import HOOKS, PROVIDER_HOOKS, HookKind
from billhook.contract.version import CURRENT


def test_the_contract_is_as_agreed() -> None:
    changes = compare(agreed_contract(), describe_contract())
    listed = "\n".join(f"  {change}" for change in changes)
    assert not changes, (
        f"The contract differs from {AGREED.name}:\n{listed}\n"
        f"Plugins were written for what is agreed. If the change is meant, python -m billhook.contract.frozen --diff tells which "
        f"version it needs instead of {CURRENT}. Then run python -m billhook.contract.frozen."
    )
    assert agreed_contract() == describe_contract(), "Run python -m billhook.contract.frozen: the version changed."


def test_describing_twice_gives_the_same() -> None:
    other = subprocess.run(
        [sys.executable, "-c", SHOW, json.dumps(sys.path)], capture_output=True, text=True, check=True
    )
    assert json.loads(other.stdout) == describe_contract()


SHOW = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from billhook.contract.frozen import describe_contract
print(json.dumps(describe_contract()))
"""


@pytest.fixture
def changed() -> dict[str, Any]:
    return deepcopy(agreed_contract())


def told(changed: dict[str, Any]) -> list[tuple[str, str]]:
    return [(str(change.bump), change.what) for change in compare(agreed_contract(), changed)]


def test_the_agreed_contract_holds_every_hook_and_every_group(changed: dict[str, Any]) -> None:
    assert set(changed["hooks"]) == set(HOOKS)
    assert set(changed["entry_points"]) == {"billhook.providers", "billhook.hooks", "billhook.simulators", "pytest11"}
    assert {"Request", "Line", "InvoiceContent", "Declaration", "DocumentResult"} <= set(changed["types"])


def test_a_new_hook_argument_is_minor(changed: dict[str, Any]) -> None:
    changed["hooks"]["map_line"]["arguments"]["app_id"] = "str"
    assert told(changed) == [("minor", "hooks.map_line.arguments.app_id was added")]


def test_a_new_hook_is_minor(changed: dict[str, Any]) -> None:
    changed["hooks"]["remind"] = changed["hooks"]["send"]
    assert told(changed) == [("minor", "hooks.remind was added")]


def test_a_hook_that_goes_away_is_major(changed: dict[str, Any]) -> None:
    del changed["hooks"]["send"]
    assert told(changed) == [("major", "hooks.send went away")]


def test_a_hook_of_another_kind_is_major(changed: dict[str, Any]) -> None:
    changed["hooks"]["map_line"]["kind"] = "reading"
    [change] = compare(agreed_contract(), changed)
    assert str(change).startswith("major: hooks.map_line.kind was 'pure' and is 'reading' (")


def test_a_new_optional_field_is_minor_and_a_demanded_one_major(changed: dict[str, Any]) -> None:
    changed["types"]["Request"]["fields"]["note"] = {"type": "str", "required": False, "default": "''"}
    changed["types"]["Request"]["fields"]["priority"] = {"type": "int", "required": True}
    assert told(changed) == [
        ("major", "types.Request.fields.priority was added"),
        ("minor", "types.Request.fields.note was added"),
    ]


def test_a_tighter_bound_is_major(changed: dict[str, Any]) -> None:
    changed["types"]["Declaration"]["fields"]["name"]["constraints"]["min_length"] = 3
    [change] = compare(agreed_contract(), changed)
    assert change.bump is Bump.MAJOR


def test_a_field_that_need_not_be_given_any_more_is_minor(changed: dict[str, Any]) -> None:
    changed["types"]["Request"]["fields"]["step"] = {"type": "str", "required": False, "default": "''"}
    assert {change.bump for change in compare(agreed_contract(), changed)} == {Bump.MINOR}


def test_the_version_alone_is_no_change(changed: dict[str, Any]) -> None:
    changed["version"] = "1.7"
    assert compare(agreed_contract(), changed) == []


def test_the_base_class_offers_every_hook_as_its_spec_has_it() -> None:
    for spec in PROVIDER_SPECS:
        for name in PROVIDER_HOOKS & set(vars(spec)):
            of_spec, of_class = (inspect.signature(getattr(owner, name)) for owner in (spec, Provider))
            assert list(of_spec.parameters) == list(of_class.parameters), name


def test_every_hook_has_a_promise() -> None:
    specs = {name: function for spec in PROVIDER_SPECS for name, function in vars(spec).items() if name in HOOKS}
    for name, function in specs.items():
        assert function.__doc__, name
        if HOOKS[name].kind is HookKind.OPERATION:
            assert function.__doc__.startswith("Operation."), name
