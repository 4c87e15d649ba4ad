"""The engine dies at every point where it can, is started again, and ends with the same books as if nothing had happened."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

import pytest

from billhook.testing.crash import LASTING_POINTS, Crashes, Run

SOON = timedelta(seconds=3)
MUCH_LATER = timedelta(days=2)
"""Longer than the sandbox honours a key."""


def what_went_wrong(runs: Iterable[Run]) -> list[str]:
    found: list[str] = []
    count = 0
    for run in runs:
        count += 1
        assert run.crashed_as_asked, run
        found += [f"{run}: {problem}" for problem in run.scenario.problems()]
        run.scenario.close()
    assert count, "no crash was tried"
    return found


def test_the_story_ends_well_where_nothing_crashes(stories):
    crashes = Crashes(stories(), SOON)
    run = crashes.run()
    assert run.scenario.problems() == []
    assert set(run.visits) == {
        *("commit.before", "commit.after", "round.before", "round.after"),
        *("send.before", "send.after", "reply.received"),
    }
    run.scenario.close()


def test_a_crash_anywhere_leaves_everything_exactly_once(sqlite_stories):
    assert what_went_wrong(Crashes(sqlite_stories(), SOON).singles()) == []


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


@pytest.mark.long
@pytest.mark.parametrize("downtime", [SOON, MUCH_LATER], ids=["soon", "much-later"])
def test_every_single_crash_on_both_stores(stories, downtime):
    assert what_went_wrong(Crashes(stories(), downtime).singles()) == []


@pytest.mark.long
@pytest.mark.parametrize("downtime", [SOON, MUCH_LATER], ids=["soon", "much-later"])
def test_every_pair_of_lasting_crashes_on_both_stores(stories, downtime):
    assert what_went_wrong(Crashes(stories(), downtime).pairs(LASTING_POINTS)) == []


@pytest.mark.long
def test_every_pair_of_crashes(sqlite_stories):
    assert what_went_wrong(Crashes(sqlite_stories(), SOON).pairs()) == []
