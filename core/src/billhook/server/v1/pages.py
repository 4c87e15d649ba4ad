"""Lists in the first form of the API: ``page``, ``pageSize``, ``order`` and ``orderBy``; answers with a total count."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Query

from billhook.engine.paging import LARGEST_PAGE, LAST_PAGE, PAGE_SIZE
from billhook.engine.records import Page

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
    page: Annotated[int, Query(ge=1, le=LAST_PAGE, description="Page index, from 1.")] = 1,
    page_size: Annotated[
        int, Query(alias="pageSize", ge=1, le=LARGEST_PAGE, description="How many items a page has at most.")
    ] = PAGE_SIZE,
) -> PageQuery:
    return PageQuery(page, page_size)


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
