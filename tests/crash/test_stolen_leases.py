"""Two workers on one database: one stalls, the other takes its app over, and then the first one wakes up and goes on as if nothing had been."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest
import sqlalchemy as sa

from billhook.clock import TurnedClock
from billhook.contract import Outgoing
from billhook.engine.effects import Transmission
from billhook.engine.engine import Engine
from billhook.engine.transport import Transport
from billhook.store import schema
from billhook.testing.crash import work_until_quiet
from billhook.testing.story import FINAL, INVOICES, SandboxStory, tell

LONGER_THAN_A_LEASE = timedelta(minutes=6)
PATIENCE_SECONDS = 30
HELD_BACK_SECONDS = 4 * PATIENCE_SECONDS
"""A gate that gave up before the test opens it would end the worker instead."""
STALLING_POINTS = frozenset(
    {"round.before", "round.after", "send.before", "send.after", "reply.received", "commit.after"}
)


@dataclass
class Stall:
    """Fault points at which a worker stops, at the visit that is asked for, until it may go on."""

    at_visit: int | None
    visits: list[str] = field(default_factory=list)
    reached: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)

    def reach(self, point: str) -> None:
        # Nobody stalls in the middle of a commit here: SQLite would let nobody else write.
        if point not in STALLING_POINTS:
            return
        self.visits.append(point)
        if len(self.visits) == self.at_visit:
            self.reached.set()
            assert self.go_on.wait(PATIENCE_SECONDS)


def late_replies(engine: Engine) -> int:
    with engine.database.read() as tx:
        return int(tx.scalar(sa.select(sa.func.count()).select_from(schema.late_reply)))


class _Enough(Exception):
    """The host stops here."""


def submit_invoices(engine: Engine) -> None:
    def stop() -> None:
        raise _Enough

    with suppress(_Enough):
        tell(engine, work=stop)


@contextmanager
def working(engine: Engine) -> Iterator[threading.Thread]:
    """The engine works in a thread of its own, to its end, and must not fail there."""
    failures: list[BaseException] = []

    def work() -> None:
        try:
            engine.run_until_idle()
        except BaseException as failure:  # noqa: BLE001 - raised again below
            failures.append(failure)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    yield thread
    thread.join(PATIENCE_SECONDS)
    assert not thread.is_alive()
    if failures:
        raise failures[0]


def stalled_and_robbed(story: SandboxStory, visit: int) -> tuple[str, int, list[str]]:
    """One worker stalls at that visit, another one robs it of its app and does everything, then the first one goes on."""
    stall = Stall(visit)
    with story.open() as robber, story.open(stall) as sleeper:
        submit_invoices(robber)
        with working(sleeper):
            assert stall.reached.wait(PATIENCE_SECONDS)
            story.clock.advance(LONGER_THAN_A_LEASE)
            story.play(robber)
            stall.go_on.set()
        story.play(robber)
        return stall.visits[visit - 1], late_replies(robber), story.problems(robber)


def visits_of_a_worker(new_story: Callable[[], SandboxStory]) -> list[str]:
    story, never = new_story(), Stall(None)
    with story.open() as host, story.open(never) as worker:
        submit_invoices(host)
        worker.run_until_idle()
    story.close()
    return never.visits


def robbed_everywhere(new_story: Callable[[], SandboxStory], points: frozenset[str]) -> tuple[int, list[str]]:
    late, found = 0, []
    for visit, point in enumerate(visits_of_a_worker(new_story), start=1):
        if point in points:
            story = new_story()
            where, replies, problems = stalled_and_robbed(story, visit)
            late += replies
            found += [f"stalled at {where}, visit {visit}: {problem}" for problem in problems]
            story.close()
    return late, found


def test_a_worker_that_stalls_just_before_it_sends_doubles_nothing(stories):
    late, problems = robbed_everywhere(stories(), frozenset({"send.before"}))
    assert problems == []
    assert late > 0, "what the robbed worker heard has to be kept"


def test_a_worker_that_stalls_with_the_answer_in_hand_settles_nothing(stories):
    late, problems = robbed_everywhere(stories(), frozenset({"reply.received"}))
    assert problems == []
    assert late > 0


def test_a_worker_that_wakes_up_too_late_to_send_sends_nothing(stories):
    story = stories()()
    visits = visits_of_a_worker(stories())
    first_commit = visits.index("round.after") + 1
    _, late, problems = stalled_and_robbed(story, first_commit)
    assert problems == []
    assert late == 0, "the time of its request was over, so it never left"
    story.close()


@pytest.mark.long
def test_a_stall_at_every_point_on_both_stores(stories):
    _, problems = robbed_everywhere(stories(), STALLING_POINTS)
    assert problems == []


class Gates:
    """A transport that holds back each charge whose body names something, until its gate is opened."""

    def __init__(self, inner: Transport, *names: bytes) -> None:
        self._inner = inner
        self._gates = {name: (threading.Event(), threading.Event()) for name in names}

    def send(self, request: Outgoing, timeout_seconds: float) -> Transmission:
        for name, (arrived, opened) in self._gates.items():
            if name in request.body and request.url.endswith("/v1/payments"):
                arrived.set()
                assert opened.wait(HELD_BACK_SECONDS)
        return self._inner.send(request, timeout_seconds)

    def wait_for(self, name: bytes) -> None:
        assert self._gates[name][0].wait(PATIENCE_SECONDS)

    def has_arrived(self, name: bytes) -> bool:
        return self._gates[name][0].is_set()

    def open(self, name: bytes) -> None:
        self._gates[name][1].set()

    def close(self) -> None:
        pass


def in_time(what: str, happened: Callable[[], bool], nudge: Callable[[], None]) -> None:
    """Wait until it happened; that it does not within the test's patience is a failure. The clock stands still, so workers are nudged."""
    deadline_seconds = time.monotonic() + PATIENCE_SECONDS
    while not happened():
        nudge()
        assert time.monotonic() < deadline_seconds, f"it never happened that {what}"
        time.sleep(0.05)


def fence(engine: Engine) -> int:
    """How often the app was taken."""
    with engine.database.read() as tx:
        return int(tx.scalar(sa.select(schema.app_lease.c.fence)))


def until_two_charges_are_in_flight(gates: Gates, host: Engine, engine: Engine) -> None:
    gates.wait_for(LAMP)
    gates.wait_for(CHAIR)
    in_time("the third invoice was sent", lambda: status_of(host, "desk") == FINAL["desk"], engine.wake)


def test_an_answer_of_an_earlier_lease_settles_nothing_under_a_later_one(stories):
    """The worker loses its app with two charges in flight, takes it again for another charge, and only then the two answers come."""
    story = stories()()
    gates = Gates(story.transport, LAMP, CHAIR, MORE)
    # The robber's clock goes ahead, so nobody else finds that the lease ran out: the worker itself would take it again first.
    ahead = replace(story, clock=TurnedClock(story.clock.now() + LONGER_THAN_A_LEASE))
    with story.open() as host, replace(story, transport=gates).open() as engine:
        submit_invoices(host)
        with engine.worker(threads=4):
            until_two_charges_are_in_flight(gates, host, engine)
            with ahead.open() as robber:
                work_until_quiet(robber, ahead.clock)
            story.clock.advance(ahead.clock.now() - story.clock.now())
            host.namespace().invoices.submit(ONE_MORE)
            in_time("the app was taken again", lambda: gates.has_arrived(MORE), engine.wake)
            gates.open(LAMP)
            gates.open(CHAIR)
            in_time("both answers were kept apart", lambda: late_replies(host) == 2, engine.wake)
            gates.open(MORE)
            in_time("the last invoice was paid", lambda: status_of(host, "one-more") == "paid", engine.wake)
        story.play(host)
        assert [problem for problem in story.problems(host) if not problem.startswith("counts")] == []
    story.close()


def test_a_worker_that_finds_its_own_lease_run_out_takes_the_app_again_and_doubles_nothing(stories):
    story = stories()()
    gates = Gates(story.transport, LAMP, CHAIR)
    with story.open() as host, replace(story, transport=gates).open() as engine:
        submit_invoices(host)
        with engine.worker(threads=6):
            until_two_charges_are_in_flight(gates, host, engine)
            taken_before = fence(host)
            story.clock.advance(LONGER_THAN_A_LEASE)
            in_time("the app was taken again", lambda: fence(host) > taken_before, engine.wake)
            gates.open(LAMP)
            gates.open(CHAIR)
            in_time("both first answers were kept apart", lambda: late_replies(host) == 2, engine.wake)
        story.play(host)
        assert [problem for problem in story.problems(host) if not problem.startswith("counts")] == []
    story.close()


LAMP, CHAIR, MORE = b'"amount":"7.65"', b'"amount":"96.01"', b'"amount":"2.55"'
ONE_MORE = {**INVOICES[0], "key": "one-more", "lines": [{**INVOICES[0]["lines"][0], "quantity": "1"}]}


def status_of(engine: Engine, key: str) -> str:
    found = engine.namespace().invoices.find(key)
    assert found is not None
    return found.status
