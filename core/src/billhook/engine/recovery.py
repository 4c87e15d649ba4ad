"""What to do about a step that has no answer: one pure decision from what was declared and what is known.

every send was refused                  send it (again)
else, of the declared ways, in order:
  Repeat   the key is honoured, the window is open   send the same bytes under the same key
           the key is burnt, but nothing else is declared  the same, until the window is over
           else                                      the next way
  Find     it is too early                           wait until deadline + after
           not looked yet                            look
           absent, and absence proves it             send the same bytes; a new key only if the old one is spent
           absent, and absence proves nothing        the next way
no way is left                          in doubt
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias

from billhook.contract.requests import Find, Repeat

Looked: TypeAlias = Literal["absent", "unknown"]


@dataclass(frozen=True, slots=True)
class Unanswered:
    """What is known of a step without an answer.

    ``unknown``: some send may have been executed. ``burnt``: the provider replays an error under its key. ``looked`` holds, by place in
    the declared ways, what a look-up since the last send has shown.
    """

    unknown: bool
    burnt: bool
    first_sent_at: datetime
    deadline: datetime
    looked: dict[int, Looked]


@dataclass(frozen=True, slots=True)
class Resend:
    """Send the same bytes. ``repeated``: an earlier send may have been executed."""

    new_key: bool = False
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class LookUp:
    """Send the look-up at that place of the declared ways."""

    place: int


@dataclass(frozen=True, slots=True)
class WaitUntil:
    """It is too early to look."""

    at: datetime


@dataclass(frozen=True, slots=True)
class InDoubt:
    """Nothing that was declared settles it; a person decides."""

    reason: str


Move: TypeAlias = Resend | LookUp | WaitUntil | InDoubt


def next_move(state: Unanswered, ways: Sequence[Repeat | Find], now: datetime) -> Move:
    """What to do next about a step without an answer."""
    if not state.unknown:
        return Resend()
    for place, way in enumerate(ways):
        move = (
            _try_repeat(state, way, ways[place + 1 :], now)
            if isinstance(way, Repeat)
            else _try_find(state, way, place, ways, now)
        )
        if move is not None:
            return move
    return InDoubt(_why(ways))


def _try_repeat(state: Unanswered, way: Repeat, later: Sequence[Repeat | Find], now: datetime) -> Move | None:
    window_is_open = now < state.first_sent_at + way.within
    if not window_is_open:
        return None
    if state.burnt and any(isinstance(other, Find) for other in later):
        return None
    return Resend(repeated=True)


def _try_find(state: Unanswered, way: Find, place: int, ways: Sequence[Repeat | Find], now: datetime) -> Move | None:
    earliest = state.deadline + way.after
    if now < earliest:
        return WaitUntil(earliest)
    if state.looked.get(place) != "absent":
        return LookUp(place)
    return Resend(new_key=key_is_spent(state, ways, now)) if way.authoritative else None


def key_is_spent(state: Unanswered, ways: Sequence[Repeat | Find], now: datetime) -> bool:
    """Whether the provider no longer honours the key: it replays an error, or its window is over."""
    windows = [way.within for way in ways if isinstance(way, Repeat)]
    return state.burnt or any(now >= state.first_sent_at + within for within in windows)


def _why(ways: Sequence[Repeat | Find]) -> str:
    if not ways:
        return "the provider declares no way to repeat or to look up this step"
    names = " and ".join("repeating" if isinstance(way, Repeat) else "looking up" for way in ways)
    return f"{names} did not settle it"
