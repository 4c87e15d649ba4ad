"""Work that the provider of an app can't do, because another version of it could more: it waits for one that can, and a person is told."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import sqlalchemy as sa

from billhook.contract.declaration import Capability
from billhook.engine.apps import AppHandle
from billhook.engine.context import Context
from billhook.engine.open_operation import WORKED
from billhook.engine.records import AppStatus
from billhook.engine.work import ADVANCE, CLAIMED, Lane
from billhook.errors import BillhookError
from billhook.store import schema
from billhook.store.transaction import Transaction

_app, _work = schema.app, schema.work


class Beyond(NamedTuple):
    """So many things to do at an app by an operation that its provider can't do, and why."""

    app_id: str
    app: str
    operation: str
    items: int
    reason: str


def beyond(app: AppHandle) -> frozenset[str]:
    """The operations that can be work, and that the app's provider can't do."""
    can = app.handle.declaration.can
    return frozenset(capability.value for capability in WORKED if not can(capability))


def all_beyond(context: Context, tx: Transaction, namespace: str) -> tuple[Beyond, ...]:
    """What somebody asked for at the namespace's apps that can be called, and that their providers can't do."""
    select = (
        sa.select(_work.c.app_id, _work.c.operation, sa.func.count().label("items"))
        .join(_app, _app.c.id == _work.c.app_id)
        .where(_app.c.namespace == namespace, _app.c.enabled == 1, _app.c.status == AppStatus.READY.value)
        .where(_work.c.operation != ADVANCE, _work.c.state != CLAIMED, _work.c.lane != Lane.UNASKED)
        .group_by(_work.c.app_id, _work.c.operation)
        .order_by(_work.c.app_id, _work.c.operation)
    )
    found = ((_readable(context, tx, row.app_id), row) for row in tx.all(select))
    return tuple(
        Beyond(app.id, app.name, row.operation, int(row.items), _why(app, row.operation))
        for app, row in found
        if app is not None and row.operation in beyond(app)
    )


def is_among(held: Iterable[Beyond]) -> sa.ColumnElement[bool]:
    """Whether work is what these tell of."""
    named = [sa.and_(_work.c.app_id == each.app_id, _work.c.operation == each.operation) for each in held]
    return sa.and_(_work.c.state != CLAIMED, sa.or_(sa.false(), *named))


def _readable(context: Context, tx: Transaction, app_id: str) -> AppHandle | None:
    """The app; None where its provider is gone or it can't be read, which is told of anyhow."""
    try:
        return context.apps.get(tx, app_id)
    except BillhookError:
        return None


def _why(app: AppHandle, operation: str) -> str:
    why_not = app.handle.declaration.why_not(Capability(operation)).rstrip(".")
    return f"Its provider {app.type} can't {operation}: {why_not}. It goes on with a version of the provider that can."
