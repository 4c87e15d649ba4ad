"""How GoCardless answers: one thing, a page of a list, or a refusal with its type and reasons."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from billhook.testing.simulator.messages import SimReply, SimRequest
from billhook_gocardless.simulator.ledger import Ledger, Thing, Wanted

# [sdk: list_response.py] has the cursors; third-party summaries of the API reference have the rest: limit 1 to 500, 50 unless told; the newest first; meta.cursors.after is null on the last page.
_LIMITS = range(1, 501)
_USUAL_LIMIT = 50


@dataclass(frozen=True, slots=True)
class Ask:
    """A request that was let in: its JSON body, the time, and the parts of its path."""

    request: SimRequest
    now: datetime
    body: Any
    path: Mapping[str, str]


Handler = Callable[[Ask], SimReply]
Route = tuple[str, str, Handler]


class Refused(Exception):
    """GoCardless does not do it. [sdk: errors.py] `type` is invalid_api_usage, invalid_state or validation_failed."""

    def __init__(self, status: int, type: str, message: str, *errors: Mapping[str, Any]) -> None:
        super().__init__(message)
        self.status = status
        self.type = type
        self.errors = errors

    @property
    def reply(self) -> SimReply:
        """The refusal as an answer."""
        error = {
            "type": self.type,
            "code": self.status,
            "message": str(self),
            "documentation_url": f"https://developer.gocardless.com/api-reference#{self.type}",
            "request_id": "00000000-0000-4000-8000-000000000000",
            "errors": list(self.errors),
        }
        return SimReply.of(self.status, {"error": error})


def invalid_state(reason: str, message: str, status: int = 422, links: Mapping[str, str] | None = None) -> Refused:
    """The present state does not allow it. 422 is assumed: the clients tell this by its type alone."""
    error = {"reason": reason, "message": message, **({"links": links} if links else {})}
    return Refused(status, "invalid_state", message, error)


def key_used(id: str) -> Refused:
    """[vendor's page "Safely retrying API requests"] A used key is answered 409, with the id of what was made under it."""
    message = "A resource has already been created with this idempotency key"
    return invalid_state("idempotent_creation_conflict", message, 409, {"conflicting_resource_id": id})


def invalid_usage(status: int, reason: str, message: str) -> Refused:
    """The request is not of the form that the API takes."""
    return Refused(status, "invalid_api_usage", message, {"reason": reason, "message": message})


def not_found(what: str) -> Refused:
    """There is no such thing."""
    return invalid_usage(404, "resource_not_found", f"{what} was not found")


def shown(kind: str, thing: Thing, status: int = 200) -> SimReply:
    """One thing, wrapped in the name of its kind."""
    return SimReply.of(status, {kind: thing.body})


def existing(ledger: Ledger, kind: str, id: str) -> Thing:
    """That thing, or the refusal of an unknown id."""
    found = ledger.find(kind, id)
    if found is None:
        raise not_found(f"{kind}/{id}")
    return found


def page(ledger: Ledger, kind: str, request: SimRequest, where: Mapping[str, tuple[str, ...]]) -> SimReply:
    """A page of what these columns select, by the request's own bounds, cursor and limit."""
    limit = _limit(request)
    cursor = request.param("after")
    wanted = Wanted(
        where,
        since=_moment(request, "created_at[gte]"),
        until=_moment(request, "created_at[lte]"),
        before_seq=existing(ledger, kind, cursor).seq if cursor else None,
        limit=limit + 1,
    )
    found = ledger.newest(kind, wanted)
    listed = found[:limit]
    after = listed[-1].id if len(found) > limit else None
    meta = {"cursors": {"before": None, "after": after}, "limit": limit}
    return SimReply.of(200, {kind: [thing.body for thing in listed], "meta": meta})


def refuse_unknown_filters(request: SimRequest, known: frozenset[str]) -> None:
    """A filter that the list does not have is refused, as a misspelt one would silently list too much."""
    usual = {"after", "limit", "created_at[gte]", "created_at[lte]"}
    unknown = sorted({name for name, _ in request.query} - known - usual)
    if unknown:
        raise invalid_usage(400, "invalid_filters", f"{request.path} has no filter {', '.join(unknown)}")


def timestamp(moment: datetime) -> str:
    """[vendor's page "Webhooks for partners"] such as 2014-04-08T17:01:06.000Z."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


def _limit(request: SimRequest) -> int:
    text = request.param("limit") or str(_USUAL_LIMIT)
    if not text.isdigit() or int(text) not in _LIMITS:
        raise invalid_usage(400, "invalid_filters", f"limit must be from 1 to {_LIMITS[-1]}, not {text}")
    return int(text)


def _moment(request: SimRequest, name: str) -> datetime | None:
    text = request.param(name)
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise invalid_usage(400, "invalid_filters", f"{name} must be a date and time, not {text}") from None
