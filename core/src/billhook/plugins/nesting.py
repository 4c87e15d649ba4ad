"""What has a name inside a setting: the fields of a model in a model, and the keys of a mapping."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel


def place_of(kind: Any, name: str, value: Any) -> tuple[str, ...]:
    """The names, one inside the other, that a dotted name goes through to that value: ``organisation.currencies`` is in ``organisation``.

    A key of a mapping may hold dots itself, as ``tax_types.5.5`` does. Where no type tells more, the rest is one name.
    """
    container = _container(kind)
    if "." not in name or container is None:
        return (name,)
    first = _first(container, name, value)
    inside = kind_inside(kind, (first,))
    if first == name or _container(inside) is None:
        return (name,)
    return (first, *place_of(inside, name[len(first) + 1 :], value))


def kind_inside(kind: Any, place: Sequence[str | int]) -> Any:
    """The type of what stands at that place in a value of that type; None where there is no such place."""
    for name in place:
        container = _container(kind)
        if _is_model(container):
            field = next((info for known, info in container.model_fields.items() if name in {known, info.alias}), None)
            kind = field.annotation if field is not None else None
        else:
            kind = get_args(container)[-1] if get_args(container) else None
    return kind


def names_in(kind: Any) -> list[str]:
    """The names that a value of that type can have inside; none where they are not known beforehand."""
    container = _container(kind)
    return [info.alias or name for name, info in container.model_fields.items()] if _is_model(container) else []


def _first(container: Any, name: str, value: Any) -> str:
    if _is_model(container):
        return name.partition(".")[0]
    inside = _container(get_args(container)[-1])
    if inside is None:
        return name
    if not _is_model(inside):
        return name.partition(".")[0]
    known = names_in(inside)
    key = next((key for key, rest in _split(name) if rest.partition(".")[0] in known), None)
    if key is not None:
        return key
    return name if isinstance(value, Mapping) else name.rpartition(".")[0]


def _split(name: str) -> Iterator[tuple[str, str]]:
    for place, sign in enumerate(name):
        if sign == ".":
            yield name[:place], name[place + 1 :]


def _container(kind: Any) -> Any:
    """The model or the mapping among what a value of that type may be."""
    return next((one for one in _choices(kind) if _is_model(one) or _is_mapping(one)), None)


def _choices(kind: Any) -> Iterator[Any]:
    origin = get_origin(kind)
    if origin is Annotated:
        yield from _choices(get_args(kind)[0])
    elif origin in {Union, UnionType}:
        for choice in get_args(kind):
            yield from _choices(choice)
    else:
        yield kind


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _is_mapping(kind: Any) -> bool:
    origin = get_origin(kind)
    return isinstance(origin, type) and issubclass(origin, Mapping)
