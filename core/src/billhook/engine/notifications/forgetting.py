"""Notifications that arrived, or were given up, long ago: removed with everything that belongs to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from billhook.store import schema
from billhook.store.statements import Delete
from billhook.store.transaction import Transaction

_event, _delivery = schema.notification_event, schema.notification_delivery

_DELETES = (
    Delete(schema.notification_attempt, key=("event_id",)),
    Delete(_delivery, key=("event_id",)),
    Delete(_event, key=("id",)),
)


def settled_events(namespace: str | None, before: int) -> sa.Select[Any]:
    """Events that were told before that time, and of which nothing is on its way."""
    on_its_way = sa.select(_delivery.c.event_id).where(
        _delivery.c.event_id == _event.c.id, _delivery.c.due.is_not(None)
    )
    select = sa.select(_event.c.id).where(_event.c.created_at < before, ~on_its_way.exists())
    return select if namespace is None else select.where(_event.c.namespace == namespace)


def delete_events(tx: Transaction, rows: Sequence[Any]) -> None:
    """Remove these events with their deliveries and attempts."""
    for statement in _DELETES:
        tx.delete_many(statement, [(row.id,) for row in rows])
