"""Money that an app shows of an invoice: what came there past us is taken over, and what went back of what is known."""

from __future__ import annotations

from decimal import Decimal

from billhook.contract.results import Snapshot
from billhook.engine import less_in_books, looking_again, notes, payments, receipts, refunds_in_books
from billhook.engine.apps import AppHandle
from billhook.engine.invoice_row import InvoiceRow
from billhook.engine.money import Money
from billhook.engine.unit import Unit


def take_over(
    money: Money, unit: Unit, row: InvoiceRow, app: AppHandle, seen: Snapshot, operation_id: str | None
) -> bool:
    """Take over what the app shows. Returns whether money came there that was not known here.

    While a payment of ours is under way to this app, what it shows may be that payment: it counts when it ends, and the app is then asked
    what else it shows.
    """
    if seen.amount_paid is None or looking_again.was_crossed(unit, row, app):
        return False
    unknown = receipts.take_known(unit, row, app.id, seen.receipts, operation_id)
    shown = payments.shown_at(unit, row, app.id)
    more = seen.amount_paid - shown
    if not (more or unknown):
        less_in_books.tell(unit, row, app, seen.amount_paid, shown)
        return False
    if payments.is_under_way_to(unit, row, app.id):
        looking_again.once_it_is_sure(unit, row, app)
        return False
    takes = row.total - Decimal(row.values["amount_credited"]) - shown
    if more < 0:
        refunds_in_books.end_undone(unit, row, app, -more)
        shown = payments.shown_at(unit, row, app.id)
    less_in_books.tell(unit, row, app, seen.amount_paid, shown)
    if more < 0 or (more and notes.take_as_entered(unit, row, app, more, takes)):
        return False
    return receipts.receive(money, unit, row, app.id, unknown, more, operation_id)
