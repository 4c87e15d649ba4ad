"""Moves an invoice through its table inside a transaction, and asks the apps for what each state waits for.

What needs no outside answer is done at once: validation, operations of a provider that declares them local, and operations that an app does
not have. Everything else becomes work.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from billhook.contract.declaration import Capability
from billhook.domain.issue import Severity, ValidationIssue
from billhook.domain.lifecycle import CANNOT_ADVANCE, TIMED_STATES, Refused, State, Trigger
from billhook.domain.transitions import TRANSITIONS_FROM, nothing_is_captured
from billhook.engine import (
    credit_notes,
    drift,
    due_in_books,
    issued_otherwise,
    looking_at_books,
    open_payments,
    payments,
    rests,
    unsent_payments,
)
from billhook.engine.apps import AppHandle
from billhook.engine.freeze import needs_customer
from billhook.engine.invoice_row import InvoiceRow
from billhook.engine.local_items import is_in_memory
from billhook.engine.local_outcomes import local_outcome_of
from billhook.engine.numbers import Numbers
from billhook.engine.plans import Outlook, Plan, outlook, plan
from billhook.engine.unit import Unit
from billhook.engine.validating import OWN, asked_of_collector, findings_of, mapping_of
from billhook.engine.work import ADVANCE, READY, WAITING, WorkRow, until_customer, until_issued
from billhook.errors import NotAllowed

SettleLocal = Callable[[Unit, AppHandle, Capability, WorkRow, Any, Any], None]
"""Takes the work, the item that the operation was given, and its outcome."""


class Advancer:
    """Moves invoices. ``settle_local`` takes what a local operation returned; it is the engine's own settlement."""

    def __init__(self, settle_local: SettleLocal, numbers: Numbers) -> None:
        self._settle_local = settle_local
        self.numbers = numbers

    def fire(
        self,
        unit: Unit,
        row: InvoiceRow,
        trigger: Trigger,
        cause: str,
        *,
        outside: bool = False,
        operation_id: str | None = None,
        note: str | None = None,
    ) -> None:
        """Fire a trigger and go as far as the invoice can. Raises NotAllowed when the table has no such way; nothing changed then."""
        way = plan(row, trigger, unit.now, stop_at=_stop(unit), outside=outside)
        if isinstance(way, Refused):
            raise NotAllowed(_refusal_of(row, trigger, way), way.code)
        self._take(unit, row, way, cause, operation_id=operation_id, note=note)

    def fire_if_possible(
        self, unit: Unit, row: InvoiceRow, trigger: Trigger, cause: str, operation_id: str | None
    ) -> bool:
        """Fire a trigger where the table has a way for it. False when it has none; nothing changed then."""
        way = plan(row, trigger, unit.now, stop_at=_stop(unit))
        if isinstance(way, Refused):
            return False
        self._take(unit, row, way, cause, operation_id=operation_id)
        return True

    def go_on(
        self, unit: Unit, row: InvoiceRow, cause: str, *, operation_id: str | None = None, note: str | None = None
    ) -> None:
        """Record what was changed on the row, and go as far as the invoice can."""
        if row.id in unit.awaited:
            if row.changes():
                unit.record(row, cause, operation_id=operation_id, note=note)
            return
        way = plan(row, Trigger.NEXT, unit.now, stop_at=_stop(unit)) if not _holds(unit, row) else None
        if isinstance(way, Plan):
            self._take(unit, row, way, cause, operation_id=operation_id, note=note)
            return
        if row.changes():
            unit.record(row, cause, operation_id=operation_id, note=note)
        self.ask(unit, row, outlook(row), entered=False)

    def _take(
        self,
        unit: Unit,
        row: InvoiceRow,
        way: Plan,
        cause: str,
        *,
        operation_id: str | None = None,
        note: str | None = None,
    ) -> None:
        begins_at, ends_at = way.begins_at, way.ends_at
        if begins_at in TIMED_STATES:
            unit.work.drop(row.id, ADVANCE, row.values["invoicing_app_id"])
        if begins_at is State.UNCOLLECTIBLE:
            unit.work.drop_if_free(row.id, Capability.MARK_UNCOLLECTIBLE, row.values["invoicing_app_id"])
        row.values.update(way.stored)
        if ends_at in _STAMPS and row.values[_STAMPS[ends_at]] is None:
            row.values[_STAMPS[ends_at]] = unit.now_micros
        unit.record(row, cause, way.hops, way.path, operation_id=operation_id, note=note)
        if begins_at in _BEFORE_ISSUE and ends_at not in _BEFORE_ISSUE:
            _end_wait(unit, row)
        if ends_at is State.PAID:
            open_payments.let_go(self, unit, row)
        if ends_at in _OWES_NOTHING:
            open_payments.end_findings(unit, row)
        if ends_at in _ASKED_FOR_NO_MORE:
            due_in_books.end(unit, row)
        if ends_at is State.VOIDED:
            drift.end(unit, row)
        looking_at_books.look_while_owed(unit, row)
        self.ask(unit, row, way.outlook, entered=True)

    def ask(self, unit: Unit, row: InvoiceRow, ahead: Outlook, *, entered: bool) -> None:
        """Ask for what the invoice's state waits for. Done at once where it can be, else it becomes work.

        Money is collected only when its state was just ``entered``: what a partial payment leaves open is not taken by itself.
        """
        if _holds(unit, row):
            unit.work.advance_at(row, unit.now)
            return
        need = ahead.need
        if need is None or need.operation == "collect_payment":
            unit.work.advance_at(row, ahead.wakes_at)
        if need is None or (need.operation == "collect_payment" and not entered):
            self._finish_money(unit, row, ahead)
            return
        _NEEDS[need.operation](self, unit, row)

    def _finish_money(self, unit: Unit, row: InvoiceRow, ahead: Outlook) -> None:
        # An invoice that is paid up in full while it waits for money needs nobody to say so.
        if ahead.is_fully_paid and ahead.state in _AWAITING_MONEY:
            self.fire(unit, row, Trigger.PAID, "paid_in_full")

    # What each state needs.

    def validate(self, unit: Unit, row: InvoiceRow) -> None:
        """Map every line, check the invoice against the declaration, and ask the provider what it would refuse."""
        app = unit.app(row.values["invoicing_app_id"])
        issues, lines = findings_of(unit, row, app)
        if lines is not None:
            unit.revisions.keep_mapping(row.id, row.revision, app.id, lines)
        asked = asked_of_collector(unit, row)
        if issues or not row.is_new:
            row.values["critical_issues"] = unit.issues.report(row.id, OWN, issues)
        if asked is not None and (asked.issues or not row.is_new):
            row.values["critical_issues"] += unit.issues.report(row.id, asked.component, asked.issues)
        if any(issue.severity is Severity.CRITICAL for issue in (*issues, *(asked.issues if asked else ()))):
            self.fire(unit, row, Trigger.FAILED, "validation_failed")
            return
        row.values["validated_revision"] = row.revision
        self.go_on(unit, row, "validated")

    def ask_tax(self, unit: Unit, row: InvoiceRow) -> None:
        """Map the lines for the tax app, then ask it."""
        app = unit.app(row.values["tax_app_id"])
        if app.handle.declaration.can(Capability.CALCULATE_TAX):
            issues, lines = mapping_of(unit, row, app)
            if lines is None:
                row.values["critical_issues"] = unit.issues.report(row.id, OWN, issues)
                self.fire(unit, row, Trigger.FAILED, "validation_failed")
                return
            unit.revisions.keep_mapping(row.id, row.revision, app.id, lines)
        self.operate(Capability.CALCULATE_TAX, "tax_app_id", _pass("taxed_revision"))(unit, row)

    def issue(self, unit: Unit, row: InvoiceRow) -> None:
        """Have the invoice issued; where it stands there already with other amounts, have it looked at."""
        app = unit.app(row.values["invoicing_app_id"])
        if issued_otherwise.is_to_be_looked_at(unit, row, app):
            work = WorkRow(row.id, Capability.FETCH, app.id, row.id, version=row.values["version"])
            self.want(unit, app, Capability.FETCH, work, row.values["customer_id"])
            return
        self.operate(Capability.ISSUE, "invoicing_app_id", _pass("issued_revision"))(unit, row)

    def operate(
        self, capability: Capability, app_column: str, passed: Callable[[Unit, InvoiceRow], None]
    ) -> Callable[[Unit, InvoiceRow], None]:
        """How an operation of an app is asked for; ``passed`` grants it where the app has no such operation."""

        def ask(unit: Unit, row: InvoiceRow) -> None:
            app = unit.app(row.values[app_column])
            if not app.handle.declaration.can(capability):
                passed(unit, row)
                self.go_on(unit, row, f"{capability}_not_needed")
                return
            self.want(
                unit,
                app,
                capability,
                WorkRow(row.id, capability, app.id, row.id, version=row.values["version"]),
                row.values["customer_id"],
            )

        return ask

    def want(self, unit: Unit, app: AppHandle, capability: Capability, work: WorkRow, customer_id: str) -> None:
        """Have an operation done: at once where it is local, else as work that waits for its customer where it must."""
        if app.handle.declaration.rules(capability).local:
            self.run_local(unit, app, capability, work)
            return
        ready = work._replace(lane=unit.lane, due=unit.now_micros, state=READY)
        if needs_customer(capability) and not self._customer_stands(unit, app, capability, customer_id):
            unit.work.want_if_free(ready._replace(state=WAITING, waits_for=until_customer(customer_id, app.id)))
            return
        unit.work.want_if_free(ready)

    def want_after_issue(
        self, unit: Unit, app: AppHandle, capability: Capability, work: WorkRow, invoice: InvoiceRow
    ) -> None:
        """Have an operation done that needs the invoice to stand at the app: now, or once it was issued there."""
        if _is_issued(invoice) or app.handle.declaration.rules(capability).local:
            self.want(unit, app, capability, work, invoice.values["customer_id"])
            return
        waits_for = until_issued(invoice.id, app.id)
        unit.work.want_if_free(work._replace(lane=unit.lane, due=unit.now_micros, state=WAITING, waits_for=waits_for))

    def _customer_stands(self, unit: Unit, app: AppHandle, capability: Capability, customer_id: str) -> bool:
        if not app.handle.declaration.can(Capability.SYNC_CUSTOMER):
            return True
        link = unit.customer_links.of(customer_id, app.id)
        if link["synced_revision"] is not None and link["failure"] is None:
            # An edit may have said how the customer pays from now on.
            asks_for_money = capability is Capability.COLLECT_PAYMENT
            if not asks_for_money or link["synced_revision"] >= unit.customer_links.revision_of(customer_id):
                return True
        work = WorkRow(customer_id, Capability.SYNC_CUSTOMER, app.id, customer_id, lane=unit.lane, due=unit.now_micros)
        if unit.work.pending(*work.key) is None:
            unit.work.want_if_free(work)
        return False

    def run_local(self, unit: Unit, app: AppHandle, capability: Capability, work: WorkRow) -> None:
        """Run an operation that does no I/O, inside this transaction."""
        if not is_in_memory(capability):
            unit.flush_midway()
        item, outcome, operation_id = local_outcome_of(unit, app, capability, work)
        self._settle_local(unit, app, capability, work._replace(operation_id=operation_id), item, outcome)

    def collect(self, unit: Unit, row: InvoiceRow) -> None:
        """Open a payment for what is due, and have the payment app collect it. Where one is under way, the invoice goes where that stands."""
        app = unit.app(row.values["payment_app_id"])
        if not app.handle.declaration.can(Capability.COLLECT_PAYMENT):
            return
        if payments.has_open(unit, row):
            self._follow_payment(unit, row)
            return
        if unit.money.open_credits(row.id) >= row.amount_due:
            return  # a credit note that is being issued closes it
        rests.end(unit, row)
        unsent_payments.ask(self, unit, row, payments.open_payment(unit, row, app.id))

    def collect_rest(self, unit: Unit, row: InvoiceRow) -> None:
        """Collect what is due where the invoice waits for that and no payment is under way. In every other state nothing is done."""
        need = outlook(row).need
        if need is not None and need.operation == "collect_payment":
            self.collect(unit, row)

    def _follow_payment(self, unit: Unit, row: InvoiceRow) -> None:
        trigger = payments.where_it_stands(unit, row)
        if trigger is not None:
            self.fire(unit, row, trigger, "payment_under_way")


def _refusal_of(row: InvoiceRow, trigger: Trigger, way: Refused) -> str:
    return " ".join(filter(None, (f"Invoice {row.id}: {way.message}", _way_out(row, trigger, way))))


def _way_out(row: InvoiceRow, trigger: Trigger, way: Refused) -> str | None:
    if way.code == CANNOT_ADVANCE:
        return f"See billhook invoices show {row.id}"
    if row.facts.nothing_captured:
        return None
    mistake = (
        f"What was noted by mistake is taken back first: billhook invoices take-back {row.id} PAYMENT --reason WHY."
    )
    if row.state is State.PAID and trigger is Trigger.VOID:
        return f"{mistake} What really came is not undone by that: a credit note gives it back."
    guards = {each.guard for each in TRANSITIONS_FROM[row.state].get(trigger, ())}
    if nothing_is_captured not in guards:
        return None
    return f"{mistake} What came is given back: billhook invoices refund PAYMENT AMOUNT, or with --paid-elsewhere where it went another way."


def _stop(unit: Unit) -> State | None:
    # In a host's transaction no final number is taken: the engine goes on after commit.
    return State.DRAFT_READY_TO_ISSUE if unit.bound else None


def _holds(unit: Unit, row: InvoiceRow) -> bool:
    return unit.bound and row.state is State.DRAFT_READY_TO_ISSUE


def _is_issued(row: InvoiceRow) -> bool:
    return row.state not in _BEFORE_ISSUE and row.state not in _DELETING


def _end_wait(unit: Unit, row: InvoiceRow) -> None:
    """What waited for the invoice to be issued goes on; credit notes of one that is deleted instead have nothing to stand on."""
    app_id = row.values["invoicing_app_id"]
    name = until_issued(row.id, app_id)
    if _is_issued(row):
        unit.work.release(name, app_id, (Capability.CREDIT, Capability.RECORD_PAYMENT))
        return
    for work in unit.work.waiting_for(name):
        unit.work.drop(*work.key)
        if work.operation == Capability.CREDIT:
            credit_notes.fail(unit, unit.money.get("credit_note", work.item_id), OWN, [_nothing_to_credit(row)])


def _nothing_to_credit(row: InvoiceRow) -> ValidationIssue:
    return ValidationIssue(
        severity=Severity.CRITICAL,
        code="credited_invoice_deleted",
        message=f"Invoice {row.id} was deleted before it was issued, so there is nothing to credit.",
        component=OWN,
    )


def _pass(column: str) -> Callable[[Unit, InvoiceRow], None]:
    def grant(unit: Unit, row: InvoiceRow) -> None:
        row.values[column] = row.revision

    return grant


def _confirm(column: str) -> Callable[[Unit, InvoiceRow], None]:
    def grant(unit: Unit, row: InvoiceRow) -> None:
        row.values[column] = 1

    return grant


def _remove(capability: Capability, column: str) -> Callable[[Advancer, Unit, InvoiceRow], None]:
    """Remove a document at its app, and let its number go."""
    ask_where_it_stands = _where_it_stands(capability, column)

    def ask(advancer: Advancer, unit: Unit, row: InvoiceRow) -> None:
        advancer.numbers.cancel(unit, row.id)
        ask_where_it_stands(advancer, unit, row)

    return ask


def _where_it_stands(capability: Capability, column: str) -> Callable[[Advancer, Unit, InvoiceRow], None]:
    """Have it done to a document at its app; nothing to do where the app never had it."""

    def ask(advancer: Advancer, unit: Unit, row: InvoiceRow) -> None:
        app_id = row.values["invoicing_app_id"]
        link = unit.links.of(row.id, app_id)
        app = unit.app(app_id)
        local = app.handle.declaration.rules(capability).local
        if link["external_id"] is None and not link["leftovers"] and not local:
            row.values[column] = 1
            advancer.go_on(unit, row, f"{capability}_not_needed")
            return
        advancer.operate(capability, "invoicing_app_id", _confirm(column))(unit, row)

    return ask


def _operation(capability: Capability, app_column: str, column: str) -> Callable[[Advancer, Unit, InvoiceRow], None]:
    return lambda advancer, unit, row: advancer.operate(capability, app_column, _pass(column))(unit, row)


_NEEDS: dict[str, Callable[[Advancer, Unit, InvoiceRow], None]] = {
    "validate": Advancer.validate,
    "calculate_tax": Advancer.ask_tax,
    "sync_draft": _operation(Capability.SYNC_DRAFT, "invoicing_app_id", "synced_revision"),
    "issue": Advancer.issue,
    "send": _operation(Capability.SEND, "invoicing_app_id", "sent_revision"),
    "delete": _remove(Capability.DELETE, "delete_confirmed"),
    "void": _remove(Capability.VOID, "void_confirmed"),
    "mark_uncollectible": _where_it_stands(Capability.MARK_UNCOLLECTIBLE, "write_off_confirmed"),
    "collect_payment": Advancer.collect,
}

_AWAITING_MONEY = frozenset(
    {
        State.PAYMENT_PENDING,
        State.PAYMENT_AUTHORIZED,
        State.PAYMENT_FAILED,
        State.PAYMENT_ACTION_REQUIRED,
        State.OVERDUE,
        State.UNCOLLECTIBLE,
    }
)
_OWES_NOTHING = frozenset({State.PAID, State.VOIDED})
_ASKED_FOR_NO_MORE = frozenset({State.VOIDED, State.UNCOLLECTIBLE})
_DELETING = frozenset(state for state in State if state.startswith("delete"))
_STAMPS: Mapping[State, str] = {State.VOIDED: "voided_at", **dict.fromkeys(_DELETING, "deleted_at")}
_BEFORE_ISSUE = frozenset(state for state in State if state.startswith(("draft.", "issuing.")))
