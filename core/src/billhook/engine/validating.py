"""What keeps an invoice from going to its apps, and where its lines go there: asked of declarations and hooks, before anything is sent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from billhook.contract.declaration import Capability
from billhook.domain.invoice import InvoiceView
from billhook.domain.issue import Severity, ValidationIssue
from billhook.domain.mapping import MappedLine
from billhook.engine.apps import AppHandle
from billhook.engine.collectable import Asked, ask_collector, collector_of
from billhook.engine.invoice_row import InvoiceRow, invoice_view
from billhook.engine.limits import invoice_problems
from billhook.engine.telling import told
from billhook.engine.unit import Unit
from billhook.errors import StoreError

OWN = "openmeter"
"""The component of our own findings, as OpenMeter names it."""

Findings: TypeAlias = tuple[list[ValidationIssue], tuple[MappedLine, ...] | None]
"""What is wrong, and where the lines go if every line has a place."""


def findings_of(unit: Unit, row: InvoiceRow, app: AppHandle) -> Findings:
    """As ``validate_content``; a hook that fails is a finding of its own."""
    return _unless_it_fails(app, lambda: validate_content(unit, row, app))


def findings_of_credit_note(unit: Unit, view: InvoiceView, app: AppHandle) -> Findings:
    """As ``findings_of``, of a credit note: it is posted at once, so nothing can be mended there afterwards."""
    return _unless_it_fails(app, lambda: _validated(unit, view, app))


def mapping_of(unit: Unit, row: InvoiceRow, app: AppHandle) -> Findings:
    """Where the present revision's lines go at that app, and which have no place; a hook that fails is a finding of its own."""
    view = invoice_view(row.values, unit.revisions.content(row.id, row.revision))
    return _unless_it_fails(app, lambda: map_lines(unit, view, app))


def asked_of_collector(unit: Unit, row: InvoiceRow) -> Asked | None:
    """What the app finds that is to collect the invoice; None where there is none to ask."""
    app = collector_of(unit, row)
    if app is None:
        return None
    view = invoice_view(row.values, unit.revisions.content(row.id, row.revision))
    issues, _ = _unless_it_fails(app, lambda: (list(ask_collector(app, view).issues), None))
    return Asked(app, tuple(issues))


def _unless_it_fails(app: AppHandle, ask: Callable[[], Findings]) -> Findings:
    try:
        return ask()
    except StoreError:
        raise
    except (Exception, SystemExit, GeneratorExit) as error:  # noqa: BLE001 - a hook of the host or the plugin; only this invoice stops
        return [provider_fault(app, error)], None


def validate_content(unit: Unit, row: InvoiceRow, app: AppHandle) -> Findings:
    """Everything that is wrong with the present revision for that app, and where its lines go if every line has a place."""
    return _validated(unit, invoice_view(row.values, unit.revisions.content(row.id, row.revision)), app)


def _validated(unit: Unit, view: InvoiceView, app: AppHandle) -> Findings:
    unmapped, lines = map_lines(unit, view, app)
    issues = [*unmapped, *invoice_problems(view, app.handle.declaration)]
    if lines is not None:
        issues.extend(app.handle.validate_invoice(view, lines, app.settings))
    return issues, lines


def map_lines(unit: Unit, view: Any, app: AppHandle) -> Findings:
    """Where each line goes. A line that nobody maps is an issue, and then there is no mapping at all."""
    if not needs_mapping(app):
        return [], ()
    mapped: list[MappedLine] = []
    issues: list[ValidationIssue] = []
    for place, line in enumerate(view.lines):
        target = unit.context.apps.map_line(app, line, view)
        if target is None:
            issues.append(_not_mapped(place, line, app))
        else:
            mapped.append(target)
    return issues, tuple(mapped) if not issues else None


def needs_mapping(app: AppHandle) -> bool:
    """Whether lines mean anything to this app: it maps them itself, or rules were given."""
    return app.handle.declaration.can(Capability.MAP_LINE) or app.mapping is not None


def _not_mapped(place: int, line: Any, app: AppHandle) -> ValidationIssue:
    what = f"item code {line.item_code}" if line.item_code else line.name
    return ValidationIssue(
        severity=Severity.CRITICAL,
        code="line_not_mapped",
        message=f"No mapping of app {app.name} says where this line goes ({what}). Add a rule for it, then retry.",
        component=OWN,
        path=f"/lines/{place}",
    )


def provider_fault(app: AppHandle, error: BaseException) -> ValidationIssue:
    """That the app's provider failed, as an issue that stops one invoice."""
    return ValidationIssue(
        severity=Severity.CRITICAL,
        code="provider_fault",
        message=f"The provider {app.type} failed ({told(error)}). Mend the plugin, then retry.",
        component=OWN,
    )
