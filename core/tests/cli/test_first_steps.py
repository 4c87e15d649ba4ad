"""What a first-time user gets wrong, and what is said about it."""

from __future__ import annotations

from typing import Any

import pytest

from billhook.cli.arguments import shared_options_last

GROUPS = {"apps", "invoices"}


def test_a_misspelt_setting_is_told_with_the_name_that_was_meant(cli: Any):
    said = cli("apps", "install", "sandbox", "--set", "base_ulr=http://127.0.0.1:1", "--json").error["message"]
    assert "base_ulr: nothing has that name. Did you mean base_url?" in said
    assert "base_url: it is needed, and not given" in said
    assert "It takes base_url (needed), capture." in said
    assert "Extra inputs" not in said
    assert "Field required" not in said


def test_a_type_where_an_id_is_meant_is_answered_with_the_ids(cli: Any):
    app_id = cli("apps", "install", "sandbox", "--set", "base_url=http://127.0.0.1:1", "--json").json["id"]
    for command in (
        ("apps", "show", "sandbox"),
        ("profiles", "create", "Usual", "--app", "sandbox", "--supplier", "Acme"),
    ):
        said = cli(*command, "--json").error
        assert said["code"] == "not_found"
        assert f"There are: {app_id} (sandbox, " in said["message"]


def test_a_providers_page_says_what_each_setting_is(cli: Any):
    shown = cli("providers", "show", "sandbox").out
    assert "Where the sandbox listens" in shown
    assert "The token that the sandbox lets in" in shown
    assert "boolean" in cli("providers", "show", "custom_invoicing").out


@pytest.mark.parametrize(
    "given, meant",
    [
        (["--db", "x.db", "apps", "list"], ["apps", "list", "--db", "x.db"]),
        (["apps", "--db=x.db", "list", "--deleted"], ["apps", "list", "--deleted", "--db=x.db"]),
        (["--json", "worker", "--once"], ["worker", "--once", "--json"]),
        (["--namespace", "acme", "--json", "apps", "show", "id"], ["apps", "show", "id", "--namespace", "acme", "--json"]),
        (["apps", "show", "--json", "id"], ["apps", "show", "--json", "id"]),
        (["--db", "x.db", "apps", "show", "--", "-id"], ["apps", "show", "--db", "x.db", "--", "-id"]),
        (["--version"], ["--version"]),
        (["--db"], ["--db"]),
        ([], []),
    ],
)  # fmt: skip
def test_options_of_every_command_may_stand_before_it(given: list[str], meant: list[str]):
    assert shared_options_last(given, GROUPS) == meant


def test_a_process_takes_them_too(process: Any):
    listed = process("--db", "one.db", "--json", "apps", "list")
    assert listed.code == 1
    assert "one.db" in listed.error["message"]
