"""Invoices: ``/api/v1/billing/invoices``."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import Response

from billhook.domain.calculation import InvoiceEdit
from billhook.engine.all_invoices import AnyInvoice
from billhook.engine.namespace import Namespace
from billhook.server.access import Integrating, Reading
from billhook.server.v1.apps_shown import shown_apps
from billhook.server.v1.gathering_wire import any_invoice_v1
from billhook.server.v1.invoice_input import InvoiceInput, invoice_edit
from billhook.server.v1.invoice_query import ORDERS, Expand, Expanded, Filtered, OrderBy
from billhook.server.v1.invoice_wire import EVERYTHING
from billhook.server.v1.pages import Order, Paging, page_v1
from billhook.server.v1.void_input import VoidInput
from billhook.server.v1.wire import NO_CONTENT, UlidPath, nothing, reply

router = APIRouter(prefix="/billing/invoices", tags=["Invoices"])


@router.get("", response_model=dict[str, Any])
def list_invoices(
    billing: Reading,
    wanted: Filtered,
    paging: Paging,
    expand: Expanded,
    *,
    order: Order = Order.ASC,
    order_by: Annotated[OrderBy, Query(alias="orderBy")] = OrderBy.CREATED_AT,
) -> Response:
    """Invoices, and pending lines as invoices of the status ``gathering``. Lines are shown where they are asked for."""
    page = billing.all_invoices.list(
        wanted,
        order=ORDERS[order_by],
        descending=order is Order.DESC,
        page=paging.page,
        page_size=paging.page_size,
    )
    apps = shown_apps(billing, {app_id for each in page.items for app_id in each.apps.values()})
    return reply(page_v1(page, lambda invoice: any_invoice_v1(invoice, apps=apps, expand=expand)))


@router.get("/{id}", response_model=dict[str, Any])
def get_invoice(
    billing: Reading,
    id: UlidPath,
    expand: Annotated[
        list[Expand] | None, Query(description="What is shown besides; lines, unless said otherwise.")
    ] = None,
    *,
    include_deleted_lines: Annotated[
        bool, Query(alias="includeDeletedLines", description="A deleted line is gone, so that this shows nothing more.")
    ] = False,
) -> Response:
    """One invoice, or one customer's pending lines with what they come to now."""
    return reply(shown(billing, billing.all_invoices.get(id), EVERYTHING if expand is None else expand))


@router.put("/{id}", response_model=dict[str, Any])
def update_invoice(billing: Integrating, id: UlidPath, body: InvoiceInput) -> Response:
    """Replace a draft's content. Lines are known by their ids; those that are missing are deleted.

    A draft that waits for its sync may be changed too, and then waits again.
    """
    before = billing.all_invoices.invoice(id).invoice.content
    return reply(shown(billing, billing.invoices.update(id, invoice_edit(body, before))))


@router.delete("/{id}", status_code=NO_CONTENT)
def delete_invoice(billing: Integrating, id: UlidPath) -> Response:
    """Delete a draft, here and at its app; or take a customer's pending lines away."""
    billing.all_invoices.delete(id)
    return nothing()


@router.post("/{id}/advance", response_model=dict[str, Any])
def advance_invoice(billing: Integrating, id: UlidPath) -> Response:
    """Let an invoice go on now, if it can."""
    return reply(shown(billing, billing.invoices.advance(id)))


@router.post("/{id}/approve", response_model=dict[str, Any])
def approve_invoice(billing: Integrating, id: UlidPath) -> Response:
    """Issue a draft that waits for approval, or before its draft period is over."""
    return reply(shown(billing, billing.invoices.approve(id)))


@router.post("/{id}/retry", response_model=dict[str, Any])
def retry_invoice(billing: Integrating, id: UlidPath) -> Response:
    """Try again what failed."""
    return reply(shown(billing, billing.invoices.retry(id)))


@router.post("/{id}/snapshot-quantities", response_model=dict[str, Any])
def snapshot_quantities(billing: Integrating, id: UlidPath) -> Response:
    """Take the usage as it is now, instead of waiting for the collection time."""
    return reply(shown(billing, billing.invoices.snapshot_quantities(id)))


@router.post("/{id}/void", response_model=dict[str, Any])
def void_invoice(billing: Integrating, id: UlidPath, body: VoidInput | None = None) -> Response:
    """Make an issued invoice void as a whole, here and at its app. Refused while money is held for it."""
    if body is not None:
        body.check()
    return reply(shown(billing, billing.invoices.void(id)))


@router.post("/{id}/taxes/recalculate", response_model=dict[str, Any])
def recalculate_taxes(billing: Integrating, id: UlidPath) -> Response:
    """Compute a draft's taxes anew. It is validated and synced again, as after every change."""
    return reply(shown(billing, billing.invoices.update(id, InvoiceEdit())))


def shown(billing: Namespace, invoice: AnyInvoice, expand: Collection[str] = EVERYTHING) -> dict[str, Any]:
    """The invoice on the wire, its apps in full."""
    return any_invoice_v1(invoice, apps=shown_apps(billing, invoice.apps.values()), expand=expand)
