"""Credit notes and refunds: what is owed back, and money that is given back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, StrictBool
from starlette.responses import Response

from billhook.domain.base import Key
from billhook.domain.invoice import InvoiceDraft, InvoiceView
from billhook.engine.credit_note_commands import CreditNoteStanding
from billhook.engine.namespace import Namespace
from billhook.engine.queries import RefundView
from billhook.engine.records import Page
from billhook.server.access import Integrating, Reading
from billhook.server.own.standing import ReportedIssue, reported
from billhook.server.own.taken_back import TakenBack
from billhook.server.v1.pages import Paging
from billhook.server.v1.placing import called
from billhook.server.v1.wire import UlidPath, reply
from billhook.server.v3.wire import Numeric, WireModel, meta_v3
from billhook.server.ways_out import over_http

router = APIRouter(tags=["Credit notes and refunds"])


class CreditNote(WireModel):
    """A credit note, and what stands in its way. ``amount_credited`` is what of it was put against its invoice; ``waiting_for`` says why
    it is not issued yet, ``external_id`` what its app calls it."""

    id: str
    key: str | None = None
    number: str | None = None
    external_id: str | None = None
    status: str
    customer_id: str
    credited_invoice_id: str | None = None
    currency: str
    total: Numeric
    amount_credited: Numeric
    created_at: AwareDatetime
    issued_at: AwareDatetime | None = None
    waiting_for: str | None = None
    issues: list[ReportedIssue]


class CreditNotes(WireModel):
    """A page of credit notes, the newest first. ``meta.page`` says which, and how many there are on all."""

    data: list[CreditNote]
    meta: dict[str, dict[str, int]]


class RefundOf(WireModel):
    """How much of a payment to give back, in major units. The same key refunds once.

    What was ``paid_elsewhere``, by bank transfer say, is noted, and nobody is asked.
    """

    payment_id: str
    amount: Numeric
    key: Key
    reason: Key | None = None
    paid_elsewhere: StrictBool = False


class Refund(WireModel):
    """A refund. ``message`` says why it failed; ``origin`` who made it: ``requested``, ``outside`` at the provider, or ``recorded``."""

    id: str
    key: str | None = None
    payment_id: str
    invoice_id: str
    status: str
    origin: str
    amount: Numeric
    currency: str
    reason: str | None = None
    message: str | None = None
    external_id: str | None = None
    created_at: AwareDatetime


class Refunds(WireModel):
    """Refunds, the oldest first."""

    data: list[Refund]


@router.get("/credit-notes", response_model=CreditNotes)
def list_credit_notes(
    billing: Reading,
    paging: Paging,
    status: Annotated[str | None, Query(max_length=64, description="Only those, such as failed.")] = None,
) -> Response:
    """Credit notes, the newest first."""
    found = billing.credit_notes.list(status=status, page=paging.page, page_size=paging.page_size)
    return reply(_listed(billing, found))


@router.get("/invoices/{invoice_id}/credit-notes", response_model=CreditNotes)
def list_credit_notes_of_invoice(billing: Reading, invoice_id: UlidPath, paging: Paging) -> Response:
    """The credit notes on an invoice, the newest first, also those that failed. ``amount_credited`` is what of each was put against it."""
    found = billing.credit_notes.list(invoice_id=invoice_id, page=paging.page, page_size=paging.page_size)
    return reply(_listed(billing, found))


@router.get("/invoices/{invoice_id}/refunds", response_model=Refunds)
def list_refunds_of_invoice(billing: Reading, invoice_id: UlidPath) -> Response:
    """Every refund of an invoice's payments, the oldest first, also those that failed, and those that others made at the provider."""
    return reply(Refunds(data=[_refund(view) for view in billing.refunds.list(invoice_id)]))


@router.post("/credit-notes", status_code=201, response_model=CreditNote)
def submit_credit_note(billing: Integrating, draft: InvoiceDraft) -> Response:
    """Store a credit note and have it issued. Amounts are positive. The same draft under the same key again is the same one."""
    return reply(_shown(billing, billing.credit_notes.submit(draft)), 201)


@router.get("/credit-notes/{credit_note_id}", response_model=CreditNote)
def get_credit_note(billing: Reading, credit_note_id: UlidPath) -> Response:
    """One credit note."""
    return reply(_shown(billing, billing.credit_notes.get(credit_note_id)))


@router.post("/credit-notes/{credit_note_id}/retry", response_model=CreditNote)
def retry_credit_note(billing: Integrating, credit_note_id: UlidPath) -> Response:
    """Try a failed one again."""
    return reply(_shown(billing, billing.credit_notes.retry(credit_note_id)))


@router.post("/credit-notes/{credit_note_id}/void", response_model=CreditNote)
def void_credit_note(billing: Integrating, credit_note_id: UlidPath) -> Response:
    """Give up one that failed. Nothing is sent, and one that is issued stands."""
    return reply(_shown(billing, billing.credit_notes.void(credit_note_id)))


@router.post("/credit-notes/{credit_note_id}/allocate", response_model=CreditNote)
def allocate_credit_note(billing: Integrating, credit_note_id: UlidPath) -> Response:
    """Count what is left of an issued one against its invoice, because somebody put it against that at the app. Nothing is sent."""
    return reply(_shown(billing, billing.credit_notes.allocate(credit_note_id)))


@router.post("/refunds", status_code=201, response_model=Refund)
def refund(billing: Integrating, wanted: RefundOf) -> Response:
    """Have a payment's app give money back, or note what was paid back another way."""
    give_back = billing.refunds.record if wanted.paid_elsewhere else billing.refunds.refund
    with called({"/amount_to_refund": "/amount", "/amount_paid_back": "/amount"}):
        id = give_back(wanted.payment_id.upper(), wanted.amount, reason=wanted.reason, key=wanted.key)
    return reply(_refund(billing.refunds.get(id)), 201)


@router.post("/refunds/{refund_id}/take-back", response_model=Refund)
def take_back_refund(billing: Integrating, refund_id: UlidPath, said: TakenBack) -> Response:
    """Take back a refund that was noted as paid another way by mistake. No money moves; what an app gave back stands."""
    return reply(_refund(billing.refunds.take_back(refund_id, reason=said.reason)))


@router.get("/refunds/{refund_id}", response_model=Refund)
def get_refund(billing: Reading, refund_id: UlidPath) -> Response:
    """How the refund stands."""
    return reply(_refund(billing.refunds.get(refund_id)))


def _shown(billing: Namespace, view: InvoiceView) -> CreditNote:
    (credit_note,) = _encoded(billing, [view])
    return credit_note


def _listed(billing: Namespace, found: Page[InvoiceView]) -> CreditNotes:
    meta = meta_v3(found.page, found.page_size, found.total_count)
    return CreditNotes(data=_encoded(billing, found.items), meta=meta)


def _encoded(billing: Namespace, views: Sequence[InvoiceView]) -> list[CreditNote]:
    standings = billing.credit_notes.standings([view.id for view in views])
    return [_credit_note(view, standings[view.id]) for view in views]


def _credit_note(view: InvoiceView, standing: CreditNoteStanding) -> CreditNote:
    named = ("id", "key", "number", "status", "customer_id", "currency", "total", "amount_credited")
    waiting_for = standing.waiting_for
    return CreditNote(
        **{name: getattr(view, name) for name in (*named, "created_at", "issued_at")},
        external_id=view.external_ids.get("invoicing"),
        credited_invoice_id=view.content.credited_invoice_id,
        waiting_for=None if waiting_for is None else over_http(waiting_for, view.id),
        issues=[reported(issue, view.id) for issue in standing.issues],
    )


def _refund(view: RefundView) -> Refund:
    return Refund(**{name: getattr(view, name) for name in Refund.model_fields})
