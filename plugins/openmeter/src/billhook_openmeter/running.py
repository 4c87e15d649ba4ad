"""The bridge at work: hints from OpenMeter and from the engine, a sweep for what no hint told, and the visits that they lead to."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from types import TracebackType
from typing import Self

from billhook import Engine, hookimpl
from billhook.contract import InvoiceTransitioned
from billhook_openmeter.agenda import Agenda
from billhook_openmeter.bridge import Bridge, Visit
from billhook_openmeter.client import UpstreamError, UpstreamRefusesUs

log = logging.getLogger(__name__)

THREADS = 8
SWEEP_SECONDS = 30.0
GLANCE_SECONDS = 0.5
HERE = "here:"
"""What the agenda's entries begin with that name an invoice here; the others are upstream ids."""
UNKNOWN_TRIES = 8
"""How often an invoice that a hint named, and OpenMeter does not know, is asked for: a notification may come before its commit."""


class RunningBridge:
    """Visits invoices in threads of its own. ``stop`` lets what is under way end.

    The engine's worker is not part of it: it runs beside, here or elsewhere.
    """

    def __init__(
        self, bridge: Bridge, engine: Engine, *, threads: int = THREADS, sweep_seconds: float = SWEEP_SECONDS
    ) -> None:
        self._bridge = bridge
        self._engine = engine
        self._threads = threads
        self._sweep_seconds = sweep_seconds
        self._agenda = Agenda(engine.context.clock.monotonic)
        self._stopping = threading.Event()
        self._pool = ThreadPoolExecutor(threads + 1, thread_name_prefix="billhook-bridge")
        self._lock = threading.Lock()
        self._stuck: dict[str, str] = {}
        self._failure: BaseException | None = None

    def start(self) -> Self:
        """Begin: with a sweep, for what happened while nobody looked."""
        self._engine.context.observers.register(_Listener(self._agenda), "openmeter-bridge")
        for _ in range(self._threads):
            self._pool.submit(self._guarded, self._visit_what_is_due)
        self._pool.submit(self._guarded, self._sweep_regularly)
        return self

    def hint(self, upstream_id: str) -> None:
        """Something may have happened to that invoice upstream."""
        self._agenda.add(upstream_id)

    @property
    def stuck(self) -> Mapping[str, str]:
        """What needs a person: why, by upstream id."""
        with self._lock:
            return dict(self._stuck)

    @property
    def failure(self) -> BaseException | None:
        """What ended it, if anything did."""
        return self._failure

    def wait(self) -> None:
        """Until it is told to stop, or something ends it. Raises what ended it."""
        while not self._stopping.wait(GLANCE_SECONDS):
            continue
        self.stop()

    def ask_to_stop(self) -> None:
        """Have ``wait`` end. Fit for a signal handler."""
        self._stopping.set()

    def stop(self) -> None:
        """Let what is under way end. Raises what ended it before, if anything did."""
        self._stopping.set()
        self._agenda.close()
        self._pool.shutdown()
        if self._failure is not None:
            raise self._failure

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    # In its threads.

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as failure:  # noqa: BLE001 - raised again where somebody waits
            self._failure = failure
            self._stopping.set()
            self._agenda.close()

    def _sweep_regularly(self) -> None:
        while not self._stopping.is_set():
            self._sweep()
            self._stopping.wait(max(self._sweep_seconds, self._agenda.paused_seconds))

    def _sweep(self) -> None:
        try:
            # What needed a person may have been settled on a side that tells nobody.
            for upstream_id in chain(self.stuck, self._bridge.ids_to_visit()):
                self._agenda.add(upstream_id)
                if self._stopping.is_set():
                    return
        except UpstreamRefusesUs:
            raise
        except UpstreamError as error:
            log.warning("the sweep ended early: %s", error)
            self._leave_alone(error)

    def _visit_what_is_due(self) -> None:
        while not self._stopping.is_set():
            entry = self._agenda.take(GLANCE_SECONDS)
            if entry is None:
                continue
            try:
                self._see_to(entry)
            finally:
                self._agenda.put_back(entry)

    def _see_to(self, entry: str) -> None:
        if entry.startswith(HERE):
            self._look_up(entry.removeprefix(HERE))
        else:
            self._visit(entry)

    def _visit(self, upstream_id: str) -> None:
        try:
            visit = self._bridge.visit(upstream_id, is_stopping=self._stopping.is_set)
        except UpstreamRefusesUs:
            raise
        except UpstreamError as error:
            log.warning("invoice %s upstream has to wait: %s", upstream_id, error)
            self._agenda.add_again(upstream_id)
            self._leave_alone(error)
            return
        self._ended(visit)

    def _leave_alone(self, error: UpstreamError) -> None:
        """As long as OpenMeter asks for: every visit begins with a request to it."""
        if error.wait_seconds is not None:
            self._agenda.pause(error.wait_seconds)

    def _ended(self, visit: Visit) -> None:
        if visit.unknown and self._agenda.tries(visit.upstream_id) < UNKNOWN_TRIES:
            self._agenda.add_again(visit.upstream_id)
            return
        self._agenda.succeeded(visit.upstream_id)
        with self._lock:
            before = self._stuck.pop(visit.upstream_id, None)
            if visit.stuck is not None:
                self._stuck[visit.upstream_id] = visit.stuck
        if visit.stuck not in (None, before):
            log.warning("invoice %s upstream needs a person: %s", visit.upstream_id, visit.stuck)

    def _look_up(self, invoice_id: str) -> None:
        upstream_id = self._bridge.upstream_id(invoice_id)
        if upstream_id is not None:
            self._agenda.add(upstream_id)


class _Listener:
    """Hears of transitions here. Only noted: whoever tells us has just committed, and must not wait."""

    def __init__(self, agenda: Agenda) -> None:
        self._agenda = agenda

    @hookimpl
    def invoice_transitioned(self, event: InvoiceTransitioned) -> None:
        """An invoice moved."""
        self._agenda.add(HERE + event.invoice_id)
