"""An invoice as OpenMeter's first API shows it. Pure: what the engine knows goes in, the object on the wire comes out."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from billhook.domain.invoice import InvoiceContent, InvoiceView, period_of
from billhook.engine.queries import InvoiceDetails, ReportedIssue
from billhook.server.v1.frame import Frame, period_v1, totals_v1
from billhook.server.v1.line_wire import line_v1
from billhook.server.v1.party_wire import customer_v1, party_v1
from billhook.server.v1.shown import filled, maybe_moment, moment
from billhook.server.v1.workflow_wire import workflow_v1
from billhook.server.ways_out import over_http

LINES = "lines"
EVERYTHING = frozenset({LINES})
"""What one invoice shows where nobody asked for less."""

NO_APPS: Mapping[str, Mapping[str, Any]] = {}


def invoice_v1(
    details: InvoiceDetails,
    *,
    apps: Mapping[str, Mapping[str, Any]] = NO_APPS,
    expand: Collection[str] = EVERYTHING,
) -> dict[str, Any]:
    """The whole invoice. ``apps`` has the apps as the API shows them, by id; those that are missing stand there as their id alone.

    ``expand`` names what is shown besides: ``lines``.
    """
    invoice = details.invoice
    return filled(
        id=invoice.id,
        type=invoice.type.value,
        number=invoice.number,
        **content_v1(invoice.content),
        createdAt=moment(invoice.created_at),
        updatedAt=moment(invoice.updated_at),
        deletedAt=maybe_moment(invoice.deleted_at),
        issuedAt=maybe_moment(invoice.issued_at),
        draftUntil=maybe_moment(invoice.draft_until),
        quantitySnapshotedAt=maybe_moment(details.quantity_snapshotted_at),
        collectionAt=moment(invoice.collection_at or invoice.created_at),
        dueAt=maybe_moment(invoice.due_at),
        voidedAt=maybe_moment(invoice.voided_at),
        sentToCustomerAt=maybe_moment(invoice.sent_to_customer_at),
        status=invoice.status.partition(".")[0],
        statusDetails=_status_details(details),
        workflow=invoice_workflow_v1(invoice.content, details.profile_id, details.apps, apps),
        lines=[line_v1(line, frame_of(invoice)) for line in invoice.lines] if LINES in expand else None,
        validationIssues=[issue_v1(issue, invoice.id) for issue in details.issues],
        externalIds=external_ids_of(details),
    )


def content_v1(content: InvoiceContent) -> dict[str, Any]:
    """What a revision says, its lines aside."""
    period = period_of(content)
    return {
        "description": content.description,
        "metadata": dict(content.metadata),
        "currency": content.currency,
        "supplier": party_v1(content.supplier),
        "customer": customer_v1(content.customer),
        "totals": totals_v1(content.totals),
        "period": None if period is None else period_v1(period),
    }


def invoice_workflow_v1(
    content: InvoiceContent,
    profile_id: str,
    app_ids: Mapping[str, str],
    apps: Mapping[str, Mapping[str, Any]],
) -> dict[str, Any]:
    """The workflow that was frozen onto the invoice, where it came from, and the apps that do the work."""
    return {
        "sourceBillingProfileId": profile_id,
        "workflow": workflow_v1(content.workflow),
        "apps": {role: apps.get(app_id, {"id": app_id}) for role, app_id in app_ids.items()},
    }


def issue_v1(issue: ReportedIssue, invoice_id: str) -> dict[str, Any]:
    """What is wrong with that invoice."""
    return filled(
        id=issue.id,
        createdAt=moment(issue.created_at),
        updatedAt=moment(issue.created_at),
        severity=issue.severity.value,
        code=issue.code,
        message=over_http(issue.message, invoice_id),
        component=issue.component,
        field=issue.path or None,
        metadata=dict(issue.metadata),
    )


def _status_details(details: InvoiceDetails) -> dict[str, Any]:
    actions = details.available_actions.items()
    return {
        "immutable": details.immutable,
        "failed": details.failed,
        "extendedStatus": details.status,
        "availableActions": {action.value: {"resultingState": state.value} for action, state in actions},
    }


def external_ids_of(details: InvoiceDetails) -> dict[str, Any]:
    """How the outside calls the invoice and its payment."""
    known = details.invoice.external_ids
    paid_as = [payment.external_id for payment in details.payments if payment.external_id]
    return filled(invoicing=known.get("invoicing"), payment=known.get("payment") or (paid_as[-1] if paid_as else None))


def frame_of(invoice: InvoiceView) -> Frame:
    """What its lines take from the invoice."""
    return Frame(
        invoice=filled(id=invoice.id, number=invoice.number),
        currency=invoice.currency,
        created_at=moment(invoice.created_at),
        updated_at=moment(invoice.updated_at),
        period=invoice.content.period,
        line_external_ids=invoice.line_external_ids,
        discount_external_ids=invoice.discount_external_ids,
    )
