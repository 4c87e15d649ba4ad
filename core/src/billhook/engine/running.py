"""A worker in a thread of its own, with a graceful end."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Self

from billhook.engine.worker import Worker

if TYPE_CHECKING:
    from billhook.engine.engine import Engine

LANDING_SECONDS = 0.05
"""How long a round waits for an answer while requests are in flight."""
SHORTEST_SLEEP_SECONDS = 0.001
LONGEST_SLEEP_SECONDS = 1.0


class RunningWorker:
    """A worker thread. ``stop`` lets what is in flight land, gives the apps back, and returns."""

    def __init__(self, engine: Engine, new_worker: Callable[[], Worker]) -> None:
        self._engine = engine
        self._new_worker = new_worker
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="billhook-worker", daemon=True)
        self._failure: BaseException | None = None

    def start(self) -> Self:
        """Begin to work."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Finish what is in flight and stop. Raises what the worker died of, if it did."""
        self._stopping.set()
        self._engine.wake()
        self._thread.join()
        if self._failure is not None:
            raise self._failure

    @property
    def is_alive(self) -> bool:
        """Whether it is at work."""
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
        # Only the flag: a handler may run while this very thread holds a lock. The worker looks within a second.
        self._stopping.set()

    def _run(self) -> None:
        context = self._engine.context
        worker = self._new_worker()
        try:
            with context.database.liveness.claim(worker.owner):
                self._work(worker)
        except BaseException as failure:  # noqa: BLE001 - raised again where somebody waits for the worker
            self._failure = failure

    def _work(self, worker: Worker) -> None:
        context = self._engine.context
        while not self._stopping.is_set():
            seen = context.wakeups.count
            if worker.tick(wait_seconds=LANDING_SECONDS):
                continue
            if not worker.in_flight:
                context.wakeups.wait(context.clock, seen, self._pause_seconds(worker.owner))
        while worker.in_flight:
            worker.drain(wait_seconds=LANDING_SECONDS)
        worker.close()

    def _pause_seconds(self, owner: str) -> float:
        due = self._engine.next_due(owner)
        if due is None:
            return LONGEST_SLEEP_SECONDS
        left_seconds = (due - self._engine.context.clock.now()).total_seconds()
        return min(max(left_seconds, SHORTEST_SLEEP_SECONDS), LONGEST_SLEEP_SECONDS)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()
