"""OpenMeter's own OpenAPI documents as judges of our answers. They stand beside the checkout; without them nothing is judged.

``DEVIATIONS`` is the one table of what may differ, each with its reason.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import yaml
from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import ValidationError
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

BASE = "urn:openmeter"
FILES = {"v1": "openapi-v1.yaml", "v3": "openapi-v3.yaml"}
PROBLEM_JSON = "application/problem+json"


@dataclass(frozen=True)
class Deviation:
    """Something that may differ. All but the reason are regular expressions: for ``METHOD /path`` as the document has it, and for
    ``status 404`` or the place in the answer (``items/0/status``)."""

    operation: str
    place: str
    reason: str


DEVIATIONS: tuple[Deviation, ...] = (
    Deviation(
        r"POST /api/v1/apps/custom-invoicing/.*",
        r"status (404|409)",
        "the document lists neither; OpenMeter answers 404 for an unknown invoice, and here other content under a confirmed revision is a conflict",
    ),
    Deviation(
        r"(GET|POST|PUT) /api/v1/billing/.*",
        r"(items/\d+/|\d+/)?status",
        "delete and deleted are statuses on the wire, here as at OpenMeter, though its document does not list them",
    ),
    Deviation(r"\w+ /openmeter/.*", r"status (404|405|409|413|415|500|503)", "v3 lists them for few operations"),
)


def folder() -> Path | None:
    """Where the documents are, if they are here."""
    beside = (parent / "shared" / "openmeter-api" for parent in Path(__file__).resolve().parents)
    return next((path for path in beside if path.is_dir()), None)


def is_here() -> bool:
    return folder() is not None


def check(method: str, path: str, response: httpx.Response) -> None:
    """Assert that the answer to ``METHOD /path`` is one that OpenMeter's document describes. Does nothing where there is no document."""
    if not is_here() or not (called := _called(path)):
        return
    version, relative = called
    document = Document.load(version)
    template = document.template(method, relative)
    assert template is not None, f"OpenMeter has no {method} {relative}"
    name = f"{method} {template}"
    found = [each for each in document.complaints(method, template, response) if not _may_differ(name, each[0])]
    assert not found, f"{name} -> {response.status_code}: {found[:5]}\n{response.text[:2000]}"


def _called(path: str) -> tuple[str, str] | None:
    path = path.partition("?")[0]
    if path.startswith("/api/v1/"):
        return "v1", path
    for prefix in ("/api/v3", "/v3"):
        if path.startswith(prefix + "/"):
            return "v3", path.removeprefix(prefix)
    return None


def _may_differ(operation: str, place: str) -> bool:
    return any(re.fullmatch(each.operation, operation) and re.fullmatch(each.place, place) for each in DEVIATIONS)


@dataclass(frozen=True)
class Document:
    """One of the documents, in JSON Schema's own words."""

    version: str
    paths: Mapping[str, Any]
    responses: Mapping[str, Any]
    registry: Registry[Any]

    @staticmethod
    @cache
    def load(version: str) -> Document:
        where = folder()
        assert where is not None
        raw = yaml.load((where / FILES[version]).read_text(encoding="utf-8"), yaml.CSafeLoader)
        schemas = {"components": {"schemas": _plain_schema(raw["components"]["schemas"])}}
        registry: Registry[Any] = Registry().with_resource(BASE, Resource(schemas, DRAFT202012))
        return Document(version, raw["paths"], raw["components"].get("responses", {}), registry)

    def template(self, method: str, path: str) -> str | None:
        """The path of the document that this one is. Where several fit, the one with the fewest variables."""
        fitting = [each for each in self.paths if method.lower() in self.paths[each] and _fits(each, path)]
        return min(fitting, key=lambda each: each.count("{"), default=None)

    def complaints(self, method: str, template: str, response: httpx.Response) -> Iterator[tuple[str, str]]:
        """What differs: where, and how."""
        described = self._described(method, template, response.status_code)
        if described is None:
            yield f"status {response.status_code}", "is not in the document"
            return
        content = described.get("content")
        if not content:
            if response.content:
                yield "content", "there should be none"
            return
        kind, media = next(iter(content.items()))
        if response.headers["content-type"] != kind:
            yield "content-type", f"is {response.headers['content-type']!r}, should be {kind!r}"
        for error in self._validator(media["schema"]).iter_errors(response.json()):
            yield "/".join(map(str, _deepest(error).absolute_path)), _deepest(error).message[:300]

    def _described(self, method: str, template: str, status: int) -> Any:
        known = self.paths[template][method.lower()]["responses"]
        described = known.get(str(status), known.get("default"))
        if described is not None and "$ref" in described:
            return self.responses[described["$ref"].rpartition("/")[2]]
        return described

    def _validator(self, schema: Any) -> Draft202012Validator:
        return Draft202012Validator(_plain_schema(schema), registry=self.registry, format_checker=FORMATS)


FORMATS = FormatChecker(())


@FORMATS.checks("date-time")
def _is_utc_time(value: object) -> bool:
    if not isinstance(value, str):
        return True
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return value.endswith("Z")


def _deepest(error: ValidationError) -> ValidationError:
    while error.context:
        error = max(error.context, key=lambda each: len(each.absolute_path))
    return error


def _fits(template: str, path: str) -> bool:
    pattern = "".join(
        "[^/]+" if part.startswith("{") else re.escape(part) for part in re.split(r"(\{[^}]+\})", template)
    )
    return re.fullmatch(pattern, path) is not None


def _plain_schema(node: Any) -> Any:
    """The same in JSON Schema: OpenAPI 3.0 says nullable and discriminator in ways of its own."""
    if isinstance(node, list):
        return [_plain_schema(each) for each in node]
    if not isinstance(node, dict):
        return node
    plain = {key: _plain_schema(value) for key, value in node.items() if key not in {"nullable", "discriminator"}}
    if str(plain.get("$ref", "")).startswith("#"):
        # Each schema stands by itself; what it refers to is in the registry.
        plain["$ref"] = BASE + plain["$ref"]
    mapping = node.get("discriminator", {}).get("mapping") if isinstance(node.get("discriminator"), dict) else None
    if mapping:
        plain.pop("oneOf", None)
        plain.pop("anyOf", None)
        name = node["discriminator"]["propertyName"]
        plain["required"] = [*plain.get("required", []), name]
        plain["properties"] = {**plain.get("properties", {}), name: {"enum": list(mapping)}}
        plain["allOf"] = [*plain.get("allOf", []), *(_when(name, value, ref) for value, ref in mapping.items())]
    return {"anyOf": [{"type": "null"}, plain]} if node.get("nullable") is True else plain


def _when(name: str, value: str, ref: str) -> dict[str, Any]:
    return {
        "if": {"required": [name], "properties": {name: {"const": value}}},
        "then": {"$ref": BASE + ref},
    }
