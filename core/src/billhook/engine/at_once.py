"""Requests under way at once, counted over everything that shares a scope: all operations, apps, workers and processes.

Each takes a place before it is sent and gives it back when it has ended. What never ends here, because its answer was lost or its worker
died, gives its place back by itself, when the provider has certainly stopped working on it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from billhook.contract.declaration import RequestsAtOnce
from billhook.engine.locks import hold
from billhook.engine.moments import to_micros
from billhook.engine.spent import read_spent, store_spent
from billhook.store.transaction import Transaction

NAME = "at_once"
MOMENT = timedelta(milliseconds=250)
"""How long a request waits before it asks for a place again."""


class Places:
    """What one app knows of the places of a scope: those that its own requests have, and until when there are none for it."""

    def __init__(self, limit: RequestsAtOnce, scope: str) -> None:
        self.limit = limit
        self.scope = scope
        self._own: Counter[int] = Counter()
        self._full_until: datetime | None = None

    def room(self, now: datetime) -> int:
        """How many requests may be sent now, as far as is known here."""
        if self._full_until is not None and now < self._full_until:
            return 0
        return max(self.limit.requests - _taken(self._own, now), 0)

    def opens_at(self, now: datetime) -> datetime:
        """When to ask again."""
        return now if self.room(now) > 0 else now + MOMENT

    def took(self, ends_at: datetime, now: datetime) -> None:
        """A request has a place, until then at the latest."""
        self._own = Counter({end: count for end, count in self._own.items() if end > to_micros(now)})
        self._own[to_micros(ends_at)] += 1

    def refused(self, now: datetime) -> None:
        """Others have all places."""
        self._full_until = now + MOMENT

    def gave_back(self, ends_at: datetime) -> None:
        """A request of this app ended."""
        self._own[to_micros(ends_at)] -= 1
        self._own = +self._own

    def is_free(self, tx: Transaction, now: datetime) -> bool:
        """Whether there is a place for one more, by what everybody has taken. No one else can take one until this transaction ends."""
        return _taken(self._held(tx), now) < self.limit.requests

    def take(self, tx: Transaction, ends_at: datetime, now: datetime) -> None:
        """Take a place for everybody to see."""
        taken = {end: count for end, count in self._held(tx).items() if end > to_micros(now)}
        end = to_micros(ends_at)
        store_spent(tx, [(self.scope, NAME, {**taken, end: taken.get(end, 0) + 1})])

    def give_back(self, tx: Transaction, ends: Iterable[datetime]) -> None:
        """Give back places whose requests have ended."""
        left = Counter(self._held(tx))
        left.subtract(to_micros(end) for end in ends)
        store_spent(tx, [(self.scope, NAME, +left)])

    def _held(self, tx: Transaction) -> dict[int, int]:
        hold(tx, self.scope, f"budget/{NAME}")
        return read_spent(tx, self.scope, NAME)


def _taken(taken: Mapping[int, int], now: datetime) -> int:
    return sum(count for end, count in taken.items() if end > to_micros(now))
