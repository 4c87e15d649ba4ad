"""Work in simulated time: requests take as long as they are said to, and the clock is turned to whatever happens next.

A month of calls under a provider's limits is over in minutes, and every moment of it is what it would have been:

    timeline = Timeline(clock)
    work_through(engine, timeline, TurnedSenders(timeline, latency, at_once=16))
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import count

from billhook.clock import TurnedClock
from billhook.engine.engine import Engine
from billhook.engine.running import LANDING_SECONDS
from billhook.engine.sending import Landed, Landing
from billhook.engine.worker import Worker

Latency = Callable[[], timedelta]
"""How long the next call takes, from leaving to coming back."""
SHORTEST_TURN = timedelta(milliseconds=1)


class Timeline:
    """What happens when, on a clock that is turned from one moment to the next."""

    def __init__(self, clock: TurnedClock) -> None:
        self._clock = clock
        self._to_come: list[tuple[datetime, int, Callable[[], None]]] = []
        self._numbers = count()

    @property
    def now(self) -> datetime:
        """The time to which it was turned."""
        return self._clock.now()

    @property
    def next_at(self) -> datetime | None:
        """When something happens next."""
        return self._to_come[0][0] if self._to_come else None

    def after(self, wait: timedelta, act: Callable[[], None]) -> None:
        """Let it happen when so much time has passed."""
        heapq.heappush(self._to_come, (self.now + wait, next(self._numbers), act))

    def turn_to(self, until: datetime) -> None:
        """Let everything happen until then, each thing at its own time."""
        while self._to_come and self._to_come[0][0] <= until:
            at, _, act = heapq.heappop(self._to_come)
            self._clock.advance(max(at - self.now, timedelta()))
            act()
        self._clock.advance(max(until - self.now, timedelta()))


class TurnedSenders:
    """Sends on a timeline: a request arrives when half its time is over, and its answer when all of it is. ``at_once``: so many at a time;
    others wait for their turn, as they do for a thread.
    """

    def __init__(self, timeline: Timeline, latency: Latency, at_once: int) -> None:
        self._timeline = timeline
        self._latency = latency
        self._free = at_once
        self._waiting: deque[Callable[[], Landing]] = deque()
        self._landed: list[Landing] = []

    def submit(self, task: Callable[[], Landing]) -> None:
        """Send it, as soon as there is a place."""
        self._waiting.append(task)
        self._begin()

    def landed(self, timeout_seconds: float | None) -> list[Landing]:
        """What has landed; turns the clock by up to that long for something."""
        until = self._timeline.now + timedelta(seconds=timeout_seconds or 0)
        while not self._landed and self._timeline.now < until:
            self._timeline.turn_to(min(self._timeline.next_at or until, until))
        landed, self._landed = self._landed, []
        return landed

    def close(self) -> None:
        """Nothing is open."""

    def _begin(self) -> None:
        while self._free and self._waiting:
            self._free -= 1
            task, takes = self._waiting.popleft(), self._latency()
            self._timeline.after(takes / 2, self._arriving(task, self._timeline.now, takes / 2))

    def _arriving(self, task: Callable[[], Landing], left_at: datetime, way_back: timedelta) -> Callable[[], None]:
        def arrive() -> None:
            landing = task()
            self._timeline.after(way_back, lambda: self._land(landing, left_at))

        return arrive

    def _land(self, landing: Landing, left_at: datetime) -> None:
        # What sent it saw the simulator answer at once; on this timeline the ways there and back took their time.
        if isinstance(landing, Landed) and landing.trip is not None:
            trip = landing.trip._replace(left_at=left_at, ended_at=self._timeline.now)
            landing = replace(landing, trip=trip)
        self._landed.append(landing)
        self._free += 1
        self._begin()


def work_through(engine: Engine, timeline: Timeline, senders: TurnedSenders) -> None:
    """Work as a worker does, until nothing is due and nothing is under way."""
    with _worker_of(engine, senders) as worker:
        while True:
            if worker.tick(LANDING_SECONDS) or worker.in_flight:
                continue
            due = engine.next_due(worker.owner)
            if due is None:
                return
            timeline.turn_to(max(due, timeline.now + SHORTEST_TURN))


@contextmanager
def _worker_of(engine: Engine, senders: TurnedSenders) -> Iterator[Worker]:
    worker = engine.new_worker(senders)
    with engine.database.liveness.claim(worker.owner):
        yield worker
        worker.give_back()
