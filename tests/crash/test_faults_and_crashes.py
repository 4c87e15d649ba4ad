"""The provider lets us down and the engine dies, both in one story."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta

import pytest

from billhook.engine.engine import Engine
from billhook.testing.crash import LASTING_POINTS, Crashes, work_until_quiet
from billhook.testing.simulator.faults import FAULTS
from billhook.testing.story import TOKEN, SandboxStory, tell

SOON = timedelta(seconds=3)
CALLS = 9
"""How many calls the story makes where nothing goes wrong."""
KINDS = tuple(kind for kind, fault in FAULTS.items() if fault.on_call is not None)


class WatchfulStory(SandboxStory):
    """Its host sets the credentials again whenever they are refused."""

    def play(self, engine: Engine) -> None:
        tell(engine, lambda: self._work(engine))

    def _work(self, engine: Engine) -> None:
        work_until_quiet(engine, self.clock)
        apps = engine.namespace().apps
        refused = [app.id for app in apps.list().items if app.status == "unauthorized"]
        for app_id in refused:
            apps.set_credentials(app_id, {"token": TOKEN})
        if refused:
            self._work(engine)


def let_down(new_story: Callable[[], SandboxStory], kind: str, at_call: int) -> Callable[[], SandboxStory]:
    """Stories whose provider has that fault at that call."""

    def new() -> SandboxStory:
        told = new_story()
        story = WatchfulStory(told.store_url, told.clock, told.books, told.transport, told.catalog)
        story.clean_up = told.clean_up
        story.books.fault(kind, at_call=at_call)
        return story

    return new


def problems_of(crashes: Crashes, *crash_at: int) -> list[str]:
    run = crashes.run(*crash_at)
    found = [f"{run}: {problem}" for problem in run.problems]
    run.scenario.close()
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_a_provider_that_lets_us_down_once_is_invoiced_exactly_once(sqlite_stories, kind):
    dice = random.Random(kind)
    for at_call in dice.sample(range(1, CALLS + 1), 2):
        assert problems_of(Crashes(let_down(sqlite_stories(), kind, at_call), SOON)) == [], at_call


@pytest.mark.parametrize("kind", KINDS)
def test_a_provider_that_lets_us_down_and_a_crash_leave_everything_exactly_once(sqlite_stories, kind):
    dice = random.Random(f"{kind} and a crash")
    at_call = dice.randint(1, CALLS)
    crashes = Crashes(let_down(sqlite_stories(), kind, at_call), SOON, seed=dice.randint(1, 1000))
    for run in crashes.sampled(2, points=LASTING_POINTS):
        assert not run.problems, f"{kind} at call {at_call}, {run}"
        run.scenario.close()


@pytest.mark.parametrize("at_call", [1, 3], ids=["customers", "drafts"])
def test_a_batch_that_lands_after_a_look_up_missed_it_is_not_made_twice(sqlite_stories, at_call):
    assert problems_of(Crashes(let_down(sqlite_stories(), "late", at_call), SOON)) == []


@pytest.mark.long
@pytest.mark.parametrize("at_call", range(1, CALLS + 1))
@pytest.mark.parametrize("kind", KINDS)
def test_every_fault_at_every_call_with_every_crash(sqlite_stories, kind, at_call):
    crashes = Crashes(let_down(sqlite_stories(), kind, at_call), SOON)
    assert problems_of(crashes) == []
    for run in crashes.singles(LASTING_POINTS):
        assert not run.problems, run
        run.scenario.close()


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
def test_every_fault_at_every_call_on_postgres(postgres_stories, kind):
    for at_call in range(1, CALLS + 1):
        assert problems_of(Crashes(let_down(postgres_stories(), kind, at_call), SOON)) == [], at_call
