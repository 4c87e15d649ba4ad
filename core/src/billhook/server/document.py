"""Our own OpenAPI document: what FastAPI knows of the routes, the callbacks beside them, and the one shape of refusals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from billhook.server.callbacks import BODIES, PATH
from billhook.server.problems import PROBLEM_JSON
from billhook.server.provider_webhooks import PATH as WEBHOOK_PATH
from billhook.server.v1.wire import ANY_CASE_ULID

REFERENCE = "#/components/schemas/{model}"
METHODS = ("get", "put", "post", "patch", "delete")
PROBLEM = "Problem"

_PROBLEM_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "required": ["title", "status", "detail", "instance"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What happened, to which thing, and what to do next."},
        "instance": {"type": "string", "description": "Names the request; the log has it too."},
        "code": {"type": "string", "description": "The stable code, in the third form of the API."},
        "invalid_parameters": {"type": "array", "items": {"type": "object"}},
        "extensions": {"type": "object", "description": "The stable code and its place, in the first form of the API."},
    },
}
_REFUSED: Mapping[str, Any] = {
    "description": "Refused, or failed; nothing was changed.",
    "content": {PROBLEM_JSON: {"schema": {"$ref": REFERENCE.format(model=PROBLEM)}}},
}


def document_of(app: FastAPI, of_routes: Callable[[], dict[str, Any]], v1: str) -> dict[str, Any]:
    """The whole document. Made once, when it is first asked for."""
    if app.openapi_schema is not None:
        return app.openapi_schema
    document = of_routes()
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    places, definitions = _callbacks(v1)
    document["paths"] |= {**places, WEBHOOK_PATH: {"post": _webhook()}}
    schemas |= {**definitions, PROBLEM: dict(_PROBLEM_SCHEMA)}
    for path, operations in document["paths"].items():
        for method in METHODS:
            if method in operations:
                _describe_refusals(operations[method], is_open=path == WEBHOOK_PATH)
    return document


def _describe_refusals(operation: dict[str, Any], *, is_open: bool) -> None:
    responses = operation["responses"]
    responses.pop("422", None)
    responses["default"] = dict(_REFUSED)
    if not is_open:
        operation["security"] = [{"HTTPBearer": []}]


def _callbacks(v1: str) -> tuple[dict[str, Any], dict[str, Any]]:
    kinds: list[type[BaseModel]] = list(BODIES.values())
    by_kind, definitions = models_json_schema([(kind, "validation") for kind in kinds], ref_template=REFERENCE)
    schemas = {kind: schema for (kind, _), schema in by_kind.items()}
    places = {f"{v1}{PATH}/{end}": {"post": _operation(end, kind, schemas[kind])} for end, kind in BODIES.items()}
    return places, definitions.get("$defs", {})


def _operation(end: str, kind: type[BaseModel], schema: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "tags": ["Custom Invoicing"],
        "summary": end,
        "description": kind.__doc__,
        "operationId": f"custom_invoicing_{end.replace('/', '_')}",
        "parameters": [_id_in_path("invoiceId")],
        "requestBody": {"required": True, "content": {"application/json": {"schema": dict(schema)}}},
        "responses": {"204": {"description": "Taken. The same again is taken too, and changes nothing."}},
    }


def _webhook() -> dict[str, Any]:
    return {
        "tags": ["Webhooks of providers"],
        "summary": "Receive a webhook",
        "description": "What a provider tells of an app, in the provider's own form and signed as it signs. No token is needed.",
        "operationId": "receive_webhook",
        "parameters": [_id_in_path("app_id")],
        "requestBody": {"required": True, "content": {"*/*": {"schema": {}}}},
        "responses": {
            "200": {"description": "The signature is right. What was told is kept, and worked later."},
            "401": {"description": "The signature is wrong. Nothing was stored.", "content": _REFUSED["content"]},
        },
    }


def _id_in_path(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string", "pattern": ANY_CASE_ULID}}
