"""The dispatcher: takes lanes in which something is due, sends, and keeps what came of it, one group commit after the other."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from billhook.engine.context import Context
from billhook.engine.locks import to_end
from billhook.engine.moments import maybe_micros, to_micros
from billhook.engine.notifications import lanes
from billhook.engine.notifications.courier import Courier
from billhook.engine.notifications.deliveries import give_up
from billhook.engine.notifications.kinds import DeliveryState
from billhook.engine.notifications.lanes import Lane
from billhook.engine.notifications.outgoing import Due, Outgoing
from billhook.engine.notifications.schedule import (
    Answer,
    Verdict,
    failing_since,
    given_up_reason,
    is_given_up,
    verdict,
)
from billhook.engine.notifications.signing import signature_headers
from billhook.engine.sending import Senders
from billhook.store import schema
from billhook.store.statements import Update, Upsert
from billhook.store.transaction import Transaction

POLL = timedelta(seconds=1)
"""How often an idle dispatcher looks for what another process has to tell."""
LANES_AT_ONCE = 1_000
LANE_WIDTH = 4
"""How many requests one channel gets at a time; one invoice's go one after the other. A channel that fails gets one."""
FRESH = timedelta(seconds=5)
"""For so long what was read may wait to be sent."""
READ_AT_ONCE = 16
"""How many deliveries of a lane are read together."""

_channel = schema.notification_channel
SETTLE = Update(
    schema.notification_delivery,
    key=("event_id", "channel_id", "version"),
    set=("version", "state", "reason", "tries", "due", "updated_at"),
)
NOTE_ATTEMPT = Upsert(
    schema.notification_attempt,
    key=("event_id", "channel_id", "ordinal"),
    columns=("event_id", "channel_id", "ordinal", "at", "state", "status_code", "body", "duration_ms", "url"),
)
CONTENT_TYPE = (("content-type", "application/json"), ("user-agent", "billhook"))


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of one sending."""

    due: Due
    at: datetime
    came: Answer | BaseException


@dataclass(slots=True)
class HeldLane:
    """A lane that is ours: what waits in it, and what was sent and not answered yet, by event with its subject."""

    lane: Lane
    waiting: deque[Due] = field(default_factory=deque)
    in_flight: dict[str, str] = field(default_factory=dict)
    was_read: bool = False
    read_at: datetime | None = None

    def forget_stale(self, now: datetime) -> None:
        """What waited long is read again: it may have been given up, or the channel changed."""
        if self.waiting and self.read_at is not None and now - self.read_at > FRESH:
            self.waiting.clear()
            self.was_read = False

    def given_up(self, now: datetime) -> datetime | None:
        """Since when nothing has arrived, where that is too long: then the lane begins anew."""
        since = self.lane.failing_since
        if since is None or not is_given_up(since, now):
            return None
        self.lane.failing_since = None
        self.waiting.clear()
        self.was_read = False
        return since

    @property
    def known(self) -> set[str]:
        """The events that need not be read again."""
        return {due.event_id for due in self.waiting} | self.in_flight.keys()

    @property
    def is_idle(self) -> bool:
        """Nothing is left to be done in it now."""
        return self.was_read and not self.waiting and not self.in_flight

    def next_due(self) -> Due | None:
        """What may be sent next: the first that waits whose subject is not in flight, while there is room."""
        width = 1 if self.lane.is_failing else LANE_WIDTH
        if len(self.in_flight) >= width:
            return None
        busy = set(self.in_flight.values())
        for due in self.waiting:
            if due.subject not in busy:
                self.waiting.remove(due)
                return due
            busy.add(due.subject)
        return None


class Dispatcher:
    """Works in the thread that calls ``tick``. One dispatcher, one thread; several may share a database.

    At most ``width`` requests are under way; channels that fail get half of them at most, so that they slow nobody else.
    """

    def __init__(
        self, context: Context, outgoing: Outgoing, courier: Courier, senders: Senders[Sent], owner: str, width: int
    ) -> None:
        self._context = context
        self._outgoing = outgoing
        self._courier = courier
        self._senders = senders
        self.owner = owner
        self._width = width
        self._width_for_failing = max(width // 2, 1)
        self._held: dict[str, HeldLane] = {}
        self._next_claim: datetime | None = None
        self._seen_wakeups = -1

    @property
    def in_flight(self) -> int:
        """How many requests wait for an answer."""
        return sum(len(held.in_flight) for held in self._held.values())

    def tick(self, wait_seconds: float | None = None) -> bool:
        """One round. Returns whether anything was done. Waits up to that long for an answer when some are in flight."""
        landed = self._senders.landed(wait_seconds if self.in_flight else None)
        now = self._context.clock.now()
        self._notice_wakeups()
        self._settle(landed, now)
        claimed = self._claim(now)
        sent = self._send()
        released = self._release()
        return bool(landed or claimed or sent or released)

    def drain(self, wait_seconds: float) -> None:
        """Take in what lands and store it; begin nothing new."""
        self._settle(self._senders.landed(wait_seconds), self._context.clock.now())

    def next_due(self) -> datetime | None:
        """When something is due next that this dispatcher may send."""
        with self._context.database.read() as tx:
            return lanes.next_due(tx, self.owner)

    def give_back(self) -> None:
        """Let every lane go. What is in flight must have landed."""
        self._let_go(list(self._held.values()))

    def close(self) -> None:
        """Let go of threads and connections."""
        self._senders.close()
        self._courier.close()

    # Holding lanes.

    def _notice_wakeups(self) -> None:
        count = self._context.notice_wakeups.count
        if count != self._seen_wakeups:
            self._seen_wakeups = count
            self._next_claim = None
            for held in self._held.values():
                held.was_read = False

    def _claim(self, now: datetime) -> bool:
        free = LANES_AT_ONCE - len(self._held)
        if free <= 0 or (self._next_claim is not None and now < self._next_claim):
            return False
        context, lifetime = self._context, self._context.policy.lease
        liveness = context.database.liveness
        taken = context.database.write(lambda tx: lanes.claim(tx, self.owner, liveness, now, lifetime, free))
        self._next_claim = now + POLL
        self._held.update((lane.channel_id, HeldLane(lane)) for lane in taken)
        return bool(taken)

    def _release(self) -> bool:
        idle = [held for held in self._held.values() if held.is_idle]
        self._let_go(idle)
        return bool(idle)

    def _let_go(self, idle: Sequence[HeldLane]) -> None:
        if not idle:
            return
        self._context.database.write(lambda tx: lanes.release(tx, self.owner, [held.lane for held in idle]))
        for held in idle:
            del self._held[held.lane.channel_id]
        self._next_claim = None

    # Sending.

    def _send(self) -> bool:
        room = self._width - self.in_flight
        self._read(room)
        sent = 0
        while sent < room and (chosen := self._next()) is not None:
            self._dispatch(*chosen)
            sent += 1
        return sent > 0

    def _read(self, room: int) -> None:
        """Read what waits in as many lanes as may send now."""
        now = self._context.clock.now()
        for held in self._held.values():
            held.forget_stale(now)
        empty = [held for held in self._held.values() if not held.waiting and not held.was_read][: max(room, 0)]
        if not empty:
            return
        known = {held.lane.channel_id: held.known for held in empty}
        for due in self._outgoing.read(known, READ_AT_ONCE, known):
            self._held[due.channel_id].waiting.append(due)
        for held in empty:
            held.read_at = now
            held.was_read = len(held.waiting) < READ_AT_ONCE

    def _next(self) -> tuple[HeldLane, Due] | None:
        """What is sent next, each lane in its turn."""
        failing = sum(len(held.in_flight) for held in self._held.values() if held.lane.is_failing)
        for held in list(self._held.values()):
            if held.lane.is_failing and failing >= self._width_for_failing:
                continue
            due = held.next_due()
            if due is not None:
                self._held[held.lane.channel_id] = self._held.pop(held.lane.channel_id)
                return held, due
        return None

    def _dispatch(self, held: HeldLane, due: Due) -> None:
        held.in_flight[due.event_id] = due.subject
        self._senders.submit(self._task(due, self._context.clock.now()))

    def _task(self, due: Due, at: datetime) -> Callable[[], Sent]:
        def run() -> Sent:
            try:
                return Sent(due, at, self._post(due, at))
            except BaseException as error:  # noqa: BLE001 - carried to the dispatcher's thread, which raises it
                return Sent(due, at, error)

        return run

    def _post(self, due: Due, at: datetime) -> Answer:
        if due.channel is None or due.problem is not None:
            return Answer(None, due.problem or "", 0)
        signed = signature_headers(due.channel.signing_secret, due.event_id, at, due.body)
        headers = (*CONTENT_TYPE, *due.channel.custom_headers.items(), *signed)
        self._context.faults.reach("notify.send.before")
        answer = self._courier.post(due.channel.url, headers, due.body)
        self._context.faults.reach("notify.send.after")
        return answer

    # Keeping what came of it.

    def _settle(self, landed: Sequence[Sent], now: datetime) -> None:
        if not landed:
            return
        results = [self._take_in(sent, now) for sent in landed]
        touched = {
            sent.due.channel_id: self._held[sent.due.channel_id] for sent in landed if sent.due.channel_id in self._held
        }
        gone = {id: since for id, held in touched.items() if (since := held.given_up(now)) is not None}
        kept = [held.lane for _, held in sorted(touched.items())]
        lost = self._context.database.write(lambda tx: self._store(tx, results, kept, gone, now))
        for channel_id in lost:
            self._held.pop(channel_id, None)
        for channel_id, since in gone.items():
            fields = {"channel": channel_id, "reason": given_up_reason(since)}
            self._context.telemetry.log(logging.WARNING, "A notification channel was disabled.", fields)

    def _take_in(self, sent: Sent, now: datetime) -> tuple[Sent, Answer, Verdict]:
        if not isinstance(sent.came, Answer):
            raise sent.came
        held = self._held.get(sent.due.channel_id)
        if held is not None:
            held.in_flight.pop(sent.due.event_id, None)
            held.lane.failing_since = failing_since(held.lane.failing_since, sent.came, now)
        return sent, sent.came, verdict(sent.came, sent.due.tries + 1, now)

    def _store(
        self,
        tx: Transaction,
        results: Sequence[tuple[Sent, Answer, Verdict]],
        kept: Sequence[Lane],
        gone: Mapping[str, datetime],
        now: datetime,
    ) -> set[str]:
        """Write it all. Returns the channels that somebody else sends to meanwhile."""
        tx.update_many(SETTLE, [_settled(sent, outcome, now) for sent, _, outcome in results])
        tx.upsert_many(NOTE_ATTEMPT, [_attempt(sent, answer, outcome) for sent, answer, outcome in results])
        for channel_id, since in gone.items():
            _disable(tx, channel_id, given_up_reason(since), to_micros(now))
        return lanes.renew(tx, self.owner, kept, now, self._context.policy.lease)


def _settled(sent: Sent, outcome: Verdict, now: datetime) -> tuple[Any, ...]:
    due = sent.due
    values = (outcome.state.value, outcome.reason, due.tries + 1, maybe_micros(outcome.due), to_micros(now))
    return (due.event_id, due.channel_id, due.version, due.version + 1, *values)


def _attempt(sent: Sent, answer: Answer, outcome: Verdict) -> tuple[Any, ...]:
    due = sent.due
    state = DeliveryState.SUCCESS if outcome.state is DeliveryState.SUCCESS else DeliveryState.FAILED
    url = due.channel.url if due.channel is not None else ""
    told = (answer.status_code, answer.body, answer.duration_ms, url)
    return (due.event_id, due.channel_id, due.version, to_micros(sent.at), state.value, *told)


def _disable(tx: Transaction, channel_id: str, reason: str, at: int) -> None:
    values = {"disabled": 1, "disabled_reason": reason, "updated_at": at}
    tx.first(to_end(sa.select(_channel.c.id).where(_channel.c.id == channel_id)))
    tx.execute(sa.update(_channel).where(_channel.c.id == channel_id, _channel.c.disabled == 0).values(values))
    give_up(tx, channel_id, reason, at)
