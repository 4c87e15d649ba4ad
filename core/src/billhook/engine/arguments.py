"""The arguments of a call from outside, looked at before anything is done with them: one of a wrong kind is refused by its name.

Only the kind is looked at. What a draft, an amount or a page says is read where it is used, which tells more of it.
"""

from __future__ import annotations

import collections.abc
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum, StrEnum
from functools import cache, wraps
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, TypeVar, Union, get_args, get_origin

import billhook
from billhook.errors import InvalidInput

C = TypeVar("C", bound=type)
_MAPPING, _LIST = "a mapping", "a list"


class Kind(NamedTuple):
    """What a value has to be, in words, and whether one is."""

    words: str
    fits: Callable[[Any], bool]


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


def _check(function: Callable[..., Any], name: str, kind: Kind | None, value: object) -> None:
    if kind is None or kind.fits(value):
        return
    what = function.__qualname__.removesuffix(".__init__")
    raise InvalidInput(
        "argument_invalid",
        f"{what}: {name} has to be {kind.words}, not {_shown(value, kind.words)}. Nothing was done.",
        f"/{name}",
    )


def _shown(value: object, wanted: str) -> str:
    # Never a text or what is held, which may be secret.
    if value is None or isinstance(value, int | timedelta):
        return f"{value!s:.40}"
    name = f"{'an' if type(value).__name__[0] in 'aeiou' else 'a'} {type(value).__name__}"
    held = _MAPPING if isinstance(value, Mapping) else _LIST
    return f"{name} of other things" if held in wanted and isinstance(value, Mapping | list | tuple) else name


@cache
def _kinds_of(function: Callable[..., Any]) -> dict[str, Kind | None]:
    """The kinds of a method's arguments, in order; None for what takes anything."""
    _, *parameters = inspect.signature(function).parameters.values()
    several = {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}
    return {each.name: _kind_of(_evaluated(each, function)) for each in parameters if each.kind not in several}


def _evaluated(parameter: inspect.Parameter, function: Callable[..., Any]) -> Any:
    annotation = parameter.annotation
    if not isinstance(annotation, str):
        return annotation
    try:
        return eval(annotation, function.__globals__)  # noqa: S307 - it stands in our own code
    except NameError:
        return Any  # a name that only type checkers see


def _kind_of(annotation: Any) -> Kind | None:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation in _KINDS:
        return _KINDS[annotation]
    if origin is collections.abc.Callable:
        return Kind("a function", callable)
    if origin in (Union, UnionType):
        return _any_of([_kind_of(choice) for choice in arguments])
    if origin is Annotated:
        return _limited(*arguments)
    if origin is Literal:
        return _one_of(arguments)
    if inspect.isclass(origin) and issubclass(origin, Iterable):
        return _container(origin, [_kind_of(each) for each in arguments])
    if inspect.isclass(origin):
        return _own_kind(origin)
    return _own_kind(annotation) if inspect.isclass(annotation) else None


def _own_kind(kind: type) -> Kind | None:
    if kind.__module__ == "builtins":
        return None
    if issubclass(kind, StrEnum):
        return _one_of([each.value for each in kind])
    if issubclass(kind, Enum):
        return Kind("", _is(kind))  # what an argument is that was left out
    home = "billhook" if kind.__name__ in billhook.__all__ else kind.__module__
    words = f"a {home}.{kind.__qualname__}"
    if not getattr(kind, "_is_protocol", False):
        return Kind(words, _is(kind))
    names = [name for name in vars(kind) if not name.startswith("_")]
    told = f"{words} (what has {', '.join(names)})"
    return Kind(told, lambda value: all(hasattr(value, name) for name in names))


def _any_of(kinds: Sequence[Kind | None]) -> Kind | None:
    known = [kind for kind in kinds if kind is not None]
    if len(known) < len(kinds):
        return None
    words = dict.fromkeys(kind.words for kind in known if kind.words)
    return Kind(" or ".join(words), lambda value: any(kind.fits(value) for kind in known))


def _limited(kind: Any, *limits: Any) -> Kind | None:
    if kind is not int:
        return _kind_of(kind)
    least = max((limit.gt + 1 if hasattr(limit, "gt") else limit.ge for limit in limits), default=0)
    return Kind(f"a whole number from {least} on", lambda value: type(value) is int and value >= least)


def _one_of(values: Sequence[Any]) -> Kind:
    return Kind(f"one of {', '.join(map(str, values))}", lambda value: isinstance(value, str) and value in values)


def _container(origin: type, held: Sequence[Kind | None]) -> Kind | None:
    if issubclass(origin, Mapping):
        key, member = (*held, None, None)[:2]
        return Kind(
            _holding(_MAPPING, key=key, value=member),
            lambda value: _is_mapping(value) and _all(key, _keys(value)) and _all(member, _values(value)),
        )
    member = held[0] if held else None
    # What can be gone through once only is not gone through here.
    several = Sequence | set | frozenset if member is not None else object
    return Kind(
        _holding(_LIST, item=member),
        lambda value: (
            isinstance(value, Iterable)
            and not isinstance(value, str | bytes | bytearray | Mapping)
            and (not isinstance(value, several) or _all(member, value))
        ),
    )


def _is_mapping(value: object) -> bool:
    # The headers of some frameworks are read like a mapping, and are none by their type.
    return isinstance(value, Mapping) or callable(getattr(value, "items", None))


def _keys(value: Any) -> Iterator[Any]:
    return (key for key, _ in value.items())


def _values(value: Any) -> Iterator[Any]:
    return (member for _, member in value.items())


def _holding(words: str, **held: Kind | None) -> str:
    told = [f"each {name} {kind.words}" for name, kind in held.items() if kind is not None]
    return f"{words} ({', '.join(told)})" if told else words


def _all(kind: Kind | None, values: Iterable[Any]) -> bool:
    return kind is None or all(kind.fits(value) for value in values)


def _is(*kinds: type) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, kinds)


_KINDS: Mapping[Any, Kind | None] = {
    str: Kind("a text", _is(str)),
    bytes: Kind("bytes", _is(bytes)),
    bool: Kind("True or False", _is(bool)),
    datetime: Kind("a datetime with its time zone", _is(datetime, str)),
    timedelta: Kind("a timedelta that is not negative", lambda value: _is(timedelta)(value) and value >= timedelta()),
    NoneType: Kind("None", lambda value: value is None),
    # Whoever reads these says more of what is wrong with them.
    **dict.fromkeys((Any, object, int, Decimal, Path)),
}
