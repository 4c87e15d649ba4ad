"""Query strings of the third form of the API: ``page[number]``, ``page[size]``, ``sort=field desc`` and ``filter[field][op]=value``.

A route states what it can filter and sort by; anything else in the query string is refused by name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from starlette.requests import Request

from billhook.domain.period import utc
from billhook.engine.paging import LARGEST_PAGE, LAST_PAGE, PAGE_SIZE
from billhook.errors import InvalidInput

_PAGE = re.compile(r"page\[(number|size)\]")
_FILTER = re.compile(r"filter\[([a-z_.]+)\](?:\[([a-z]+)\])?")


class Kind(StrEnum):
    """What a filter compares."""

    EXACT = "exact"
    TEXT = "text"
    TIME = "time"
    BOOLEAN = "boolean"


_OPERATORS: Mapping[Kind, Collection[str]] = {
    Kind.EXACT: ("eq", "neq", "oeq"),
    Kind.TEXT: ("eq", "neq", "oeq", "contains", "ocontains", "exists", "gt", "gte", "lt", "lte"),
    Kind.TIME: ("eq", "gt", "gte", "lt", "lte"),
    Kind.BOOLEAN: ("eq",),
}


@dataclass(frozen=True, slots=True)
class Comparison:
    """One filter: ``value`` is a tuple for ``oeq`` and ``ocontains``, a datetime where times are compared, else a text or a bool."""

    field: str
    op: str
    value: Any


@dataclass(frozen=True, slots=True)
class Sort:
    """One attribute that a list is sorted by."""

    field: str
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """What a query string asks for."""

    page: int = 1
    page_size: int = PAGE_SIZE
    sort: tuple[Sort, ...] = ()
    filters: tuple[Comparison, ...] = field(default=())

    def of(self, name: str) -> tuple[Comparison, ...]:
        """The filters on that field."""
        return tuple(each for each in self.filters if each.field == name)


class Query:
    """A dependency: reads the query string of a list. ``filters`` and ``sorts`` are what the list has."""

    def __init__(self, *, filters: Mapping[str, Kind] | None = None, sorts: Collection[str] = ()) -> None:
        self._filters = filters or {}
        self._sorts = tuple(sorts)

    async def __call__(self, request: Request) -> Asked:
        return self.read(request.query_params.multi_items())

    def read(self, pairs: Iterable[tuple[str, str]]) -> Asked:
        """What these pairs ask for. Raises InvalidInput that names the parameter."""
        page: dict[str, int] = {}
        sort: tuple[Sort, ...] = ()
        filters: list[Comparison] = []
        for name, value in pairs:
            if place := _PAGE.fullmatch(name):
                page[place[1]] = _count(name, value, LAST_PAGE if place[1] == "number" else LARGEST_PAGE)
            elif name == "sort" and self._sorts:
                sort = tuple(self._sorted_by(value))
            elif (place := _FILTER.fullmatch(name)) and place[1] in self._filters:
                filters.append(self._comparison(name, place[1], place[2] or "eq", value))
            else:
                raise InvalidInput("query_unknown", f"{name[:64]!r} can't be asked for here.", f"/{name[:64]}")
        return Asked(page.get("number", 1), page.get("size", PAGE_SIZE), sort, tuple(filters))

    def _sorted_by(self, text: str) -> Iterator[Sort]:
        for each in text.split(","):
            name, _, way = each.strip().partition(" ")
            if name not in self._sorts or way not in {"", "asc", "desc"}:
                raise InvalidInput(
                    "sort_unknown",
                    f"Can't sort by {each.strip()[:64]!r}. There are: {', '.join(self._sorts)}.",
                    "/sort",
                )
            yield Sort(name, way == "desc")

    def _comparison(self, name: str, field: str, op: str, text: str) -> Comparison:
        kind = self._filters[field]
        if op not in _OPERATORS[kind]:
            raise InvalidInput(
                "filter_unknown", f"{field} can be compared by {', '.join(_OPERATORS[kind])}, not {op!r}.", f"/{name}"
            )
        read = _OF_OPERATORS.get(op, _READERS[kind])
        try:
            return Comparison(field, op, read(text))
        except InvalidInput as error:
            raise InvalidInput(error.code, error.message, f"/{name}") from None


def _count(name: str, text: str, largest: int) -> int:
    if text.isascii() and text.isdecimal() and len(text) <= 18 and 1 <= int(text) <= largest:
        return int(text)
    raise InvalidInput("page_invalid", f"{name} is {text[:40]!r}. Give a number from 1 to {largest}.", f"/{name}")


def _split(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _truth(text: str) -> bool:
    if text in {"true", "false"}:
        return text == "true"
    raise InvalidInput("boolean_invalid", f"{text[:40]!r} is neither true nor false.")


_OF_OPERATORS: Mapping[str, Callable[[str], Any]] = {"oeq": _split, "ocontains": _split, "exists": _truth}
_READERS: Mapping[Kind, Callable[[str], Any]] = {
    Kind.EXACT: str,
    Kind.TEXT: str,
    Kind.TIME: utc,
    Kind.BOOLEAN: _truth,
}
