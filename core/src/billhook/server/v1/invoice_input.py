"""What an invoice is to be from now on, as callers say it: a full replacement."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import Field, StrictBool

from billhook.domain.base import Description, Metadata
from billhook.domain.calculation import InvoiceEdit
from billhook.domain.invoice import MAX_LINES, InvoiceContent, LineDraft, whole_period
from billhook.domain.parsing import parse
from billhook.domain.party import CustomerSnapshot, Supplier
from billhook.domain.period import IsoDuration
from billhook.domain.tax import TaxConfig
from billhook.domain.workflow import ProrationMode, WorkflowConfig
from billhook.server.v1.line_input import InvoiceLineInput, line_draft, refuse_none
from billhook.server.v1.party_input import PartyInput
from billhook.server.v1.placing import placed
from billhook.server.v1.tax_input import TaxConfigInput
from billhook.server.v1.wire import WireModel
from billhook.server.v1.workflow_input import DEFAULTS, PaymentInput


class InvoicingInput(WireModel):
    """How the invoice goes on. What is left out has its default again."""

    auto_advance: StrictBool = DEFAULTS.auto_advance
    draft_period: IsoDuration = DEFAULTS.draft_period
    due_after: IsoDuration = DEFAULTS.due_after
    subscription_end_proration_mode: ProrationMode = DEFAULTS.subscription_end_proration_mode
    default_tax_config: TaxConfigInput | None = None


class InvoiceSettingsInput(WireModel):
    """What of a workflow can be changed once an invoice has it."""

    invoicing: InvoicingInput
    payment: PaymentInput


class InvoiceWorkflowInput(WireModel):
    """The invoice's own workflow."""

    workflow: InvoiceSettingsInput


class InvoiceInput(WireModel):
    """The whole invoice, as far as a caller can say it."""

    description: Description | None = None
    metadata: Metadata | None = None
    supplier: PartyInput
    customer: PartyInput
    lines: tuple[InvoiceLineInput, ...] = Field(max_length=MAX_LINES)
    workflow: InvoiceWorkflowInput


def invoice_edit(stated: InvoiceInput, content: InvoiceContent) -> InvoiceEdit:
    """The edit that makes the invoice what is stated. Raises InvalidInput that says where something is wrong."""
    lines = tuple(_lines(stated, content))
    refuse_none(lines)
    values = {
        "lines": lines,
        "description": stated.description,
        "metadata": stated.metadata or {},
        "supplier": _supplier(stated.supplier, content.supplier),
        "customer": _customer(stated.customer, content.customer),
        "workflow": _workflow(stated.workflow.workflow, content.workflow),
        "period": whole_period(lines),
    }
    return parse(InvoiceEdit, values)


def _lines(stated: InvoiceInput, content: InvoiceContent) -> Iterator[LineDraft]:
    known = {line.id: line for line in content.lines}
    for place, line in enumerate(stated.lines):
        # Each line is replaced once; the same id again is another line.
        yield line_draft(line, f"/lines/{place}", known.pop(line.id, None) if line.id else None)


def _supplier(stated: PartyInput, before: Supplier) -> Supplier:
    with placed("/supplier"):
        return parse(Supplier, {"id": before.id, "email": before.email, **stated.values()})


def _customer(stated: PartyInput, before: CustomerSnapshot) -> CustomerSnapshot:
    kept = {"id": before.id, "email": before.email, "subject_keys": before.subject_keys}
    with placed("/customer"):
        return parse(CustomerSnapshot, {**kept, **stated.values()})


def _workflow(stated: InvoiceSettingsInput, before: WorkflowConfig) -> WorkflowConfig:
    values = {
        **dict(stated.invoicing),
        "default_tax_config": _default_tax(stated.invoicing.default_tax_config, before.default_tax_config),
        "collection_method": stated.payment.collection_method,
    }
    with placed("/workflow/workflow"):
        return parse(WorkflowConfig, {**dict(before), **values})


def _default_tax(stated: TaxConfigInput | None, before: TaxConfig | None) -> dict[str, Any] | TaxConfig | None:
    if stated is None:
        return None
    values = stated.values("/workflow/workflow/invoicing/defaultTaxConfig")
    same = before is not None and (before.behavior, before.code) == (values["behavior"], values["code"])
    return before if same else values
