from __future__ import annotations

from datetime import timedelta

import pytest


def upsert(shop, *items, kind="invoices", status="draft"):
    return shop.http.post(f"/v1/{kind}/upsert", json={"status": status, "items": list(items)}).json()["items"]


def statuses(shop):
    return [(document.reference, document.status) for document in shop.sandbox.documents()]


def test_items_without_an_id_are_created_and_the_others_replaced_in_one_request(shop):
    (old,) = upsert(shop, shop.item("A"))
    new, replaced = upsert(shop, shop.item("B"), shop.item("A", id=old["id"], due_date="2026-04-01"))
    assert (new["id"] != old["id"], replaced["id"]) == (True, old["id"])
    assert [(each.reference, each.due_date) for each in shop.sandbox.documents()] == [("A", "2026-04-01"), ("B", None)]


def test_the_same_content_again_changes_nothing_and_tells_nobody(shop, clock):
    item = shop.item("A", metadata={"sandbox/draft": "pending"})
    (made,) = upsert(shop, item)
    clock.advance(timedelta(seconds=30))
    upsert(shop, {**item, "id": made["id"]})
    clock.advance(timedelta(seconds=30))
    assert statuses(shop) == [("A", "draft")]
    assert len(shop.sandbox.pending_webhooks()) == 1


def test_an_issued_document_is_answered_as_it_stands_and_refused_another_content(shop):
    item = shop.item("C", number="1")
    (made,) = upsert(shop, item, kind="credit_notes", status="issued")
    again, other = (
        upsert(shop, {**each, "id": made["id"]}, kind="credit_notes", status="issued")[0]
        for each in (item, {**item, "due_date": "2026-04-01"})
    )
    assert again == made
    assert other["errors"][0]["code"] == "not_a_draft"


def test_a_draft_that_stands_is_issued_when_that_is_asked_for(shop):
    (made,) = upsert(shop, shop.item("C"), kind="credit_notes")
    upsert(shop, shop.item("C", id=made["id"]), kind="credit_notes", status="issued")
    assert statuses(shop) == [("C", "issued")]


@pytest.mark.parametrize(
    "changes, code", [({"id": "inv_999999"}, "not_found"), ({"reference": "B"}, "reference_differs")]
)
def test_an_id_that_is_not_ours_is_refused(shop, changes, code):
    (made,) = upsert(shop, shop.item("A"))
    (answer,) = upsert(shop, {**shop.item("A", id=made["id"]), **changes})
    assert answer["errors"][0]["code"] == code


def test_customers_are_created_and_changed_in_one_request(shop):
    sent = [{"reference": "our-customer", "name": "Ada King", "id": shop.customer}, {"reference": "c2", "name": "Bob"}]
    lost = {"reference": "c3", "name": "Eve", "id": "cus_999999"}
    answer = shop.http.post("/v1/customers/upsert", json={"items": [*sent, lost]}).json()["items"]
    assert [each["ok"] for each in answer] == [True, True, False]
    assert [customer.name for customer in shop.sandbox.customers()] == ["Ada King", "Bob"]


def test_issuing_may_set_the_dates_of_the_draft_and_sending_is_remembered(shop, clock):
    (made,) = upsert(shop, shop.item("A", due_date="2026-04-01"))
    asked = {"items": [{"id": made["id"], "issue_date": "2026-03-01", "due_date": None}]}
    shop.http.post("/v1/invoices/issue", json=asked)
    shop.http.post(f"/v1/invoices/{made['id']}/send")
    shown = shop.http.get(f"/v1/invoices/{made['id']}").json()
    assert (shown["issue_date"], shown["due_date"], shown["sent_at"]) == (
        "2026-03-01",
        "2026-04-01",
        clock.now().isoformat(),
    )


def test_each_line_tells_what_it_comes_to_in_batches_and_alone(shop):
    line = {"reference": "l", "description": "Tokens", "quantity": "3", "unit_price": "1.00", "tax_amount": "0.60"}
    discounted = {**line, "discounts": [{"reference": "d", "amount": "0.50"}]}
    (made,) = upsert(shop, shop.item("A", lines=[discounted]))
    shown = shop.http.get(f"/v1/invoices/{made['id']}").json()
    assert made["lines"][0]["total"] == shown["lines"][0]["total"] == "3.10"


def test_tax_inside_an_amount_leaves_a_net_that_is_rounded(shop):
    line = {"reference": "a", "amount": "10.00", "tax_code": "standard", "inclusive": True}
    (answer,) = shop.http.post("/v1/tax", json={"items": [{"reference": "A", "lines": [line]}]}).json()["items"]
    assert answer["lines"][0]["tax_amount"] == "1.67"  # net 8.33
