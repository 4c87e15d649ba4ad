"""The sandbox as a provider that keeps no drafts: a document is made there when it is issued, as at QuickBooks."""

from __future__ import annotations

from billhook import hookimpl
from billhook.contract import Batch, Capability, DocumentResult, InvoiceItem, Steps, Unsupported
from billhook.testing.sandbox import encoding, reading
from billhook.testing.sandbox.config import SandboxSettings
from billhook.testing.sandbox.provider import SandboxProvider
from billhook.testing.sandbox.requests import SandboxRequests

_KEPT = SandboxProvider.declaration


@hookimpl
def issue(provider: SandboxRequests, batch: Batch[InvoiceItem, SandboxSettings]) -> Steps[DocumentResult]:
    """Create the documents under the engine's numbers, in one request. Metadata `sandbox/issue: reject` has one refused."""
    entries = [{**encoding.invoice_entry(item), "number": item.number} for item in batch.items]
    reply = yield provider.upsert_request(batch, "documents", "/v1/invoices", entries, status="issued")
    return reading.outcomes_of(reply, batch.items, lambda item, entry: reading.read_issued(item.number, entry))


# A hook can be left out of no subclass, so all the others are taken over.
SandboxWithoutDrafts = type(
    "SandboxWithoutDrafts",
    (SandboxRequests,),
    {
        name: member
        for name, member in vars(SandboxProvider).items()
        if name not in ("sync_draft", "__dict__", "__weakref__")
    }
    | {
        "__module__": __name__,
        "issue": issue,
        "declaration": _KEPT.model_copy(
            update={
                "capabilities": {**_KEPT.capabilities, Capability.SYNC_DRAFT: Unsupported(reason="no drafts are kept")},
                "operations": {
                    name: rules for name, rules in _KEPT.operations.items() if name is not Capability.SYNC_DRAFT
                },
            }
        ),
    },
)
