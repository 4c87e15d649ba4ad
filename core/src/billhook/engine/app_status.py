"""An app whose credentials are refused: its work is held until somebody connects it again."""

from __future__ import annotations

import logging

import sqlalchemy as sa

from billhook.contract.events import AppStatusChanged
from billhook.engine.apps import AppHandle
from billhook.engine.context import Context
from billhook.engine.moments import to_micros
from billhook.store import schema
from billhook.store.transaction import Transaction


def become_unauthorized(context: Context, tx: Transaction, app: AppHandle) -> None:
    """Mark the app unauthorized. Nothing is sent to it until new credentials are set."""
    now = context.clock.now()
    tx.execute(
        sa.update(schema.app).where(schema.app.c.id == app.id).values(status="unauthorized", updated_at=to_micros(now))
    )
    event = AppStatusChanged(app.namespace, app.id, "unauthorized", app.enabled, now)
    tx.after_commit(lambda: context.observers.notify_app_status_changed(event))
    context.telemetry.log(
        logging.WARNING, "An app's credentials were refused; its work is held.", {"app": app.id, "type": app.type}
    )
