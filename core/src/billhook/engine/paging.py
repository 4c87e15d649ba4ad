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


def read_page(
    tx: Transaction, select: sa.Select[Any], make: Callable[[Any], T], *, page: int, page_size: int
) -> Page[T]:
    """That page of what the select gives, each row made into a value. Raises InvalidInput for a page that can't be."""
    if page < 1 or not 1 <= page_size <= LARGEST_PAGE:
        raise InvalidInput(
            "page_invalid",
            f"Page {page} of {page_size} is none. Pages begin at 1 and hold 1 to {LARGEST_PAGE}.",
            "/page",
        )
    total = tx.scalar(sa.select(sa.func.count()).select_from(select.order_by(None).subquery()))
    rows = tx.all(select.limit(page_size).offset((page - 1) * page_size))
    return Page(tuple(make(row) for row in rows), total, page, page_size)
