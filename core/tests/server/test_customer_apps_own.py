"""Customers as single apps know them, whatever the provider, under our own path."""

from __future__ import annotations

import pytest

PATH = "/api/billhook/v1/customers/jane/apps"


def test_a_customer_who_is_at_any_provider_already_is_linked(served):
    app_id = served.ns.apps.install("sandbox", settings={"base_url": "http://127.0.0.1:9"}).id
    known = {"external_id": "cus_000001", "payment_method": "card", "data": {"since": "2010"}}
    told = served.call("PUT", f"{PATH}/{app_id}", json=known, expect=200).json()
    assert told == {"app_id": app_id, "is_refused": False, **known}
    assert served.call("GET", PATH, expect=200).json() == {"data": [told]}
    told = served.call("PUT", f"{PATH}/{app_id}", json={"external_id": "cus_000002"}, expect=200).json()
    assert told == {"app_id": app_id, "is_refused": False, "external_id": "cus_000002", "data": {}}
    for _ in range(2):
        served.call("DELETE", f"{PATH}/{app_id}", expect=204)
    assert served.call("GET", PATH).json() == {"data": []}


@pytest.mark.parametrize(
    "body, path",
    [
        ({"external_id": ""}, "/external_id"),
        ({"external_id": "x" * 513}, "/external_id"),
        ({"data": {"a": 1}}, "/data/a"),
        ({"contact": "x"}, "/contact"),
        ([], ""),
    ],
)
def test_what_is_wrong_is_told_with_its_place_and_nothing_is_kept(served, body, path):
    problem = served.problem("PUT", f"{PATH}/{served.shop.app.id}", 400, json=body)
    assert problem["extensions"].get("path", "") == path
    assert served.call("GET", PATH).json() == {"data": []}


def test_an_app_of_another_namespace_is_not_there(served):
    foreign = served.engine.namespace("elsewhere").apps.install("custom_invoicing").id
    served.problem("PUT", f"{PATH}/{foreign}", 404, json={"external_id": "x"})
    served.problem("DELETE", f"{PATH}/{foreign}", 404)
    served.problem("GET", PATH, 404, role="elsewhere")


def test_a_reader_may_look_and_nothing_else(served):
    served.call("GET", PATH, role="read", expect=200)
    served.problem("PUT", f"{PATH}/{served.shop.app.id}", 403, role="read", json={"external_id": "x"})
