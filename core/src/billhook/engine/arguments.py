"""The arguments of a call from outside, looked at before anything is done with them: one of a wrong kind is refused by its name.

Only the kind is looked at, by what the signature says. What a draft, an amount, a time or a page says is read where it is used, which tells
more of it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum
from functools import cache, wraps
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, NamedTuple, TypeVar, Union, get_args, get_origin

from pydantic import (
    BeforeValidator,
    Field,
    InstanceOf,
    Strict,
    StrictBool,
    StrictBytes,
    StrictStr,
    TypeAdapter,
    ValidationError,
)

from billhook.errors import InvalidInput

C = TypeVar("C", bound=type)

_AS_IT_IS: Mapping[Any, Any] = {
    str: StrictStr,
    bytes: StrictBytes,
    bool: StrictBool,
    timedelta: Annotated[timedelta, Strict(), Field(ge=timedelta())],
    # Whoever reads these says more of what is wrong with them.
    **dict.fromkeys((Any, int, Decimal, datetime, Path, object), Any),
}
"""Pydantic would read a text as bytes, a 1 as True, and much else as what is wanted; here nothing is read, so it has to be it."""

_GROUPS = frozenset({Mapping, Sequence, Iterable, tuple, list, dict})


class _Kind(NamedTuple):
    """What an argument has to be: in the words of the signature, and whoever tells whether one is."""

    words: str
    adapter: TypeAdapter[Any]


def checked(kind: C) -> C:
    """Have every public method of the class refuse arguments that are not of their annotated kinds; of a dataclass, its fields.

    An argument that is missing or that nobody knows stays Python's to tell.
    """
    is_value = hasattr(kind, "__dataclass_fields__")
    for name, member in list(vars(kind).items()):
        if name.startswith("_") and not (is_value and name == "__init__"):
            continue
        if inspect.isfunction(member):
            setattr(kind, name, _checking(member))
        elif isinstance(member, classmethod):
            setattr(kind, name, classmethod(_checking(member.__func__)))
    return kind


def _checking(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def look_first(self: Any, /, *given: Any, **named: Any) -> Any:
        kinds = _kinds_of(function)
        for (name, kind), value in zip(kinds.items(), given, strict=False):
            _check(function, name, kind, value)
        for name, value in named.items():
            _check(function, name, kinds.get(name), value)
        return function(self, *given, **named)

    return look_first


def _check(function: Callable[..., Any], name: str, kind: _Kind | None, value: object) -> None:
    if kind is None:
        return
    try:
        kind.adapter.validate_python(value)
    except ValidationError as error:
        what, why = function.__qualname__.removesuffix(".__init__"), error.errors(include_input=False)[0]["msg"]
        # Never the value, which may be secret.
        raise InvalidInput(
            "argument_invalid",
            f"{what}: {name} is of type {type(value).__name__}, and has to be {kind.words} ({why}). Nothing was done.",
            f"/{name}",
        ) from None


@cache
def _kinds_of(function: Callable[..., Any]) -> dict[str, _Kind | None]:
    """The kinds of a method's arguments, in order; None for what takes anything."""
    _, *parameters = inspect.signature(function).parameters.values()
    several = {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}
    return {each.name: _kind_of(each, function) for each in parameters if each.kind not in several}


def _kind_of(parameter: inspect.Parameter, function: Callable[..., Any]) -> _Kind | None:
    kind = _as_it_is(_evaluated(parameter.annotation, function))
    return None if kind is Any else _Kind(str(parameter.annotation), TypeAdapter(kind))


def _evaluated(annotation: Any, function: Callable[..., Any]) -> Any:
    if not isinstance(annotation, str):
        return annotation
    try:
        return eval(annotation, function.__globals__)  # noqa: S307 - it stands in our own signature
    except NameError:
        return Any  # a name that only type checkers see


def _as_it_is(hint: Any) -> Any:
    """The kind, of which nothing is taken for another one that only reads like it."""
    origin, arguments = get_origin(hint), get_args(hint)
    if hint in _AS_IT_IS:
        return _AS_IT_IS[hint]
    if origin is Annotated:
        return Annotated[hint, Strict()]
    if origin in (Union, UnionType):
        choices = [_as_it_is(each) for each in arguments]
        return Any if Any in choices else Union[tuple(choices)]  # noqa: UP007 - made of what the signature names
    if origin in _GROUPS:
        group = origin[tuple(each if each is ... else _as_it_is(each) for each in arguments)]
        return Annotated[group, BeforeValidator(_as_mapping)] if origin is Mapping else group
    kind: Any = origin or hint
    if kind is Callable or not inspect.isclass(kind) or issubclass(kind, Enum):
        return hint
    return Annotated[kind, InstanceOf()]  # type: ignore[type-arg]


def _as_mapping(value: Any) -> Any:
    # The headers of some frameworks are read like a mapping, and are none by their type.
    return dict(value.items()) if callable(getattr(value, "items", None)) else value
