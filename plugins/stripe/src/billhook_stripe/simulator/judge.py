"""Judges requests by the vendor's own description of their parameters, strictly: what it does not know is refused.

The description is of JSON, and requests are forms: a leaf is a text that must be able to mean what is described.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from billhook_stripe.simulator.desk import Refused

FILE = "stripe/request-params-16.1.0.json"

_LEAVES = {
    "integer": re.compile(r"-?[0-9]+"),
    "number": re.compile(r"-?[0-9]+(\.[0-9]+)?"),
    "boolean": re.compile(r"true|false"),
    "string": re.compile(r".*", re.DOTALL),
}

Schema = dict[str, Any]
Fault = tuple[str, str]
"""Where, and what is wrong."""


class Judge:
    """The vendor's description, from a folder of vendor data."""

    def __init__(self, folder: Path) -> None:
        self._definitions = _definitions(folder / FILE)

    def check(self, operation: str, params: Any) -> None:
        """Raise Refused with everything that is wrong with the parameters of that operation."""
        faults = list(self._faults(params, self._definitions[operation], ""))
        if faults:
            where, first = faults[0]
            rest = "".join(f"; {path}: {what}" for path, what in faults[1:])
            raise Refused(400, f"{where}: {first}{rest}", code="parameter_unknown", param=where)

    def _faults(self, value: Any, schema: Schema, path: str) -> Iterator[Fault]:
        if "$ref" in schema:
            yield from self._faults(value, self._definitions[schema["$ref"].rpartition("/")[2]], path)
        elif "anyOf" in schema:
            yield from self._of_any(value, schema["anyOf"], path)
        elif "enum" in schema:
            yield from _of_enum(value, schema, path)
        elif schema.get("type") == "array":
            yield from self._of_array(value, schema, path)
        elif schema.get("type") == "object":
            yield from self._of_object(value, schema, path)
        elif not isinstance(value, str) or not _LEAVES[schema["type"]].fullmatch(value):
            yield path, f"{value!r} is no {schema['type']}"

    def _of_any(self, value: Any, choices: list[Schema], path: str) -> Iterator[Fault]:
        tried = [list(self._faults(value, choice, path)) for choice in choices]
        if all(tried):
            yield from min(tried, key=len)

    def _of_array(self, value: Any, schema: Schema, path: str) -> Iterator[Fault]:
        if not isinstance(value, list):
            yield path, "is no list"
            return
        for place, each in enumerate(value):
            yield from self._faults(each, schema["items"], f"{path}[{place}]")

    def _of_object(self, value: Any, schema: Schema, path: str) -> Iterator[Fault]:
        if not isinstance(value, dict):
            yield path, "is no object"
            return
        known, others = schema.get("properties", {}), schema.get("additionalProperties", False)
        for name in schema.get("required", ()):
            if name not in value:
                yield _inside(path, name), "is missing"
        for name, each in value.items():
            if name in known:
                yield from self._faults(each, known[name], _inside(path, name))
            elif isinstance(others, dict):
                yield from self._faults(each, others, _inside(path, name))
            else:
                yield _inside(path, name), "is not known"


@cache
def _definitions(path: Path) -> dict[str, Schema]:
    described: dict[str, dict[str, Schema]] = json.loads(path.read_text(encoding="utf-8"))
    return described["$defs"]


def _of_enum(value: Any, schema: Schema, path: str) -> Iterator[Fault]:
    is_open = bool(schema.get("x-open-enum")) and isinstance(value, str)
    if not is_open and value not in schema["enum"]:
        yield path, f"{value!r} is none of {', '.join(map(repr, schema['enum']))}"


def _inside(path: str, name: str) -> str:
    return f"{path}[{name}]" if path else name
