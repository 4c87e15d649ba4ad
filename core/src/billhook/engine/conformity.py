"""Whether a value that a plugin made really has the types that the contract gives it. Nothing else reaches the store.

Each type is turned once into a check, because every outcome of every item is looked through.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cache, partial
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeAlias, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel

LONGEST_TEXT = 64 * 1024
LONGEST_SPAN = timedelta(days=3_650)

Complaint: TypeAlias = Callable[[str], str]
"""What is wrong, in one sentence, once it is known where."""
Check: TypeAlias = "Callable[[Any], Complaint | None]"


def misfit(value: Any, wanted: Any, where: str) -> str | None:
    """What is wrong with the value, in one sentence; None when it is as the contract says."""
    complaint = _check_of(wanted)(value)
    return None if complaint is None else complaint(where)


@cache
def _check_of(wanted: Any) -> Check:
    origin = get_origin(wanted)
    if wanted is Any:
        return _anything
    if origin is Annotated:
        return _check_of(get_args(wanted)[0])
    if origin in (Union, UnionType):
        return _one_of(get_args(wanted))
    if origin is Literal:
        return _literally(get_args(wanted))
    if origin is tuple:
        return _members(get_args(wanted)[0])
    if origin is not None and issubclass(origin, Mapping):
        return _mapping(*get_args(wanted))
    return _plain(wanted)


def _anything(value: Any) -> Complaint | None:
    return None


def _plain(wanted: type) -> Check:
    name = getattr(wanted, "__name__", str(wanted))
    inside = _inside(wanted)

    def check(value: Any) -> Complaint | None:
        if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
            return _wrong(value, name)
        return None if inside is None else inside(value)

    return check


def _inside(wanted: type) -> Check | None:
    """What more must hold of a value of that type."""
    if wanted in _VALUES:
        return _VALUES[wanted]
    return partial(_check_fields, wanted) if dataclasses.is_dataclass(wanted) or issubclass(wanted, BaseModel) else None


def _check_fields(kind: type, value: Any) -> Complaint | None:
    for name, check, default in _checks_of_fields(kind):
        member = getattr(value, name)
        complaint = None if member is default else check(member)
        if complaint is not None:
            return partial(_placed, complaint, "", f".{name}")
    return None


@cache
def _checks_of_fields(kind: type) -> tuple[tuple[str, Check, Any], ...]:
    """The name of each field, its check, and the value that needs none: what the contract itself puts there."""
    # Asked for at the first value, because a type may hold itself: a request, its look-up, that one's request.
    if issubclass(kind, BaseModel):
        # A model checked its types itself when it was made; only what no store takes is left.
        texts = [name for name, field in kind.model_fields.items() if field.annotation is str]
        return tuple((name, _text, dataclasses.MISSING) for name in texts)
    hints = get_type_hints(kind)
    assert dataclasses.is_dataclass(kind)
    return tuple((field.name, _check_of(hints[field.name]), field.default) for field in dataclasses.fields(kind))


def _members(wanted: Any) -> Check:
    check_member = _check_of(wanted)

    def check(value: Any) -> Complaint | None:
        if not isinstance(value, tuple):
            return _wrong(value, "a tuple")
        for place, member in enumerate(value):
            complaint = check_member(member)
            if complaint is not None:
                return partial(_placed, complaint, "", f"[{place}]")
        return None

    return check


def _mapping(wanted_key: Any, wanted_member: Any) -> Check:
    check_key, check_member = _check_of(wanted_key), _check_of(wanted_member)

    def check(value: Any) -> Complaint | None:
        if not isinstance(value, Mapping):
            return _wrong(value, "a mapping")
        for key, member in value.items():
            of_key, of_member = check_key(key), check_member(member)
            if of_key is not None:
                return partial(_placed, of_key, "a key of ", "")
            if of_member is not None:
                return partial(_placed, of_member, "", f"[{key!r}]")
        return None

    return check


def _one_of(choices: tuple[Any, ...]) -> Check:
    checks = [(choice, _check_of(choice)) for choice in choices]
    of_kind = dict(checks)

    def check(value: Any) -> Complaint | None:
        likely = of_kind.get(type(value))
        if likely is not None and likely(value) is None:
            return None
        complaints: list[Complaint] = []
        for choice, check_choice in checks:
            complaint = check_choice(value)
            if complaint is None:
                return None
            # The choice of the value's own kind tells best what is wrong with it.
            if type(value) in (choice, get_origin(choice)):
                complaints.insert(0, complaint)
            complaints.append(complaint)
        return complaints[0]

    return check


def _literally(choices: tuple[Any, ...]) -> Check:
    wanted = " or ".join(map(repr, choices))
    return lambda value: None if value in choices else _wrong(value, wanted)


def _placed(complaint: Complaint, before: str, after: str, where: str) -> str:
    return complaint(f"{before}{where}{after}")


def _wrong(value: Any, wanted: str) -> Complaint:
    has, must = type(value).__name__, "None" if wanted == NoneType.__name__ else wanted
    return lambda where: f"{where} is a {has}, and must be {must}"


def _text(value: str) -> Complaint | None:
    if len(value) > LONGEST_TEXT:
        return lambda where: f"{where} has {len(value)} characters, {LONGEST_TEXT} are taken"
    if value.isascii() and "\x00" not in value:
        return None
    if "\x00" in value or any("\ud800" <= letter <= "\udfff" for letter in value):
        return lambda where: f"{where} holds characters that can't be stored"
    return None


def _moment(value: datetime) -> Complaint | None:
    return None if value.utcoffset() is not None else lambda where: f"{where} has no time zone"


def _span(value: timedelta) -> Complaint | None:
    if timedelta() <= value <= LONGEST_SPAN:
        return None
    return lambda where: f"{where} is {value}, and must be between nothing and ten years"


def _number(value: Decimal) -> Complaint | None:
    return None if value.is_finite() else lambda where: f"{where} is {value}, and must be a number"


_VALUES: dict[type, Check] = {str: _text, datetime: _moment, timedelta: _span, Decimal: _number}
