"""How values look in the third form of the API: snake_case, and no property that is not in the document."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, TypeVar

from fastapi import Path
from pydantic import BaseModel, ConfigDict, StringConstraints

from billhook.engine.records import Page
from billhook.server.v1.wire import NO_CONTENT, Numeric, nothing, reply

__all__ = [
    "LABEL",
    "NO_CONTENT",
    "Label",
    "Labels",
    "Numeric",
    "UlidPath",
    "WireModel",
    "meta_v3",
    "nothing",
    "page_v3",
    "reply",
]

T = TypeVar("T")

LABEL = r"^[a-z0-9A-Z]([a-z0-9A-Z._-]*[a-z0-9A-Z])?$"
"""What the document takes as the value of a label."""
Label = Annotated[str, StringConstraints(min_length=1, max_length=63, pattern=LABEL)]
Labels = Mapping[Annotated[str, StringConstraints(min_length=1, max_length=63)], Label]


class WireModel(BaseModel):
    """A value on the wire. Unknown properties that come in are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


UlidPath = Annotated[str, Path(pattern=r"^[0-7][0-9A-HJKMNP-TV-Z]{25}$")]
"""An id in a path, in upper case only."""


def page_v3(page: Page[T], encode: Callable[[T], Any]) -> dict[str, Any]:
    """A page of a list, each item encoded."""
    return {"data": [encode(item) for item in page.items], "meta": meta_v3(page.page, page.page_size, page.total_count)}


def meta_v3(number: int, size: int, total: int) -> dict[str, Any]:
    """What an answer says of its page."""
    return {"page": {"number": number, "size": size, "total": total}}
