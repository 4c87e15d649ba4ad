"""Invoices in the third form of OpenMeter's API."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from server_kit import ELSEWHERE, Served

from billhook.testing.builders import an_id

INVOICES = "/api/v3/openmeter/billing/invoices"
UNIT = {"type": "unit", "amount": "10.00"}
PERIOD = {"start": "2026-04-01T00:00:00Z", "end": "2026-05-01T00:00:00Z"}


def waiting(served: Served, **changes: Any) -> str:
    """An invoice that waits for a caller in draft.syncing."""
    hooks = {"enable_draft_sync_hook": True, "enable_issuing_sync_hook": True}
    served.ns.apps.update(served.shop.app.id, settings=hooks)
    return served.shop.submit(**changes)


def get(served: Served, id: str) -> dict[str, Any]:
    answer: dict[str, Any] = served.call("GET", f"{INVOICES}/{id}", expect=200).json()
    return answer


def put(served: Served, id: str, body: dict[str, Any], status: int = 200) -> dict[str, Any]:
    answer: dict[str, Any] = served.call("PUT", f"{INVOICES}/{id}", json=body, expect=status).json()
    return answer


def line_of(line: dict[str, Any], **changes: Any) -> dict[str, Any]:
    names = ("id", "type", "name", "description", "labels", "service_period", "rate_card")
    card = {name: value for name, value in line["rate_card"].items() if name != "unit_config"}
    return {**{name: line[name] for name in names if name in line}, "rate_card": card, **changes}


def replacement(invoice: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """What a caller sends back that read the invoice and changes these."""
    workflow = invoice["workflow"]["workflow"]
    del workflow["invoicing"]["due_after"]
    names = ("type", "description", "labels", "supplier", "customer")
    return {
        **{name: invoice[name] for name in names if name in invoice},
        "workflow": {"workflow": workflow},
        "lines": [line_of(line) for line in invoice["lines"]],
        **changes,
    }


def test_an_invoice_is_read_in_snake_case(served_anywhere):
    served = served_anywhere
    line = {
        "name": "Work",
        "quantity": "3",
        "price": UNIT,
        "feature_key": "work",
        "period": PERIOD,
        "metadata": {"a": "b"},
    }
    id = waiting(served, lines=[line], metadata={"order": "7", "note": "no label: it has spaces"})
    invoice = get(served, id)
    assert (invoice["status"], invoice["status_details"]["extended_status"]) == ("draft", "draft.syncing")
    assert invoice["status_details"]["available_actions"] == {"delete": {"resulting_state": "deleted"}}
    assert (invoice["labels"], invoice["totals"]["total"]) == ({"order": "7"}, "30.00")
    assert invoice["service_period"] == {"from": "2026-04-01T00:00:00Z", "to": "2026-05-01T00:00:00Z"}
    (shown,) = invoice["lines"]
    assert shown["rate_card"] == {"price": UNIT, "feature_key": "work"}
    assert shown["usage_quantity_detail"] == {"raw_quantity": "3", "invoiced_quantity": "3"}
    assert [(each["quantity"], each["unit_price"]) for each in shown["detailed_lines"]] == [("3", "10.00")]
    assert served.call("GET", f"/v3/openmeter/billing/invoices/{id}", expect=200).json() == invoice


def test_prices_and_discounts_look_as_the_document_says(served):
    tiers = [{"up_to_amount": "5", "unit_price": "2"}, {"flat_price": "1", "unit_price": "0.5"}]
    lines = [
        {"name": "Flat", "price": {"type": "flat", "amount": "5"}},
        {"name": "Tiers", "quantity": "12", "price": {"type": "tiered", "mode": "graduated", "tiers": tiers}},
        {"name": "Dynamic", "quantity": "12", "price": {"type": "dynamic", "multiplier": "1.5"}},
        {
            "name": "Package",
            "quantity": "12",
            "price": {"type": "package", "amount": "4", "quantity_per_package": "10"},
        },
        {
            "name": "Less",
            "quantity": "12",
            "price": UNIT,
            "discounts": [{"type": "percentage", "percentage": "12.5"}, {"type": "usage", "quantity": "2"}],
        },
    ]
    shown = get(served, waiting(served, lines=lines))["lines"]
    assert [line["rate_card"]["price"] for line in shown] == [
        {"type": "flat", "amount": "5"},
        {
            "type": "graduated",
            "tiers": [
                {"up_to_amount": "5", "unit_price": {"type": "unit", "amount": "2"}},
                {"flat_price": {"type": "flat", "amount": "1"}, "unit_price": {"type": "unit", "amount": "0.5"}},
            ],
        },
        {"type": "unit", "amount": "1.5"},
        {"type": "unit", "amount": "4"},
        UNIT,
    ]
    assert shown[3]["rate_card"]["unit_config"] == {
        "operation": "divide",
        "conversion_factor": "10",
        "rounding": "ceiling",
    }
    assert shown[4]["rate_card"]["discounts"] == {"percentage": 12.5, "usage": "2"}
    assert [each["quantity"] for each in shown[4]["discounts"]["usage"]] == ["2"]


def test_sending_back_what_was_read_keeps_what_has_no_word_here(served):
    price = {"type": "package", "amount": "4", "quantity_per_package": "10", "minimum_amount": "30"}
    taxes = {"code": "S", "rates": [{"name": "VAT", "percentage": "19"}]}
    line = {"name": "Work", "item_code": "W", "quantity": "12", "price": price, "tax_config": taxes, "metadata": {"long one": "x" * 80}}  # fmt: skip
    id = waiting(served, lines=[line], metadata={"note": "two words"})
    before, content = get(served, id), served.shop.get(id).invoice.content
    after = put(served, id, replacement(before))
    assert after["totals"] == before["totals"]
    kept = served.shop.get(id).invoice
    assert kept.revision == 2
    assert [dict(each) | {"invoice_at": None} for each in kept.lines] == [
        dict(each) | {"invoice_at": None} for each in content.lines
    ]
    assert (kept.content.metadata, kept.customer, kept.supplier) == (
        content.metadata,
        content.customer,
        content.supplier,
    )


def test_lines_are_changed_added_and_deleted_by_their_ids(served):
    id = waiting(served, lines=[{"name": name, "quantity": "1", "price": UNIT} for name in ("One", "Two")])
    before = get(served, id)
    one = line_of(before["lines"][0], rate_card={"price": {"type": "unit", "amount": "12.00"}})
    period = {"from": "2026-04-01T00:00:00Z", "to": "2026-05-01T00:00:00Z"}
    free = {"type": "standard_line", "name": "Gift", "service_period": period, "rate_card": {"price": {"type": "free"}}}
    after = put(served, id, replacement(before, lines=[one, free]))
    assert [(line["name"], line["totals"]["total"]) for line in after["lines"]] == [("One", "12.00"), ("Gift", "0")]
    assert after["status_details"]["extended_status"] == "draft.syncing"
    assert len(put(served, id, {k: v for k, v in replacement(after).items() if k != "lines"})["lines"]) == 2


@pytest.mark.parametrize(
    "change, field",
    [
        ({"surprise": 1}, "surprise"),
        ({"type": "credit_note"}, ""),
        ({"lines": [{"name": "X"}]}, "lines.0"),
        ({"supplier": {}}, "supplier.name"),
        ({"customer": {"id": an_id(), "name": "Another"}}, "customer.id"),
    ],
    ids=str,
)
def test_a_replacement_that_says_nothing_right_is_refused_by_place(served, change, field):
    id = waiting(served)
    problem = served.problem("PUT", f"{INVOICES}/{id}", 400, json=replacement(get(served, id), **change))
    assert any(each["field"].startswith(field) for each in problem["invalid_parameters"])
    assert served.shop.get(id).invoice.revision == 1


def test_lists_are_filtered_and_sorted_and_have_no_lines(served_anywhere):
    served = served_anywhere
    first = served.shop.submit(period=PERIOD)
    served.clock.advance(timedelta(days=1))
    second = waiting(served, period={**PERIOD, "start": "2026-03-01T00:00:00Z"})
    jane = served.ns.customers.get("jane").id
    fee = {"name": "Fee", "price": {"type": "flat", "amount": "1"}, "invoice_at": "2026-05-01T00:00:00Z"}
    served.ns.pending_lines.add(jane, "EUR", [fee])

    def ids(**query: str) -> list[str]:
        answer = served.call("GET", INVOICES, params=query, expect=200).json()
        assert all("lines" not in each for each in answer["data"])
        assert answer["meta"]["page"]["total"] == len(answer["data"])
        return [each["id"] for each in answer["data"]]

    assert ids() == [first, second]
    assert ids(sort="created_at desc") == [second, first]
    assert ids(sort="service_period_start") == [second, first]
    assert ids(sort="issued_at") == [first, second]
    assert ids(**{"filter[status]": "draft"}) == [second]
    assert ids(**{"filter[status][neq]": "draft"}) == [first]
    assert ids(**{"filter[status][oeq]": "draft,payment_processing"}) == [first, second]
    assert ids(**{"filter[status][eq]": "draft", "filter[status][neq]": "draft"}) == []
    assert ids(**{"filter[customer_id]": jane}) == [first, second]
    assert ids(**{"filter[customer_id][neq]": jane}) == []
    assert ids(**{"filter[customer_id][oeq]": f"{jane},{an_id()}"}) == [first, second]
    assert ids(**{"filter[created_at][gt]": "2026-05-01T12:00:00Z"}) == [second]
    assert ids(**{"filter[created_at][lte]": "2026-05-01T12:00:00Z"}) == [first]
    assert ids(**{"filter[issued_at][eq]": "2026-05-01T12:00:00Z"}) == [first]
    assert ids(**{"filter[service_period_start][gte]": "2026-04-01T00:00:00Z"}) == [first]
    assert ids(**{"filter[service_period_start][lt]": "2026-04-01T00:00:00Z"}) == [second]
    page = served.call("GET", INVOICES, params={"page[size]": "1", "page[number]": "2"}, expect=200).json()
    assert page["meta"]["page"] == {"number": 2, "size": 1, "total": 2}


@pytest.mark.parametrize(
    "query",
    [
        {"filter[status]": "gathering"},
        {"filter[customer_id]": "nobody"},
        {"filter[created_at][eq]": "today"},
        {"filter[total][eq]": "1"},
        {"sort": "total"},
        {"page[size]": "0"},
    ],
    ids=str,
)
def test_a_list_that_can_not_be_is_refused(served, query):
    served.problem("GET", INVOICES, 400, params=query)


def test_actions_lead_where_they_say(served):
    id = waiting(served)

    def act(action: str, status: int = 200) -> dict[str, Any]:
        answer: dict[str, Any] = served.call("POST", f"{INVOICES}/{id}/{action}", expect=status).json()
        return answer

    assert act("advance", 400)["code"] == "invoice_cannot_advance"
    for action in ("approve", "retry", "snapshot-quantities"):
        assert act(action, 400)["code"] == "invoice_action_not_available"
    served.ns.apps.update(served.shop.app.id, settings={})
    assert act("advance")["status_details"]["extended_status"] == "payment_processing.pending"
    served.ns.invoices.payment_status(id, "payment_failed")
    assert act("retry")["status"] == "payment_processing"


def test_a_draft_is_deleted_and_pools_are_not_there(served):
    id = waiting(served)
    served.problem("DELETE", f"{INVOICES}/{id}", 404, role=ELSEWHERE)
    served.call("DELETE", f"{INVOICES}/{id}", expect=204)
    assert served.shop.status(id) == "deleted"
    jane = served.ns.customers.get("jane").id
    fee = {"name": "Fee", "price": {"type": "flat", "amount": "1"}, "invoice_at": "2026-05-01T00:00:00Z"}
    pool = served.ns.pending_lines.add(jane, "EUR", [fee]).gathering.id
    for method in ("GET", "DELETE"):
        served.problem(method, f"{INVOICES}/{pool}", 404)
