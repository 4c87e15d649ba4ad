"""Xero's own package as an encoder: it builds the request, and what would send it only keeps it.

Three things of the package never run here: its transport (which repeats creates and sleeps through a Retry-After), its token handling
(which can send another tenant's token), and its number serialiser (which goes through binary fractions).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

if TYPE_CHECKING:
    from types import ModuleType

KEPT_HEADERS = ("Accept", "Content-Type", "xero-tenant-id")


@dataclass(frozen=True, slots=True)
class Encoded:
    """A request as Xero's package would send it, without credentials."""

    method: str
    url: str
    headers: tuple[tuple[str, str], ...]
    body: bytes


class _Catcher:
    """Stands where the package's transport stands. Holds nothing: what it is given is its answer."""

    def GET(self, url: str, **told: Any) -> Encoded:  # noqa: N802 - the package's name
        return _caught("GET", url, told)

    def PUT(self, url: str, **told: Any) -> Encoded:  # noqa: N802 - the package's name
        return _caught("PUT", url, told)

    def POST(self, url: str, **told: Any) -> Encoded:  # noqa: N802 - the package's name
        return _caught("POST", url, told)


def _caught(method: str, url: str, told: Mapping[str, Any]) -> Encoded:
    query = urlencode([(name, str(value)) for name, value in told.get("query_params") or ()], safe=",")
    headers = tuple((name, told["headers"][name]) for name in KEPT_HEADERS if told["headers"].get(name))
    return Encoded(method, f"{url}?{query}" if query else url, headers, told.get("body") or b"")


@cache
def models() -> ModuleType:
    """The package's models, imported when first needed."""
    from xero_python.accounting import models as found  # type: ignore[import-untyped]

    return found  # type: ignore[no-any-return]


@cache
def _client() -> Any:
    from xero_python.api_client import ApiClient  # type: ignore[import-untyped]

    class Encoder(ApiClient):  # type: ignore[misc]
        def call_api(self, *args: Any, body: Any = None, **told: Any) -> Encoded:
            exact = exact_json(wire_form(body)) if body is not None else None
            return super().call_api(*args, body=exact, **{**told, "_preload_content": False})  # type: ignore[no-any-return]

        def update_params_for_auth(self, headers: Any, querys: Any, auth_settings: Any) -> None:
            """Credentials are added when sending, not here."""

    client = Encoder()
    client.rest_client = _Catcher()
    return client


def encoded(base_url: str, build: Callable[[Any], Any]) -> Encoded:
    """The request that ``build`` makes of Xero's AccountingApi."""
    from xero_python.accounting import AccountingApi

    made = build(AccountingApi(_client(), base_url=base_url))
    assert isinstance(made, Encoded)
    return made


def wire_form(value: Any) -> Any:
    """A model of the package as plain values under their wire names, every Decimal kept as it is."""
    from xero_python.api_client.serializer import serialize  # type: ignore[import-untyped]
    from xero_python.models import BaseModel  # type: ignore[import-untyped]

    def plain(value: Any, declared: str) -> Any:
        if isinstance(value, BaseModel):
            return {
                value.attribute_map[name]: plain(member, kind)
                for name, kind in value.openapi_types.items()
                if (member := getattr(value, name)) is not None
            }
        if isinstance(value, list):
            return [plain(member, declared.removeprefix("list[").removesuffix("]")) for member in value]
        if isinstance(value, Decimal):
            return value
        return serialize(value, declared or None)

    return plain(value, "")


def exact_json(value: Any) -> bytes:
    """Compact JSON; a Decimal is a number, digit for digit."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_marked)
    return _MARKED.sub(r"\1", text).encode()


# No text that can be stored holds the character zero, so nothing else looks like a marked number.
_MARKED = re.compile(r'"\\u0000(-?[0-9.]+)\\u0000"')


def _marked(value: object) -> str:
    if isinstance(value, Decimal):
        return f"\0{value:f}\0"
    raise TypeError(f"{type(value).__name__} has no place in a request to Xero")
