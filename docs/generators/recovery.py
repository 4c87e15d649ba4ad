"""The page of recovery: the decision about a request without an answer, asked of the code that decides, for every declaration and state."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

from billhook.contract import Find, Function, Repeat, Request
from billhook.engine.recovery import InDoubt, LookUp, Move, Resend, Unanswered, WaitUntil, next_move
from generators.source import table

INTRO = """\
# Recovery

Made by asking the code that decides. A request that changes something was sent, and no answer came that can be believed. What happens next depends
on what it declares in `recover`, and on what is known. [Learn an outcome](../plugin-authors/recovery.md) shows each case at work;
[Unknown outcomes](../explanation/unknown-outcomes.md) says why.

- A request of which every send was surely refused (429, 401, no connection), and one that only reads, is sent again, whatever it declares.
- What `Find` shows to be done takes the place of the lost answer, in every case. So the tables have no row for it.
- Where a look can't say, it is made again, less and less often, as many times as `Policy.look_ups` says. Then a person looks.
- *Any* means that it makes no difference.
"""

FIRST_SENT = datetime(2026, 1, 5, 9, tzinfo=UTC)
LOOK = Request("look", "GET", "https://there.example/found")
OPEN, OVER = "the time of the key lasts", "the time of the key is over"
STORED, FRESH = "an error is kept under the key", "no error is kept under the key"
EARLY, NOT_YET, ABSENT = "it is too early to look", "not looked yet, or it could not say", "it is not there"

Known: TypeAlias = Mapping[str, str]


@dataclass(frozen=True)
class Declared:
    """What a request declares, in words."""

    words: str
    ways: tuple[Repeat | Find, ...]

    @property
    def questions(self) -> dict[str, tuple[str, ...]]:
        """What may be known that could make a difference, in the order of the ways."""
        asked: dict[str, tuple[str, ...]] = {}
        for way in self.ways:
            asked |= {"key": (OPEN, OVER), "kept": (FRESH, STORED)} if isinstance(way, Repeat) else {}
            asked |= {"look": (EARLY, NOT_YET, ABSENT)} if isinstance(way, Find) else {}
        return asked


REPEAT = Repeat(timedelta(hours=23))
PROOF = Find(LOOK, Function("match"), authoritative=True, after=timedelta(minutes=1))
HINT = Find(LOOK, Function("match"), authoritative=False, after=timedelta(minutes=1))
DECLARED = (
    Declared("Nothing", ()),
    Declared("Repeat", (REPEAT,)),
    Declared("Find, whose absence proves that nothing was done", (PROOF,)),
    Declared("Find, whose absence proves nothing", (HINT,)),
    Declared("Repeat, then Find with proof", (REPEAT, PROOF)),
    Declared("Find with proof, then Repeat", (PROOF, REPEAT)),
    Declared("Repeat, then Find without proof", (REPEAT, HINT)),
    Declared("Find without proof, then Repeat", (HINT, REPEAT)),
)


def page() -> str:
    """The page."""
    parts = [INTRO]
    for declared in DECLARED:
        rows = [(_said(known), _told(move)) for known, move in _rows(declared, {}, tuple(declared.questions))]
        parts += [f"## {declared.words}", table(("what is known", "what happens"), rows)]
    return "\n\n".join(part.strip() for part in parts)


def _rows(declared: Declared, known: Known, open_questions: Sequence[str]) -> Iterator[tuple[Known, Move]]:
    """A row for each state that makes a difference: a question is asked only where its answer changes what happens."""
    moves = {_told(move) for move in _moves(declared, known, open_questions)}
    if len(moves) == 1:
        yield known, next(_moves(declared, known, open_questions))
        return
    question, *rest = sorted(open_questions, key=lambda each: not _matters(declared, known, open_questions, each))
    for answer in declared.questions[question]:
        yield from _rows(declared, {**known, question: answer}, rest)


def _matters(declared: Declared, known: Known, open_questions: Sequence[str], question: str) -> bool:
    rest = [each for each in open_questions if each != question]
    told = [
        [_told(move) for move in _moves(declared, {**known, question: answer}, rest)]
        for answer in declared.questions[question]
    ]
    return any(each != told[0] for each in told)


def _moves(declared: Declared, known: Known, open_questions: Sequence[str]) -> Iterator[Move]:
    for answers in itertools.product(*(declared.questions[question] for question in open_questions)):
        yield _decided(declared, {**known, **dict(zip(open_questions, answers, strict=True))})


def _decided(declared: Declared, known: Known) -> Move:
    """What the engine decides. Where the look is early, the request was sent just now; its deadline is half a minute away."""
    now = FIRST_SENT + timedelta(hours=2)
    is_early, is_over = known.get("look") == EARLY, known.get("key") == OVER
    sent = now - timedelta(hours=24 if is_over else 1)
    deadline = now + timedelta(seconds=30) if is_early else sent + timedelta(seconds=30)
    place = next((place for place, way in enumerate(declared.ways) if isinstance(way, Find)), None)
    absent = place is not None and known.get("look") == ABSENT
    looked = {place: "absent"} if absent else {}
    state = Unanswered(True, known.get("kept") == STORED, sent, deadline, looked)  # type: ignore[arg-type]
    return next_move(state, declared.ways, now)


def _said(known: Known) -> str:
    return "; ".join(known.values()) or "any"


def _told(move: Move) -> str:
    match move:
        case Resend(new_key=True):
            return "the same bytes are sent again, under a new key"
        case Resend():
            return "the same bytes are sent again, under the same key"
        case LookUp():
            return "it is looked up"
        case WaitUntil():
            return "wait until it can be looked up"
        case InDoubt():
            return "in doubt: a person looks"
