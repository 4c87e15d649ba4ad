"""Limits: developer.intuit.com, "API call limits and throttles". What goes beyond is answered with 429 and error 003001, without Retry-After."""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType

_SECOND, _MINUTE = timedelta(seconds=1), timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class _Limit:
    calls: int
    per: timedelta
    is_for_batches: bool = False
    is_of_each_app: bool = False


LIMITS: Mapping[str, _Limit] = MappingProxyType(
    {
        "realm": _Limit(500, _MINUTE),
        "realm batch": _Limit(120, _MINUTE, is_for_batches=True),
        "second": _Limit(10, _SECOND, is_of_each_app=True),
        "batch": _Limit(40, _MINUTE, is_for_batches=True, is_of_each_app=True),
    }
)


class Limits:
    """Counts the calls of the one company that is simulated, by each developer's app that calls it."""

    def __init__(self) -> None:
        self._calls: defaultdict[tuple[str, str], deque[datetime]] = defaultdict(deque)
        self._lock = threading.Lock()
        self.refused = 0

    def take(self, now: datetime, *, is_batch: bool, app: str = "") -> str | None:
        """Count a call of that app, or say which limit it would go beyond."""
        names = [name for name, limit in LIMITS.items() if is_batch or not limit.is_for_batches]
        with self._lock:
            full = next((name for name in names if self._is_full(name, app, now)), None)
            if full is not None:
                self.refused += 1
                return full
            for name in names:
                self._made(name, app).append(now)
        return None

    def _is_full(self, name: str, app: str, now: datetime) -> bool:
        limit, calls = LIMITS[name], self._made(name, app)
        while calls and calls[0] <= now - limit.per:
            calls.popleft()
        return len(calls) >= limit.calls

    def _made(self, name: str, app: str) -> deque[datetime]:
        return self._calls[name, app if LIMITS[name].is_of_each_app else ""]
