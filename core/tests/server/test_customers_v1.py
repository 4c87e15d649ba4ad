"""Customers through the first form of the API."""

from __future__ import annotations

from datetime import timedelta

import pytest
from openmeter.models import CustomerCreate, CustomerReplaceUpdate, CustomerUsageAttribution

PATH = "/api/v1/customers"
ADA = {
    "name": "Ada Lovelace",
    "key": "ada",
    "description": "Keeps the engine",
    "metadata": {"crm": "7"},
    "usageAttribution": {"subjectKeys": ["engine-1", "engine-2"]},
    "primaryEmail": "ada@example.org",
    "currency": "GBP",
    "billingAddress": {"country": "GB", "postalCode": "SW1", "city": "London", "line1": "St James's Square 12"},
}


def test_a_customer_is_shown_as_it_was_given(served_anywhere):
    served = served_anywhere
    made = served.call("POST", PATH, json=ADA, expect=201).json()
    assert {name: made[name] for name in ADA} == ADA
    assert made["createdAt"] == made["updatedAt"] == "2026-05-01T12:00:00Z"
    assert "deletedAt" not in made
    assert served.call("GET", f"{PATH}/{made['id']}", expect=200).json() == made
    assert served.call("GET", f"{PATH}/ada", expect=200).json() == made
    assert served.call("GET", f"{PATH}/ada", params={"expand": "subscriptions"}, expect=200).json() == made


def test_what_is_empty_is_left_out(served):
    made = served.call("POST", PATH, json={"name": "Bob", "metadata": None, "billingAddress": {"city": ""}}).json()
    assert sorted(made) == ["createdAt", "id", "name", "updatedAt", "usageAttribution"]


def test_an_update_replaces_and_keeps_what_this_form_has_no_word_for(served):
    made = served.call("POST", PATH, json=ADA).json()
    served.ns.customers.update(made["id"], tax_id="GB123")
    served.clock.advance(timedelta(hours=1))
    changed = served.call("PUT", f"{PATH}/ada", json={"name": "Ada", "key": "ada"}, expect=200).json()
    assert changed["updatedAt"] == "2026-05-01T13:00:00Z"
    assert sorted(changed) == ["createdAt", "id", "key", "name", "updatedAt", "usageAttribution"]
    assert served.ns.customers.get("ada").party.tax_id == "GB123"


def test_a_deleted_customer_is_still_read_by_its_id_and_no_longer_changed(served):
    made = served.call("POST", PATH, json=ADA).json()
    served.call("DELETE", f"{PATH}/ada", expect=204)
    served.call("DELETE", f"{PATH}/{made['id']}", expect=204)
    assert served.call("GET", f"{PATH}/{made['id']}", expect=200).json()["deletedAt"]
    served.call("GET", f"{PATH}/ada", expect=404)
    refused = served.problem("PUT", f"{PATH}/{made['id']}", 412, json=ADA)
    assert refused["extensions"]["code"] == "customer_deleted"
    served.call("POST", PATH, json=ADA, expect=201)


def test_a_key_belongs_to_one_customer(served):
    served.call("POST", PATH, json=ADA)
    refused = served.problem("POST", PATH, 409, json={"name": "Other", "key": "ada"})
    assert refused["extensions"]["code"] == "customer_key_taken"


def test_a_customer_with_an_open_invoice_stays(served):
    served.shop.submit()
    refused = served.problem("DELETE", f"{PATH}/jane", 409)
    assert refused["extensions"]["code"] == "in_use"


class TestLists:
    @pytest.fixture
    def names(self, served_anywhere):
        served = served_anywhere
        for body in (ADA, {"name": "Bob", "primaryEmail": "bob@example.com"}, {"name": "Eve", "key": "EVE"}):
            served.clock.advance(timedelta(seconds=1))
            served.call("POST", PATH, json=body, expect=201)

        def listed(**query) -> list[str]:
            page = served.call("GET", PATH, params=query, expect=200).json()
            assert page["totalCount"] >= len(page["items"])
            return [item["name"].split()[0] for item in page["items"]]

        return listed

    def test_by_a_part_of_anything(self, names):
        assert names(name="LOVE") == names(subject="ENGINE-2") == names(primaryEmail="example.ORG") == ["Ada"]
        assert names(key="ve") == ["Eve"]
        assert names(key="ve", name="ada") == names(planKey="pro") == []

    def test_in_order(self, names):
        assert names(orderBy="name", order="DESC") == ["Jane", "Eve", "Bob", "Ada"]
        assert names(orderBy="createdAt") == names(orderBy="id") == ["Jane", "Ada", "Bob", "Eve"]

    def test_in_pages(self, served_anywhere, names):
        page = served_anywhere.call("GET", PATH, params={"page": 2, "pageSize": 3}).json()
        assert (page["totalCount"], page["page"], page["pageSize"], len(page["items"])) == (4, 2, 3, 1)

    def test_deleted_ones_on_request(self, served_anywhere, names):
        served_anywhere.call("DELETE", f"{PATH}/ada", expect=204)
        assert names(name="ada") == []
        assert names(name="ada", includeDeleted="true") == ["Ada"]

    @pytest.mark.parametrize(
        "query",
        [
            {"page": "0"},
            {"pageSize": "1001"},
            {"orderBy": "email"},
            {"order": "up"},
            {"includeDeleted": "perhaps"},
            {"expand": "everything"},
            {"name": "x\0y"},
        ],
    )
    def test_a_wrong_question_is_refused(self, served_anywhere, query):
        served_anywhere.problem("GET", PATH, 400, params=query)


@pytest.mark.parametrize(
    "body, path",
    [
        ({}, "/name"),
        ({"name": ""}, "/name"),
        ({"name": "x" * 257}, "/name"),
        ({"name": 7}, "/name"),
        ({"name": "A", "description": "x" * 1025}, "/description"),
        ({"name": "A", "key": ""}, "/key"),
        ({"name": "A", "primaryEmail": "nobody"}, "/primaryEmail"),
        ({"name": "A", "currency": "EURO"}, "/currency"),
        ({"name": "A", "currency": "XXQ"}, "/currency"),
        ({"name": "A", "billingAddress": {"country": "Germany"}}, "/billingAddress/country"),
        ({"name": "A", "usageAttribution": {}}, "/usageAttribution/subjectKeys"),
        ({"name": "A", "usageAttribution": {"subjectKeys": [""]}}, "/usageAttribution/subjectKeys/0"),
        ({"name": "A", "metadata": {"a": 1}}, "/metadata/a"),
        ({"name": "A\0B"}, "/name"),
        ([], ""),
        ("name", ""),
    ],
)
def test_what_is_wrong_is_told_with_its_place(served, body, path):
    refused = served.problem("POST", PATH, 400, json=body)
    assert refused["extensions"].get("path", "") == path
    assert served.ns.customers.list().total_count == 1


def test_nobody_sees_another_namespaces_customers(served):
    for method, path in (("GET", f"{PATH}/jane"), ("PUT", f"{PATH}/jane"), ("DELETE", f"{PATH}/jane")):
        served.problem(method, path, 404, role="elsewhere", **({"json": ADA} if method == "PUT" else {}))
    assert served.call("GET", PATH, role="elsewhere").json()["totalCount"] == 0


def test_reading_needs_the_role_read_and_changing_needs_integrate(served):
    served.call("GET", f"{PATH}/jane", role="read", expect=200)
    for method, path in (("POST", PATH), ("PUT", f"{PATH}/jane"), ("DELETE", f"{PATH}/jane")):
        served.problem(method, path, 403, role="read", json=ADA)
    served.call("POST", PATH, role="integrate", json=ADA, expect=201)


def test_the_published_client_keeps_customers(served):
    customers = served.openmeter.customers
    made = customers.create(
        CustomerCreate(name="Ada", key="ada", usage_attribution=CustomerUsageAttribution(subject_keys=["engine"]))
    )
    assert [each.name for each in customers.list(subject="engine").items_property] == ["Ada"]
    changed = customers.update("ada", CustomerReplaceUpdate(name="Ada L.", key="ada"))
    assert (changed.id, customers.get(made.id).name) == (made.id, "Ada L.")
    customers.delete("ada")
    assert customers.list().total_count == 1
