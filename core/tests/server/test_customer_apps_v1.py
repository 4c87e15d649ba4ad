"""What apps know of a customer, through the first form of the API."""

from __future__ import annotations

import pytest
from openmeter.models import CustomInvoicingCustomerAppData
from pydantic import BaseModel

from billhook.contract import Capability, Declaration, Full, OperationRules, Provider, hookimpl
from billhook.providers.custom_invoicing import provider as custom_invoicing
from billhook.testing.sandbox import provider as sandbox

PATH = "/api/v1/customers/jane/apps"
MANDATE = {"type": "custom_invoicing", "metadata": {"mandate": "MD1"}}
AT_STRIPE = {"type": "stripe", "stripeCustomerId": "cus_1", "stripeDefaultPaymentMethodId": "pm_1"}


class CardsProvider(Provider[BaseModel]):
    """Something under the name of Stripe."""

    declaration = Declaration(
        type="stripe",
        name="Cards",
        description="Takes cards.",
        capabilities={Capability.ISSUE: Full()},
        operations={Capability.ISSUE: OperationRules(local=True)},
    )

    @hookimpl
    def issue(self, batch):
        return {}


@pytest.fixture
def with_cards(serve):
    """A server whose default profile invoices through custom invoicing and collects by card."""
    served = serve(custom_invoicing, sandbox, CardsProvider)
    cards = served.ns.apps.install("stripe")
    served.shop.a_profile(served.shop.app, payment_app_id=cards.id)
    return served


def test_the_apps_of_the_profile_are_told_where_none_is_named(with_cards):
    served = with_cards
    invoicing, cards = served.ns.customer_apps.profile_apps(served.ns.customers.get("jane").id)
    told = served.call("PUT", PATH, json=[MANDATE, AT_STRIPE], expect=200).json()
    assert [(each["type"], each["id"]) for each in told] == [
        ("custom_invoicing", invoicing.id),
        ("stripe", cards.id),
    ]
    assert told[0]["metadata"] == {"mandate": "MD1"}
    assert told[0]["app"]["name"] == invoicing.name
    assert (told[1]["stripeCustomerId"], told[1]["stripeDefaultPaymentMethodId"]) == ("cus_1", "pm_1")
    page = served.call("GET", PATH, expect=200).json()
    assert sorted(page["items"], key=lambda each: each["type"]) == told
    only = served.call("GET", PATH, params={"type": "stripe"}, expect=200).json()
    assert (only["items"], only["totalCount"]) == ([told[1]], 1)


def test_an_app_may_be_named_and_is_told_anew(served):
    other = served.ns.apps.install("custom_invoicing", name="Other")
    for metadata in ({"a": "b"}, {"c": "d"}):
        body = [{"type": "custom_invoicing", "id": other.id.lower(), "metadata": metadata}]
        (told,) = served.call("PUT", PATH, json=body, expect=200).json()
        assert (told["id"], told["metadata"]) == (other.id, metadata)
    served.call("PUT", PATH, json=[{"type": "custom_invoicing", "id": other.id}], expect=200)
    assert "metadata" not in served.call("GET", PATH).json()["items"][0]


def test_forgetting_twice_is_fine(served):
    (told,) = served.call("PUT", PATH, json=[MANDATE]).json()
    served.call("DELETE", f"{PATH}/{told['id']}", expect=204)
    served.call("DELETE", f"{PATH}/{told['id']}", expect=204)
    assert served.call("GET", PATH).json()["items"] == []


@pytest.mark.parametrize(
    "body, path",
    [
        ([{"metadata": {}}], "/0"),
        ([{"type": "xero"}], "/0"),
        ([MANDATE, {"type": "stripe"}], "/1/stripe/stripeCustomerId"),
        ([MANDATE, AT_STRIPE], "/1/id"),
        ([{**MANDATE, "metadata": {"a": 1}}], "/0/metadata/a"),
        ([{**MANDATE, "id": "x"}], "/0/id"),
        (MANDATE, ""),
    ],
)
def test_what_is_wrong_is_told_with_its_place_and_nothing_is_kept(served, body, path):
    assert served.problem("PUT", PATH, 400, json=body)["extensions"].get("path", "") == path
    assert served.call("GET", PATH).json()["items"] == []


def test_an_app_of_another_kind_or_namespace_is_refused(with_cards):
    served = with_cards
    jane = served.ns.customers.get("jane").id
    cards = served.ns.customer_apps.profile_apps(jane)[1]
    served.call("PUT", PATH, json=[{**MANDATE, "id": cards.id}], expect=200)
    refused = served.problem("PUT", PATH, 400, json=[{**AT_STRIPE, "id": served.shop.app.id}])
    assert (refused["extensions"]["code"], refused["extensions"]["path"]) == ("app_type_mismatch", "/0/type")
    foreign = served.engine.namespace("elsewhere").apps.install("custom_invoicing").id
    served.problem("PUT", PATH, 404, json=[{**MANDATE, "id": foreign}])
    served.problem("DELETE", f"{PATH}/{foreign}", 404)
    served.problem("GET", PATH, 404, role="elsewhere")


def test_a_deleted_customer_has_no_app_data(served):
    jane = served.ns.customers.get("jane").id
    served.ns.customers.delete(jane)
    path = f"/api/v1/customers/{jane}/apps"
    for method, target, options in (
        ("GET", path, {}),
        ("PUT", path, {"json": [MANDATE]}),
        ("DELETE", f"{path}/{served.shop.app.id}", {}),
    ):
        assert served.problem(method, target, 412, **options)["extensions"]["code"] == "customer_deleted"


def test_the_published_client_keeps_app_data(served):
    apps, app_id = served.openmeter.customer_apps, served.shop.app.id
    data = CustomInvoicingCustomerAppData(type="custom_invoicing", id=app_id, metadata={"a": "b"})
    (told,) = apps.upsert_app_data("jane", [data])
    assert (told["id"], told["metadata"]) == (app_id, {"a": "b"})
    assert [each["id"] for each in apps.list_app_data("jane").items_property] == [app_id]
    apps.delete_app_data("jane", app_id)
    assert apps.list_app_data("jane").total_count == 0
