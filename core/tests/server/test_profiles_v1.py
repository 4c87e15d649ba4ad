"""Billing profiles through the first form of the API."""

from __future__ import annotations

from datetime import timedelta

import pytest
from openmeter.models import (
    Address,
    BillingParty,
    BillingProfileAppsCreate,
    BillingProfileCreate,
    BillingProfileReplaceUpdateWithWorkflow,
    BillingWorkflow,
    BillingWorkflowCreate,
    BillingWorkflowInvoicingSettings,
)

from billhook.domain.workflow import WorkflowConfig

PATH = "/api/v1/billing/profiles"
SUPPLIER = {
    "key": "acme",
    "name": "ACME Ltd",
    "taxId": {"code": "GB123"},
    "addresses": [{"country": "GB", "city": "London"}],
}
DEFAULT_WORKFLOW = {
    "collection": {"alignment": {"type": "subscription"}, "interval": "PT1H"},
    "invoicing": {
        "autoAdvance": True,
        "draftPeriod": "P0D",
        "dueAfter": "P30D",
        "progressiveBilling": True,
        "subscriptionEndProrationMode": "bill_actual_period",
    },
    "payment": {"collectionMethod": "charge_automatically"},
    "tax": {"enabled": True, "enforced": False},
}
OTHER_WORKFLOW = {
    "collection": {
        "alignment": {
            "type": "anchored",
            "recurringPeriod": {"interval": "P1M", "anchor": "2026-01-31T00:00:00Z"},
        },
        "interval": "PT2H",
    },
    "invoicing": {
        "autoAdvance": False,
        "draftPeriod": "P2D",
        "dueAfter": "P14D",
        "progressiveBilling": False,
        "subscriptionEndProrationMode": "bill_full_period",
        "defaultTaxConfig": {"behavior": "inclusive", "customInvoicing": {"code": "VAT19"}},
    },
    "payment": {"collectionMethod": "send_invoice"},
    "tax": {"enabled": True, "enforced": True},
}


def body(served, **changes) -> dict:
    apps = dict.fromkeys(("tax", "invoicing", "payment"), served.shop.app.id)
    usual = {"name": "Usual", "supplier": SUPPLIER, "default": False, "workflow": {}, "apps": apps}
    return {**usual, **changes}


def without_apps(body: dict) -> dict:
    return {name: value for name, value in body.items() if name != "apps"}


class TestMaking:
    def test_what_is_left_out_has_openmeters_defaults(self, served_anywhere):
        served = served_anywhere
        made = served.call("POST", PATH, json=body(served), expect=201).json()
        assert made["workflow"] == DEFAULT_WORKFLOW
        assert (made["supplier"], made["default"]) == (SUPPLIER, False)
        assert {role: app["id"] for role, app in made["apps"].items()} == body(served)["apps"]
        assert made["apps"]["invoicing"]["type"] == "custom_invoicing"

    def test_every_value_is_kept(self, served):
        wanted = body(served, workflow=OTHER_WORKFLOW, description="Slow", metadata={"team": "billing"})
        made = served.call("POST", PATH, json=wanted, expect=201).json()
        assert {name: made[name] for name in without_apps(wanted)} == without_apps(wanted)
        read = served.call("GET", f"{PATH}/{made['id']}", expect=200).json()
        assert read == {**made, "apps": {role: {"id": app["id"]} for role, app in made["apps"].items()}}

    def test_a_named_interval_is_a_duration(self, served):
        recurring = {"interval": "MONTH", "anchor": "2026-01-31T00:00:00Z"}
        workflow = {"collection": {"alignment": {"type": "anchored", "recurringPeriod": recurring}}}
        made = served.call("POST", PATH, json=body(served, workflow=workflow), expect=201).json()
        assert made["workflow"]["collection"]["alignment"]["recurringPeriod"]["interval"] == "P1M"

    def test_the_three_apps_may_differ(self, served):
        other = served.ns.apps.install("custom_invoicing", name="Other")
        apps = {**body(served)["apps"], "payment": other.id.lower()}
        made = served.call("POST", PATH, json=body(served, apps=apps), expect=201).json()
        assert made["apps"]["payment"]["name"] == "Other"

    def test_a_new_default_takes_the_place_of_the_one_before(self, served):
        before = served.ns.profiles.default()
        made = served.call("POST", PATH, json=body(served, default=True), expect=201).json()
        assert served.ns.profiles.default().id == made["id"]
        assert served.call("GET", f"{PATH}/{before.id}").json()["default"] is False

    @pytest.mark.parametrize(
        "changes, path, code",
        [
            ({"supplier": {"name": "ACME"}}, "/supplier/addresses/0/country", "supplier_country_missing"),
            ({"supplier": {"name": "ACME", "addresses": [{}]}}, "/supplier/addresses/0/country", None),
            ({"supplier": {"addresses": [{"country": "GB"}]}}, "/supplier/name", "supplier_name_missing"),
            ({"supplier": {"name": "ACME", "addresses": [{"country": "GB"}] * 2}}, "/supplier/addresses", None),
            ({"default": "yes"}, "/default", "bool_type"),
            ({"default": None}, "/default", None),
            ({"name": ""}, "/name", None),
            ({"apps": {"tax": "x", "invoicing": "x", "payment": "x"}}, "/apps/tax", None),
            ({"workflow": {"invoicing": {"draftPeriod": "two days"}}}, "/workflow/invoicing/draftPeriod", None),
            ({"workflow": {"payment": {"collectionMethod": "barter"}}}, "/workflow/payment/collectionMethod", None),
            ({"workflow": {"collection": {"alignment": {"type": "anchored"}}}}, None, "missing"),
            ({"workflow": {"collection": {"alignment": {}}}}, "/workflow/collection/alignment", None),
            ({"workflow": {"tax": {"enabled": False, "enforced": True}}}, "/workflow", "tax_enforced_while_off"),
            (
                {"workflow": {"invoicing": {"defaultTaxConfig": {"taxCodeId": "01G65Z755AFWAKHE12NY0CQ9FH"}}}},
                "/workflow/invoicing/defaultTaxConfig/taxCodeId",
                "tax_code_id_unknown",
            ),
        ],
    )
    def test_what_is_wrong_is_told_with_its_place(self, served, changes, path, code):
        refused = served.problem("POST", PATH, 400, json=body(served, **changes))
        told = refused["extensions"]
        assert path in {None, told["path"]}
        assert code in {None, told["code"]}
        assert served.ns.profiles.list().total_count == 1

    def test_an_app_that_is_not_there_is_not_found(self, served):
        elsewhere = served.engine.namespace("elsewhere").apps.install("custom_invoicing")
        apps = {**body(served)["apps"], "tax": elsewhere.id}
        assert elsewhere.id in served.problem("POST", PATH, 404, json=body(served, apps=apps))["detail"]


class TestChanging:
    def test_what_this_form_has_no_word_for_stays(self, served):
        profile = served.ns.profiles.default()
        served.ns.profiles.amend(
            profile.id, supplier={"email": "billing@acme.example"}, workflow={"overdue_after_due": True}
        )
        changes = without_apps(body(served, default=True, workflow=OTHER_WORKFLOW))
        changed = served.call("PUT", f"{PATH}/{profile.id}", json=changes, expect=200).json()
        assert changed["workflow"] == OTHER_WORKFLOW
        assert changed["apps"]["invoicing"]["id"] == served.shop.app.id
        kept = served.ns.profiles.get(profile.id)
        assert (kept.supplier.email, kept.workflow.overdue_after_due) == ("billing@acme.example", True)

    def test_what_is_left_out_is_the_default_again(self, served):
        made = served.call("POST", PATH, json=body(served, workflow=OTHER_WORKFLOW, description="Slow")).json()
        changed = served.call("PUT", f"{PATH}/{made['id']}", json=without_apps(body(served)), expect=200).json()
        assert changed["workflow"] == DEFAULT_WORKFLOW
        assert "description" not in changed

    def test_what_was_read_can_be_sent_back(self, served):
        rates = [{"name": "VAT", "percentage": "19"}]
        profile = served.ns.profiles.default()
        served.ns.profiles.amend(
            profile.id, supplier=SUPPLIER_VALUES, workflow={"default_tax_config": {"code": "V", "rates": rates}}
        )
        before = served.ns.profiles.get(profile.id)
        read = served.call("GET", f"{PATH}/{profile.id}").json()
        served.call("PUT", f"{PATH}/{profile.id}", json=read, expect=200)
        assert served.ns.profiles.get(profile.id) == before

    def test_the_default_can_neither_be_unset_nor_deleted(self, served):
        id = served.ns.profiles.default().id
        unset = served.problem("PUT", f"{PATH}/{id}", 400, json=without_apps(body(served)))
        deleted = served.problem("DELETE", f"{PATH}/{id}", 400)
        codes = (unset["extensions"]["code"], deleted["extensions"]["code"])
        assert codes == ("default_profile_cannot_be_unset", "default_profile_cannot_be_deleted")

    def test_a_profile_that_an_override_names_is_not_deleted(self, served):
        made = served.call("POST", PATH, json=body(served)).json()
        served.ns.overrides.pin(served.ns.customers.get("jane").id, made["id"])
        refused = served.problem("DELETE", f"{PATH}/{made['id']}", 400)
        assert refused["extensions"]["code"] == "profile_referenced"

    def test_a_deleted_profile_is_read_and_deleted_again_but_not_changed(self, served):
        made = served.call("POST", PATH, json=body(served)).json()
        served.call("DELETE", f"{PATH}/{made['id']}", expect=204)
        served.call("DELETE", f"{PATH}/{made['id']}", expect=204)
        assert served.call("GET", f"{PATH}/{made['id']}", expect=200).json()["deletedAt"]
        refused = served.problem("PUT", f"{PATH}/{made['id']}", 400, json=without_apps(body(served)))
        assert refused["extensions"]["code"] == "profile_already_deleted"


SUPPLIER_VALUES = {"name": "ACME Ltd", "addresses": [{"country": "GB"}]}


class TestLists:
    def test_in_order_and_with_deleted_ones(self, served_anywhere):
        served = served_anywhere
        for name in ("Alpha", "Zeta"):
            served.clock.advance(timedelta(seconds=1))
            served.call("POST", PATH, json=body(served, name=name), expect=201)

        def names(**query) -> list[str]:
            return [item["name"] for item in served.call("GET", PATH, params=query, expect=200).json()["items"]]

        assert names() == ["Usual", "Alpha", "Zeta"]
        assert names(orderBy="name") == ["Alpha", "Usual", "Zeta"]
        assert names(orderBy="name", order="DESC", pageSize=2) == ["Zeta", "Usual"]
        assert names(orderBy="default", order="DESC")[0] == "Usual"
        gone = served.call("GET", PATH, params={"orderBy": "name"}).json()["items"][0]
        served.call("DELETE", f"{PATH}/{gone['id']}", expect=204)
        assert names(orderBy="name") == ["Usual", "Zeta"]
        assert names(orderBy="name", includeArchived="true") == ["Alpha", "Usual", "Zeta"]

    def test_with_apps_in_full_on_request(self, served):
        (plain,) = served.call("GET", PATH, expect=200).json()["items"]
        assert plain["apps"]["tax"] == {"id": served.shop.app.id}
        (whole,) = served.call("GET", PATH, params={"expand": "apps"}, expect=200).json()["items"]
        assert whole["apps"]["tax"]["type"] == "custom_invoicing"
        assert whole == served.call("GET", f"{PATH}/{whole['id']}", params={"expand": "apps"}).json()


def test_nobody_sees_another_namespaces_profiles(served):
    id = served.ns.profiles.default().id
    served.problem("GET", f"{PATH}/{id}", 404, role="elsewhere")
    served.problem("PUT", f"{PATH}/{id}", 404, role="elsewhere", json=without_apps(body(served)))
    served.problem("DELETE", f"{PATH}/{id}", 404, role="elsewhere")
    assert served.call("GET", PATH, role="elsewhere").json()["items"] == []


def test_an_id_that_can_not_be_one_is_refused(served):
    served.problem("GET", f"{PATH}/usual", 400)


def test_profiles_are_for_administrators(served):
    served.call("GET", PATH, role="read", expect=200)
    served.problem("POST", PATH, 403, role="integrate", json=body(served))


def test_the_published_client_keeps_profiles(served):
    profiles, app = served.openmeter.billing_profiles, served.shop.app.id
    supplier = BillingParty(name="ACME", addresses=[Address(country="GB")])
    made = profiles.create(
        BillingProfileCreate(
            name="Slow",
            supplier=supplier,
            default=True,
            workflow=BillingWorkflowCreate(invoicing=BillingWorkflowInvoicingSettings(due_after="P14D")),
            apps=BillingProfileAppsCreate(tax=app, invoicing=app, payment=app),
        )
    )
    assert made.workflow.invoicing.due_after == "P14D"
    assert made.apps["invoicing"]["type"] == "custom_invoicing"
    assert [profile.name for profile in profiles.list().items_property] == ["Usual", "Slow"]
    changed = profiles.update(
        made.id,
        BillingProfileReplaceUpdateWithWorkflow(
            name="Slower", supplier=supplier, default=True, workflow=BillingWorkflow()
        ),
    )
    assert (changed.name, profiles.get(made.id).name) == ("Slower", "Slower")
    served.ns.profiles.update(profiles.list().items_property[0].id, is_default=True)
    profiles.delete(made.id)
    assert profiles.get(made.id).deleted_at is not None
    assert served.ns.profiles.default().workflow == WorkflowConfig()
