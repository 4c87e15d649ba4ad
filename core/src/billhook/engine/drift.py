"""An issued invoice that stands at its app otherwise than it was issued: made void there, gone, or changed. A person is told, until a look shows
it as it was or the invoice is made void here."""

from __future__ import annotations

from collections.abc import Iterator

from billhook.contract.results import Snapshot
from billhook.domain.invoice import InvoiceView
from billhook.domain.issue import Severity, ValidationIssue
from billhook.domain.lifecycle import State, Trigger
from billhook.domain.transitions import TRANSITIONS_FROM
from billhook.engine import totals
from billhook.engine.apps import AppHandle
from billhook.engine.invoice_row import InvoiceRow
from billhook.engine.looking_at_books import ISSUED, look_once_more
from billhook.engine.not_in_books import CHANGED, GONE, VOIDED
from billhook.engine.unit import Row, Unit

_COMPONENT = "books.document"
_OTHERWISE = "otherwise"


def tell(unit: Unit, row: InvoiceRow, app: AppHandle, document: InvoiceView, seen: Snapshot) -> None:
    """Say how the document stands otherwise there than it was issued, or that it does no longer."""
    if row.state.short not in ISSUED or app.id != row.values["invoicing_app_id"]:
        return
    link = unit.links.of(row.id, app.id)
    found = _finding(row, app, link, document, seen)
    was_told = unit.links.remembered(row.id, app.id, _OTHERWISE) is not None
    if found is None and not was_told:
        return
    unit.links.remember(row.id, app.id, _OTHERWISE, None if found is None else found.code)
    unit.issues.report(row.id, _COMPONENT, [] if found is None else [found])
    if not was_told:
        look_once_more(unit, row, app)


def end(unit: Unit, row: InvoiceRow) -> None:
    """The invoice is void here too: that it stands there no more is right."""
    unit.issues.report(row.id, _COMPONENT, [])


def _finding(
    row: InvoiceRow, app: AppHandle, link: Row, document: InvoiceView, seen: Snapshot
) -> ValidationIssue | None:
    there = f"{app.name} shows {link['external_id']}"
    if not seen.found:
        return _gone(row, there)
    if seen.voided:
        return _voided(row, there)
    changes = "; ".join(_changes(link, document, seen))
    return _changed(row, there, changes) if changes else None


def _gone(row: InvoiceRow, there: str) -> ValidationIssue:
    message = (
        f"{there} no more, and nobody asked for that here, where it is {row.state.value}. {_meant(row)}Where it was not meant, enter it there "
        f"again. Then, or where it is right as it is: billhook invoices dismiss {row.id} {GONE} --reason WHY"
    )
    return ValidationIssue(severity=Severity.WARNING, code=GONE, message=message)


def _voided(row: InvoiceRow, there: str) -> ValidationIssue:
    message = (
        f"{there} as void, and nobody asked for that here, where it is {row.state.value}. {_meant(row)}Where it was not meant, enter it there "
        f"again. Then, or where it is right as it is: billhook invoices dismiss {row.id} {VOIDED} --reason WHY"
    )
    return ValidationIssue(severity=Severity.WARNING, code=VOIDED, message=message)


def _meant(row: InvoiceRow) -> str:
    """What makes it void here as well, a sentence of its own; nothing where nothing does, as where it is overdue, or was paid and went back."""
    can_be_void = Trigger.VOID in TRANSITIONS_FROM[row.state]
    if row.facts.nothing_captured:
        return f"Where it was meant, make it void here: billhook invoices void {row.id}. " if can_be_void else ""
    if not can_be_void and row.state is not State.PAID:
        return ""
    return (
        f"Where it was meant, take back here what was noted by mistake: billhook invoices take-back {row.id} PAYMENT --reason WHY; once no "
        f"money is held for it: billhook invoices void {row.id}. "
    )


def _changed(row: InvoiceRow, there: str, changes: str) -> ValidationIssue:
    message = (
        f"{there} otherwise than it was issued: {changes}. Change it back there. Where it was meant: billhook invoices dismiss {row.id} "
        f"{CHANGED} --reason WHY"
    )
    return ValidationIssue(severity=Severity.WARNING, code=CHANGED, message=message)


def _changes(link: Row, document: InvoiceView, seen: Snapshot) -> Iterator[str]:
    if None not in {seen.number, link["number"]} and seen.number != link["number"]:
        yield f"the number is {link['number']} here and {seen.number} there"
    yield from totals.differences(totals.compare(document, seen.totals))
