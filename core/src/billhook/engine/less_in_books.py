"""Books that show less money of an invoice than is known here: a person is told, until they show it or something explains it."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

from billhook.contract.declaration import Capability
from billhook.domain.issue import Severity, ValidationIssue
from billhook.domain.money import plain
from billhook.engine.apps import AppHandle
from billhook.engine.invoice_row import InvoiceRow
from billhook.engine.moments import to_micros
from billhook.engine.not_in_books import MISSING
from billhook.engine.unit import Unit
from billhook.engine.work import WorkRow

_COMPONENT = "books.less"
_LESS = "less"
_NOT_SHOWN_YET = timedelta(hours=1)
"""When books are looked at again that show less than before: what was noted a moment ago some show only later."""


def tell(unit: Unit, row: InvoiceRow, app: AppHandle, seen: Decimal, known: Decimal) -> None:
    """Say by how much the books show less than is known of them, or that they no longer do."""
    was_told = _is_told(unit, row, app)
    if seen >= known and not was_told:
        return
    _remember(unit, row, app, known - seen)
    unit.issues.report(row.id, _COMPONENT, [_warning(row, app, seen, known)] if seen < known else [])
    if not was_told:
        _look(unit, row, app, unit.now + _NOT_SHOWN_YET)


def look_again(unit: Unit, row: InvoiceRow) -> None:
    """What was taken or given back may explain why the books show less: they are looked at now."""
    app = unit.app(row.values["invoicing_app_id"])
    if _is_told(unit, row, app):
        look(unit, row, app)


def look(unit: Unit, row: InvoiceRow, app: AppHandle) -> None:
    """Look at the books now: they may show less than what is known by now."""
    if not app.deleted:
        _look(unit, row, app, unit.now)


def _is_told(unit: Unit, row: InvoiceRow, app: AppHandle) -> bool:
    return _LESS in (unit.links.of(row.id, app.id)["evidence"] or {})


def _remember(unit: Unit, row: InvoiceRow, app: AppHandle, less: Decimal) -> None:
    link = unit.links.of(row.id, app.id)
    evidence = {name: value for name, value in (link["evidence"] or {}).items() if name != _LESS}
    link["evidence"] = (evidence | {_LESS: plain(less)} if less > 0 else evidence) or None
    unit.links.save(link)


def _look(unit: Unit, row: InvoiceRow, app: AppHandle, at: datetime) -> None:
    work = WorkRow(row.id, Capability.FETCH, app.id, row.id, due=to_micros(at))
    if unit.work.pending(*work.key) is None:
        unit.work.want_if_free(work)


def _warning(row: InvoiceRow, app: AppHandle, seen: Decimal, known: Decimal) -> ValidationIssue:
    message = (
        f"{app.name} shows {plain(seen)} {row.values['currency']} as paid, and {plain(known)} are known of it: {plain(known - seen)} less. What was "
        f"taken out there by mistake is entered there again. What never came is taken back here: billhook invoices take-back {row.id} PAYMENT "
        "--reason WHY. What was paid back is noted here: billhook invoices refund PAYMENT AMOUNT --paid-elsewhere"
    )
    return ValidationIssue(severity=Severity.WARNING, code=MISSING, message=message)
