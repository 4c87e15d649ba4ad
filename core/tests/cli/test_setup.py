"""`billhook setup`: guided or scripted, and harmless to repeat."""

from __future__ import annotations

import pytest

SUPPLIER = ("--supplier", "ACME Ltd", "--country", "GB")


@pytest.fixture
def steps(cli):
    """Runs setup with these options. Gives what each step did."""

    def run(*options: str) -> dict[str, str]:
        answer = cli("setup", *options, "--json")
        assert answer.code == 0, answer.err
        return {step["thing"]: step["did"] for step in answer.json["steps"]}

    return run


def test_everything_is_there_after_one_command(cli, steps):
    assert steps(*SUPPLIER) == {"app": "created", "profile": "created", "default": "changed"}
    (app,) = cli("apps", "list", "--json").json["items"]
    (profile,) = cli("profiles", "list", "--json").json["items"]
    assert app["settings"] == {"enable_draft_sync_hook": True, "enable_issuing_sync_hook": True}
    assert (profile["name"], profile["is_default"]) == ("Custom Invoicing", True)
    assert profile["tax_app_id"] == profile["invoicing_app_id"] == profile["payment_app_id"] == app["id"]
    assert (profile["supplier"]["name"], profile["supplier"]["addresses"][0]["country"]) == ("ACME Ltd", "GB")
    assert profile["workflow"]["collection_method"] == "charge_automatically"


def test_doing_it_again_changes_nothing(cli, steps):
    options = (*SUPPLIER, "--preset", "send_invoice", "--due-after", "P14D", "--no-draft-sync", "--default")
    steps(*options)
    before = (cli("apps", "list", "--json").json, cli("profiles", "list", "--json").json)
    assert set(steps(*options).values()) == set(steps().values()) == {"kept"}
    assert (cli("apps", "list", "--json").json, cli("profiles", "list", "--json").json) == before
    (profile,) = before[1]["items"]
    assert (profile["workflow"]["collection_method"], profile["workflow"]["due_after"]) == ("send_invoice", "P14D")


def test_only_what_is_given_changes(cli, steps):
    steps(*SUPPLIER, "--due-after", "P14D")
    changed = steps("--preset", "send_invoice", "--country", "DE", "--no-issuing-sync")
    assert changed == {"app": "changed", "profile": "changed", "default": "kept"}
    (profile,) = cli("profiles", "list", "--json").json["items"]
    assert (profile["workflow"]["collection_method"], profile["workflow"]["due_after"]) == ("send_invoice", "P14D")
    assert (profile["supplier"]["name"], profile["supplier"]["addresses"][0]["country"]) == ("ACME Ltd", "DE")
    (app,) = cli("apps", "list", "--json").json["items"]
    assert app["settings"] == {"enable_draft_sync_hook": True, "enable_issuing_sync_hook": False}


def test_one_customer_is_served_and_the_default_stays(cli, steps, shop):
    options = (*SUPPLIER, "--customer", "jane", "--profile", "For Jane")
    assert steps(*options) == {"app": "created", "profile": "created", "override": "created"}
    assert steps(*options) == {"app": "kept", "profile": "kept", "override": "kept"}
    shown = cli("overrides", "show", "jane", "--json").json
    assert shown["profile"] == "For Jane"
    assert cli("profiles", "show", shop, "--json").json["is_default"] is True


def test_a_default_that_is_there_keeps_its_place_unless_it_is_asked_to_go(cli, steps, shop):
    assert steps(*SUPPLIER) == {"app": "created", "profile": "created"}
    assert steps("--default") == {"app": "kept", "profile": "kept", "default": "changed"}
    assert cli("profiles", "show", shop, "--json").json["is_default"] is False


@pytest.mark.parametrize(
    "options, code",
    [
        ((), "supplier_missing"),
        (("--supplier", "ACME"), "supplier_missing"),
        ((*SUPPLIER, "--customer", "nobody"), "not_found"),
        ((*SUPPLIER, "--webhook", "http://127.0.0.1/hook"), "webhook_url_invalid"),
    ],
)
def test_what_would_stop_half_way_does_not_begin(cli, options, code):
    refused = cli("setup", *options, "--json")
    assert (refused.code, refused.error["code"]) == (1, code)
    assert cli("apps", "list", "--json").json["items"] == []


def test_everybody_and_one_customer_are_not_both_served(cli):
    assert cli("setup", *SUPPLIER, "--default", "--customer", "jane").code == 2


def test_a_person_is_asked_for_what_is_not_given(cli):
    answers = ["Outside", "y", "n", "send_invoice", "ACME Ltd", "GB", "all", "https://1.1.1.1/hook"]
    guided = cli("setup", "--ask", input="\n".join(answers) + "\n")
    assert guided.code == 0, guided.err
    assert "Who sells?" in guided.err
    assert "signed with whsec_" in guided.out
    (app,) = cli("apps", "list", "--json").json["items"]
    assert (app["name"], app["settings"]["enable_issuing_sync_hook"]) == ("Outside", False)
    (profile,) = cli("profiles", "list", "--json").json["items"]
    assert (profile["name"], profile["workflow"]["collection_method"]) == ("Outside", "send_invoice")
    assert (profile["supplier"]["name"], profile["is_default"]) == ("ACME Ltd", True)


def test_the_second_time_the_usual_answer_is_what_stands_there(cli):
    cli("setup", "--no-draft-sync", *SUPPLIER)
    again = cli("setup", "--ask", input="\n\n\n\n\n")
    assert again.code == 0, again.err
    assert "created" not in again.out
    assert "changed" not in again.out


def test_an_answer_that_is_none_is_refused_with_nothing_done(cli):
    guided = cli("setup", "--ask", input="Outside\ny\ny\nbarter\n")
    assert guided.code == 2
    assert cli("apps", "list", "--json").json["items"] == []


def test_a_program_is_told_of_invoices_by_one_channel(cli, steps):
    options = (*SUPPLIER, "--webhook", "http://127.0.0.1:9999/hook", "--allow-private-targets", "--json")
    first, second = cli("setup", *options).json, cli("setup", *options).json
    assert [step["did"] for step in first["steps"] if step["thing"] in {"channel", "rule"}] == ["created"] * 3
    assert {step["did"] for step in second["steps"]} == {"kept"}
    assert first["signing_secret"] == second["signing_secret"]
    assert first["signing_secret"].startswith("whsec_")
