"""Pending lines: lines to be invoiced later, invoices of what is due, and lines to be tried."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from billhook.server.access import Integrating, Reading
from billhook.server.v1.invoices import shown
from billhook.server.v1.pending_lines_input import InvoiceNowInput, PendingLinesInput, SimulationInput
from billhook.server.v1.wire import UlidPath, reply

router = APIRouter(prefix="/billing", tags=["Invoices"])


@router.post("/customers/{customer_id}/invoices/pending-lines", status_code=201, response_model=dict[str, Any])
def create_pending_lines(billing: Integrating, customer_id: UlidPath, body: PendingLinesInput) -> Response:
    """Keep lines until they are invoiced, beside those of the same customer and currency."""
    gathered = billing.pending_lines.add(customer_id, body.currency, body.drafts())
    invoice = shown(billing, billing.all_invoices.get(gathered.gathering.id))
    new = {line.id for line in gathered.lines}
    lines = [line for line in invoice.get("lines", ()) if line["id"] in new]
    return reply({"lines": lines, "invoice": invoice, "isInvoiceNew": gathered.is_new}, 201)


@router.post("/invoices/invoice", status_code=201, response_model=list[dict[str, Any]])
def invoice_pending_lines(billing: Integrating, body: InvoiceNowInput) -> Response:
    """Make invoices of a customer's lines that are due, one for each currency."""
    body.check()
    line_ids = body.filters.line_ids if body.filters else None
    made = billing.gathering.invoice_now(body.customer_id, as_of=body.as_of, line_ids=line_ids)
    return reply([shown(billing, billing.invoices.get(id)) for id in made], 201)


@router.post("/customers/{customer_id}/invoices/simulate", response_model=dict[str, Any])
def simulate_invoice(billing: Reading, customer_id: UlidPath, body: SimulationInput) -> Response:
    """What an invoice of these lines would be. Nothing is stored."""
    return reply(shown(billing, billing.invoices.simulate(body.draft(customer_id), number=body.number)))
