"""What GoCardless refuses, and what a refusal means for the request that it answers.

[sdk: errors.py] An error is `{"error": {"type", "code", "message", "errors": [{"reason" or "field", "message", "links"}]}}`; its type
is gocardless, invalid_api_usage, invalid_state or validation_failed.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from billhook.contract import (
    Answered,
    OutcomeUnknown,
    Rejected,
    Reply,
    Throttled,
    Unauthorized,
    ValidationIssue,
    Verdict,
)

REQUESTS_LIMIT = "requests"

# [sdk: errors.py] These say what is wrong with the request itself: it was understood, judged, and not executed.
_JUDGED = frozenset({"invalid_api_usage", "invalid_state", "validation_failed"})
_DEAD_TOKEN = frozenset({"access_token_not_found", "access_token_not_active", "access_token_revoked"})
_NEXT_WINDOW = timedelta(minutes=1)


def verdict_of(reply: Reply) -> Verdict | None:
    """What GoCardless documents beyond HTTP. None: as the status alone says."""
    if 200 <= reply.status < 300:
        return Answered(_remaining(reply)) if body_of(reply) else OutcomeUnknown("the answer is no JSON object")
    if reply.status == 429:
        return _throttled(reply)
    if _DEAD_TOKEN & reasons_of(reply):
        return Unauthorized("GoCardless no longer accepts the access token")
    # A 409 is definite here: the key's resource exists, or the present state forbids it. HTTP alone would leave it unknown.
    if reply.status == 409 and _error(reply).get("type") in _JUDGED:
        return Answered(_remaining(reply))
    return None


def conflicting_id(reply: Reply) -> str | None:
    """The id of what an earlier request with the same key made, when that is why this one was refused.

    [sdk: IdempotentCreationConflictError] reason idempotent_creation_conflict, links.conflicting_resource_id.
    """
    links = (
        error.get("links") or {} for error in _errors(reply) if error.get("reason") == "idempotent_creation_conflict"
    )
    return next((str(each["conflicting_resource_id"]) for each in links if each.get("conflicting_resource_id")), None)


def refused(reply: Reply) -> Rejected:
    """Everything that GoCardless says against the request, each with its own reason as the code."""
    error = _error(reply)
    whole = str(error.get("message") or f"GoCardless answered {reply.status}.")
    issues = tuple(_issue(each, whole) for each in _errors(reply))
    return Rejected(issues or (ValidationIssue.told(str(error.get("type") or "refused"), whole),))


def reasons_of(reply: Reply) -> frozenset[str]:
    """The reasons that an error names."""
    return frozenset(str(error["reason"]) for error in _errors(reply) if error.get("reason"))


def is_success(reply: Reply) -> bool:
    """Whether it was accepted."""
    return 200 <= reply.status < 300


def body_of(reply: Reply) -> dict[str, Any]:
    """The body when it is a JSON object, else nothing."""
    try:
        body = reply.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _issue(error: Mapping[str, Any], whole: str) -> ValidationIssue:
    field = error.get("field")
    message = str(error.get("message") or whole)
    told = f"GoCardless refuses {field}: {message}" if field else f"GoCardless refuses: {message}"
    code, words = str(error.get("reason") or "validation_failed"), f"{told} ({whole})" if message != whole else told
    return ValidationIssue.told(code, words)


def _error(reply: Reply) -> dict[str, Any]:
    error = body_of(reply).get("error")
    return error if isinstance(error, dict) else {}


def _errors(reply: Reply) -> list[dict[str, Any]]:
    return [error for error in _error(reply).get("errors") or () if isinstance(error, dict)]


def _remaining(reply: Reply) -> dict[str, int]:
    # [sdk: rate_limit.py] ratelimit-limit, ratelimit-remaining, ratelimit-reset.
    left = reply.header("ratelimit-remaining") or ""
    return {REQUESTS_LIMIT: int(left)} if left.isdigit() else {}


def _throttled(reply: Reply) -> Throttled:
    seconds = reply.header("retry-after") or ""
    if seconds.isdigit():
        return Throttled(after=timedelta(seconds=int(seconds)), limit=REQUESTS_LIMIT)
    until = _reset_at(reply.header("ratelimit-reset") or "")
    if until is not None:
        return Throttled(until=until, limit=REQUESTS_LIMIT)
    return Throttled(after=_NEXT_WINDOW, limit=REQUESTS_LIMIT)


def _reset_at(value: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
