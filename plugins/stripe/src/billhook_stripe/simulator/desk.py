"""What the desks share: how a request is put to them, how they refuse, and how lists are answered."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from billhook.testing.simulator import SimReply

Body = dict[str, Any]

_PAGE, _LONGEST_PAGE = 10, 100


class Refused(Exception):
    """Stripe's error object (docs.stripe.com/api/errors)."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        type: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
        **more: Any,
    ) -> None:
        super().__init__(message)
        self.status = status
        told = {"type": type, "code": code, "message": message, "param": param, **more}
        self.error = {name: value for name, value in told.items() if value is not None}

    def reply(self) -> SimReply:
        return SimReply.of(self.status, {"error": self.error})


def missing(kind: str, id: str) -> Refused:
    """There is no such object."""
    return Refused(404, f"No such {kind}: '{id}'", code="resource_missing", param="id")


@dataclass(frozen=True, slots=True)
class Ask:
    """A request that was let in: its parameters, the time, and the parts of its path."""

    params: Body
    now: datetime
    path: Mapping[str, str]

    @property
    def at_seconds(self) -> int:
        """The time as Stripe writes it."""
        return int(self.now.timestamp())

    @property
    def expand(self) -> Sequence[str]:
        """What is to be shown whole."""
        wanted: Sequence[str] = self.params.get("expand", ())
        return wanted


Handler = Callable[[Ask], Body]


@dataclass(frozen=True, slots=True)
class Route:
    """One endpoint. `schema` names the vendor's description of its parameters, where there is one."""

    method: str
    path: str
    do: Handler
    schema: str | None = None

    @property
    def name(self) -> str:
        """The endpoint, as rate limits count it."""
        return f"{self.method} {self.path}"


def page(ask: Ask, found: Sequence[Body], url: str) -> Body:
    """A page of what was found, newest first (docs.stripe.com/api/pagination)."""
    limit = int(ask.params.get("limit", _PAGE))
    if not 1 <= limit <= _LONGEST_PAGE:
        raise Refused(400, f"limit must be between 1 and {_LONGEST_PAGE}.", param="limit")
    rest = after(found, ask.params.get("starting_after"))
    return {"object": "list", "url": url, "data": list(rest[:limit]), "has_more": len(rest) > limit}


def after(found: Sequence[Body], id: str | None) -> Sequence[Body]:
    """What comes after the object of that id."""
    if id is None:
        return found
    places = [place for place, each in enumerate(found) if each["id"] == id]
    if not places:
        raise Refused(400, f"No such object: '{id}'", code="resource_missing", param="starting_after")
    return found[places[0] + 1 :]


def made_since(ask: Ask, found: Sequence[Body]) -> list[Body]:
    """What was made at or after `created[gte]`."""
    created = ask.params.get("created") or {}
    since = int(created.get("gte", 0)) if isinstance(created, dict) else 0
    return [each for each in found if each["created"] >= since]


def merged(old: Mapping[str, str], new: Any) -> dict[str, str]:
    """Metadata after a change: named keys are set, keys set to nothing are taken away (docs.stripe.com/api/metadata)."""
    if not isinstance(new, dict):
        return {} if new == "" else dict(old)
    both = {**old, **new}
    kept = {name: value for name, value in both.items() if value != ""}
    if len(kept) > 50 or any(len(name) > 40 or len(value) > 500 for name, value in kept.items()):
        raise Refused(400, "Metadata takes 50 keys of 40 characters, with values of 500.", param="metadata")
    return kept
