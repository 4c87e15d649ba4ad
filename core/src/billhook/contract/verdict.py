"""Classify before believing: what an answer says about whether the request was executed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TypeAlias

from billhook.contract.requests import Call, Reply, Request


@dataclass(frozen=True, slots=True)
class Answered:
    """The provider answered; the operation may read it. ``remaining`` tells what is left of named rate limits, where the answer says."""

    remaining: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Throttled:
    """Refused for going too fast; not executed. Wait ``after`` from now, or ``until``. ``limit`` names the declared limit, if known."""

    after: timedelta | None = None
    until: datetime | None = None
    limit: str | None = None


@dataclass(frozen=True, slots=True)
class Unauthorized:
    """The credential was refused; not executed."""

    reason: str = ""


@dataclass(frozen=True, slots=True)
class Busy:
    """Refused because something else holds it; not executed. Try again ``after``."""

    after: timedelta = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class NotExecuted:
    """The provider documents that it did nothing."""

    reason: str = ""


@dataclass(frozen=True, slots=True)
class OutcomeUnknown:
    """Nobody can say from this whether it was executed."""

    reason: str = ""


Verdict: TypeAlias = Answered | Throttled | Unauthorized | Busy | NotExecuted | OutcomeUnknown

UNKNOWN_STATUSES = frozenset({408, 409, 425})


def classify_by_status(request: Request | Call, reply: Reply) -> Verdict:
    """The default: 429 throttled, 401 unauthorized; 5xx, 408, 409, 425 and an unreadable 2xx are unknown; the rest is an answer."""
    if reply.status == 429:
        return Throttled(after=retry_after(reply), until=retry_until(reply))
    if reply.status == 401:
        return Unauthorized("the provider answered 401")
    if reply.status >= 500 or reply.status in UNKNOWN_STATUSES:
        return OutcomeUnknown(f"the provider answered {reply.status}")
    if 200 <= reply.status < 300 and not is_readable(reply):
        return OutcomeUnknown(f"the provider answered {reply.status} with a body that can't be read")
    return Answered()


def retry_after(reply: Reply) -> timedelta | None:
    """The Retry-After header in its form of whole seconds."""
    value = (reply.header("retry-after") or "").strip()
    return timedelta(seconds=int(value)) if value.isascii() and value.isdigit() and len(value) < 10 else None


def retry_until(reply: Reply) -> datetime | None:
    """The Retry-After header in its form of a date, which is always of Greenwich."""
    value = (reply.header("retry-after") or "").strip()
    try:
        return parsedate_to_datetime(value).replace(tzinfo=UTC) if value.endswith("GMT") else None
    except (ValueError, OverflowError):
        return None


def is_readable(reply: Reply) -> bool:
    """Whether a body that says it is JSON is JSON."""
    if "json" not in (reply.header("content-type") or "") or not reply.body:
        return True
    try:
        json.loads(reply.body)
    except (ValueError, RecursionError):
        return False
    return True
