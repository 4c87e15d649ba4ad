"""What every part of the engine shares, all of it passed in: nothing reads a global."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Annotated, Protocol

from pydantic import Field, NonNegativeInt, PositiveInt

from billhook.clock import Clock
from billhook.domain.ids import new_ulid
from billhook.domain.invoice import InvoiceContent
from billhook.domain.mapping import MappedLine
from billhook.engine.apps import Apps
from billhook.engine.arguments import checked
from billhook.engine.credential_keys import CredentialKeys
from billhook.engine.kept_rows import KeptRows
from billhook.engine.notifications.targets import Targets
from billhook.engine.telemetry import Telemetry
from billhook.faults import Faults
from billhook.plugins.observers import Observers
from billhook.store.database import Database
from billhook.store.transaction import Transaction

PositiveTime = Annotated[timedelta, Field(gt=timedelta())]
Randomness = Callable[[int], bytes]
"""Gives that many random bytes; ``secrets.token_bytes`` outside tests."""


class Documents(Protocol):
    """Immutable revisions and mappings, kept in memory as far as there is room."""

    def contents(self, tx: Transaction, keys: Sequence[tuple[str, int]]) -> dict[tuple[str, int], InvoiceContent]:
        """Revisions by (document id, revision)."""
        ...

    def mappings(
        self, tx: Transaction, keys: Sequence[tuple[str, int, str]]
    ) -> dict[tuple[str, int, str], tuple[MappedLine, ...]]:
        """Mapped lines by (document id, revision, app id); a key without a mapping is absent."""
        ...

    def forget(self, document_ids: Collection[str]) -> None:
        """Keep these no longer: they are finished, or their personal data were erased."""
        ...


@checked
@dataclass(frozen=True)
class Policy:
    """How the engine behaves where nobody else says. All times are real durations."""

    lease: PositiveTime = timedelta(minutes=5)
    """An owner that is alive but silent for this long loses its apps. Longer than any call may take."""
    slice: PositiveTime = timedelta(seconds=10)
    """For how long one app is worked on before others get a turn."""
    apps_per_worker: PositiveInt = 64
    send_margin: timedelta = timedelta(milliseconds=500)
    """What must be left of a request's time when it is sent."""
    first_backoff: PositiveTime = timedelta(seconds=2)
    longest_backoff: PositiveTime = timedelta(minutes=10)
    retries: NonNegativeInt = 30
    """How often an item is tried again before it fails visibly."""
    look_ups: NonNegativeInt = 12
    """How often a look-up is tried before the item stops in doubt."""
    first_look: PositiveTime = timedelta(days=1)
    """How long after it was issued an invoice that its customer owes is looked at in the books of its app without being told of anything."""
    longest_unseen: PositiveTime = timedelta(days=7)
    """Each such look comes after twice the time, and at least so often, until the invoice is paid, void or uncollectible."""
    longest_wait: PositiveTime = timedelta(days=30)
    """For how long a provider may leave an item pending that it gave no time to give up; then it fails visibly. Money is waited for
    without end, and so is a caller who confirms."""
    renew_before: timedelta = timedelta(minutes=5)
    """Credentials are renewed when they expire within this time, or have used three quarters of theirs."""
    renew_unused: timedelta = timedelta(days=30)
    """Credentials that expire are renewed this long after they last were, even where nothing is to be sent: grants die of disuse, Xero's after
    60 days, Intuit's after 100."""
    circuit_failures: PositiveInt = 5
    """So many failures in a row open the app's circuit."""
    orphan_after: timedelta = timedelta(days=1)
    """A webhook that matches nothing for this long is shown as an orphan."""
    largest_round: PositiveInt = 2_000
    """How many items one commit may settle."""


class Wakeups:
    """Wakes whoever of this process waits for something to do."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._count = 0

    def wake(self) -> None:
        """There may be something to do."""
        with self._condition:
            self._count += 1
            self._condition.notify_all()

    @property
    def count(self) -> int:
        """How often somebody woke us; read before looking for work, given to ``wait`` afterwards."""
        return self._count

    def wait(self, clock: Clock, seen: int, timeout_seconds: float | None) -> None:
        """Sleep until somebody wakes us, or the time is up. Returns at once when we were woken since ``seen``."""
        with self._condition:
            if self._count == seen:
                clock.wait(self._condition, timeout_seconds)


@dataclass(frozen=True)
class Context:
    """The engine's surroundings."""

    database: Database
    clock: Clock
    apps: Apps
    documents: Documents
    observers: Observers
    telemetry: Telemetry
    faults: Faults
    credential_keys: CredentialKeys
    policy: Policy = field(default_factory=Policy)
    randomness: Randomness = secrets.token_bytes
    wakeups: Wakeups = field(default_factory=Wakeups)
    notice_wakeups: Wakeups = field(default_factory=Wakeups)
    targets: Targets = field(default_factory=Targets)
    rows: KeptRows = field(default_factory=KeptRows)

    def new_id(self, at: datetime) -> str:
        """A fresh ULID for something made at that time."""
        return new_ulid(at, self.randomness(10))
