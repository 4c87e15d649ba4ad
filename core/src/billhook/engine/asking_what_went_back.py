"""Having an app asked what went back of a payment, where it can tell."""

from __future__ import annotations

from datetime import datetime

from billhook.contract.declaration import Capability
from billhook.engine.moments import to_micros
from billhook.engine.money_changes import is_told_by_invoice
from billhook.engine.unit import Row, Unit
from billhook.engine.work import WorkRow


def look(unit: Unit, payment: Row, at: datetime | None = None) -> None:
    """Have the app that received the payment asked what went back of it; now, unless it is to be later."""
    if payment["origin"] == "recorded":
        return
    is_told = is_told_by_invoice(payment)
    item_id, capability = (
        (payment["invoice_id"], Capability.FETCH) if is_told else (payment["id"], Capability.CHECK_PAYMENT)
    )
    _ask(unit, payment, item_id, capability, at or unit.now)


def look_at_refund(unit: Unit, refund: Row) -> None:
    """Have the app asked how a refund stands that was made from here."""
    _ask(unit, refund, refund["id"], Capability.CHECK_REFUND, unit.now)


def _ask(unit: Unit, subject: Row, item_id: str, capability: Capability, at: datetime) -> None:
    app = unit.app_if_loaded(subject["app_id"])
    if app is not None and not app.deleted and app.handle.declaration.can(capability):
        work = WorkRow(item_id, capability, app.id, subject["invoice_id"], due=to_micros(at))
        unit.work.want_if_free(work)
