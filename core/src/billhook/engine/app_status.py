"""Apps whose credentials are refused: their work is held until somebody connects them again."""

from __future__ import annotations

import logging

import sqlalchemy as sa

from billhook.contract.events import AppStatusChanged
from billhook.engine.context import Context
from billhook.engine.locks import to_change
from billhook.engine.moments import to_micros
from billhook.store import schema
from billhook.store.transaction import Transaction

_app = schema.app


def become_unauthorized(context: Context, tx: Transaction, app_id: str) -> None:
    """Mark the app unauthorized. Nothing is sent to it until new credentials are set."""
    _mark(context, tx, _app.c.id == app_id)


def all_become_unauthorized(context: Context, tx: Transaction, credential_id: str) -> None:
    """Mark every app unauthorized that shares the credential."""
    _mark(context, tx, _app.c.credential_id == credential_id)


def _mark(context: Context, tx: Transaction, which: sa.ColumnElement[bool]) -> None:
    now = context.clock.now()
    ready = sa.and_(which, _app.c.status == "ready", _app.c.deleted_at.is_(None))
    for app in tx.all(to_change(sa.select(_app).where(ready).order_by(_app.c.id))):
        values = {"status": "unauthorized", "updated_at": to_micros(now)}
        tx.execute(sa.update(_app).where(_app.c.id == app.id).values(values))
        event = AppStatusChanged(app.namespace, app.id, "unauthorized", bool(app.enabled), now)
        _tell(context, tx, event, app.type)


def _tell(context: Context, tx: Transaction, event: AppStatusChanged, type: str) -> None:
    fields = {"app": event.app_id, "type": type}
    tx.after_commit(lambda: context.observers.notify_app_status_changed(event))
    tx.after_commit(
        lambda: context.telemetry.log(logging.WARNING, "An app's credentials were refused; its work is held.", fields)
    )
