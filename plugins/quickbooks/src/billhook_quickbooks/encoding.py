"""Our documents, customers and payments as QuickBooks takes them. Amounts are decimals, written as text digit for digit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from billhook.contract import (
    CreditNoteItem,
    CustomerItem,
    CustomerLink,
    InvoiceItem,
    InvoiceView,
    Line,
    MappedLine,
    PaymentItem,
)
from billhook_quickbooks.amounts import cents, figures_of, rounding_of
from billhook_quickbooks.config import QuickBooksSettings, TaxModel
from billhook_quickbooks.marks import mark_of

Entity = dict[str, Any]
Standing = Mapping[str, Any]

TAXED, NOT_TAXED = "TAX", "NON"
CLASS = "Class"
LONGEST_DESCRIPTION = 4000
LONGEST_PAYMENT_REFERENCE = 21


def customer_body(
    item: CustomerItem, display_name: str, standing: Standing | None, settings: QuickBooksSettings
) -> Entity:
    """A customer to be created, or changed where it stands."""
    party = item.customer
    address = party.addresses[0] if party.addresses else None
    content: Entity = {"DisplayName": display_name, "CompanyName": (party.name or display_name)[:100]}
    if party.email:
        content["PrimaryEmailAddr"] = {"Address": party.email}
    if party.tax_id:
        content["ResaleNum"] = party.tax_id[:16]
    if address is not None:
        content["BillAddr"] = _address(address.model_dump(exclude_none=True))
        if address.phone_number:
            content["PrimaryPhone"] = {"FreeFormNumber": address.phone_number[:30]}
    if settings.multicurrency and item.currency and standing is None:
        content["CurrencyRef"] = {"value": item.currency}
    return _marked("Notes", item.id, content, standing, sparse=True)


def invoice_body(item: InvoiceItem, settings: QuickBooksSettings, now: datetime, standing: Standing | None) -> Entity:
    """An invoice to be posted, or posted anew where it stands."""
    view = item.invoice
    content = _document(view, item.lines, item.customer, item.number, settings, now)
    if view.due_at is not None:
        content["DueDate"] = settings.day(view.due_at).isoformat()
    if standing is not None and item.number is None and standing.get("DocNumber"):
        # What a full update leaves out is cleared, the company's own number too.
        content["DocNumber"] = standing["DocNumber"]
    content["EmailStatus"] = "NotSet"
    return _marked("PrivateNote", item.id, content, standing, sparse=False)


def credit_memo_body(item: CreditNoteItem, settings: QuickBooksSettings, now: datetime) -> Entity:
    """A credit memo to be posted."""
    content = _document(item.credit_note, item.lines, item.customer, item.number, settings, now)
    return _marked("PrivateNote", item.id, content, None, sparse=False)


def application_body(
    item: CreditNoteItem, memo_id: str, amount: Decimal, settings: QuickBooksSettings, now: datetime
) -> Entity:
    """A payment of nothing, which puts a credit memo against its invoice (the vendor's way to apply one)."""
    view = item.credit_note
    content: Entity = {
        **_parties(item.customer, view, settings),
        "TxnDate": document_date(view, settings, now),
        "TotalAmt": Decimal(0),
        "Line": [_linked(amount, "Invoice", item.applies_to or ""), _linked(amount, "CreditMemo", memo_id)],
    }
    return _marked("PrivateNote", item.id, content, None, sparse=False)


def payment_body(item: PaymentItem, open_amount: Decimal, settings: QuickBooksSettings, now: datetime) -> Entity:
    """A payment that came another way. What is more than the invoice has open stays as unapplied money of the customer."""
    content: Entity = {
        **_parties(item.customer, item.invoice, settings),
        "TxnDate": payment_date(item, settings, now),
        "TotalAmt": cents(item.amount),
    }
    applied = min(cents(item.amount), open_amount)
    if applied > 0:
        content["Line"] = [_linked(applied, "Invoice", item.invoice_external_id or "")]
    if item.external_id:
        content["PaymentRefNum"] = item.external_id[-LONGEST_PAYMENT_REFERENCE:]
    if settings.deposit_account:
        content["DepositToAccountRef"] = {"value": settings.deposit_account}
    # The same money for the same invoice is the same payment, whatever the invoice had open when it was sent.
    money = {
        "CustomerRef": content["CustomerRef"],
        "TotalAmt": content["TotalAmt"],
        "Invoice": item.invoice_external_id,
    }
    return {**content, "PrivateNote": str(mark_of(item.id, money))}


def document_date(view: InvoiceView, settings: QuickBooksSettings, now: datetime) -> str:
    """The date of a document: the day it is issued."""
    return settings.day(view.issued_at or now).isoformat()


def payment_date(item: PaymentItem, settings: QuickBooksSettings, now: datetime) -> str:
    """The day the money came."""
    return settings.day(item.received_at or now).isoformat()


def tax_code_of(line: Line, invoice: InvoiceView, settings: QuickBooksSettings) -> str | None:
    """The company's tax code for a line: TAX or NON in the US, elsewhere by our own code; None where there is none for it."""
    if settings.tax_model is TaxModel.NONE:
        return None
    if settings.tax_model is TaxModel.US:
        return TAXED if line.totals.taxes_total else NOT_TAXED
    config = line.tax_config or invoice.content.workflow.default_tax_config
    code = (config.code if config is not None else None) or settings.default_tax_code
    known = settings.tax_codes.get(code or "")
    return known.id if known is not None else code


def _document(
    view: InvoiceView,
    mapped: Sequence[MappedLine],
    customer: CustomerLink,
    number: str | None,
    settings: QuickBooksSettings,
    now: datetime,
) -> Entity:
    content: Entity = {
        **_parties(customer, view, settings),
        "TxnDate": document_date(view, settings, now),
        "Line": [
            *(_line(place, *pair) for place, pair in enumerate(zip(view.lines, mapped, strict=True), start=1)),
            *_rounding_line(view, mapped, settings),
        ],
        **_tax(view, settings),
    }
    if number is not None:
        content["DocNumber"] = number
    if view.customer.email:
        content["BillEmail"] = {"Address": view.customer.email}
    if view.customer.addresses:
        content["BillAddr"] = _address(view.customer.addresses[0].model_dump(exclude_none=True))
    if view.content.description:
        content["CustomerMemo"] = {"value": view.content.description[:1000]}
    return content


def _parties(customer: CustomerLink, view: InvoiceView, settings: QuickBooksSettings) -> Entity:
    parties: Entity = {"CustomerRef": {"value": customer.external_id}}
    if settings.multicurrency:
        parties["CurrencyRef"] = {"value": view.currency}
    rate = view.content.exchange_rate
    if rate is not None and view.currency != settings.home_currency:
        parties["ExchangeRate"] = rate.rate
    return parties


def _line(number: int, line: Line, mapped: MappedLine) -> Entity:
    figures = figures_of(line)
    description = mapped.description or line.name
    if figures.made_of:
        description = f"{description} ({figures.made_of})"
    detail: Entity = {"Qty": figures.quantity, "UnitPrice": figures.unit_price}
    if mapped.item_code:
        detail["ItemRef"] = {"value": mapped.item_code}
    if mapped.tax_code:
        detail["TaxCodeRef"] = {"value": mapped.tax_code}
    tracked = dict(mapped.tracking).get(CLASS)
    if tracked:
        detail["ClassRef"] = {"value": tracked}
    return {
        "LineNum": number,
        "Description": description[:LONGEST_DESCRIPTION],
        "Amount": figures.amount,
        "DetailType": "SalesItemLineDetail",
        "SalesItemLineDetail": detail,
    }


def _rounding_line(view: InvoiceView, mapped: Sequence[MappedLine], settings: QuickBooksSettings) -> list[Entity]:
    rest = rounding_of(view, {line.line_id: line for line in mapped}, settings)
    if not rest:
        return []
    detail = {
        "Qty": Decimal(1),
        "UnitPrice": rest,
        "ItemRef": {"value": settings.rounding_item},
        "TaxCodeRef": {"value": settings.untaxed_code},
    }
    return [
        {
            "LineNum": len(view.lines) + 1,
            "Description": "Rounding",
            "Amount": rest,
            "DetailType": "SalesItemLineDetail",
            "SalesItemLineDetail": detail,
        }
    ]


def _tax(view: InvoiceView, settings: QuickBooksSettings) -> Entity:
    if settings.tax_model is TaxModel.US:
        # Stated even where it is nothing: an automated sales tax would otherwise add its own.
        return {"TxnTaxDetail": {"TotalTax": cents(view.totals.taxes_total)}}
    return {"GlobalTaxCalculation": "TaxExcluded"} if settings.tax_model is TaxModel.ELSEWHERE else {}


def _linked(amount: Decimal, kind: str, id: str) -> Entity:
    return {"Amount": amount, "LinkedTxn": [{"TxnId": id, "TxnType": kind}]}


def _address(address: Mapping[str, str]) -> Entity:
    names = {
        "line1": "Line1",
        "line2": "Line2",
        "city": "City",
        "state": "CountrySubDivisionCode",
        "postal_code": "PostalCode",
        "country": "Country",
    }
    return {theirs: address[ours][:500] for ours, theirs in names.items() if ours in address}


def _marked(place: str, item_id: str, content: Entity, standing: Standing | None, *, sparse: bool) -> Entity:
    marked = {**content, place: str(mark_of(item_id, content))}
    if standing is None:
        return marked
    return {"Id": standing["Id"], "SyncToken": standing["SyncToken"], "sparse": sparse, **marked}
