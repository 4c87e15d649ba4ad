"""Which invoice is looked at when: each at most once at a time, as early as anybody asked for."""

from __future__ import annotations

import heapq
import threading
from collections.abc import Callable

FIRST_WAIT_SECONDS = 1.0
LONGEST_WAIT_SECONDS = 60.0


class Agenda:
    """Ids with the time at which each is due, in seconds of the given clock. Safe between threads."""

    def __init__(self, now_seconds: Callable[[], float]) -> None:
        self._now_seconds = now_seconds
        self._changed = threading.Condition()
        self._due_seconds: dict[str, float] = {}
        self._order_by_seconds: list[tuple[float, str]] = []
        self._under_way: set[str] = set()
        self._tries: dict[str, int] = {}
        self._paused_until_seconds = now_seconds()
        self._closed = False

    def add(self, id: str, after_seconds: float = 0.0) -> None:
        """Have it looked at after that time, or earlier where that was asked for. One that is under way comes again."""
        with self._changed:
            at = self._now_seconds() + after_seconds
            if id not in self._due_seconds or at < self._due_seconds[id]:
                self._due_seconds[id] = at
                heapq.heappush(self._order_by_seconds, (at, id))
                self._changed.notify()

    def add_again(self, id: str) -> None:
        """Have it looked at again after a failure: later each time, until ``succeeded``."""
        with self._changed:
            tries = self._tries[id] = self._tries.get(id, 0) + 1
        self.add(id, min(FIRST_WAIT_SECONDS * 2 ** (tries - 1), LONGEST_WAIT_SECONDS))

    def pause(self, for_seconds: float) -> None:
        """Give nothing out for that time."""
        with self._changed:
            self._paused_until_seconds = max(self._paused_until_seconds, self._now_seconds() + for_seconds)

    @property
    def paused_seconds(self) -> float:
        """How long nothing is given out yet."""
        with self._changed:
            return max(self._paused_until_seconds - self._now_seconds(), 0)

    def succeeded(self, id: str) -> None:
        """Begin to wait anew at its next failure."""
        with self._changed:
            self._tries.pop(id, None)

    def tries(self, id: str) -> int:
        """How often it failed in a row."""
        with self._changed:
            return self._tries.get(id, 0)

    def take(self, longest_seconds: float) -> str | None:
        """The next that is due, now under way; None when none was within that time, or the agenda is closed."""
        until = self._now_seconds() + longest_seconds
        with self._changed:
            while not self._closed:
                id, wait_seconds = self._taken_or_wait_seconds()
                if id is not None:
                    return id
                left = until - self._now_seconds()
                if left <= 0:
                    return None
                self._changed.wait(min(left, wait_seconds))
            return None

    def put_back(self, id: str) -> None:
        """It is not under way any more."""
        with self._changed:
            self._under_way.discard(id)
            self._changed.notify()

    @property
    def is_idle(self) -> bool:
        """Nothing is due now, and nothing is under way."""
        with self._changed:
            return not self._under_way and all(at > self._now_seconds() for at in self._due_seconds.values())

    def close(self) -> None:
        """Give nothing out any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _taken_or_wait_seconds(self) -> tuple[str | None, float]:
        """What is due and not under way, taken; or how long until the earliest is."""
        if (paused := self._paused_until_seconds - self._now_seconds()) > 0:
            return None, paused
        waiting = []
        try:
            while self._order_by_seconds:
                at, id = self._order_by_seconds[0]
                if self._due_seconds.get(id) != at:
                    heapq.heappop(self._order_by_seconds)
                elif at > self._now_seconds():
                    return None, at - self._now_seconds()
                elif id in self._under_way:
                    waiting.append(heapq.heappop(self._order_by_seconds))
                else:
                    heapq.heappop(self._order_by_seconds)
                    del self._due_seconds[id]
                    self._under_way.add(id)
                    return id, 0
            return None, LONGEST_WAIT_SECONDS
        finally:
            for entry in waiting:
                heapq.heappush(self._order_by_seconds, entry)
