"""Credit notes that stand at an app already, because somebody made them there: they count, and nothing is sent."""

from __future__ import annotations

from billhook.domain.lifecycle import Trigger
from billhook.engine import credit_notes, looking_at_books, unsent_payments
from billhook.engine.apps import AppHandle
from billhook.engine.invoice_row import InvoiceRow
from billhook.engine.money import Money
from billhook.engine.unit import Row, Unit
from billhook.errors import Conflict, NotAllowed

_KIND = "credit_note"


def note(unit: Unit, money: Money, record: Row, external_id: str) -> None:
    """Count the credit note under its id there. Raises NotAllowed where its invoice does not stand there, Conflict for one that counts already."""
    app, invoice = unit.app(record["app_id"]), unit.invoice(record["invoice_id"])
    _check_stands(app, invoice)
    _check_counts_once(unit, app, external_id)
    link = unit.links.of(record["id"], app.id)
    link |= {"kind": _KIND, "external_id": external_id, "number": record["number"]}
    unit.links.save(link)
    credited = credit_notes.issued(unit, record, str(record["number"]), None, cause="credit.noted")
    if credited is not None:
        trigger = Trigger.PAID if invoice.facts.fully_paid else None
        money.after(unit, invoice, trigger, "credit_note.allocated", None)
    unsent_payments.refit(money.advancer, unit, invoice)
    if looking_at_books.can_be_read(app):
        looking_at_books.look(unit, invoice, app)


def _check_stands(app: AppHandle, invoice: InvoiceRow) -> None:
    if invoice.state.short not in looking_at_books.ISSUED:
        raise NotAllowed(
            f"Invoice {invoice.id} is {invoice.state} and does not stand at {app.name}, so no credit note stands against it there. Leave out "
            "external_id to have this one issued.",
            "invoice_not_creditable",
        )


def _check_counts_once(unit: Unit, app: AppHandle, external_id: str) -> None:
    known = unit.links.bearer(app.id, _KIND, external_id)
    if known is not None:
        raise Conflict(f"{external_id} at {app.name} is credit note {known}, and counts already.", "credit_note_known")
