"""Looking at the books before money is collected anew: what they show as paid is not owed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from billhook.contract.declaration import Capability
from billhook.domain.lifecycle import State
from billhook.engine import notes
from billhook.engine.invoice_row import InvoiceRow
from billhook.engine.looking_at_books import can_be_read
from billhook.engine.unit import Unit
from billhook.engine.work import WorkRow
from billhook.errors import NotAllowed

if TYPE_CHECKING:
    from billhook.engine.advance import Advancer


def is_needed(unit: Unit, row: InvoiceRow, *, is_looked_at: bool) -> bool:
    """Whether the books are to be looked at first. Raises NotAllowed where they show what was taken back, and would count it as paid again."""
    return _would_read_as_paid(unit, row, is_looked_at=is_looked_at) or (
        not is_looked_at and _may_be_paid_there(unit, row)
    )


def look(advancer: Advancer, unit: Unit, row: InvoiceRow) -> None:
    """Look at the books before anything else is done."""
    app = unit.app(row.values["invoicing_app_id"])
    work = WorkRow(row.id, Capability.FETCH, app.id, row.id, version=row.values["version"])
    advancer.want(unit, app, Capability.FETCH, work, row.values["customer_id"])


def _would_read_as_paid(unit: Unit, row: InvoiceRow, *, is_looked_at: bool) -> bool:
    """Whether the app that is to collect keeps the books, and may still show in them what was taken back: it would count it as paid again.

    Raises NotAllowed where it does, as far as it can be known: its books were ``looked at``, or can't be.
    """
    app = unit.app(row.values["invoicing_app_id"])
    shown = notes.still_shown(unit, row, app) if row.values["payment_app_id"] == app.id else []
    if not shown or not row.is_charged:
        return False
    if can_be_read(app) and not is_looked_at:
        return True
    names = ", ".join(str(notes.name_at(unit, payment, app.id)) for payment in shown)
    raise NotAllowed(
        f"{app.name} still shows payment {names}, which was taken back, and would count it as paid again. Undo it there, then retry. Where "
        f"that can't be, credit invoice {row.id} with a credit note and bill it anew.",
        "taken_back_in_books",
    )


def _may_be_paid_there(unit: Unit, row: InvoiceRow) -> bool:
    """Whether a payment is about to be collected anew by an app that does not keep the books: somebody may have entered the money in those
    meanwhile, and need not have told."""
    if row.state is not State.PAYMENT_FAILED or row.values["payment_app_id"] == row.values["invoicing_app_id"]:
        return False
    books, collector = unit.app(row.values["invoicing_app_id"]), unit.app(row.values["payment_app_id"])
    collects = collector.handle.declaration.can(Capability.COLLECT_PAYMENT) and row.is_charged
    return bool(collects and can_be_read(books) and not books.deleted)
