"""Lists in the first form of the API: ``page``, ``pageSize``, ``order`` and ``orderBy``; answers with a total count."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Query, Request, params
from fastapi.dependencies.utils import get_flat_params
from fastapi.routing import APIRoute

from billhook.engine.paging import LARGEST_PAGE, LAST_PAGE, PAGE_SIZE
from billhook.engine.records import Page
from billhook.errors import InvalidInput

T = TypeVar("T")


class Order(StrEnum):
    """Which way a list goes."""

    ASC = "ASC"
    DESC = "DESC"


@dataclass(frozen=True, slots=True)
class PageQuery:
    """Which page is asked for, counted from 1."""

    page: int
    page_size: int


async def _asked(
    request: Request,
    page: Annotated[int, Query(ge=1, le=LAST_PAGE, description="Page index, from 1.")] = 1,
    page_size: Annotated[
        int, Query(alias="pageSize", ge=1, le=LARGEST_PAGE, description="How many items a page has at most.")
    ] = PAGE_SIZE,
) -> PageQuery:
    _refuse_unknown(request)
    return PageQuery(page, page_size)


def _refuse_unknown(request: Request) -> None:
    """Raise InvalidInput for a parameter that the list does not have: without what it was to filter by, a list is everybody's."""
    known = _parameters(request.scope["route"]) if request.query_params else ()
    for name in request.query_params:
        if name not in known:
            listed = ", ".join(known)
            raise InvalidInput(
                "query_unknown", f"{name[:64]!r} can't be asked for here. There are: {listed}.", f"/{name[:64]}"
            )


def _parameters(route: APIRoute) -> tuple[str, ...]:
    """What can stand in the query string of that route."""
    fields = get_flat_params(route.dependant)
    return tuple(sorted(field.alias for field in fields if isinstance(field.field_info, params.Query)))


Paging = Annotated[PageQuery, Depends(_asked)]


def page_v1(page: Page[T], encode: Callable[[T], Any]) -> dict[str, Any]:
    """A page of a list, each item encoded."""
    return shown(map(encode, page.items), page.total_count, page.page, page.page_size)


def page_of_all(items: Iterable[Any], asked: PageQuery) -> dict[str, Any]:
    """The page asked for of a list that is known as a whole, encoded already."""
    everything = list(items)
    start = (asked.page - 1) * asked.page_size
    return shown(everything[start : start + asked.page_size], len(everything), asked.page, asked.page_size)


def shown(items: Iterable[Any], total_count: int, page: int, page_size: int) -> dict[str, Any]:
    """A page on the wire."""
    return {"totalCount": total_count, "page": page, "pageSize": page_size, "items": list(items)}
