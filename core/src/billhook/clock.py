"""The time, passed in rather than read: the engine, the simulators and the tests share one clock that can be turned."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol, runtime_checkable


@runtime_checkable
class Clock(Protocol):
    """What time it is, and how to wait for it."""

    def now(self) -> datetime:
        """The time of day, aware and in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that never run backwards. Only differences mean something."""
        ...

    def wait(self, condition: threading.Condition, timeout_seconds: float | None = None) -> bool:
        """Wait until `condition` is notified or the time is up; False when the time is up.

        The caller holds the condition, as for `threading.Condition.wait`, and looks again at what it waits for:
        it may be woken early. Without a timeout it waits for the notification alone.
        """
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        """The time of day, aware and in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds that never run backwards."""
        return time.monotonic()

    def wait(self, condition: threading.Condition, timeout_seconds: float | None = None) -> bool:
        """Wait until `condition` is notified or the time is up; False when the time is up."""
        return condition.wait(timeout_seconds)


class TurnedClock:
    """A clock that stands still until it is turned. Turning it wakes whoever waits on it. Safe between threads."""

    def __init__(self, start: datetime) -> None:
        if start.tzinfo is None:
            raise ValueError(f"A clock starts at an aware datetime, not at {start!r}. Add tzinfo=UTC.")
        self._start = start.astimezone(UTC)
        self._elapsed = timedelta()
        self._lock = threading.Lock()
        self._waiting: list[threading.Condition] = []

    def now(self) -> datetime:
        """The time to which the clock was turned."""
        with self._lock:
            return self._start + self._elapsed

    def monotonic(self) -> float:
        """Seconds by which the clock was turned since it was made."""
        with self._lock:
            return self._elapsed.total_seconds()

    def advance(self, by: timedelta) -> datetime:
        """Turn the clock forward, wake everybody who waits on it, and give the new time."""
        if by < timedelta():
            raise ValueError(f"A clock can't be turned back (by {by}). Turn it forward, or make another clock.")
        with self._lock:
            self._elapsed += by
            now, sleepers = self._start + self._elapsed, list(self._waiting)
        for condition in sleepers:
            with condition:
                condition.notify_all()
        return now

    def wait(self, condition: threading.Condition, timeout_seconds: float | None = None) -> bool:
        """Wait until `condition` is notified or the clock is turned far enough; False when the time is up."""
        # The caller holds the condition from here until it sleeps, so a turn in between can't be missed.
        with self._lock:
            began_seconds = self._elapsed.total_seconds()
            self._waiting.append(condition)
        try:
            if timeout_seconds is None or timeout_seconds > 0:
                condition.wait()
        finally:
            with self._lock:
                self._waiting.remove(condition)
        return timeout_seconds is None or self.monotonic() - began_seconds < timeout_seconds
