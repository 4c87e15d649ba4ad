"""Limits: developer.intuit.com, "API call limits and throttles". What goes beyond is answered with 429 and error 003001, without Retry-After."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping
from datetime import datetime, timedelta
from types import MappingProxyType

_MINUTE = timedelta(minutes=1)
LIMITS: Mapping[str, tuple[int, timedelta]] = MappingProxyType(
    {"realm": (500, _MINUTE), "second": (10, timedelta(seconds=1)), "batch": (40, _MINUTE)}
)


class Limits:
    """Counts the calls of the one company by the one developer's app that is simulated."""

    def __init__(self) -> None:
        self._calls: dict[str, deque[datetime]] = {name: deque() for name in LIMITS}
        self._lock = threading.Lock()
        self.refused = 0

    def take(self, now: datetime, *, is_batch: bool) -> str | None:
        """Count a call, or say which limit it would go beyond."""
        names = [name for name in LIMITS if is_batch or name != "batch"]
        with self._lock:
            full = next((name for name in names if self._is_full(name, now)), None)
            if full is not None:
                self.refused += 1
                return full
            for name in names:
                self._calls[name].append(now)
        return None

    def _is_full(self, name: str, now: datetime) -> bool:
        most, per = LIMITS[name]
        calls = self._calls[name]
        while calls and calls[0] <= now - per:
            calls.popleft()
        return len(calls) >= most
