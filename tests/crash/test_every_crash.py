"""The engine dies at every point where it can, is started again, and ends with the same books as if nothing had happened."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from datetime import timedelta

import pytest

from billhook.engine.engine import Engine
from billhook.testing.crash import LASTING_POINTS, Crashes, Run
from billhook.testing.story import SandboxStory, tell

SOON = timedelta(seconds=3)
MUCH_LATER = timedelta(days=2)
SHARES = 8
"""All pairs are many: each of these is a test of its own, for as many processes as there are."""
"""Longer than the sandbox honours a key."""


def what_went_wrong(runs: Iterable[Run]) -> list[str]:
    found: list[str] = []
    count = 0
    for run in runs:
        count += 1
        assert run.crashed_as_asked, run
        found += [f"{run}: {problem}" for problem in run.problems]
        run.scenario.close()
    assert count, "no crash was tried"
    return found


def test_the_story_ends_well_where_nothing_crashes(stories):
    crashes = Crashes(stories(), SOON)
    run = crashes.run()
    assert not run.problems
    assert set(run.visits) == {
        *("commit.before", "commit.after", "round.before", "round.after"),
        *("send.before", "send.after", "reply.received"),
    }
    run.scenario.close()


def test_a_crash_wherever_something_was_written_sent_or_heard_leaves_everything_exactly_once(sqlite_stories):
    """A crash anywhere else leaves what one of these left; the long enumeration tries them all the same."""
    assert what_went_wrong(Crashes(sqlite_stories(), SOON).singles(LASTING_POINTS | {"reply.received"})) == []


def test_a_crash_anywhere_else_changes_nothing(sqlite_stories):
    elsewhere = frozenset({"commit.before", "round.before", "round.after", "send.before"})
    assert what_went_wrong(Crashes(sqlite_stories(), SOON, seed=5).sampled(12, points=elsewhere)) == []


def test_a_crash_on_postgres_leaves_everything_exactly_once(postgres_stories):
    crashes = Crashes(postgres_stories(), SOON, seed=1)
    assert what_went_wrong(crashes.sampled(8, points=LASTING_POINTS)) == []


def test_a_restart_after_the_keys_ran_out_leaves_everything_exactly_once(sqlite_stories):
    assert what_went_wrong(Crashes(sqlite_stories(), MUCH_LATER).singles(frozenset({"send.after"}))) == []


def test_a_second_crash_after_the_restart_changes_nothing(sqlite_stories):
    assert what_went_wrong(Crashes(sqlite_stories(), SOON, seed=2).sampled(10, deaths=2)) == []


def test_a_second_crash_on_postgres_changes_nothing(postgres_stories):
    assert what_went_wrong(Crashes(postgres_stories(), SOON, seed=3).sampled(3, deaths=2)) == []


def test_a_third_crash_changes_nothing(sqlite_stories):
    assert what_went_wrong(Crashes(sqlite_stories(), timedelta(seconds=6), seed=4).sampled(3, deaths=3)) == []


class ToldAtOnce(SandboxStory):
    """Its host hands in the credit note together with the invoices, before anything was worked."""

    def play(self, engine: Engine) -> None:
        tell(engine, lambda: None)
        SandboxStory.play(self, engine)


def test_a_crash_leaves_nothing_claimed_where_the_credit_note_came_together_with_its_invoice(sqlite_stories):
    new_story = sqlite_stories()

    def told_at_once() -> ToldAtOnce:
        story = new_story()
        return ToldAtOnce(**{field.name: getattr(story, field.name) for field in fields(story)})

    crashes = Crashes(told_at_once, timedelta(seconds=10))
    assert what_went_wrong(crashes.singles(frozenset({"reply.received"}))) == []


@pytest.mark.long
@pytest.mark.parametrize("downtime", [SOON, MUCH_LATER], ids=["soon", "much-later"])
def test_every_single_crash_on_both_stores(stories, downtime):
    assert what_went_wrong(Crashes(stories(), downtime).singles()) == []


@pytest.mark.long
@pytest.mark.parametrize("downtime", [SOON, MUCH_LATER], ids=["soon", "much-later"])
def test_every_pair_of_lasting_crashes_on_both_stores(stories, downtime):
    assert what_went_wrong(Crashes(stories(), downtime).pairs(LASTING_POINTS)) == []


@pytest.mark.long
@pytest.mark.parametrize("share", range(SHARES))
def test_every_pair_of_crashes(sqlite_stories, share):
    assert what_went_wrong(Crashes(sqlite_stories(), SOON).pairs(share=share, of=SHARES)) == []
