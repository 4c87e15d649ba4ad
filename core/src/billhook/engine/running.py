"""Rounds in a thread of their own, with a graceful end: a worker's, or a dispatcher's of notifications.

Where the database can't be used they begin anew once it can, under another owner: what the last ones had begun is found as after a crash.
"""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime
from types import FrameType, TracebackType
from typing import Protocol, Self

from billhook.engine.context import Context, Wakeups
from billhook.engine.telling import told
from billhook.engine.worker import Worker
from billhook.errors import StoreUnavailable

LANDING_SECONDS = 0.05
"""How long a round waits for an answer while requests are in flight."""
SHORTEST_SLEEP_SECONDS = 0.001
LONGEST_SLEEP_SECONDS = 1.0
FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 30.0
"""Between one try and the next while the database can't be used."""


class Rounds(Protocol):
    """Whoever works round by round, for an owner that is claimed to be alive meanwhile."""

    owner: str

    @property
    def in_flight(self) -> int: ...
    def tick(self, wait_seconds: float | None = None) -> bool: ...
    def drain(self, wait_seconds: float) -> None: ...
    def next_due(self) -> datetime | None: ...
    def give_back(self) -> None: ...
    def close(self) -> None: ...


class Running:
    """A thread that works round by round. ``stop`` lets what is in flight land, gives back what is held, and returns."""

    def __init__(self, context: Context, wakeups: Wakeups, new_rounds: Callable[[], Rounds], name: str) -> None:
        self._context = context
        self._wakeups = wakeups
        self._new_rounds = new_rounds
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._failure: BaseException | None = None
        self._pauses_seconds = growing_pauses_seconds()

    def start(self) -> Self:
        """Begin to work. Raises StoreError where the database is closed, or was opened before this process was forked."""
        self._context.database.check_open()
        self._thread.start()
        return self

    def stop(self) -> None:
        """Finish what is in flight and stop. Raises what it died of, if it did; or StoreUnavailable, where the database can't take the end."""
        self._stopping.set()
        self._wakeups.wake()
        self._thread.join()
        if self._failure is not None:
            raise self._failure

    @property
    def is_alive(self) -> bool:
        """Whether it is at work, or waits for the database."""
        return self._thread.is_alive()

    def stop_on_signals(self, *signals: signal.Signals) -> None:
        """Stop gracefully on these (SIGTERM and SIGINT when none is named). To be called in the main thread."""
        for number in signals or (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)

    def wait(self) -> None:
        """Until it was told to stop."""
        while not self._stopping.wait(LONGEST_SLEEP_SECONDS) and self.is_alive:
            continue
        self.stop()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        # Only the flag: a handler may run while this very thread holds a lock. The rounds look within a second.
        self._stopping.set()

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                self._live()
        except BaseException as failure:  # noqa: BLE001 - raised again where somebody waits for it
            self._failure = failure
            fields = {"thread": self._thread.name, "reason": told(failure)}
            self._context.telemetry.log(logging.ERROR, "A thread of the engine died.", fields)

    def _live(self) -> None:
        """Work until the end, or until the database can't be used; then wait a while."""
        try:
            with closing(self._new_rounds()) as rounds, self._context.database.liveness.claim(rounds.owner):
                self._work(rounds)
        except StoreUnavailable as unavailable:
            if self._stopping.is_set():
                raise
            pause = next(self._pauses_seconds)
            fields = {"thread": self._thread.name, "reason": told(unavailable), "pause_seconds": pause}
            telemetry = self._context.telemetry
            telemetry.log(logging.ERROR, "The database can't be used. A thread begins anew after a pause.", fields)
            self._stopping.wait(pause)

    def _work(self, rounds: Rounds) -> None:
        while not self._stopping.is_set():
            seen = self._wakeups.count
            did_anything = rounds.tick(wait_seconds=LANDING_SECONDS)
            self._pauses_seconds = growing_pauses_seconds()
            if not did_anything and not rounds.in_flight:
                pause = pause_seconds(rounds.next_due(), self._context.clock.now())
                self._wakeups.wait(self._context.clock, seen, pause)
        while rounds.in_flight:
            rounds.drain(wait_seconds=LANDING_SECONDS)
        rounds.give_back()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


class RunningWorker(Running):
    """A worker thread."""

    def __init__(self, context: Context, new_worker: Callable[[], Worker]) -> None:
        super().__init__(context, context.wakeups, new_worker, "billhook-worker")


def growing_pauses_seconds() -> Iterator[float]:
    """Each twice the last one, up to the longest."""
    pause_seconds = FIRST_PAUSE_SECONDS
    while True:
        yield pause_seconds
        pause_seconds = min(2 * pause_seconds, LONGEST_PAUSE_SECONDS)


def pause_seconds(due: datetime | None, now: datetime) -> float:
    """How long to sleep where nobody wakes us, when something is due then."""
    if due is None:
        return LONGEST_SLEEP_SECONDS
    return min(max((due - now).total_seconds(), SHORTEST_SLEEP_SECONDS), LONGEST_SLEEP_SECONDS)
