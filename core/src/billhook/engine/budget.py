"""Rate budgets: never more than N calls in any stretch of time, counted where the limit's scope says, and kept across restarts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from billhook.contract.declaration import Capability, RateLimit, Scope
from billhook.engine.apps import AppHandle
from billhook.engine.at_once import Places
from billhook.engine.locks import hold
from billhook.engine.moments import MICROSECOND, from_micros, span_micros, to_micros
from billhook.engine.spent import read_spent, scope_name, store_spent
from billhook.store.transaction import Transaction

STEPS = 240
"""So many steps make a stretch: what is lost is one in so many calls, and what is kept is that many counts."""
CALLS_TO_KNOW = 20
"""So many calls must have come back before the fastest of them is believed to show how long the way is."""


class Purpose(NamedTuple):
    """What a request is for: limits may count only some. ``step`` is None while nobody knows it yet."""

    capability: Capability
    step: str | None = None


class Trip(NamedTuple):
    """A call on its way, by whoever made it: when it left, when it ended, and whether it ended with an answer."""

    left_at: datetime
    ended_at: datetime
    was_answered: bool


class Window:
    """What was spent of one limit. Time is counted in steps, many to its stretch; a step counts until it has wholly left.

    A call is counted before it is sent, and may reach the provider as late as its answer comes back, less the way that every call takes. So
    a call of this process counts on while it is under way, and for as much longer afterwards as it was slower than the fastest.

    Where somebody else spends too, as many calls are left to them as they may have made since the provider last told.
    """

    def __init__(self, limit: RateLimit, scope: str, spent: Mapping[int, int] | None = None) -> None:
        self.limit = limit
        self.scope = scope
        self._per = span_micros(limit.per)
        self._step = max(-(-self._per // STEPS), 1)
        self._spent: dict[int, int] = dict(spent or {})
        self._under_way: Counter[int] = Counter()
        self._landed: list[tuple[int, int]] = []
        self._told: Counter[int] = Counter()
        self._told_at = 0
        self._pace = Pace(self._per // 4)
        self.is_dirty = False

    def room(self, now: datetime) -> int:
        """How many calls may be made now."""
        self._forget(now)
        return max(self.limit.calls - sum(self._spent.values()) - self.known_here(now), 0)

    def known_here(self, now: datetime) -> int:
        """How many calls of this stretch this process alone knows of or has to expect: its own that were counted before it and may have
        arrived in it, and those of others that the provider told of or has not told of yet.
        """
        return self._own_beside(now) + (self._others(now) if is_shared(self) else 0) + self._left_to_others(now)

    def sent(self, counted_at: datetime) -> None:
        """A call that was counted then is under way."""
        self._under_way[self._step_of(counted_at)] += 1

    def landed(self, counted_at: datetime, trip: Trip | None) -> None:
        """It came back, or (without a trip) never left."""
        self._under_way[self._step_of(counted_at)] -= 1
        if trip is None:
            return
        counted, ended = to_micros(counted_at), to_micros(trip.ended_at)
        if trip.was_answered:
            self._pace.note(ended - to_micros(trip.left_at))
        if ended // self._step > counted // self._step:
            self._landed.append((counted, ended))

    def spend(self, now: datetime, calls: int) -> None:
        """Count so many calls."""
        step = self._step_of(now)
        self._spent[step] = self._spent.get(step, 0) + calls
        self.is_dirty = True

    def observe(self, now: datetime, remaining: int) -> None:
        """The provider says how many are left; somebody else may be spending from the same budget."""
        room = self.room(now) + self._left_to_others(now)
        self._told_at = to_micros(now)
        if remaining >= room:
            return
        self._told[self._step_of(now)] += room - remaining
        if not is_shared(self):
            self.spend(now, room - remaining)  # in a shared one `learn` takes over the row, which does not have it

    def has_memory(self, now: datetime) -> bool:
        """Whether this process knows of calls that the store does not tell, or tells as earlier than they may have arrived."""
        self._forget(now)
        return bool(self._landed or self._told)

    def remember(self, earlier: Window) -> None:
        """Take over what this process alone knows, from when it last held this."""
        self._landed, self._pace = earlier._landed, earlier._pace
        self._told, self._told_at = earlier._told, earlier._told_at

    def opens_at(self, now: datetime, leaving: int = 0) -> datetime:
        """When the next call may be made that leaves so many for others."""
        short = leaving + 1 - self.room(now)
        if short <= 0:
            return now
        counted = Counter(self._spent) + self._told + Counter(self._arrived(landed) for _, landed in self._landed)
        # What is still under way says nothing of when it lands: look again in a moment.
        last = self._step_of(now) - STEPS
        for step in sorted(counted):
            last, short = step, short - counted[step]
            if short <= 0:
                break
        return max(from_micros((last + STEPS + 1) * self._step), now + self._step * MICROSECOND)

    def part(self, share: int | None) -> int:
        """How many calls of a stretch one part in so many is; of None it is nothing."""
        return 0 if share is None else self.limit.calls // share

    def learn(self, spent: Mapping[int, int]) -> None:
        """Take over what others have spent too."""
        self._spent = dict(spent)

    @property
    def spent(self) -> dict[int, int]:
        """How many calls were made, by step."""
        return dict(self._spent)

    def _own_beside(self, now: datetime) -> int:
        oldest = self._step_of(now) - STEPS
        under_way = sum(calls for step, calls in self._under_way.items() if step < oldest)
        landed = sum(counted // self._step < oldest <= self._arrived(landed) for counted, landed in self._landed)
        return under_way + landed

    def _others(self, now: datetime) -> int:
        oldest = self._step_of(now) - STEPS
        return sum(calls for step, calls in self._told.items() if step >= oldest)

    def _left_to_others(self, now: datetime) -> int:
        others = self._others(now)
        if not others:
            return 0
        # What the next answer tells may or may not count those that are under way beside it.
        beside = sum(self._under_way.values())
        return -(-others * (to_micros(now) - self._told_at) // self._per) + beside

    def _forget(self, now: datetime) -> None:
        oldest = self._step_of(now) - STEPS
        for step in [step for step in self._spent if step < oldest]:
            del self._spent[step]
        self._under_way = +self._under_way
        self._told = Counter({step: calls for step, calls in self._told.items() if step >= oldest})
        self._landed = [(counted, landed) for counted, landed in self._landed if self._arrived(landed) >= oldest]

    def _arrived(self, landed: int) -> int:
        """The step in which a call that landed then may have reached the provider at the latest."""
        return (landed - self._pace.fastest) // self._step

    def _step_of(self, at: datetime) -> int:
        return to_micros(at) // self._step


class Pace:
    """How long calls take, in microseconds: what even the fastest of many took is the way there and back. Never more than ``most``."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._calls = 0
        self._fastest = most

    @property
    def fastest(self) -> int:
        """What every call takes at least; nothing while too few were made to know."""
        return self._fastest if self._calls >= CALLS_TO_KNOW else 0

    def note(self, took: int) -> None:
        """A call took so long."""
        self._calls += 1
        self._fastest = min(self._fastest, took)


class Budget:
    """All limits of one app. Rates of its own scope are counted in memory; shared ones, and places, are taken from their row."""

    def __init__(self, windows: Sequence[Window], places: Sequence[Places] = ()) -> None:
        self.windows = tuple(windows)
        self.places = tuple(places)

    def room(self, purpose: Purpose, now: datetime, wanted: int, share_left: int | None = None) -> int:
        """How many calls for that purpose may be made now, at most ``wanted``; ``share_left`` of each rate, one part in so many, is left to others."""
        windows = (max(window.room(now) - window.part(share_left), 0) for window in self._for(purpose))
        return min([wanted, *windows, *(places.room(now) for places in self.places)])

    def spend(self, purpose: Purpose, now: datetime) -> None:
        """Count one call."""
        for window in self._for(purpose):
            window.spend(now, 1)

    def sent(self, purpose: Purpose, counted_at: datetime) -> None:
        """A call for that purpose, counted then, is under way."""
        for window in self._for(purpose):
            window.sent(counted_at)

    def landed(self, purpose: Purpose, counted_at: datetime, trip: Trip | None) -> None:
        """It came back, or (without a trip) never left."""
        for window in self._for(purpose):
            window.landed(counted_at, trip)

    def opens_at(self, purpose: Purpose, now: datetime, share_left: int | None = None) -> datetime:
        """When the next call for that purpose may be made that leaves that share to others."""
        windows = [window.opens_at(now, window.part(share_left)) for window in self._for(purpose)]
        return max([*windows, *(places.opens_at(now) for places in self.places)], default=now)

    def observe(self, remaining: Mapping[str, int], now: datetime) -> None:
        """Take in what a reply said is left."""
        for window in self.windows:
            if window.limit.name in remaining:
                window.observe(now, remaining[window.limit.name])

    def remember(self, earlier: Budget) -> None:
        """Take over what this process alone knows, from when it last held this."""
        before = {(window.scope, window.limit.name): window for window in earlier.windows}
        for window in self.windows:
            if (window.scope, window.limit.name) in before:
                window.remember(before[window.scope, window.limit.name])

    def has_memory(self, now: datetime) -> bool:
        """Whether this process knows something of it that the store does not."""
        return any(window.has_memory(now) for window in self.windows)

    def dirty(self) -> list[Window]:
        """Windows that must be stored before the calls they count are sent."""
        return [window for window in self.windows if window.is_dirty]

    def shared(self, purpose: Purpose) -> list[Window]:
        """The limits of that purpose that several apps count on."""
        return [window for window in self._for(purpose) if is_shared(window)]

    def _for(self, purpose: Purpose) -> list[Window]:
        return [window for window in self.windows if window.limit.counts(purpose.capability, purpose.step)]


def read_budget(tx: Transaction, app: AppHandle) -> Budget:
    """The app's limits with what was spent of them."""
    windows = []
    for limit in app.limits:
        scope = scope_name(limit.scope, app)
        windows.append(Window(limit, scope, read_spent(tx, scope, limit.name)))
    return Budget(windows, [Places(limit, scope_name(limit.scope, app)) for limit in app.handle.declaration.at_once])


def settle_shared(tx: Transaction, windows: Sequence[Window], now: datetime) -> list[Window]:
    """Shared windows as they stand for everybody, locked until this transaction ends."""
    fresh = []
    for window in windows:
        hold(tx, window.scope, f"budget/{window.limit.name}")
        fresh.append(Window(window.limit, window.scope, read_spent(tx, window.scope, window.limit.name)))
    return fresh


def store_windows(tx: Transaction, windows: Sequence[Window]) -> None:
    """Keep what was spent."""
    store_spent(tx, [(window.scope, window.limit.name, window.spent) for window in windows])


def is_shared(window: Window) -> bool:
    """Whether several apps count on it."""
    return window.limit.scope is not Scope.APP
