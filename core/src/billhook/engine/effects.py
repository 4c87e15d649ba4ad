"""What an operation wants of the engine next, as values: the driver decides, the worker does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, TypeAlias

from billhook.contract.outcomes import Done, Pending, Rejected, Retry
from billhook.contract.requests import Call, Find, Reply, Request
from billhook.engine.journal import Attempt


@dataclass(frozen=True, slots=True)
class Release:
    """A look-up proved that nothing was done for this item: back into the queue, under a new key next time."""


@dataclass(frozen=True, slots=True)
class Alone:
    """Nothing was sent, and one of the batch makes the plugin fail: each is tried by itself."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """The engine can't tell whether it was done. A person decides."""

    reason: str


Settlement: TypeAlias = Done[Any] | Pending | Rejected | Retry | Release | Alone | Doubt


@dataclass(frozen=True, slots=True)
class Send:
    """Commit the attempt, then send it."""

    attempt: Attempt


@dataclass(frozen=True, slots=True)
class Look:
    """Send the look-up at that place of the attempt's declared ways."""

    attempt: Attempt
    place: int


ParkCause: TypeAlias = Literal["waiting", "throttled", "unauthorized"]


@dataclass(frozen=True, slots=True)
class Park:
    """Nothing now. Go on at ``until`` (None: when somebody acts). Throttled and unauthorized concern the whole app."""

    until: datetime | None
    reason: str
    cause: ParkCause = "waiting"


@dataclass(frozen=True, slots=True)
class Settle:
    """The operation ended. ``leftovers``: remote ids by item and step."""

    outcomes: Mapping[str, Settlement]
    leftovers: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Fault:
    """The plugin broke the contract or raised. What was answered stays; the operation runs again when the plugin is mended."""

    reason: str


Effect: TypeAlias = Send | Look | Park | Settle | Fault


def requested(effect: Send | Look) -> Request | Call:
    """What is to be sent."""
    if isinstance(effect, Send):
        return effect.attempt.step
    way = effect.attempt.step.recover[effect.place]
    assert isinstance(way, Find)
    return way.request


@dataclass(frozen=True, slots=True)
class Arrived:
    """An answer came back."""

    reply: Reply


@dataclass(frozen=True, slots=True)
class NotSent:
    """It never left: nothing was executed."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unsendable:
    """It never left, and as it is it never can: trying it again is of no use."""

    reason: str


@dataclass(frozen=True, slots=True)
class Lost:
    """It left, and no usable answer came back: nobody knows."""

    reason: str


Transmission: TypeAlias = Arrived | NotSent | Unsendable | Lost
