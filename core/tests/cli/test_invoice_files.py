"""Invoices and credit notes from files, and credit notes by themselves."""

from __future__ import annotations

from decimal import Decimal

import pytest
from csv_kit import COLUMNS


def test_rows_of_a_csv_file_with_one_key_are_one_document(cli, shop, write, sandbox):
    file = write(
        "day.csv",
        f"{COLUMNS}a,jane,GBP,Tea,T1,3,2.55,\na,jane,GBP,Milk,M1,1,0.80,\nb,jane,GBP,Tea,T1,1,2.55,credit_note\n",
    )
    created = cli("invoices", "create", file, "--json").json["created"]
    assert [(entry["key"], entry["type"]) for entry in created] == [("a", "standard"), ("b", "credit_note")]
    assert cli("worker", "--once").code == 0
    assert sandbox.simulator.totals() == {"GBP": Decimal("5.90")}
    assert cli("credit-notes", "list", "--json").json["items"][0]["status"] == "issued"


def test_the_invoices_of_a_file_are_numbered_in_its_order(cli, shop, write):
    keys = [f"2026-11/{place}" for place in range(1, 13)]
    rows = "".join(f"{key},jane,GBP,Tea,T1,3,2.55,\n" for key in keys)
    assert cli("invoices", "create", write("day.csv", f"{COLUMNS}{rows}")).code == 0
    assert cli("worker", "--once").code == 0
    listed = {entry["key"]: entry["number"] for entry in cli("invoices", "list", "--json").json["items"]}
    assert [listed[key] for key in keys] == [f"INV-JANE-{place}" for place in range(1, 13)]


def test_the_same_file_twice_is_the_same_documents(cli, shop, write):
    file = write("day.csv", f"{COLUMNS}a,jane,GBP,Tea,T1,3,2.55,\n")
    first, second = (cli("invoices", "create", file, "--json").json["created"] for _ in range(2))
    assert first == second
    assert cli("invoices", "list", "--json").json["total_count"] == 1


BAD = (
    f"{COLUMNS}good,jane,GBP,Tea,T1,3,2.55,\nbad,jane,GBP,Tea,T1,three,2.55,\n"
    "stranger,joe,GBP,Tea,T1,1,2.55,\ngood,jane,EUR,Milk,M1,1,0.80,\nshort,jane,GBP\nfine,jane,GBP,Tea,T1,1,1.00,\n"
)


def test_bad_rows_are_told_by_their_line_and_nothing_is_stored(cli, shop, write):
    answer = cli("invoices", "create", write("day.csv", BAD), "--json")
    assert (answer.code, answer.error["code"]) == (1, "documents_refused")
    assert [(problem["path"], problem["code"]) for problem in answer.error["problems"]] == [
        ("line 5", "csv_disagrees"),
        ("line 3", "amount_invalid"),
        ("line 4", "customer_not_found"),
        ("line 6", "csv_fields"),
        ("short/lines", "too_short"),
    ]
    assert cli("invoices", "list", "--json").json["total_count"] == 0


def test_what_is_good_is_stored_where_that_is_wanted_and_the_rest_reported(cli, shop, write):
    answer = cli("invoices", "create", write("day.csv", BAD), "--skip-bad", "--json")
    assert answer.code == 1
    assert [entry["key"] for entry in answer.json["created"]] == ["fine"]
    assert [entry["document"] for entry in answer.json["refused"]] == ["good", "bad", "stranger", "short"]


def test_a_key_used_for_other_content_refuses_only_that_document(cli, shop, write, invoice):
    invoice("taken")
    file = write("day.csv", f"{COLUMNS}taken,jane,GBP,Tea,T1,9,2.55,\nfree,jane,GBP,Tea,T1,1,2.55,\n")
    answer = cli("invoices", "create", file, "--skip-bad", "--json")
    assert [entry["key"] for entry in answer.json["created"]] == ["free"]
    assert [entry["code"] for entry in answer.json["refused"]] == ["key_reused"]
    assert cli("invoices", "create", file, "--json").error["code"] == "key_reused"


@pytest.mark.parametrize(
    "text, code",
    [
        ("key,customer_key\na,jane\n", "csv_columns"),
        (f'{COLUMNS}a,jane,GBP,"Tea,T1,1,2.55\n', "not_csv"),
        ('{"key": "a"', "not_json"),
        ('[{"key": NaN}]', "not_json"),
        ("", "csv_columns"),
    ],
)
def test_a_file_that_can_not_be_read_says_why(cli, shop, write, text, code):
    assert cli("invoices", "create", write("file", text), "--json").error["code"] == code


def test_an_invoice_may_come_from_standard_input(cli, shop):
    text = f"{COLUMNS}a,jane,GBP,Tea,T1,3,2.55,\n"
    assert cli("invoices", "create", "-", "--json", input=text).json["created"][0]["key"] == "a"


def test_credit_notes_need_not_say_what_they_are(cli, shop, write):
    file = write("notes.csv", COLUMNS.replace(",type", "") + "n,jane,GBP,Tea,T1,1,2.55\n")
    assert cli("credit-notes", "create", file, "--json").json["created"][0]["type"] == "credit_note"


def test_a_credit_note_that_stands_in_the_books_is_noted_from_a_csv(cli, shop, write, invoice):
    invoice("i-1")
    cli("worker", "--once")
    id = cli("invoices", "show", "i-1", "--json").json["id"]
    columns = COLUMNS.replace(",type", ",number,credited_invoice_id,external_id")
    cli("credit-notes", "create", write("notes.csv", f"{columns}n,jane,GBP,Tea,T1,1,2.55,CN-7,{id},memo-7\n"))
    shown = cli("credit-notes", "show", "n", "--json").json
    assert (shown["status"], shown["number"], shown["external_ids"]) == ("issued", "CN-7", {"invoicing": "memo-7"})
    assert "memo-7" in cli("credit-notes", "show", "n").out


def test_a_credit_note_is_shown_with_its_lines_and_what_stands_in_its_way(cli, shop, write):
    file = write("notes.csv", COLUMNS.replace(",type", "") + "n,jane,GBP,Tea,T1,1,2.55\n")
    cli("credit-notes", "create", file)
    (app,) = cli("apps", "list", "--json").json["items"]
    cli("apps", "disable", app["id"])
    shown = cli("credit-notes", "show", "n", "--json").json
    assert shown["waiting_for"].endswith(f"is disabled. Let it work again: billhook apps enable {app['id']}")
    assert (shown["key"], shown["content"]["lines"][0]["name"], shown["issues"]) == ("n", "Tea", [])
    assert "2.55 GBP" in cli("credit-notes", "show", shown["id"]).out


def test_only_a_credit_note_that_failed_is_tried_again(cli, shop, write):
    file = write("notes.csv", COLUMNS.replace(",type", "") + "n,jane,GBP,Tea,T1,1,2.55\n")
    cli("credit-notes", "create", file)
    cli("worker", "--once")
    assert cli("credit-notes", "retry", "n").code == 1
    assert cli("credit-notes", "allocate", "n", "--json").error["code"] == "credit_note_stands_alone"
    assert cli("credit-notes", "show", "unknown", "--json").error["code"] == "not_found"
