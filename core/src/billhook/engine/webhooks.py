"""Webhooks in: verified before anything is stored, each event kept once, answered at once and worked later by a read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from billhook.contract.declaration import Capability
from billhook.contract.webhooks import Refusal, WebhookEvent
from billhook.engine.apps import AppHandle
from billhook.engine.conformity import misfit
from billhook.engine.context import Context
from billhook.engine.credentials import Credentials
from billhook.engine.inbox import INBOX, MEANWHILE, UNMATCHED, Known, ask_to_read, follow, known_by
from billhook.engine.locks import hold
from billhook.engine.moments import to_micros
from billhook.engine.telling import told, told_text
from billhook.engine.unit import Unit
from billhook.engine.work import Lane, WorkRow
from billhook.errors import BillhookError, WebhookRefused
from billhook.store import schema
from billhook.store.statements import Query
from billhook.store.transaction import Transaction

_inbox = schema.inbox

LONGEST_NAME = 255
"""How long an id or a name may be that comes with a webhook."""

_CAME_MEANWHILE = Query(
    sa.select(_inbox.c.event_id, _inbox.c.matched_id)
    .where(_inbox.c.app_id == sa.bindparam("app"), _inbox.c.state == MEANWHILE)
    .limit(10_000)
)


class Webhooks:
    """Takes webhooks for apps."""

    def __init__(self, context: Context, credentials: Credentials) -> None:
        self._context = context
        self._credentials = credentials

    def receive(self, app_id: str, headers: Mapping[str, str], body: bytes) -> int:
        """Verify a webhook and keep its events. Returns how many were new.

        Raises WebhookRefused, with nothing stored, when the provider does not accept it; NotFound for an unknown app.
        """
        now = self._context.clock.now()
        with self._context.database.read() as tx:
            app = self._context.apps.get(tx, app_id)
            secrets = self._credentials.load(tx, app.credential_id).secrets if app.credential_id else {}
        events = self._read(app, headers, body, secrets, now)
        return self._context.database.write(lambda tx: self._keep(tx, app, events, now)) if events else 0

    def _read(
        self, app: AppHandle, headers: Mapping[str, str], body: bytes, secrets: Mapping[str, Any], now: datetime
    ) -> Sequence[WebhookEvent]:
        lowered = {name.lower(): value for name, value in headers.items()}
        credentials = app.handle.credentials(secrets) if secrets else None
        try:
            read = app.handle.read_webhook(lowered, body, credentials, now, app.settings)
        except BillhookError:
            raise
        except Exception as error:
            raise WebhookRefused(
                f"A webhook for app {app.name} can't be read ({told(error, credentials)}). Mend the plugin if it should be."
            ) from error
        if isinstance(read, Refusal):
            raise WebhookRefused(
                f"A webhook for app {app.name} is refused: {told_text(read.reason, credentials)}. Check the app's webhook secret."
            )
        for event in read:
            _check(app, event)
        return read

    def _keep(self, tx: Transaction, app: AppHandle, events: Sequence[WebhookEvent], now: datetime) -> int:
        hold(tx, app.id, INBOX)
        fresh = self._unseen(tx, app.id, events)
        unit = Unit(self._context, tx, lane=Lane.WEBHOOK)
        for event in fresh:
            known = known_by(tx, app.id, event)
            state = UNMATCHED if known is None else ask_to_read(unit, app, known)
            tx.execute(sa.insert(_inbox).values(self._row(app.id, event, state, known, now)))
        unit.flush()
        return len(fresh)

    def _unseen(self, tx: Transaction, app_id: str, events: Sequence[WebhookEvent]) -> list[WebhookEvent]:
        by_id = {event.id: event for event in events}
        seen = tx.all(sa.select(_inbox.c.event_id).where(_inbox.c.app_id == app_id, _inbox.c.event_id.in_(list(by_id))))
        return [event for id, event in by_id.items() if id not in {row.event_id for row in seen}]

    def _row(self, app_id: str, event: WebhookEvent, state: str, known: Known | None, now: datetime) -> dict[str, Any]:
        return {
            "app_id": app_id,
            "event_id": event.id,
            "kind": event.kind,
            "external_id": event.external_id,
            "type": event.type,
            "details": json.dumps(dict(event.details)),
            "state": state,
            "received_at": to_micros(now),
            "matched_id": known.item_id if known else None,
        }

    def orphans(self, namespace: str) -> tuple[Mapping[str, Any], ...]:
        """Events that named something nobody here knows, and have done so for longer than the policy's patience."""
        before = to_micros(self._context.clock.now() - self._context.policy.orphan_after)
        select = (
            sa.select(_inbox)
            .join(schema.app, schema.app.c.id == _inbox.c.app_id)
            .where(schema.app.c.namespace == namespace, _inbox.c.state == UNMATCHED, _inbox.c.received_at <= before)
        )
        with self._context.database.read() as tx:
            return tuple(dict(row._mapping) for row in tx.all(select))


def _check(app: AppHandle, event: WebhookEvent) -> None:
    """Raise WebhookRefused for an event that is not as the contract says, or that can't be stored."""
    texts = {"id": event.id, "external_id": event.external_id, "type": event.type}
    problem = misfit(event, WebhookEvent, "the event") or next(
        (
            f"the event's {name} has {len(text)} characters, 1 to {LONGEST_NAME} are taken"
            for name, text in texts.items()
            if not 0 < len(text) <= LONGEST_NAME
        ),
        None,
    )
    if problem is not None:
        raise WebhookRefused(f"A webhook for app {app.name} can't be taken: {problem}. Nothing was stored.")


def look_once_more(context: Context, tx: Transaction, looks: Sequence[WorkRow]) -> None:
    """Have the provider asked again of what it told something while it was asked.

    To be called once the work of those looks is taken away: an event that comes at this moment finds it gone, or is found here.
    """
    if not looks:
        return
    unit, about = Unit(context, tx, lane=Lane.WEBHOOK), {(work.app_id, work.item_id): work for work in looks}
    for app_id in sorted({work.app_id for work in looks}):
        for event_id, item_id in tx.fetch(_CAME_MEANWHILE, {"app": app_id}):
            work = about.get((app_id, item_id))
            if work is not None:
                follow(unit, unit.app(app_id), event_id, Known(item_id, work.subject_id, Capability(work.operation)))
    unit.flush()
