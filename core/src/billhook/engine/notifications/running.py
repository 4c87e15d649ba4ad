"""A dispatcher in a thread of its own, with a graceful end."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import closing
from types import TracebackType
from typing import Self

from billhook.engine.context import Context
from billhook.engine.notifications.dispatcher import Dispatcher
from billhook.engine.running import LANDING_SECONDS, LONGEST_SLEEP_SECONDS, SHORTEST_SLEEP_SECONDS
from billhook.engine.telling import told


class RunningDispatcher:
    """A dispatcher's thread. ``stop`` lets what is in flight land, and returns."""

    def __init__(self, context: Context, new_dispatcher: Callable[[], Dispatcher]) -> None:
        self._context = context
        self._new_dispatcher = new_dispatcher
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="billhook-notify", daemon=True)
        self._failure: BaseException | None = None

    def start(self) -> Self:
        """Begin to send."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Finish what is in flight and stop. Raises what the dispatcher died of, if it did."""
        self._stopping.set()
        self._context.notice_wakeups.wake()
        self._thread.join()
        if self._failure is not None:
            raise self._failure

    @property
    def is_alive(self) -> bool:
        """Whether it is at work."""
        return self._thread.is_alive()

    def _run(self) -> None:
        try:
            with (
                closing(self._new_dispatcher()) as dispatcher,
                self._context.database.liveness.claim(dispatcher.owner),
            ):
                self._work(dispatcher)
        except BaseException as failure:  # noqa: BLE001 - raised again where somebody waits for the dispatcher
            self._failure = failure
            self._context.telemetry.log(
                logging.ERROR, "The dispatcher of notifications died.", {"reason": told(failure)}
            )

    def _work(self, dispatcher: Dispatcher) -> None:
        wakeups = self._context.notice_wakeups
        while not self._stopping.is_set():
            seen = wakeups.count
            if not dispatcher.tick(wait_seconds=LANDING_SECONDS) and not dispatcher.in_flight:
                wakeups.wait(self._context.clock, seen, self._pause_seconds(dispatcher))
        while dispatcher.in_flight:
            dispatcher.drain(wait_seconds=LANDING_SECONDS)
        dispatcher.give_back()

    def _pause_seconds(self, dispatcher: Dispatcher) -> float:
        due = dispatcher.next_due()
        if due is None:
            return LONGEST_SLEEP_SECONDS
        left_seconds = (due - self._context.clock.now()).total_seconds()
        return min(max(left_seconds, SHORTEST_SLEEP_SECONDS), LONGEST_SLEEP_SECONDS)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()
