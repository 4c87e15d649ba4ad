"""Our customers, documents and payments as models of Xero's own package."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from billhook.contract import CreditNoteItem, CustomerItem, InvoiceItem, InvoiceView, PaymentItem, remote_id
from billhook_xero.config import XeroSettings
from billhook_xero.representation import EXACT, Paper, Written, paper_of
from billhook_xero.sdk import models

SIXTH = Decimal("0.000001")


def contact(item: CustomerItem, name: str, known_id: str | None) -> Any:
    """A contact under that name. Our customer's id is its ContactNumber, which people can't edit at Xero."""
    xero, party = models(), item.customer
    return xero.Contact(
        contact_id=known_id,
        contact_number=item.id,
        name=name,
        email_address=party.email,
        tax_number=party.tax_id,
        addresses=[_address(party.addresses[0])] if party.addresses else None,
        phones=_phones(party.addresses[0].phone_number) if party.addresses else None,
    )


def _address(address: Any) -> Any:
    return models().Address(
        address_type="STREET",
        address_line1=address.line1,
        address_line2=address.line2,
        city=address.city,
        region=address.state,
        postal_code=address.postal_code,
        country=address.country,
    )


def _phones(number: str | None) -> list[Any] | None:
    return [models().Phone(phone_type="DEFAULT", phone_number=number)] if number else None


def draft(item: InvoiceItem, settings: XeroSettings, now: datetime, number: str | None) -> Any:
    """A draft, whole. ``number`` None leaves the numbering to Xero."""
    paper = paper_of(item.invoice, item.lines, settings)
    return models().Invoice(
        type="ACCREC",
        status="DRAFT",
        invoice_id=remote_id(item),
        invoice_number=number,
        contact=models().Contact(contact_id=item.customer.external_id),
        branding_theme_id=settings.branding_theme_id,
        **_dates(item.invoice, settings, now),
        **_head(item.id, item.invoice, paper),
    )


def approval(item: InvoiceItem, settings: XeroSettings, now: datetime, number: str | None, known_id: str) -> Any:
    """What makes a draft final: its status, its number, and the dates that its terms run from."""
    return models().Invoice(
        invoice_id=known_id,
        status="AUTHORISED",
        invoice_number=number,
        reference=item.id,
        **_dates(item.invoice, settings, now),
    )


def moved(item_id: str, known_id: str, status: str) -> Any:
    """What gives an invoice another status and changes nothing else."""
    return models().Invoice(invoice_id=known_id, reference=item_id, status=status)


def credit_note(item: CreditNoteItem, settings: XeroSettings, now: datetime) -> Any:
    """A credit note, final at once. A number of None leaves the numbering to Xero."""
    paper = paper_of(item.credit_note, item.lines, settings, discounts=False)
    return models().CreditNote(
        type="ACCRECCREDIT",
        status="AUTHORISED",
        credit_note_number=item.number,
        contact=models().Contact(contact_id=item.customer.external_id),
        date=settings.day(item.credit_note.issued_at or now),
        **_head(item.id, item.credit_note, paper),
    )


def allocation(invoice_id: str, amount: Decimal, settings: XeroSettings, now: datetime) -> Any:
    """A part of a credit note put against an invoice."""
    xero = models()
    return xero.Allocation(invoice=xero.Invoice(invoice_id=invoice_id), amount=amount, date=settings.day(now))


def payment(item: PaymentItem, invoice_id: str, account: str, settings: XeroSettings, now: datetime) -> Any:
    """A payment that came another way, under our payment's id."""
    xero = models()
    return xero.Payment(
        invoice=xero.Invoice(invoice_id=invoice_id),
        account=xero.Account(code=account),
        date=settings.day(item.received_at or now),
        amount=item.amount,
        reference=item.id,
    )


def _dates(invoice: InvoiceView, settings: XeroSettings, now: datetime) -> dict[str, Any]:
    issued_on = settings.day(invoice.issued_at or now)
    # Xero approves nothing without a due date.
    due_on = settings.day(invoice.due_at) if invoice.due_at else issued_on
    return {"date": issued_on, "due_date": max(due_on, issued_on)}


def _head(reference: str, view: InvoiceView, paper: Paper) -> dict[str, Any]:
    rate = view.content.exchange_rate
    return {
        "reference": reference,
        "currency_code": models().CurrencyCode(view.currency),
        "currency_rate": None if rate is None else xero_rate(rate.rate),
        "line_amount_types": models().LineAmountTypes(paper.amounts_are.value),
        "line_items": [_line(line) for line in paper.all_lines],
    }


def xero_rate(rate: Decimal) -> Decimal:
    """Xero counts units of the invoice's currency for one of the organisation's, to six decimals; ours is the other way round."""
    return EXACT.quantize(EXACT.divide(Decimal(1), rate), SIXTH)


def _line(line: Written) -> Any:
    xero = models()
    return xero.LineItem(
        description=line.description,
        quantity=line.quantity,
        unit_amount=line.unit_amount,
        discount_amount=line.discount or None,
        line_amount=line.line_amount,
        tax_type=line.tax_type,
        tax_amount=line.tax_amount,
        account_code=line.account,
        item_code=line.item_code,
        tracking=[xero.LineItemTracking(name=name, option=option) for name, option in line.tracking] or None,
    )
