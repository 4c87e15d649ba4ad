"""Why invoices and credit notes stand still, and what is done about all of them at once."""

from __future__ import annotations

import re

from csv_kit import COLUMNS

from billhook.contract import Rejected, hookimpl
from billhook.testing.sandbox.provider import SandboxProvider


def test_causes_are_told_once_with_how_many_invoices_have_them(cli, shop, write):
    nothing = cli("invoices", "issues", "--json")
    assert (nothing.code, nothing.json) == (0, {"items": [], "held": []})
    cli("profiles", "update", shop, "--workflow", "tax_enabled=true")
    line = {"name": "Tea", "price": {"type": "flat", "amount": "1"}}
    unknown, other = ({**line, "tax_config": {"code": "NOPE"}}, line)
    drafts = [{"lines": [unknown]}, {"lines": [unknown]}, {"lines": [other], "expected_totals": {"total": "9"}}]
    drafts = [
        {"key": f"i-{place}", "customer_key": "jane", "currency": "GBP", **draft} for place, draft in enumerate(drafts)
    ]
    cli("invoices", "create", write("i.json", drafts))
    cli("worker", "--once")
    told = cli("invoices", "issues", "--json")
    assert told.code == 3
    assert [(one["invoices"], one["severity"], one["code"]) for one in told.json["items"]] == [
        (2, "critical", "tax_code_unknown"),
        (1, "critical", "totals_unexpected"),
    ]
    assert "NOPE" in told.json["items"][0]["message"]
    example = cli("invoices", "show", told.json["items"][0]["example"], "--json").json
    assert example["key"] in {"i-0", "i-1"}
    cli("invoices", "delete", "i-2")
    assert [one["invoices"] for one in cli("invoices", "issues", "--json").json["items"]] == [2]


def test_a_payment_that_failed_is_a_cause_too(cli, shop, write):
    declined = {"openmeter.io/sandbox/target-payment-status": "failed"}
    line = {"name": "Tea", "price": {"type": "flat", "amount": "1"}}
    drafts = [
        {"key": f"i-{place}", "customer_key": "jane", "currency": "GBP", "lines": [line], "metadata": metadata}
        for place, metadata in enumerate((declined, {}, declined))
    ]
    cli("invoices", "create", write("i.json", drafts))
    cli("worker", "--once")
    (told,) = cli("invoices", "issues", "--json").json["items"]
    assert (told["invoices"], told["severity"], told["code"]) == (2, "critical", "card_declined")
    assert (told["message"], told["component"]) == (
        "The card was declined.",
        "app.sandbox.collectPayments.collect_payment",
    )
    listed = cli("invoices", "list", "--issue", "card_declined", "--json").json["items"]
    assert [one["key"] for one in listed] == ["i-2", "i-0"]
    assert told["example"] in {one["id"] for one in listed}
    assert "card_declined: The card was declined." in cli("invoices", "show", "i-0").out
    assert told["way_out"] == (
        f"Have another way to pay named at Sandbox, then collect it again: billhook invoices retry {told['example']}. "
        f"Money that came another way is noted: billhook invoices pay {told['example']} AMOUNT"
    )
    assert cli("invoices", "show", told["example"], "--json").json["way_out"] == told["way_out"]
    assert "way to pay" in cli("invoices", "show", "i-0").out
    assert "way to pay" in cli("invoices", "issues").out
    assert cli("invoices", "show", "i-1", "--json").json["way_out"] is None
    cli("invoices", "pay", "i-0", "1.00")
    cli("invoices", "retry", "i-2")
    cli("worker", "--once")
    assert [one["invoices"] for one in cli("invoices", "issues", "--json").json["items"]] == [
        1
    ]  # declined twice, told once
    assert [one["key"] for one in cli("invoices", "list", "--issue", "card_declined", "--json").json["items"]] == [
        "i-2"
    ]


def test_a_list_for_a_code_that_nothing_has_tells_the_codes_that_stand_open(cli, shop, write):
    line = {"name": "Tea", "price": {"type": "flat", "amount": "1"}}
    wrong = {"customer_key": "jane", "currency": "GBP", "lines": [line], "expected_totals": {"total": "9"}}
    assert "Codes that stand open now: none." in cli("invoices", "list", "--issue", "nosuch").out
    cli("invoices", "create", write("i.json", [{**wrong, "key": "i"}]))
    assert "Codes that stand open now: totals_unexpected." in cli("invoices", "list", "--issue", "nosuch").out
    assert "Codes" not in cli("invoices", "list", "--issue", "totals_unexpected").out
    assert set(cli("invoices", "list", "--issue", "nosuch", "--json").json) == {
        *("items", "total_count", "page", "page_size")
    }


def test_what_waits_for_an_app_that_can_not_be_called_stands_below_the_causes(cli, invoice, app_id, write, monkeypatch):
    assert "that wait" not in cli("invoices", "issues").out
    invoice("i-1")
    invoice("i-2")
    cli("credit-notes", "create", write("n.csv", COLUMNS.replace(",type", "") + "n,jane,GBP,Tea,T1,1,2.55\n"))
    cli("apps", "disable", app_id)
    told = cli("invoices", "issues", "--json")
    (held,) = told.json["held"]
    assert (told.code, held["app_id"], held["documents"]) == (0, app_id, 2)
    assert f"billhook apps enable {app_id}" in cli("invoices", "issues").out
    assert [one["documents"] for one in cli("credit-notes", "issues", "--json").json["held"]] == [1]
    cli("apps", "enable", app_id)
    monkeypatch.setenv("WRONG", "nobody")
    cli("apps", "credentials", app_id, "--credential-env", "token=WRONG")
    cli("worker", "--once")
    (held,) = cli("invoices", "issues", "--json").json["held"]
    assert (held["documents"], held["reason"]) == (2, f"Sandbox is unauthorized. See why: billhook apps check {app_id}")


def test_payments_that_the_books_refuse_are_one_cause(cli, shop, invoice, monkeypatch):
    cli("profiles", "update", shop, "--workflow", "collection_method=send_invoice")
    for key in ("i-1", "i-2"):
        invoice(key)
    cli("worker", "--once")
    for key, amount in (("i-1", "1.00"), ("i-1", "2.00"), ("i-2", "1.00")):
        cli("invoices", "pay", key, amount)
    monkeypatch.setattr(SandboxProvider, "record_payment", _refuse)
    cli("worker", "--once")
    (told,) = cli("invoices", "issues", "--json").json["items"]
    assert (told["invoices"], told["component"]) == (2, "app.sandbox.collectPayments.record_payment")
    assert "sandbox record_payment" in cli("invoices", "issues").out
    ways_out = re.findall(r"billhook (invoices [a-z-]+ [^.:;]+)", told["message"])
    assert [way.split()[1] for way in ways_out] == ["retry", "look", "dismiss", "take-back"]
    for way in ways_out:
        assert cli(*way.split()).code == 0
    cli("worker", "--once")
    stands = {one["id"]: one["status"] for one in cli("invoices", "show", told["example"], "--json").json["payments"]}
    assert stands[ways_out[-1].split()[3]] == "canceled"


def test_the_workflow_of_all_that_stand_still_for_one_cause_is_changed_at_once(cli, shop, write):
    cli("profiles", "update", shop, "--workflow", "tax_enabled=true")
    price, vat = {"type": "unit", "amount": "0.52"}, {"rates": [{"name": "VAT", "percentage": "20"}]}
    lines = [{"name": name, "quantity": "1", "price": price, "tax_config": vat} for name in ("Tea", "Milk", "Salt")]
    head = {"customer_key": "jane", "currency": "GBP", "lines": lines}
    totals = {"a": "1.87", "other": "9", "b": "1.87", "fits": "1.86"}
    drafts = [{**head, "key": key, "expected_totals": {"total": total}} for key, total in totals.items()]
    cli("invoices", "create", write("i.json", drafts))
    cli("worker", "--once")
    changed = cli("invoices", "update", "--all", "--issue", "totals_unexpected", "--workflow", "tax_rounding=on_total")
    assert changed.code == 0
    assert "3 changed, 0 left. How many stand how: 2 draft.syncing, 1 draft.invalid." in changed.out
    cli("worker", "--once")
    shown = {key: cli("invoices", "show", key, "--json").json for key in totals}
    assert [(each["status"], each["total"]) for each in shown.values()] == [
        *(("paid", "1.87"), ("draft.invalid", "1.87"), ("paid", "1.87"), ("paid", "1.86"))
    ]
    again = ("invoices", "update", "--all", "--issue", "nosuch", "--workflow", "tax_rounding=on_total")
    assert "No invoice stands still with the issue nosuch." in cli(*again).out
    assert cli(*again, "--json").json == {"items": [], "updated": 0, "left": 0}


def test_what_failed_is_shown_by_the_worker_and_tried_again(cli, invoice):
    target = {"openmeter.io/sandbox/target-payment-status": "failed"}
    invoice("i-1", metadata=target)
    worked = cli("worker", "--once", "--json")
    assert worked.json["failed"] == 1
    assert worked.code == 3
    retried = cli("invoices", "retry", "--all-failed", "--json")
    assert [entry["id"] for entry in retried.json["items"]] == [cli("invoices", "show", "i-1", "--json").json["id"]]


def test_a_retry_reports_each_invoice(cli, invoice):
    invoice("i-1")
    cli("worker", "--once")
    answer = cli("invoices", "retry", "i-1", "nobody", "--json")
    assert answer.code == 1
    assert [entry["code"] for entry in answer.json["items"]] == ["invoice_action_not_available", "not_found"]
    assert cli("invoices", "retry").code == 2


def test_a_credit_note_that_failed_is_counted_and_given_up(cli, shop, write, monkeypatch):
    file = write("notes.csv", COLUMNS.replace(",type", "") + "n,jane,GBP,Tea,T1,1,2.55\n")
    cli("credit-notes", "create", file)
    with monkeypatch.context() as patch:
        patch.setattr(SandboxProvider, "credit", _refuse)
        worked = cli("worker", "--once", "--json")
    assert (worked.code, worked.json["failed_credit_notes"]) == (3, 1)
    assert cli("credit-notes", "list", "--status", "failed", "--json").json["items"][0]["key"] == "n"
    told = cli("credit-notes", "issues", "--json")
    (cause,) = told.json["items"]
    assert (told.code, cause["credit_notes"], cause["severity"], cause["code"]) == (3, 1, "critical", "not_now")
    assert "sandbox credit" in cli("credit-notes", "issues").out
    assert cli("credit-notes", "list", "--issue", "not_now", "--json").json["total_count"] == 1
    assert "Codes that stand open now: not_now." in cli("credit-notes", "list", "--issue", "nosuch").out
    assert cli("invoices", "issues", "--json").json["items"] == []
    assert cli("credit-notes", "void", "n", "--json").json["status"] == "voided"
    assert cli("credit-notes", "issues").code == 0
    assert cli("worker", "--once").code == 0


def test_one_command_tries_again_whatever_the_worker_counts(cli, shop, invoice, write, monkeypatch):
    cli("profiles", "update", shop, "--workflow", "collection_method=send_invoice")
    for key in ("paid", "void"):
        invoice(key)
    cli("worker", "--once")
    cli("invoices", "pay", "paid", "7.65")
    cli("invoices", "void", "void")
    cli("credit-notes", "create", write("n.csv", COLUMNS.replace(",type", "") + "note,jane,GBP,Tea,T1,1,2.55\n"))
    with monkeypatch.context() as patch:
        for operation in ("record_payment", "void", "credit"):
            patch.setattr(SandboxProvider, operation, _refuse)
        worked = cli("worker", "--once", "--json")
    assert worked.code == 3
    assert [worked.json[name] for name in ("unrecorded", "unvoided", "failed_credit_notes")] == [1, 1, 1]
    retried = cli("invoices", "retry", "--all-failed", "--json")
    assert [entry["key"] for entry in retried.json["items"]] == ["paid", "void", "note"]
    assert (retried.code, retried.json["retried"], retried.json["left"]) == (0, 3, 0)
    assert cli("worker", "--once").code == 0
    assert "Nothing had failed" in cli("invoices", "retry", "--all-failed").out


def test_what_could_not_be_tried_again_is_named_and_the_rest_was(cli, shop, invoice, write, monkeypatch):
    cli("profiles", "update", shop, "--workflow", "collection_method=send_invoice")
    invoice_id = invoice("credited")
    cli("worker", "--once")
    line = {"name": "Tea", "price": {"type": "flat", "amount": "1"}}
    note = {"type": "credit_note", "customer_key": "jane", "currency": "GBP", "lines": [line]}
    stays = {**note, "key": "stays", "credited_invoice_id": invoice_id}
    cli("credit-notes", "create", write("notes.json", [stays, {**note, "key": "goes"}]))
    with monkeypatch.context() as patch:
        patch.setattr(SandboxProvider, "credit", _refuse)
        cli("worker", "--once")
    cli("invoices", "void", "credited")
    retried = cli("invoices", "retry", "--all-failed", "--json")
    assert (retried.code, retried.json["retried"], retried.json["left"]) == (1, 1, 1)
    assert [entry.get("code") for entry in retried.json["items"]] == ["invoice_not_creditable", None]
    page = cli("invoices", "retry", "--all-failed").out
    assert "credit note stays" in page
    assert "there is nothing to credit" in page
    assert "0 tried again, 1 left. How many stand how: 1 failed." in page
    cli("worker", "--once")
    assert cli("credit-notes", "show", "goes", "--json").json["status"] == "issued"


@hookimpl
def _refuse(self, batch):
    refused = {item.id: Rejected.because("not_now", "No.") for item in batch.items}
    yield from ()
    return refused


def test_a_retry_of_everything_says_when_nothing_had_failed(cli, invoice):
    invoice("i-1")
    cli("worker", "--once")
    assert "Nothing had failed" in cli("invoices", "retry", "--all-failed").out


def test_a_deletion_that_failed_is_asked_for_again(cli, shop, invoice, sandbox, monkeypatch):
    cli("profiles", "update", shop, "--workflow", "auto_advance=false")
    invoice("i-1")
    cli("worker", "--once")
    with monkeypatch.context() as patch:
        patch.setattr(SandboxProvider, "delete", _refuse)
        cli("invoices", "delete", "i-1")
        assert cli("worker", "--once", "--json").json["failed"] == 1
    assert [entry["key"] for entry in cli("invoices", "list", "--json").json["items"]] == ["i-1"]
    (retried,) = cli("invoices", "retry", "--all-failed", "--json").json["items"]
    assert retried["status"] == "delete.syncing"
    assert cli("worker", "--once").code == 0
    assert cli("invoices", "list", "--json").json["items"] == []
