"""Judges requests by Xero's published schema, strictly: a member that it does not know is refused, and so is one that only Xero may set,
unless it carries its declared default (Xero's own package sends ``HasAttachments: false``).

Needs PyYAML and jsonschema, which the extra ``judge`` installs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from billhook.testing.simulator import SimRequest

SPEC = "xero_accounting.yaml"

Json = dict[str, Any]


class Judge:
    """The accounting API's schema, ready to judge."""

    def __init__(self, folder: Path) -> None:
        self._spec = _loaded(folder / SPEC)

    def complaints(self, request: SimRequest, path: str) -> list[str]:
        """What is wrong with a request by the schema; empty when nothing is."""
        operation = self._operation(request.method, path)
        if operation is None:
            return [f"{request.method} {path} is not in the schema"]
        return [*self._query_complaints(request, operation), *self._body_complaints(request, operation)]

    def _operation(self, method: str, path: str) -> Json | None:
        for template, item in self._spec["paths"].items():
            if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path) and method.lower() in item:
                found: Json = item[method.lower()]
                return found
        return None

    def _query_complaints(self, request: SimRequest, operation: Json) -> Iterator[str]:
        known = {each["name"]: each for each in map(self._parameter, operation.get("parameters", ()))}
        for name, value in request.query:
            if name not in known or known[name]["in"] != "query":
                yield f"the query parameter {name} is not in the schema"
            elif known[name]["schema"].get("type") == "boolean" and value not in {"true", "false"}:
                yield f"the query parameter {name} must be true or false, not {value}"
            elif known[name]["schema"].get("type") == "integer" and not value.isdigit():
                yield f"the query parameter {name} must be a whole number, not {value}"

    def _parameter(self, told: Json) -> Json:
        if "$ref" not in told:
            return told
        found: Json = self._spec["components"]["parameters"][told["$ref"].rpartition("/")[2]]
        return found

    def _body_complaints(self, request: SimRequest, operation: Json) -> Iterator[str]:
        if "requestBody" not in operation:
            return
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        for error in _validator(self._spec["file"], schema["$ref"].rpartition("/")[2]).iter_errors(
            _numbers(request.body)
        ):
            yield f"{error.json_path}: {error.message}"


def _numbers(body: bytes) -> Any:
    return json.loads(body or b"{}")


@cache
def _loaded(path: Path) -> Json:
    import yaml

    with path.open("rb") as file:
        # The loader written in C takes a third of a second, the other one six.
        loaded = yaml.load(file, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - both are safe
    return {**loaded, "file": path}


@cache
def _validator(path: Path, name: str) -> Any:
    from jsonschema import Draft202012Validator

    schemas = _loaded(path)["components"]["schemas"]
    definitions = {each: _strict(schema) for each, schema in schemas.items()}
    return Draft202012Validator({"$ref": f"#/$defs/{name}", "$defs": definitions})


def _strict(schema: Any) -> Any:
    """OpenAPI 3.0 as JSON Schema, closed, without what only Xero may set."""
    if isinstance(schema, list):
        return [_strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return {"$ref": f"#/$defs/{schema['$ref'].rpartition('/')[2]}"}
    kept = {name: schema[name] for name in ("type", "enum", "maxLength", "items", "required") if name in schema}
    if "items" in kept:
        kept["items"] = _strict(kept["items"])
    if "properties" in schema:
        kept |= {"properties": {name: _member(each) for name, each in schema["properties"].items()}}
        kept["additionalProperties"] = False
    return kept


def _member(schema: Json) -> Any:
    if not schema.get("readOnly"):
        return _strict(schema)
    if "default" not in schema:
        return False
    # The schema writes the default of a boolean as a text.
    default = schema["default"]
    return {"const": default == "true" if schema.get("type") == "boolean" and isinstance(default, str) else default}
