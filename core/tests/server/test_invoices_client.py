"""OpenMeter's published Python client does everything about invoices here; and what a payment trigger does in every state."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import pytest
from openmeter.models import (
    InvoiceExpand,
    InvoicePendingLineCreateInput,
    InvoicePendingLinesActionInput,
    InvoiceReplaceUpdate,
    InvoiceSimulationInput,
    VoidInvoiceActionInput,
)
from server_kit import Served

from billhook.domain.usage import UsageQuestion
from billhook.engine.namespace import Namespace
from billhook.providers.custom_invoicing import provider as custom_invoicing

PERIOD = {"from": "2026-04-01T00:00:00Z", "to": "2026-05-01T00:00:00Z"}
LINE = {
    "name": "Fee",
    "period": PERIOD,
    "invoiceAt": "2026-05-01T00:00:00Z",
    # The client's own model of a flat price sends no type unless it is told one: so plain objects are sent.
    "rateCard": {"price": {"type": "flat", "amount": "100.00", "paymentTerm": "in_advance"}},
}


def with_hooks(served: Served, *, draft: bool = False, issuing: bool = False) -> Served:
    hooks = {"enable_draft_sync_hook": draft, "enable_issuing_sync_hook": issuing}
    served.ns.apps.update(served.shop.app.id, settings=hooks)
    return served


def test_lines_are_gathered_tried_and_invoiced(served):
    client, jane = served.openmeter, served.ns.customers.get("jane").id
    tried = InvoiceSimulationInput({"currency": "USD", "lines": [{**LINE, "quantity": "1"}]})
    assert client.customer_invoice.simulate_invoice(jane, tried).totals.total == "100.00"
    kept = client.customer_invoice.create_pending_invoice_line(
        jane, InvoicePendingLineCreateInput({"currency": "USD", "lines": [LINE]})
    )
    assert (kept.is_invoice_new, kept.invoice.status) == (True, "gathering")
    (made,) = client.invoices.invoice_pending_lines_action(InvoicePendingLinesActionInput({"customerId": jane}))
    assert (made.status, made.lines[0].id) == ("payment_processing", kept.lines[0].id)
    found = client.invoices.list(statuses=["payment_processing", "gathering"], expand=[InvoiceExpand.LINES])
    assert [(each.id, len(each.lines)) for each in found.items_property] == [(made.id, 1)]


def test_a_draft_is_read_replaced_and_deleted(served):
    id, client = with_hooks(served, draft=True).shop.submit(), served.openmeter.invoice
    invoice = client.get_invoice(id, expand=[InvoiceExpand.LINES], include_deleted_lines=True)
    names = ("supplier", "customer", "lines", "workflow")
    replaced = {**{name: invoice[name] for name in names}, "description": "May"}
    assert client.update_invoice(id, InvoiceReplaceUpdate(replaced)).description == "May"
    assert client.recalculate_tax_action(id).status_details.extended_status == "draft.syncing"
    assert client.delete_invoice(id) is None
    assert client.get_invoice(id).status_details.extended_status == "deleted"


def test_actions_answer_with_the_invoice(serve: Callable[..., Served]):
    served = serve(custom_invoicing, workflow={"auto_advance": False})
    id, client = with_hooks(served, draft=True).shop.submit(), served.openmeter.invoice
    with_hooks(served)
    assert client.advance_action(id).status_details.extended_status == "draft.manual_approval_needed"
    assert client.approve_action(id).status_details.extended_status == "payment_processing.pending"
    served.ns.invoices.payment_status(id, "payment_failed")
    assert client.retry_action(id).status_details.extended_status == "payment_processing.pending"
    whole = {"action": {"percentage": 100, "action": {"type": "discard"}}, "reason": "wrong"}
    assert client.void_invoice_action(id, VoidInvoiceActionInput(whole)).status == "voided"


class Meter:
    """Counts one more each time it is asked."""

    def __init__(self) -> None:
        self.count = 0

    def quantities(self, questions: Sequence[UsageQuestion]) -> dict[str, Decimal]:
        self.count += 1
        return {question.line_id: Decimal(self.count) for question in questions}


def test_usage_is_taken_before_its_time(serve: Callable[..., Served]):
    served = serve(custom_invoicing, usage=Meter())
    client, jane = served.openmeter, served.ns.customers.get("jane").id
    card = {"price": {"type": "unit", "amount": "1"}, "featureKey": "calls"}
    line = {**LINE, "invoiceAt": "2026-05-01T12:00:00Z", "rateCard": card}
    client.customer_invoice.create_pending_invoice_line(
        jane, InvoicePendingLineCreateInput({"currency": "USD", "lines": [line]})
    )
    (made,) = client.invoices.invoice_pending_lines_action(InvoicePendingLinesActionInput({"customerId": jane}))
    assert (made.status_details.extended_status, made.totals.total) == ("draft.waiting_for_collection", "2.00")
    resting = made.status_details.available_actions.snapshot_quantities.resulting_state
    taken = client.invoice.snapshot_quantities_action(made.id)
    assert (taken.status_details.extended_status, taken.totals.total) == (resting, "3.00")
    assert resting == "draft.waiting_auto_approval"  # until the usage could have been complete
    assert taken.quantity_snapshoted_at == served.clock.now()


# Payment triggers in every state in which an invoice of custom invoicing rests.

TRIGGERS = ("paid", "payment_failed", "payment_uncollectible", "payment_overdue", "action_required", "void")
FAILED, ACTION = "payment_processing.failed", "payment_processing.action_required"
Reach = Callable[[Served], str]


def after(*triggers: str) -> Reach:
    def reach(served: Served) -> str:
        id = served.shop.submit()
        for trigger in triggers:
            served.ns.invoices.payment_status(id, trigger)
        return id

    return reach


def paused(**hooks: bool) -> Reach:
    return lambda served: with_hooks(served, **hooks).shop.submit()


def deleted(served: Served) -> str:
    id = paused(draft=True)(served)
    served.ns.invoices.delete(id)
    return id


# Where each trigger leads, in the order of TRIGGERS; None where it is refused. Again what already is changes nothing.
STATES: dict[str, tuple[Reach, tuple[str | None, ...]]] = {
    "draft.syncing": (paused(draft=True), (None,) * 6),
    "issuing.syncing": (paused(issuing=True), (None,) * 6),
    "deleted": (deleted, (None,) * 6),
    "payment_processing.pending": (after(), ("paid", FAILED, "uncollectible", "overdue", ACTION, "voided")),
    FAILED: (after("payment_failed"), ("paid", FAILED, "uncollectible", "overdue", ACTION, "voided")),
    ACTION: (after("action_required"), ("paid", FAILED, "uncollectible", "overdue", ACTION, "voided")),
    "overdue": (after("payment_overdue"), ("paid", FAILED, "uncollectible", "overdue", ACTION, None)),
    "uncollectible": (after("payment_uncollectible"), ("paid", None, "uncollectible", None, None, "voided")),
    "paid": (after("paid"), ("paid", None, None, None, None, None)),
    "voided": (after("void"), (None, None, None, None, None, "voided")),
}


@pytest.mark.parametrize("state", STATES)
def test_a_payment_trigger_leads_where_the_table_says(served, state):
    reach, ends = STATES[state]
    for trigger, end in zip(TRIGGERS, ends, strict=True):
        id = reach(with_hooks(served))
        ns: Namespace = served.ns
        assert ns.invoices.get(id).status == state
        body: dict[str, Any] = {"trigger": trigger}
        path = f"/api/v1/apps/custom-invoicing/{id}/payment/status"
        served.call("POST", path, json=body, expect=400 if end is None else 204)
        assert ns.invoices.get(id).status == (end or state), trigger
