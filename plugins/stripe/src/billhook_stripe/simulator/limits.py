"""Rate limits by the second: for the account, and for each endpoint (docs.stripe.com/rate-limits)."""

from __future__ import annotations

import threading
from collections import deque
from datetime import datetime, timedelta

from billhook_stripe.simulator.desk import Refused

_SECOND = timedelta(seconds=1)


class Limits:
    """Counts the calls of the last second. What is refused counts for nothing."""

    def __init__(self, account_calls: int | None, endpoint_calls: int | None) -> None:
        self._account_calls = account_calls
        self._endpoint_calls = endpoint_calls
        self._made: dict[str, deque[datetime]] = {}
        self._lock = threading.Lock()

    def refuse(self, endpoint: str, now: datetime) -> Refused | None:
        """Why a call is too many, or None once it is counted."""
        with self._lock:
            if not self._has_room("", self._account_calls, now):
                return _too_many("global-rate")
            if not self._has_room(endpoint, self._endpoint_calls, now):
                return _too_many("endpoint-rate")
            for name in ("", endpoint):
                self._made[name].append(now)
        return None

    def _has_room(self, name: str, most: int | None, now: datetime) -> bool:
        made = self._made.setdefault(name, deque())
        while made and made[0] <= now - _SECOND:
            made.popleft()
        return most is None or len(made) < most


def _too_many(reason: str) -> Refused:
    return Refused(429, "Request rate limit exceeded.", code="rate_limit", reason=reason)
