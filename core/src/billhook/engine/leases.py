"""Leases: who may call an app. The holder is the only caller, and its fence number proves it at every commit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from billhook.engine.moments import maybe_from_micros, maybe_micros, to_micros
from billhook.store import schema
from billhook.store.liveness import Liveness
from billhook.store.statements import Update
from billhook.store.transaction import Transaction

_lease, _app, _work, _operation = schema.app_lease, schema.app, schema.work, schema.operation

RENEW = Update(_lease, key=("app_id", "owner", "fence"), set=("expires_at",))


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
    """Take apps that have something due and no living holder, the longest waiting first."""
    rows = tx.all(_claimable(_dead_owners(tx, owner, liveness), to_micros(now), at_most))
    expires_at = to_micros(now + lifetime)
    leases = []
    for row in rows:
        taken = tx.execute(
            sa.update(_lease)
            .where(_lease.c.app_id == row.app_id, _lease.c.fence == row.fence)
            .values(owner=owner, fence=row.fence + 1, expires_at=expires_at, next_due=expires_at)
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


def _claimable(dead: Sequence[str], now: int, at_most: int) -> sa.Select[tuple[str, int, int | None, int, int | None]]:
    free = sa.or_(_lease.c.owner.is_(None), _lease.c.owner.in_(list(dead)), _lease.c.expires_at <= now)
    usable = sa.and_(_app.c.enabled == 1, _app.c.status == "ready")
    return (
        sa.select(_lease.c.app_id, _lease.c.fence, _lease.c.throttled_until, _lease.c.failures, _lease.c.circuit_until)
        .join(_app, _app.c.id == _lease.c.app_id)
        .where(sa.or_(_lease.c.next_due <= now, _lease.c.owner.in_(list(dead))), free, usable)
        .order_by(_lease.c.next_due)
        .limit(at_most)
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
    tx: Transaction, lease: Lease, now: datetime, not_before: datetime | None, at_latest: datetime | None = None
) -> None:
    """Let others have the app, when it next has something due and may be called, or ``at_latest``."""
    mine = sa.and_(_lease.c.app_id == lease.app_id, _lease.c.owner == lease.owner, _lease.c.fence == lease.fence)
    # Locked first: what a transaction that is just being committed makes due must be seen by the next statement.
    tx.first(sa.select(_lease.c.app_id).where(mine).with_for_update())
    due = min((at for at in (next_due(tx, lease.app_id), maybe_micros(at_latest)) if at is not None), default=None)
    # Never earlier than now: it had its turn, and goes behind those that wait for theirs.
    for earliest in (now, lease.blocked_until(now), not_before):
        if due is not None and earliest is not None:
            due = max(due, to_micros(earliest))
    tx.execute(
        sa.update(_lease)
        .where(mine)
        .values(
            owner=None,
            expires_at=None,
            next_due=due,
            throttled_until=maybe_micros(lease.throttled_until),
            failures=lease.failures,
            circuit_until=maybe_micros(lease.circuit_until),
        )
    )


def next_free(tx: Transaction, now: datetime) -> datetime | None:
    """When an app that nobody holds has something due next, later than now."""
    later = sa.and_(_lease.c.owner.is_(None), _lease.c.next_due > to_micros(now))
    return maybe_from_micros(tx.scalar(sa.select(sa.func.min(_lease.c.next_due)).where(later)))


def next_due_of_any(tx: Transaction, owner: str | None = None) -> datetime | None:
    """When something is due next in any app that may be called; for that owner, in none that somebody else holds."""
    callable_apps = _lease.join(
        _app, sa.and_(_app.c.id == _lease.c.app_id, _app.c.enabled == 1, _app.c.status == "ready")
    )
    earliest = sa.select(sa.func.min(_lease.c.next_due)).select_from(callable_apps)
    if owner is not None:
        earliest = earliest.where(sa.or_(_lease.c.owner.is_(None), _lease.c.owner == owner))
    return maybe_from_micros(tx.scalar(earliest))


def next_due(tx: Transaction, app_id: str) -> int | None:
    """When the app next has something to do, None when never."""
    work = tx.scalar(sa.select(sa.func.min(_work.c.due)).where(_work.c.app_id == app_id, _work.c.state == 0))
    parked = tx.scalar(
        sa.select(sa.func.min(_operation.c.due)).where(_operation.c.app_id == app_id, _operation.c.status == "open")
    )
    return min((due for due in (work, parked) if due is not None), default=None)
