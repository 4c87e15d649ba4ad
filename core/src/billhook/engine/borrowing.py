"""Taking a call from every shared limit and a place from every scope, or none of them, in one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from billhook.engine.at_once import Places
from billhook.engine.budget import Window, settle_shared, store_windows
from billhook.store.transaction import Transaction


@dataclass(frozen=True, slots=True)
class Borrowed:
    """Whether the call may be made, and what everybody had spent of each shared limit before it."""

    is_granted: bool
    has_places: bool
    spent: tuple[Mapping[int, int], ...]

    def tell(self, windows: Sequence[Window], places: Sequence[Places], ends_at: datetime, now: datetime) -> None:
        """Let the app know what was learned."""
        for window, by_all in zip(windows, self.spent, strict=True):
            window.learn(by_all)
        for each in places:
            if self.is_granted:
                each.took(ends_at, now)
            elif not self.has_places:
                each.refused(now)


def borrow(
    tx: Transaction, windows: Sequence[Window], places: Sequence[Places], ends_at: datetime, now: datetime
) -> Borrowed:
    """Count one call that has ended by ``ends_at``, where every limit has room for it."""
    fresh = settle_shared(tx, windows, now)
    spent = tuple(window.spent for window in fresh)
    has_room = all(common.room(now) > own.known_here(now) for common, own in zip(fresh, windows, strict=True))
    has_places = all(each.is_free(tx, now) for each in places)
    if not (has_room and has_places):
        return Borrowed(False, has_places, spent)
    for window in fresh:
        window.spend(now, 1)
    store_windows(tx, fresh)
    for each in places:
        each.take(tx, ends_at, now)
    return Borrowed(True, True, spent)


def return_places(tx: Transaction, returned: Sequence[tuple[Places, datetime]]) -> None:
    """Give back places whose requests have ended. Always in the same order, so that no two wait for each other."""
    by_scope: dict[str, tuple[Places, list[datetime]]] = {}
    for places, ends_at in returned:
        by_scope.setdefault(places.scope, (places, []))[1].append(ends_at)
    for scope in sorted(by_scope):
        places, ends = by_scope[scope]
        places.give_back(tx, ends)
