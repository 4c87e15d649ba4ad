"""Invoices as hosts handle them: submitted under a key, changed in part, and everything about how they stand and are paid."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body
from starlette.responses import Response

from billhook.domain.base import Key
from billhook.domain.calculation import InvoiceEdit
from billhook.domain.invoice import InvoiceDraft
from billhook.domain.parsing import parse
from billhook.domain.period import UtcDatetime
from billhook.domain.workflow import WorkflowConfig, amended
from billhook.engine.namespace import Namespace
from billhook.server.access import Integrating, Reading
from billhook.server.own.standing import Standing, standing_of
from billhook.server.own.taken_back import TakenBack
from billhook.server.v1.placing import called, placed
from billhook.server.v1.wire import UlidPath, reply
from billhook.server.v3.wire import Numeric, WireModel

router = APIRouter(prefix="/invoices", tags=["Invoices in full"])


class Dismissed(WireModel):
    """What was done about a warning. It stands in the timeline."""

    reason: Key


class Received(WireModel):
    """Money that came another way, in major units. The same key counts once, so repeat a call whose answer did not come."""

    key: Key
    amount: Numeric
    received_at: UtcDatetime | None = None
    method: Key | None = None
    external_id: Key | None = None


class Capture(WireModel):
    """How much of an authorized payment to take, in major units; all of it where nothing is said."""

    amount: Numeric | None = None


ALL_OF_IT = Capture()


@router.post("", status_code=201, response_model=Standing)
def submit(billing: Integrating, draft: InvoiceDraft) -> Response:
    """Store an invoice and start its way. The same draft under the same key again is the same invoice, so name a key."""
    return reply(standing_of(billing.invoices.get(billing.invoices.submit(draft).id)), 201)


@router.get("/{invoice_id}", response_model=Standing)
def get_standing(billing: Reading, invoice_id: UlidPath) -> Response:
    """Where the invoice stands: what it waits for, what nobody knows, what is wrong, and its payments."""
    return reply(standing_of(billing.invoices.get(invoice_id)))


@router.patch("/{invoice_id}", response_model=Standing)
def change(billing: Integrating, invoice_id: UlidPath, edit: InvoiceEdit) -> Response:
    """Change a draft: only what is stated, of its workflow too. Lines, customer and supplier are the whole new ones.

    It is calculated and validated anew.
    """
    return reply(standing_of(billing.invoices.update(invoice_id, _whole(billing, invoice_id, edit))))


@router.post("/{invoice_id}/payments", status_code=201, response_model=Standing)
def record_payment(billing: Integrating, invoice_id: UlidPath, received: Received) -> Response:
    """Say that money came another way, such as by bank transfer. The books are told of it too."""
    with called({"/amount_received": "/amount"}):
        details = billing.invoices.record_payment(
            invoice_id,
            received.amount,
            received_at=received.received_at,
            method=received.method,
            external_id=received.external_id,
            key=received.key,
        )
    return reply(standing_of(details), 201)


@router.post("/{invoice_id}/payments/{payment_id}/take-back", response_model=Standing)
def take_back_payment(billing: Integrating, invoice_id: UlidPath, payment_id: UlidPath, said: TakenBack) -> Response:
    """Take back a payment that was noted by mistake: what it paid is owed again. No money moves; what an app collected is refunded."""
    return reply(standing_of(billing.invoices.take_back_payment(invoice_id, payment_id, reason=said.reason)))


@router.post("/{invoice_id}/validation-issues/{code}/dismiss", response_model=Standing)
def dismiss(billing: Integrating, invoice_id: UlidPath, code: Key, said: Dismissed) -> Response:
    """Say that a person has dealt with what the warnings of that code tell of: they end, and nothing else changes."""
    return reply(standing_of(billing.invoices.dismiss(invoice_id, code, reason=said.reason)))


@router.post("/{invoice_id}/look", response_model=Standing)
def look(billing: Integrating, invoice_id: UlidPath) -> Response:
    """Have its app asked now what it shows of an issued invoice: money that came there counts, and what differs from here is warned of."""
    return reply(standing_of(billing.invoices.look(invoice_id)))


@router.post("/{invoice_id}/payment/capture", response_model=Standing)
def capture(billing: Integrating, invoice_id: UlidPath, wanted: Annotated[Capture, Body()] = ALL_OF_IT) -> Response:
    """Have the app take money that was only authorized; the rest goes back to the payer."""
    with called({"/amount_to_capture": "/amount"}):
        return reply(standing_of(billing.invoices.capture(invoice_id, wanted.amount)))


@router.post("/{invoice_id}/payment/cancel", response_model=Standing)
def cancel_payment(billing: Integrating, invoice_id: UlidPath) -> Response:
    """Have a payment that is authorized or still open come to nothing. Money that came all the same counts."""
    return reply(standing_of(billing.invoices.cancel_payment(invoice_id)))


def _whole(billing: Namespace, invoice_id: str, edit: InvoiceEdit) -> InvoiceEdit:
    """The edit with the whole workflow, of which it states a part."""
    if edit.workflow is None:
        return edit
    workflow = amended(billing.invoices.get(invoice_id).invoice.content.workflow, edit.workflow)
    with placed("/workflow"):
        stated = {name: getattr(edit, name) for name in edit.model_fields_set}
        return parse(InvoiceEdit, {**stated, "workflow": parse(WorkflowConfig, workflow)})
