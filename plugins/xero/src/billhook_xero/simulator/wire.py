"""How this Xero writes and reads: exact numbers, Microsoft's dates, and its three shapes of refusal."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation
from typing import Any

from billhook.testing.simulator import SimReply

EXACT = Context(prec=80, rounding=ROUND_HALF_UP)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NOBODY = "00000000-0000-0000-0000-000000000000"

Json = dict[str, Any]


class Invalid(Exception):
    """An item that Xero refuses, with every reason."""

    def __init__(self, *messages: str) -> None:
        super().__init__("; ".join(messages))
        self.messages = messages


class NotFound(Exception):
    """There is no such thing: 404."""


class BadQuery(Exception):
    """A filter that can't be read: QueryParseException."""


def read_json(body: bytes) -> Any:
    """The body, numbers as exact decimals."""
    return json.loads(body, parse_float=Decimal, parse_int=Decimal)


def write_json(value: Any) -> bytes:
    """The value as JSON, decimals as numbers digit for digit."""
    return _DECIMAL.sub(r"\1", json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_tagged)).encode()


_DECIMAL = re.compile(r'"\\u0000decimal (-?[0-9.]+)"')


def _tagged(value: object) -> str:
    if isinstance(value, Decimal):
        return f"\0decimal {value:f}"
    raise TypeError(f"{type(value).__name__} is nothing that Xero would say")


def answered(value: Any, status: int = 200) -> SimReply:
    """An answer with that body."""
    return SimReply(status, (("Content-Type", "application/json; charset=utf-8"),), write_json(value))


def refused(status: int, number: int, type: str, message: str, elements: Sequence[Json] = ()) -> SimReply:
    """A refusal of the whole request, as the accounting API words it (spec, schema Error)."""
    body: Json = {"ErrorNumber": number, "Type": type, "Message": message}
    return answered({**body, "Elements": list(elements)} if elements else body, status)


def refused_with(messages: Sequence[str]) -> SimReply:
    """A refusal of the one thing that a request is about (spec, schema Error with Elements)."""
    element: Json = {"ValidationErrors": errors(messages)}
    return refused(400, 10, "ValidationException", "A validation exception occurred", [element])


def errors(messages: Sequence[str]) -> list[Json]:
    """Validation errors (spec, schema ValidationError)."""
    return [{"Message": message} for message in messages]


def number(told: Any, name: str, decimals: int) -> Decimal | None:
    """A number of the request, rounded half up to so many decimals; None where it is absent."""
    if told is None:
        return None
    if not isinstance(told, Decimal):
        raise Invalid(f"{name} must be a number")
    try:
        return EXACT.quantize(told, Decimal(1).scaleb(-decimals))
    except InvalidOperation:
        raise Invalid(f"{name} is too large") from None


def cents(amount: Decimal) -> Decimal:
    """Rounded half up to two decimals."""
    return EXACT.quantize(amount, Decimal("0.01"))


def day(told: Any) -> date | None:
    """A day of the request: ``/Date(milliseconds)/`` or ``YYYY-MM-DD``."""
    if not told:
        return None
    text = str(told)
    if text.startswith("/Date("):
        milliseconds = int(text[6:].split(")", maxsplit=1)[0].split("+", maxsplit=1)[0])
        return (EPOCH + timedelta(milliseconds=milliseconds)).date()
    try:
        return date.fromisoformat(text[:10])
    except ValueError:
        raise Invalid(f"{text} is not a valid date") from None


def shown_day(of: date) -> str:
    """A day as Xero shows it."""
    return f"/Date({(of - EPOCH.date()).days * 86_400_000}+0000)/"


def shown_moment(at: datetime) -> str:
    """A moment as Xero shows it."""
    return f"/Date({(at - EPOCH) // timedelta(milliseconds=1)}+0000)/"
