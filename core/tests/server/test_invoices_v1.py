"""Invoices over OpenMeter's first API: listed, read, replaced, deleted, and let go on."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from server_kit import ELSEWHERE, Served

from billhook.providers.custom_invoicing import provider as custom_invoicing
from billhook.testing.builders import an_id

INVOICES = "/api/v1/billing/invoices"
UNIT = {"type": "unit", "amount": "10.00"}
Serve = Callable[..., Served]


def with_hooks(served: Served, *, draft: bool = False, issuing: bool = False) -> Served:
    hooks = {"enable_draft_sync_hook": draft, "enable_issuing_sync_hook": issuing}
    served.ns.apps.update(served.shop.app.id, settings=hooks)
    return served


def waiting(served: Served, **changes: Any) -> str:
    """An invoice that waits for a caller in draft.syncing."""
    return with_hooks(served, draft=True, issuing=True).shop.submit(**changes)


def get(served: Served, id: str, **options: Any) -> dict[str, Any]:
    answer: dict[str, Any] = served.call("GET", f"{INVOICES}/{id}", expect=200, **options).json()
    return answer


def listed(served: Served, **query: Any) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = served.call("GET", INVOICES, params=query, expect=200).json()["items"]
    return items


def act(served: Served, id: str, action: str, status: int = 200, **options: Any) -> dict[str, Any]:
    answer: dict[str, Any] = served.call("POST", f"{INVOICES}/{id}/{action}", expect=status, **options).json()
    return answer


def replacement(invoice: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """What a caller sends back that read the invoice and changes these."""
    names = ("description", "metadata", "supplier", "customer", "lines", "workflow")
    return {**{name: invoice[name] for name in names if name in invoice}, **changes}


def put(served: Served, id: str, body: dict[str, Any], status: int = 200) -> dict[str, Any]:
    answer: dict[str, Any] = served.call("PUT", f"{INVOICES}/{id}", json=body, expect=status).json()
    return answer


def where(invoice: dict[str, Any]) -> str:
    return str(invoice["statusDetails"]["extendedStatus"])


# Reading.


def test_an_invoice_is_read_with_its_lines_and_its_apps(served_anywhere):
    id = waiting(served_anywhere)
    invoice = get(served_anywhere, id.lower())
    assert (where(invoice), invoice["totals"]["total"], len(invoice["lines"])) == ("draft.syncing", "10.00", 1)
    assert {app["type"] for app in invoice["workflow"]["apps"].values()} == {"custom_invoicing"}
    assert "lines" not in get(served_anywhere, id, params={"expand": "workflow.apps"})
    assert get(served_anywhere, id, params={"expand": ["lines", "preceding"]}) == invoice


def test_what_is_not_there_or_elsewhere_is_not_found(served):
    id = waiting(served)
    for role, asked in (("admin", an_id()), (ELSEWHERE, id)):
        served.problem("GET", f"{INVOICES}/{asked}", 404, role=role)
        served.problem("DELETE", f"{INVOICES}/{asked}", 404, role=role)
        served.problem("POST", f"{INVOICES}/{asked}/advance", 404, role=role)
        served.problem("PUT", f"{INVOICES}/{asked}", 404, role=role, json=replacement(get(served, id)))
    assert served.call("GET", INVOICES, role=ELSEWHERE, expect=200).json()["totalCount"] == 0
    served.problem("GET", f"{INVOICES}/nonsense", 400)
    assert served.shop.status(id) == "draft.syncing"


def test_who_reads_does_not_act(served):
    id = waiting(served)
    for action in ("advance", "approve", "retry", "void", "snapshot-quantities", "taxes/recalculate"):
        served.problem("POST", f"{INVOICES}/{id}/{action}", 403, role="read")
    served.problem("DELETE", f"{INVOICES}/{id}", 403, role="read")
    assert served.call("GET", f"{INVOICES}/{id}", role="read").status_code == 200


# Lists.


@pytest.fixture
def three(served_anywhere: Served) -> Served:
    """Invoices of three days: paid, waiting for its payment, deleted; of two customers."""
    served = served_anywhere
    served.ns.customers.create("Adam Ant", key="adam")
    period = {"start": "2026-03-01T00:00:00Z", "end": "2026-04-01T00:00:00Z"}
    first = served.shop.submit(period=period)
    served.ns.invoices.payment_status(first, "paid")
    served.clock.advance(timedelta(days=1))
    served.shop.submit(customer_key="adam", period={**period, "start": "2026-02-01T00:00:00Z"})
    served.clock.advance(timedelta(days=1))
    served.ns.invoices.delete(waiting(served))
    return served


def test_lists_are_filtered_by_status_customer_and_time(three):
    paid, pending = listed(three)
    assert [each["status"] for each in (paid, pending)] == ["paid", "payment_processing"]
    adam = three.ns.customers.get("adam").id
    for query, found in (
        ({"statuses": "paid"}, [paid]),
        ({"statuses": ["paid", "payment_processing"]}, [paid, pending]),
        ({"statuses": "draft"}, []),
        ({"extendedStatuses": "payment_processing.pending"}, [pending]),
        ({"extendedStatuses": "payment_processing.pending", "statuses": "paid"}, []),
        ({"customers": adam.lower()}, [pending]),
        ({"createdAfter": "2026-05-02T00:00:00.000Z"}, [pending]),
        ({"createdBefore": "2026-05-02T00:00:00Z"}, [paid]),
        ({"issuedAfter": "2026-05-02T12:00:00Z"}, [pending]),
        ({"issuedBefore": "2026-05-02T12:00:00Z"}, [paid]),
        ({"periodStartAfter": "2026-03-01T00:00:00Z"}, [paid]),
        ({"periodStartBefore": "2026-03-01T00:00:00Z"}, [pending]),
    ):
        assert listed(three, **query) == found, query
    deleted = listed(three, includeDeleted="true")[2]
    assert (where(deleted), deleted["deletedAt"]) == ("deleted", "2026-05-03T12:00:00Z")


def test_lists_are_sorted(three):
    paid, pending = (each["id"] for each in listed(three))
    for order_by, ascending in (
        ("createdAt", [paid, pending]),
        ("updatedAt", [paid, pending]),
        ("issuedAt", [paid, pending]),
        ("periodStart", [pending, paid]),
        ("customer.name", [pending, paid]),
        ("status", [paid, pending]),
    ):
        assert [each["id"] for each in listed(three, orderBy=order_by)] == ascending, order_by
        descending = [each["id"] for each in listed(three, orderBy=order_by, order="DESC")]
        assert descending == ascending[::-1], order_by


def test_lists_come_in_pages_and_with_lines_where_they_are_asked_for(three):
    page = three.call("GET", INVOICES, params={"page": 2, "pageSize": 1, "expand": "lines"}, expect=200).json()
    assert (page["totalCount"], page["page"], page["pageSize"], len(page["items"])) == (2, 2, 1, 1)
    assert page["items"][0]["lines"][0]["name"] == "Work"
    assert "lines" not in listed(three)[0]


@pytest.mark.parametrize(
    "query",
    [
        {"statuses": "nonsense"},
        {"extendedStatuses": "draft.nonsense"},
        {"customers": "nonsense"},
        {"createdAfter": "yesterday"},
        {"issuedAfter": "2026-05-01T12:00:00"},
        {"orderBy": "total"},
        {"order": "up"},
        {"expand": "everything"},
        {"page": "0"},
        {"pageSize": "1001"},
        {"includeDeleted": "perhaps"},
    ],
    ids=str,
)
def test_a_list_that_can_not_be_is_refused(served, query):
    served.problem("GET", INVOICES, 400, params=query)


# Replacing.


def test_sending_back_what_was_read_changes_nothing_that_can_be_seen(served):
    lines = [
        {
            "name": "Work",
            "item_code": "W-1",
            "feature_key": "work",
            "quantity": "3",
            "price": {**UNIT, "maximum_amount": "25"},
            "tax_config": {"code": "S", "rates": [{"name": "VAT", "percentage": "19"}]},
            "discounts": [{"type": "amount", "amount": "1"}, {"type": "percentage", "percentage": "10"}],
        },
        {"name": "Set-up", "price": {"type": "flat", "amount": "5"}, "metadata": {"a": "b"}},
    ]
    id = waiting(served, lines=lines, description="May", metadata={"order": "7"})
    before, content = get(served, id), served.shop.get(id).invoice.content
    after = put(served, id, replacement(before))
    assert {**after, "lines": [], "period": None} == {**before, "lines": [], "period": None}
    assert [{**line, "invoiceAt": None} for line in after["lines"]] == [
        {**line, "invoiceAt": None} for line in before["lines"]
    ]
    kept = served.shop.get(id).invoice
    assert (kept.revision, kept.lines[0].item_code, kept.lines[0].tax_config) == (2, "W-1", content.lines[0].tax_config)


def test_lines_are_changed_added_and_deleted_by_their_ids_while_the_draft_waits(served_anywhere):
    served = served_anywhere
    id = waiting(served, lines=[{"name": name, "quantity": "1", "price": UNIT} for name in ("One", "Two")])
    before = get(served, id)
    one, two = before["lines"]
    one["rateCard"]["price"]["amount"] = "12.00"
    added = {
        "id": an_id(),
        "name": "Three",
        "period": {"from": "2026-04-01T00:00:00Z", "to": "2026-05-01T00:00:00Z"},
        "invoiceAt": "2026-05-01T00:00:00Z",
        "rateCard": {"price": {"type": "flat", "amount": "3.00", "paymentTerm": "in_arrears"}},
    }
    after = put(served, id, replacement(before, lines=[one, added], metadata=None))
    assert (where(after), after["totals"]["total"]) == ("draft.syncing", "15.00")
    assert [(line["name"], line["totals"]["total"]) for line in after["lines"]] == [("One", "12.00"), ("Three", "3.00")]
    assert after["lines"][0]["id"] == one["id"]
    assert two["id"] not in {line["id"] for line in after["lines"]}
    assert after["period"] == added["period"]
    served.call("POST", f"/api/v1/apps/custom-invoicing/{id}/draft/synchronized", json={"invoicing": {}}, expect=204)
    assert where(get(served, id)) == "issuing.syncing"
    problem = served.problem("PUT", f"{INVOICES}/{id}", 400, json=replacement(after))
    assert problem["extensions"]["code"] == "invoice_action_not_available"


def test_the_price_that_was_changed_counts_wherever_it_stands(served):
    id = waiting(served, lines=[{"name": "Work", "quantity": "2", "price": UNIT}])
    invoice = get(served, id)
    invoice["lines"][0]["price"] = {"type": "unit", "amount": "11.00"}
    invoice = put(served, id, replacement(invoice))
    assert invoice["totals"]["total"] == "22.00"
    invoice["lines"][0]["rateCard"]["price"] = {"type": "unit", "amount": "12.00"}
    assert put(served, id, replacement(invoice))["totals"]["total"] == "24.00"
    invoice["lines"][0] |= {"price": {"type": "unit", "amount": "13.00"}, "rateCard": {"price": UNIT}}
    problem = served.problem("PUT", f"{INVOICES}/{id}", 400, json=replacement(invoice))
    assert (problem["extensions"]["code"], problem["extensions"]["path"]) == ("rate_card_differs", "/lines/0/price")


def test_what_is_left_out_of_a_replacement_has_its_default_again(serve: Serve):
    served = serve(custom_invoicing, workflow={"auto_advance": False, "due_after": "P7D"})
    id = waiting(served, description="May", metadata={"a": "b"})
    body = replacement(get(served, id), workflow={"workflow": {"invoicing": {}, "payment": {}}})
    for name in ("description", "metadata"):
        del body[name]
    after = put(served, id, body)
    assert {"description", "metadata"} & set(after) == set()
    invoicing = after["workflow"]["workflow"]["invoicing"]
    assert (invoicing["autoAdvance"], invoicing["dueAfter"]) == (True, "P30D")
    assert after["dueAt"] == "2026-05-31T12:00:00Z"


def test_who_sells_and_who_buys_are_replaced(served):
    id = waiting(served)
    party = {"name": "New Ltd", "taxId": {"code": "GB1"}, "addresses": [{"country": "GB", "city": "Leeds"}]}
    before = get(served, id)
    after = put(served, id, replacement(before, supplier=party, customer=party))
    assert {name: after["supplier"][name] for name in party} == party
    assert after["customer"] == {**party, "id": before["customer"]["id"], "usageAttribution": {"subjectKeys": []}}


@pytest.mark.parametrize(
    "change, place",
    [
        ({"lines": [{"name": "X"}]}, "/lines/0/"),
        ({"lines": []}, "/lines"),
        ({"supplier": {}}, "/supplier/name"),
        ({"supplier": None}, "/supplier"),
        ({"workflow": {}}, "/workflow/workflow"),
        ({"workflow": {"workflow": {"invoicing": {"dueAfter": "soon"}, "payment": {}}}}, "/workflow/workflow"),
    ],
    ids=str,
)
def test_a_replacement_that_says_nothing_right_is_refused_by_place(served, change, place):
    id = waiting(served)
    problem = served.problem("PUT", f"{INVOICES}/{id}", 400, json=replacement(get(served, id), **change))
    assert problem["extensions"]["path"].startswith(place)
    assert served.shop.get(id).invoice.revision == 1


def test_a_price_that_means_nothing_is_refused_by_place(served):
    id = waiting(served)
    for price, code in (
        ({"amount": "1"}, "union_tag_not_found"),
        ({"type": "unit", "amount": 1}, "numeric_not_text"),
        ({"type": "tiered", "mode": "volume", "tiers": [{"upToAmount": "5", "flatPrice": None, "unitPrice": None}]}, "tier_without_price"),
        ({"type": "unit", "amount": "1", "minimumAmount": "5", "maximumAmount": "4"}, "commitment_contradictory"),
    ):  # fmt: skip
        invoice = get(served, id)
        invoice["lines"][0]["rateCard"]["price"] = price
        problem = served.problem("PUT", f"{INVOICES}/{id}", 400, json=replacement(invoice))
        assert problem["extensions"]["code"] == code
        assert problem["extensions"]["path"].startswith("/lines/0/rateCard/price")


# Acting.


def test_a_draft_that_waits_for_a_person_is_approved(serve: Serve):
    served = serve(custom_invoicing, workflow={"auto_advance": False})
    id = served.shop.submit()
    details = get(served, id)["statusDetails"]
    assert details == {
        "immutable": False,
        "failed": False,
        "extendedStatus": "draft.manual_approval_needed",
        "availableActions": {
            "approve": {"resultingState": "payment_processing.pending"},
            "delete": {"resultingState": "deleted"},
        },
    }
    with_hooks(served, issuing=True)
    assert get(served, id)["statusDetails"]["availableActions"]["approve"] == {"resultingState": "issuing.syncing"}
    assert where(act(served, id, "approve")) == "issuing.syncing"
    assert act(served, id, "approve", 400)["extensions"]["code"] == "invoice_action_not_available"


def test_an_invoice_goes_on_once_its_hook_is_switched_off(served):
    id = waiting(served)
    assert act(served, id, "advance", 400)["extensions"]["code"] == "invoice_cannot_advance"
    with_hooks(served)
    assert where(act(served, id, "advance")) == "payment_processing.pending"


def test_a_payment_that_failed_is_tried_again(served):
    id = served.shop.submit()
    assert act(served, id, "retry", 400)["extensions"]["code"] == "invoice_action_not_available"
    served.ns.invoices.payment_status(id, "payment_failed")
    failed = get(served, id)
    assert (failed["statusDetails"]["failed"], where(failed)) == (True, "payment_processing.failed")
    assert where(act(served, id, "retry")) == "payment_processing.pending"


def test_an_issued_invoice_is_made_void(served):
    id = served.shop.submit()
    action = {"percentage": 100, "action": {"type": "discard"}}
    for partly in ({**action, "percentage": 50}, {**action, "action": {"type": "pending"}}):
        problem = act(served, id, "void", 400, json={"action": partly, "reason": "wrong"})
        assert problem["extensions"]["code"] == "void_partial_not_supported"
    invoice = act(served, id, "void", json={"action": action, "reason": "wrong"})
    assert (where(invoice), invoice["voidedAt"]) == ("voided", "2026-05-01T12:00:00Z")
    assert where(act(served, id, "void")) == "voided"
    assert act(served, waiting(served), "void", 400)["extensions"]["code"] == "invoice_action_not_available"


def test_taxes_are_computed_anew_while_it_is_a_draft(served):
    id = waiting(served)
    assert where(act(served, id, "taxes/recalculate")) == "draft.syncing"
    assert served.shop.get(id).invoice.revision == 2
    issued = with_hooks(served).shop.submit()
    assert act(served, issued, "taxes/recalculate", 400)["extensions"]["code"] == "invoice_action_not_available"


def test_a_draft_is_deleted_and_an_issued_invoice_is_not(served):
    id = waiting(served)
    assert served.call("DELETE", f"{INVOICES}/{id}", expect=204).content == b""
    assert where(get(served, id)) == "deleted"
    served.problem("DELETE", f"{INVOICES}/{id}", 400)
    issued = with_hooks(served).shop.submit()
    problem = served.problem("DELETE", f"{INVOICES}/{issued}", 400)
    assert problem["extensions"]["code"] == "invoice_action_not_available"
