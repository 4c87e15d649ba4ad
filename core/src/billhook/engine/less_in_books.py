"""Books that show less money of an invoice than is known here: a person is told, until they show it or something explains it."""

from __future__ import annotations

from decimal import Decimal

from billhook.domain.issue import Severity, ValidationIssue
from billhook.domain.money import plain
from billhook.engine.apps import AppHandle
from billhook.engine.invoice_row import InvoiceRow
from billhook.engine.looking_at_books import look, look_once_more
from billhook.engine.not_in_books import MISSING
from billhook.engine.unit import Unit

_COMPONENT = "books.less"
_LESS = "less"


def tell(unit: Unit, row: InvoiceRow, app: AppHandle, seen: Decimal, known: Decimal) -> None:
    """Say by how much the books show less than is known of them, or that they no longer do."""
    was_told = is_told(unit, row, app)
    if seen >= known and not was_told:
        return
    unit.links.remember(row.id, app.id, _LESS, plain(known - seen) if seen < known else None)
    unit.issues.report(row.id, _COMPONENT, [_warning(row, app, seen, known)] if seen < known else [])
    if not was_told:
        look_once_more(unit, row, app)


def look_again(unit: Unit, row: InvoiceRow) -> None:
    """What was taken or given back may explain why the books show less: they are looked at now."""
    app = unit.app(row.values["invoicing_app_id"])
    if is_told(unit, row, app):
        look(unit, row, app)


def is_told(unit: Unit, row: InvoiceRow, app: AppHandle) -> bool:
    """Whether a person was told, and nothing explains it yet."""
    return unit.links.remembered(row.id, app.id, _LESS) is not None


def _warning(row: InvoiceRow, app: AppHandle, seen: Decimal, known: Decimal) -> ValidationIssue:
    message = (
        f"{app.name} shows {plain(seen)} {row.values['currency']} as paid, and {plain(known)} are known of it: {plain(known - seen)} less. What was "
        f"taken out there by mistake is entered there again. What never came is taken back here: billhook invoices take-back {row.id} PAYMENT "
        "--reason WHY. What was paid back is noted here: billhook invoices refund PAYMENT AMOUNT --paid-elsewhere"
    )
    return ValidationIssue(severity=Severity.WARNING, code=MISSING, message=message)
