"""What would be sent for an invoice, byte for byte, without sending, writing or numbering anything."""

from __future__ import annotations

from dataclasses import dataclass

from billhook.domain.mapping import MappedLine
from billhook.engine.context import Context
from billhook.engine.invoice_row import InvoiceRow, invoice_view
from billhook.engine.number_plan import NumberPlan
from billhook.engine.numbers import Numbers
from billhook.engine.supposed import Supposed
from billhook.engine.unit import Unit
from billhook.engine.validating import needs_mapping
from billhook.engine.walk import Rehearsed, Walk
from billhook.store.transaction import Transaction


@dataclass(frozen=True, slots=True)
class PreviewStep:
    """One request as it would be sent, but for credentials and the idempotency key. ``items`` empty: all of the operation."""

    app_id: str
    provider: str
    operation: str
    step: str
    method: str
    url: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    items: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PreviewLine:
    """Where a line goes, and why. ``rule`` None: nobody says where, and the invoice would stop."""

    line_id: str
    name: str
    account: str | None = None
    item_code: str | None = None
    tax_code: str | None = None
    rule: str | None = None
    because: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Preview:
    """What would be sent, in order. ``notes`` are sentences: what was taken for granted, and last why the preview ends where it does."""

    invoice_id: str
    steps: tuple[PreviewStep, ...]
    lines: tuple[PreviewLine, ...]
    notes: tuple[str, ...]


class Previewer:
    """Previews of invoices. Made-up values are marked: samples by their provider, ids of what does not exist yet by braces."""

    def __init__(self, context: Context, numbers: Numbers) -> None:
        self._context = context
        self._numbers = numbers

    def preview(self, tx: Transaction, namespace: str, invoice_id: str) -> Preview:
        """What would be sent next, and as far as samples carry what after that. A read transaction is enough. Raises NotFound."""
        unit = Unit(self._context, tx)
        row = unit.invoice(invoice_id, namespace)
        lines = preview_lines(unit, row)
        walk = Walk(Supposed(unit, row), NumberPlan(self._numbers))
        walk.run()
        return Preview(invoice_id, tuple(map(_step, walk.requests)), lines, tuple(walk.notes))


def preview_lines(unit: Unit, row: InvoiceRow) -> tuple[PreviewLine, ...]:
    """Where the lines of the present revision go: as validated, or as the rules stand now."""
    app = unit.app(row.values["invoicing_app_id"])
    if not needs_mapping(app):
        return ()
    view = invoice_view(row.values, unit.revisions.content(row.id, row.revision))
    known = {mapped.line_id: mapped for mapped in unit.revisions.mapping(row.id, row.revision, app.id)}
    map_line = unit.context.apps.map_line
    return tuple(_line(line.id, line.name, known.get(line.id) or map_line(app, line, view)) for line in view.lines)


def _line(id: str, name: str, mapped: MappedLine | None) -> PreviewLine:
    if mapped is None:
        return PreviewLine(id, name)
    return PreviewLine(id, name, mapped.account, mapped.item_code, mapped.tax_code, mapped.rule, mapped.because)


def _step(rehearsed: Rehearsed) -> PreviewStep:
    app, request = rehearsed.app, rehearsed.request
    return PreviewStep(
        app_id=app.id,
        provider=app.type,
        operation=rehearsed.capability.value,
        step=request.step,
        method=request.method,
        url=request.url,
        headers=request.headers,
        body=request.body,
        items=request.items,
    )
