"""What every simulator shows of its books, and how an app reaches it: what demonstrations and checks of any provider go by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from billhook.clock import Clock
    from billhook.testing.simulator.base import Simulator


class BookedDocument(Protocol):
    """An invoice or credit note as the books have it. ``reference`` is ours, ``kind`` is ``invoice`` or ``credit_note``."""

    @property
    def id(self) -> str: ...
    @property
    def reference(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def currency(self) -> str: ...
    @property
    def total(self) -> Decimal: ...
    @property
    def is_issued(self) -> bool: ...


class BookedPayment(Protocol):
    """A payment as the books have it, in major units of its currency; failed ones too."""

    @property
    def id(self) -> str: ...
    @property
    def reference(self) -> str | None: ...
    @property
    def amount(self) -> Decimal: ...


@dataclass(frozen=True, slots=True)
class Duplicate:
    """One reference of ours that stands for several things over there: what exactly-once must never leave behind."""

    kind: str
    reference: str
    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Connection:
    """What an app is installed with to reach a simulator. ``accounts`` are the books' own, by what goes there.

    The credentials have to work as they are: where tokens are asked for, put one in that is good now.
    """

    settings: Mapping[str, Any]
    credentials: Mapping[str, str] = field(default_factory=dict, repr=False)
    accounts: Mapping[str, str] = field(default_factory=dict)


class SimulatorFactory(Protocol):
    """What an entry point of the group ``billhook.simulators`` names."""

    def __call__(
        self,
        path: str | Path = ":memory:",
        *,
        clock: Clock | None = None,
        latency_seconds: float = 0.0,
        webhook_url: str | None = None,
        hurried: bool = False,
        currency: str | None = None,
    ) -> Simulator:
        """A simulator with its books at that path.

        ``hurried``: what takes the real one days takes a moment. ``currency``: the books' own, where they have one.
        """
