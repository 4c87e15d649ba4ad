"""Walks an invoice through its table in memory, and rehearses every operation that the engine would run on the way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from billhook.contract.declaration import Capability
from billhook.contract.items import Batch
from billhook.contract.operations import OPERATIONS
from billhook.contract.outcomes import Done, Pending, Rejected
from billhook.contract.requests import Request
from billhook.domain.issue import Severity
from billhook.domain.lifecycle import Decision, State, Trigger, WorkNeeded, decide, work_needed
from billhook.engine.apps import AppHandle
from billhook.engine.collectable import ask_collector, collector_of
from billhook.engine.freeze import needs_customer
from billhook.engine.number_plan import NumberPlan, numbered_document, profile_names, wants_number
from billhook.engine.rehearsal import Rehearsal, rehearse
from billhook.engine.supposed import Supposed
from billhook.engine.validating import validate_content
from billhook.engine.work import ADVANCE, WorkRow
from billhook.errors import BillhookError

PLACEHOLDER_OPERATION = "preview"
MOST_STATIONS = 64


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """One request that an operation of an app would make."""

    app: AppHandle
    capability: Capability
    request: Request


class Ended(Exception):
    """The walk can't go on; the message says why."""


class Walk:
    """One invoice on its way. ``notes``: what was taken for granted, and last why the walk ended."""

    def __init__(self, supposed: Supposed, plan: NumberPlan) -> None:
        self._supposed = supposed
        self._unit = supposed.unit
        self._row = supposed.row
        self._plan = plan
        self.requests: list[Rehearsed] = []
        self.notes: list[str] = []

    def run(self) -> None:
        """Walk until nothing more would be sent, or can be shown."""
        try:
            for work in self._supposed.works:
                self._beside(work)
            for _ in range(MOST_STATIONS):
                self._go()
        except Ended as end:
            self.notes.append(str(end))
        except BillhookError as error:
            self.notes.append(f"It would stop here: {error}")

    def _go(self) -> None:
        need = work_needed(self._row.facts)
        if need is None:
            self._move_on()
        elif need.operation == "validate":
            self._validate()
        elif need.operation == "collect_payment":
            self._collect()
        else:
            self._operate(need)

    def _move_on(self) -> None:
        trigger, note = _ASSUMED.get(self._row.state, (Trigger.NEXT, ""))
        for each, said in ((Trigger.NEXT, []), (trigger, [note])):
            decision = decide(self._row.facts, each, self._unit.now)
            if isinstance(decision, Decision):
                self._supposed.take(decision)
                self.notes.extend(said)
                return
        raise Ended(f"Nothing more would be sent: the invoice would rest in {self._row.state}.")

    def _validate(self) -> None:
        app = self._unit.app(self._row.values["invoicing_app_id"])
        issues, lines = validate_content(self._unit, self._row, app)
        collector = collector_of(self._unit, self._row)
        if collector is not None:
            issues = [*issues, *ask_collector(collector, self._supposed.view).issues]
        critical = [issue.message for issue in issues if issue.severity is Severity.CRITICAL]
        if critical or lines is None:
            raise Ended(f"The invoice would stop in validation: {' '.join(critical)}")
        self._supposed.keep_mapping(app, lines)

    # Operations.

    def _operate(self, need: WorkNeeded) -> None:
        app, capability = self._unit.app(self._row.values[f"{need.role}_app_id"]), Capability(need.operation)
        if not app.handle.declaration.can(capability) or self._has_nothing_to_remove(app, capability):
            _PASSED[capability](self)
            return
        self._refuse_what_is_under_way(app, capability)
        self._bring_customer(app, capability)
        item = self._numbered(app, capability)
        asked = len(self.requests)
        result = self._outcome(app, capability, item).result
        if capability is Capability.CALCULATE_TAX and (len(self.requests) > asked or result.lines):
            raise Ended(f"What follows depends on the tax that {app.name} answers.")
        if capability in {Capability.SYNC_DRAFT, Capability.ISSUE}:
            self._supposed.keep_document(app, item, result)
        _PASSED[capability](self)

    def _numbered(self, app: AppHandle, capability: Capability) -> Any:
        spec = OPERATIONS[capability]
        item = self._supposed.invoice_item(app, spec)
        series = wants_number(spec, app)
        if series is None or self._row.values["number_final"]:
            return item
        return replace(item, number=self._suggested_number(app, series))

    def _suggested_number(self, app: AppHandle, series: str) -> str:
        row, profile_id = self._row, self._row.values["profile_id"]
        profile = profile_names(self._unit.tx, [profile_id]).get(profile_id, "")
        document = numbered_document(row.values, self._unit.revisions.content(row.id, row.revision), profile)
        assigned = self._plan.assign(self._unit.tx, app, series, [document])
        if row.id in assigned.refused:
            raise Ended(assigned.refused[row.id].issues[0].message)
        number = assigned.numbers[row.id]
        if assigned.claims:
            self.notes.append(f"The number {number} is only the next one; another document may take it first.")
        return number

    def _has_nothing_to_remove(self, app: AppHandle, capability: Capability) -> bool:
        if capability not in _WHERE_IT_STANDS or app.handle.declaration.rules(capability).local:
            return False
        return not self._supposed.knows_document(app)

    def _bring_customer(self, app: AppHandle, capability: Capability) -> None:
        if not needs_customer(capability) or self._supposed.customer_stands(app):
            return
        spec, customer_id = OPERATIONS[Capability.SYNC_CUSTOMER], self._row.values["customer_id"]
        work = WorkRow(customer_id, spec.name, app.id, customer_id)
        if self._unit.work.is_claimed(work):
            raise Ended(f"The customer is being brought to {app.name} right now; look again when that is done.")
        item = self._supposed.stored_item(app, spec, work)
        self._supposed.keep_customer(app, self._outcome(app, spec.capability, item).result)

    def _collect(self) -> None:
        app, capability = self._unit.app(self._row.values["payment_app_id"]), Capability.COLLECT_PAYMENT
        if not app.handle.declaration.can(capability):
            raise Ended(f"Nothing more would be sent: {app.name} collects nothing, and the invoice waits to be paid.")
        self._refuse_what_is_under_way(app, capability)
        self._bring_customer(app, capability)
        item = self._supposed.payment_item(app)
        if item is None:
            raise Ended("Nothing more would be sent: a payment is under way.")
        self._outcome(app, capability, item)
        raise Ended("What follows depends on the payment.")

    def _beside(self, work: WorkRow) -> None:
        """Work that the invoice's state does not ask for, such as noting a payment: it would be sent as well."""
        if work.operation in _ASKED_BY_STATE or work.is_claimed:
            return
        app, spec = self._unit.app(work.app_id), OPERATIONS[Capability(work.operation)]
        self._bring_customer(app, spec.capability)
        item = self._supposed.stored_item(app, spec, work)
        if item is None:
            return
        stopped = self._rehearsed(app, spec.capability, item).stopped
        self.notes.extend([stopped] if stopped else [])

    # Rehearsing.

    def _refuse_what_is_under_way(self, app: AppHandle, capability: Capability) -> None:
        wanted = (capability.value, app.id)
        if any(work.is_claimed and (work.operation, work.app_id) == wanted for work in self._supposed.works):
            raise Ended(f"{capability} is under way at {app.name}; the timeline shows what was sent.")

    def _outcome(self, app: AppHandle, capability: Capability, item: Any) -> Done[Any]:
        rehearsal = self._rehearsed(app, capability, item)
        if rehearsal.stopped is not None:
            raise Ended(rehearsal.stopped)
        match rehearsal.outcomes.get(item.id):
            case Done() as done:
                return done
            case Pending(reason):
                raise Ended(f"{capability} would wait: {reason}")
            case Rejected(issues):
                raise Ended(f"{app.name} would refuse {capability}: {' '.join(issue.message for issue in issues)}")
            case other:
                raise Ended(f"{capability} would not end here: {type(other).__name__}.")

    def _rehearsed(self, app: AppHandle, capability: Capability, item: Any) -> Rehearsal:
        batch = Batch(PLACEHOLDER_OPERATION, (item,), app.settings, self._unit.now, app.id, app.namespace)
        rehearsal = rehearse(app.handle, capability, batch)
        self.requests.extend(Rehearsed(app, capability, request) for request in rehearsal.requests)
        return rehearsal

    # Passing.

    def grant(self, column: str) -> None:
        """The present revision has passed."""
        self._row.values[column] = self._row.revision

    def confirm(self, column: str) -> None:
        """It is gone, void or written off."""
        self._row.values[column] = 1

    def untax(self) -> None:
        """No tax came from outside."""
        app = self._unit.app(self._row.values["tax_app_id"])
        if app.handle.declaration.can(Capability.CALCULATE_TAX):
            self._supposed.keep_untaxed()
        else:
            self.grant("taxed_revision")


_PASSED: dict[Capability, Callable[[Walk], None]] = {
    Capability.CALCULATE_TAX: Walk.untax,
    Capability.SYNC_DRAFT: lambda walk: walk.grant("synced_revision"),
    Capability.ISSUE: lambda walk: walk.grant("issued_revision"),
    Capability.SEND: lambda walk: walk.grant("sent_revision"),
    Capability.DELETE: lambda walk: walk.confirm("delete_confirmed"),
    Capability.VOID: lambda walk: walk.confirm("void_confirmed"),
    Capability.MARK_UNCOLLECTIBLE: lambda walk: walk.confirm("write_off_confirmed"),
}
_WHERE_IT_STANDS = frozenset({Capability.DELETE, Capability.VOID, Capability.MARK_UNCOLLECTIBLE})
_ASKED_BY_STATE = frozenset({*(capability.value for capability in _PASSED), Capability.COLLECT_PAYMENT.value, ADVANCE})
# Where only a person or the clock moves an invoice on, the walk takes for granted that they do.
_ASSUMED: dict[State, tuple[Trigger, str]] = {
    State.DRAFT_WAITING_FOR_COLLECTION: (Trigger.FORCE_COLLECT, "From here on once its usage is collected."),
    State.DRAFT_WAITING_AUTO_APPROVAL: (Trigger.APPROVE, "From here on once its draft period is over."),
    State.DRAFT_MANUAL_APPROVAL_NEEDED: (Trigger.APPROVE, "From here on once somebody approves it."),
    State.DRAFT_INVALID: (Trigger.RETRY, "From here on once somebody retries it."),
    State.DRAFT_SYNC_FAILED: (Trigger.RETRY, "From here on once somebody retries it."),
    State.ISSUING_FAILED: (Trigger.RETRY, "From here on once somebody retries it."),
}
