"""Contract values as JSON, for the journal. Reading back gives the same value."""

from __future__ import annotations

from functools import cache
from typing import Any, TypeVar

from pydantic import TypeAdapter

from billhook.contract.operations import result_type
from billhook.contract.outcomes import Done, Pending, Rejected, Retry
from billhook.contract.requests import Headers

T = TypeVar("T")


@cache
def adapter(type_: Any) -> TypeAdapter[Any]:
    """The encoder and decoder of a contract type, built once."""
    return TypeAdapter(type_)


def dump(value: Any, type_: Any) -> bytes:
    """A contract value as compact JSON, members that are None left out."""
    return adapter(type_).dump_json(value, exclude_none=True)


def load(data: bytes | str, type_: type[T]) -> T:
    """The value that ``dump`` wrote."""
    wanted: Any = type_
    return adapter(wanted).validate_json(data)  # type: ignore[no-any-return]


HEADERS: Any = Headers


def dump_outcome(operation: str, outcome: Done[Any] | Pending | Rejected | Retry) -> bytes:
    """One item's outcome as JSON; Done with the operation's own result type."""
    if isinstance(outcome, Done):
        return b'{"kind":"done","result":' + dump(outcome.result, result_type(operation)) + b"}"
    return dump(outcome, type(outcome))
