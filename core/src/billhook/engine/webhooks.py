"""Webhooks in: verified before anything is stored, each event kept once, answered at once and worked later by a read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from billhook.contract.declaration import Capability
from billhook.contract.webhooks import Refusal, WebhookEvent
from billhook.engine import payments, tables
from billhook.engine.apps import AppHandle
from billhook.engine.conformity import misfit
from billhook.engine.context import Context
from billhook.engine.credentials import Credentials
from billhook.engine.locks import hold, hold_each
from billhook.engine.moments import to_micros
from billhook.engine.telling import told, told_text
from billhook.engine.unit import Unit
from billhook.engine.work import READY, Lane, WorkRow
from billhook.errors import BillhookError, WebhookRefused
from billhook.store import schema
from billhook.store.statements import Query
from billhook.store.transaction import Transaction

_inbox, _link = schema.inbox, schema.document_link

LONGEST_NAME = 255
"""How long an id or a name may be that comes with a webhook."""
INBOX = "inbox"
"""An event that names something is kept, or what it names becomes known, while nobody does the other: each finds the other's."""
UNMATCHED, MEANWHILE, WORKED = "unmatched", "meanwhile", "worked"
"""Nobody knows yet what it names; it came while that was being looked at; it led to a look."""

_WAITING = Query(
    sa.select(_inbox.c.event_id, _inbox.c.external_id, _inbox.c.kind)
    .where(_inbox.c.app_id == sa.bindparam("app"), _inbox.c.state == UNMATCHED)
    .limit(10_000)
)

_CAME_MEANWHILE = Query(
    sa.select(_inbox.c.event_id, _inbox.c.kind, _inbox.c.matched_id)
    .where(_inbox.c.app_id == sa.bindparam("app"), _inbox.c.state == MEANWHILE)
    .limit(10_000)
)

# What an event leads to: always a read, never a fact.
_READS: dict[str, Capability] = {
    "document": Capability.FETCH,
    "payment": Capability.CHECK_PAYMENT,
    "refund": Capability.CHECK_REFUND,
}
_MONEY: dict[str, sa.Table] = {"payment": schema.payment, "refund": schema.refund}


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
            matched = find_subject(tx, app.id, event)
            state = UNMATCHED if matched is None else ask_to_read(unit, app, event.kind, *matched)
            tx.execute(sa.insert(_inbox).values(self._row(app.id, event, state, matched, now)))
        unit.flush()
        return len(fresh)

    def _unseen(self, tx: Transaction, app_id: str, events: Sequence[WebhookEvent]) -> list[WebhookEvent]:
        by_id = {event.id: event for event in events}
        seen = tx.all(sa.select(_inbox.c.event_id).where(_inbox.c.app_id == app_id, _inbox.c.event_id.in_(list(by_id))))
        return [event for id, event in by_id.items() if id not in {row.event_id for row in seen}]

    def _row(
        self, app_id: str, event: WebhookEvent, state: str, matched: tuple[str, str] | None, now: datetime
    ) -> dict[str, Any]:
        return {
            "app_id": app_id,
            "event_id": event.id,
            "kind": event.kind,
            "external_id": event.external_id,
            "type": event.type,
            "details": json.dumps(dict(event.details)),
            "state": state,
            "received_at": to_micros(now),
            "matched_id": matched[0] if matched else None,
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


def find_subject(tx: Transaction, app_id: str, event: WebhookEvent) -> tuple[str, str] | None:
    """The item and subject that an event is about: (payment or refund id, invoice id) or (invoice id, invoice id)."""
    table = _MONEY.get(event.kind)
    if table is not None:
        # A provider may try again on the payment that failed: it is about the newest of ours then.
        row = tx.first(
            sa.select(table)
            .where(table.c.app_id == app_id, table.c.external_id == event.external_id)
            .order_by(table.c.id.desc())
            .limit(1)
        )
        return None if row is None else _told_by(event.kind, dict(row._mapping))
    row = tx.first(
        sa.select(_link.c.document_id).where(
            _link.c.app_id == app_id, _link.c.external_id == event.external_id, _link.c.kind == "invoice"
        )
    )
    return None if row is None else (row.document_id, row.document_id)


def _told_by(kind: str, money: Mapping[str, Any]) -> tuple[str, str]:
    """The item and subject that tell of that money: itself, or its invoice."""
    is_on_invoice = kind == "payment" and payments.is_told_by_invoice(money)
    return (money["invoice_id"] if is_on_invoice else money["id"], money["invoice_id"])


def ask_to_read(unit: Unit, app: AppHandle, kind: str, item_id: str, subject_id: str) -> str:
    """Have the provider asked how it stands. Returns the event's state: where it is being asked already, what is answered may be older."""
    capability = Capability.FETCH if kind in _MONEY and item_id == subject_id else _READS.get(kind)
    if capability is None or not app.handle.declaration.can(capability):
        return WORKED
    work = WorkRow(item_id, capability.value, app.id, subject_id, READY, Lane.WEBHOOK, unit.now_micros)
    stored = next((other for other in tables.read_item_work(unit.tx, item_id) if other.key == work.key), work)
    unit.work.want_if_free(work._replace(give_up_at=stored.give_up_at))
    return MEANWHILE if stored.is_claimed else WORKED


def look_once_more(context: Context, tx: Transaction, looks: Sequence[WorkRow]) -> None:
    """Have the provider asked again of what it told something while it was asked.

    To be called once the work of those looks is taken away: an event that comes at this moment finds it gone, or is found here.
    """
    if not looks:
        return
    unit, about = Unit(context, tx, lane=Lane.WEBHOOK), {(work.app_id, work.item_id): work.subject_id for work in looks}
    for app_id in sorted({work.app_id for work in looks}):
        for event_id, kind, item_id in tx.fetch(_CAME_MEANWHILE, {"app": app_id}):
            if (app_id, item_id) in about:
                _follow(unit, app_id, event_id, kind, item_id, about[app_id, item_id])
    unit.flush()


def match_named(unit: Unit, named: Iterable[tuple[str, str, str, str]]) -> None:
    """External ids are known now: work the events that named them before, and told of things of that kind."""
    by_app: dict[str, dict[tuple[str, str], str]] = {}
    for app_id, external_id, item_id, kind in named:
        by_app.setdefault(app_id, {})[external_id, kind] = item_id
    hold_each(unit.tx, [(app_id, INBOX) for app_id in by_app])
    for app_id, known in by_app.items():
        _match_app(unit, app_id, known)


def _match_app(unit: Unit, app_id: str, known: Mapping[tuple[str, str], str]) -> None:
    # Most apps have no unmatched event at all; one question tells.
    for event_id, external_id, kind in unit.tx.fetch(_WAITING, {"app": app_id}):
        item_id = known.get((external_id, kind))
        if item_id is None:
            continue
        read = _told_by(kind, unit.money.get(kind, item_id)) if kind in _MONEY else (item_id, item_id)
        _follow(unit, app_id, event_id, kind, *read)


def _follow(unit: Unit, app_id: str, event_id: str, kind: str, item_id: str, subject_id: str) -> None:
    """Have what an event named read, and keep how far that is."""
    state = ask_to_read(unit, unit.app(app_id), kind, item_id, subject_id)
    unit.tx.execute(
        sa.update(_inbox)
        .where(_inbox.c.app_id == app_id, _inbox.c.event_id == event_id)
        .values(state=state, matched_id=item_id)
    )
