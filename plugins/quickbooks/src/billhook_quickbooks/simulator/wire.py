"""JSON as QuickBooks writes it: decimals as numbers, digit for digit; and what it refuses, as faults."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Any

from billhook.testing.simulator import Pairs, SimReply

Entity = dict[str, Any]

EXACT = Context(prec=80, rounding=ROUND_HALF_UP)
CENT = Decimal("0.01")

_MARK = "\x1f"
_MARKED = re.compile(r'"\\u001f(-?[0-9.]+)\\u001f"')


class Refused(Exception):
    """A request, or one item of a batch, is refused with Intuit's code."""

    def __init__(self, code: str, message: str, detail: str = "", element: str = "", status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.detail = detail or message
        self.element = element
        self.status = status

    @property
    def fault(self) -> Entity:
        """As it stands in an answer (developer.intuit.com, "Error codes")."""
        kind = {401: "AuthenticationFault", 403: "AuthorizationFault"}.get(self.status, "ValidationFault")
        error = {"Message": self.message, "Detail": self.detail, "code": self.code}
        return {"Error": [{**error, "element": self.element} if self.element else error], "type": kind}


def dumps(value: Any) -> str:
    """The value as JSON."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_marked)
    return _MARKED.sub(r"\1", text)


def loads(text: str | bytes) -> Any:
    """The value of JSON; fractions as decimals."""
    return json.loads(text, parse_float=Decimal)


def answer(status: int, value: Mapping[str, Any], headers: Pairs = ()) -> SimReply:
    """An answer in JSON."""
    return SimReply(status, (("Content-Type", "application/json"), *headers), dumps(value).encode())


def decimal(entity: Mapping[str, Any], name: str, default: str | None = None) -> Decimal:
    """A decimal, written as a number or as the text of one."""
    value = entity.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
        raise Refused("2020", "Required param missing, need to supply the required value for the API", name, name)
    try:
        return Decimal(value)
    except ArithmeticError:
        raise Refused("2030", "Invalid Number", f"{name} is {value!r}", name) from None


def cents(amount: Decimal) -> Decimal:
    """Two decimals, half up."""
    return amount.quantize(CENT, ROUND_HALF_UP, EXACT)


def money(entity: Mapping[str, Any], name: str) -> Decimal:
    """An amount, which has two decimals at most."""
    amount = decimal(entity, name)
    if amount != cents(amount):
        raise Refused("2030", "Invalid Number", f"{name} is {amount:f}: amounts have two decimals", name)
    return cents(amount)


def ref(entity: Mapping[str, Any], name: str) -> str | None:
    """The value of a reference."""
    found = entity.get(name)
    return str(found["value"]) if isinstance(found, Mapping) and found.get("value") is not None else None


def _marked(value: object) -> str:
    if isinstance(value, Decimal):
        return f"{_MARK}{value:f}{_MARK}"
    raise TypeError(f"{type(value).__name__} has no form in JSON")
