from __future__ import annotations

from decimal import Decimal

import httpx
import pytest
from csv_kit import COLUMNS

from billhook.cli.output import print_json


def test_an_invoice_goes_from_a_json_file_to_paid(cli, invoice, sandbox):
    invoice_id = invoice("i-1")
    worked = cli("worker", "--once", "--json")
    assert (worked.code, worked.json["failed"], worked.json["in_doubt"]) == (0, 0, 0)
    shown = cli("invoices", "show", "i-1", "--json").json
    assert (shown["id"], shown["status"], shown["total"], shown["amount_due"]) == (invoice_id, "paid", "7.65", "0.00")
    assert [document.total for document in sandbox.simulator.documents()] == [Decimal("7.65")]


def test_the_page_of_an_invoice_tells_what_happened(cli, invoice):
    invoice_id = invoice("i-1")
    cli("worker", "--once")
    said = cli("invoices", "show", invoice_id).out
    assert "7.65 GBP" in said
    assert "The invoice was created" in said
    assert "sent once, answered with 200" in said


def test_the_page_of_an_invoice_shows_where_the_odd_penny_of_its_tax_went(cli, shop, write):
    cli("profiles", "update", shop, "--workflow", "tax_enabled=true", "--workflow", "tax_rounding=on_total")
    price, vat = {"type": "unit", "amount": "0.52"}, {"rates": [{"name": "VAT", "percentage": "20"}]}
    lines = [{"name": name, "quantity": "1", "price": price, "tax_config": vat} for name in ("Tea", "Milk", "Salt")]
    cli("invoices", "create", write("i.json", {"key": "i", "customer_key": "jane", "currency": "GBP", "lines": lines}))
    said = [line.split() for line in cli("invoices", "show", "i").out.splitlines()]
    assert ["tax", "in", "it", "0.31", "GBP"] in said
    assert ["Tea", "1", "0.52", "0.11", "0.63"] in said
    assert ["Milk", "1", "0.52", "0.10", "0.62"] in said


def test_a_payment_counts_from_when_it_came(cli, invoice):
    invoice("i-1")
    cli("invoices", "pay", "i-1", "1.00", "--received-at", "2026-10-31T12:00:00")
    (payment,) = cli("invoices", "show", "i-1", "--json").json["payments"]
    assert payment["received_at"] == "2026-10-31T12:00:00Z"


def test_a_list_that_shows_only_a_part_says_so(cli, invoice):
    for key in ("i-1", "i-2", "i-3"):
        invoice(key)
    part = cli("invoices", "list", "--page-size", "2", "--page", "2").out
    assert part.splitlines()[-1].strip() == "1 of 3: page 2 of 2. Others: --page, --page-size, --json."
    assert " of 3" not in cli("invoices", "list").out


def test_amounts_are_decimal_strings_in_json(cli, invoice):
    invoice("i-1")
    content = cli("invoices", "show", "i-1", "--json").json["content"]
    assert content["lines"][0]["quantity"] == "3"
    assert content["totals"]["amount"] == "7.65"


def test_every_line_says_in_json_what_it_comes_to(cli, shop, write):
    cli("profiles", "update", shop, "--workflow", "tax_enabled=true")
    tax = {"rates": [{"name": "VAT", "percentage": "20"}]}
    line = {"name": "Tea", "price": {"type": "flat", "amount": "0.52"}, "tax_config": tax}
    file = write("day.json", {"key": "i-1", "customer_key": "jane", "currency": "GBP", "lines": [line, line]})
    cli("invoices", "create", file)
    content = cli("invoices", "show", "i-1", "--json").json["content"]
    sums = [{name: part["totals"][name] for name in ("net", "taxes_total", "total")} for part in content["lines"]]
    assert sums == [{"net": "0.52", "taxes_total": "0.10", "total": "0.62"}] * 2
    assert (content["totals"]["net"], content["totals"]["total"]) == ("1.04", "1.24")


def test_help_shows_no_words_of_python(cli):
    assert "class" not in cli("apps", "install", "--help").out


def test_invoices_are_listed_by_status_and_customer(cli, invoice):
    invoice("i-1")
    cli("worker", "--once")
    invoice("i-2")
    paid = cli("invoices", "list", "--status", "paid", "--customer", "jane", "--json").json
    assert [entry["key"] for entry in paid["items"]] == ["i-1"]
    assert "i-2" in cli("invoices", "list", "--status", "draft").out


def test_a_draft_waits_for_approval_and_then_goes_on(cli, shop, invoice):
    cli("profiles", "update", shop, "--workflow", "auto_advance=false")
    invoice("i-1")
    cli("worker", "--once")
    assert cli("invoices", "show", "i-1", "--json").json["status"] == "draft.manual_approval_needed"
    assert cli("invoices", "approve", "i-1").code == 0
    cli("worker", "--once")
    assert cli("invoices", "show", "i-1", "--json").json["status"] == "paid"


def test_a_draft_is_deleted(cli, shop, invoice):
    cli("profiles", "update", shop, "--workflow", "auto_advance=false")
    invoice("i-1")
    cli("worker", "--once")
    cli("invoices", "delete", "i-1")
    cli("worker", "--once")
    assert cli("invoices", "list", "--json").json["total_count"] == 0


def test_the_key_of_a_deleted_invoice_is_not_used_again(cli, shop, write):
    cli("profiles", "update", shop, "--workflow", "auto_advance=false")
    row = "a,jane,GBP,Tea,T1,3,2.55,\n"
    cli("invoices", "create", write("a.csv", COLUMNS + row))
    cli("worker", "--once")
    cli("invoices", "delete", "a")
    cli("worker", "--once")
    same, corrected = write("same.csv", COLUMNS + row), write("corrected.csv", COLUMNS + row.replace("2.55", "2.50"))
    for file in (same, corrected):
        refused = cli("invoices", "create", file, "--json")
        assert (refused.code, refused.error["code"]) == (1, "key_of_deleted")
        assert "needs a new key" in refused.error["message"]
    both = write("both.csv", COLUMNS + row + row.replace("a,", "b,", 1))
    told = cli("invoices", "create", both, "--skip-bad", "--json").json
    assert [entry["key"] for entry in told["created"]] == ["b"]
    assert [entry["code"] for entry in told["refused"]] == ["key_of_deleted"]
    assert cli("invoices", "list", "--deleted", "--json").json["total_count"] == 2


@pytest.fixture
def draft(cli, shop, invoice):
    """A draft that waits for approval."""
    cli("profiles", "update", shop, "--workflow", "auto_advance=false")
    invoice("i-1")
    cli("worker", "--once")
    return "i-1"


def test_the_workflow_of_a_draft_is_changed_value_by_value(cli, draft):
    before = cli("invoices", "show", draft, "--json").json
    changes = ("--workflow", "tax_rounding=on_total", "--workflow", "due_after=P14D")
    told = cli("invoices", "update", draft, *changes, "--json").json
    assert (told["id"], told["revision"]) == (before["id"], 2)
    workflow = cli("invoices", "show", draft, "--json").json["content"]["workflow"]
    assert workflow == {**before["content"]["workflow"], "tax_rounding": "on_total", "due_after": "P14D"}


def test_what_takes_no_edit_is_left_and_says_why(cli, invoice):
    invoice("i-1", metadata={"openmeter.io/sandbox/target-payment-status": "failed"})
    cli("worker", "--once")
    told = cli("invoices", "update", "--all", "--issue", "card_declined", "--workflow", "due_after=P14D", "--json")
    assert (told.code, told.json["updated"], told.json["left"]) == (1, 0, 1)
    (left,) = told.json["items"]
    assert (left["key"], left["status"], left["code"]) == (
        *("i-1", "payment_processing.failed", "invoice_action_not_available"),
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ("--workflow", "due_after=P14D"),
        ("i-1", "--all", "--issue", "x", "--workflow", "due_after=P14D"),
        ("--all", "--workflow", "due_after=P14D"),
        ("i-1", "--issue", "x", "--workflow", "due_after=P14D"),
        ("--all", "--issue", "x"),
        ("--all", "--issue", "x", "--file", "edit.json"),
        ("--all", "--issue", "x", "--workflow", "nosuch=1"),
    ],
)
def test_an_edit_is_of_one_or_of_the_workflow_of_all_with_one_issue(cli, shop, arguments):
    assert cli("invoices", "update", *arguments).code == 2


def test_a_draft_is_changed_by_a_file(cli, draft, write):
    price = {"type": "unit", "amount": "1.10"}
    edit = {
        "lines": [{"name": "Tea", "item_code": "T1", "quantity": "1", "price": price}],
        "workflow": {"auto_advance": True},
    }
    file = write("edit.json", edit)
    assert cli("invoices", "update", draft, "--file", file, "--workflow", "due_after=P7D").code == 0
    shown = cli("invoices", "show", draft, "--json").json
    assert (shown["total"], shown["content"]["workflow"]["due_after"]) == ("1.10", "P7D")
    assert shown["content"]["workflow"]["auto_advance"] is True


@pytest.mark.parametrize(
    "given,known",
    [
        ((), "--workflow NAME=VALUE"),
        (("--workflow", "taxes=1"), "tax_rounding"),
        (("--workflow", "due_after"), "NAME=VALUE"),
        (("--file", "profile.json"), "exchange_rate"),
    ],
)
def test_an_edit_of_what_there_is_not_is_answered_with_what_there_is(cli, draft, write, given, known):
    write("profile.json", {"profile": "Usual"})
    refused = cli("invoices", "update", draft, *given)
    assert refused.code == 2
    assert known in refused.err


def test_an_issued_invoice_is_not_changed(cli, invoice):
    invoice("i-1")
    cli("worker", "--once")
    refused = cli("invoices", "update", "i-1", "--workflow", "due_after=P7D", "--json")
    assert (refused.code, refused.error["code"]) == (1, "invoice_action_not_available")


def test_a_paid_invoice_is_not_made_void(cli, invoice):
    invoice("i-1")
    cli("worker", "--once")
    answer = cli("invoices", "void", "i-1", "--json")
    assert (answer.code, answer.error["code"]) == (1, "invoice_action_not_available")


def test_money_that_came_another_way_counts_once_under_one_key(cli, shop, invoice):
    cli("profiles", "update", shop, "--workflow", "collection_method=send_invoice")
    invoice("i-1")
    cli("worker", "--once")
    for _ in range(2):
        assert cli("invoices", "pay", "i-1", "5.00", "--key", "bank-1").code == 0
    cli("worker", "--once")
    assert cli("invoices", "show", "i-1", "--json").json["amount_due"] == "2.65"
    assert cli("invoices", "pay", "i-1", "-1", "--json").code != 0
    cli("invoices", "pay", "i-1", "2.65")
    cli("worker", "--once")
    assert cli("invoices", "show", "i-1", "--json").json["status"] == "paid"


def test_the_outside_says_that_an_invoice_is_uncollectible(cli, shop, invoice):
    cli("profiles", "update", shop, "--workflow", "collection_method=send_invoice")
    invoice("i-1")
    cli("worker", "--once")
    assert cli("invoices", "status", "i-1", "payment_uncollectible", "--json").json["status"] == "uncollectible"
    assert cli("invoices", "status", "i-1", "lost", "--json").error["code"] == "trigger_unknown"


def test_money_that_was_noted_by_mistake_is_taken_back(cli, shop, invoice, sandbox):
    cli("profiles", "update", shop, "--workflow", "collection_method=send_invoice")
    for key in ("i-1", "i-2"):
        invoice(key)
    cli("worker", "--once")
    cli("invoices", "pay", "i-1", "7.65", "--key", "bank-1")
    assert cli("invoices", "take-back", "i-1", "bank-1").code == 2
    for _ in range(2):
        taken_back = cli("invoices", "take-back", "i-1", "bank-1", "--reason", "It was for i-2.", "--json").json
        assert (taken_back["status"], taken_back["amount_due"]) == ("payment_processing.pending", "7.65")
    (payment,) = taken_back["payments"]
    assert (payment["key"], payment["status"], payment["message"]) == ("bank-1", "canceled", "It was for i-2.")
    cli("worker", "--once")
    assert sandbox.simulator.payments() == ()
    assert "no longer count: It was for i-2." in " ".join(cli("invoices", "show", "i-1").out.split())
    again = cli("invoices", "pay", "i-1", "7.65", "--key", "bank-1", "--json")
    assert (again.code, again.error["code"]) == (1, "payment_taken_back")
    assert cli("invoices", "pay", "i-1", "7.65", "--key", "bank-2", "--json").json["status"] == "paid"
    cli("worker", "--once")
    payment_id = cli("invoices", "show", "i-1", "--json").json["payments"][1]["id"]
    shown = cli("invoices", "take-back", "i-1", payment_id, "--reason", "It was for i-2.").out
    assert "Undo it there" in " ".join(shown.split())
    nobodys = cli("invoices", "take-back", "i-1", "bank-9", "--reason", "Gone.", "--json")
    assert (nobodys.code, nobodys.error["code"]) == (1, "not_found")
    assert "billhook invoices take-back" in cli("invoices", "cancel-payment", "i-1").err


def test_a_warning_that_a_person_has_dealt_with_ends(cli, invoice):
    invoice("i-1")
    cli("worker", "--once")
    (payment,) = cli("invoices", "show", "i-1", "--json").json["payments"]
    cli("invoices", "refund", payment["id"], "1.00", "--paid-elsewhere")
    assert cli("worker", "--once").code == 3
    (issue,) = cli("invoices", "show", "i-1", "--json").json["issues"]
    assert [each["key"] for each in cli("invoices", "list", "--issue", issue["code"], "--json").json["items"]] == [
        "i-1"
    ]
    shown = cli("invoices", "dismiss", "i-1", issue["code"], "--reason", "Entered there.", "--json").json
    assert shown["issues"] == []
    assert "Entered there." in " ".join(cli("invoices", "show", "i-1").out.split())
    assert cli("worker", "--once").code == 0
    assert cli("invoices", "list", "--issue", issue["code"], "--json").json["items"] == []


def test_a_look_finds_what_somebody_did_there_and_nobody_told(cli, shop, invoice, sandbox):
    cli("profiles", "update", shop, "--workflow", "collection_method=send_invoice")
    for key in ("i-1", "i-2"):
        invoice(key)
    cli("worker", "--once")
    for document in sandbox.simulator.documents():
        there, token = f"{sandbox.url}/v1/invoices/{document.id}/void", {"authorization": "Bearer sandbox-token"}
        httpx.post(there, headers=token).raise_for_status()
    asked = cli("invoices", "look", "i-1", "nobody", "--json")
    assert (asked.code, asked.json["asked"], asked.json["left"]) == (1, 1, 1)
    assert [entry.get("code") for entry in asked.json["items"]] == [None, "not_found"]
    assert "1 to be looked at, 0 left." in cli("invoices", "look", "i-1").out
    cli("worker", "--once")
    (found,) = cli("invoices", "issues", "--json").json["items"]
    assert (found["code"], found["invoices"]) == ("voided_in_books", 1)


def test_all_invoices_or_those_of_a_customer_or_a_time_are_looked_at(cli, invoice):
    for key in ("i-1", "i-2"):
        invoice(key)
    cli("worker", "--once")
    assert cli("invoices", "look", "--all", "--json").json == {"asked": 2, "unreadable": 0}
    assert cli("invoices", "look", "--all", "--customer", "jane").out.startswith("2 to be looked at, 0 at apps")
    assert cli("invoices", "look", "--all", "--issued-from", "2020-01-01", "--json").json["asked"] == 2
    assert cli("invoices", "look", "--all", "--issued-before", "2020-01-01", "--json").json["asked"] == 0
    assert cli("invoices", "look", "--all", "--customer", "nobody", "--json").error["code"] == "not_found"


@pytest.mark.parametrize(
    "arguments", [(), ("i-1", "--all"), ("i-1", "--customer", "jane"), ("i-1", "--issued-from", "2020-01-01")]
)
def test_a_look_is_at_named_invoices_or_at_all_and_not_at_both(cli, shop, arguments):
    answer = cli("invoices", "look", *arguments)
    assert (answer.code, "--all" in answer.err) == (2, True)


def test_a_preview_shows_the_bytes_and_sends_none(cli, invoice, sandbox):
    invoice("i-1")
    preview = cli("invoices", "preview", "i-1", "--json").json
    assert preview["lines"][0]["rule"]
    assert any('"2.55"' in step["body"] for step in preview["steps"])
    assert "POST" in cli("invoices", "preview", "i-1").out
    assert sandbox.simulator.calls() == ()


def test_a_preview_that_is_piped_has_each_body_in_one_line(cli, invoice):
    invoice("i-1")
    bodies = [step["body"] for step in cli("invoices", "preview", "i-1", "--json").json["steps"]]
    lines = cli("invoices", "preview", "i-1").out.splitlines()
    assert max(len(body) for body in bodies) > 300
    assert all(body in lines for body in bodies)


def test_what_was_overpaid_and_paid_back_by_bank_transfer_comes_out_even(cli, shop, invoice):
    invoice("i-1")
    cli("worker", "--once")
    cli("invoices", "pay", "i-1", "10.00", "--key", "bank-1")
    payment = cli("invoices", "show", "i-1", "--json").json["payments"][-1]
    assert "overpaid" in cli("invoices", "show", "i-1").out
    refused = cli("invoices", "refund", payment["id"], "10.00")
    assert (refused.code, "--paid-elsewhere" in refused.err) == (1, True)
    noted = cli("invoices", "refund", payment["id"], "10.00", "--paid-elsewhere", "--key", "back-1", "--json").json
    assert (noted["status"], noted["amount"]) == ("succeeded", "10.00")
    shown = cli("invoices", "show", "i-1").out
    assert ("refunded" in shown, "overpaid" in shown) == (True, False)
    taken = cli("invoices", "take-back-refund", "back-1", "--reason", "It was never sent.", "--json").json
    assert (taken["refund_id"], taken["status"], taken["message"]) == (
        noted["refund_id"],
        "canceled",
        "It was never sent.",
    )
    shown = cli("invoices", "show", "i-1").out
    assert ("refunded" in shown, "overpaid" in shown) == (False, True)


def test_the_numbers_of_issued_invoices_have_no_gaps(cli, invoice):
    for key in ("i-1", "i-2"):
        invoice(key)
    cli("worker", "--once")
    audited = cli("numbers", "audit", "--json")
    assert audited.code == 0
    assert {entry["series"] for entry in audited.json["items"] if entry["whole"]} == {"invoice"}


def test_nothing_is_in_doubt_after_a_good_day(cli, invoice):
    invoice("i-1")
    cli("worker", "--once")
    answer = cli("invoices", "doubts", "--json")
    assert (answer.code, answer.json) == (0, {"items": []})
    assert cli("invoices", "resolve", "i-1", "--absent", "--json").error["code"] == "not_found"
    assert cli("invoices", "resolve", "i-1").code == 2


def test_json_is_exact_whatever_the_amount(capsys):
    print_json({"amount": Decimal("1E+3"), "small": Decimal("0.000000000001")})
    assert '"1000"' in capsys.readouterr().out


def test_money_that_an_app_received_is_given_back(cli, invoice, sandbox):
    invoice("i-1")
    cli("worker", "--once")
    payment_id = cli("invoices", "show", "i-1", "--json").json["payments"][0]["id"]
    asked = ("invoices", "refund", payment_id, "2.50", "--reason", "broken cup", "--key", "r-1", "--json")
    first, second = (cli(*asked).json["refund_id"] for _ in range(2))
    assert first == second
    assert cli("worker", "--once").code == 0
    assert cli("invoices", "show", "i-1", "--json").json["amount_refunded"] == "2.50"
    assert cli(*asked).json["status"] == "succeeded"
    assert cli("invoices", "refund", payment_id, "99", "--json").error["code"] == "refund_too_large"


def test_what_an_outside_system_has_done_is_confirmed(cli, write):
    app_id = cli("apps", "install", "custom_invoicing", "--json").json["id"]
    cli("profiles", "create", "Main", "--supplier", "ACME", "--app", app_id, "--default")
    cli("apps", "update", app_id, "--set", "enable_draft_sync_hook=true", "--set", "enable_issuing_sync_hook=true")
    cli("customers", "create", "Jane", "--key", "jane")
    line = {"name": "Tea", "price": {"type": "flat", "amount": "10"}}
    cli(
        "invoices",
        "create",
        write("i.json", {"key": "i-1", "customer_key": "jane", "currency": "GBP", "lines": [line]}),
    )
    cli("worker", "--once")
    assert cli("invoices", "show", "i-1", "--json").json["status"] == "draft.syncing"
    cli("invoices", "confirm", "i-1", "draft", "--external-id", "D-7")
    cli("worker", "--once")
    assert cli("invoices", "show", "i-1", "--json").json["status"] == "issuing.syncing"
    confirmed = cli("invoices", "confirm", "i-1", "issue", "--number", "N-7", "--json").json
    assert (confirmed["number"], confirmed["external_ids"]["invoicing"]) == ("N-7", "D-7")
    assert cli("invoices", "confirm", "i-1", "void").code == 2
    assert "As far as is known it is ready." in cli("apps", "check", app_id).out


def test_more_than_was_asked_for_is_shown_as_overpaid(cli, shop, invoice):
    cli("profiles", "update", shop, "--workflow", "collection_method=send_invoice")
    invoice("i-1")
    cli("worker", "--once")
    cli("invoices", "pay", "i-1", "10.00")
    page = cli("invoices", "show", "i-1").out
    assert "overpaid" in page
    assert "2.35 GBP" in page


def test_the_page_of_an_invoice_accounts_for_every_cent(cli, shop, invoice, write):
    cli("profiles", "update", shop, "--workflow", "collection_method=send_invoice")
    invoice_id = invoice("i-1")
    cli("worker", "--once")
    line = {"name": "Less", "price": {"type": "flat", "amount": "1.25"}}
    head = {"type": "credit_note", "customer_key": "jane", "currency": "GBP", "credited_invoice_id": invoice_id}
    cli("credit-notes", "create", write("c.json", {**head, "key": "c-1", "lines": [line]}))
    cli("worker", "--once")
    cli("invoices", "pay", "i-1", "6.4", "--key", "bank-1")
    payment = cli("invoices", "show", "i-1", "--json").json["payments"][0]["id"]
    cli("invoices", "refund", payment, "2.50", "--paid-elsewhere", "--key", "back-1")
    shown = cli("invoices", "show", "i-1", "--json").json
    (refund,), (note,) = shown["refunds"], shown["credit_notes"]
    assert (refund["amount"], refund["key"], refund["payment_id"]) == ("2.50", "back-1", payment)
    assert (note["key"], note["total"], note["amount_credited"]) == ("c-1", "1.25", "1.25")
    said = [line.split() for line in cli("invoices", "show", "i-1").out.splitlines()]
    names = {"total", "paid", "refunded", "credited", "due"}
    figures = {row[0]: row[1] for row in said if row[2:] == ["GBP"] and row[0] in names}
    assert figures == {"total": "7.65", "paid": "6.40", "refunded": "2.50", "credited": "1.25", "due": "0.00"}
    assert [payment, "succeeded", "recorded", "6.40", "bank-1"] in said
    assert [refund["id"], "succeeded", "recorded", "2.50", "back-1", payment] in said
    assert [note["id"], note["number"], "issued", "1.25", "1.25"] in said
    credit = [line.split() for line in cli("credit-notes", "show", "c-1").out.splitlines()]
    assert ["put", "against", "it", "1.25", "GBP"] in credit


def test_a_status_that_no_invoice_has_is_refused_with_the_known_ones(cli, shop):
    answer = cli("invoices", "list", "--status", "payed", "--json")
    assert (answer.code, answer.error["code"]) == (1, "status_unknown")
    assert "paid" in answer.error["message"]
    assert "draft.invalid" in answer.error["message"]


def test_a_series_is_shown_and_its_template_changed(cli, shop, invoice):
    invoice("i-1")
    cli("worker", "--once")
    assert "INV-{customer_prefix}-{sequence}" in cli("numbers", "list").out
    changed = cli("numbers", "define", "invoice", "--template", "R-{sequence}", "--json").json
    assert (changed["template"], changed["kind"]) == ("R-{sequence}", "gapless")
    invoice("i-2")
    cli("worker", "--once")
    assert cli("invoices", "show", "i-2", "--json").json["number"] == "R-2"
    assert cli("numbers", "define", "invoice", "--start", "7", "--json").error["code"] == "number_series_in_use"
    assert cli("numbers", "define", "invoice", "--template", "R", "--json").code == 1
    assert "template" in cli("numbers", "define", "another", "--json").error["message"]
