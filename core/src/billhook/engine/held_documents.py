"""How many documents wait for an app that can't be called, and what tells why or lets them go on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from billhook.engine.beyond_providers import all_beyond, is_among
from billhook.engine.context import Context
from billhook.engine.credentials import Credentials
from billhook.engine.doubted import IN_DOUBT
from billhook.engine.moments import to_micros
from billhook.engine.waits import why_switched_off
from billhook.engine.work import READY, Lane
from billhook.errors import BillhookError
from billhook.store import schema
from billhook.store.transaction import Transaction

_app, _operation, _work = schema.app, schema.operation, schema.work


@dataclass(frozen=True, slots=True)
class HeldDocuments:
    """So many invoices, or so many credit notes, that wait for an app which is disabled, unauthorized, or can't be used at all, or for another
    version of its provider, and why."""

    app_id: str
    app: str
    documents: int
    reason: str


def held_documents(context: Context, tx: Transaction, namespace: str, document: sa.Table) -> tuple[HeldDocuments, ...]:
    """Those of the namespace, by app. What is only due later is not among them."""
    return tuple(_held(context, tx, namespace, document))


def why_unusable(context: Context, tx: Transaction, app_id: str) -> str | None:
    """Why an app can't be used though it is ready: its provider is gone, its settings or its credentials can't be read."""
    try:
        app = context.apps.get(tx, app_id)
        if app.credential_id is not None:
            Credentials(context.clock, context.credential_keys).load(tx, app.credential_id)
    except BillhookError as error:
        return str(error)
    return None


def _held(context: Context, tx: Transaction, namespace: str, document: sa.Table) -> Iterator[HeldDocuments]:
    waiting = _waiting(context, namespace, document)
    unusable = set()
    for row in tx.all(waiting):
        reason = why_switched_off(row) or why_unusable(context, tx, row.id)
        if reason is not None:
            unusable.add(row.id)
            yield HeldDocuments(row.id, row.name, int(row.documents), reason)
    for each in all_beyond(context, tx, namespace):
        found = tx.first(waiting.where(is_among([each])))
        if found is not None and each.app_id not in unusable:
            yield HeldDocuments(each.app_id, each.app, int(found.documents), each.reason)


def _waiting(context: Context, namespace: str, document: sa.Table) -> sa.Select[Any]:
    """The apps that have something to do now for which somebody waits, and for how many documents."""
    is_due = sa.or_(_work.c.state != READY, _work.c.due <= to_micros(context.clock.now()))
    in_doubt = sa.exists().where(_operation.c.id == _work.c.operation_id, _operation.c.status == IN_DOUBT)
    app = (_app.c.id, _app.c.name, _app.c.enabled, _app.c.status)
    return (
        sa.select(*app, sa.func.count(sa.distinct(document.c.id)).label("documents"))
        .select_from(_work.join(_app, _app.c.id == _work.c.app_id).join(document, document.c.id == _work.c.subject_id))
        .where(document.c.namespace == namespace, _work.c.lane != Lane.UNASKED, is_due, ~in_doubt)
        .group_by(*app)
        .order_by(_app.c.id)
    )
