"""Bank transfer: the engine numbers the invoice, the customer pays into an account, and somebody records what arrived."""

from __future__ import annotations

from collections.abc import Sequence

from billhook.contract import (
    Batch,
    Capability,
    Declaration,
    DocumentResult,
    Done,
    Full,
    InvoiceItem,
    InvoiceView,
    MappedLine,
    OperationRules,
    Outcomes,
    PaymentItem,
    PaymentResult,
    PaymentStatus,
    Provider,
    RemovalResult,
    Severity,
    Unsupported,
    ValidationIssue,
    hookimpl,
)
from billhook_manual.settings import ManualSettings

_LOCAL = OperationRules(batch=50, local=True)


class ManualProvider(Provider[ManualSettings]):
    """Does everything at once and asks nobody: what happens outside is recorded by hand."""

    declaration = Declaration(
        type="manual",
        name="Bank transfer",
        description="Invoices that a person delivers and a customer pays by bank transfer; payments are recorded as they arrive.",
        capabilities={
            Capability.ISSUE: Full(),
            Capability.VOID: Full(),
            Capability.DELETE: Full(),
            Capability.RECORD_PAYMENT: Full(),
            Capability.VALIDATE_INVOICE: Full(),
            Capability.SEND: Unsupported(reason="a person delivers the invoice, with the payment instructions on it"),
            Capability.COLLECT_PAYMENT: Unsupported(
                reason="a bank transfer is pushed by the payer; record it when it arrives"
            ),
            Capability.MARK_UNCOLLECTIBLE: Unsupported(reason="nothing outside Billhook has to know"),
            Capability.CAPTURE_PAYMENT: Unsupported(reason="a transfer is never only authorized"),
            Capability.CANCEL_PAYMENT: Unsupported(reason="only the payer can leave a transfer undone"),
            Capability.REFUND: Unsupported(
                reason="money goes back by a transfer of your own; nothing here can make one"
            ),
        },
        operations=dict.fromkeys(
            (Capability.ISSUE, Capability.VOID, Capability.DELETE, Capability.RECORD_PAYMENT), _LOCAL
        ),
        settings=ManualSettings,
    )

    @hookimpl
    def issue(self, batch: Batch[InvoiceItem, ManualSettings]) -> Outcomes[DocumentResult]:
        """Final under the number that the engine reserved; nobody outside gives it another."""
        return {item.id: Done(DocumentResult()) for item in batch.items}

    @hookimpl
    def void(self, batch: Batch[InvoiceItem, ManualSettings]) -> Outcomes[RemovalResult]:
        """Nothing stands outside; the number stays used."""
        return _removed(batch)

    @hookimpl
    def delete(self, batch: Batch[InvoiceItem, ManualSettings]) -> Outcomes[RemovalResult]:
        """Nothing stands outside."""
        return _removed(batch)

    @hookimpl
    def record_payment(self, batch: Batch[PaymentItem, ManualSettings]) -> Outcomes[PaymentResult]:
        """As the operator says: the whole, a part, or more than was due."""
        return {
            item.id: Done(PaymentResult(PaymentStatus.SUCCEEDED, item.amount, item.external_id)) for item in batch.items
        }

    @hookimpl
    def validate_invoice(
        self, invoice: InvoiceView, lines: Sequence[MappedLine], settings: ManualSettings
    ) -> Sequence[ValidationIssue]:
        """A currency that the account does not take."""
        if not settings.currencies or invoice.currency in settings.currencies:
            return ()
        taken = ", ".join(settings.currencies)
        message = (
            f"The account of {settings.account_holder} takes {taken}, not {invoice.currency}. Use an app with an "
            "account in that currency, or add it to the app's currencies."
        )
        return (
            ValidationIssue(
                severity=Severity.CRITICAL, code="currency_not_taken_by_account", message=message, path="/currency"
            ),
        )


def _removed(batch: Batch[InvoiceItem, ManualSettings]) -> Outcomes[RemovalResult]:
    return {item.id: Done(RemovalResult()) for item in batch.items}
