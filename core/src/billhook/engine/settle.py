"""Settlement: what an operation's outcome does to the invoice, payment, refund, credit note or customer it was for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from billhook.contract.declaration import Capability, NumberOwner
from billhook.contract.events import OperationSettled
from billhook.contract.operations import OPERATIONS
from billhook.contract.outcomes import Done, Pending, Rejected, Retry
from billhook.contract.results import (
    CustomerResult,
    DocumentResult,
    LineTax,
    PaymentResult,
    RefundResult,
    SendResult,
    Snapshot,
    TaxResult,
)
from billhook.domain.calculation import apply_taxes, tax_config_of
from billhook.domain.invoice import InvoiceContent, Line, content_json, discounts_of
from billhook.domain.issue import Severity, ValidationIssue
from billhook.domain.lifecycle import Decision, State, Trigger, decide
from billhook.domain.money import plain
from billhook.domain.tax import TaxAmount, TaxBehavior
from billhook.engine import credit_notes, payments, tables, totals
from billhook.engine.advance import Advancer, waiting_name
from billhook.engine.apps import AppHandle
from billhook.engine.effects import Alone, Doubt, Release, Settlement
from billhook.engine.invoice_row import InvoiceRow
from billhook.engine.moments import maybe_from_micros, to_micros
from billhook.engine.number_plan import CREDIT_NOTE, INVOICE, is_draft_number, numbered_document, profile_names
from billhook.engine.numbers import Numbers
from billhook.engine.unit import Unit
from billhook.engine.work import CLAIMED, READY, WorkRow
from billhook.store import schema

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Settled:
    """One item's outcome and where it came from. ``item`` is what the operation was given."""

    app: AppHandle
    capability: Capability
    work: WorkRow
    item: Any
    outcome: Settlement
    leftovers: Mapping[str, str] = field(default_factory=dict)

    @property
    def component(self) -> str:
        """Whose findings these are."""
        return OPERATIONS[self.capability].component(self.app.type)


class Settler:
    """Applies outcomes inside a transaction."""

    def __init__(self, numbers: Numbers) -> None:
        self.numbers = numbers
        self.advancer = Advancer(self._settle_local, numbers)

    def settle(self, unit: Unit, settled: Settled) -> None:
        """Apply one item's outcome."""
        _OUTCOMES[type(settled.outcome)](self, unit, settled)
        self._announce(unit, settled)

    def _settle_local(
        self, unit: Unit, app: AppHandle, capability: Capability, work: WorkRow, item: Any, outcome: Any
    ) -> None:
        self.settle(unit, Settled(app, capability, work, item, outcome))

    def _announce(self, unit: Unit, settled: Settled) -> None:
        observers = unit.context.observers
        name = _NAMES[type(settled.outcome)]
        event = OperationSettled(
            settled.app.namespace, settled.app.id, settled.capability.value, settled.work.item_id, name, unit.now
        )
        unit.after_commit(lambda: observers.notify_operation_settled(event))

    # Outcomes.

    def done(self, unit: Unit, settled: Settled) -> None:
        """It is done."""
        unit.drop(*settled.work.key)
        assert isinstance(settled.outcome, Done)
        _DONE[settled.capability](self, unit, settled, settled.outcome.result)

    def pending(self, unit: Unit, settled: Settled) -> None:
        """The provider has it; look again later, or wait for the outside."""
        outcome = settled.outcome
        assert isinstance(outcome, Pending)
        give_up_at = outcome.give_up_at or maybe_from_micros(settled.work.give_up_at)
        if give_up_at is not None and unit.now >= give_up_at:
            message = f"{settled.app.name} did not finish in time ({outcome.reason}). Look there, then retry."
            self.rejected(
                unit,
                replace(settled, outcome=Rejected.because("gave_up_waiting", message, external_id=outcome.external_id)),
            )
            return
        unit.drop(*settled.work.key)
        _PENDING[OPERATIONS[settled.capability].item.__name__](self, unit, settled, outcome)
        self._look_again(unit, settled, outcome, give_up_at)

    def _look_again(self, unit: Unit, settled: Settled, outcome: Pending, give_up_at: datetime | None) -> None:
        times = [unit.now + outcome.check_after] if outcome.check_after is not None else []
        times += [give_up_at] if give_up_at is not None else []
        if not times:
            return
        check = check_of(settled.app, settled.capability)
        unit.want(
            WorkRow(
                settled.work.item_id,
                check.value,
                settled.app.id,
                settled.work.subject_id,
                lane=settled.work.lane,
                due=to_micros(min(times)),
                version=settled.work.version,
                give_up_at=to_micros(give_up_at) if give_up_at else None,
            )
        )

    def rejected(self, unit: Unit, settled: Settled) -> None:
        """The provider refuses it as it is."""
        outcome = settled.outcome
        assert isinstance(outcome, Rejected)
        unit.drop(*settled.work.key)
        issues = [issue.model_copy(update={"component": settled.component}) for issue in outcome.issues]
        _REJECTED[OPERATIONS[settled.capability].item.__name__](self, unit, settled, issues, outcome.external_id)

    def retry(self, unit: Unit, settled: Settled) -> None:
        """Nothing was done for it; later."""
        outcome = settled.outcome
        assert isinstance(outcome, Retry)
        if settled.work.attempts >= unit.context.policy.retries:
            message = f"{settled.app.name} could not do it {settled.work.attempts} times ({outcome.reason or 'busy'}). Retry when it can."
            self.rejected(unit, replace(settled, outcome=Rejected.because("retries_exhausted", message)))
            return
        self._again(unit, settled, outcome.after)

    def release(self, unit: Unit, settled: Settled) -> None:
        """A look-up proved that nothing was done: back into the queue."""
        self._again(unit, settled, timedelta())

    def alone(self, unit: Unit, settled: Settled) -> None:
        """Back into the queue, to be tried by itself."""
        unit.want(settled.work._replace(state=READY, due=unit.now_micros, alone=1, operation_id=None))

    def _again(self, unit: Unit, settled: Settled, after: timedelta) -> None:
        due = to_micros(unit.now + after)
        again = settled.work._replace(state=READY, due=due, attempts=settled.work.attempts + 1, operation_id=None)
        unit.want(again)

    def doubt(self, unit: Unit, settled: Settled) -> None:
        """Nobody knows. The work stays held until a person decides."""
        outcome = settled.outcome
        assert isinstance(outcome, Doubt)
        unit.want(settled.work._replace(state=CLAIMED))
        self._remember(unit, settled, None)
        issue = ValidationIssue(
            severity=Severity.CRITICAL,
            code="outcome_unknown",
            message=(
                f"It is not known whether {settled.app.name} did {settled.capability} ({outcome.reason}). "
                f"Look there, then say what you found: billhook invoices resolve {settled.work.subject_id}."
            ),
            component=settled.component,
        )
        unit.report(settled.work.subject_id, settled.component, [issue])
        if settled.work.subject_id in _invoice_ids(unit, settled):
            row = unit.invoice(settled.work.subject_id)
            unit.record(
                row, f"{settled.capability}.in_doubt", operation_id=settled.work.operation_id, note=outcome.reason
            )

    # Documents.

    def document_done(self, unit: Unit, settled: Settled, result: DocumentResult) -> None:
        """A draft stands at the provider, or the invoice is issued there."""
        row = unit.invoice(settled.work.subject_id)
        differences = totals.differences(settled.item.invoice, result.totals)
        self._keep_document(unit, settled, result)
        if differences:
            self._fail_invoice(unit, settled, row, [_differing(settled.app, differences)])
            return
        row.values["critical_issues"] = 0
        unit.report(row.id, settled.component, _strangers(settled, result))
        _PASSED[settled.capability](self, unit, settled, row, result)
        self.advancer.go_on(unit, row, f"{settled.capability}.done", operation_id=settled.work.operation_id)

    def drafted(self, unit: Unit, settled: Settled, row: InvoiceRow, result: DocumentResult) -> None:
        """The draft stands there."""
        row.values["synced_revision"] = settled.item.invoice.revision
        number = result.number or (settled.item.number if settled.item.number != settled.item.invoice.number else None)
        if number:
            row.values["number"] = number

    def issued(self, unit: Unit, settled: Settled, row: InvoiceRow, result: DocumentResult) -> None:
        """The invoice is final there."""
        row.values["issued_revision"] = settled.item.invoice.revision
        row.values["number"] = result.number or self._final_number(unit, settled.app, row, settled.item.number)
        if result.sent_at is not None:
            row.values["sent_at"] = to_micros(result.sent_at)
            row.values["sent_revision"] = settled.item.invoice.revision

    def sent(self, unit: Unit, settled: Settled, result: SendResult) -> None:
        """The invoice was sent to the customer."""
        row = unit.invoice(settled.work.subject_id)
        row.values["sent_at"] = to_micros(result.sent_at)
        row.values["sent_revision"] = settled.item.invoice.revision
        self.advancer.go_on(unit, row, "send.done", operation_id=settled.work.operation_id)

    def removed(self, column: str) -> Callable[[Unit, Settled, Any], None]:
        """The document is void or gone there."""

        def confirm(unit: Unit, settled: Settled, _result: Any) -> None:
            row = unit.invoice(settled.work.subject_id)
            row.values[column] = 1
            unit.report(row.id, settled.component, [])
            self.advancer.go_on(unit, row, f"{settled.capability}.done", operation_id=settled.work.operation_id)

        return confirm

    def taxed(self, unit: Unit, settled: Settled, result: TaxResult) -> None:
        """Tax by line, from outside: a revision of its own, with the same lines."""
        row = unit.invoice(settled.work.subject_id)
        before = unit.content(row.id, row.revision)
        taxes = {line.id: _taxes_of(line, before, result) for line in before.lines}
        content = apply_taxes(before, taxes)
        row.values["revision"] = row.values["taxed_revision"] = row.revision + 1
        row.values["total"] = plain(content.totals.total)
        unit.add_body(row.id, row.revision, content, content_json(content))
        unit.report(row.id, settled.component, [])
        self.advancer.go_on(unit, row, "calculate_tax.done", operation_id=settled.work.operation_id)

    def fetched(self, unit: Unit, settled: Settled, result: Snapshot) -> None:
        """What the provider holds now: money that came there counts, and a draft that was pending is confirmed."""
        row = unit.invoice(settled.work.subject_id)
        link = unit.link(row.id, settled.app.id)
        link["evidence"] = (link["evidence"] or {}) | {"seen": {"status": result.status, "at": unit.now_micros}}
        unit.save_link(link)
        waiting = self._pending_document(unit, settled, row)
        if waiting is not None and not result.found:
            self.pending(unit, replace(settled, outcome=Pending("the provider does not show it yet")))
            return
        if waiting is not None:
            document = DocumentResult(external_id=result.external_id, number=result.number, totals=result.totals)
            self.document_done(unit, replace(settled, capability=waiting), document)
            return
        paid = result.amount_paid or Decimal(0)
        if paid > row.amount_kept:
            self.receive(unit, row, settled.app.id, paid - row.amount_kept, unit.now, origin="outside")
            return
        self.advancer.go_on(unit, row, "fetch.done", operation_id=settled.work.operation_id)

    def _pending_document(self, unit: Unit, settled: Settled, row: InvoiceRow) -> Capability | None:
        """The operation that the provider has not finished for that document. One that is still to be sent is not pending."""
        waiting = _WAITING_FOR_DOCUMENT.get(row.state)
        if waiting is None or any(work.operation == waiting for work in tables.read_item_work(unit.tx, row.id)):
            return None
        return waiting

    def _keep_document(self, unit: Unit, settled: Settled, result: DocumentResult) -> None:
        strangers = unknown_ids(settled.item.invoice, result)
        link = unit.link(settled.work.item_id, settled.app.id)
        link["external_id"] = result.external_id or link["external_id"]
        link["number"] = result.number or link["number"]
        link["url"] = result.url or link["url"]
        link["line_ids"] |= {id: remote for id, remote in result.line_ids.items() if id not in strangers}
        link["discount_ids"] |= {id: remote for id, remote in result.discount_ids.items() if id not in strangers}
        link["leftovers"] = {}
        if result.totals is not None:
            link["evidence"] = (link["evidence"] or {}) | {
                "totals": totals.evidence(settled.item.invoice, result.totals)
            }
        unit.save_link(link)
        unit.match_inbox(settled.app.id, link["external_id"], settled.work.subject_id, "document")

    def _remember(self, unit: Unit, settled: Settled, external_id: str | None) -> None:
        if not settled.leftovers and external_id is None:
            return
        link = unit.link(settled.work.item_id, settled.app.id)
        link["leftovers"] = {**link["leftovers"], **settled.leftovers}
        link["external_id"] = external_id or link["external_id"]
        unit.save_link(link)
        unit.match_inbox(settled.app.id, link["external_id"], settled.work.subject_id, "document")

    def document_pending(self, unit: Unit, settled: Settled, outcome: Pending) -> None:
        """The document waits: at the provider, or for a caller to confirm it."""
        row = unit.invoice(settled.work.subject_id)
        self._remember(unit, settled, outcome.external_id)
        unit.record(row, f"{settled.capability}.pending", operation_id=settled.work.operation_id, note=outcome.reason)

    def document_rejected(
        self, unit: Unit, settled: Settled, issues: Sequence[ValidationIssue], external_id: str | None
    ) -> None:
        """The provider refuses the document."""
        row = unit.invoice(settled.work.subject_id)
        self._remember(unit, settled, external_id)
        waited_for = self._pending_document(unit, settled, row) if settled.capability is Capability.FETCH else None
        self._fail_invoice(unit, replace(settled, capability=waited_for or settled.capability), row, issues)

    def _fail_invoice(self, unit: Unit, settled: Settled, row: InvoiceRow, issues: Sequence[ValidationIssue]) -> None:
        critical = unit.report(row.id, settled.component, issues)
        cause = f"{settled.capability}.rejected"
        if settled.capability not in _CAN_FAIL.get(row.state, ()):
            unit.record(row, cause, operation_id=settled.work.operation_id, note=issues[0].message if issues else None)
            return
        row.values["critical_issues"] = max(critical, 1)
        self.advancer.fire(unit, row, Trigger.FAILED, cause, note=issues[0].message if issues else None)

    # Money.

    def payment_done(self, unit: Unit, settled: Settled, result: PaymentResult) -> None:
        """The provider says how a payment stands."""
        row = unit.invoice(settled.work.subject_id)
        payment = unit.get_record("payment", settled.work.item_id)
        trigger = payments.take_result(unit, row, payment, result)
        unit.match_inbox(settled.app.id, payment["external_id"], payment["id"], "payment")
        self._after_money(unit, row, trigger, f"{settled.capability}.{result.status}", settled.work.operation_id)
        if payment["state"] == "succeeded":
            self.mirror_payment(unit, row, payment)

    def _after_money(
        self, unit: Unit, row: InvoiceRow, trigger: Trigger | None, cause: str, operation_id: str | None
    ) -> None:
        if trigger is not None and can_fire(row, trigger, unit.now):
            self.advancer.fire(unit, row, trigger, cause)
            return
        self.advancer.go_on(unit, row, cause, operation_id=operation_id)

    def receive(
        self,
        unit: Unit,
        row: InvoiceRow,
        app_id: str,
        amount: Decimal,
        received_at: datetime,
        *,
        origin: str = "recorded",
        method: str | None = None,
        external_id: str | None = None,
        client_key: str | None = None,
    ) -> Row:
        """Money that came another way: it counts, closes the invoice when nothing is left, and is noted at the invoicing app."""
        payment = payments.received_payment(
            unit,
            row,
            app_id,
            amount,
            received_at=received_at,
            method=method,
            external_id=external_id,
            client_key=client_key,
            origin=origin,
        )
        trigger = Trigger.PAID if row.facts.fully_paid else None
        self._after_money(unit, row, trigger, f"payment.{origin}", None)
        if origin != "outside":
            self.mirror_payment(unit, row, payment)
        return payment

    def mirror_payment(self, unit: Unit, row: InvoiceRow, payment: Row) -> None:
        """Have the invoicing app note a payment that it did not take itself."""
        app = unit.app(row.values["invoicing_app_id"])
        if payment["app_id"] == app.id and payment["origin"] == "collected":
            return
        if not app.handle.declaration.can(Capability.RECORD_PAYMENT):
            return
        work = WorkRow(payment["id"], Capability.RECORD_PAYMENT, app.id, row.id, version=row.values["version"])
        self.advancer.want(unit, app, Capability.RECORD_PAYMENT, work, row.values["customer_id"])

    def payment_recorded(self, unit: Unit, settled: Settled, result: PaymentResult) -> None:
        """The invoicing app's books show the payment."""
        link = unit.link(settled.work.item_id, settled.app.id)
        link |= {"kind": "payment", "external_id": result.external_id, "leftovers": {}}
        unit.save_link(link)
        row = unit.invoice(settled.work.subject_id)
        unit.report(row.id, settled.component, [])
        unit.record(row, "record_payment.done", operation_id=settled.work.operation_id)

    def payment_pending(self, unit: Unit, settled: Settled, outcome: Pending) -> None:
        """The money is under way."""
        row = unit.invoice(settled.work.subject_id)
        payment = unit.get_record("payment", settled.work.item_id)
        if settled.capability is not Capability.RECORD_PAYMENT:
            if payment["state"] == "pending":
                payment["state"] = "processing"
            payment["external_id"] = outcome.external_id or payment["external_id"]
            unit.save_record("payment", payment)
            unit.match_inbox(settled.app.id, payment["external_id"], payment["id"], "payment")
        unit.record(row, f"{settled.capability}.pending", operation_id=settled.work.operation_id, note=outcome.reason)

    def payment_rejected(
        self, unit: Unit, settled: Settled, issues: Sequence[ValidationIssue], external_id: str | None
    ) -> None:
        """The provider refuses the payment, or refuses to note it."""
        row = unit.invoice(settled.work.subject_id)
        note = issues[0].message if issues else None
        self._remember(unit, settled, external_id)
        if settled.capability is Capability.RECORD_PAYMENT:
            unit.report(
                row.id, settled.component, [issue.model_copy(update={"severity": Severity.WARNING}) for issue in issues]
            )
            unit.record(row, "record_payment.rejected", operation_id=settled.work.operation_id, note=note)
            return
        payment = unit.get_record("payment", settled.work.item_id)
        payment |= {"state": "failed", "code": issues[0].code if issues else None, "message": note}
        unit.save_record("payment", payment)
        unit.report(
            row.id, settled.component, [issue.model_copy(update={"severity": Severity.WARNING}) for issue in issues]
        )
        self._after_money(unit, row, Trigger.FAILED, f"{settled.capability}.rejected", settled.work.operation_id)

    def refund_done(self, unit: Unit, settled: Settled, result: RefundResult) -> None:
        """The provider says how a refund stands."""
        row = unit.invoice(settled.work.subject_id)
        refund = unit.get_record("refund", settled.work.item_id)
        payments.take_refund(unit, row, refund, result)
        unit.record(row, f"refund.{result.status}", operation_id=settled.work.operation_id)

    def refund_pending(self, unit: Unit, settled: Settled, outcome: Pending) -> None:
        """The refund is under way."""
        refund = unit.get_record("refund", settled.work.item_id)
        refund |= {"state": "processing", "external_id": outcome.external_id or refund["external_id"]}
        unit.save_record("refund", refund)
        unit.record(
            unit.invoice(settled.work.subject_id),
            "refund.pending",
            operation_id=settled.work.operation_id,
            note=outcome.reason,
        )

    def refund_rejected(
        self, unit: Unit, settled: Settled, issues: Sequence[ValidationIssue], external_id: str | None
    ) -> None:
        """The provider refuses the refund."""
        refund = unit.get_record("refund", settled.work.item_id)
        refund |= {"state": "failed", "message": issues[0].message if issues else None}
        unit.save_record("refund", refund)
        unit.record(
            unit.invoice(settled.work.subject_id),
            "refund.rejected",
            operation_id=settled.work.operation_id,
            note=refund["message"],
        )

    # Credit notes.

    def credited(self, unit: Unit, settled: Settled, result: DocumentResult) -> None:
        """The credit note stands at the provider."""
        record = unit.get_record("credit_note", settled.work.item_id)
        differences = totals.differences(settled.item.credit_note, result.totals)
        self._keep_credit_note(unit, settled, result)
        if differences:
            credit_notes.fail(unit, record, settled.component, [_differing(settled.app, differences)])
            return
        unit.report(record["id"], settled.component, [])
        number = result.number or self._final_credit_number(unit, settled.app, record, settled.item)
        invoice = credit_notes.issued(unit, record, number, settled.work.operation_id)
        if invoice is not None:
            self._after_money(
                unit, invoice, Trigger.PAID if invoice.facts.fully_paid else None, "credit_note.allocated", None
            )

    def _keep_credit_note(self, unit: Unit, settled: Settled, result: DocumentResult) -> None:
        link = unit.link(settled.work.item_id, settled.app.id)
        link |= {
            "kind": "credit_note",
            "external_id": result.external_id or link["external_id"],
            "number": result.number or link["number"],
            "url": result.url or link["url"],
            "line_ids": {**link["line_ids"], **result.line_ids},
            "leftovers": {},
        }
        if result.totals is not None:
            link["evidence"] = {"totals": totals.evidence(settled.item.credit_note, result.totals)}
        unit.save_link(link)

    def credit_pending(self, unit: Unit, settled: Settled, outcome: Pending) -> None:
        """The credit note waits at the provider."""
        record = unit.get_record("credit_note", settled.work.item_id)
        self._remember(unit, settled, outcome.external_id)
        unit.record_document(unit.save_record("credit_note", record), "credit.pending", {}, note=outcome.reason)

    def credit_rejected(
        self, unit: Unit, settled: Settled, issues: Sequence[ValidationIssue], external_id: str | None
    ) -> None:
        """The provider refuses the credit note."""
        self._remember(unit, settled, external_id)
        credit_notes.fail(unit, unit.get_record("credit_note", settled.work.item_id), settled.component, issues)

    def _final_number(self, unit: Unit, app: AppHandle, row: InvoiceRow, given: str | None) -> str:
        # The one it was sent with, or one from the series where nobody gave it one.
        number: str = given or row.values["number"]
        if app.handle.declaration.numbers.owner is not NumberOwner.ENGINE or not is_draft_number(number):
            return number
        profile = profile_names(unit.tx, [row.values["profile_id"]]).get(row.values["profile_id"], "")
        document = numbered_document(row.values, unit.content(row.id, row.revision), profile)
        return self.numbers.take(unit, INVOICE, document, app).number

    def _final_credit_number(self, unit: Unit, app: AppHandle, record: Row, item: Any) -> str:
        number: str = item.number or record["number"]
        if not is_draft_number(number):
            return number
        document = numbered_document(record, unit.content(record["id"], 1), "")
        return self.numbers.take(unit, CREDIT_NOTE, document, app).number

    # Customers.

    def customer_done(self, unit: Unit, settled: Settled, result: CustomerResult) -> None:
        """The customer stands at the provider; whatever waited for it goes on."""
        link = unit.customer_link(settled.work.item_id, settled.app.id)
        link |= {
            "synced_revision": settled.item.revision,
            "external_id": result.external_id,
            "payment_method": result.payment_method or link["payment_method"],
            "app_data": {**link["app_data"], **result.app_data},
            "leftovers": {},
            "failure": None,
        }
        unit.save_customer_link(link)
        unit.release_waiting(waiting_name(settled.work.item_id, settled.app.id))
        unit.wake(settled.app.id, unit.now_micros)
        if customer_revision(unit, settled.work.item_id) > settled.item.revision:
            # It was edited while it was under way.
            unit.want(settled.work._replace(state=READY, due=unit.now_micros, operation_id=None))

    def customer_pending(self, unit: Unit, settled: Settled, outcome: Pending) -> None:
        """The customer waits at the provider; so does everything that needs it."""
        link = unit.customer_link(settled.work.item_id, settled.app.id)
        link["external_id"] = outcome.external_id or link["external_id"]
        unit.save_customer_link(link)

    def customer_rejected(
        self, unit: Unit, settled: Settled, issues: Sequence[ValidationIssue], external_id: str | None
    ) -> None:
        """The provider refuses the customer; every invoice that waits for it stops, and says why."""
        link = unit.customer_link(settled.work.item_id, settled.app.id)
        link["failure"] = [issue.model_dump(mode="json") for issue in issues]
        link["external_id"] = external_id or link["external_id"]
        link["leftovers"] = {**link["leftovers"], **settled.leftovers}
        unit.save_customer_link(link)
        reason = issues[0].message if issues else "the provider gave no reason"
        outcome = Rejected.because(
            "customer_rejected", f"{settled.app.name} refuses the customer: {reason} Mend the customer, then retry."
        )
        for work in unit.waiting_for(waiting_name(settled.work.item_id, settled.app.id)):
            self.settle(unit, Settled(settled.app, Capability(work.operation), work, None, outcome))


def customer_revision(unit: Unit, customer_id: str) -> int:
    """How often the customer was changed."""
    customer = schema.customer
    return int(unit.tx.scalar(sa.select(customer.c.revision).where(customer.c.id == customer_id)) or 0)


def check_of(app: AppHandle, capability: Capability) -> Capability:
    """The operation that looks how a pending one stands; the operation itself where the provider has no such look."""
    check = _CHECKS.get(capability)
    return check if check is not None and app.handle.declaration.can(check) else capability


def unknown_ids(invoice: Any, result: DocumentResult) -> set[str]:
    """Line and discount ids in a result that the invoice does not have."""
    known = {line.id for line in invoice.lines}
    known |= {detail.id for line in invoice.lines for detail in line.detailed_lines}
    known |= {discount.id for line in invoice.lines for discount in discounts_of(line)}
    return {id for id in (*result.line_ids, *result.discount_ids) if id not in known}


def can_fire(row: InvoiceRow, trigger: Trigger, now: datetime) -> bool:
    """Whether the table has a way for that trigger now."""
    return isinstance(decide(row.facts, trigger, now), Decision)


def _differing(app: AppHandle, differences: Sequence[str]) -> ValidationIssue:
    return ValidationIssue(
        severity=Severity.CRITICAL,
        code="totals_differ",
        message=f"{app.name} holds other amounts than this invoice: {'; '.join(differences)}. Find the cause, then retry.",
        path="/totals/total",
    )


def _strangers(settled: Settled, result: DocumentResult) -> list[ValidationIssue]:
    if not (result.line_ids or result.discount_ids):
        return []
    return [
        ValidationIssue(
            severity=Severity.WARNING,
            code="line_unknown",
            message=f"{settled.app.name} returned an id for {id}, which is no line or discount of this invoice. It was not kept.",
            component=settled.component,
        )
        for id in sorted(unknown_ids(settled.item.invoice, result))
    ]


def _taxes_of(line: Line, content: InvoiceContent, result: TaxResult) -> tuple[TaxAmount, ...]:
    config = tax_config_of(line, content.workflow)
    stated = config.behavior if config is not None else TaxBehavior.EXCLUSIVE
    return tuple(_tax_amount(tax, line, stated) for tax in result.lines.get(line.id, ()))


def _tax_amount(tax: LineTax, line: Line, stated: TaxBehavior) -> TaxAmount:
    told = TaxBehavior.INCLUSIVE if tax.included else TaxBehavior.EXCLUSIVE
    return TaxAmount(
        name=tax.name,
        percentage=tax.percentage,
        behavior=stated if tax.included is None else told,
        taxable_amount=line.totals.before_taxes if tax.taxable_amount is None else tax.taxable_amount,
        amount=tax.amount,
    )


def _invoice_ids(unit: Unit, settled: Settled) -> set[str]:
    return (
        set()
        if OPERATIONS[settled.capability].item.__name__ in ("CustomerItem", "CreditNoteItem")
        else {settled.work.subject_id}
    )


_OUTCOMES: dict[type, Callable[[Settler, Unit, Settled], None]] = {
    Done: Settler.done,
    Pending: Settler.pending,
    Rejected: Settler.rejected,
    Retry: Settler.retry,
    Release: Settler.release,
    Alone: Settler.alone,
    Doubt: Settler.doubt,
}
_NAMES: dict[type, str] = {
    Done: "done",
    Pending: "pending",
    Rejected: "rejected",
    Retry: "retry",
    Release: "retry",
    Alone: "retry",
    Doubt: "in_doubt",
}

_DONE: dict[Capability, Callable[[Settler, Unit, Settled, Any], None]] = {
    Capability.SYNC_CUSTOMER: Settler.customer_done,
    Capability.SYNC_DRAFT: Settler.document_done,
    Capability.ISSUE: Settler.document_done,
    Capability.SEND: Settler.sent,
    Capability.VOID: lambda settler, unit, settled, result: settler.removed("void_confirmed")(unit, settled, result),
    Capability.DELETE: lambda settler, unit, settled, result: settler.removed("delete_confirmed")(
        unit, settled, result
    ),
    Capability.CREDIT: Settler.credited,
    Capability.CALCULATE_TAX: Settler.taxed,
    Capability.COLLECT_PAYMENT: Settler.payment_done,
    Capability.CHECK_PAYMENT: Settler.payment_done,
    Capability.RECORD_PAYMENT: Settler.payment_recorded,
    Capability.REFUND: Settler.refund_done,
    Capability.FETCH: Settler.fetched,
}
_PASSED: dict[Capability, Callable[[Settler, Unit, Settled, InvoiceRow, DocumentResult], None]] = {
    Capability.SYNC_DRAFT: Settler.drafted,
    Capability.ISSUE: Settler.issued,
}
_PENDING: dict[str, Callable[[Settler, Unit, Settled, Pending], None]] = {
    "InvoiceItem": Settler.document_pending,
    "CreditNoteItem": Settler.credit_pending,
    "PaymentItem": Settler.payment_pending,
    "RefundItem": Settler.refund_pending,
    "CustomerItem": Settler.customer_pending,
}
_REJECTED: dict[str, Callable[[Settler, Unit, Settled, Sequence[ValidationIssue], str | None], None]] = {
    "InvoiceItem": Settler.document_rejected,
    "CreditNoteItem": Settler.credit_rejected,
    "PaymentItem": Settler.payment_rejected,
    "RefundItem": Settler.refund_rejected,
    "CustomerItem": Settler.customer_rejected,
}
_CHECKS: dict[Capability, Capability] = {
    Capability.SYNC_DRAFT: Capability.FETCH,
    Capability.ISSUE: Capability.FETCH,
    Capability.COLLECT_PAYMENT: Capability.CHECK_PAYMENT,
}
# A refusal fails the invoice only while it waits for that very operation.
_CAN_FAIL: dict[State, frozenset[Capability]] = {
    State.DRAFT_VALIDATING: frozenset({Capability.CALCULATE_TAX}),
    State.DRAFT_SYNCING: frozenset({Capability.SYNC_DRAFT}),
    State.ISSUING_SYNCING: frozenset({Capability.ISSUE, Capability.SEND}),
    State.DELETE_SYNCING: frozenset({Capability.DELETE}),
}
_WAITING_FOR_DOCUMENT: dict[State, Capability] = {
    State.DRAFT_SYNCING: Capability.SYNC_DRAFT,
    State.ISSUING_SYNCING: Capability.ISSUE,
}
