"""Custom invoicing: somebody outside listens for invoices, does the work, and calls back.

Nothing is sent from here. Where a hook is enabled, the invoice waits at that point until a caller confirms it; how its payment stands
always comes from the caller.
"""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field

from billhook.contract import (
    Batch,
    Capability,
    Declaration,
    DocumentResult,
    Done,
    Full,
    InvoiceItem,
    OperationRules,
    Outcomes,
    Pending,
    Provider,
    RemovalResult,
    Unsupported,
    hookimpl,
)

R = TypeVar("R")

_LOCAL = OperationRules(batch=50, local=True)


class CustomInvoicingSettings(BaseModel):
    """At which points an invoice waits for a caller: once its draft is complete, and once it is to be issued."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enable_draft_sync_hook: bool = Field(
        False, description="Whether an invoice waits for a caller once its draft is complete."
    )
    enable_issuing_sync_hook: bool = Field(
        False, description="Whether an invoice waits for a caller once it is to be issued."
    )


class CustomInvoicingProvider(Provider[CustomInvoicingSettings]):
    """Waits where it is told to wait; otherwise everything is done at once."""

    declaration = Declaration(
        type="custom_invoicing",
        name="Custom Invoicing",
        description="Lets a system of your own take over invoices: it listens for them, does the work, and calls back.",
        capabilities={
            Capability.SYNC_DRAFT: Full(),
            Capability.ISSUE: Full(),
            Capability.DELETE: Full(),
            Capability.VOID: Full(),
            Capability.SEND: Unsupported(reason="the system that listens delivers the invoice itself"),
            Capability.COLLECT_PAYMENT: Unsupported(
                reason="the system that listens collects the money, and calls back with the payment's status"
            ),
            Capability.MARK_UNCOLLECTIBLE: Unsupported(
                reason="the system that listens learns of it by the invoice's status"
            ),
            Capability.CAPTURE_PAYMENT: Unsupported(reason="the system that listens captures what it authorized"),
            Capability.CANCEL_PAYMENT: Unsupported(reason="the system that listens cancels its own payments"),
        },
        operations={
            Capability.SYNC_DRAFT: _LOCAL,
            Capability.ISSUE: _LOCAL,
            Capability.DELETE: _LOCAL,
            Capability.VOID: _LOCAL,
        },
        settings=CustomInvoicingSettings,
    )

    @hookimpl
    def sync_draft(self, batch: Batch[InvoiceItem, CustomInvoicingSettings]) -> Outcomes[DocumentResult]:
        """Wait for a caller to confirm the draft, where that hook is enabled."""
        if batch.settings.enable_draft_sync_hook:
            return _all(batch, Pending("waiting for a caller to confirm the draft"))
        return _all(batch, Done(DocumentResult()))

    @hookimpl
    def issue(self, batch: Batch[InvoiceItem, CustomInvoicingSettings]) -> Outcomes[DocumentResult]:
        """Wait for a caller to confirm that the invoice was issued, where that hook is enabled."""
        if batch.settings.enable_issuing_sync_hook:
            return _all(batch, Pending("waiting for a caller to confirm that it was issued"))
        return _all(batch, Done(DocumentResult()))

    @hookimpl
    def delete(self, batch: Batch[InvoiceItem, CustomInvoicingSettings]) -> Outcomes[RemovalResult]:
        """There is nothing to remove here; the system that listens learns of it."""
        return _all(batch, Done(RemovalResult()))

    @hookimpl
    def void(self, batch: Batch[InvoiceItem, CustomInvoicingSettings]) -> Outcomes[RemovalResult]:
        """There is nothing to void here; the system that listens learns of it."""
        return _all(batch, Done(RemovalResult()))


def _all(batch: Batch[InvoiceItem, CustomInvoicingSettings], outcome: Done[R] | Pending) -> Outcomes[R]:
    return {item.id: outcome for item in batch.items}


provider = CustomInvoicingProvider
