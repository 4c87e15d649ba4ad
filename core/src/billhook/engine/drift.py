"""An issued invoice that stands at its app otherwise than it was issued: made void there, gone, or changed. A person is told, until a look shows
it as it was or the invoice is made void here."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import NamedTuple

from billhook.contract.declaration import Capability
from billhook.contract.results import Snapshot
from billhook.domain.invoice import InvoiceView
from billhook.domain.issue import Severity, ValidationIssue
from billhook.engine import totals
from billhook.engine.apps import AppHandle
from billhook.engine.invoice_row import InvoiceRow
from billhook.engine.moments import to_micros
from billhook.engine.not_in_books import CHANGED, GONE, VOIDED
from billhook.engine.unit import Row, Unit
from billhook.engine.work import WorkRow

_STANDS = frozenset({"issued", "payment_processing", "overdue", "paid", "uncollectible"})
_COMPONENT = "books.document"
_OTHERWISE = "otherwise"
_LOOK_AGAIN = timedelta(hours=1)
"""When a document is looked at again that was seen otherwise than it was issued: what changed a moment ago some show only later."""


class _Found(NamedTuple):
    """What is wrong with the document there, and the way out."""

    code: str
    what: str
    way_out: str


def tell(unit: Unit, row: InvoiceRow, app: AppHandle, document: InvoiceView, seen: Snapshot) -> None:
    """Say how the document stands otherwise there than it was issued, or that it does no longer."""
    if row.state.short not in _STANDS or app.id != row.values["invoicing_app_id"]:
        return
    link = unit.links.of(row.id, app.id)
    found = _finding(row, link, document, seen)
    was_told = _OTHERWISE in (link["evidence"] or {})
    if found is None and not was_told:
        return
    _remember(unit, link, found)
    unit.issues.report(row.id, _COMPONENT, [] if found is None else [_warning(row, app, found)])
    if not was_told:
        at = to_micros(unit.now + _LOOK_AGAIN)
        unit.work.want_if_free(WorkRow(row.id, Capability.FETCH, app.id, row.id, due=at))


def end(unit: Unit, row: InvoiceRow) -> None:
    """The invoice is void here too: that it stands there no more is right."""
    unit.issues.report(row.id, _COMPONENT, [])


def _finding(row: InvoiceRow, link: Row, document: InvoiceView, seen: Snapshot) -> _Found | None:
    void = f"Where that was meant, make it void here: billhook invoices void {row.id}"
    if not seen.found:
        return _Found(
            GONE, f"shows {link['external_id']} no more", f"{void}. Where it was not, enter it there again, then"
        )
    if seen.voided:
        return _Found(
            VOIDED, f"shows {link['external_id']} as void", f"{void}. Where it was not, enter it there again, then"
        )
    changed = "; ".join(_changes(link, document, seen))
    return (
        _Found(CHANGED, f"shows {link['external_id']} changed: {changed}", "Change it back there; where that was meant")
        if changed
        else None
    )


def _changes(link: Row, document: InvoiceView, seen: Snapshot) -> Iterator[str]:
    if None not in {seen.number, link["number"]} and seen.number != link["number"]:
        yield f"the number is {link['number']} here and {seen.number} there"
    yield from totals.differences(totals.compare(document, seen.totals))


def _remember(unit: Unit, link: Row, found: _Found | None) -> None:
    evidence = {name: value for name, value in (link["evidence"] or {}).items() if name != _OTHERWISE}
    link["evidence"] = (evidence | ({_OTHERWISE: found.code} if found else {})) or None
    unit.links.save(link)


def _warning(row: InvoiceRow, app: AppHandle, found: _Found) -> ValidationIssue:
    message = (
        f"{app.name} {found.what}, and nobody asked for that here, where it is {row.state.value}. {found.way_out}: billhook invoices dismiss "
        f"{row.id} {found.code} --reason WHY"
    )
    return ValidationIssue(severity=Severity.WARNING, code=found.code, message=message)
