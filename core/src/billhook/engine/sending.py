"""Sends steps: builds what really goes out, checks once more that there is time, and hands back what came."""

from __future__ import annotations

import queue
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from billhook.contract.requests import Call, Find, Outgoing, Reply, Request
from billhook.engine.context import Context
from billhook.engine.effects import Arrived, Lost, NotSent, Transmission, Unsendable
from billhook.engine.journal import Attempt
from billhook.engine.open_operation import HeldApp, OpenOperation
from billhook.engine.transport import Transport
from billhook.errors import ContractViolation

if TYPE_CHECKING:
    from billhook.engine.renewal import RenewalLanded


@dataclass(frozen=True, slots=True)
class Sending:
    """One thing to send: a step, or (with ``place``) a look-up about it. ``committed_at`` is on the monotonic clock."""

    operation: OpenOperation
    attempt: Attempt
    place: int | None
    committed_at_seconds: float

    @property
    def step(self) -> Request | Call:
        """What is sent."""
        if self.place is None:
            return self.attempt.step
        way = self.attempt.step.recover[self.place]
        assert isinstance(way, Find)
        return way.request


@dataclass(frozen=True, slots=True)
class Landed:
    """What became of a sending."""

    sending: Sending
    came: Transmission | BaseException


Landing: TypeAlias = "Landed | RenewalLanded"


class Senders(Protocol):
    """Where sendings run, and whatever else waits for a provider."""

    def submit(self, task: Callable[[], Landing]) -> None:
        """Run it, now or soon; its result is to be had from ``landed``."""
        ...

    def landed(self, timeout_seconds: float | None) -> list[Landing]:
        """What has landed; waits up to that long for something (None: not at all)."""
        ...

    def close(self) -> None:
        """Wait for what is in flight, then stop."""
        ...


class InlineSenders:
    """Sends in the caller's thread, at once."""

    def __init__(self) -> None:
        self._landed: list[Landing] = []

    def submit(self, task: Callable[[], Landing]) -> None:
        """Run it now."""
        self._landed.append(task())

    def landed(self, timeout_seconds: float | None) -> list[Landing]:
        """Everything that was sent since."""
        landed, self._landed = self._landed, []
        return landed

    def close(self) -> None:
        """Nothing is in flight."""


class ThreadSenders:
    """Sends in threads."""

    def __init__(self, threads: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="billhook-send")
        self._queue: queue.SimpleQueue[Landing] = queue.SimpleQueue()

    def submit(self, task: Callable[[], Landing]) -> None:
        """Run it in a thread."""
        self._pool.submit(lambda: self._queue.put(task()))

    def landed(self, timeout_seconds: float | None) -> list[Landing]:
        """What has landed; waits for the first, not for more."""
        found: list[Landing] = []
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

    def __init__(self, context: Context, transport: Transport) -> None:
        self._context = context
        self._transport = transport

    def task(self, sending: Sending) -> Callable[[], Landed]:
        """The sending as a task that never raises."""

        def run() -> Landed:
            try:
                return Landed(sending, self._send(sending))
            except BaseException as error:  # noqa: BLE001 - carried to the worker's thread, which raises it
                return Landed(sending, error)

        return run

    def _send(self, sending: Sending) -> Transmission:
        held = sending.operation.held
        clock, policy = self._context.clock, self._context.policy
        longest = held.app.handle.declaration.rules(sending.operation.spec.capability).longest
        began = clock.monotonic()
        left_seconds = longest.total_seconds() - (began - sending.committed_at_seconds)
        if left_seconds < min(policy.send_margin.total_seconds(), longest.total_seconds() / 2):
            return NotSent("there was no time left to send it")
        self._context.faults.reach("send.before")
        telemetry = self._context.telemetry
        with telemetry.sending(held.app.type, held.app.id, sending.operation.spec.name, sending.step.step):
            came = self._transmit(sending, left_seconds)
        telemetry.called(
            held.app.type, sending.operation.spec.name, type(came).__name__.lower(), clock.monotonic() - began
        )
        self._context.faults.reach("send.after")
        return came

    def _transmit(self, sending: Sending, timeout_seconds: float) -> Transmission:
        step, held = sending.step, sending.operation.held
        if isinstance(step, Call):
            return self._call(step, held)
        try:
            plain = outgoing(step, sending.attempt.key if sending.place is None else None)
            signed = held.app.handle.authenticate(plain, held.credentials, self._context.clock.now())
        except (Exception, SystemExit, GeneratorExit) as error:  # noqa: BLE001 - the plugin could not sign, so nothing was sent
            return Unsendable(f"authenticate failed: {type(error).__name__}")
        return self._transport.send(signed, timeout_seconds)

    def _call(self, step: Call, held: HeldApp) -> Transmission:
        try:
            function = held.app.handle.registered_function(step.function.name)
        except ContractViolation as error:
            return Unsendable(str(error))
        credentials = held.credentials
        try:
            return Arrived(Reply.of(function(credentials, **step.function.args)))
        except (Exception, SystemExit, GeneratorExit) as error:  # noqa: BLE001 - an SDK that fails may have done it
            return Lost(f"{step.function.name} failed: {type(error).__name__}")


def outgoing(request: Request, key: str | None) -> Outgoing:
    """The request with its idempotency key where the provider wants it."""
    plain = Outgoing(request.method, request.url, request.headers, request.body)
    if request.key is None or key is None:
        return plain
    if request.key.place == "header":
        return plain.with_headers((request.key.name, key))
    parts = urlsplit(request.url)
    query = [*parse_qsl(parts.query, keep_blank_values=True), (request.key.name, key)]
    return Outgoing(plain.method, urlunsplit(parts._replace(query=urlencode(query))), plain.headers, plain.body)
