"""Crashes on purpose: an engine dies at a chosen moment, is opened again on the same database, and has to come to the same end.

A scenario is played by lives. Each life opens an engine, does whatever the host does, and works until nothing is due. A life may end in a
crash at its k-th fault point; the next life opens the database again, some time later, and plays the same scenario from its beginning, as a
host does that submits everything again under the same keys.

    for run in Crashes(a_fresh_scenario, downtime=timedelta(seconds=3)).singles():
        assert not run.problems, run
        run.scenario.close()
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Protocol

from billhook.clock import TurnedClock
from billhook.engine.context import Randomness
from billhook.engine.engine import Engine
from billhook.faults import Crash, Faults

LONGEST_WAIT = timedelta(days=3)
"""What is due later than this from where a life began is left for another day."""
MOST_TURNS = 500
MOST_ROUNDS = 2_000

EVERY_POINT: frozenset[str] = frozenset()
LASTING_POINTS = frozenset({"commit.after", "send.after"})
"""Where something has just been written or sent. A process that dies anywhere else leaves what one of these left."""


class NeverIdle(AssertionError):
    """The engine keeps finding something to do, or says that something is due and does not do it."""


class FaultPlan:
    """Notes every fault point that is reached, and crashes at the visit that is asked for.

    A dead process does nothing more: from the crash on every point crashes, so that no other thread commits or sends.
    """

    def __init__(self, crash_at: int | None = None) -> None:
        self.crash_at = crash_at
        self.visits: list[str] = []
        self._lock = threading.Lock()
        self._crashed_at: str | None = None

    @property
    def crashed_at(self) -> str | None:
        """The point of the crash, None while alive."""
        return self._crashed_at

    def reach(self, point: str) -> None:
        """Note the visit; raise Crash when it is the one, or after it."""
        with self._lock:
            if self._crashed_at is not None:
                raise Crash(self._crashed_at)
            self.visits.append(point)
            if len(self.visits) == self.crash_at:
                self._crashed_at = point
                raise Crash(point)


class Scenario(Protocol):
    """One story on one fresh database and one fresh set of books, played as often as it takes."""

    clock: TurnedClock

    def open(self, faults: Faults, randomness: Randomness) -> Engine:
        """Open the engine on the scenario's database, with its clock and its transport."""
        ...

    def play(self, engine: Engine) -> None:
        """Do what the host does, from the beginning, and work until nothing is due. Playing again changes nothing."""
        ...

    def problems(self, engine: Engine) -> list[str]:
        """What is wrong in the books and in the database, now that it was played to its end."""
        ...

    def close(self) -> None:
        """Remove what the scenario made."""
        ...


@dataclass(frozen=True, slots=True)
class Run:
    """What a scenario came to: the points of its crashes, in order, the visits of its last life, and what is wrong after it."""

    scenario: Any
    asked: tuple[int, ...]
    crashes: tuple[str, ...]
    visits: tuple[str, ...]
    problems: tuple[str, ...]

    @property
    def crashed_as_asked(self) -> bool:
        """Whether every crash that was asked for took place; the scenario may end before."""
        return len(self.crashes) == len(self.asked)

    def __str__(self) -> str:
        where = ", then ".join(f"{at} at visit {visit}" for visit, at in zip(self.asked, self.crashes, strict=False))
        return f"crash in {where}" if where else "no crash"


@dataclass(slots=True)
class Crashes:
    """Plays scenarios with crashes. ``new_scenario`` gives a fresh one; ``downtime`` passes between a crash and the next life.

    Whoever takes a run closes its scenario, and may look at its books before.
    """

    new_scenario: Callable[[], Scenario]
    downtime: timedelta
    seed: int = 0
    _undisturbed: tuple[str, ...] = field(default=(), init=False)

    def run(self, *crash_at: int) -> Run:
        """Crash the first life at that visit, the second one at the next, and so on; the last life is undisturbed."""
        scenario = self.new_scenario()
        plans = [FaultPlan(visit) for visit in crash_at] + [FaultPlan()]
        crashes: list[str] = []
        problems: list[str] = []
        for life, plan in enumerate(plans):
            problems = self._live(scenario, plan, life)
            if plan.crashed_at is None:
                break
            crashes.append(plan.crashed_at)
            scenario.clock.advance(self.downtime)
        return Run(scenario, crash_at, tuple(crashes), tuple(plan.visits), tuple(problems))

    def visits(self, *crash_at: int) -> tuple[str, ...]:
        """The fault points that the life after these crashes reaches, when it is left alone."""
        if not crash_at and self._undisturbed:
            return self._undisturbed
        run = self.run(*crash_at)
        run.scenario.close()
        if not crash_at:
            self._undisturbed = run.visits
        return run.visits

    def singles(self, points: Collection[str] = EVERY_POINT) -> Iterator[Run]:
        """A crash at every visit of these points."""
        for first in chosen(self.visits(), points):
            yield self.run(first)

    def pairs(self, points: Collection[str] = EVERY_POINT, *, share: int = 0, of: int = 1) -> Iterator[Run]:
        """A crash at every visit, and after the restart at every visit again. ``share`` of so many leaves the others to other processes."""
        for first in chosen(self.visits(), points)[share::of]:
            for second in chosen(self.visits(first), points):
                yield self.run(first, second)

    def sampled(self, count: int, *, deaths: int = 1, points: Collection[str] = EVERY_POINT) -> Iterator[Run]:
        """So many runs with that many crashes each; the same ones for the same seed."""
        dice = random.Random(self.seed)
        for _ in range(count):
            crash_at: tuple[int, ...] = ()
            for _ in range(deaths):
                crash_at = (*crash_at, dice.choice(chosen(self.visits(*crash_at), points)))
            yield self.run(*crash_at)

    def _live(self, scenario: Scenario, plan: FaultPlan, life: int) -> list[str]:
        # Ids of one life never meet those of another, not even where the clock stands still.
        dice = random.Random(f"{self.seed}/{life}/{plan.crash_at}")
        engine = scenario.open(plan, dice.randbytes)
        try:
            scenario.play(engine)
            return scenario.problems(engine)
        except Crash:
            return []
        finally:
            engine.close()


def chosen(visits: Sequence[str], points: Collection[str]) -> list[int]:
    """Which visits, counted from 1, are of these points."""
    return [number for number, point in enumerate(visits, start=1) if not points or point in points]


def work_until_quiet(engine: Engine, clock: TurnedClock, longest: timedelta = LONGEST_WAIT) -> None:
    """Work, and turn the clock to whatever is due next, until nothing more is due within ``longest``.

    Raises NeverIdle where that does not end.
    """
    horizon = clock.now() + longest
    for _ in range(MOST_TURNS):
        rounds = engine.run_until_idle(at_most=MOST_ROUNDS)
        due = engine.next_due()
        if due is None or due > horizon:
            return
        if not rounds and due <= clock.now():
            raise NeverIdle(f"Something is due since {due}, and at {clock.now()} nobody does it. Look at who holds it.")
        clock.advance(max(due - clock.now(), timedelta()))
    raise NeverIdle(f"After {MOST_TURNS} turns of the clock something is still due. Look at what is parked, and why.")
