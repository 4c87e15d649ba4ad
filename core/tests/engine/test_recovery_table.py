"""Every case of a step without an answer, against a table that was written down by hand."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import pytest

from billhook.contract import Find, Function, Repeat, Request
from billhook.engine.recovery import InDoubt, LookUp, Move, Resend, Unanswered, WaitUntil, next_move

FIRST_SENT = datetime(2026, 5, 1, 12, tzinfo=UTC)
DEADLINE = FIRST_SENT + timedelta(seconds=30)
NOW = FIRST_SENT + timedelta(hours=2)
LOOK = Request("look", "GET", "http://books/found")


def find(*, authoritative: bool, after: timedelta) -> Find:
    return Find(LOOK, Function("match"), authoritative, after)


OVERDUE, EARLY = timedelta(), timedelta(days=1)
WAYS: dict[str, Repeat | Find] = {
    "open window": Repeat(timedelta(hours=3)),
    "closed window": Repeat(timedelta(hours=1)),
    "proof": find(authoritative=True, after=OVERDUE),
    "proof later": find(authoritative=True, after=EARLY),
    "hint": find(authoritative=False, after=OVERDUE),
    "hint later": find(authoritative=False, after=EARLY),
}
LOOKS = {"proof", "proof later", "hint", "hint later"}

# What one way says, alone: by its name, by what the look-up showed, and by whether the key is burnt with a look-up still to come.
TABLE: dict[tuple[str, str | None, bool], str] = {
    ("open window", None, False): "repeat",
    ("open window", None, True): "go on",
    ("closed window", None, False): "go on",
    ("closed window", None, True): "go on",
    ("proof", None, False): "look",
    ("proof", "unknown", False): "look",
    ("proof", "absent", False): "send again",
    ("proof later", None, False): "wait",
    ("proof later", "unknown", False): "wait",
    ("proof later", "absent", False): "wait",
    ("hint", None, False): "look",
    ("hint", "unknown", False): "look",
    ("hint", "absent", False): "go on",
    ("hint later", None, False): "wait",
    ("hint later", "unknown", False): "wait",
    ("hint later", "absent", False): "wait",
}


class Case(NamedTuple):
    names: tuple[str, ...]
    looked: tuple[str | None, ...]
    unknown: bool
    burnt: bool


def expected(case: Case) -> Move | str:
    if not case.unknown:
        return Resend()
    for place, name in enumerate(case.names):
        skips = case.burnt and name not in LOOKS and any(later in LOOKS for later in case.names[place + 1 :])
        match TABLE[name, case.looked[place], skips]:
            case "repeat":
                return Resend(repeated=True)
            case "look":
                return LookUp(place)
            case "wait":
                return WaitUntil(DEADLINE + EARLY)
            case "send again":
                return Resend(new_key=case.burnt or "closed window" in case.names)
    return "in doubt"


def lists_of_ways() -> Iterator[tuple[str, ...]]:
    for length in range(4):
        yield from itertools.product(WAYS, repeat=length)


def cases() -> Iterator[Case]:
    for names in lists_of_ways():
        shown = [(None, "absent", "unknown") if name in LOOKS else (None,) for name in names]
        for looked, unknown, burnt in itertools.product(itertools.product(*shown), (False, True), (False, True)):
            yield Case(names, looked, unknown, burnt)


def move_of(case: Case) -> Move:
    looked = {place: found for place, found in enumerate(case.looked) if found is not None}
    state = Unanswered(case.unknown, case.burnt, FIRST_SENT, DEADLINE, looked)  # type: ignore[arg-type]
    return next_move(state, [WAYS[name] for name in case.names], NOW)


def test_every_case_is_decided_as_the_table_says():
    count = 0
    for case in cases():
        move, wanted = move_of(case), expected(case)
        assert isinstance(move, InDoubt) if wanted == "in doubt" else move == wanted, (case, move, wanted)
        count += 1
    assert count > 10_000


def test_nothing_is_sent_again_without_a_key_that_holds_or_a_proof_of_absence():
    for case in cases():
        if case.unknown and isinstance(move_of(case), Resend):
            proven = any(
                name == "proof" and seen == "absent" for name, seen in zip(case.names, case.looked, strict=True)
            )
            assert "open window" in case.names or proven, case


def test_a_key_that_may_still_be_honoured_is_never_exchanged():
    for case in cases():
        if move_of(case) == Resend(new_key=True):
            assert case.burnt or "closed window" in case.names, case


def test_a_step_that_was_only_ever_refused_is_simply_sent_again():
    assert {move_of(case) for case in cases() if not case.unknown} == {Resend()}


@pytest.mark.parametrize(
    "moment, move",
    [
        (timedelta(hours=3) - timedelta(microseconds=1), Resend(repeated=True)),
        (timedelta(hours=3), LookUp(1)),
    ],
)
def test_the_window_ends_exactly_where_it_was_declared_to_end(moment: timedelta, move: Move):
    ways = [WAYS["open window"], WAYS["proof"]]
    state = Unanswered(unknown=True, burnt=False, first_sent_at=FIRST_SENT, deadline=DEADLINE, looked={})
    assert next_move(state, ways, FIRST_SENT + moment) == move


@pytest.mark.parametrize(
    "moment, move",
    [
        (timedelta(seconds=89), WaitUntil(DEADLINE + timedelta(seconds=60))),
        (timedelta(seconds=90), LookUp(0)),
    ],
)
def test_a_look_up_waits_for_the_deadline_and_for_what_the_provider_takes_after_it(moment: timedelta, move: Move):
    ways = [find(authoritative=True, after=timedelta(seconds=60))]
    state = Unanswered(unknown=True, burnt=False, first_sent_at=FIRST_SENT, deadline=DEADLINE, looked={})
    assert next_move(state, ways, FIRST_SENT + moment) == move


@pytest.mark.parametrize(
    "ways, words",
    [((), "declares no way"), (("closed window", "hint"), "repeating and looking up did not settle it")],
)
def test_a_doubt_says_what_was_tried(ways: Sequence[str], words: str):
    looked = tuple("absent" if way in LOOKS else None for way in ways)
    move = move_of(Case(tuple(ways), looked, unknown=True, burnt=False))
    assert isinstance(move, InDoubt)
    assert words in move.reason
