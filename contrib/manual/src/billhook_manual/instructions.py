"""What the customer is told: how much to pay, where to, and under which reference."""

from __future__ import annotations

from billhook.contract import InvoiceView
from billhook_manual.accounts import creditor_reference, in_groups
from billhook_manual.settings import ManualSettings

ON_RECEIPT = "on receipt"


def payment_reference(invoice: InvoiceView) -> str:
    """What the payer states, so that the money finds its invoice: the ISO 11649 reference of the invoice's number.

    A number that can't be made into one is its own reference; without a number the invoice's id stands in. Final once the invoice is
    issued: before, the number is only a draft's.
    """
    return creditor_reference(invoice.number) if invoice.number else invoice.id


def payment_instructions(settings: ManualSettings, invoice: InvoiceView) -> str:
    """The instructions as text: what is still due, to the account of the settings. Pure; ask again after a part was paid."""
    reference = payment_reference(invoice)
    return settings.instructions.format(
        number=invoice.number or invoice.id,
        amount=format(invoice.amount_due, "f"),
        currency=invoice.currency,
        due_date=ON_RECEIPT if invoice.due_at is None else invoice.due_at.date().isoformat(),
        reference=reference if reference in {invoice.number, invoice.id} else in_groups(reference),
        account_holder=settings.account_holder,
        account=in_groups(settings.iban) if settings.iban else settings.account_number,
        bic=settings.bic or "",
        bank_name=settings.bank_name,
    )
