"""A provider that fits in a test: requests in, replies out, with faults on demand and a memory that outlives a kill."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any, ClassVar

from billhook.clock import Clock, SystemClock
from billhook.testing.simulator import page
from billhook.testing.simulator.books import BookedDocument, BookedPayment, Connection, Duplicate
from billhook.testing.simulator.decisions import TurnedDown
from billhook.testing.simulator.faults import FAULTS, ArmedFault, Strike, arm
from billhook.testing.simulator.memory import Memory, fingerprint
from billhook.testing.simulator.messages import Dropped, Event, Pairs, SimCall, SimReply, SimRequest

if TYPE_CHECKING:
    from billhook.testing.simulator.http import Served

REPLAYED_HEADER = "Idempotent-Replayed"


class Simulator(ABC):
    """Answers as a provider would. Call `handle` in-process, or `serve` it over HTTP; both run the same code.

    A request goes through the armed fault, `admit` (credentials, rate limits), the idempotency key and `answer`.
    Subclasses give `answer`; what it does is committed together with the answer that is kept under the key. The clock is read and never turned.
    """

    key_header: ClassVar[str] = "Idempotency-Key"

    def __init__(
        self,
        memory: Memory,
        *,
        clock: Clock | None = None,
        latency_seconds: float = 0.0,
        key_window: timedelta = timedelta(hours=24),
        webhook_url: str | None = None,
    ) -> None:
        self.clock: Clock = clock or SystemClock()
        self.webhook_url = webhook_url
        self._memory = memory
        self._latency_seconds = latency_seconds
        self._key_window = key_window
        self._armed: list[ArmedFault] = []
        self._in_flight: set[str] = set()
        self._lock = threading.Lock()

    # -- what a provider's simulator says -------------------------------------------------------------------------

    @abstractmethod
    def answer(self, request: SimRequest, now: datetime) -> SimReply:
        """Do what is asked within `Memory.transaction`, and answer."""

    @abstractmethod
    def webhook(self, event: Event, now: datetime) -> tuple[Pairs, bytes]:
        """The headers and body by which an event is told, signed by a clock that shows `now`."""

    @abstractmethod
    def settle(self, now: datetime) -> None:
        """Do what the provider does by itself as time passes."""

    def act_as_payer(self, external_id: str) -> None:
        """Do what the payment of that id waits for, which is `action_required`. By default only what is due by the clock happens."""
        self.tick()

    @abstractmethod
    def connection(self, url: str) -> Connection:
        """What an app is installed with to reach this simulator at that address."""

    @abstractmethod
    def customers(self) -> Sequence[object]:
        """The customers in the books, oldest first."""

    @abstractmethod
    def documents(self) -> Sequence[BookedDocument]:
        """The invoices and credit notes in the books, oldest first."""

    @abstractmethod
    def payments(self) -> Sequence[BookedPayment]:
        """The payments in the books, oldest first; failed ones too."""

    @abstractmethod
    def duplicates(self) -> Sequence[Duplicate]:
        """Every reference of ours that stands for more than one thing."""

    @abstractmethod
    def totals(self) -> Mapping[str, Decimal]:
        """What was issued, by currency: invoices less credit notes."""

    def admit(self, request: SimRequest, now: datetime) -> SimReply | None:
        """A refusal before anything is looked at (401, 429), or None to go on."""
        return None

    def extra_headers(self, request: SimRequest, now: datetime) -> Pairs:
        """Headers that every answer carries, such as what is left of a rate limit."""
        return ()

    def key_of(self, request: SimRequest) -> str | None:
        """The idempotency key of a request, None for requests that change nothing or carry none."""
        return None if request.method == "GET" else request.header(self.key_header)

    def keeps(self, reply: SimReply) -> bool:
        """Whether an answer is kept under its key. Refusals made before anything was done are not."""
        return reply.status < 400 or reply.status >= 500

    def short_page(self, request: SimRequest, reply: SimReply, missing: int) -> SimReply:
        """That list answer without its last items, saying that there is more. Answers that are no list stay whole."""
        return reply

    def turned_down(self, request: SimRequest, refused: TurnedDown) -> SimReply:
        """How a request is refused whose thing the memory was told to refuse. What it had done by then is undone."""
        return SimReply.error(422, "refused", str(refused))

    # -- calls ----------------------------------------------------------------------------------------------------

    def handle(self, request: SimRequest) -> SimReply:
        """The provider's answer. Raises Dropped where the connection closes without one. Never sleeps."""
        if request.line == f"GET {page.PATH}":
            return self.page()
        self.tick()
        now = self.clock.now()
        fault = self._fault_for("call", [request.line])
        try:
            reply = self._struck(fault, request, now)
        except Dropped:
            self._note(request, now, fault.kind if fault else "dropped", None)
            raise
        self._note(request, now, fault.kind if fault else _verdict(reply), reply.status)
        return self._finished(request, reply, now)

    def page(self) -> SimReply:
        """The books for a person's browser. Asking for it is no call."""
        title = type(self).__name__.removesuffix("Simulator")
        books = {"Documents": self.documents(), "Payments": self.payments(), "Customers": self.customers()}
        return page.books_page(title, books)

    def serve(self, port: int = 0) -> AbstractContextManager[Served]:
        """Serve it over HTTP on 127.0.0.1 within a `with` block; port 0 takes a free one. Gives `.url`."""
        from billhook.testing.simulator.http import serve

        return serve(self, port)

    def tick(self) -> None:
        """Let what is due by the clock happen: late requests arrive, payments settle."""
        now = self.clock.now()
        for due_at, request in self._memory.take_late_requests(now):
            self._proceed(
                request, due_at
            )  # however far the clock jumped: the key's window is over or not as it was then
        with self._memory.decisions.asked(is_asked=False):
            self.settle(now)

    @property
    def ledger_path(self) -> str:
        """Where the books are."""
        return self._memory.path

    def count_calls(self) -> int:
        """How many requests reached the provider."""
        return self._memory.count_calls()

    def calls(self) -> tuple[SimCall, ...]:
        """The request log: every request that reached the provider, and what became of it."""
        return self._memory.calls()

    def close(self) -> None:
        """Close the memory's file."""
        self._memory.close()

    # -- faults ---------------------------------------------------------------------------------------------------

    def fault(
        self,
        kind: str,
        *,
        at_call: int | None = None,
        matching: str | None = None,
        times: int | None = 1,
        **params: Any,
    ) -> ArmedFault:
        """Arm a fault (a kind of `FAULTS`): it hits the `at_call`-th call from now that matches, and `times` in a row.

        `matching` is a part of `POST /v1/invoices` or of `webhook payment.succeeded`; `times=None` never stops.
        One fault hits a call: the one that was armed first. A delivery run counts as one call.
        """
        armed = arm(kind, at_call=at_call, matching=matching, times=times, params=params)
        with self._lock:
            self._armed.append(armed)
        return armed

    def clear_faults(self) -> None:
        """Disarm every fault."""
        with self._lock:
            self._armed.clear()

    def has_kept(self, key: str) -> bool:
        """Whether an answer is kept under that key."""
        return self._memory.kept_answer(key, self._window_start(self.clock.now())) is not None

    def keep(self, request: SimRequest, reply: SimReply) -> None:
        """Keep an answer under the key of its request, if it has one."""
        key = self.key_of(request)
        if key is not None:
            self._memory.keep_answer(key, request, reply, self.clock.now())

    def hold_key(self, key: str, until: datetime) -> None:
        """Let the request of that key count as in flight until then."""
        self._memory.hold_key(key, until)

    def delay(self, request: SimRequest, due_at: datetime) -> None:
        """Let a request arrive only then."""
        self._memory.delay_request(request, due_at)

    def proceed_with_skew(self, request: SimRequest, skew: timedelta) -> SimReply:
        """Answer as usual; the events which that causes are told by a clock that is wrong by `skew`."""
        with self._memory.skewed_clock(skew):
            return self._proceed(request, self.clock.now())

    # -- webhooks -------------------------------------------------------------------------------------------------

    def pending_webhooks(self) -> list[tuple[Pairs, bytes]]:
        """Headers and body of every webhook that is still to be confirmed, oldest first. Confirms none."""
        self.tick()
        now = self.clock.now()
        return [self.webhook(event, now + event.skew) for event in self._memory.events_to_tell()]

    def deliver_webhooks(self, post: Callable[[Pairs, bytes], int]) -> int:
        """Hand every waiting webhook to `post(headers, body)`, which gives an HTTP status; 2xx confirms. How many posts."""
        self.tick()
        now = self.clock.now()
        queue = self._queue_with_faults(self._memory.events_to_tell())
        for event in queue:
            status = post(*self.webhook(event, now + event.skew))
            if 200 <= status < 300:
                self._memory.confirm_event(event.id)
        return len(queue)

    # -- inside ---------------------------------------------------------------------------------------------------

    def _struck(self, fault: ArmedFault | None, request: SimRequest, now: datetime) -> SimReply:
        strike = FAULTS[fault.kind].on_call if fault else None
        if fault is None or strike is None:
            return self._proceed(request, now)
        return strike(Strike(request, now, self, lambda: self._proceed(request, now)), **fault.params)

    def _proceed(self, request: SimRequest, now: datetime) -> SimReply:
        refusal = self.admit(request, now)
        if refusal is not None:
            return refusal
        key = self.key_of(request)
        return self._decided(request, now) if key is None else self._answer_once(key, request, now)

    def _answer_once(self, key: str, request: SimRequest, now: datetime) -> SimReply:
        with self._claimed(key) as claimed:
            if not claimed:
                return _in_flight(key)
            kept = self._memory.kept_answer(key, self._window_start(now))
            if kept is not None and kept.fingerprint != fingerprint(request):
                return _key_reused(key)
            if kept is not None and now < kept.answered_at:
                return _in_flight(key)
            if kept is not None:
                return replace(kept.reply, headers=(*kept.reply.headers, (REPLAYED_HEADER, "true")))
            # In one commit: killed between doing and remembering, it would honour no key.
            with self._memory.transaction():
                reply = self._decided(request, now)
                if self.keeps(reply):
                    self._memory.keep_answer(key, request, reply, now)
            return reply

    def _decided(self, request: SimRequest, now: datetime) -> SimReply:
        decisions = self._memory.decisions
        if not decisions.refuses_something:
            return self.answer(request, now)
        try:
            with decisions.asked(), self._memory.transaction():
                return self.answer(request, now)
        except TurnedDown as refused:
            return self.turned_down(request, refused)

    @contextmanager
    def _claimed(self, key: str) -> Iterator[bool]:
        with self._lock:
            free = key not in self._in_flight
            self._in_flight.add(key)
        try:
            yield free
        finally:
            if free:
                with self._lock:
                    self._in_flight.discard(key)

    def _fault_for(self, door: str, lines: list[str]) -> ArmedFault | None:
        with self._lock:
            hits = [fault for fault in self._armed if _opens(fault, door) and fault.hits(door, lines)]
        return hits[0] if hits else None

    def _queue_with_faults(self, queue: list[Event]) -> list[Event]:
        fault = self._fault_for("delivery", [event.line for event in queue])
        reshape = FAULTS[fault.kind].on_delivery if fault else None
        return queue if fault is None or reshape is None else reshape(queue, **fault.params)

    def _finished(self, request: SimRequest, reply: SimReply, now: datetime) -> SimReply:
        dated = () if reply.header("Date") else (("Date", format_datetime(now, usegmt=True)),)
        headers = (*reply.headers, *self.extra_headers(request, now), *dated)
        return replace(reply, headers=headers, after_seconds=reply.after_seconds + self._latency_seconds)

    def _note(self, request: SimRequest, now: datetime, verdict: str, status: int | None) -> None:
        self._memory.note_call(now, request, request.header(self.key_header), verdict, status)

    def _window_start(self, now: datetime) -> datetime:
        return now - self._key_window


def _opens(fault: ArmedFault, door: str) -> bool:
    kind = FAULTS[fault.kind]
    return (kind.on_call if door == "call" else kind.on_delivery) is not None


def _verdict(reply: SimReply) -> str:
    if reply.header(REPLAYED_HEADER):
        return "replayed"
    if reply.status >= 500:
        return "server_error"
    return "answered" if reply.status < 400 else "refused"


def _in_flight(key: str) -> SimReply:
    return SimReply.error(409, "request_in_flight", f"A request with the key {key!r} is still being processed.")


def _key_reused(key: str) -> SimReply:
    message = f"The key {key!r} was used before with another request. Use a new key for a new request."
    return SimReply.error(400, "idempotency_error", message)
