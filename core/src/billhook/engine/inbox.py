"""Events that were told, and what of ours they are about: each finds the other, whichever is known first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import sqlalchemy as sa

from billhook.contract.declaration import Capability
from billhook.contract.webhooks import WebhookEvent
from billhook.engine import tables
from billhook.engine.locks import hold_each
from billhook.engine.money_changes import is_told_by_invoice
from billhook.engine.naming import Named
from billhook.engine.work import READY, Lane, WorkRow
from billhook.store import schema
from billhook.store.statements import Query
from billhook.store.transaction import Transaction

if TYPE_CHECKING:
    from billhook.engine.apps import AppHandle
    from billhook.engine.unit import Unit

_inbox, _link, _customer_link, _payment = schema.inbox, schema.document_link, schema.customer_link, schema.payment

INBOX = "inbox"
"""An event that names something is kept, or what it names becomes known, while nobody does the other: each finds the other's."""
UNMATCHED, MEANWHILE, WORKED = "unmatched", "meanwhile", "worked"
"""Nobody knows yet what it names; it came while that was being looked at; it led to a look, or to nothing where there is none."""

_WAITING = Query(
    sa.select(_inbox.c.event_id, _inbox.c.external_id, _inbox.c.kind)
    .where(_inbox.c.app_id == sa.bindparam("app"), _inbox.c.state == UNMATCHED)
    .limit(10_000)
)

_MONEY: Mapping[str, sa.Table] = {"payment": schema.payment, "refund": schema.refund}
_DOCUMENTS = ("invoice", "credit_note")
_TOLD_AS: Mapping[str, str] = {
    **dict.fromkeys(_DOCUMENTS, "document"),
    **{kind: kind for kind in (*_MONEY, "customer")},
}
"""The kind of event that tells of each kind of thing."""
_LOOKS: Mapping[str, Capability] = {"payment": Capability.CHECK_PAYMENT, "refund": Capability.CHECK_REFUND}


class Known(NamedTuple):
    """What an event is about, by the item that is looked at and whose it is. No ``look``: nothing of ours reads it, and nothing is to be done."""

    item_id: str
    subject_id: str
    look: Capability | None


def known_by(tx: Transaction, app_id: str, event: WebhookEvent) -> Known | None:
    """What that event of the app is about."""
    return _FINDERS[event.kind](tx, app_id, event)


def _money(tx: Transaction, app_id: str, event: WebhookEvent) -> Known | None:
    table = _MONEY[event.kind]
    # A provider may try again on the payment that failed: it is about the newest of ours then.
    row = tx.first(
        sa.select(table)
        .where(table.c.app_id == app_id, table.c.external_id == event.external_id)
        .order_by(table.c.id.desc())
        .limit(1)
    )
    if row is not None:
        return _told_by(event.kind, dict(row._mapping), app_id, event.external_id)
    named = _named(app_id, event.external_id, (event.kind,)).subquery()
    row = tx.first(sa.select(table).where(table.c.id.in_(sa.select(named.c.document_id))).order_by(table.c.id.desc()))
    return None if row is None else _told_by(event.kind, dict(row._mapping), app_id, event.external_id)


def _document(tx: Transaction, app_id: str, event: WebhookEvent) -> Known | None:
    found = {row.kind: row.document_id for row in tx.all(_named(app_id, event.external_id, _DOCUMENTS))}
    return next((_standing_alone(kind, found[kind]) for kind in _DOCUMENTS if kind in found), None)


def _customer(tx: Transaction, app_id: str, event: WebhookEvent) -> Known | None:
    here = sa.and_(_customer_link.c.app_id == app_id, _customer_link.c.external_id == event.external_id)
    customer_id = tx.scalar(sa.select(_customer_link.c.customer_id).where(here).limit(1))
    return None if customer_id is None else _standing_alone("customer", customer_id)


def _nobody(tx: Transaction, app_id: str, event: WebhookEvent) -> None:
    """What is told of a connection names nothing of ours."""


_FINDERS = {"document": _document, **dict.fromkeys(_MONEY, _money), "customer": _customer, "connection": _nobody}


def _named(app_id: str, external_id: str, kinds: Iterable[str]) -> sa.Select[Any]:
    mine = sa.and_(_link.c.app_id == app_id, _link.c.external_id == external_id, _link.c.kind.in_(list(kinds)))
    return sa.select(_link.c.document_id, _link.c.kind).where(mine)


def _standing_alone(kind: str, id: str) -> Known:
    # Only of an invoice it can be asked how it stands.
    return Known(id, id, Capability.FETCH if kind == "invoice" else None)


def _told_by(kind: str, money: Mapping[str, Any], app_id: str, external_id: str) -> Known:
    """What tells the app how that money stands: itself, or its invoice where it came past us, or only stands in the app's books."""
    is_on_invoice = kind == "payment" and (is_told_by_invoice(money) or _is_note(money, app_id, external_id))
    item_id, look = (money["invoice_id"], Capability.FETCH) if is_on_invoice else (money["id"], _LOOKS[kind])
    return Known(item_id, money["invoice_id"], look)


def _is_note(payment: Mapping[str, Any], app_id: str, external_id: str) -> bool:
    is_theirs = payment["app_id"] == app_id
    return not (is_theirs and (payment["origin"] == "collected" or payment["external_id"] == external_id))


def ask_to_read(unit: Unit, app: AppHandle, known: Known) -> str:
    """Have the provider asked how it stands. Returns the event's state: where it is being asked already, what is answered may be older."""
    if known.look is None or not app.handle.declaration.can(known.look):
        return WORKED
    work = WorkRow(known.item_id, known.look.value, app.id, known.subject_id, READY, Lane.WEBHOOK, unit.now_micros)
    stored = next((other for other in tables.read_item_work(unit.tx, known.item_id) if other.key == work.key), work)
    unit.work.want_if_free(work._replace(give_up_at=stored.give_up_at))
    return MEANWHILE if stored.is_claimed else WORKED


def match_named(unit: Unit, named: Iterable[Named]) -> None:
    """Work the events that came before their apps' ids were known, and that tell of things of that kind."""
    ours = [each for each in named if _reads_webhooks(unit.app_if_loaded(each.app_id))]
    app_ids = sorted({each.app_id for each in ours})
    hold_each(unit.tx, [(app_id, INBOX) for app_id in app_ids])
    for app_id in app_ids:
        _match_app(unit, unit.app(app_id), [each for each in ours if each.app_id == app_id])


def _reads_webhooks(app: AppHandle | None) -> bool:
    return app is not None and app.handle.declaration.can(Capability.READ_WEBHOOK)


def _match_app(unit: Unit, app: AppHandle, named: Iterable[Named]) -> None:
    # Most apps have no unmatched event at all; one question tells.
    waiting = unit.tx.fetch(_WAITING, {"app": app.id})
    if not waiting:
        return
    # Of several the newest, as when the event comes later; an invoice before a credit note.
    ours = sorted(named, key=lambda each: (each.kind != "credit_note", each.item_id))
    known = {(each.external_id, _TOLD_AS[each.kind]): each for each in ours}
    for event_id, external_id, kind in waiting:
        about = known.get((external_id, kind))
        if about is not None:
            follow(unit, app, event_id, _known(unit, app, about))


def _known(unit: Unit, app: AppHandle, named: Named) -> Known:
    if named.kind in _MONEY:
        return _told_by(named.kind, unit.money.get(named.kind, named.item_id), app.id, named.external_id)
    return _standing_alone(named.kind, named.item_id)


def follow(unit: Unit, app: AppHandle, event_id: str, known: Known) -> None:
    """Have what an event named read, and keep how far that is."""
    state = ask_to_read(unit, app, known)
    unit.tx.execute(
        sa.update(_inbox)
        .where(_inbox.c.app_id == app.id, _inbox.c.event_id == event_id)
        .values(state=state, matched_id=known.item_id)
    )
