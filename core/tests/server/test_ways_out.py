"""Messages name commands of ``billhook``; who calls over HTTP is told the call that does the same."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from server_kit import Served

from billhook.server.ways_out import over_http
from billhook.testing.builders import an_id

HOUSE = Path(__file__).parents[3]
COMMAND = re.compile(r"billhook (apps|connections|credit-notes|customers|invoices|numbers|overrides|profiles) \S+")
NEVER_OVER_HTTP = {"cli", "testing", "simulator", "billhook_openmeter"}
"""Whose texts only the command line shows."""
CALL = re.compile(r"(GET|POST|PUT|PATCH|DELETE) (/api/[^\s\"]*[^\s\".,;])")


def messages() -> Iterator[str]:
    """Every text of the engine and of the providers here that names a command; what is filled in is THING."""
    sources = [*HOUSE.glob("core/src/billhook/**/*.py"), *HOUSE.glob("plugins/*/src/**/*.py")]
    sources += HOUSE.glob("contrib/*/src/**/*.py")
    for source in sources:
        if not NEVER_OVER_HTTP & set(source.parts):
            yield from filter(COMMAND.search, _texts(ast.parse(source.read_text())))


def _texts(tree: ast.AST) -> Iterator[str]:
    """The texts of that part of a module, but for docstrings."""
    if isinstance(tree, ast.JoinedStr):
        yield "".join(str(part.value) if isinstance(part, ast.Constant) else "THING" for part in tree.values)
        return
    if isinstance(tree, ast.Constant) and isinstance(tree.value, str):
        yield tree.value
    for node in ast.iter_child_nodes(tree):
        if not isinstance(node, ast.Expr) or not isinstance(node.value, ast.Constant):
            yield from _texts(node)


def test_every_message_that_names_a_command_names_a_call_that_there_is(served: Served):
    document = served.http(None).get("/openapi.json").json()["paths"]
    found = sorted(set(messages()))
    assert len(found) > 8
    for message in found:
        told = over_http(message)
        assert COMMAND.search(told) is None, f"Say in ways_out.py what this is over HTTP: {message}"
        for method, path in CALL.findall(told):
            pattern = re.sub(r"/(THING|INVOICE|CREDIT_NOTE|PAYMENT|REFUND|CUSTOMER|SERIES|APP_ID|APP)", "/[^/]+", path)
            known = [each for each in document if re.fullmatch(pattern, re.sub(r"\{\w+\}", "X", each))]
            assert any(method.lower() in document[each] for each in known), (method, path)


def test_without_a_default_profile_the_call_that_is_named_makes_one(served: Served):
    there = {"role": "elsewhere"}
    app = served.call("POST", "/api/v1/marketplace/listings/custom_invoicing/install", json={}, **there).json()["app"]
    customer = served.call("POST", "/api/v1/customers", json={"name": "Jane"}, **there).json()
    path = f"/api/v1/billing/customers/{customer['id']}"
    told = served.problem("GET", path, 404, **there)
    assert told["detail"].endswith('Make one: POST /api/v1/billing/profiles with "default": true')
    assert told["extensions"]["message"] == told["detail"]
    supplier = {"name": "Acme", "addresses": [{"country": "GB"}]}
    apps = dict.fromkeys(("tax", "invoicing", "payment"), app["id"])
    profile = {"name": "Ours", "default": True, "supplier": supplier, "workflow": {}, "apps": apps}
    served.call("POST", "/api/v1/billing/profiles", json=profile, expect=201, **there)
    served.call("GET", path, expect=200, **there)


def test_a_command_about_an_invoice_becomes_a_call_about_that_invoice():
    told = over_http("Let it: billhook invoices update INVOICE --workflow tax_rounding=per_line, then retry.", an_id(7))
    wanted = json.dumps({"workflow": {"tax_rounding": "per_line"}})
    assert told == f"Let it: PATCH /api/billhook/v1/invoices/{an_id(7)} with {wanted}, then retry."


def test_a_command_about_a_credit_note_becomes_a_call_about_that_one():
    told = over_http("Give it up with billhook credit-notes void CREDIT_NOTE, then go on.", an_id(7))
    assert told == f"Give it up with POST /api/billhook/v1/credit-notes/{an_id(7)}/void, then go on."


# What a caller can ask for, and where something is wrong, in the words of the form of the API that was called.


def test_a_list_refuses_what_it_can_not_be_asked_for(served: Served):
    served.shop.submit()
    for path in (
        "billing/invoices",
        "customers",
        "billing/customers",
        "billing/profiles",
        "apps",
        "notification/events",
    ):
        for name in ("customerID", "state", "page[size]"):
            refused = served.problem("GET", f"/api/v1/{path}", 400, params={name: "x"})
            told = refused["extensions"]
            assert (told["code"], told["path"]) == ("query_unknown", f"/{name}")
            assert "pageSize" in refused["detail"]
    assert (
        served.problem("GET", "/api/billhook/v1/apps", 400, params={"name": "x"})["extensions"]["code"]
        == "query_unknown"
    )


def test_a_wrong_parameter_of_the_third_form_stands_in_the_query(served: Served):
    refused = served.problem("GET", "/api/v3/openmeter/billing/invoices", 400, params={"filter[nope]": "1"})
    assert [each["source"] for each in refused["invalid_parameters"]] == ["query"]
    body = {"price": 1}
    refused = served.problem("PUT", f"/api/v3/openmeter/billing/invoices/{an_id(1)}", 400, json=body)
    assert {each["source"] for each in refused["invalid_parameters"]} == {"body"}


def test_places_of_the_first_form_are_spelt_as_its_document_does(served: Served):
    channel = {"type": "WEBHOOK", "name": "x", "url": "https://example.com", "signingSecret": "short"}
    refused = served.problem("POST", "/api/v1/notification/channels", 400, json=channel)
    assert refused["extensions"]["path"] == "/signingSecret"
    assert refused["detail"].startswith("/signingSecret: ")
    refused = served.problem("GET", "/api/v1/billing/invoices", 400, params={"extendedStatuses": "draft.sync"})
    assert refused["extensions"]["path"] == "/extendedStatuses"
    refused = served.problem("POST", "/api/v1/customers", 400, json={"name": "x", "metadata": {"a_b": "\0"}})
    assert refused["extensions"]["path"] == "/metadata/a_b"
    issue = {"severity": "critical", "code": "x", "message": "x", "metadata": {"a_b": 1}}
    path = f"/api/billhook/v1/invoices/{served.shop.submit()}/validation-issues"
    assert served.problem("PUT", path, 400, json={"issues": [issue]})["extensions"]["path"] == "/issues/0/metadata/a_b"


def test_nothing_of_python_is_told(served: Served):
    customer = served.ns.customers.list().items[0].id
    apps = f"/api/v1/customers/{customer}/apps"
    for method, path, body, words in (
        ("PUT", apps, [{"type": "nope"}], "/0: There is no type 'nope'. There are: 'stripe', 'sandbox', 'custom_invoicing'"),
        ("PUT", apps, [{}], "/0: Say of which type it is."),
        ("POST", "/api/v1/billing/invoices/invoice", {"customerId": "jane"}, "/customerId: An id is a ULID of 26 letters and digits."),
        ("PUT", f"/api/v3/openmeter/customers/{customer.lower()}", {"name": "x"}, "/customer: An id is a ULID of 26 letters and digits, in upper case."),
        ("POST", "/api/v1/customers", {"name": "x", "primaryEmail": "jane"}, "/primaryEmail: This is no e-mail address, such as jane@example.com."),
        ("POST", "/api/v1/customers", {"name": "x", "billingAddress": {"country": "de"}}, "/billingAddress/country: A country is two capital letters, such as DE."),
        ("POST", "/api/v1/notification/rules", {"type": "invoice.created", "name": "x", "channels": []}, "/channels: At least 1 can stand here."),
        ("POST", "/api/billhook/v1/apps", {"type": "sandbox", "Name": "x"}, "/Name: Nothing has that name here."),
    ):  # fmt: skip
        assert served.problem(method, path, 400, json=body)["detail"] == words
    told = served.problem("GET", "/api/v1/notification/events", 400, params={"from": "2024-01-01T00:00:00"})["detail"]
    assert told == "/from: A time without offset can mean any moment. End it with Z or an offset."


def test_the_detail_and_the_place_agree(served: Served):
    path = f"/api/v1/billing/customers/{served.ns.customers.list().items[0].id}/invoices/pending-lines"
    late = {**a_line(), "quantity": "1", "period": {"from": "2024-11-01T00:00:00Z", "to": "2024-10-01T00:00:00Z"}}
    refused = served.problem("POST", path, 400, json={"currency": "EUR", "lines": [late]})
    assert refused["detail"].startswith(refused["extensions"]["path"] + ": ")
    assert refused["extensions"]["path"] == "/lines/0/period"


def test_what_another_namespace_has_needs_its_token(served: Served):
    id = served.shop.submit()
    path = f"/api/v1/billing/invoices/{id}"
    refused = served.problem("GET", path, 404, role="elsewhere")
    assert refused["detail"].endswith("or use a token of the namespace that has it.")
    served.call("GET", path, expect=200)


# What stops pending lines and drafts.


def a_line(**price: str) -> dict[str, Any]:
    period = {"from": "2024-10-01T00:00:00Z", "to": "2024-11-01T00:00:00Z"}
    card = {"price": {"type": "unit", "amount": "2.55", **price}}
    return {"name": "Seats", "period": period, "invoiceAt": period["to"], "rateCard": card}


@pytest.mark.parametrize("amount", ["1_000", "１２", " 7.65 ", "+5", "1e5", ".5", "5.", "NaN", "1e400", ""])
def test_an_amount_is_digits_and_a_point_as_openmeter_writes_it(served: Served, amount: str):
    path = f"/api/v1/billing/customers/{served.ns.customers.list().items[0].id}/invoices/pending-lines"
    body = {"currency": "EUR", "lines": [{**a_line(amount=amount), "quantity": "3"}]}
    refused = served.problem("POST", path, 400, json=body)
    assert refused["extensions"]["path"] == "/lines/0/rateCard/price/amount"


def test_a_quantity_that_is_stated_is_invoiced(served: Served):
    customer = served.ns.customers.list().items[0].id
    path = f"/api/v1/billing/customers/{customer}/invoices/pending-lines"
    refused = served.problem("POST", path, 400, json={"currency": "EUR", "lines": [a_line()]})
    assert "State one of them." in refused["detail"]
    assert refused["extensions"]["path"] == "/lines/0/featureKey"
    body = {"currency": "EUR", "lines": [{**a_line(), "quantity": "3"}]}
    (line,) = served.call("POST", path, json=body, expect=201).json()["lines"]
    (made,) = served.call("POST", "/api/v1/billing/invoices/invoice", json={"customerId": customer}, expect=201).json()
    assert (line["totals"]["total"], made["totals"]["total"]) == ("7.65", "7.65")
    flat = {**a_line(type="flat"), "quantity": "3"}
    told = served.problem("POST", path, 400, json={"currency": "EUR", "lines": [flat]})["extensions"]
    assert (told["code"], told["path"]) == ("quantity_on_flat_price", "/lines/0")


def test_a_line_of_unknown_usage_holds_up_no_other_and_can_be_taken_away(served: Served):
    customer = served.ns.customers.list().items[0].id
    path, now = f"/api/v1/billing/customers/{customer}/invoices/pending-lines", "/api/v1/billing/invoices/invoice"
    metered, stated = (
        {**a_line(), "rateCard": {**a_line()["rateCard"], "featureKey": "seats"}},
        {**a_line(), "quantity": "3"},
    )
    added = served.call("POST", path, json={"currency": "EUR", "lines": [metered, stated]}, expect=201).json()
    unknown, known = added["lines"]
    refused = served.problem("POST", now, 400, json={"customerId": customer})
    assert (refused["extensions"]["code"], unknown["id"] in refused["detail"]) == ("quantity_missing", True)
    served.call("POST", now, json={"customerId": customer, "filters": {"lineIds": [known["id"]]}}, expect=201)
    pool = added["invoice"]["id"]
    assert f"delete the gathering invoice {pool}" in refused["detail"]
    in_use = served.problem("DELETE", f"/api/v1/customers/{customer}", 409)["detail"]
    served.call("DELETE", f"/api/v1/billing/invoices/{pool}", expect=204)
    served.problem("POST", now, 400, json={"customerId": customer})
    assert "invoice" in in_use


def test_a_customer_with_pending_lines_is_deleted_once_its_gathering_invoice_is(served: Served):
    customer = served.call("POST", "/api/v1/customers", json={"name": "Ann"}, expect=201).json()["id"]
    path = f"/api/v1/billing/customers/{customer}/invoices/pending-lines"
    pool = served.call(
        "POST", path, json={"currency": "EUR", "lines": [{**a_line(), "quantity": "1"}]}, expect=201
    ).json()
    told = served.problem("DELETE", f"/api/v1/customers/{customer}", 409)["detail"]
    assert f"gathering invoice {pool['invoice']['id']} is open" in told
    served.call("DELETE", f"/api/v1/billing/invoices/{pool['invoice']['id']}", expect=204)
    served.call("DELETE", f"/api/v1/customers/{customer}", expect=204)


def test_an_update_without_lines_is_told_to_delete_instead(served: Served):
    served.ns.profiles.amend(served.ns.profiles.default().id, workflow={"auto_advance": False})
    id = served.shop.submit()
    shown = served.call("GET", f"/api/v1/billing/invoices/{id}", expect=200).json()
    body = {
        "supplier": shown["supplier"],
        "customer": shown["customer"],
        "lines": [],
        "workflow": {"workflow": shown["workflow"]["workflow"]},
    }
    refused = served.problem("PUT", f"/api/v1/billing/invoices/{id}", 400, json=body)
    assert (refused["extensions"]["code"], refused["extensions"]["path"]) == ("lines_empty", "/lines")
    assert refused["detail"].endswith("To take all of it away, delete the invoice.")
    served.call("DELETE", f"/api/v1/billing/invoices/{id}", expect=204)


def test_an_invoice_that_can_not_go_on_names_the_call_that_says_why(served: Served):
    id = served.shop.submit()
    refused = served.problem("POST", f"/api/v1/billing/invoices/{id}/advance", 400)
    assert refused["detail"].endswith(f" See GET /api/billhook/v1/invoices/{id}")
    update = served.problem("POST", f"/api/v1/billing/invoices/{id}/taxes/recalculate", 400)["detail"]
    assert "where update is not available" in update
    assert "authorized" not in update


# Monitors.


def test_head_is_answered_as_get_is_without_its_body(served: Served):
    for path in ("/healthz", "/readyz", "/openapi.json", "/api/v1/apps", "/api/v3/openmeter/billing/invoices"):
        head, get = (served.http().request(method, path) for method in ("HEAD", "GET"))
        names = ("content-type", "content-length")
        assert (head.status_code, [head.headers[name] for name in names]) == (
            200,
            [get.headers[name] for name in names],
        )
        assert head.content == b""
    assert served.http(None).head("/api/v1/apps").status_code == 401
    assert served.http().head("/nowhere").status_code == 404
