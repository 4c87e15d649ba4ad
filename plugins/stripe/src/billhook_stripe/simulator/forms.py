"""Stripe's bracket form, `lines[0][amount]=1200`, as nested values; every leaf stays the text that was sent."""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import parse_qsl

from billhook_stripe.simulator.desk import Refused

_PART = re.compile(r"\[([^\]]*)\]")

Params = dict[str, Any]


def decoded_body(body: bytes) -> Params:
    """The parameters of a form body."""
    try:
        return nested(parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=bool(body)))
    except ValueError as error:
        raise Refused(400, "The body is no form.") from error


def nested(pairs: Iterable[tuple[str, str]]) -> Params:
    """The pairs as nested values; members that are numbered from 0 make a list."""
    whole: Params = {}
    for name, value in pairs:
        head, _, rest = name.partition("[")
        path = [head, *_PART.findall(f"[{rest}" if rest else "")]
        _put(whole, path, value)
    return {name: _listed(value) for name, value in whole.items()}


def whole(params: Params, name: str) -> int | None:
    """A whole number, or None when it is absent."""
    value = params.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or not re.fullmatch(r"-?[0-9]{1,15}", value):
        raise Refused(400, f"Invalid integer: {value}", code="parameter_invalid_integer", param=name)
    return int(value)


def decimal(params: Params, name: str) -> Decimal | None:
    """A decimal of at most twelve places (changelog 2026-03-25), or None when it is absent."""
    value = params.get(name)
    if value is None:
        return None
    try:
        number = Decimal(value)
    except (InvalidOperation, TypeError) as error:
        raise Refused(400, f"Invalid decimal: {value}", param=name) from error
    if int(number.as_tuple().exponent) < -12:
        raise Refused(400, f"{name} takes at most 12 decimal places.", param=name)
    return number


def flag(params: Params, name: str) -> bool | None:
    """A boolean, or None when it is absent."""
    value = params.get(name)
    if value not in {None, "true", "false"}:
        raise Refused(400, f"Invalid boolean: {value}", param=name)
    return None if value is None else value == "true"


def needed(params: Params, name: str) -> Any:
    """A parameter that must be there."""
    if params.get(name) in {None, ""}:
        raise Refused(400, f"Missing required param: {name}.", code="parameter_missing", param=name)
    return params[name]


def _put(whole: Params, path: list[str], value: str) -> None:
    *heads, last = path
    for head in heads:
        whole = whole.setdefault(head, {})
    whole[last] = value


def _listed(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    inner = {name: _listed(each) for name, each in value.items()}
    names = list(inner)
    return list(inner.values()) if names and names == [str(place) for place in range(len(names))] else inner
