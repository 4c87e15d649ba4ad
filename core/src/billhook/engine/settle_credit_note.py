"""What outcomes mean for a credit note."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from billhook.contract.items import CreditNoteItem
from billhook.contract.outcomes import Pending
from billhook.contract.results import DocumentResult
from billhook.domain.issue import Severity, ValidationIssue
from billhook.domain.lifecycle import Trigger
from billhook.domain.money import plain
from billhook.domain.payment import CreditNoteStatus
from billhook.engine import (
    credit_notes,
    given_twice,
    looking_at_books,
    noted_credit_notes,
    payments,
    totals,
    unsent_payments,
)
from billhook.engine.apps import AppHandle
from billhook.engine.invoice_row import InvoiceRow
from billhook.engine.money import Money
from billhook.engine.not_in_books import NOT_CREDITED
from billhook.engine.number_plan import CREDIT_NOTE, numbered_document
from billhook.engine.numbers import Numbers
from billhook.engine.settled import Settled
from billhook.engine.unit import Unit
from billhook.engine.validating import OWN

Row = dict[str, Any]


class CreditNoteOutcomes:
    """Outcomes of issuing credit notes."""

    def __init__(self, money: Money, numbers: Numbers) -> None:
        self._money = money
        self._numbers = numbers

    def done(self, unit: Unit, settled: Settled, result: DocumentResult) -> None:
        """The credit note stands at the provider."""
        record = unit.money.get("credit_note", settled.work.item_id)
        self._take(unit, settled, record, result)
        self._goes_on(unit, settled.app, record)

    def _take(self, unit: Unit, settled: Settled, record: Row, result: DocumentResult) -> None:
        counted = noted_credit_notes.counted_as(unit, settled.app, record, result.external_id)
        if counted is not None:
            credit_notes.fail(unit, record, settled.component, [counted])
            return
        differences = totals.differences(totals.compare(settled.item.credit_note, result.totals))
        self._keep(unit, settled, result)
        if differences:
            credit_notes.fail(unit, record, settled.component, [totals.differing(settled.app.name, differences)])
            return
        for component in (settled.component, OWN):
            unit.issues.report(record["id"], component, [])
        number = result.number or self._final_number(unit, settled.app, record, settled.item)
        if record["invoice_id"]:
            given_twice.keep(unit, settled.app, record, unit.invoice(record["invoice_id"]), result.kept_as_credit)
        invoice = credit_notes.issued(unit, record, number, settled.work.operation_id)
        if record["invoice_id"]:
            given_twice.tell(unit, unit.invoice(record["invoice_id"]))
        if invoice is not None:
            _tell_what_books_have_no_room_for(unit, settled.app, record, invoice)
            self._money.after(
                unit, invoice, Trigger.PAID if invoice.facts.fully_paid else None, "credit_note.allocated", None
            )

    def _goes_on(self, unit: Unit, app: AppHandle, record: Row) -> None:
        """Let go on what was to be collected once its end was known. What was left for a credit note that failed is collected, too."""
        if record["invoice_id"] is None:
            return
        invoice = unit.invoice(record["invoice_id"])
        unsent_payments.refit(self._money.advancer, unit, invoice)
        if record["state"] == CreditNoteStatus.FAILED:
            self._money.advancer.collect_rest(unit, invoice)
        looking_at_books.look_after_credit(unit, invoice, app)

    def _keep(self, unit: Unit, settled: Settled, result: DocumentResult) -> None:
        link = unit.links.of(settled.work.item_id, settled.app.id)
        link |= {
            "kind": "credit_note",
            "external_id": result.external_id or link["external_id"],
            "number": result.number or link["number"],
            "url": result.url or link["url"],
            "line_ids": {**link["line_ids"], **result.line_ids},
            "leftovers": {},
        }
        if result.totals is not None:
            link["evidence"] = {"totals": totals.evidence(totals.compare(settled.item.credit_note, result.totals))}
        unit.links.save(link)

    def pending(self, unit: Unit, settled: Settled, outcome: Pending) -> None:
        """The credit note waits at the provider."""
        record = unit.money.get("credit_note", settled.work.item_id)
        settled.remember(unit, outcome.external_id)
        unit.record_document(unit.money.save("credit_note", record), "credit.pending", {}, note=outcome.reason)

    def rejected(
        self, unit: Unit, settled: Settled, issues: Sequence[ValidationIssue], external_id: str | None
    ) -> None:
        """The provider refuses the credit note."""
        settled.remember(unit, external_id)
        record = unit.money.get("credit_note", settled.work.item_id)
        credit_notes.fail(unit, record, settled.component, issues)
        self._goes_on(unit, settled.app, record)

    def doubted(self, unit: Unit, settled: Settled, reason: str) -> None:
        """Nobody knows. The work is held; nothing else changes."""
        record = unit.money.save("credit_note", unit.money.get("credit_note", settled.work.item_id))
        unit.record_document(record, "credit.in_doubt", {}, operation_id=settled.work.operation_id, note=reason)

    def _final_number(self, unit: Unit, app: AppHandle, record: Row, item: CreditNoteItem) -> str:
        if record["number_final"]:
            return str(record["number"])
        if item.number is not None and item.number != item.credit_note.number:
            return item.number
        document = numbered_document(record, unit.revisions.content(record["id"], 1), "")
        return self._numbers.take(unit, CREDIT_NOTE, document, app).number


def _tell_what_books_have_no_room_for(unit: Unit, app: AppHandle, record: Row, invoice: InvoiceRow) -> None:
    """The books take no more than is due in them. Where they still show money that was taken or paid back, that is less than is due here."""
    put = Decimal(record["amount_allocated"])
    credited_before = Decimal(invoice.values["amount_credited"]) - put
    shown = payments.shown_at(unit, invoice, app.id)
    left = put - max(invoice.total - credited_before - shown, Decimal(0))
    message = (
        f"{app.name} still shows {plain(shown)} {record['currency']} as paid, so {plain(left)} of the {plain(put)} of credit note "
        f"{record['number']} could not be put against the invoice there. Undo there what was taken or paid back, and put them against it, "
        f"then: billhook invoices dismiss {invoice.id} {NOT_CREDITED} --reason WHY"
    )
    issue = ValidationIssue(severity=Severity.WARNING, code=NOT_CREDITED, message=message)
    if left > 0:
        unit.issues.report(invoice.id, f"credit.{record['id']}", [issue])
