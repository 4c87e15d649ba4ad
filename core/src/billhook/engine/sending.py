"""Sends steps: builds what really goes out, checks once more that there is time, and hands back what came."""

from __future__ import annotations

import queue
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Generic, Protocol, TypeAlias, TypeVar, runtime_checkable

from billhook.contract.declaration import Capability
from billhook.contract.requests import Call, Find, Outgoing, Request
from billhook.engine.budget import Purpose, Trip
from billhook.engine.calling import called
from billhook.engine.context import Context
from billhook.engine.effects import Arrived, Lost, NotSent, Transmission, Unsendable
from billhook.engine.journal import Attempt
from billhook.engine.open_operation import OpenOperation
from billhook.engine.outgoing import outgoing
from billhook.engine.transport import Transport
from billhook.engine.wire_log import Exchange, WireLog

if TYPE_CHECKING:
    from billhook.engine.renewal import RenewalLanded


@dataclass(frozen=True, slots=True)
class Sending:
    """One thing to send: a step, or (with ``place``) a look-up about it. ``committed_at`` is on the monotonic clock, ``counted_at`` is when
    the budgets counted it.
    """

    operation: OpenOperation
    attempt: Attempt
    place: int | None
    committed_at_seconds: float
    counted_at: datetime

    @property
    def step(self) -> Request | Call:
        """What is sent."""
        if self.place is None:
            return self.attempt.step
        way = self.attempt.step.recover[self.place]
        assert isinstance(way, Find)
        return way.request

    @property
    def purpose(self) -> Purpose:
        """What it is for, as budgets count it."""
        return Purpose(self.operation.spec.capability, self.step.step)

    @property
    def ends_at(self) -> datetime:
        """When the provider has stopped working on it at the latest."""
        return self.counted_at + self.operation.longest


@dataclass(frozen=True, slots=True)
class Landed:
    """What became of a sending. Without a ``trip`` it never left."""

    sending: Sending
    came: Transmission | BaseException
    trip: Trip | None


Landing: TypeAlias = "Landed | RenewalLanded"
T = TypeVar("T")


@runtime_checkable
class Senders(Protocol[T]):
    """Where sendings run, and whatever else waits for somebody outside."""

    def submit(self, task: Callable[[], T]) -> None:
        """Run it, now or soon; its result is to be had from ``landed``."""
        ...

    def landed(self, timeout_seconds: float | None) -> list[T]:
        """What has landed; waits up to that long for something (None: not at all)."""
        ...

    def close(self) -> None:
        """Wait for what is in flight, then stop."""
        ...


class InlineSenders(Generic[T]):
    """Sends in the caller's thread, at once."""

    def __init__(self) -> None:
        self._landed: list[T] = []

    def submit(self, task: Callable[[], T]) -> None:
        """Run it now."""
        self._landed.append(task())

    def landed(self, timeout_seconds: float | None) -> list[T]:
        """Everything that was sent since."""
        landed, self._landed = self._landed, []
        return landed

    def close(self) -> None:
        """Nothing is in flight."""


class ThreadSenders(Generic[T]):
    """Sends in threads."""

    def __init__(self, threads: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="billhook-send")
        self._queue: queue.SimpleQueue[T] = queue.SimpleQueue()

    def submit(self, task: Callable[[], T]) -> None:
        """Run it in a thread."""
        self._pool.submit(lambda: self._queue.put(task()))

    def landed(self, timeout_seconds: float | None) -> list[T]:
        """What has landed; waits for the first, not for more."""
        found: list[T] = []
        try:
            found.append(self._queue.get(block=bool(timeout_seconds), timeout=timeout_seconds or None))
            while True:
                found.append(self._queue.get_nowait())
        except queue.Empty:
            return found

    def close(self) -> None:
        """Wait for what is in flight."""
        self._pool.shutdown(wait=True)


class Sender:
    """Sends one thing, once. A crash that a test asks for passes through."""

    def __init__(self, context: Context, transport: Transport, wire_log: WireLog | None = None) -> None:
        self._context = context
        self._transport = transport
        self._wire_log = wire_log

    def task(self, sending: Sending) -> Callable[[], Landed]:
        """The sending as a task that never raises."""

        def run() -> Landed:
            try:
                return self._send(sending)
            except BaseException as error:  # noqa: BLE001 - carried to the worker's thread, which raises it
                return Landed(sending, error, None)

        return run

    def _send(self, sending: Sending) -> Landed:
        held = sending.operation.held
        clock, policy = self._context.clock, self._context.policy
        longest = sending.operation.longest
        began = clock.monotonic()
        left_seconds = longest.total_seconds() - (began - sending.committed_at_seconds)
        if left_seconds < min(policy.send_margin.total_seconds(), longest.total_seconds() / 2):
            return Landed(sending, NotSent("there was no time left to send it"), None)
        self._context.faults.reach("send.before")
        telemetry = self._context.telemetry
        with telemetry.sending(held.app.type, held.app.id, sending.operation.spec.name, sending.step.step) as span:
            left_at = clock.now()
            came = self._transmit(sending, left_seconds)
            ended_at = clock.now()
            verdict = type(came).__name__.lower()
            telemetry.ended(span, verdict, came.reply.status if isinstance(came, Arrived) else None)
        telemetry.called(held.app.type, sending.operation.spec.name, verdict, clock.monotonic() - began)
        self._context.faults.reach("send.after")
        went = isinstance(came, Arrived | Lost)
        return Landed(sending, came, Trip(left_at, ended_at, isinstance(came, Arrived)) if went else None)

    def _transmit(self, sending: Sending, timeout_seconds: float) -> Transmission:
        step, held = sending.step, sending.operation.held
        at = self._context.clock.now()
        if isinstance(step, Call):
            return self._noted(sending, at, None, called(held.app.handle, step, held.credentials))
        try:
            plain = outgoing(step, sending.attempt.key if sending.place is None else None)
            signed = held.app.handle.authenticate(plain, held.credentials, at)
        except (Exception, SystemExit, GeneratorExit) as error:  # noqa: BLE001 - the plugin could not sign, so nothing was sent
            return Unsendable(f"authenticate failed: {type(error).__name__}")
        return self._noted(sending, at, signed, self._transport.send(signed, timeout_seconds))

    def _noted(self, sending: Sending, at: datetime, signed: Outgoing | None, came: Transmission) -> Transmission:
        if self._wire_log is not None:
            self._wire_log.note(_exchange(sending, at, signed, came), sending.operation.held.credentials)
        return came


def _exchange(sending: Sending, at: datetime, signed: Outgoing | None, came: Transmission) -> Exchange:
    operation, app = sending.operation, sending.operation.held.app
    capability = operation.spec.capability
    items = sending.step.items or tuple(item.id for item in operation.batch.items)
    # The subject of a customer's work is the customer.
    of_invoices = () if capability is Capability.SYNC_CUSTOMER else items
    invoices = dict.fromkeys(operation.works[id].subject_id for id in of_invoices if id in operation.works)
    return Exchange(
        at=at,
        provider=app.type,
        app_id=app.id,
        operation=capability,
        step=sending.step,
        key=sending.attempt.key if sending.place is None else None,
        attempt=sending.attempt.sends,
        invoices=tuple(invoices),
        signed=signed,
        came=came,
    )
