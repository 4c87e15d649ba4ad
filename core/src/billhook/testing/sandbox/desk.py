"""What the sandbox's desks share: how a request is put to them, what they go by, and how lists and batches are answered."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from billhook.errors import InvalidInput
from billhook.testing.sandbox.fields import Item
from billhook.testing.sandbox.ledger import Filter
from billhook.testing.simulator.decisions import TurnedDown
from billhook.testing.simulator.messages import SimReply, SimRequest

_PAGE = 100
_TAX_RATES = MappingProxyType(
    {"standard": Decimal("0.20"), "reduced": Decimal("0.05"), "zero": Decimal(0), "exempt": Decimal(0)}
)


@dataclass(frozen=True, slots=True)
class RateLimit:
    """At most `calls` in each window, for each token."""

    calls: int
    window: timedelta = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class SandboxRules:
    """How this provider behaves where providers differ.

    `settle_after` is how long pending documents and processing payments take. `shuffle` lets batches be answered
    in an order of their own. `unique_references` refuses a second object with a reference of ours.
    """

    tokens: tuple[str, ...] = ("sandbox-token",)
    unique_numbers: bool = True
    unique_references: bool = False
    settle_after: timedelta = timedelta(seconds=60)
    key_window: timedelta = timedelta(hours=24)
    rate_limit: RateLimit | None = None
    shuffle: bool = False
    seed: int = 0
    tax_rates: Mapping[str, Decimal] = field(default_factory=lambda: _TAX_RATES)
    webhook_secret: str = "sandbox-webhook-secret"


@dataclass(frozen=True, slots=True)
class Ask:
    """A request that was let in: its JSON body, the time, and the parts of its path."""

    request: SimRequest
    now: datetime
    body: Any
    path: Mapping[str, str]

    @property
    def item(self) -> Item:
        """The body, which must be one object."""
        if not isinstance(self.body, dict):
            raise InvalidInput("body_invalid", "Send one JSON object.")
        return self.body


Handler = Callable[[Ask], SimReply]
Route = tuple[str, str, Handler]


def answer_page(
    ask: Ask, columns: Sequence[str], find: Callable[[Filter], Sequence[Any]], show: Callable[[Any], Any]
) -> SimReply:
    """A page of a list: `?reference=a,b` and the like, `limit`, and `cursor` to go on where a page ended."""
    limit = _whole_number(ask.request, "limit", _PAGE)
    cursor = _whole_number(ask.request, "cursor", 0)
    where = {column: value.split(",") for column in columns if (value := ask.request.param(column)) is not None}
    found = find(Filter(where, cursor, limit + 1))
    shown = found[:limit]
    last = int(shown[-1].id.rpartition("_")[2]) if shown else cursor
    more = len(found) > limit
    page = {"items": [show(each) for each in shown], "has_more": more, "next_cursor": str(last) if more else None}
    return SimReply.of(200, page)


def answer_batch(
    items: Sequence[Item], do: Callable[[Item], dict[str, Any] | None], shuffler: random.Random | None
) -> SimReply:
    """Each item done by itself; what is refused says why. An item whose `do` gives None is left out."""
    answers = [answer for answer in (_answer_item(item, do) for item in items) if answer is not None]
    if shuffler is not None:
        shuffler.shuffle(answers)
    return SimReply.of(200, {"items": answers})


def _answer_item(item: Item, do: Callable[[Item], dict[str, Any] | None]) -> dict[str, Any] | None:
    try:
        return do(item)
    except InvalidInput as refused:
        errors = [{"code": each.code, "message": each.message, "path": each.path} for each in refused.problems]
    except TurnedDown as refused:
        errors = [{"code": "refused", "message": str(refused), "path": ""}]
    return {"reference": item.get("reference"), "ok": False, "id": item.get("id"), "errors": errors}


def _whole_number(request: SimRequest, name: str, default: int) -> int:
    value = request.param(name)
    if value is None:
        return default
    if not value.isdecimal():
        raise InvalidInput(f"{name}_invalid", f"{name} must be a whole number, not {value!r}.", f"/{name}")
    return int(value)
