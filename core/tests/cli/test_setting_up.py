from __future__ import annotations

import pytest

from billhook.cli import inputs


def test_an_app_is_installed_with_a_secret_that_is_never_shown(cli, app_id):
    shown = cli("apps", "show", app_id, "--json")
    assert shown.json["has_credentials"] is True
    assert shown.json["status"] == "ready"
    listed = cli("apps", "list")
    assert app_id in listed.out
    assert "sandbox-token" not in shown.out + listed.out


def test_a_secret_may_come_from_standard_input(cli, sandbox):
    install = ("apps", "install", "sandbox", "--set", f"base_url={sandbox.url}", "--credential", "token=-", "--json")
    answer = cli(*install, input="sandbox-token\n")
    assert answer.json["has_credentials"] is True
    assert "sandbox-token" not in answer.out


def test_a_secret_on_the_command_line_is_refused(cli, sandbox):
    install = ("apps", "install", "sandbox", "--set", f"base_url={sandbox.url}", "--credential", "token=sandbox-token")
    answer = cli(*install)
    assert answer.code == 2
    assert "--credential-env" in answer.err


def test_wrong_settings_are_told_and_nothing_is_installed(cli):
    answer = cli("apps", "install", "sandbox", "--set", "base_url=nowhere", "--json")
    assert (answer.code, answer.error["code"]) == (1, "config_invalid")
    assert cli("apps", "list", "--json").json["total_count"] == 0


def test_settings_may_come_from_a_file_and_single_ones_win(cli, sandbox, write):
    file = write("settings.json", {"base_url": "http://127.0.0.1:9"})
    answer = cli("apps", "install", "sandbox", "--settings-file", file, "--set", f"base_url={sandbox.url}", "--json")
    assert answer.json["settings"] == {"base_url": sandbox.url}


def test_an_update_keeps_what_it_does_not_name(cli, app_id, sandbox):
    cli("apps", "update", app_id, "--label", "team=billing")
    changed = cli("apps", "update", app_id, "--name", "Books", "--label", "region=eu", "--json").json
    assert changed["name"] == "Books"
    assert changed["labels"] == {"team": "billing", "region": "eu"}
    assert changed["settings"] == {"base_url": sandbox.url}


def test_a_setting_inside_a_setting_is_set_by_its_dotted_name(cli):
    books = ("--set", "organisation.base_currency=GBP", "--set", "tax_types.5.5=RED", "--set", "tax_types.20=FULL")
    installed = cli("apps", "install", "xero", *books, "--json").json
    assert installed["settings"] == {
        "organisation": {"base_currency": "GBP"},
        "tax_types": {"5.5": "RED", "20": "FULL"},
    }
    change = ("apps", "update", installed["id"], "--json")
    given = (
        'organisation.currencies=["GBP","EUR"]',
        "organisation.accounts.200.type=BANK",
        "organisation.accounts.9={}",
    )
    changed = cli(*change, *(each for name in given for each in ("--set", name)), "--unset", "tax_types.20").json
    assert changed["settings"] == {
        "organisation": {
            "base_currency": "GBP",
            "currencies": ["GBP", "EUR"],
            "accounts": {"200": {"type": "BANK"}, "9": {}},
        },
        "tax_types": {"5.5": "RED"},
    }
    assert "there are base_currency, currencies" in cli(*change, "--unset", "organisation.tracking").err


@pytest.mark.parametrize(
    "name, told",
    [
        ("organisation.currency", "Did you mean currencies? organisation takes base_currency, currencies, "),
        ("organisation.accounts.200.typ", "Did you mean type? organisation.accounts.200 takes type, active, "),
        ("organisaton.currencies", "It takes account, client_id, "),
    ],
)
def test_a_setting_inside_that_there_is_not_is_answered_with_what_there_is(cli, name, told):
    refused = cli("apps", "install", "xero", "--set", f"{name}=EUR", "--json")
    assert (refused.code, f"{name}: nothing has that name." in refused.error["message"]) == (1, True)
    assert told in refused.error["message"]


def test_an_app_is_told_how_many_calls_are_its_own(cli):
    app_id = cli("apps", "install", "stripe", "--limit", "account=20", "--json").json["id"]
    changed = cli("apps", "update", app_id, "--limit", "finalize=5", "--json").json
    assert changed["limits"] == {"account": 20, "finalize": 5}
    assert cli("apps", "update", app_id, "--limit", "account=some").code == 2
    refused = cli("apps", "update", app_id, "--limit", "minute=5", "--json")
    assert (refused.code, "Stripe has no limit 'minute': it has account, customers" in refused.error["message"]) == (
        1,
        True,
    )


def test_what_was_set_can_be_taken_back(cli, app_id):
    cli("apps", "update", app_id, "--label", "team=billing", "--label", "region=eu")
    changed = cli("apps", "update", app_id, "--unlabel", "team", "--label", "floor=2", "--json").json
    assert changed["labels"] == {"region": "eu", "floor": "2"}
    stripe = cli("apps", "install", "stripe", "--limit", "account=20", "--limit", "finalize=5", "--json").json["id"]
    assert cli("apps", "update", stripe, "--unlimit", "account", "--json").json["limits"] == {"finalize": 5}
    refused = cli("apps", "update", stripe, "--unlimit", "account")
    assert refused.code == 2
    assert "Nothing is set under 'account'" in refused.err


def test_where_nothing_is_named_nothing_is_changed():
    assert inputs.changed({"a": "1"}, {}, [], "--unset") is None


def test_a_setting_that_is_taken_back_is_the_providers_own_again(cli):
    id = cli("apps", "install", "custom_invoicing", "--set", "enable_draft_sync_hook=true", "--json").json["id"]
    assert cli("apps", "update", id, "--unset", "enable_draft_sync_hook", "--json").json["settings"] == {}


def test_the_connection_of_an_app_is_checked_over_the_network(cli, app_id, sandbox, monkeypatch):
    assert cli("apps", "check", app_id).code == 0
    assert len(sandbox.simulator.calls()) == 1
    monkeypatch.setenv("WRONG", "some-other-token")
    assert cli("apps", "credentials", app_id, "--credential-env", "token=WRONG").code == 0
    refused = cli("apps", "check", app_id, "--json")
    assert (refused.code, refused.error["code"]) == (1, "config_invalid")
    assert "some-other-token" not in refused.err


def test_a_credential_that_is_not_there_is_not_taken_back(cli, app_id):
    refused = cli("apps", "credentials", app_id, "--unset", "webhook", "--json")
    assert (refused.code, refused.error["code"]) == (1, "config_invalid")
    assert "it has token" in refused.error["message"]


def test_a_customers_metadata_are_taken_away_by_name(cli, shop):
    cli("customers", "update", "jane", "--metadata", "a=1", "--metadata", "b=2")
    assert cli("customers", "update", "jane", "--unset-metadata", "a", "--json").json["metadata"] == {"b": "2"}
    refused = cli("customers", "update", "jane", "--unset-metadata", "a")
    assert refused.code == 2
    assert "there are b" in refused.err


def test_apps_are_switched_off_and_on(cli, app_id):
    assert cli("apps", "disable", app_id, "--json").json["enabled"] is False
    assert cli("apps", "enable", app_id, "--json").json["enabled"] is True


def test_an_app_that_a_profile_needs_is_not_uninstalled(cli, shop, app_id):
    answer = cli("apps", "uninstall", app_id, "--json")
    assert (answer.code, answer.error["code"]) == (1, "in_use")


def test_an_app_that_nobody_needs_goes(cli, app_id):
    assert cli("apps", "uninstall", app_id, "--json").json["deleted_at"] is not None
    assert cli("apps", "list", "--json").json["total_count"] == 0


def test_an_app_of_another_namespace_is_not_found(cli, app_id):
    answer = cli("apps", "show", app_id, "--namespace", "elsewhere", "--json")
    assert (answer.code, answer.error["code"]) == (1, "not_found")
    assert cli("apps", "check", app_id, "--namespace", "elsewhere", "--json").error["code"] == "not_found"


def test_a_profile_keeps_the_workflow_values_that_an_update_does_not_name(cli, shop):
    cli("profiles", "update", shop, "--workflow", "due_after=P14D")
    changed = cli("profiles", "update", shop, "--workflow", "auto_advance=false", "--json").json["workflow"]
    assert (changed["due_after"], changed["auto_advance"], changed["tax_enabled"]) == ("P14D", False, False)


def test_the_default_profile_stays_until_another_takes_its_place(cli, shop, app_id):
    assert cli("profiles", "delete", shop, "--json").error["code"] == "default_profile_cannot_be_deleted"
    second = cli("profiles", "create", "Next", "--supplier", "ACME", "--app", app_id, "--default", "--json").json
    assert cli("profiles", "show", shop, "--json").json["is_default"] is False
    assert cli("profiles", "delete", shop, "--json").json["deleted_at"] is not None
    assert [entry["id"] for entry in cli("profiles", "list", "--json").json["items"]] == [second["id"]]


def test_a_profile_needs_its_apps_and_its_supplier(cli, app_id):
    assert cli("profiles", "create", "Main", "--app", app_id).code == 2
    assert cli("profiles", "create", "Main", "--supplier", "ACME").code == 2


def test_a_misspelt_workflow_value_is_refused_with_its_name(cli, app_id):
    answer = cli(
        "profiles", "create", "Main", "--supplier", "A", "--app", app_id, "--workflow", "due_afer=P1D", "--json"
    )
    assert answer.code == 1
    assert answer.error["path"] == "/due_afer"


def test_customers_are_found_by_key_and_changed_in_part(cli, shop):
    cli("customers", "update", "jane", "--metadata", "tier=gold")
    changed = cli(
        "customers", "update", "jane", "--email", "jane@example.com", "--metadata", "since=2010", "--json"
    ).json
    assert changed["party"]["email"] == "jane@example.com"
    assert changed["party"]["addresses"][0]["country"] == "GB"
    assert changed["metadata"] == {"since": "2010", "tier": "gold"}
    assert "jane@example.com" in cli("customers", "list").out


def test_two_customers_can_not_share_a_key(cli, shop):
    answer = cli("customers", "create", "Another Jane", "--key", "jane", "--json")
    assert (answer.code, answer.error["code"]) == (1, "customer_key_taken")


def test_an_override_is_set_shown_and_cleared(cli, shop):
    cli("overrides", "set", "jane", "--workflow", "due_after=P7D")
    shown = cli("overrides", "show", "jane", "--json").json
    assert shown["workflow"]["due_after"] == "P7D"
    assert shown["override"]["workflow"] == {"due_after": "P7D"}
    assert cli("overrides", "clear", "jane").code == 0
    assert cli("overrides", "show", "jane", "--json").json["override"] is None
    assert cli("overrides", "clear", "jane", "--json").error["code"] == "customer_override_not_found"


def test_erasing_a_customer_asks_first(cli, shop):
    unsure = cli("customers", "erase", "jane", input="n\n")
    assert unsure.code == 1
    assert cli("customers", "show", "jane", "--json").json["party"]["name"] == "Jane"
    customer_id = cli("customers", "show", "jane", "--json").json["id"]
    assert cli("customers", "erase", "jane", "--yes").code == 0
    assert "Jane" not in cli("customers", "show", customer_id, "--json").out


def test_a_customer_who_is_at_the_provider_already_is_linked(cli, app_id):
    cli("customers", "create", "Jane", "--key", "jane")
    told = cli("customers", "link", "jane", app_id, "--external-id", "cus_000001", "--data", "a=b", "--json").json
    assert (told["external_id"], told["data"]) == ("cus_000001", {"a": "b"})
    told = cli("customers", "link", "jane", app_id, "--payment-method", "card", "--json").json
    assert (told["external_id"], told["payment_method"], told["data"]) == ("cus_000001", "card", {"a": "b"})
    assert "cus_000001" in cli("customers", "apps", "jane").out
    assert cli("customers", "unlink", "jane", app_id, "--json").json == []
    assert cli("customers", "link", "jane", "01ARZ3NDEKTSV4RRFFQ69G5FAV", "--external-id", "x").code == 1


@pytest.mark.parametrize("group", ["apps", "profiles", "customers"])
def test_lists_are_json_pages(cli, shop, group):
    page = cli(group, "list", "--json").json
    assert page["total_count"] == len(page["items"]) == 1


def test_an_override_that_sets_nothing_is_refused(cli, shop):
    assert cli("overrides", "set", "jane", "--json").error["code"] == "override_empty"


def test_without_a_default_profile_the_error_says_how_to_make_one(cli):
    cli("db", "upgrade")
    cli("customers", "create", "Jane", "--key", "jane")
    answer = cli("overrides", "show", "jane", "--json")
    assert answer.error["code"] == "default_profile_not_found"
    assert "billhook profiles create" in answer.error["message"]
