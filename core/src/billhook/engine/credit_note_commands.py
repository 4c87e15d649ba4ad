"""Credit notes of one namespace: money owed back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import sqlalchemy as sa

from billhook.contract.declaration import Capability
from billhook.domain.calculation import NO_QUANTITIES
from billhook.domain.invoice import DocumentType, InvoiceDraft, InvoiceView, content_json
from billhook.domain.issue import Severity, ValidationIssue
from billhook.domain.lifecycle import State
from billhook.domain.money import plain
from billhook.domain.parsing import parse_draft
from billhook.domain.payment import CreditNoteStatus, CreditNoteTrigger
from billhook.engine import credit_note_waits, credit_notes, noted_credit_notes, tables, unsent_payments
from billhook.engine.arguments import checked
from billhook.engine.context import Context
from billhook.engine.freeze import credit_note_view
from billhook.engine.held_documents import HeldDocuments, held_documents
from billhook.engine.invoice_row import InvoiceRow
from billhook.engine.locks import hold_each
from billhook.engine.moments import maybe_micros
from billhook.engine.numbers import NumberedDocument
from billhook.engine.open_issues import OpenCreditNoteIssue, has_open_issue, open_credit_note_issues
from billhook.engine.paging import PAGE_SIZE, check_page, read_page
from billhook.engine.queries import issues_of, issues_of_each, require_invoice
from billhook.engine.records import Page
from billhook.engine.settle import Settler
from billhook.engine.submitting import DRAFT_SERIES, Submitter, check_dates, draft_hash
from billhook.engine.unit import Unit
from billhook.engine.validating import OWN, findings_of_credit_note
from billhook.engine.work import Lane, WorkRow
from billhook.errors import Conflict, InvalidInput, KeyReused, NotAllowed, Unsupported
from billhook.store import schema
from billhook.store.transaction import Transaction

Row = dict[str, Any]
Draft = InvoiceDraft | Mapping[str, Any] | bytes
INTAKE = 500
Ids = list[str]
_note = schema.credit_note
_GONE = frozenset({State.DELETE_IN_PROGRESS, State.DELETE_SYNCING, State.DELETE_FAILED, State.DELETED, State.VOIDED})


@dataclass(frozen=True, slots=True)
class CreditNoteStanding:
    """What stands in the way of a credit note, and why it is not issued yet."""

    issues: tuple[ValidationIssue, ...]
    waiting_for: str | None


@checked
class CreditNotes:
    """Submitting and reading credit notes, and retrying those that failed or giving them up."""

    def __init__(self, context: Context, namespace: str, settler: Settler) -> None:
        self._context = context
        self._namespace = namespace
        self._settler = settler

    def submit(self, draft: Draft) -> InvoiceView:
        """Store a credit note and have it issued. The same draft under the same key gives the same credit note.

        Amounts are positive: what is owed back. With ``credited_invoice_id`` it is put against that invoice, as far as that is unpaid, and
        counts at that invoice's exchange rate unless it states one. One with an ``external_id`` stands at the app of its invoice already: it
        counts, and nothing is sent.
        Raises InvalidInput that lists every problem, KeyReused, NotFound, NotAllowed for an invoice that can't be credited, Conflict for what
        stands there and counts already. Then nothing was stored.
        """
        return self.get(self.submit_many([draft])[0])

    def submit_many(self, drafts: Sequence[Draft]) -> Ids:
        """Store many, some hundreds per transaction, and return their ids in order."""
        parsed = [draft if isinstance(draft, InvoiceDraft) else parse_draft(draft) for draft in drafts]
        ids: Ids = []
        for start in range(0, len(parsed), INTAKE):
            ids.extend(self._context.database.write(partial(self._take_in, drafts=parsed[start : start + INTAKE])))
        return ids

    def get(self, credit_note_id: str) -> InvoiceView:
        """One credit note. Raises NotFound."""
        with self._context.database.read() as tx:
            unit = Unit(self._context, tx)
            record = unit.money.get("credit_note", credit_note_id, self._namespace)
            return _views(unit, [record])[0]

    def find(self, key: str) -> InvoiceView | None:
        """The credit note that was submitted under that key, or None."""
        with self._context.database.read() as tx:
            id = tx.scalar(sa.select(_note.c.id).where(_note.c.namespace == self._namespace, _note.c.client_key == key))
        return None if id is None else self.get(id)

    def issues(self, credit_note_id: str) -> tuple[ValidationIssue, ...]:
        """What stands in the way of a credit note. Raises NotFound."""
        with self._context.database.read() as tx:
            Unit(self._context, tx).money.get("credit_note", credit_note_id, self._namespace)
            return issues_of(tx, credit_note_id)

    def waiting_for(self, credit_note_id: str) -> str | None:
        """Why a credit note is not issued yet; None where nothing holds it, or it has come to its end. Raises NotFound."""
        with self._context.database.read() as tx:
            note = Unit(self._context, tx).money.get("credit_note", credit_note_id, self._namespace)
            return credit_note_waits.reason(tx, note)

    def standings(self, credit_note_ids: Sequence[str]) -> Mapping[str, CreditNoteStanding]:
        """What stands in the way of several credit notes, and what each waits for, by id. One that is not here is left out."""
        with self._context.database.read() as tx:
            found = tables.read_records(tx, "credit_note", credit_note_ids)
            notes = [note for note in found if note["namespace"] == self._namespace]
            issues = issues_of_each(tx, [note["id"] for note in notes])
            waits = credit_note_waits.reasons_of(tx, notes)
        return {note["id"]: CreditNoteStanding(issues[note["id"]], waits[note["id"]]) for note in notes}

    def retry(self, credit_note_id: str) -> InvoiceView:
        """Try a failed one again. Raises NotAllowed for one that did not fail."""

        def act(tx: Transaction) -> None:
            unit = Unit(self._context, tx, lane=Lane.INTERACTIVE)
            self.retry_in(unit, credit_note_id)
            unit.flush()

        self._context.database.write(act)
        return self.get(credit_note_id)

    def retry_in(self, unit: Unit, credit_note_id: str) -> Row:
        """As ``retry``, in that unit. Returns the credit note's row."""
        record = unit.money.get("credit_note", credit_note_id, self._namespace)
        if record["state"] != CreditNoteStatus.FAILED:
            raise NotAllowed(
                f"The credit note {credit_note_id} is {record['state']}; only one that failed is tried again.",
                "credit_note_not_failed",
            )
        if record["invoice_id"] is not None:
            _check_stands(unit.invoice(record["invoice_id"]))
        credit_notes.move(unit, record, CreditNoteTrigger.RETRY, "retry", {})
        self._issue(unit, record)
        return record

    def void(self, credit_note_id: str) -> InvoiceView:
        """Give up one that failed: nothing is credited, and nothing needs its customer or its app any more. Doing it twice is fine.

        Nothing is sent. What an app has of it all the same is to be made void there; the timeline names it. Raises NotAllowed for one
        that is issued or being issued.
        """

        def act(tx: Transaction) -> None:
            unit = Unit(self._context, tx, lane=Lane.INTERACTIVE)
            record = unit.money.get("credit_note", credit_note_id, self._namespace)
            if record["state"] == CreditNoteStatus.VOIDED:
                return
            if record["state"] != CreditNoteStatus.FAILED:
                raise NotAllowed(
                    f"The credit note {credit_note_id} is {record['state']}; only one that failed is made void. "
                    "Take back what was credited with an invoice.",
                    "credit_note_not_failed",
                )
            remote = unit.links.of(record["id"], record["app_id"])["external_id"]
            note = None if remote is None else f"It may stand at {unit.app(record['app_id']).name} as {remote}."
            unit.issues.clear(record["id"])
            credit_notes.move(unit, record, CreditNoteTrigger.VOID, "void", {}, note=note)
            unit.flush()

        self._context.database.write(act)
        return self.get(credit_note_id)

    def allocate(self, credit_note_id: str) -> InvoiceView:
        """Count what is left of an issued one against its invoice, because somebody put it against that at the app. What counts already is
        not counted again.

        A credit note on an invoice that was paid is put against nothing; once the payment is taken back, the invoice is owed again and has
        room for it. Nothing is sent. Raises NotAllowed for one that is not issued, stands on no invoice, or whose invoice owes nothing or is
        void.
        """

        def act(tx: Transaction) -> None:
            unit = Unit(self._context, tx, lane=Lane.INTERACTIVE)
            record = unit.money.get("credit_note", credit_note_id, self._namespace)
            noted_credit_notes.allocate(unit, self._settler.money, record)
            unit.flush()

        self._context.database.write(act)
        return self.get(credit_note_id)

    def open_issues(self) -> tuple[OpenCreditNoteIssue, ...]:
        """Why credit notes stand still or warn, each cause once with how many have it: what stops credit notes first."""
        with self._context.database.read() as tx:
            return open_credit_note_issues(tx, _note.c.namespace == self._namespace)

    def held(self) -> tuple[HeldDocuments, ...]:
        """How many credit notes wait for an app that can't be called, by app; no issue tells of those."""
        with self._context.database.read() as tx:
            return held_documents(self._context, tx, self._namespace, _note)

    def list(
        self,
        *,
        status: str | None = None,
        invoice_id: str | None = None,
        issue_codes: tuple[str, ...] = (),
        page: int = 1,
        page_size: int = PAGE_SIZE,
    ) -> Page[InvoiceView]:
        """A page of the credit notes, the newest first; of those of that status, of those on that invoice, and of those with an open issue of
        one of these codes, where any is given.
        ``amount_credited`` is what of each was put against its invoice. Raises InvalidInput for what can't be, NotFound for an unknown
        invoice.
        """
        check_page(page, page_size)
        select = sa.select(_note).where(_note.c.namespace == self._namespace)
        if status is not None:
            _check_status(status)
            select = select.where(_note.c.state == status)
        if invoice_id is not None:
            select = select.where(_note.c.invoice_id == invoice_id)
        if issue_codes:
            select = select.where(has_open_issue(schema.validation_issue.c.code.in_(issue_codes), _note))
        with self._context.database.read() as tx:
            if invoice_id is not None:
                require_invoice(tx, self._namespace, invoice_id)
            found = read_page(tx, select.order_by(_note.c.id.desc()), _as_dict, page=page, page_size=page_size)
            views = _views(Unit(self._context, tx), found.items)
            return Page(views, found.total_count, found.page, found.page_size)

    def _take_in(self, tx: Transaction, drafts: Sequence[InvoiceDraft]) -> Ids:
        noted = [draft.external_id for draft in drafts if draft.external_id is not None]
        hold_each(tx, [(self._namespace, noted_credit_notes.turn(each)) for each in noted])
        unit = Unit(self._context, tx)
        submitter = Submitter(self._namespace, self._settler.advancer, self._settler.numbers)
        ids = [self._submit(unit, submitter, draft) for draft in drafts]
        unit.flush()
        return ids

    def _submit(self, unit: Unit, submitter: Submitter, draft: InvoiceDraft) -> str:
        if draft.type is not DocumentType.CREDIT_NOTE:
            raise InvalidInput("document_is_invoice", "This draft is an invoice. Submit it as one.", "/type")
        check_dates(draft.issued_at, None, unit.now)
        if draft.due_at is not None:
            raise InvalidInput("due_at_of_credit_note", "A credit note is never due. Leave due_at out.", "/due_at")
        digest = draft_hash(draft)
        existing = self._existing(unit, draft.key, digest)
        if existing is not None:
            return existing
        resolved = submitter.resolved(unit, draft)
        credited = self._credited(unit, draft, resolved.customer.id)
        content = submitter.content(unit, _at_the_rate_of(unit, credited, draft), resolved, NO_QUANTITIES)
        if content.totals.total < 0:
            raise InvalidInput(
                "total_negative", "A credit note's amounts are what is owed back: positive. Turn the signs.", "/lines"
            )
        app_id = credited.values["invoicing_app_id"] if credited else resolved.profile.invoicing_app_id
        id = unit.new_document_id()
        document = NumberedDocument(
            id=id,
            namespace=self._namespace,
            customer_id=resolved.customer.id,
            customer_name=content.customer.name,
            customer_key=content.customer.key,
            profile=resolved.profile.name,
            currency=content.currency,
            at=unit.now,
        )
        record: Row = {
            "id": id,
            "namespace": self._namespace,
            "client_key": draft.key,
            "draft_hash": digest,
            "state": "draft",
            "version": 0,
            "customer_id": resolved.customer.id,
            "invoice_id": draft.credited_invoice_id,
            "app_id": app_id,
            "currency": draft.currency,
            "number": draft.number or self._settler.numbers.next_independent(unit, DRAFT_SERIES, document),
            "number_final": int(draft.number is not None),
            "total": plain(content.totals.total),
            "amount_allocated": "0",
            "issued_at": maybe_micros(draft.issued_at),
            "created_at": unit.now_micros,
            "updated_at": unit.now_micros,
        }
        unit.revisions.add(id, 1, content, content_json(content))
        unit.record_document(
            unit.money.save("credit_note", record),
            "created",
            {k: v for k, v in record.items() if v is not None and k not in ("id", "namespace", "version")},
        )
        credit_notes.move(unit, record, CreditNoteTrigger.ISSUE, "issue", {})
        if draft.external_id is None:
            self._issue(unit, record)
        else:
            noted_credit_notes.note(unit, self._settler.money, record, draft.external_id)
        return id

    def _credited(self, unit: Unit, draft: InvoiceDraft, customer_id: str) -> InvoiceRow | None:
        if draft.credited_invoice_id is None:
            return None
        credited = unit.invoice(draft.credited_invoice_id, self._namespace)
        _check_credited(credited, draft, customer_id)
        return credited

    def _existing(self, unit: Unit, key: str | None, digest: str) -> str | None:
        if key is None:
            return None
        made = unit.money.credit_note_under(key, self._namespace)
        if made is not None:
            return _same(made["id"], made["draft_hash"], key, digest)
        found = unit.tx.first(
            sa.select(_note.c.id, _note.c.draft_hash).where(
                _note.c.namespace == self._namespace, _note.c.client_key == key
            )
        )
        return None if found is None else _same(found.id, found.draft_hash, key, digest)

    def _issue(self, unit: Unit, record: Row) -> None:
        app = unit.app(record["app_id"])
        if app.deleted:
            raise Conflict(
                f"App {app.name} was uninstalled, and issues nothing any more. Credit invoice {record['invoice_id']} there by hand, or "
                "leave out credited_invoice_id to have the credit note issued by the app that serves the customer now.",
                "app_deleted",
            )
        view = credit_note_view(record, unit.revisions.content(record["id"], 1))
        if not app.handle.declaration.can(Capability.CREDIT):
            raise Unsupported(
                f"App {app.name} can't issue credit notes: {app.handle.declaration.why_not(Capability.CREDIT)}."
            )
        issues, lines = findings_of_credit_note(unit, view, app)
        if lines is None or any(issue.severity is Severity.CRITICAL for issue in issues):
            credit_notes.fail(unit, record, OWN, issues)
            return
        unit.revisions.keep_mapping(record["id"], 1, app.id, lines)
        work = WorkRow(record["id"], Capability.CREDIT, app.id, record["id"], version=record["version"])
        if record["invoice_id"] is None:
            self._settler.advancer.want(unit, app, Capability.CREDIT, work, record["customer_id"])
            return
        invoice = unit.invoice(record["invoice_id"])
        # Whoever collects the invoice or makes it void at this moment has to know of it.
        unit.record(invoice, "credit_note.begun", note=f"{record['total']} {record['currency']}, {record['id']}")
        self._settler.advancer.want_after_issue(unit, app, Capability.CREDIT, work, invoice)
        unsent_payments.refit(self._settler.advancer, unit, invoice)


def _check_status(status: str) -> None:
    known = [each.value for each in CreditNoteStatus]
    if status not in known:
        raise InvalidInput(
            "status_unknown", f"No credit note is ever {status}. Use one of {', '.join(known)}.", "/status"
        )


def _same(id: str, stored: str, key: str, digest: str) -> str:
    if stored != digest:
        raise KeyReused(key, f"credit note {id}")
    return id


def _at_the_rate_of(unit: Unit, credited: InvoiceRow | None, draft: InvoiceDraft) -> InvoiceDraft:
    """The draft at the exchange rate at which the invoice was billed, unless it states another one."""
    if credited is None or draft.exchange_rate is not None:
        return draft
    rate = unit.revisions.content(credited.id, credited.revision).exchange_rate
    return draft.model_copy(update={"exchange_rate": rate})


def _check_credited(invoice: InvoiceRow, draft: InvoiceDraft, customer_id: str) -> None:
    if invoice.values["currency"] != draft.currency:
        raise InvalidInput(
            "credited_invoice_of_other_currency",
            f"Invoice {invoice.id} is in {invoice.values['currency']}, this credit note in {draft.currency}. Use the invoice's currency.",
            "/currency",
        )
    if invoice.values["customer_id"] != customer_id:
        raise InvalidInput(
            "credited_invoice_of_other_customer",
            f"Invoice {invoice.id} belongs to another customer. Credit its own customer.",
            "/credited_invoice_id",
        )
    _check_stands(invoice)


def _check_stands(invoice: InvoiceRow) -> None:
    if invoice.state in _GONE:
        raise NotAllowed(
            f"Invoice {invoice.id} is {invoice.state}; there is nothing to credit.", "invoice_not_creditable"
        )


def _views(unit: Unit, notes: Sequence[Row]) -> tuple[InvoiceView, ...]:
    """The credit notes as hosts read them, with a few questions for all of them."""
    unit.revisions.load([(note["id"], 1) for note in notes])
    unit.links.load((note["id"], note["app_id"]) for note in notes)
    known_as = {note["id"]: unit.links.of(note["id"], note["app_id"])["external_id"] for note in notes}
    return tuple(credit_note_view(note, unit.revisions.content(note["id"], 1), known_as[note["id"]]) for note in notes)


def _as_dict(row: Any) -> Row:
    return dict(row._mapping)
