"""An invoice that never was, for testing whether a rule's channels are reached."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from billhook.domain.calculation import calculate
from billhook.domain.ids import child_ulid
from billhook.domain.invoice import InvoiceDraft, LineDraft
from billhook.domain.money import plain
from billhook.domain.party import Address, CustomerSnapshot, Supplier
from billhook.domain.period import Period, format_duration
from billhook.domain.price import FlatPrice
from billhook.domain.states import State
from billhook.domain.workflow import WorkflowConfig
from billhook.engine.invoice_row import COLUMNS, InvoiceRow, invoice_view
from billhook.engine.moments import from_micros
from billhook.engine.notifications.records import InvoiceSnapshot
from billhook.engine.notifications.snapshots import ROLES, details_at
from billhook.engine.records import App

NUMBER = "DRAFT-TEST-1"


def sample(event_id: str, namespace: str, at: int) -> InvoiceSnapshot:
    """The same invoice for the same event: of one line, paused where an integration would take it up."""
    moment = from_micros(at)
    app_id = child_ulid(event_id, "app")
    customer = CustomerSnapshot(id=child_ulid(event_id, "customer"), key="test", name="Test Customer")
    period = Period(start=moment - timedelta(days=30), end=moment)
    line = LineDraft(name="Test line", period=period, price=FlatPrice(amount=Decimal(10)))
    content = calculate(
        InvoiceDraft(customer_id=customer.id, currency="USD", lines=(line,), period=period),
        line_ids=[child_ulid(event_id, "line")],
        customer=customer,
        supplier=Supplier(name="Test Supplier", addresses=(Address(country="US"),)),
        workflow=WorkflowConfig(),
        quantities={},
    )
    row = InvoiceRow(
        {
            **dict.fromkeys(COLUMNS),
            **{f"{role}_app_id": app_id for role in ROLES},
            "id": child_ulid(event_id, "invoice"),
            "namespace": namespace,
            "state": State.DRAFT_SYNCING.value,
            "version": 1,
            "revision": 1,
            "customer_id": customer.id,
            "profile_id": child_ulid(event_id, "profile"),
            "currency": content.currency,
            "number": NUMBER,
            "total": plain(content.totals.total),
            "amount_paid": "0",
            "amount_credited": "0",
            "amount_refunded": "0",
            "auto_advance": 1,
            "collection_method": content.workflow.collection_method.value,
            "draft_period": format_duration(content.workflow.draft_period),
            "due_after": format_duration(content.workflow.due_after),
            "overdue_after_due": 0,
            "mirrored": 0,
            "own_customer": 0,
            "asks_tax": 0,
            "asks_send": 0,
            "has_lines": 1,
            "critical_issues": 0,
            "validated_revision": 1,
            "delete_confirmed": 0,
            "void_confirmed": 0,
            "draft_until": at,
            "created_at": at,
            "updated_at": at,
        }
    )
    details = details_at(row, invoice_view(row.values, content), at)
    app = App(
        id=app_id,
        namespace=namespace,
        type="custom_invoicing",
        name="Test app",
        settings={"enable_draft_sync_hook": True, "enable_issuing_sync_hook": False},
        created_at=moment,
        updated_at=moment,
    )
    return InvoiceSnapshot(details, {app_id: app})
