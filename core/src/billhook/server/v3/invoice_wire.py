"""An invoice in the third form of the API. Pure: what the engine knows goes in, the object on the wire comes out."""

from __future__ import annotations

from typing import Any

from billhook.domain.invoice import InvoiceView, period_of
from billhook.domain.lifecycle import Action
from billhook.domain.party import CustomerSnapshot, Supplier
from billhook.domain.period import format_duration
from billhook.domain.workflow import CollectionMethod, WorkflowConfig
from billhook.engine.queries import InvoiceDetails, ReportedIssue
from billhook.server.v1.frame import period_v1
from billhook.server.v1.invoice_wire import external_ids_of, frame_of
from billhook.server.v1.shown import filled, maybe_moment, moment
from billhook.server.v3.labels import labels_v3
from billhook.server.v3.line_wire import line_v3, totals_v3
from billhook.server.v3.party_wire import address_v3, party_v3
from billhook.server.ways_out import over_http

_ACTIONS = {action: action.value for action in Action} | {Action.SNAPSHOT_QUANTITIES: "snapshot_quantities"}


def invoice_v3(details: InvoiceDetails, *, with_lines: bool = True) -> dict[str, Any]:
    """The invoice; its lines are left out of lists."""
    invoice, content = details.invoice, details.invoice.content
    references = external_ids_of(details)
    return {
        **filled(
            description=content.description,
            labels=labels_v3(content.metadata),
            deleted_at=maybe_moment(invoice.deleted_at),
            issued_at=maybe_moment(invoice.issued_at),
            draft_until=maybe_moment(invoice.draft_until),
            quantity_snapshotted_at=maybe_moment(details.quantity_snapshotted_at),
            due_at=maybe_moment(invoice.due_at),
            sent_to_customer_at=maybe_moment(invoice.sent_to_customer_at),
            validation_issues=[_issue(issue, invoice.id) for issue in details.issues],
            external_references=filled(invoicing_id=references.get("invoicing"), payment_id=references.get("payment")),
            lines=[line_v3(line, frame_of(invoice)) for line in invoice.lines] if with_lines else None,
        ),
        "id": invoice.id,
        "type": "standard",
        "number": invoice.number,
        "currency": content.currency,
        "created_at": moment(invoice.created_at),
        "updated_at": moment(invoice.updated_at),
        "collection_at": moment(invoice.collection_at or invoice.created_at),
        "supplier": _supplier(content.supplier),
        "customer": _customer(content.customer),
        "totals": totals_v3(content.totals),
        "service_period": _service_period(invoice),
        "status": invoice.status.partition(".")[0],
        "status_details": _status_details(details),
        "workflow": {
            "source_billing_profile": {"id": details.profile_id},
            "apps": {role: {"id": app_id} for role, app_id in details.apps.items()},
            "workflow": _workflow(content.workflow),
        },
    }


def _service_period(invoice: InvoiceView) -> dict[str, str]:
    period = period_of(invoice.content)
    at = moment(invoice.created_at)
    return {"from": at, "to": at} if period is None else period_v1(period)


def _status_details(details: InvoiceDetails) -> dict[str, Any]:
    actions = details.available_actions.items()
    return {
        "immutable": details.immutable,
        "failed": details.failed,
        "extended_status": details.status,
        "available_actions": {_ACTIONS[action]: {"resulting_state": state.value} for action, state in actions},
    }


def _supplier(supplier: Supplier) -> dict[str, Any]:
    return {name: value for name, value in party_v3(supplier).items() if name != "key"}


def _customer(customer: CustomerSnapshot) -> dict[str, Any]:
    return filled(
        id=customer.id,
        key=customer.key,
        name=customer.name,
        usage_attribution={"subject_keys": list(customer.subject_keys)} if customer.subject_keys else None,
        billing_address=address_v3(customer.addresses[0]) if customer.addresses else None,
    )


def _workflow(workflow: WorkflowConfig) -> dict[str, Any]:
    due = {"due_after": format_duration(workflow.due_after)}
    sends = workflow.collection_method is CollectionMethod.SEND_INVOICE
    return {
        "invoicing": {
            "auto_advance": workflow.auto_advance,
            "draft_period": format_duration(workflow.draft_period),
            **due,
        },
        "payment": {"collection_method": workflow.collection_method.value, **(due if sends else {})},
    }


def _issue(issue: ReportedIssue, invoice_id: str) -> dict[str, Any]:
    return filled(
        severity=issue.severity.value,
        code=issue.code,
        message=over_http(issue.message, invoice_id),
        field=issue.path or None,
        attributes={"component": issue.component, **issue.metadata},
    )
