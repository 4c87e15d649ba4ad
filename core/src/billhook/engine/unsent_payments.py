"""Collections that were not sent yet: over what is due now, and not before the app's own books know what was paid or credited elsewhere.

An app that keeps the books and collects takes what is open in them. Told afterwards, it would take too much, or refuse to take anything.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from billhook.contract.declaration import Capability
from billhook.domain.money import plain
from billhook.engine.apps import AppHandle
from billhook.engine.invoice_row import InvoiceRow
from billhook.engine.unit import Unit
from billhook.engine.work import WAITING, WorkRow, until_told

if TYPE_CHECKING:
    from billhook.engine.advance import Advancer

Row = dict[str, Any]


def is_unsent(payment: Row) -> bool:
    """Whether its app was not asked for it yet, or has not answered."""
    return bool(payment["state"] == "pending" and payment["external_id"] is None)


def ask(advancer: Advancer, unit: Unit, row: InvoiceRow, payment: Row) -> None:
    """Have the payment collected: now, or once the app's books know what takes a part of it."""
    app = unit.app(payment["app_id"])
    version = row.values["version"]
    work = WorkRow(payment["id"], Capability.COLLECT_PAYMENT, app.id, row.id, version=version)
    if not _is_told_first(unit, row, app):
        advancer.want(unit, app, Capability.COLLECT_PAYMENT, work, row.values["customer_id"])
        return
    name = until_told(row.id, app.id)
    unit.work.want_if_free(work._replace(lane=unit.lane, due=unit.now_micros, state=WAITING, waits_for=name))


def refit(advancer: Advancer, unit: Unit, row: InvoiceRow) -> None:
    """What is due changed, or what a collection waits for ended: what was not sent is over what is due now, and waits as it has to."""
    due = row.amount_due - unit.money.open_credits(row.id)
    for payment in filter(is_unsent, unit.money.payments_of(row.id)):
        for work in unit.work.of_subject(row.id, Capability.COLLECT_PAYMENT):
            if work.item_id == payment["id"] and not work.is_claimed:
                _refit_one(advancer, unit, row, payment, work, due)


def _refit_one(advancer: Advancer, unit: Unit, row: InvoiceRow, payment: Row, work: WorkRow, due: Decimal) -> None:
    is_other_amount = due > 0 and due != Decimal(payment["amount"])
    waits = work.waits_for == until_told(row.id, work.app_id)
    if not is_other_amount and waits == _is_told_first(unit, row, unit.app(work.app_id)):
        return
    if is_other_amount:
        payment["amount"] = plain(due)
        unit.money.save("payment", payment)
    unit.work.drop_if_free(*work.key)
    ask(advancer, unit, row, payment)
    asked = unit.work.pending(*work.key)
    if asked is not None:
        # A worker that is about to send it over the former amount has to prepare it again.
        unit.work.want(asked._replace(version=max(asked.version, work.version + 1)))


def _is_told_first(unit: Unit, row: InvoiceRow, app: AppHandle) -> bool:
    """Whether the app still is to be told of money or of a credit note."""
    if app.id != row.values["invoicing_app_id"]:
        return False
    return unit.money.open_credits(row.id) > 0 or _has_notes_to_come(unit, row, app)


def _has_notes_to_come(unit: Unit, row: InvoiceRow, app: AppHandle) -> bool:
    if all(payment["origin"] == "collected" for payment in unit.money.payments_of(row.id)):
        return False
    return any(note.app_id == app.id for note in unit.work.of_subject(row.id, Capability.RECORD_PAYMENT))
