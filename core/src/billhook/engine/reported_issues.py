"""What a caller found wrong with an invoice that waits for it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from billhook.contract.declaration import Capability
from billhook.contract.operations import OPERATIONS
from billhook.domain.issue import Severity, ValidationIssue
from billhook.domain.lifecycle import State, Trigger
from billhook.domain.parsing import parse
from billhook.engine.advance import Advancer
from billhook.engine.confirmations import PAUSES
from billhook.engine.invoice_row import InvoiceRow
from billhook.engine.queries import issues_of
from billhook.engine.unit import Unit
from billhook.errors import InvalidInput, NotAllowed

MOST_ISSUES = 100
_COMPONENT = re.compile(r"(?!(app|openmeter)(\.|$))[a-z0-9]([a-z0-9._-]{0,126}[a-z0-9])?")
_AWAITED: Mapping[State, Capability] = {state: capability for capability, state in PAUSES.items()}
_FAILED: Mapping[State, Capability] = {
    State.DRAFT_SYNC_FAILED: Capability.SYNC_DRAFT,
    State.ISSUING_FAILED: Capability.ISSUE,
}


def parsed(issues: Sequence[ValidationIssue | Mapping[str, Any]]) -> tuple[ValidationIssue, ...]:
    """The issues as values. Raises InvalidInput."""
    if len(issues) > MOST_ISSUES:
        raise InvalidInput(
            "issues_too_many", f"{len(issues)} issues at once; at most {MOST_ISSUES} are kept.", "/issues"
        )
    return tuple(each if isinstance(each, ValidationIssue) else parse(ValidationIssue, each) for each in issues)


def check_component(component: str | None) -> None:
    """Raise InvalidInput for a name that is not the caller's to use."""
    if component is None or _COMPONENT.fullmatch(component):
        return
    raise InvalidInput(
        "component_invalid",
        "A component is 1 to 128 small letters, digits, dots, '-' or '_', and neither 'openmeter' nor one of 'app.'.",
        "/component",
    )


def report(
    unit: Unit, advancer: Advancer, row: InvoiceRow, issues: Sequence[ValidationIssue], component: str | None
) -> None:
    """Keep the issues in place of those that the component reported before. A critical one fails what the invoice waits for.

    Raises NotAllowed for an invoice that waits for no caller.
    """
    failed = _FAILED.get(row.state)
    if failed is not None and _is_known(unit, row, issues, component or _component(unit, row, failed)):
        return
    awaited = _AWAITED.get(row.state)
    if awaited is None or not _is_local(unit, row, awaited):
        raise NotAllowed(
            f"Invoice {row.id} is in {row.state} and waits for no caller; there is nothing to report.",
            "confirmation_not_awaited",
        )
    name = component or _component(unit, row, awaited)
    critical = unit.issues.report(row.id, name, [issue.model_copy(update={"component": name}) for issue in issues])
    if critical == 0:
        unit.record(row, f"{awaited}.reported", note=_note(issues))
        return
    row.values["critical_issues"] = critical
    advancer.fire(unit, row, Trigger.FAILED, f"{awaited}.rejected", note=_note(issues))


def _is_known(unit: Unit, row: InvoiceRow, issues: Iterable[ValidationIssue], component: str) -> bool:
    known = [_content(issue) for issue in issues_of(unit.tx, row.id) if issue.component == component]
    return known == [_content(issue) for issue in issues]


def _content(issue: ValidationIssue) -> tuple[object, ...]:
    return issue.severity, issue.code, issue.message, issue.path, dict(issue.metadata)


def _is_local(unit: Unit, row: InvoiceRow, capability: Capability) -> bool:
    return unit.app(row.values["invoicing_app_id"]).handle.declaration.rules(capability).local


def _component(unit: Unit, row: InvoiceRow, capability: Capability) -> str:
    return OPERATIONS[capability].component(unit.app(row.values["invoicing_app_id"]).type)


def _note(issues: Sequence[ValidationIssue]) -> str | None:
    first = next((issue for issue in issues if issue.severity is Severity.CRITICAL), issues[0] if issues else None)
    return None if first is None else first.message
