"""Invoices in the third form of the API. Pending lines are never among them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated, Any, cast

from fastapi import APIRouter, Depends
from starlette.responses import Response

from billhook.domain.ids import is_ulid
from billhook.domain.lifecycle import State
from billhook.engine.invoice_filter import InvoiceFilter, InvoiceOrder
from billhook.engine.queries import InvoiceDetails
from billhook.engine.records import Page
from billhook.errors import InvalidInput
from billhook.server.access import Integrating, Reading
from billhook.server.v3.invoice_input import InvoiceInput, invoice_edit
from billhook.server.v3.invoice_wire import invoice_v3
from billhook.server.v3.query import Asked, Comparison, Kind, Query, Sort
from billhook.server.v3.wire import UlidPath, nothing, page_v3, reply

router = APIRouter(prefix="/billing/invoices", tags=["Invoices"])

ORDERS = {
    "created_at": InvoiceOrder.CREATED_AT,
    "issued_at": InvoiceOrder.ISSUED_AT,
    "service_period_start": InvoiceOrder.PERIOD_START,
}
STATUSES = tuple(dict.fromkeys(state.short for state in State))
_TIMES = {"created_at": "created", "issued_at": "issued", "service_period_start": "period_start"}
_FILTERS = {"status": Kind.EXACT, "customer_id": Kind.EXACT, **dict.fromkeys(_TIMES, Kind.TIME)}
_NEXT = timedelta(microseconds=1)
Listed = Annotated[Asked, Depends(Query(filters=_FILTERS, sorts=tuple(ORDERS)))]


@router.get("", response_model=dict[str, Any])
def list_invoices(billing: Reading, asked: Listed) -> Response:
    """Invoices, without their lines."""
    sort = asked.sort[0] if asked.sort else Sort("created_at")
    filter = wanted(asked)
    if not filter.statuses:  # the filters on it contradict each other
        none: Page[InvoiceDetails] = Page((), 0, asked.page, asked.page_size)
        return reply(page_v3(none, invoice_v3))
    page = billing.all_invoices.list(
        filter,
        order=ORDERS[sort.field],
        descending=sort.descending,
        page=asked.page,
        page_size=asked.page_size,
    )
    return reply(page_v3(page, lambda details: invoice_v3(cast("InvoiceDetails", details), with_lines=False)))


@router.get("/{id}", response_model=dict[str, Any])
def get_invoice(billing: Reading, id: UlidPath) -> Response:
    """One invoice."""
    return reply(invoice_v3(billing.invoices.get(id)))


@router.put("/{id}", response_model=dict[str, Any])
def update_invoice(billing: Integrating, id: UlidPath, body: InvoiceInput) -> Response:
    """Replace a draft's content. Lines are known by their ids; those that are missing are deleted."""
    before = billing.invoices.get(id).invoice.content
    return reply(invoice_v3(billing.invoices.update(id, invoice_edit(body, before))))


@router.delete("/{id}", status_code=204)
def delete_invoice(billing: Integrating, id: UlidPath) -> Response:
    """Delete a draft, here and at its app."""
    billing.all_invoices.delete(billing.invoices.get(id).id)
    return nothing()


@router.post("/{id}/advance", response_model=dict[str, Any])
def advance_invoice(billing: Integrating, id: UlidPath) -> Response:
    """Let an invoice go on now, if it can."""
    return reply(invoice_v3(billing.invoices.advance(id)))


@router.post("/{id}/approve", response_model=dict[str, Any])
def approve_invoice(billing: Integrating, id: UlidPath) -> Response:
    """Issue a draft that waits for approval, or before its draft period is over."""
    return reply(invoice_v3(billing.invoices.approve(id)))


@router.post("/{id}/retry", response_model=dict[str, Any])
def retry_invoice(billing: Integrating, id: UlidPath) -> Response:
    """Try again what failed."""
    return reply(invoice_v3(billing.invoices.retry(id)))


@router.post("/{id}/snapshot-quantities", response_model=dict[str, Any])
def snapshot_quantities(billing: Integrating, id: UlidPath) -> Response:
    """Take the usage as it is now, instead of waiting for the collection time."""
    return reply(invoice_v3(billing.invoices.snapshot_quantities(id)))


def wanted(asked: Asked) -> InvoiceFilter:
    """The filter that the query string asks for. Raises InvalidInput for what no invoice can be."""
    values: dict[str, Any] = {"statuses": tuple(_statuses(asked)), "include_deleted": False}
    for comparison in asked.of("customer_id"):
        ids = comparison.value if comparison.op == "oeq" else (comparison.value,)
        if not all(map(is_ulid, ids)):
            raise InvalidInput(
                "customer_id_invalid", "A customer's id is a ULID in upper case.", "/filter[customer_id]"
            )
        values["other_customers_than" if comparison.op == "neq" else "customer_ids"] = tuple(ids)
    for comparison in (each for name in _TIMES for each in asked.of(name)):
        values |= _bounds(comparison)
    return InvoiceFilter(**values)


def _statuses(asked: Asked) -> Iterator[str]:
    """The statuses that are meant, by name, so that pending lines never are."""
    comparisons = asked.of("status")
    named = {status for each in comparisons for status in (each.value if each.op == "oeq" else (each.value,))}
    if unknown := sorted(named - set(STATUSES)):
        raise InvalidInput(
            "status_unknown",
            f"No invoice is ever {', '.join(unknown)[:64]}. Use one of {', '.join(STATUSES)}.",
            "/filter[status]",
        )
    for status in STATUSES:
        if all(_holds(each, status) for each in comparisons):
            yield status


def _holds(comparison: Comparison, status: str) -> bool:
    if comparison.op == "oeq":
        return status in comparison.value
    return (status == comparison.value) is (comparison.op == "eq")


def _bounds(comparison: Comparison) -> dict[str, Any]:
    about, at = _TIMES[comparison.field], comparison.value
    start, end = f"{about}_from", f"{about}_before"
    bounds: dict[str, dict[str, Any]] = {
        "gte": {start: at},
        "gt": {start: at + _NEXT},
        "lt": {end: at},
        "lte": {end: at + _NEXT},
        "eq": {start: at, end: at + _NEXT},
    }
    return bounds[comparison.op]
