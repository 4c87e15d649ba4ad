from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from pydantic import ValidationError
from xero_kit import URL, settings_for

from billhook.contract import MappedLine
from billhook.domain.exchange import ExchangeRate
from billhook.domain.invoice import DocumentType
from billhook.domain.tax import TaxConfig, TaxRate
from billhook.testing.builders import a_content, a_customer, a_line, a_view, a_workflow, an_invoice
from billhook.testing.simulator import SimRequest
from billhook_xero import XeroSettings, read_organisation
from billhook_xero.preflight import problems_of
from billhook_xero.simulator.rules import DEMO_TENANT, DEMO_TOKEN
from billhook_xero.simulator.wire import read_json

ORGANISATION = {
    "base_currency": "GBP",
    "currencies": ["GBP", "EUR"],
    "period_lock_date": "2026-01-31",
    "end_of_year_lock_date": "2025-12-31",
    "accounts": {"200": {}, "299": {"active": False}},
    "tax_rates": {"OUTPUT2": "20"},
    "tracking": {"Team": ["Sales"]},
}
VAT = TaxConfig(rates=(TaxRate(name="VAT", percentage=Decimal(20)),))
ODD = TaxConfig(rates=(TaxRate(name="VAT", percentage=Decimal("13.7")),))


def problems(*, lines=(None,), draft=None, view_changes=None, customer=None, workflow=None, **to):
    drafts = tuple(line or a_line(1, "GBP") for line in lines)
    draft = (draft or an_invoice(currency="GBP", lines=1)).model_copy(update={"lines": drafts})
    view = a_view(a_content(draft, customer=customer, workflow=workflow), issued_at=datetime(2026, 3, 1, tzinfo=UTC))
    view = replace(view, **(view_changes or {}))
    usual = {"account": "200", "rule": "all", **to}
    mapped = [MappedLine(line.id, line.name, **usual) for line in view.lines]
    return problems_of(view, mapped, XeroSettings(**settings_for(URL, organisation=ORGANISATION)))


def credit_line():
    return a_line(1, "GBP", price={"type": "flat", "amount": "-5"}, quantity=None)


SENT = a_workflow(collection_method="send_invoice")
RATE = ExchangeRate(from_currency="EUR", to_currency="USD", rate=Decimal("1.1"))
TABLE = {
    "nothing": ({}, None, None),
    "closed period": ({"view_changes": {"issued_at": datetime(2026, 1, 31, 12, tzinfo=UTC)}}, "date_locked", "/issued_at"),
    "first open day": ({"view_changes": {"issued_at": datetime(2026, 2, 1, tzinfo=UTC)}}, None, None),
    "currency": ({"draft": an_invoice(currency="USD", lines=1), "lines": (a_line(1, "USD"),)}, "currency_not_enabled", "/currency"),
    "rate": (
        {"draft": an_invoice(currency="EUR", lines=1).model_copy(update={"exchange_rate": RATE}), "lines": (a_line(1, "EUR"),)},
        "exchange_rate_not_to_base",
        "/exchange_rate",
    ),
    "negative": ({"lines": (credit_line(),)}, "total_negative", "/totals/total"),
    "no account": ({"account": None}, "account_missing", "/lines/0"),
    "unknown account": ({"account": "999"}, "account_unknown", "/lines/0"),
    "archived account": ({"account": "299"}, "account_inactive", "/lines/0"),
    "no tax type": ({"lines": (a_line(1, "GBP", tax_config=ODD),)}, "tax_code_missing", "/lines/0"),
    "unknown tax type": ({"tax_code": "OUTPUT9"}, "tax_code_unknown", "/lines/0"),
    "tax under a type without": (
        {"lines": (a_line(1, "GBP", tax_config=VAT),), "tax_code": "NONE"},
        "tax_code_untaxed",
        "/lines/0",
    ),
    "known tax type": ({"lines": (a_line(1, "GBP", tax_config=VAT),)}, None, None),
    "tracking": ({"tracking": (("Team", "Ghosts"),)}, "tracking_unknown", "/lines/0"),
    "e-mail": ({"customer": a_customer(email="jürgen@example.com")}, "customer_email_not_taken", "/customer/email"),
    "nobody to mail it to": ({"customer": a_customer(email=None), "workflow": SENT}, "customer_email_missing", "/customer/email"),
    "nothing to mail": ({"customer": a_customer(email=None)}, None, None),
    "name": ({"customer": a_customer(name="x" * 256)}, "customer_name_too_long", "/customer/name"),
}  # fmt: skip


@pytest.mark.parametrize("given, code, path", TABLE.values(), ids=TABLE)
def test_what_xero_would_refuse_is_found_with_its_place(given, code, path):
    found = problems(**given)
    assert [(issue.code, issue.path) for issue in found] == ([(code, path)] if code else [])
    assert all(len(issue.message.split(". ")) >= 2 for issue in found)


def test_everything_is_found_at_once():
    tracking = (("Team", "Sales"), ("Team", "Ghosts"), ("Region", "North"))
    found = problems(account="999", tracking=tracking, view_changes={"issued_at": datetime(2025, 1, 1, tzinfo=UTC)})
    assert {issue.code for issue in found} == {
        "account_unknown",
        "tracking_too_many",
        "tracking_unknown",
        "date_locked",
    }


def test_an_organisation_is_read_from_what_xero_tells_of_it(xero):
    def told(place):
        headers = (("Authorization", f"Bearer {DEMO_TOKEN}"), ("xero-tenant-id", DEMO_TENANT))
        return read_json(xero.handle(SimRequest("GET", f"/api.xro/2.0/{place}", (), headers)).body)

    known = read_organisation(*map(told, ("Organisation", "Accounts", "TaxRates", "TrackingCategories", "Currencies")))
    assert (known.base_currency, known.rounding_account, known.locked_until) == ("GBP", "860", None)
    assert known.accounts["299"].active is False
    assert known.accounts["090"].takes_payments is True
    assert known.tax_rates["OUTPUT2"] == 20
    assert known.tracking["Team"] == {"Sales", "Support"}


def test_the_later_of_two_lock_dates_counts():
    settings = XeroSettings(**settings_for(URL, organisation=ORGANISATION))
    assert settings.organisation.locked_until == date(2026, 1, 31)


@pytest.mark.parametrize(
    "field, value",
    [
        ("tax_types", {"20 %": "OUTPUT2"}),
        ("timezone", "Mars/Olympus"),
        ("api_url", "ftp://x"),
        ("secret", "no such setting"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused_when_it_is_given(field, value):
    with pytest.raises(ValidationError) as refused:
        XeroSettings(**settings_for(URL, **{field: value}))
    assert refused.value.errors()[0]["loc"][0] == field


def test_nobody_has_to_be_mailed_a_credit_note_and_all_else_is_asked_of_it_too():
    note = an_invoice(currency="GBP", lines=1).model_copy(update={"type": DocumentType.CREDIT_NOTE})
    nobody = a_customer(email=None)
    assert problems(draft=note, customer=nobody, workflow=SENT) == ()
    (issue,) = problems(draft=note, lines=(a_line(1, "GBP", tax_config=ODD),))
    assert issue.code == "tax_code_missing"
