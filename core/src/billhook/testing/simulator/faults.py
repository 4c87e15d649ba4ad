"""The ways in which a provider lets its clients down, as one table: `FAULTS`, by kind."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from email.utils import format_datetime
from types import MappingProxyType
from typing import Any, Protocol

from billhook.errors import InvalidInput
from billhook.testing.simulator.messages import ConnectionRefused, Dropped, Event, SimReply, SimRequest

Queue = list[Event]


class Faulty(Protocol):
    """What a fault may do to the simulator that it strikes."""

    def key_of(self, request: SimRequest) -> str | None: ...
    def has_kept(self, key: str) -> bool: ...
    def keep(self, request: SimRequest, reply: SimReply) -> None: ...
    def hold_key(self, key: str, until: datetime) -> None: ...
    def delay(self, request: SimRequest, due_at: datetime) -> None: ...
    def short_page(self, request: SimRequest, reply: SimReply, missing: int) -> SimReply: ...
    def proceed_with_skew(self, request: SimRequest, skew: timedelta) -> SimReply: ...


@dataclass(frozen=True, slots=True)
class Strike:
    """One call that a fault hits: `proceed` does what the provider would have done without it."""

    request: SimRequest
    now: datetime
    provider: Faulty
    proceed: Callable[[], SimReply]


@dataclass(frozen=True, slots=True)
class FaultKind:
    """A kind of fault: what it promises, and what it does to a call, to the queue of webhooks, or to both."""

    promise: str
    on_call: Callable[..., SimReply] | None = None
    on_delivery: Callable[..., Queue] | None = None


@dataclass(slots=True)
class ArmedFault:
    """A fault waiting for its call. `struck` counts how often it hit."""

    kind: str
    params: Mapping[str, Any]
    at_call: int = 1
    times: int | None = 1
    matching: str | None = None
    struck: int = 0
    _seen: dict[str, int] = field(default_factory=dict)

    def hits(self, door: str, lines: list[str]) -> bool:
        """Whether it hits this call (or delivery); counts it as seen. `door` is `call` or `delivery`."""
        if not any(self.matching is None or self.matching in line for line in lines):
            return False
        position = self._seen[door] = self._seen.get(door, 0) + 1
        hit = position >= self.at_call and (self.times is None or position < self.at_call + self.times)
        self.struck += hit
        return hit


def arm(
    kind: str, *, at_call: int | None, matching: str | None, times: int | None, params: dict[str, Any]
) -> ArmedFault:
    """A fault of that kind, ready to strike. InvalidInput names the kinds, or the parameters, that there are."""
    if kind not in FAULTS:
        raise InvalidInput("fault_unknown", f"There is no fault {kind!r}. Choose one of: {', '.join(FAULTS)}.", "/kind")
    doors = (FAULTS[kind].on_call, FAULTS[kind].on_delivery)
    allowed = {name for door in doors if door for name in list(inspect.signature(door).parameters)[1:]}
    unknown = sorted(set(params) - allowed)
    if unknown:
        known = ", ".join(sorted(allowed)) or "none"
        raise InvalidInput(
            "fault_parameter_unknown", f"Fault {kind!r} takes {known}, not {', '.join(unknown)}.", "/params"
        )
    return ArmedFault(kind, MappingProxyType(params), 1 if at_call is None else at_call, times, matching)


# -- nothing happened at the provider ------------------------------------------------------------------------------


def _refuse(strike: Strike) -> SimReply:
    raise ConnectionRefused(f"{strike.request.line}: connection refused")


def _throttle(strike: Strike, after_seconds: int = 1) -> SimReply:
    headers = (("Retry-After", str(after_seconds)),)
    return SimReply.error(429, "rate_limited", f"Too many requests. Try again in {after_seconds} s.", headers)


def _5xx_before(strike: Strike, status: int = 503) -> SimReply:
    return SimReply.error(status, "unavailable", "The service is not available. Nothing was done.")


def _token_expired(strike: Strike) -> SimReply:
    return SimReply.error(401, "token_expired", "The access token has expired. Refresh it and send again.")


# -- it was applied, and the client can't tell ---------------------------------------------------------------------


def _5xx_after_commit(strike: Strike, status: int = 500) -> SimReply:
    strike.proceed()
    return SimReply.error(status, "internal_error", "Something went wrong on our side.")


def _stored_500(strike: Strike, applied: bool = False) -> SimReply:
    key = strike.provider.key_of(strike.request)
    if key is not None and strike.provider.has_kept(key):
        return strike.proceed()
    if applied:
        strike.proceed()
    reply = SimReply.error(500, "internal_error", "Something went wrong on our side.")
    strike.provider.keep(strike.request, reply)
    return reply


def _lost_response(strike: Strike) -> SimReply:
    strike.proceed()
    raise Dropped(f"{strike.request.line}: connection closed after the request was applied")


def _slow(strike: Strike, seconds: float = 30.0) -> SimReply:
    reply = strike.proceed()
    key = strike.provider.key_of(strike.request)
    if key is not None:
        strike.provider.hold_key(key, strike.now + timedelta(seconds=seconds))
    return replace(reply, after_seconds=reply.after_seconds + seconds)


def _late(strike: Strike, seconds: float = 60.0) -> SimReply:
    strike.provider.delay(strike.request, strike.now + timedelta(seconds=seconds))
    raise Dropped(f"{strike.request.line}: connection closed while the request was on its way")


def _garbage(strike: Strike, body: bytes = b"<html><body>It works!</body></html>") -> SimReply:
    return replace(strike.proceed(), body=body)


def _truncated(strike: Strike) -> SimReply:
    reply = strike.proceed()
    return replace(reply, body=reply.body[: len(reply.body) // 2])


def _partial_page(strike: Strike, missing: int = 1) -> SimReply:
    return strike.provider.short_page(strike.request, strike.proceed(), missing)


def _wrong_date(strike: Strike, seconds: int = 3600) -> SimReply:
    skew = timedelta(seconds=seconds)
    reply = strike.provider.proceed_with_skew(strike.request, skew)
    return replace(reply, headers=(*reply.headers, ("Date", format_datetime(strike.now + skew, usegmt=True))))


# -- webhooks ------------------------------------------------------------------------------------------------------


def _duplicated(queue: Queue) -> Queue:
    return [*queue, *queue]


def _reordered(queue: Queue) -> Queue:
    return queue[::-1]


def _skewed(queue: Queue, seconds: int = 3600) -> Queue:
    return [replace(event, skew=timedelta(seconds=seconds)) for event in queue]


FAULTS: Mapping[str, FaultKind] = MappingProxyType(
    {
        "refuse": FaultKind("There is no connection; nothing happened.", _refuse),
        "throttle": FaultKind("429 with Retry-After (`after_seconds`); nothing happened.", _throttle),
        "5xx_before": FaultKind("A 5xx (`status`) before anything was done.", _5xx_before),
        "5xx_after_commit": FaultKind("Applied, then answered with a 5xx (`status`).", _5xx_after_commit),
        "stored_500": FaultKind("A 500 that is kept under the key and replayed (`applied` or not).", _stored_500),
        "lost_response": FaultKind("Applied, then the connection closed without an answer.", _lost_response),
        "slow": FaultKind("Applied, answered `seconds` later; until then the key is in flight.", _slow),
        "late": FaultKind("The client sees a drop at once; applied `seconds` later by the clock.", _late),
        "garbage": FaultKind("Applied, but the `body` is no JSON.", _garbage),
        "truncated": FaultKind("Applied, but the body is cut in half.", _truncated),
        "token_expired": FaultKind("401; nothing happened.", _token_expired),
        "partial_page": FaultKind(
            "A list without its last items (`missing`), which says that it has more.", _partial_page
        ),
        "duplicate_delivery": FaultKind("Every waiting webhook is delivered twice.", on_delivery=_duplicated),
        "reordered_delivery": FaultKind("The waiting webhooks are delivered newest first.", on_delivery=_reordered),
        "clock_skew": FaultKind("The Date header and webhook times are off by `seconds`.", _wrong_date, _skewed),
    }
)
