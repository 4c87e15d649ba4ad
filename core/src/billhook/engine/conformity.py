"""Whether a value that a plugin made really has the types that the contract gives it. Nothing else reaches the store."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel

LONGEST_TEXT = 64 * 1024
LONGEST_SPAN = timedelta(days=3_650)


def misfit(value: Any, wanted: Any, where: str) -> str | None:
    """What is wrong with the value, in one sentence; None when it is as the contract says."""
    origin = get_origin(wanted)
    if wanted is Any:
        return None
    if origin is Annotated:
        return misfit(value, get_args(wanted)[0], where)
    if origin in (Union, UnionType):
        return _none_fits(value, get_args(wanted), where)
    if origin is Literal:
        return None if value in get_args(wanted) else _wrong(value, " or ".join(map(repr, get_args(wanted))), where)
    if origin is tuple:
        return _members_misfit(value, get_args(wanted)[0], where)
    if origin is not None and issubclass(origin, Mapping):
        return _mapping_misfit(value, get_args(wanted), where)
    return _plain_misfit(value, wanted, where)


def _plain_misfit(value: Any, wanted: type, where: str) -> str | None:
    if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
        return _wrong(value, getattr(wanted, "__name__", str(wanted)), where)
    check = _CHECKS.get(wanted)
    if check is not None:
        return check(value, where)
    if dataclasses.is_dataclass(wanted):
        return _fields_misfit(value, _hints(wanted), where)
    if issubclass(wanted, BaseModel):
        return _fields_misfit(value, _texts(wanted), where)
    return None


def _fields_misfit(value: Any, hints: Mapping[str, Any], where: str) -> str | None:
    found = (misfit(getattr(value, name), hint, f"{where}.{name}") for name, hint in hints.items())
    return next((problem for problem in found if problem is not None), None)


def _members_misfit(value: Any, wanted: Any, where: str) -> str | None:
    if not isinstance(value, tuple):
        return _wrong(value, "a tuple", where)
    found = (misfit(member, wanted, f"{where}[{place}]") for place, member in enumerate(value))
    return next((problem for problem in found if problem is not None), None)


def _mapping_misfit(value: Any, wanted: tuple[Any, ...], where: str) -> str | None:
    if not isinstance(value, Mapping):
        return _wrong(value, "a mapping", where)
    for key, member in value.items():
        problem = misfit(key, wanted[0], f"a key of {where}") or misfit(member, wanted[1], f"{where}[{key!r}]")
        if problem is not None:
            return problem
    return None


def _none_fits(value: Any, choices: tuple[Any, ...], where: str) -> str | None:
    problems = [misfit(value, choice, where) for choice in choices]
    if None in problems:
        return None
    # The choice of the value's own kind tells best what is wrong with it.
    own = [
        problem
        for problem, choice in zip(problems, choices, strict=True)
        if type(value) is get_origin(choice) or type(value) is choice
    ]
    return (own or problems)[0]


@cache
def _hints(kind: type) -> dict[str, Any]:
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind)}


@cache
def _texts(kind: type[BaseModel]) -> dict[str, Any]:
    # A model checked its types itself when it was made; only what no store takes is left.
    return {name: str for name, field in kind.model_fields.items() if field.annotation is str}


def _wrong(value: Any, wanted: str, where: str) -> str:
    return f"{where} is a {type(value).__name__}, and must be {'None' if wanted is NoneType.__name__ else wanted}"


def _text(value: str, where: str) -> str | None:
    if len(value) > LONGEST_TEXT:
        return f"{where} has {len(value)} characters, {LONGEST_TEXT} are taken"
    if "\x00" in value or (not value.isascii() and any("\ud800" <= letter <= "\udfff" for letter in value)):
        return f"{where} holds characters that can't be stored"
    return None


def _moment(value: datetime, where: str) -> str | None:
    return f"{where} has no time zone" if value.utcoffset() is None else None


def _span(value: timedelta, where: str) -> str | None:
    return (
        None
        if timedelta() <= value <= LONGEST_SPAN
        else f"{where} is {value}, and must be between nothing and ten years"
    )


def _number(value: Decimal, where: str) -> str | None:
    return None if value.is_finite() else f"{where} is {value}, and must be a number"


_CHECKS: dict[type, Callable[[Any, str], str | None]] = {
    str: _text,
    datetime: _moment,
    timedelta: _span,
    Decimal: _number,
}
