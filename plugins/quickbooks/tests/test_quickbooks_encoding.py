from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from urllib.parse import parse_qs, urlsplit

import pytest

from billhook.contract import Capability, MappedLine, encode_json
from billhook.domain.calculation import InvoiceEdit, recalculate
from billhook.domain.exchange import ExchangeRate
from billhook.domain.parsing import parse
from billhook.domain.tax import TaxConfig
from billhook.testing.builders import a_content, a_customer, a_line, a_view, an_invoice
from billhook_quickbooks.encoding import invoice_body
from billhook_quickbooks.marks import batch_ids, read_mark


def of_lines(*lines, **changes):
    return an_invoice(**changes).model_copy(update={"lines": lines})


def test_the_exact_bytes_of_a_batch(desk):
    item = desk.invoice_item(
        1, of_lines(a_line(1, quantity=Decimal("2.50"), price={"type": "unit", "amount": "12345678901.2345678"}))
    )
    view = replace(item.invoice, due_at=datetime(2026, 4, 1, tzinfo=UTC))
    request, _ = desk.to_effect(Capability.ISSUE, desk.batch(replace(item, invoice=view)))
    entry = (
        '{"BatchItemRequest":[{"bId":"BID","operation":"create","Invoice":{"CustomerRef":{"value":"101"},"TxnDate":"2026-03-02",'
        '"Line":[{"LineNum":1,"Description":"Line 1","Amount":"30864197253.09","DetailType":"SalesItemLineDetail",'
        '"SalesItemLineDetail":{"Qty":"2.50","UnitPrice":"12345678901.2345678","ItemRef":{"value":"1"},"TaxCodeRef":{"value":"NON"}}}],'
        '"TxnTaxDetail":{"TotalTax":"0.00"},"DocNumber":"INV-1","BillEmail":{"Address":"billing@customer.example"},'
        '"BillAddr":{"Line1":"Invalidenstr. 1","City":"Berlin","PostalCode":"10115","Country":"DE"},"DueDate":"2026-04-01",'
        '"EmailStatus":"NotSet","PrivateNote":"billhook:ITEM:'
    )
    expected = entry.replace("BID", item.id[-10:]).replace("ITEM:", f"{item.id}:")
    assert request.body.decode().startswith(expected)
    assert request.body.decode().endswith('"}}]}')


def test_every_address_names_company_and_version_and_the_key_has_its_place(desk):
    request, _ = desk.to_effect(Capability.ISSUE, desk.batch(desk.invoice_item(1)))
    parts = urlsplit(request.url)
    assert (parts.path, parse_qs(parts.query)) == ("/v3/company/9341452000000001/batch", {"minorversion": ["75"]})
    assert (request.key.name, request.key.place, request.key.max_length) == ("requestid", "query", 36)


def test_a_send_has_no_body_and_the_type_that_intuit_wants(desk):
    request, _ = desk.to_effect(Capability.SEND, desk.batch(desk.issued(1)))
    assert (request.body, dict(request.headers)["Content-Type"]) == (b"", "application/octet-stream")
    assert parse_qs(urlsplit(request.url).query)["sendTo"] == ["billing@customer.example"]


def test_mapping_rules_win_and_a_class_is_sent(desk):
    item = desk.invoice_item(1, of_lines(a_line(1)))
    mapped = MappedLine(
        item.invoice.lines[0].id, "Told", "a rule", item_code="3", tax_code="TAX", tracking=(("Class", "500"),)
    )
    body = invoice_body(replace(item, lines=(mapped,)), desk.settings, desk.clock.now(), None)
    detail = body["Line"][0]["SalesItemLineDetail"]
    assert (body["Line"][0]["Description"], detail["ItemRef"], detail["TaxCodeRef"], detail["ClassRef"]) == (
        "Told", {"value": "3"}, {"value": "TAX"}, {"value": "500"},
    )  # fmt: skip


def test_a_mark_tells_whose_it_is_and_changes_with_the_content(desk):
    item, other = desk.invoice_item(1), desk.invoice_item(1, an_invoice(lines=1))
    now = desk.clock.now()
    marks = [read_mark(invoice_body(each, desk.settings, now, None)) for each in (item, item, other)]
    assert marks[0] == marks[1] != marks[2]
    assert {mark.item_id for mark in marks} == {item.id}
    again = invoice_body(item, desk.settings, now, {"Id": "7", "SyncToken": "3"})
    assert (read_mark(again), again["Id"], again["SyncToken"], again["sparse"]) == (marks[0], "7", "3", False)


def test_ids_of_a_batch_are_short_and_distinct():
    ids = [f"01KDVDNA00T6MCQS9D{tail}" for tail in ("YAHM0159", "YAHM0160")]
    assert set(batch_ids(ids).values()) == {"9DYAHM0159", "9DYAHM0160"}
    clash = ["0" * 16 + "A" * 10, "1" * 16 + "A" * 10]
    assert list(batch_ids(clash).values()) == ["0", "1"]


def test_decimals_are_text_digit_for_digit():
    assert encode_json({"Amount": Decimal("12345678901234.5678")}) == b'{"Amount":"12345678901234.5678"}'
    assert json.loads(encode_json({"Amount": Decimal("1E+3")})) == {"Amount": "1000"}


# Pre-flight.

RATE = ExchangeRate(from_currency="USD", to_currency="EUR", rate=Decimal("0.9"))
TABLE = [
    ("an invoice as it should be", {}, {}, {}, None),
    ("an invoice below zero", {"lines": 1, "negative": True}, {}, {}, "total_negative"),
    ("a draft's long number", {}, {"number": "X" * 22}, {}, None),
    ("a closed period", {}, {"issued_at": datetime(2026, 1, 31, tzinfo=UTC)}, {"closed_until": date(2026, 1, 31)}, "period_closed"),
    ("a currency that is not switched on", {"currency": "USD"}, {}, {}, "currency_not_enabled"),
    ("no exchange rate", {"currency": "USD"}, {}, {"multicurrency": True}, "exchange_rate_missing"),
    ("an exchange rate", {"currency": "USD", "exchange_rate": RATE}, {}, {"multicurrency": True}, None),
    ("no item", {}, {}, {"default_item": None, "items": {}}, "item_not_mapped"),
    ("finer than cents", {"currency": "KWD"}, {}, {"home_currency": "KWD"}, "amount_too_fine"),
    ("no tax code outside the US", {}, {}, {"tax_model": "elsewhere"}, "tax_code_unknown"),
    ("a tax code that is not listed", {"tax": "VAT"}, {}, {"tax_model": "elsewhere"}, "tax_code_unknown"),
    ("a company without sales tax", {}, {}, {"tax_model": "none"}, None),
]  # fmt: skip


@pytest.mark.parametrize("draft, view, settings, code", [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_what_would_be_refused_is_found_before_anything_is_sent(company, a_desk, draft, view, settings, code):
    desk = a_desk(company, **settings)
    changes = dict(draft)
    negative, tax = changes.pop("negative", False), changes.pop("tax", None)
    made = an_invoice(**changes)
    if negative:
        made = of_lines(a_line(1, price={"type": "flat", "amount": "-5"}, quantity=None))
    if tax:
        made = of_lines(a_line(1, tax_config=TaxConfig(code=tax)))
    shown = a_view(a_content(made), **view)
    found = {issue.code for issue in desk.handle.validate_invoice(shown, desk.mapped(shown), desk.settings)}
    assert found == ({code} if code else set())
    assert company.calls() == ()


def test_everything_is_told_at_once_with_its_place(company, a_desk):
    desk = a_desk(company, default_item=None, items={"ITEM-2": "2"})
    shown = a_view(a_content(an_invoice(currency="USD")), number="N" * 30)
    issues = desk.handle.validate_invoice(shown, desk.mapped(shown), desk.settings)
    assert [(issue.code, issue.path) for issue in issues] == [
        ("currency_not_enabled", "/currency"),
        ("item_not_mapped", "/lines/0"), ("item_not_mapped", "/lines/2"),
    ]  # fmt: skip


def test_nobody_to_mail_it_to_is_found_before_it_is_posted(company, a_desk):
    desk = a_desk(company)
    content = a_content(customer=a_customer(email=None))
    sent = type(content.workflow)(collection_method="send_invoice")
    shown = a_view(content.model_copy(update={"workflow": sent}))
    (issue,) = desk.handle.validate_invoice(shown, desk.mapped(shown), desk.settings)
    assert (issue.code, issue.severity.value) == ("customer_email_missing", "critical")


def test_a_credit_note_is_mailed_by_nobody_and_its_missing_rate_has_a_way_out_of_its_own(company, a_desk):
    desk = a_desk(company, multicurrency=True)
    content = a_content(an_invoice(currency="USD", type="credit_note"), customer=a_customer(email=None))
    sent = type(content.workflow)(collection_method="send_invoice")
    shown = a_view(content.model_copy(update={"workflow": sent}))
    (issue,) = desk.handle.validate_invoice(shown, desk.mapped(shown), desk.settings)
    assert issue.code == "exchange_rate_missing"
    assert "billhook credit-notes void CREDIT_NOTE" in issue.message


def test_what_the_reason_for_a_missing_rate_shows_is_an_edit_that_works(company, a_desk):
    desk = a_desk(company, multicurrency=True)
    content = a_content(an_invoice(currency="USD"))
    shown = a_view(content)
    (issue,) = desk.handle.validate_invoice(shown, desk.mapped(shown), desk.settings)
    edit = parse(InvoiceEdit, json.loads(issue.message[issue.message.index("{") :]))
    mended = a_view(recalculate(content, edit))
    assert not desk.handle.validate_invoice(mended, desk.mapped(mended), desk.settings)
