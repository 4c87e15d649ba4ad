"""Pending lines, invoices made of them, and lines that are only tried, over OpenMeter's first API."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from server_kit import ELSEWHERE, Served

from billhook.domain.usage import UsageQuestion
from billhook.providers.custom_invoicing import provider as custom_invoicing
from billhook.testing.builders import an_id

INVOICES = "/api/v1/billing/invoices"
APRIL = {"from": "2026-04-01T00:00:00Z", "to": "2026-05-01T00:00:00Z"}
DUE, LATER = "2026-05-01T00:00:00Z", "2026-06-01T00:00:00Z"
FLAT = {"type": "flat", "amount": "100.00", "paymentTerm": "in_advance"}
PRICES: list[dict[str, Any]] = [
    FLAT,
    {"type": "unit", "amount": "0.10"},
    {
        "type": "tiered",
        "mode": "volume",
        "tiers": [
            {"upToAmount": "10", "flatPrice": None, "unitPrice": {"type": "unit", "amount": "2"}},
            {"flatPrice": {"type": "flat", "amount": "5"}, "unitPrice": {"type": "unit", "amount": "1"}},
        ],
    },
    {"type": "dynamic", "multiplier": "1.2"},
    {"type": "package", "amount": "3", "quantityPerPackage": "50"},
]


class Meter:
    """Answers a hundred for everything, as often as it is asked; ``fails`` makes it break."""

    def __init__(self) -> None:
        self.fails = False

    def quantities(self, questions: Sequence[UsageQuestion]) -> dict[str, Decimal]:
        if self.fails:
            raise RuntimeError("the meter is down")
        return {question.line_id: Decimal(100) for question in questions}


def line(name: str = "Fee", **changes: Any) -> dict[str, Any]:
    return {"name": name, "period": APRIL, "invoiceAt": DUE, "rateCard": {"price": FLAT}, **changes}


def jane(served: Served) -> str:
    return served.ns.customers.get("jane").id


def add(served: Served, *lines: dict[str, Any], currency: str = "USD", status: int = 201) -> dict[str, Any]:
    path = f"/api/v1/billing/customers/{jane(served)}/invoices/pending-lines"
    answer: dict[str, Any] = served.call(
        "POST", path, json={"currency": currency, "lines": lines}, expect=status
    ).json()
    return answer


def invoice_now(served: Served, status: int = 201, **body: Any) -> Any:
    return served.call("POST", f"{INVOICES}/invoice", json={"customerId": jane(served), **body}, expect=status).json()


def get(served: Served, id: str) -> dict[str, Any]:
    answer: dict[str, Any] = served.call("GET", f"{INVOICES}/{id}", expect=200).json()
    return answer


# Adding.


def test_lines_gather_until_they_are_invoiced_and_keep_their_ids(served_anywhere):
    served = served_anywhere
    first = add(served, line("One"))
    second = add(served, line("Two"), line("Three"))
    pool = first["invoice"]
    assert (first["isInvoiceNew"], second["isInvoiceNew"]) == (True, False)
    assert pool["id"] == second["invoice"]["id"]
    assert (pool["status"], pool["number"], pool["type"]) == ("gathering", "GATHER-JADO-USD-1", "standard")
    assert [each["name"] for each in second["lines"]] == ["Two", "Three"]
    assert second["invoice"]["totals"]["total"] == "300.00"
    assert second["invoice"]["statusDetails"] == {
        "immutable": False,
        "failed": False,
        "extendedStatus": "gathering",
        "availableActions": {"invoice": {}},
    }
    (invoice,) = invoice_now(served)
    assert {each["id"] for each in invoice["lines"]} == {each["id"] for each in second["invoice"]["lines"]}
    assert (invoice["status"], invoice["number"]) == ("payment_processing", "INV-JADO-1")
    assert invoice["period"] == APRIL
    empty = get(served, pool["id"])
    assert (empty["totals"]["total"], empty["statusDetails"]["availableActions"]) == ("0", {})
    assert add(served, line())["isInvoiceNew"] is True


def test_each_currency_has_a_pool_and_an_invoice_of_its_own(served):
    pools = {add(served, line(), currency=currency)["invoice"]["id"] for currency in ("USD", "EUR")}
    assert len(pools) == 2
    assert [invoice["currency"] for invoice in invoice_now(served)] == ["EUR", "USD"]


def test_all_five_prices_are_rated_by_what_was_used(serve):
    served = serve(custom_invoicing, usage=Meter())
    lines = [line(f"Line {n}", rateCard={"price": price, "featureKey": "calls"}) for n, price in enumerate(PRICES)]
    pool = add(served, *lines)["invoice"]
    amounts = ["100.00", "10.00", "105.00", "120.00", "6.00"]
    assert [each["totals"]["total"] for each in pool["lines"]] == amounts
    assert [each["price"] for each in pool["lines"]] == PRICES
    assert [each["quantity"] for each in pool["lines"]] == ["1", "100", "100", "100", "100"]
    (invoice,) = invoice_now(served)
    assert [each["totals"]["total"] for each in invoice["lines"]] == amounts
    assert invoice["totals"]["total"] == "341.00"


def test_the_older_way_to_say_a_price_is_understood(served):
    old = {"name": "Fee", "period": APRIL, "invoiceAt": DUE, "price": FLAT, "featureKey": "seats"}
    (added,) = add(served, old)["lines"]
    assert (added["rateCard"]["price"], added["rateCard"]["featureKey"]) == (FLAT, "seats")


def test_discounts_taxes_and_notes_of_a_line_are_kept(served):
    discounts = {"percentage": {"percentage": 12.5, "correlationId": an_id()}}
    taxes = {"behavior": "exclusive", "customInvoicing": {"code": "S"}}
    card = {"price": FLAT, "discounts": discounts, "taxConfig": taxes}
    (added,) = add(served, line(rateCard=card, description="April", metadata={"a": "b"}))["lines"]
    assert added["rateCard"] == card
    assert (added["description"], added["metadata"], added["totals"]["total"]) == ("April", {"a": "b"}, "87.50")


@pytest.mark.parametrize(
    "change, code, place",
    [
        ({"rateCard": {"price": {"type": "unit", "amount": "1"}}}, "line_feature_key_missing", "/lines/0/"),
        ({"rateCard": {}}, "price_missing", "/lines/0/rateCard/price"),
        ({"rateCard": {"price": {"type": "flat", "amount": "ten"}}}, "amount_invalid", "/lines/0/rateCard/price"),
        ({"rateCard": {"price": FLAT, "featureKey": "Not A Key"}}, "string_pattern_mismatch", "/lines/0/rateCard"),
        ({"rateCard": {"price": FLAT, "taxConfig": {"taxCodeId": an_id()}}}, "tax_code_id_unknown", "/lines/0/rateCard/taxConfig"),
        ({"invoiceAt": "soon"}, "datetime_invalid", "/lines/0/invoiceAt"),
        ({"name": ""}, "string_too_short", "/lines/0/name"),
        ({"period": {"from": LATER, "to": DUE}}, "period_empty", "/lines/0/period"),
    ],
    ids=lambda value: str(value)[:40],
)  # fmt: skip
def test_a_line_that_can_never_be_invoiced_is_refused_by_place(served, change, code, place):
    problem = add(served, line(**change), status=400)
    assert problem["extensions"]["code"] == code
    assert problem["extensions"]["path"].startswith(place)
    assert served.call("GET", INVOICES, expect=200).json()["totalCount"] == 0


def test_a_line_of_the_wrong_shape_is_told_in_the_words_of_json(served):
    path = f"/api/v1/billing/customers/{jane(served)}/invoices/pending-lines"
    problem = served.problem("POST", path, 400, json={"currency": "USD", "lines": ["Fee"]})
    assert problem["detail"] == "/lines/0: This has to be an object."


def test_a_line_that_lacks_something_is_not_called_missing_as_well(served):
    problem = add(served, {"name": "Fee", "invoiceAt": DUE, "rateCard": {"price": FLAT}}, status=400)
    assert (problem["detail"], problem["extensions"]["path"]) == ("/lines/0/period: Field required", "/lines/0/period")


def test_other_customers_and_namespaces_are_not_reached(served):
    path = f"/api/v1/billing/customers/{jane(served)}/invoices/pending-lines"
    body = {"currency": "USD", "lines": [line()]}
    served.problem("POST", path, 404, role=ELSEWHERE, json=body)
    served.problem("POST", path.replace(jane(served), an_id()), 404, json=body)
    served.problem("POST", path, 403, role="read", json=body)
    served.problem("POST", path, 400, json={"currency": "USD", "lines": []})
    served.problem("POST", path, 400, json={"currency": "dollars", "lines": [line()]})


# The pool as an invoice.


def test_pools_stand_in_lists_beside_invoices(served_anywhere):
    served = served_anywhere
    invoice = served.shop.submit()
    served.clock.advance(timedelta(seconds=1))
    pool = add(served, line())["invoice"]["id"]

    def ids(**query: Any) -> list[str]:
        return [each["id"] for each in served.call("GET", INVOICES, params=query, expect=200).json()["items"]]

    assert ids() == [invoice, pool]
    assert ids(order="DESC") == [pool, invoice]
    assert ids(pageSize="1", page="2") == [pool]
    assert ids(statuses="gathering") == ids(extendedStatuses="gathering") == [pool]
    assert ids(statuses=["gathering", "payment_processing"]) == [invoice, pool]
    assert ids(statuses="draft") == []
    assert ids(customers=jane(served)) == [invoice, pool]
    assert ids(customers=an_id()) == []
    assert ids(createdAfter="2026-05-01T12:00:01Z") == [pool]
    assert ids(orderBy="status") == [pool, invoice]
    assert ids(orderBy="issuedAt") == ids(orderBy="issuedAt", order="DESC") == [invoice, pool]
    assert ids(orderBy="customer.name") == [invoice, pool]
    invoice_now(served)
    assert pool not in ids()


def test_usage_that_nobody_knows_is_said_and_counts_nothing(serve):
    meter = Meter()
    served = serve(custom_invoicing, usage=meter)
    meter.fails = True
    metered = line("Calls", rateCard={"price": {"type": "unit", "amount": "1"}, "featureKey": "calls"})
    pool = add(served, metered, line())["invoice"]
    assert pool["totals"]["total"] == "100.00"
    (issue,) = pool["validationIssues"]
    assert (issue["severity"], issue["code"], issue["component"]) == ("warning", "usage_unknown", "openmeter.metering")
    meter.fails = False
    assert get(served, pool["id"])["totals"]["total"] == "200.00"


def test_a_pool_says_when_it_is_collected(serve):
    anchored = {
        "collection_alignment": "anchored",
        "collection_anchor": {"interval": "P1M", "anchor": "2026-01-15T00:00:00Z"},
    }
    served = serve(custom_invoicing, workflow=anchored)
    pool = add(served, line(), line(invoiceAt=LATER))["invoice"]
    assert pool["collectionAt"] == "2026-05-15T00:00:00Z"
    assert add(served, line(invoiceAt="2026-04-15T00:00:00Z"))["invoice"]["collectionAt"] == "2026-04-15T00:00:00Z"


def test_a_pool_is_deleted_and_nothing_else_is_done_with_it(served_anywhere):
    served = served_anywhere
    pool = add(served, line())["invoice"]
    body = {name: pool[name] for name in ("supplier", "customer", "lines", "workflow")}
    for method, path in (("POST", "/advance"), ("POST", "/approve"), ("POST", "/void"), ("PUT", "")):
        problem = served.problem(method, f"{INVOICES}/{pool['id']}{path}", 400, json=body if method == "PUT" else None)
        assert problem["extensions"]["code"] == "invoice_action_not_available"
    served.problem("DELETE", f"{INVOICES}/{pool['id']}", 404, role=ELSEWHERE)
    served.call("DELETE", f"{INVOICES}/{pool['id']}", expect=204)
    assert "lines" not in get(served, pool["id"])
    assert invoice_now(served, 400)["extensions"]["code"] == "invoice_create_no_lines"


# Invoicing.


def test_lines_are_chosen_by_time_and_by_id(served):
    early, late = add(served, line("Early", invoiceAt="2026-04-01T00:00:00Z"), line("Late"))["lines"]
    add(served, line("Next", invoiceAt=LATER))
    (invoice,) = invoice_now(served, asOf="2026-04-15T00:00:00Z")
    assert [each["id"] for each in invoice["lines"]] == [early["id"]]
    (invoice,) = invoice_now(served, filters={"lineIds": [late["id"].lower()]})
    assert [each["id"] for each in invoice["lines"]] == [late["id"]]


@pytest.mark.parametrize(
    "body, code",
    [
        ({}, "invoice_create_no_lines"),
        ({"asOf": "2027-01-01T00:00:00Z"}, "as_of_in_future"),
        ({"filters": {"lineIds": []}}, "too_short"),
        ({"progressiveBillingOverride": True}, "progressive_billing_not_supported"),
    ],
    ids=str,
)
def test_what_can_not_be_invoiced_now_is_refused(served, body, code):
    add(served, line(invoiceAt=LATER))
    assert invoice_now(served, 400, **body)["extensions"]["code"] == code


def test_a_named_line_that_is_not_due_is_refused(served):
    (added,) = add(served, line(invoiceAt=LATER))["lines"]
    problem = invoice_now(served, 400, filters={"lineIds": [added["id"]]})
    assert problem["extensions"]["code"] == "invoice_lines_not_billable"
    served.clock.advance(datetime(2026, 6, 1, tzinfo=UTC) - served.clock.now())
    assert len(invoice_now(served, progressiveBillingOverride=False)) == 1


# Trying.


def test_a_simulated_invoice_is_shown_and_not_stored(served):
    before = served.shop.counts()
    path = f"/api/v1/billing/customers/{jane(served)}/invoices/simulate"
    id = an_id()
    lines = [
        line(quantity="1", id=id.lower()),
        line("Calls", quantity="250", rateCard={"price": PRICES[2], "featureKey": "calls"}),
    ]
    answer = served.call("POST", path, role="read", json={"currency": "USD", "lines": lines}, expect=200).json()
    assert (answer["number"], answer["totals"]["total"]) == ("INV-SIMULATED", "355.00")
    assert answer["statusDetails"] == {
        "immutable": False,
        "failed": False,
        "extendedStatus": "draft.created",
        "availableActions": {},
    }
    assert answer["lines"][0]["id"] == id
    named = served.call("POST", path, json={"currency": "USD", "lines": lines, "number": "X-1"}, expect=200).json()
    assert named["number"] == "X-1"
    assert served.shop.counts() == before
    partly = [line("Calls", quantity="1", preLinePeriodQuantity="5", rateCard=lines[1]["rateCard"])]
    problem = served.problem("POST", path, 400, json={"currency": "USD", "lines": partly})
    assert problem["extensions"]["code"] == "progressive_billing_not_supported"
    served.problem("POST", path, 404, role=ELSEWHERE, json={"currency": "USD", "lines": lines})
