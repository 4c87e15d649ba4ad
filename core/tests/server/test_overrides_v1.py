"""Customer overrides through the first form of the API."""

from __future__ import annotations

from datetime import timedelta

import pytest
from openmeter.models import BillingProfileCustomerOverrideCreate

PATH = "/api/v1/billing/customers"


@pytest.fixture
def other(served):
    """A profile that is not the default, with a workflow of its own."""
    return served.shop.a_profile(served.shop.app, name="Other", is_default=False, workflow={"due_after": "P7D"})


@pytest.fixture
def jane(served) -> str:
    return served.ns.customers.get("jane").id


def test_without_an_override_the_default_serves(served, jane):
    default = served.ns.profiles.default()
    shown = served.call("GET", f"{PATH}/{jane}", expect=200).json()
    assert sorted(shown) == ["baseBillingProfileId", "customerProfile"]
    assert shown["baseBillingProfileId"] == default.id
    assert shown["customerProfile"]["supplier"]["name"] == default.supplier.name
    assert shown["customerProfile"]["apps"]["tax"] == {"id": default.tax_app_id}


def test_a_customer_is_pinned_and_let_go(served, jane, other):
    pinned = served.call("PUT", f"{PATH}/{jane}", json={"billingProfileId": other.id}, expect=200).json()
    assert pinned["customerOverride"] == {
        "customerId": jane,
        "billingProfileId": other.id,
        "createdAt": "2026-05-01T12:00:00Z",
        "updatedAt": "2026-05-01T12:00:00Z",
    }
    assert pinned["baseBillingProfileId"] == other.id
    assert pinned["customerProfile"]["workflow"]["invoicing"]["dueAfter"] == "P7D"

    served.clock.advance(timedelta(hours=1))
    unpinned = served.call("PUT", f"{PATH}/{jane}", json={}, expect=200).json()
    assert "billingProfileId" not in unpinned["customerOverride"]
    assert unpinned["customerOverride"]["updatedAt"] == "2026-05-01T13:00:00Z"
    assert unpinned["baseBillingProfileId"] == served.ns.profiles.default().id

    served.call("DELETE", f"{PATH}/{jane}", expect=204)
    refused = served.problem("DELETE", f"{PATH}/{jane}", 404)
    assert refused["extensions"]["code"] == "customer_override_not_found"


def test_a_workflow_that_was_overridden_is_shown_and_stays(served, jane, other):
    served.ns.overrides.set(jane, workflow={"auto_advance": False})
    shown = served.call("PUT", f"{PATH}/{jane}", json={"billingProfileId": other.id}).json()
    invoicing = shown["customerProfile"]["workflow"]["invoicing"]
    assert (invoicing["autoAdvance"], invoicing["dueAfter"]) == (False, "P7D")


def test_apps_and_customer_in_full_on_request(served, jane):
    shown = served.call("GET", f"{PATH}/{jane}", params={"expand": ["apps", "customer"]}, expect=200).json()
    assert shown["customerProfile"]["apps"]["payment"]["type"] == "custom_invoicing"
    assert shown["customer"] == served.call("GET", "/api/v1/customers/jane").json()


def test_without_a_default_profile_the_answer_says_so(served):
    elsewhere = served.engine.namespace("elsewhere")
    customer = elsewhere.customers.create("Bob")
    for method, options in (("GET", {}), ("PUT", {"json": {}})):
        refused = served.problem(method, f"{PATH}/{customer.id}", 404, role="elsewhere", **options)
        assert refused["extensions"]["code"] == "default_profile_not_found"
    assert elsewhere.overrides.list().total_count == 0


def test_what_is_not_there_is_not_found_and_what_is_deleted_is_told(served, jane, other):
    served.problem("GET", f"{PATH}/{other.id}", 404)
    served.problem("PUT", f"{PATH}/{jane}", 404, json={"billingProfileId": jane})
    served.problem("PUT", f"{PATH}/{jane}", 400, json={"billingProfileId": "other"})
    served.problem("GET", f"{PATH}/jane", 400)
    served.problem("GET", f"{PATH}/{jane}", 404, role="elsewhere")
    served.ns.profiles.delete(other.id)
    refused = served.problem("PUT", f"{PATH}/{jane}", 400, json={"billingProfileId": other.id})
    assert refused["extensions"]["code"] == "profile_already_deleted"
    served.ns.customers.delete(jane)
    assert served.problem("PUT", f"{PATH}/{jane}", 412, json={})["extensions"]["code"] == "customer_deleted"


class TestLists:
    @pytest.fixture
    def names(self, served_anywhere):
        """Of the default profile: jane without an override, Eve with one that names no profile. Bob is pinned."""
        served = served_anywhere
        self.other = served.shop.a_profile(served.shop.app, name="Other", is_default=False)
        for name, key, email, profile_id in (
            ("Bob", "bob", "bob@example.com", self.other.id),
            ("Eve", None, "eve@example.com", None),
        ):
            served.clock.advance(timedelta(seconds=1))
            customer = served.ns.customers.create(name, key=key, email=email)
            served.ns.overrides.pin(customer.id, profile_id)

        def listed(**query) -> list[str]:
            page = served.call("GET", PATH, params={"expand": "customer", **query}, expect=200).json()
            assert page["totalCount"] >= len(page["items"])
            return [item["customer"]["name"].split()[0] for item in page["items"]]

        return listed

    def test_everybody_unless_less_is_asked_for(self, served_anywhere, names):
        default = served_anywhere.ns.profiles.default().id
        assert names() == ["Jane", "Bob", "Eve"]
        assert names(includeAllCustomers="false") == ["Bob", "Eve"]
        assert names(customersWithoutPinnedProfile="true") == ["Jane", "Eve"]
        assert names(customersWithoutPinnedProfile="true", includeAllCustomers="false") == ["Jane", "Eve"]
        assert names(billingProfile=self.other.id) == ["Bob"]
        assert names(billingProfile=default) == ["Jane", "Eve"]
        assert names(billingProfile=default, includeAllCustomers="false") == ["Eve"]
        assert names(billingProfile=[default, self.other.id]) == ["Jane", "Bob", "Eve"]

    def test_by_the_customer(self, served_anywhere, names):
        bob = served_anywhere.ns.customers.get("bob").id
        assert names(customerName="BO") == names(customerKey="ob") == names(customerId=bob.lower()) == ["Bob"]
        assert names(customerPrimaryEmail="example.com") == ["Bob", "Eve"]
        assert names(customerPrimaryEmail="example.com", customerName="eve") == ["Eve"]

    def test_in_order(self, names):
        assert names(orderBy="customerName", order="DESC") == ["Jane", "Eve", "Bob"]
        assert names(orderBy="customerKey") == ["Eve", "Bob", "Jane"]
        assert names(orderBy="customerPrimaryEmail") == ["Jane", "Bob", "Eve"]
        assert names(orderBy="customerCreatedAt", pageSize=1, page=2) == ["Bob"]

    def test_a_wrong_question_is_refused(self, served_anywhere):
        for query in ({"billingProfile": "x"}, {"customerId": "x"}, {"expand": "everything"}, {"orderBy": "name"}):
            served_anywhere.problem("GET", PATH, 400, params=query)


def test_the_published_client_keeps_overrides(served, jane, other):
    overrides = served.openmeter.customer_overrides
    pinned = overrides.upsert(jane, BillingProfileCustomerOverrideCreate(billing_profile_id=other.id))
    assert pinned.customer_override.customer_id == jane
    assert overrides.get(jane).base_billing_profile_id == other.id
    assert [each.base_billing_profile_id for each in overrides.list().items_property] == [other.id]
    overrides.delete(jane)
    assert overrides.get(jane).customer_override is None
