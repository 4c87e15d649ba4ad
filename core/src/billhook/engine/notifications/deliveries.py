"""Deliveries as the store keeps them: written with their event, ended when a channel is no longer sent to, begun anew when asked for."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from billhook.engine.notifications.kinds import DeliveryState
from billhook.store import schema
from billhook.store.statements import Insert, Update
from billhook.store.transaction import Transaction

CHANNEL_DISABLED = "The channel is disabled. Enable it, then resend."
CHANNEL_DELETED = "The channel was deleted."

_delivery = schema.notification_delivery

INSERT_DELIVERY = Insert(_delivery, ("event_id", "channel_id", "state", "reason", "due", "updated_at"))
WAKE_LANE = Update(
    schema.notification_lane,
    key=("channel_id",),
    set=("next_due",),
    where="next_due IS NULL OR next_due > {next_due}",
)


def first_delivery(event_id: str, channel_id: str, at: int, *, disabled: bool) -> tuple[Any, ...]:
    """A row of a new event's delivery: due at once, or given up where the channel is disabled."""
    if disabled:
        return (event_id, channel_id, DeliveryState.FAILED.value, CHANNEL_DISABLED, None, at)
    return (event_id, channel_id, DeliveryState.PENDING.value, "", at, at)


def give_up(tx: Transaction, channel_id: str, reason: str, at: int) -> None:
    """Send nothing more of what is on its way to a channel."""
    values = {"state": DeliveryState.FAILED.value, "reason": reason, "due": None, "updated_at": at}
    tx.execute(
        sa.update(_delivery)
        .where(_delivery.c.channel_id == channel_id, _delivery.c.due.is_not(None))
        .values(**values, version=_delivery.c.version + 1)
    )
