"""What outcomes mean for an invoice: its draft stands, it is issued, sent, taxed, removed, read back, or refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from billhook.contract.declaration import Capability, NumberOwner
from billhook.contract.items import InvoiceItem
from billhook.contract.outcomes import Pending
from billhook.contract.results import (
    DocumentResult,
    LineTax,
    RemovalResult,
    SendResult,
    Snapshot,
    TaxResult,
    WriteOffResult,
)
from billhook.domain.calculation import apply_taxes, tax_config_of
from billhook.domain.invoice import InvoiceContent, Line, content_json, details_of, discounts_of
from billhook.domain.issue import Severity, ValidationIssue
from billhook.domain.lifecycle import State, Trigger
from billhook.domain.money import plain
from billhook.domain.tax import TaxAmount, TaxBehavior
from billhook.engine import (
    drift,
    due_in_books,
    issued_otherwise,
    looking_at_books,
    money_in_books,
    tables,
    totals,
)
from billhook.engine.advance import Advancer
from billhook.engine.apps import AppHandle
from billhook.engine.effects import Doubt
from billhook.engine.invoice_row import InvoiceRow
from billhook.engine.moments import to_micros
from billhook.engine.money import Money
from billhook.engine.not_in_books import VOIDED
from billhook.engine.number_plan import INVOICE, numbered_document, profile_names
from billhook.engine.numbers import Numbers
from billhook.engine.settled import Settled
from billhook.engine.told_ids import Told, take_back, take_told
from billhook.engine.totals import Compared
from billhook.engine.unit import Unit

_NOT_SHOWN_YET = timedelta(hours=1)
"""How long after a look that did not show a document another one is made."""


class InvoiceOutcomes:
    """Outcomes of invoicing, tax and reconciliation operations."""

    def __init__(
        self,
        advancer: Advancer,
        money: Money,
        numbers: Numbers,
        look_again: Callable[[Unit, Settled], None],
        doubt: Callable[[Unit, Settled], None],
    ) -> None:
        self._advancer = advancer
        self._money = money
        self._numbers = numbers
        self._look_again = look_again
        self._doubt = doubt

    def done(self, unit: Unit, settled: Settled, result: Any) -> None:
        """It is done, with that result."""
        _DONE[settled.capability](self, unit, settled, result)

    def documented(self, unit: Unit, settled: Settled, result: DocumentResult) -> None:
        """A draft stands at the provider, or the invoice is issued there."""
        row = unit.invoice(settled.work.subject_id)
        compared = totals.compare(settled.item.invoice, result.totals)
        differences = totals.differences(compared)
        external_id = self._keep_document(unit, settled, result, compared)
        if differences and settled.capability is Capability.ISSUE:
            issued_otherwise.remember(unit, row, settled.app)
            self._fail_invoice(unit, settled, row, [totals.differing(settled.app.name, differences, external_id)])
            return
        if differences:
            self._fail_invoice(unit, settled, row, [totals.differing(settled.app.name, differences)])
            return
        issued_otherwise.end(unit, row, settled.app)
        row.values["critical_issues"] = 0
        unit.issues.report(row.id, settled.component, _strangers(settled, result))
        passed, cause = _PASSED[settled.capability]
        passed(self, unit, settled, row, result)
        self._advancer.go_on(unit, row, cause, operation_id=settled.work.operation_id)

    def drafted(self, unit: Unit, settled: Settled, row: InvoiceRow, result: DocumentResult) -> None:
        """The draft stands there."""
        row.values["synced_revision"] = settled.item.invoice.revision
        number = result.number or (settled.item.number if settled.item.number != settled.item.invoice.number else None)
        if number:
            row.values |= {"number": number, "number_final": 1}

    def issued(self, unit: Unit, settled: Settled, row: InvoiceRow, result: DocumentResult) -> None:
        """The invoice is final there."""
        row.values["issued_revision"] = settled.item.invoice.revision
        number = result.number or self._final_number(unit, settled.app, row, settled.item)
        row.values |= {"number": number, "number_final": 1}
        if result.sent_at is not None:
            row.values["sent_at"] = to_micros(result.sent_at)
            row.values["sent_revision"] = settled.item.invoice.revision

    def sent(self, unit: Unit, settled: Settled, result: SendResult) -> None:
        """The invoice was sent to the customer."""
        row = unit.invoice(settled.work.subject_id)
        row.values["sent_at"] = to_micros(result.sent_at)
        row.values["sent_revision"] = settled.item.invoice.revision
        unit.issues.report(row.id, settled.component, [])
        self._advancer.go_on(unit, row, "send.done", operation_id=settled.work.operation_id)

    def confirmed(self, unit: Unit, settled: Settled, result: RemovalResult | WriteOffResult) -> None:
        """The document is void, gone or written off there."""
        row = unit.invoice(settled.work.subject_id)
        row.values[_CONFIRMED[settled.capability]] = 1
        link = unit.links.of(row.id, settled.app.id)
        link["external_id"] = result.external_id or link["external_id"]
        link["leftovers"] = {}
        unit.links.save(link)
        unit.issues.report(row.id, settled.component, [])
        self._advancer.go_on(unit, row, f"{settled.capability}.done", operation_id=settled.work.operation_id)

    def taxed(self, unit: Unit, settled: Settled, result: TaxResult) -> None:
        """Tax by line, from outside: a revision of its own, with the same lines."""
        row = unit.invoice(settled.work.subject_id)
        before = unit.revisions.content(row.id, row.revision)
        told = [line for line in before.lines if line.id in result.lines and not line.taxes_stated]
        taxes = {line.id: _taxes_of(line, before, result) for line in told}
        content = apply_taxes(before, taxes)
        row.values["revision"] = row.values["taxed_revision"] = row.revision + 1
        row.values["total"] = plain(content.totals.total)
        unit.revisions.add(row.id, row.revision, content, content_json(content))
        unit.issues.report(row.id, settled.component, [])
        self._advancer.go_on(unit, row, "calculate_tax.done", operation_id=settled.work.operation_id)

    def fetched(self, unit: Unit, settled: Settled, result: Snapshot) -> None:
        """What the provider holds now: money that came there counts, and a draft that was pending is confirmed."""
        row = unit.invoice(settled.work.subject_id)
        link = unit.links.of(row.id, settled.app.id)
        told, given = take_told(link), link["external_id"]
        link["evidence"] = (link["evidence"] or {}) | {"seen": {"status": result.status, "at": unit.now_micros}}
        unit.links.save(link)
        waiting = self._pending_document(unit, settled, row)
        if waiting is not None:
            self._fetched_unfinished(unit, replace(settled, capability=waiting), row, result, told, given)
            return
        drift.tell(unit, row, settled.app, settled.item.invoice, result)
        if not self._takes_over(unit, settled, row, result):
            self._advancer.go_on(unit, row, "fetch.done", operation_id=settled.work.operation_id)
        due_in_books.tell(unit, row, settled.app, result)
        looking_at_books.look_while_owed(unit, row)

    def _fetched_unfinished(
        self, unit: Unit, waiting: Settled, row: InvoiceRow, seen: Snapshot, told: Told | None, given: str | None
    ) -> None:
        """What the provider holds of a document that it had not finished: ``waiting`` is of the operation that waits for it."""
        app, capability = waiting.app, waiting.capability
        stands = seen.found and not seen.voided
        if not stands and told is not None:
            shows = f"shows {given} as void" if seen.found else f"does not show {given}"
            doubt = Doubt(f"{app.name} {shows}, which was given as its id")
            work = take_back(unit, unit.links.of(row.id, app.id), told, waiting.work, doubt.reason)
            self._doubt(unit, replace(waiting, work=work, outcome=doubt))
        elif issued_otherwise.is_gone(unit, row, app, seen):
            issued_otherwise.forget(unit, row, app)
            unit.record(row, "issue.gone", operation_id=waiting.work.operation_id)
            self._advancer.issue(unit, row)
        elif seen.voided:
            issued_otherwise.forget(unit, row, app, capability)
            self._fail_invoice(unit, waiting, row, [_void_already(app, given)])
        elif not seen.found:
            not_yet = Pending("the provider does not show it yet", check_after=_NOT_SHOWN_YET)
            self._look_again(unit, replace(waiting, capability=Capability.FETCH, outcome=not_yet))
        else:
            self._takes_over(unit, waiting, row, seen)  # nobody tells of it again
            document = DocumentResult(external_id=seen.external_id, number=seen.number, totals=seen.totals)
            self.documented(unit, waiting, document)

    def _takes_over(self, unit: Unit, settled: Settled, row: InvoiceRow, seen: Snapshot) -> bool:
        return money_in_books.take_over(self._money, unit, row, settled.app, seen, settled.work.operation_id)

    def _pending_document(self, unit: Unit, settled: Settled, row: InvoiceRow) -> Capability | None:
        """The operation that the provider has not finished for that document. One that is still to be sent is not pending."""
        waiting = _WAITING_FOR_DOCUMENT.get(row.state)
        if waiting is None or any(work.operation == waiting for work in tables.read_item_work(unit.tx, row.id)):
            return None
        return waiting

    def _keep_document(
        self, unit: Unit, settled: Settled, result: DocumentResult, compared: Sequence[Compared]
    ) -> str | None:
        """Keep what the provider told of the document. Returns its id there."""
        link = unit.links.of(settled.work.item_id, settled.app.id)
        link["external_id"] = result.external_id or link["external_id"]
        link["payment_external_id"] = result.payment_external_id or link["payment_external_id"]
        link["number"] = result.number or link["number"]
        link["url"] = result.url or link["url"]
        if result.line_ids or result.discount_ids:
            strangers = unknown_ids(settled.item.invoice, result)
            link["line_ids"] |= {id: remote for id, remote in result.line_ids.items() if id not in strangers}
            link["discount_ids"] |= {id: remote for id, remote in result.discount_ids.items() if id not in strangers}
        link["leftovers"] = {}
        if result.totals is not None:
            link["evidence"] = (link["evidence"] or {}) | {"totals": totals.evidence(compared)}
        unit.links.save(link)
        external_id: str | None = link["external_id"]
        return external_id

    def pending(self, unit: Unit, settled: Settled, outcome: Pending) -> None:
        """The document waits: at the provider, or for a caller to confirm it."""
        row = unit.invoice(settled.work.subject_id)
        settled.remember(unit, outcome.external_id)
        unit.record(row, f"{settled.capability}.pending", operation_id=settled.work.operation_id, note=outcome.reason)

    def rejected(
        self, unit: Unit, settled: Settled, issues: Sequence[ValidationIssue], external_id: str | None
    ) -> None:
        """The provider refuses the document."""
        row = unit.invoice(settled.work.subject_id)
        settled.remember(unit, external_id)
        waited_for = None
        if settled.capability is Capability.FETCH:
            waited_for = self._pending_document(unit, settled, row)
            looking_at_books.look_while_owed(unit, row)
        self._fail_invoice(unit, replace(settled, capability=waited_for or settled.capability), row, issues)

    def _fail_invoice(self, unit: Unit, settled: Settled, row: InvoiceRow, issues: Sequence[ValidationIssue]) -> None:
        critical = unit.issues.report(row.id, settled.component, issues)
        cause = f"{settled.capability}.rejected"
        if settled.capability not in _CAN_FAIL.get(row.state, ()):
            unit.record(row, cause, operation_id=settled.work.operation_id, note=issues[0].message if issues else None)
            return
        row.values["critical_issues"] = max(critical, 1)
        note = issues[0].message if issues else None
        operation_id = settled.work.operation_id
        self._advancer.fire(unit, row, Trigger.FAILED, cause, operation_id=operation_id, note=note)

    def _final_number(self, unit: Unit, app: AppHandle, row: InvoiceRow, item: InvoiceItem) -> str:
        if row.values["number_final"] or app.handle.declaration.numbers.owner is not NumberOwner.ENGINE:
            return str(row.values["number"])
        if item.number is not None and item.number != item.invoice.number:
            return item.number  # reserved for it, and sent with it
        profile = profile_names(unit.tx, [row.values["profile_id"]]).get(row.values["profile_id"], "")
        document = numbered_document(row.values, unit.revisions.content(row.id, row.revision), profile)
        return self._numbers.take(unit, INVOICE, document, app).number

    def doubted(self, unit: Unit, settled: Settled, reason: str) -> None:
        """Nobody knows. The work is held; nothing else changes."""
        row = unit.invoice(settled.work.subject_id)
        unit.record(row, f"{settled.capability}.in_doubt", operation_id=settled.work.operation_id, note=reason)


def unknown_ids(invoice: Any, result: DocumentResult) -> set[str]:
    """Line and discount ids in a result that the invoice does not have."""
    told = {*result.line_ids, *result.discount_ids}
    if not told:
        return told
    known = {line.id for line in invoice.lines}
    known |= {detail.id for line in invoice.lines for detail in details_of(line)}
    known |= {discount.id for line in invoice.lines for discount in discounts_of(line)}
    return told - known


def _void_already(app: AppHandle, external_id: str | None) -> ValidationIssue:
    return ValidationIssue(
        severity=Severity.CRITICAL,
        code=VOIDED,
        message=f"{app.name} shows {external_id} as void, before it was done with it here. A retry has it made anew.",
    )


def _strangers(settled: Settled, result: DocumentResult) -> list[ValidationIssue]:
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


_DONE: Mapping[Capability, Callable[[InvoiceOutcomes, Unit, Settled, Any], None]] = {
    Capability.SYNC_DRAFT: InvoiceOutcomes.documented,
    Capability.ISSUE: InvoiceOutcomes.documented,
    Capability.SEND: InvoiceOutcomes.sent,
    Capability.VOID: InvoiceOutcomes.confirmed,
    Capability.DELETE: InvoiceOutcomes.confirmed,
    Capability.MARK_UNCOLLECTIBLE: InvoiceOutcomes.confirmed,
    Capability.CALCULATE_TAX: InvoiceOutcomes.taxed,
    Capability.FETCH: InvoiceOutcomes.fetched,
}
_PASSED: Mapping[
    Capability, tuple[Callable[[InvoiceOutcomes, Unit, Settled, InvoiceRow, DocumentResult], None], str]
] = {
    Capability.SYNC_DRAFT: (InvoiceOutcomes.drafted, "sync_draft.done"),
    Capability.ISSUE: (InvoiceOutcomes.issued, "issue.done"),
}
_CONFIRMED: Mapping[Capability, str] = {
    Capability.VOID: "void_confirmed",
    Capability.DELETE: "delete_confirmed",
    Capability.MARK_UNCOLLECTIBLE: "write_off_confirmed",
}
# A refusal fails the invoice only while it waits for that very operation.
_CAN_FAIL: Mapping[State, frozenset[Capability]] = {
    State.DRAFT_VALIDATING: frozenset({Capability.CALCULATE_TAX}),
    State.DRAFT_SYNCING: frozenset({Capability.SYNC_DRAFT}),
    State.ISSUING_SYNCING: frozenset({Capability.ISSUE, Capability.SEND}),
    State.DELETE_SYNCING: frozenset({Capability.DELETE}),
}
_WAITING_FOR_DOCUMENT: Mapping[State, Capability] = {
    State.DRAFT_SYNCING: Capability.SYNC_DRAFT,
    State.ISSUING_SYNCING: Capability.ISSUE,
}
