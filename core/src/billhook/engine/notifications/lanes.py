"""Lanes: who sends to a channel. One dispatcher at a time, which keeps what is told in order and a slow receiver to itself."""

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

_lane, _delivery = schema.notification_lane, schema.notification_delivery

RENEW = Update(_lane, key=("channel_id", "owner", "fence"), set=("expires_at", "failing_since"))


@dataclass(slots=True)
class Lane:
    """The right to send to one channel, while ``fence`` is its row's."""

    channel_id: str
    fence: int
    failing_since: datetime | None

    @property
    def is_failing(self) -> bool:
        """Whether nothing has arrived there of late."""
        return self.failing_since is not None


def claim(
    tx: Transaction, owner: str, liveness: Liveness, now: datetime, lifetime: timedelta, at_most: int
) -> list[Lane]:
    """Take channels for which something is due and nobody living sends, the longest waiting first."""
    dead = _dead_owners(tx, owner, liveness)
    free = sa.or_(_lane.c.owner.is_(None), _lane.c.owner.in_(dead), _lane.c.expires_at <= to_micros(now))
    due = sa.or_(_lane.c.next_due <= to_micros(now), _lane.c.owner.in_(dead))
    rows = tx.all(
        sa.select(_lane.c.channel_id, _lane.c.fence, _lane.c.failing_since)
        .where(due, free)
        .order_by(_lane.c.next_due)
        .limit(at_most)
        .with_for_update(skip_locked=True)
    )
    expires_at = to_micros(now + lifetime)
    tx.execute(
        sa.update(_lane)
        .where(_lane.c.channel_id.in_([row.channel_id for row in rows]))
        .values(owner=owner, fence=_lane.c.fence + 1, expires_at=expires_at, next_due=expires_at)
    )
    return [Lane(row.channel_id, row.fence + 1, maybe_from_micros(row.failing_since)) for row in rows]


def _dead_owners(tx: Transaction, owner: str, liveness: Liveness) -> list[str]:
    others = sa.select(_lane.c.owner).where(_lane.c.owner.is_not(None), _lane.c.owner != owner).distinct()
    return [row.owner for row in tx.all(others) if not liveness.is_alive(row.owner)]


def renew(tx: Transaction, owner: str, lanes: Sequence[Lane], now: datetime, lifetime: timedelta) -> set[str]:
    """Keep these lanes, and how they fare. Returns the channels of those that somebody else has taken."""
    expires_at = to_micros(now + lifetime)
    rows = [(lane.channel_id, owner, lane.fence, expires_at, maybe_micros(lane.failing_since)) for lane in lanes]
    if tx.update_many(RENEW, rows) == len(rows):
        return set()
    kept = tx.select_in(_lane, ("channel_id", "owner", "fence"), "channel_id", [lane.channel_id for lane in lanes])
    fences = {channel_id: fence for channel_id, holder, fence in kept if holder == owner}
    return {lane.channel_id for lane in lanes if fences.get(lane.channel_id) != lane.fence}


def release(tx: Transaction, owner: str, lanes: Iterable[Lane]) -> None:
    """Let others have these lanes when something is due in them next."""
    mine = sa.and_(_lane.c.channel_id.in_([lane.channel_id for lane in lanes]), _lane.c.owner == owner)
    # Locked first: what was made due by a transaction that is just being committed must be seen by the next statement.
    tx.all(sa.select(_lane.c.channel_id).where(mine).order_by(_lane.c.channel_id).with_for_update())
    next_due = sa.select(sa.func.min(_delivery.c.due)).where(_delivery.c.channel_id == _lane.c.channel_id)
    values = {"owner": None, "expires_at": None, "next_due": next_due.scalar_subquery()}
    tx.execute(sa.update(_lane).where(mine).values(values))


def next_due(tx: Transaction, owner: str) -> datetime | None:
    """When something is due that this owner may send, None when nothing is."""
    mine = sa.or_(_lane.c.owner.is_(None), _lane.c.owner == owner)
    return maybe_from_micros(tx.scalar(sa.select(sa.func.min(_lane.c.next_due)).where(mine)))
