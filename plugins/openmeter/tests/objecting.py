"""A host that objects to invoices."""

from __future__ import annotations

from billhook import InvoiceView, ValidationIssue, hookimpl


class Objection:
    """A host's own check, which can be lifted."""

    is_raised = True

    @hookimpl
    def validate_invoice(self, invoice: InvoiceView) -> list[ValidationIssue] | None:
        if not self.is_raised:
            return None
        return [
            ValidationIssue(severity="critical", message="Not this customer.", component="host", code="host_objects")
        ]
