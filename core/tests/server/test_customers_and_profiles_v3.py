"""Customers, their billing, and billing profiles through the third form of the API."""

from __future__ import annotations

from datetime import timedelta

import pytest

CUSTOMERS = "/api/v3/openmeter/customers"
PROFILES = "/api/v3/openmeter/profiles"
ADA = {
    "name": "Ada Lovelace",
    "key": "ada",
    "description": "Keeps the engine",
    "labels": {"crm": "7"},
    "usage_attribution": {"subject_keys": ["engine-1"]},
    "primary_email": "ada@example.org",
    "currency": "GBP",
    "billing_address": {"country": "GB", "postal_code": "SW1", "city": "London"},
}
WORKFLOW = {
    "collection": {
        "alignment": {"type": "anchored", "recurring_period": {"interval": "P1M", "anchor": "2026-01-31T00:00:00Z"}},
        "interval": "PT2H",
    },
    "invoicing": {
        "auto_advance": False,
        "draft_period": "P2D",
        "progressive_billing": False,
        "subscription_end_proration_mode": "bill_full_period",
    },
    "payment": {"collection_method": "send_invoice", "due_after": "P14D"},
    "tax": {
        "enabled": True,
        "enforced": True,
        "default_tax_config": {"behavior": "inclusive", "external_invoicing": {"code": "VAT19"}},
    },
}
SUPPLIER = {
    "key": "acme",
    "name": "ACME Ltd",
    "tax_id": {"code": "GB123"},
    "addresses": {"billing_address": {"country": "GB", "city": "London"}},
}


def without(body: dict, *names: str) -> dict:
    return {name: value for name, value in body.items() if name not in names}


def bracketed(query: dict[str, str]) -> dict[str, str]:
    """``filter__key__eq`` as ``filter[key][eq]``."""
    parts = {name: name.split("__") for name in query}
    return {first + "".join(f"[{part}]" for part in rest): query[name] for name, (first, *rest) in parts.items()}


def profile(served, **changes) -> dict:
    apps = {role: {"id": served.shop.app.id} for role in ("tax", "invoicing", "payment")}
    usual = {"name": "Slow", "supplier": SUPPLIER, "workflow": {}, "apps": apps, "default": False}
    return {**usual, **changes}


@pytest.fixture
def jane(served) -> str:
    return served.ns.customers.get("jane").id


class TestCustomers:
    def test_a_customer_is_shown_as_it_was_given(self, served):
        made = served.call("POST", CUSTOMERS, json=ADA, expect=201).json()
        assert {name: made[name] for name in ADA} == ADA
        assert served.call("GET", f"{CUSTOMERS}/{made['id']}", expect=200).json() == made
        assert served.call("GET", f"/v3/openmeter/customers/{made['id']}", expect=200).json() == made

    def test_an_update_keeps_the_key_and_what_this_form_has_no_word_for(self, served):
        made = served.call("POST", CUSTOMERS, json=ADA).json()
        served.ns.customers.update("ada", tax_id="GB123", metadata={"crm": "7", "note": "no label: it has spaces"})
        assert served.call("GET", f"{CUSTOMERS}/{made['id']}").json()["labels"] == {"crm": "7"}
        changed = served.call("PUT", f"{CUSTOMERS}/{made['id']}", json={"name": "Ada"}, expect=200).json()
        assert sorted(changed) == ["created_at", "id", "key", "name", "updated_at", "usage_attribution"]
        kept = served.ns.customers.get("ada")
        assert (kept.party.tax_id, kept.metadata) == ("GB123", {"note": "no label: it has spaces"})

    def test_a_customer_without_a_key_is_shown_with_its_id_in_place_of_it(self, served):
        bob = served.ns.customers.create("Bob")
        assert served.call("GET", f"{CUSTOMERS}/{bob.id}", expect=200).json()["key"] == bob.id

    def test_a_deleted_customer_is_gone_for_changes(self, served, jane):
        served.call("DELETE", f"{CUSTOMERS}/{jane}", expect=204)
        assert served.call("GET", f"{CUSTOMERS}/{jane}", expect=200).json()["deleted_at"]
        refused = served.problem("PUT", f"{CUSTOMERS}/{jane}", 410, json={"name": "Jane"})
        assert refused["code"] == "customer_deleted"

    @pytest.mark.parametrize(
        "body, field",
        [
            (without(ADA, "key"), "key"),
            ({**ADA, "surname": "Lovelace"}, "surname"),
            ({**ADA, "labels": {"a": "with spaces"}}, "labels.a"),
            ({**ADA, "usage_attribution": {"subject_keys": [7]}}, "usage_attribution.subject_keys.0"),
        ],
    )
    def test_what_is_wrong_is_told_with_its_place(self, served, body, field):
        refused = served.problem("POST", CUSTOMERS, 400, json=body)
        assert [each["field"] for each in refused["invalid_parameters"]] == [field]

    def test_lists_are_filtered_sorted_and_paged(self, served_anywhere):
        served = served_anywhere
        other = served.shop.a_profile(served.shop.app, name="Other", is_default=False)
        for body in (ADA, {"name": "Bob", "key": "bob"}, {"name": "Eve", "key": "eve"}):
            served.clock.advance(timedelta(seconds=1))
            served.call("POST", CUSTOMERS, json=body, expect=201)
        served.ns.overrides.pin(served.ns.customers.get("bob").id, other.id)

        def names(**query) -> list[str]:
            page = served.call("GET", CUSTOMERS, params=bracketed(query), expect=200).json()
            return [each["name"].split()[0] for each in page["data"]]

        assert names() == ["Ada", "Bob", "Eve", "Jane"]
        assert names(sort="created_at desc") == ["Eve", "Bob", "Ada", "Jane"]
        assert names(filter__key="bob") == names(filter__key__eq="bob") == ["Bob"]
        assert names(filter__key__oeq="bob,eve") == ["Bob", "Eve"]
        assert names(filter__key__neq="bob", filter__name__lt="F") == ["Ada", "Eve"]
        assert names(filter__name__contains="LOVE") == names(filter__primary_email__exists="true") == ["Ada"]
        assert names(filter__name__ocontains="LOVE,ev") == ["Ada", "Eve"]
        assert names(filter__primary_email__exists="false", filter__name__gte="Eve") == ["Eve", "Jane"]
        assert names(filter__usage_attribution_subject_key="engine-1") == ["Ada"]
        assert names(filter__billing_profile_id=other.id) == ["Bob"]
        assert names(filter__billing_profile_id__neq=other.id) == ["Ada", "Eve", "Jane"]
        assert names(filter__plan_key="pro") == names(filter__key__oeq="") == []
        assert names(filter__plan_key__exists="false", filter__key="bob") == ["Bob"]
        page = served.call("GET", CUSTOMERS, params={"page[size]": 3, "page[number]": 2}).json()
        assert (page["meta"]["page"], len(page["data"])) == ({"number": 2, "size": 3, "total": 4}, 1)
        for query in ({"filter[age]": "7"}, {"sort": "email"}, {"filter[key][like]": "x"}, {"page[size]": "0"}):
            served.problem("GET", CUSTOMERS, 400, params=query)


class TestProfiles:
    def test_a_profile_is_shown_as_it_was_given(self, served):
        wanted = profile(served, workflow=WORKFLOW, description="Slow", labels={"team": "billing"})
        made = served.call("POST", PROFILES, json=wanted, expect=201).json()
        assert {name: made[name] for name in wanted} == wanted
        assert served.call("GET", f"{PROFILES}/{made['id']}", expect=200).json() == made
        page = served.call("GET", PROFILES, params={"page[size]": 1}, expect=200).json()
        assert (len(page["data"]), page["meta"]["page"]["total"]) == (1, 2)

    def test_what_is_left_out_has_openmeters_defaults(self, served):
        made = served.call("POST", PROFILES, json=profile(served), expect=201).json()
        assert made["workflow"]["payment"] == {"collection_method": "charge_automatically"}
        assert made["workflow"]["collection"] == {"alignment": {"type": "subscription"}, "interval": "PT1H"}

    def test_what_this_form_has_no_word_for_stays(self, served):
        before = served.ns.profiles.amend(
            served.ns.profiles.default().id,
            supplier={"name": "ACME", "email": "a@acme.example", "addresses": [{"country": "GB"}]},
            workflow={"due_after": "P7D", "overdue_after_due": True},
            metadata={"team": "billing", "note": "it has spaces"},
        )
        read = served.call("GET", f"{PROFILES}/{before.id}").json()
        assert read["labels"] == {"team": "billing"}
        sent = without(read, "id", "created_at", "updated_at", "apps")
        served.call("PUT", f"{PROFILES}/{before.id}", json=sent, expect=200)
        assert served.ns.profiles.get(before.id) == before

    def test_codes_are_those_of_the_first_form(self, served):
        id = served.ns.profiles.default().id
        refused = served.problem("DELETE", f"{PROFILES}/{id}", 400)
        assert refused["code"] == "default_profile_cannot_be_deleted"
        made = served.call("POST", PROFILES, json=profile(served)).json()
        served.call("DELETE", f"{PROFILES}/{made['id']}", expect=204)
        refused = served.problem("PUT", f"{PROFILES}/{made['id']}", 400, json=without(profile(served), "apps"))
        assert refused["code"] == "profile_already_deleted"

    @pytest.mark.parametrize(
        "changes, field",
        [
            ({"supplier": {"name": "A"}}, "supplier.addresses.billing_address.country"),
            ({"supplier": {**SUPPLIER, "email": "a@b.c"}}, "supplier.email"),
            ({"workflow": {"payment": {"collection_method": "barter"}}}, "workflow.payment"),
            (
                {"workflow": {"payment": {"collection_method": "charge_automatically", "due_after": "P1D"}}},
                "workflow.payment.due_after",
            ),
            ({"workflow": {"colour": "red"}}, "workflow.colour"),
            ({"apps": {}}, "apps.tax"),
        ],
    )
    def test_what_is_wrong_is_told_with_its_place(self, served, changes, field):
        refused = served.problem("POST", PROFILES, 400, json=profile(served, **changes))
        assert refused["invalid_parameters"][0]["field"] == field


class TestBilling:
    def test_the_profile_that_serves_and_what_its_app_knows(self, served, jane):
        path, other = f"{CUSTOMERS}/{jane}/billing", served.shop.a_profile(served.shop.app, is_default=False)
        default = served.ns.profiles.default().id
        assert served.call("GET", path, expect=200).json() == {"billing_profile": {"id": default}}
        body = {
            "billing_profile": {"id": other.id},
            "app_data": {"external_invoicing": {"labels": {"mandate": "MD1"}}},
        }
        assert served.call("PUT", path, json=body, expect=200).json() == body
        told = served.call("PUT", f"{path}/app-data", json={"external_invoicing": {"labels": {}}}, expect=200)
        assert told.json() == {"external_invoicing": {}}
        unpinned = served.call("PUT", path, json={}, expect=200).json()
        assert unpinned["billing_profile"] == {"id": default}

    def test_both_or_neither(self, served, jane):
        other = served.shop.a_profile(served.shop.app, is_default=False)
        body = {"billing_profile": {"id": other.id}, "app_data": {"stripe": {"customer_id": "cus_1"}}}
        refused = served.problem("PUT", f"{CUSTOMERS}/{jane}/billing", 400, json=body)
        assert refused["code"] == "app_not_in_profile"
        assert served.ns.overrides.list().total_count == 0

    def test_what_is_not_there_and_what_is_deleted(self, served, jane):
        served.problem("GET", f"{CUSTOMERS}/{jane}/billing", 404, role="elsewhere")
        served.problem("PUT", f"{CUSTOMERS}/{jane}/billing", 404, json={"billing_profile": {"id": jane}})
        served.ns.customers.delete(jane)
        served.problem("PUT", f"{CUSTOMERS}/{jane}/billing", 410, json={})
        served.problem("PUT", f"{CUSTOMERS}/{jane}/billing/app-data", 410, json={})


def test_roles(served, jane):
    served.problem("POST", CUSTOMERS, 403, role="read", json=ADA)
    served.problem("POST", PROFILES, 403, role="integrate", json=profile(served))
    served.problem("PUT", f"{CUSTOMERS}/{jane}/billing", 403, role="read", json={})
    served.call("PUT", f"{CUSTOMERS}/{jane}/billing", role="integrate", json={}, expect=200)
