"""Messages name commands of ``billhook``; who calls over HTTP is told the call that does the same."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

from server_kit import Served

from billhook.server.ways_out import over_http
from billhook.testing.builders import an_id

HOUSE = Path(__file__).parents[3]
COMMAND = re.compile(r"billhook (apps|connections|credit-notes|customers|invoices|numbers|overrides|profiles) \S+")
NOT_OVER_HTTP = re.compile(r"billhook numbers define")
"""What is left to whoever runs the server."""
CALL = re.compile(r"(GET|POST|PUT|PATCH|DELETE) (/api/[^\s\"]*[^\s\".,;])")


def messages() -> Iterator[str]:
    """Every text of the engine and of the providers here that names a command; what is filled in is THING."""
    sources = [*HOUSE.glob("core/src/billhook/**/*.py"), *HOUSE.glob("plugins/*/src/**/*.py")]
    sources += HOUSE.glob("contrib/*/src/**/*.py")
    for source in sources:
        if not {"cli", "testing", "simulator"} & set(source.parts):
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
        left = COMMAND.search(NOT_OVER_HTTP.sub("", told))
        assert left is None, f"Say in ways_out.py what this is over HTTP: {message}"
        for method, path in CALL.findall(told):
            pattern = re.sub(r"/(THING|INVOICE|CUSTOMER|APP)", "/[^/]+", path)
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
