"""Leases: who may call an app. The holder is the only caller, and its fence number proves it at every commit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from types import MappingProxyType
from typing import Any, NamedTuple

import sqlalchemy as sa

from billhook.contract.declaration import Capability
from billhook.contract.operations import OPERATIONS
from billhook.engine.moments import maybe_from_micros, maybe_micros, to_micros
from billhook.engine.work import ADVANCE, READY, Lane
from billhook.store import schema
from billhook.store.liveness import Liveness
from billhook.store.statements import Query, Update
from billhook.store.transaction import Transaction

_lease, _app, _work, _operation = schema.app_lease, schema.app, schema.work, schema.operation

RENEW = Update(_lease, key=("app_id", "owner", "fence"), set=("expires_at",))

_OPERATIONS = (ADVANCE, *OPERATIONS)
_ASKED = [lane for lane in Lane if lane is not Lane.UNASKED]
_NONE_SHUT: Mapping[str, datetime] = MappingProxyType({})


@dataclass(slots=True)
class Lease:
    """The right to call one app, while ``fence`` is its row's."""

    app_id: str
    owner: str
    fence: int
    throttled_until: datetime | None = None
    failures: int = 0
    circuit_until: datetime | None = None

    def blocked_until(self, now: datetime) -> datetime | None:
        """Until when nothing may be sent, None when it may."""
        times = [at for at in (self.throttled_until, self.circuit_until) if at is not None and at > now]
        return max(times, default=None)


def claim(
    tx: Transaction, owner: str, liveness: Liveness, now: datetime, lifetime: timedelta, at_most: int
) -> list[Lease]:
    """Take apps that have something due and no living holder, the longest waiting first; last those where nobody asked for it."""
    dead = _dead_owners(tx, owner, liveness)
    is_due = sa.or_(_lease.c.next_due <= to_micros(now), _lease.c.owner.in_(dead))
    rows = tx.all(_claimable(is_due, dead, to_micros(now)).order_by(_lease.c.next_due).limit(at_most))
    if len(rows) < at_most:
        is_unasked = sa.and_(
            _lease.c.next_unasked <= to_micros(now), _lease.c.app_id.not_in([row.app_id for row in rows])
        )
        others = _claimable(is_unasked, dead, to_micros(now)).order_by(_lease.c.next_unasked)
        rows = [*rows, *tx.all(others.limit(at_most - len(rows)))]
    expires_at = to_micros(now + lifetime)
    leases = []
    for row in rows:
        taken = tx.execute(
            sa.update(_lease)
            .where(_lease.c.app_id == row.app_id, _lease.c.fence == row.fence)
            .values(owner=owner, fence=row.fence + 1, expires_at=expires_at, next_due=expires_at, next_unasked=None)
        )
        if taken.rowcount:
            leases.append(
                Lease(
                    row.app_id,
                    owner,
                    row.fence + 1,
                    maybe_from_micros(row.throttled_until),
                    row.failures,
                    maybe_from_micros(row.circuit_until),
                )
            )
    return leases


def _claimable(is_due: sa.ColumnElement[bool], dead: Sequence[str], now: int) -> sa.Select[Any]:
    free = sa.or_(_lease.c.owner.is_(None), _lease.c.owner.in_(dead), _lease.c.expires_at <= now)
    usable = sa.and_(_app.c.enabled == 1, _app.c.status == "ready")
    return (
        sa.select(_lease.c.app_id, _lease.c.fence, _lease.c.throttled_until, _lease.c.failures, _lease.c.circuit_until)
        .join(_app, _app.c.id == _lease.c.app_id)
        .where(is_due, free, usable)
    )


def _dead_owners(tx: Transaction, owner: str, liveness: Liveness) -> list[str]:
    owners = tx.all(sa.select(_lease.c.owner).where(_lease.c.owner.is_not(None), _lease.c.owner != owner).distinct())
    return [row.owner for row in owners if not liveness.is_alive(row.owner)]


def held(tx: Transaction, leases: Iterable[Lease]) -> set[str]:
    """The apps of these leases that are still held."""
    mine = {lease.app_id: lease for lease in leases}
    rows = tx.select_in(_lease, ("app_id", "owner", "fence"), "app_id", list(mine))
    return {app_id for app_id, owner, fence in rows if (owner, fence) == (mine[app_id].owner, mine[app_id].fence)}


def renew(tx: Transaction, leases: Sequence[Lease], now: datetime, lifetime: timedelta) -> int:
    """The holder is alive and at work. Says how many of the leases are still the holder's, who keeps them until the commit."""
    expires_at = to_micros(now + lifetime)
    return tx.update_many(RENEW, [(lease.app_id, lease.owner, lease.fence, expires_at) for lease in leases])


def release(
    tx: Transaction,
    lease: Lease,
    now: datetime,
    *,
    not_before: datetime | None = None,
    shut: Mapping[str, datetime] = _NONE_SHUT,
    unasked_from: datetime | None = None,
    at_latest: datetime | None = None,
) -> None:
    """Let others have the app, when it next has something due and may be called, or ``at_latest``.

    ``shut`` are the operations whose limits are spent, and when those open again: they hold up no other. What nobody asked for waits until
    ``unasked_from``, and nothing is done ``not_before``.
    """
    mine = sa.and_(_lease.c.app_id == lease.app_id, _lease.c.owner == lease.owner, _lease.c.fence == lease.fence)
    # Locked first: what a transaction that is just being committed makes due must be seen by the next statement.
    tx.first(sa.select(_lease.c.app_id).where(mine).with_for_update())
    due = next_due(tx, lease.app_id, shut)
    # Never earlier than now: it had its turn, and goes behind those that wait for theirs.
    earliest = _latest(now, lease.blocked_until(now), not_before)
    opens_at = _latest(earliest, min(shut.values(), default=None))
    unasked_from = _latest(earliest, unasked_from, shut.get(Capability.FETCH))
    asked = [(due.others, earliest), (due.parked, earliest), (at_latest, earliest), (due.shut, opens_at)]
    tx.execute(
        sa.update(_lease)
        .where(mine)
        .values(
            owner=None,
            expires_at=None,
            next_due=maybe_micros(min((max(at, start) for at, start in asked if at is not None), default=None)),
            next_unasked=None if due.unasked is None else to_micros(max(due.unasked, unasked_from)),
            throttled_until=maybe_micros(lease.throttled_until),
            failures=lease.failures,
            circuit_until=maybe_micros(lease.circuit_until),
        )
    )


def _latest(first: datetime, *others: datetime | None) -> datetime:
    return max([first, *(at for at in others if at is not None)])


def next_free(tx: Transaction, now: datetime) -> datetime | None:
    """When an app that nobody holds has something due next, later than now."""
    return _earliest(
        tx.scalar(sa.select(sa.func.min(column)).where(_lease.c.owner.is_(None), column > to_micros(now)))
        for column in (_lease.c.next_due, _lease.c.next_unasked)
    )


def next_due_of_any(tx: Transaction, owner: str | None = None, *, unasked: bool) -> datetime | None:
    """When something is due next in any app that may be called; for that owner, in none that somebody else holds. ``unasked``: also what nobody
    asked for."""
    callable_apps = _lease.join(
        _app, sa.and_(_app.c.id == _lease.c.app_id, _app.c.enabled == 1, _app.c.status == "ready")
    )
    mine = sa.true() if owner is None else sa.or_(_lease.c.owner.is_(None), _lease.c.owner == owner)
    columns = (_lease.c.next_due, _lease.c.next_unasked) if unasked else (_lease.c.next_due,)
    return _earliest(
        tx.scalar(sa.select(sa.func.min(column)).select_from(callable_apps).where(mine)) for column in columns
    )


def _earliest(times: Iterable[int | None]) -> datetime | None:
    return maybe_from_micros(min((at for at in times if at is not None), default=None))


class NextDue(NamedTuple):
    """When an app next has something to do: of operations that are shut, of the others, of what was begun and goes on, and of what nobody asked
    for. None where there is nothing."""

    others: datetime | None
    shut: datetime | None
    parked: datetime | None
    unasked: datetime | None


def next_due(tx: Transaction, app_id: str, shut: Iterable[str] = ()) -> NextDue:
    """When the app next has something to do."""
    (times,) = tx.fetch(_next_due(frozenset(shut)), {"app": app_id})
    return NextDue(*map(maybe_from_micros, times))


@cache
def _next_due(shut: frozenset[str]) -> Query:
    columns = (
        _earliest_work([name for name in _OPERATIONS if name not in shut], _ASKED),
        _earliest_work(sorted(shut), _ASKED) if shut else sa.null(),
        sa.select(sa.func.min(_operation.c.due))
        .where(_operation.c.app_id == sa.bindparam("app"), _operation.c.status == "open")
        .scalar_subquery(),
        _earliest_work([Capability.FETCH], [Lane.UNASKED]),
    )
    return Query(sa.select(*columns))


def _earliest_work(names: Sequence[str], lanes: Sequence[Lane]) -> sa.ScalarSelect[Any]:
    # Looks that nobody asked for are as many as unpaid invoices: an index that begins with the operation and the lane finds the first without them.
    return (
        sa.select(sa.func.min(_work.c.due))
        .where(
            _work.c.app_id == sa.bindparam("app"),
            _work.c.state == sa.literal_column(f"{READY:d}"),
            _work.c.operation.in_([sa.literal_column(f"'{name}'") for name in names]),
            _work.c.lane.in_([sa.literal_column(f"{lane:d}") for lane in lanes]),
        )
        .scalar_subquery()
    )
