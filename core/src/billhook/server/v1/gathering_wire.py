"""Pending lines on the wire: as the invoice that they would make now."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from billhook.engine.all_invoices import AnyInvoice
from billhook.engine.gathering_invoice import GatheringInvoice
from billhook.engine.invoice_filter import GATHERING
from billhook.server.v1.frame import Frame
from billhook.server.v1.invoice_wire import (
    EVERYTHING,
    LINES,
    NO_APPS,
    content_v1,
    invoice_v1,
    invoice_workflow_v1,
    issue_v1,
)
from billhook.server.v1.line_wire import line_v1
from billhook.server.v1.shown import filled, moment


def any_invoice_v1(
    invoice: AnyInvoice,
    *,
    apps: Mapping[str, Mapping[str, Any]] = NO_APPS,
    expand: Collection[str] = EVERYTHING,
) -> dict[str, Any]:
    """An invoice, or pending lines in its place."""
    shown = gathering_v1 if isinstance(invoice, GatheringInvoice) else invoice_v1
    return shown(invoice, apps=apps, expand=expand)  # type: ignore[arg-type]


def gathering_v1(
    invoice: GatheringInvoice,
    *,
    apps: Mapping[str, Mapping[str, Any]] = NO_APPS,
    expand: Collection[str] = EVERYTHING,
) -> dict[str, Any]:
    """Pending lines as an invoice of the status ``gathering``."""
    pool = invoice.gathering
    return filled(
        id=pool.id,
        type="standard",
        number=pool.number,
        **content_v1(invoice.content),
        createdAt=moment(pool.created_at),
        updatedAt=moment(invoice.updated_at),
        collectionAt=moment(invoice.collection_at or pool.created_at),
        status=GATHERING,
        statusDetails={
            "immutable": False,
            "failed": False,
            "extendedStatus": GATHERING,
            "availableActions": {"invoice": {}} if invoice.can_be_invoiced else {},
        },
        workflow=invoice_workflow_v1(invoice.content, invoice.profile_id, invoice.apps, apps),
        lines=[line_v1(line, _frame(invoice)) for line in invoice.content.lines] if LINES in expand else None,
        validationIssues=[issue_v1(issue, pool.id) for issue in invoice.issues],
    )


def _frame(invoice: GatheringInvoice) -> Frame:
    pool = invoice.gathering
    return Frame(
        invoice={"id": pool.id, "number": pool.number},
        currency=pool.currency,
        created_at=moment(pool.created_at),
        updated_at=moment(invoice.updated_at),
    )
