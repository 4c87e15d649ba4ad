"""Having books looked at because a person wants to know: for one invoice, or for every issued one of many."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from billhook.contract.declaration import Capability
from billhook.domain.lifecycle import State
from billhook.engine import looking_again, looking_at_books
from billhook.engine.apps import AppHandle
from billhook.engine.invoice_row import InvoiceRow
from billhook.engine.unit import Unit
from billhook.errors import NotAllowed, Unsupported
from billhook.store import schema

_invoice = schema.invoice


@dataclass(frozen=True, slots=True)
class Looks:
    """How many invoices their apps were asked about, and how many stand at an app that can't be asked."""

    asked: int
    unreadable: int


def is_issued() -> sa.ColumnElement[bool]:
    """Whether an invoice stands issued in the books of its app, as far as is known."""
    return _invoice.c.state.in_([state.value for state in State if state.short in looking_at_books.ISSUED])


def look(unit: Unit, row: InvoiceRow) -> None:
    """Look at the books now. Raises NotAllowed for what is not issued, Unsupported where the app can't be asked."""
    if row.state.short not in looking_at_books.ISSUED:
        raise NotAllowed(
            f"Invoice {row.id} is in {row.state}: only what is issued and not void stands in the books of its app.",
            "invoice_action_not_available",
        )
    app = unit.app(row.values["invoicing_app_id"])
    if app.deleted:
        raise Unsupported(f"App {app.name} is uninstalled. Look there yourself.")
    if not looking_at_books.can_be_read(app):
        raise Unsupported(f"App {app.name} can't tell how an invoice stands: {_why_not(app)}. Look there yourself.")
    looking_again.crossed_by(unit, row, app)
    looking_at_books.look(unit, row, app)


def look_at_each(unit: Unit, ids: list[str]) -> Looks:
    """Look at the books for each of these that can be looked at."""
    unit.load_invoices(ids)
    asked, unreadable = 0, 0
    for id in ids:
        try:
            look(unit, unit.invoice(id))
            asked += 1
        except Unsupported:
            unreadable += 1
        except NotAllowed:
            continue  # it was made void a moment ago
    return Looks(asked, unreadable)


def _why_not(app: AppHandle) -> str:
    declaration = app.handle.declaration
    if declaration.can(Capability.FETCH):
        return "it knows no more than is known here"
    return declaration.why_not(Capability.FETCH)
