"""What QuickBooks' answers mean: outcomes by our own reference, never by position."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar

from billhook.contract import (
    CreditNoteItem,
    CustomerResult,
    DocumentResult,
    Done,
    InvoiceItem,
    InvoiceView,
    Outcomes,
    PaymentItem,
    PaymentResult,
    PaymentStatus,
    ProviderTotals,
    Receipt,
    Rejected,
    RemovalResult,
    Reply,
    Retry,
    SendResult,
    Snapshot,
)
from billhook.contract.items import Item
from billhook_quickbooks.findings import is_void
from billhook_quickbooks.marks import batch_ids
from billhook_quickbooks.refusals import NOT_FOUND, body_of, codes_of, fault_of, is_success, refusal, refused

Entity = Mapping[str, Any]
ItemT = TypeVar("ItemT", bound=Item)
R = TypeVar("R")

WEB_URL = "https://qbo.intuit.com/app/invoice?txnId="


def outcomes_of(
    reply: Reply, items: Iterable[ItemT], kind: str, read: Callable[[ItemT, Entity], Done[R] | Rejected]
) -> Outcomes[R]:
    """The outcome of each item that a batch's answer mentions."""
    items = list(items)
    if not is_success(reply):
        refusal_of_all = refused(reply)
        return {item.id: refusal_of_all for item in items}
    bids = batch_ids([item.id for item in items])
    told = {str(entry.get("bId")): entry for entry in body_of(reply).get("BatchItemResponse", ())}
    return {item.id: _outcome(item, told[bids[item.id]], kind, read) for item in items if bids[item.id] in told}


def _outcome(
    item: ItemT, entry: Entity, kind: str, read: Callable[[ItemT, Entity], Done[R] | Rejected]
) -> Done[R] | Rejected | Retry:
    fault = fault_of(entry)
    return refusal(fault) if fault is not None else read(item, entry[kind])


def answers_of(reply: Reply) -> dict[str, Entity]:
    """What each query of a batch showed, by its id in the batch."""
    return {entry["bId"]: entry.get("QueryResponse", {}) for entry in body_of(reply).get("BatchItemResponse", ())}


def faults_of(reply: Reply) -> list[Entity]:
    """The faults of a batch's items."""
    entries = body_of(reply).get("BatchItemResponse", ())
    return [fault for entry in entries if (fault := fault_of(entry)) is not None]


def read_customer(_item: Item, entity: Entity) -> Done[CustomerResult]:
    """The customer stands there."""
    return Done(CustomerResult(entity["Id"]))


def read_invoice(item: InvoiceItem, entity: Entity) -> Done[DocumentResult] | Rejected:
    """The invoice is posted, under the number that was asked for."""
    wrong = _wrong_number(item.number, entity)
    return wrong or Done(_document(item.invoice, entity, f"{WEB_URL}{entity['Id']}"))


def read_credit_memo(item: CreditNoteItem, entity: Entity) -> Done[DocumentResult] | Rejected:
    """The credit memo is posted, under the number that was asked for."""
    return _wrong_number(item.number, entity) or Done(_document(item.credit_note, entity, None))


def _wrong_number(number: str | None, entity: Entity) -> Rejected | None:
    theirs = entity.get("DocNumber")
    if number is None or theirs == number:
        return None
    message = (
        f"QuickBooks holds it as {theirs or 'no number'}, not as {number}. Switch on custom transaction numbers there, "
        "or use the provider quickbooks_own_numbers; then delete the copy and retry."
    )
    return Rejected.because("number_differs", message, path="/number", external_id=entity["Id"])


def _document(view: InvoiceView, entity: Entity, url: str | None) -> DocumentResult:
    lines = _numbered(entity)
    pairs = [(line, lines[str(place)]) for place, line in enumerate(view.lines, start=1) if str(place) in lines]
    return DocumentResult(
        external_id=entity["Id"],
        number=entity.get("DocNumber"),
        line_ids={line.id: theirs["Id"] for line, theirs in pairs if theirs.get("Id")},
        totals=_totals(view, entity, {line.id: theirs for line, theirs in pairs if not line.totals.taxes_total}),
        url=url,
    )


def _numbered(entity: Entity) -> dict[str, Entity]:
    return {str(line["LineNum"]): line for line in entity.get("Line", ()) if "LineNum" in line}


def _totals(view: InvoiceView, entity: Entity, untaxed: Mapping[str, Entity]) -> ProviderTotals | None:
    """As the company holds them; None of a sample. A line with tax is not told: its Amount is without.

    Where a line after ours makes up for the tax that QuickBooks rounds otherwise, the tax is not told: the total is.
    """
    if "TotalAmt" not in entity:
        return None
    is_rounded = str(len(view.lines) + 1) in _numbered(entity)
    return ProviderTotals(
        total=amount_of(entity, "TotalAmt"),
        tax=None if is_rounded else amount_of(entity.get("TxnTaxDetail") or {}, "TotalTax"),
        line_totals={id: amount_of(line, "Amount") for id, line in untaxed.items()},
    )


def amount_of(entity: Entity, name: str) -> Decimal:
    """An amount of an answer, nothing where it is left out."""
    return Decimal(str(entity.get(name) or 0))


def read_payment(item: PaymentItem, entity: Entity) -> Done[PaymentResult]:
    """The payment is recorded, and what its invoice had no room for stands on account."""
    amount = amount_of(entity, "TotalAmt")
    applied = sum((receipt.amount for receipt in receipts_of(item.invoice_external_id, [entity])), Decimal(0))
    return Done(PaymentResult(PaymentStatus.SUCCEEDED, amount, entity["Id"], on_account=amount - applied))


def read_sent(reply: Reply, now: datetime) -> Done[SendResult] | Rejected | Retry:
    """The invoice was e-mailed."""
    if not is_success(reply):
        return refused(reply)
    told = (reply.json()["Invoice"].get("DeliveryInfo") or {}).get("DeliveryTime")
    return Done(SendResult(datetime.fromisoformat(told) if told else now))


def read_removal(reply: Reply, invoice_id: str) -> Done[RemovalResult] | Rejected | Retry:
    """The invoice is void or gone; one that is not there has nothing left to remove."""
    fault = fault_of(body_of(reply))
    if is_success(reply) or (fault is not None and NOT_FOUND in codes_of(fault)):
        return Done(RemovalResult(invoice_id))
    return refused(reply)


def read_snapshot(view: InvoiceView, entity: Entity | None, payments: Iterable[Entity]) -> Done[Snapshot]:
    """What the company holds of that invoice, and what of these payments is put against it."""
    if entity is None:
        return Done(Snapshot(found=False))
    receipts = receipts_of(entity["Id"], payments)
    received = sum((receipt.amount for receipt in receipts), Decimal(0))
    totals = _totals(view, entity, {})
    number = entity.get("DocNumber")
    balance = amount_of(entity, "Balance")
    return Done(
        Snapshot(True, entity["Id"], number, status_of(entity), totals, received, receipts, is_void(entity), balance)
    )


def status_of(invoice: Entity) -> str:
    """A word for how an invoice stands; QuickBooks has none of its own."""
    if is_void(invoice):
        return "voided"
    balance, total = amount_of(invoice, "Balance"), amount_of(invoice, "TotalAmt")
    return "open" if balance == total and total else "paid" if not balance else "partly_paid"


def linked_payments(invoices: Iterable[Entity]) -> list[str]:
    """The ids of the payments that touch these invoices."""
    linked = (link for invoice in invoices for link in invoice.get("LinkedTxn") or ())
    return list(dict.fromkeys(link["TxnId"] for link in linked if link.get("TxnType") == "Payment"))


def receipts_of(invoice_id: str | None, payments: Iterable[Entity]) -> tuple[Receipt, ...]:
    """What each payment brought to an invoice, in money. One may also put credit memos against it, or bring nothing but these."""
    brought = ((payment["Id"], _money_for(invoice_id, payment)) for payment in payments)
    return tuple(Receipt(id, amount) for id, amount in brought if amount > 0)


def _money_for(invoice_id: str | None, payment: Entity) -> Decimal:
    """What of the payment's own money is applied to the invoice (developer.intuit.com, "Payment": Line and LinkedTxn).

    Its lines do not say which invoice a credit memo is for. It counts for the first of them, so that each cent is brought once.
    """
    credit, brought = sum((amount for _, amount in _lines_for("CreditMemo", payment)), Decimal(0)), Decimal(0)
    for id, amount in _lines_for("Invoice", payment):
        credited = min(credit, amount)
        credit -= credited
        if id == invoice_id:
            brought += amount - credited
    return brought


def _lines_for(kind: str, payment: Entity) -> Iterator[tuple[str, Decimal]]:
    for line in payment.get("Line") or ():
        for link in line.get("LinkedTxn") or ():
            if link["TxnType"] == kind:
                yield link["TxnId"], amount_of(line, "Amount")
