"""Lists, one page at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import sqlalchemy as sa

from billhook.engine.records import Page
from billhook.errors import InvalidInput
from billhook.store.transaction import Transaction

T = TypeVar("T")

PAGE_SIZE = 100
LARGEST_PAGE = 1000
LAST_PAGE = 10**12


def check_page(page: int, page_size: int) -> None:
    """Raise InvalidInput unless there can be such a page."""
    if not _is_count(page, LAST_PAGE):
        raise InvalidInput("page_invalid", f"There is no page {page!r:.40}. Pages are counted from 1.", "/page")
    check_limit(page_size, "page_size")


def check_limit(limit: int, name: str = "limit") -> None:
    """Raise InvalidInput unless that many can be read at once."""
    if not _is_count(limit, LARGEST_PAGE):
        raise InvalidInput("page_invalid", f"{name} is {limit!r:.40}. Ask for 1 to {LARGEST_PAGE} at once.", f"/{name}")


def _is_count(value: object, largest: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= largest


def read_page(
    tx: Transaction, select: sa.Select[Any], make: Callable[[Any], T], *, page: int, page_size: int
) -> Page[T]:
    """That page of what the select gives, each row made into a value. Raises InvalidInput for a page that can't be."""
    check_page(page, page_size)
    total = tx.scalar(sa.select(sa.func.count()).select_from(select.order_by(None).subquery()))
    rows = tx.all(select.limit(page_size).offset((page - 1) * page_size))
    return Page(tuple(make(row) for row in rows), total, page, page_size)
