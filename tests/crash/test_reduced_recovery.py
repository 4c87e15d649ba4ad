"""The same crashes where the provider offers less: only to repeat, only to look up, or nothing at all. Never two; at worst a declared doubt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from billhook.contract import Find, Repeat, Request
from billhook.plugins.catalog import ProviderCatalog
from billhook.testing.crash import EVERY_POINT, LASTING_POINTS, Crashes
from billhook.testing.sandbox.provider import SandboxProvider
from billhook.testing.story import is_in_doubt

SOON = timedelta(seconds=3)
MUCH_LATER = timedelta(days=2)
"""Longer than the sandbox honours a key."""

AFTER_A_SEND = frozenset({"send.after"})

Way = type[Repeat] | type[Find]


ONE_AT_A_TIME = {
    name: rules.model_copy(update={"batch": 1}) for name, rules in SandboxProvider.declaration.operations.items()
}


def recovering_by(*ways: Way) -> ProviderCatalog:
    """The sandbox provider with only these ways to recover. Each request is for one item, so that it can be repeated as a whole."""

    def reduced(request: Request) -> Request:
        return replace(request, recover=tuple(way for way in request.recover if isinstance(way, ways)))

    class Reduced(SandboxProvider):
        declaration = SandboxProvider.declaration.model_copy(update={"operations": ONE_AT_A_TIME})

        def upsert_request(self, *args: Any, **options: Any) -> Request:
            return reduced(super().upsert_request(*args, **options))

        def issue_request(self, *args: Any) -> Request:
            return reduced(super().issue_request(*args))

        def move_request(self, *args: Any) -> Request:
            return reduced(super().move_request(*args))

        def money_request(self, *args: Any) -> Request:
            return reduced(super().money_request(*args))

    return ProviderCatalog.from_objects([Reduced])


BY_REPEATING = recovering_by(Repeat)
BY_LOOKING_UP = recovering_by(Find)
NOT_AT_ALL = recovering_by()


def outcome(new_story: Callable[..., Any], downtime: timedelta, points: frozenset[str]) -> tuple[int, list[str]]:
    """How many crashes ended in a declared doubt, and what went wrong."""
    doubts, found = 0, []
    for run in Crashes(new_story, downtime).singles(points):
        with run.scenario.open() as engine:
            doubts += is_in_doubt(engine)
        found += [f"{run}: {problem}" for problem in run.problems]
        run.scenario.close()
    return doubts, found


def test_repeating_alone_recovers_everything_while_the_key_is_honoured(sqlite_stories):
    assert outcome(sqlite_stories(catalog=BY_REPEATING), SOON, AFTER_A_SEND) == (0, [])


def test_repeating_alone_ends_in_doubt_once_the_key_is_no_longer_honoured(sqlite_stories):
    doubts, problems = outcome(sqlite_stories(catalog=BY_REPEATING), MUCH_LATER, AFTER_A_SEND)
    assert problems == []
    assert doubts > 0


def test_looking_up_alone_recovers_everything(sqlite_stories):
    assert outcome(sqlite_stories(catalog=BY_LOOKING_UP), MUCH_LATER, AFTER_A_SEND) == (0, [])


def test_with_nothing_declared_every_unknown_outcome_is_a_doubt_and_never_a_second_document(sqlite_stories):
    doubts, problems = outcome(sqlite_stories(catalog=NOT_AT_ALL), SOON, AFTER_A_SEND)
    assert problems == []
    assert doubts > 0


@pytest.mark.long
@pytest.mark.parametrize("downtime", [SOON, MUCH_LATER], ids=["soon", "much-later"])
@pytest.mark.parametrize(
    "catalog", [BY_REPEATING, BY_LOOKING_UP, NOT_AT_ALL], ids=["repeating", "looking-up", "nothing"]
)
def test_every_crash_with_less_to_recover_by(stories, catalog, downtime):
    doubts, problems = outcome(stories(catalog=catalog), downtime, EVERY_POINT)
    assert problems == []
    assert (doubts > 0) == (catalog is NOT_AT_ALL or (catalog is BY_REPEATING and downtime is MUCH_LATER))


@pytest.mark.long
@pytest.mark.parametrize(
    "catalog", [BY_REPEATING, BY_LOOKING_UP, NOT_AT_ALL], ids=["repeating", "looking-up", "nothing"]
)
def test_every_pair_of_lasting_crashes_with_less_to_recover_by(sqlite_stories, catalog):
    found = []
    for run in Crashes(sqlite_stories(catalog=catalog), SOON).pairs(LASTING_POINTS):
        found += [f"{run}: {problem}" for problem in run.problems]
        run.scenario.close()
    assert found == []
