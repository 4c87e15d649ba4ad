"""What would be sent for an invoice, byte for byte, without sending, writing or numbering anything.

The invoice is walked through its table in memory. Wherever the engine would run an operation, the operation runs here with the samples that
its requests carry.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from billhook.contract.declaration import Capability
from billhook.contract.items import Batch
from billhook.contract.operations import OPERATIONS, OperationSpec
from billhook.contract.outcomes import Done, Pending, Rejected
from billhook.domain.issue import Severity
from billhook.domain.lifecycle import Decision, State, Trigger, WorkNeeded, decide, work_needed
from billhook.domain.mapping import MappedLine
from billhook.engine import payments, tables
from billhook.engine.advance import needs_mapping, validate_content
from billhook.engine.apps import AppHandle
from billhook.engine.context import Context
from billhook.engine.freeze import VIEW_COLUMNS, Freezer, Frozen, Thawer, needs_customer
from billhook.engine.invoice_row import InvoiceRow, invoice_view
from billhook.engine.number_plan import NumberPlan, is_draft_number, numbered_document, profile_names, wants_number
from billhook.engine.numbers import Numbers
from billhook.engine.rehearsal import Rehearsal, rehearse
from billhook.engine.unit import Unit
from billhook.engine.work import ADVANCE, WorkRow
from billhook.errors import BillhookError
from billhook.store.transaction import Transaction

PLACEHOLDER_OPERATION = "preview"
PLACEHOLDER_PAYMENT = "{payment}"
MOST_STATIONS = 64


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
        walk = _Walk(unit, row, NumberPlan(self._numbers))
        walk.run()
        return Preview(invoice_id, tuple(walk.steps), lines, tuple(walk.notes))


def preview_lines(unit: Unit, row: InvoiceRow) -> tuple[PreviewLine, ...]:
    """Where the lines of the present revision go: as validated, or as the rules stand now."""
    app = unit.app(row.values["invoicing_app_id"])
    if not needs_mapping(app):
        return ()
    view = invoice_view(row.values, unit.content(row.id, row.revision))
    known = {mapped.line_id: mapped for mapped in unit.mapping(row.id, row.revision, app.id)}
    return tuple(
        _line(line.id, line.name, known.get(line.id) or unit.context.apps.map_line(app, line, view))
        for line in view.lines
    )


def _line(id: str, name: str, mapped: MappedLine | None) -> PreviewLine:
    if mapped is None:
        return PreviewLine(id, name)
    return PreviewLine(id, name, mapped.account, mapped.item_code, mapped.tax_code, mapped.rule, mapped.because)


class _Ended(Exception):
    """The walk can't go on; the message says why."""


class _Walk:
    """One invoice on its way. The unit is never flushed: whatever changes here changes in memory alone."""

    def __init__(self, unit: Unit, row: InvoiceRow, plan: NumberPlan) -> None:
        self._unit = unit
        self._row = row
        self._plan = plan
        self._works = tables.read_subject_work(unit.tx, row.id)
        self._links: dict[str, Frozen] = {}
        self._customers: dict[str, Frozen] = {}
        self._mapped: dict[str, tuple[MappedLine, ...]] = {}
        self.steps: list[PreviewStep] = []
        self.notes: list[str] = []

    def run(self) -> None:
        """Walk until nothing more would be sent, or can be shown."""
        try:
            for work in self._works:
                self._beside(work)
            for _ in range(MOST_STATIONS):
                self._go()
        except _Ended as end:
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
        for each in dict.fromkeys((Trigger.NEXT, trigger)):
            decision = decide(self._row.facts, each, self._unit.now)
            if isinstance(decision, Decision):
                self._row.take(decision.facts)
                self.notes.extend([note] if each is trigger and note else [])
                return
        raise _Ended(f"Nothing more would be sent: the invoice would rest in {self._row.state}.")

    def _validate(self) -> None:
        app = self._unit.app(self._row.values["invoicing_app_id"])
        issues, lines = validate_content(self._unit, self._row, app)
        critical = [issue.message for issue in issues if issue.severity is Severity.CRITICAL]
        if critical or lines is None:
            raise _Ended(f"The invoice would stop in validation: {' '.join(critical)}")
        self._mapped[app.id] = lines
        self._row.values["validated_revision"] = self._row.revision

    # Operations on the invoice.

    def _operate(self, need: WorkNeeded) -> None:
        app, capability = self._unit.app(self._row.values[f"{need.role}_app_id"]), Capability(need.operation)
        if not app.handle.declaration.can(capability) or self._has_nothing_to_remove(app, capability):
            _PASSED[capability](self._row)
            return
        self._refuse_what_is_under_way(app, capability)
        self._bring_customer(app, capability)
        item = self._item(app, OPERATIONS[capability])
        outcome = self._outcome(app, capability, item)
        if capability is Capability.CALCULATE_TAX:
            raise _Ended(f"What follows depends on the tax that {app.name} answers.")
        self._keep(app, capability, item, outcome.result)
        _PASSED[capability](self._row)

    def _item(self, app: AppHandle, spec: OperationSpec) -> Any:
        frozen = self._freezer(app).freeze(spec, [self._work(app, spec.capability)], {})[0]
        frozen |= {"row": self._view_columns(), "number": self._row.values["number"], **self._links.get(app.id, {})}
        frozen["customer"] = self._customers.get(app.id, frozen["customer"])
        if wants_number(spec, app) is not None and is_draft_number(frozen["number"]):
            frozen["number"] = self._suggested_number(app, spec)
        item = self._thawed(app, spec, frozen)
        return replace(item, lines=self._mapped[app.id]) if spec.maps_lines and app.id in self._mapped else item

    def _suggested_number(self, app: AppHandle, spec: OperationSpec) -> str:
        row, profile_id = self._row, self._row.values["profile_id"]
        profile = profile_names(self._unit.tx, [profile_id]).get(profile_id, "")
        document = numbered_document(row.values, self._unit.content(row.id, row.revision), profile)
        assigned, claims = self._plan.assign(self._unit.tx, app, wants_number(spec, app) or "", [document])
        if claims:
            self.notes.append(
                f"The number {assigned[row.id]} is only the next one; another document may take it first."
            )
        return assigned[row.id]

    def _keep(self, app: AppHandle, capability: Capability, item: Any, result: Any) -> None:
        if capability not in {Capability.SYNC_DRAFT, Capability.ISSUE}:
            return
        self._links[app.id] = {
            "external_id": result.external_id or item.external_id,
            "line_ids": {**item.line_external_ids, **result.line_ids},
            "discount_ids": {**item.discount_external_ids, **result.discount_ids},
            "leftovers": {},
        }
        self._row.values["number"] = result.number or item.number

    def _has_nothing_to_remove(self, app: AppHandle, capability: Capability) -> bool:
        if capability not in {Capability.DELETE, Capability.VOID} or app.handle.declaration.rules(capability).local:
            return False
        link = self._unit.link(self._row.id, app.id)
        return link["external_id"] is None and not link["leftovers"]

    # Customers and money.

    def _bring_customer(self, app: AppHandle, capability: Capability) -> None:
        can_sync = app.handle.declaration.can(Capability.SYNC_CUSTOMER)
        if not needs_customer(capability) or not can_sync or app.id in self._customers:
            return
        customer_id = self._row.values["customer_id"]
        link = self._unit.customer_link(customer_id, app.id)
        if link["synced_revision"] is not None and link["failure"] is None:
            return
        spec = OPERATIONS[Capability.SYNC_CUSTOMER]
        work = WorkRow(customer_id, spec.name, app.id, customer_id)
        if self._unit.is_claimed(work):
            raise _Ended(f"The customer is being brought to {app.name} right now; look again when that is done.")
        frozen = self._freezer(app).freeze(spec, [work], {})[0]
        result = self._outcome(app, spec.capability, self._thawed(app, spec, frozen)).result
        self._customers[app.id] = {
            "customer_id": customer_id,
            "external_id": result.external_id,
            "payment_method": result.payment_method or link["payment_method"],
            "app_data": {**link["app_data"], **result.app_data},
        }

    def _collect(self) -> None:
        app, capability = self._unit.app(self._row.values["payment_app_id"]), Capability.COLLECT_PAYMENT
        if not app.handle.declaration.can(capability):
            raise _Ended(
                f"Nothing more would be sent: {app.name} collects nothing, so the invoice waits for its payment."
            )
        self._refuse_what_is_under_way(app, capability)
        wanted = {work.item_id for work in self._works if work.operation == capability}
        payment = next((one for one in self._unit.payments_of(self._row.id) if one["id"] in wanted), None)
        if payment is None and payments.has_open(self._unit, self._row):
            raise _Ended("Nothing more would be sent: a payment is under way.")
        self._bring_customer(app, capability)
        fresh = payment or payments.open_payment(self._unit, self._row, app.id) | {"id": PLACEHOLDER_PAYMENT}
        item = self._thawed(app, OPERATIONS[capability], self._frozen_payment(app, fresh))
        self._outcome(app, capability, item)
        raise _Ended("What follows depends on the payment.")

    def _frozen_payment(self, app: AppHandle, payment: dict[str, Any]) -> Frozen:
        link = self._unit.link(payment["id"], app.id)
        stored = self._unit.customer_link(self._row.values["customer_id"], app.id)
        invoice = self._links.get(app.id) or self._unit.link(self._row.id, app.id)
        return {
            **{name: payment[name] for name in ("id", "amount", "currency", "method", "received_at")},
            "invoice": self._view_columns(),
            "external_id": link["external_id"] or payment["external_id"],
            "invoice_external_id": invoice["external_id"],
            "leftovers": link["leftovers"],
            "customer": self._customers.get(app.id, stored),
        }

    def _beside(self, work: WorkRow) -> None:
        """Work that the invoice's state does not ask for, such as noting a payment: it would be sent as well."""
        if work.operation in {*_PASSED, Capability.COLLECT_PAYMENT, ADVANCE} or work.is_claimed:
            return
        app, spec = self._unit.app(work.app_id), OPERATIONS[Capability(work.operation)]
        self._bring_customer(app, spec.capability)
        for frozen in self._freezer(app).freeze(spec, [work], {}):
            if "customer" in frozen:
                frozen["customer"] = self._customers.get(app.id, frozen["customer"])
            rehearsal = self._rehearsed(app, spec.capability, self._thawed(app, spec, frozen))
            self.notes.extend([rehearsal.stopped] if rehearsal.stopped else [])

    # Helpers.

    def _refuse_what_is_under_way(self, app: AppHandle, capability: Capability) -> None:
        if any(work.is_claimed and (work.operation, work.app_id) == (capability, app.id) for work in self._works):
            raise _Ended(f"{capability} is under way at {app.name}; the timeline shows what was sent.")

    def _outcome(self, app: AppHandle, capability: Capability, item: Any) -> Done[Any]:
        rehearsal = self._rehearsed(app, capability, item)
        if rehearsal.stopped is not None:
            raise _Ended(rehearsal.stopped)
        match rehearsal.outcomes.get(item.id):
            case Done() as done:
                return done
            case Pending(reason):
                raise _Ended(f"{capability} would wait: {reason}")
            case Rejected(issues):
                raise _Ended(f"{app.name} would refuse {capability}: {' '.join(issue.message for issue in issues)}")
            case other:
                raise _Ended(f"{capability} would not end here: {type(other).__name__}.")

    def _rehearsed(self, app: AppHandle, capability: Capability, item: Any) -> Rehearsal:
        batch = Batch(PLACEHOLDER_OPERATION, (item,), app.settings, self._unit.now, app.id, app.namespace)
        rehearsal = rehearse(app.handle, capability, batch)
        for step in rehearsal.requests:
            shown = (step.step, step.method, step.url, step.headers, step.body, step.items)
            self.steps.append(PreviewStep(app.id, app.type, capability.value, *shown))
        return rehearsal

    def _freezer(self, app: AppHandle) -> Freezer:
        return Freezer(self._unit.context, self._unit.tx, app.id)

    def _thawed(self, app: AppHandle, spec: OperationSpec, frozen: Frozen) -> Any:
        return Thawer(self._unit.context, self._unit.tx, app.id).items(spec, [frozen])[0]

    def _work(self, app: AppHandle, capability: Capability) -> WorkRow:
        return WorkRow(self._row.id, capability.value, app.id, self._row.id)

    def _view_columns(self) -> Frozen:
        values = self._row.values
        return {name: values[name] for name in VIEW_COLUMNS if values[name] is not None}


def _of_revision(column: str) -> Callable[[InvoiceRow], None]:
    def grant(row: InvoiceRow) -> None:
        row.values[column] = row.revision

    return grant


def _confirmed(column: str) -> Callable[[InvoiceRow], None]:
    def grant(row: InvoiceRow) -> None:
        row.values[column] = 1

    return grant


_PASSED: dict[str, Callable[[InvoiceRow], None]] = {
    Capability.CALCULATE_TAX: _of_revision("taxed_revision"),
    Capability.SYNC_DRAFT: _of_revision("synced_revision"),
    Capability.ISSUE: _of_revision("issued_revision"),
    Capability.SEND: _of_revision("sent_revision"),
    Capability.DELETE: _confirmed("delete_confirmed"),
    Capability.VOID: _confirmed("void_confirmed"),
}
# Where only a person or the clock moves an invoice on, the preview takes for granted that they do.
_ASSUMED: dict[State, tuple[Trigger, str]] = {
    State.DRAFT_WAITING_FOR_COLLECTION: (Trigger.FORCE_COLLECT, "From here on once its usage is collected."),
    State.DRAFT_WAITING_AUTO_APPROVAL: (Trigger.APPROVE, "From here on once its draft period is over."),
    State.DRAFT_MANUAL_APPROVAL_NEEDED: (Trigger.APPROVE, "From here on once somebody approves it."),
    State.DRAFT_INVALID: (Trigger.RETRY, "From here on once somebody retries it."),
    State.DRAFT_SYNC_FAILED: (Trigger.RETRY, "From here on once somebody retries it."),
    State.ISSUING_FAILED: (Trigger.RETRY, "From here on once somebody retries it."),
}
