"""What Xero's answers mean: outcomes by our own reference, never by position.

The answers are read as plain JSON, not by the package's decoder: that one refuses a whole answer because of one status or currency
that it does not know, and an unknown status must be waited for, not fail.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any, Protocol, TypeVar

from billhook.contract import (
    Account,
    Answered,
    ConnectionResult,
    CustomerResult,
    DocumentResult,
    Done,
    InvoiceItem,
    InvoiceView,
    Outcomes,
    OutcomeUnknown,
    PaymentResult,
    PaymentStatus,
    Pending,
    ProviderTotals,
    Receipt,
    Rejected,
    RemovalResult,
    Reply,
    Snapshot,
    Throttled,
    Unauthorized,
    Verdict,
)
from billhook_xero.findings import ISSUED, REMOVED
from billhook_xero.refusals import NOBODY, is_refused, is_success, json_of, refused, refused_item

Json = Mapping[str, Any]


class Item(Protocol):
    """Anything with an id of ours."""

    @property
    def id(self) -> str: ...


ItemT = TypeVar("ItemT", bound=Item)
R = TypeVar("R")

LOOK_AGAIN = timedelta(minutes=5)
BREATH = timedelta(seconds=1)

_PAYMENTS = "Payments"
ID_OF = {
    "Contacts": ("ContactID", "ContactNumber"),
    "Invoices": ("InvoiceID", "Reference"),
    "CreditNotes": ("CreditNoteID", "Reference"),
    "Payments": ("PaymentID", "Reference"),
}
"""By list: where Xero's id and where our reference stand."""

_MONEY_ON_ACCOUNT = ("Prepayments", "Overpayments")
_REMAINING = {"X-MinLimit-Remaining": "minute", "X-DayLimit-Remaining": "day", "X-AppMinLimit-Remaining": "app_minute"}
_PROBLEMS = {"minute": "minute", "day": "day", "appminute": "app_minute"}


def verdict_of(reply: Reply) -> Verdict | None:
    """What Xero documents beyond HTTP: which limit was hit, what is left of each, and a tenant that was disconnected."""
    if reply.status == 429:
        return _throttled(reply)
    if reply.status == 403:
        return Unauthorized("Xero answered 403: the organisation is disconnected, or the grant lacks a scope")
    if reply.status == 200 and not json_of(reply) and not _is_list(reply):
        return OutcomeUnknown("the answer is no JSON")
    if is_success(reply) or reply.status in {400, 404}:
        return Answered(remaining_of(reply))
    return None


def _is_list(reply: Reply) -> bool:
    return reply.body.strip().startswith(b"[") and reply.body.strip().endswith(b"]")


def _throttled(reply: Reply) -> Throttled:
    problem = (reply.header("X-Rate-Limit-Problem") or "").lower()
    told = (reply.header("Retry-After") or "").strip()
    # Too many at once has no Retry-After: one of them ends soon.
    after = timedelta(seconds=int(told)) if told.isdigit() else BREATH
    return Throttled(after=after, limit=_PROBLEMS.get(problem))


def remaining_of(reply: Reply) -> dict[str, int]:
    """What is left of each limit, by the limit's name here."""
    told = {name: reply.header(header) or "" for header, name in _REMAINING.items()}
    return {name: int(value) for name, value in told.items() if value.isdigit()}


def outcomes_of(
    reply: Reply,
    kind: str,
    items: Iterable[ItemT],
    read: Callable[[ItemT, Json], Done[R] | Pending | Rejected],
    known_ids: Mapping[str, str] | None = None,
) -> Outcomes[R]:
    """The outcome of each item that the answer mentions: by our reference, or by the id under which it was known before."""
    items = list(items)
    if not is_success(reply):
        return dict.fromkeys((item.id for item in items), refused(reply, of_payment=kind == _PAYMENTS))
    told = entries_by_reference(reply, kind, known_ids or {})
    return {item.id: _outcome(item, told[item.id], kind, read) for item in items if item.id in told}


def _outcome(
    item: ItemT, entry: Json, kind: str, read: Callable[[ItemT, Json], Done[R] | Pending | Rejected]
) -> Done[R] | Pending | Rejected:
    if is_refused(entry):
        return refused_item(entry, _standing_id(entry, kind), of_payment=kind == _PAYMENTS)
    return read(item, entry)


def _standing_id(entry: Json, kind: str) -> str | None:
    told: str | None = entry.get(ID_OF[kind][0])
    return None if told == NOBODY else told


def entries_by_reference(reply: Reply, kind: str, known_ids: Mapping[str, str]) -> dict[str, Json]:
    """The entries of an answer by our reference."""
    remote, ours = ID_OF[kind]
    references = {remote_id: item for item, remote_id in known_ids.items()}
    found: dict[str, Json] = {}
    for entry in json_of(reply).get(kind, ()):
        reference = references.get(entry.get(remote), entry.get(ours))
        if reference:
            found[reference] = entry
    return found


def remote_ids_of(reply: Reply, kind: str) -> dict[str, str]:
    """What stands at Xero after an answer, by our reference."""
    entries = entries_by_reference(reply, kind, {}) if is_success(reply) else {}
    ids = {item: _standing_id(entry, kind) for item, entry in entries.items()}
    return {item: known for item, known in ids.items() if known is not None and not is_refused(entries[item])}


def read_contact(_item: Item, entry: Json) -> Done[CustomerResult]:
    """The contact stands there."""
    return Done(CustomerResult(entry["ContactID"]))


def read_draft(invoice: InvoiceView, entry: Json, *, rounded: bool) -> Done[DocumentResult] | Pending | Rejected:
    """The draft stands there. Its number is not final, whoever gave it."""
    return _document(invoice, entry, ISSUED | {"DRAFT", "SUBMITTED"}, None, rounded=rounded)


def read_issued(
    invoice: InvoiceView, entry: Json, number: str | None, *, rounded: bool
) -> Done[DocumentResult] | Pending | Rejected:
    """The document is final there, under the number that was asked for, or the one that Xero gave."""
    held = entry.get("InvoiceNumber") or entry.get("CreditNoteNumber")
    external_id = entry.get("InvoiceID") or entry.get("CreditNoteID")
    if number is not None and held != number:
        message = f"Xero holds it as {held}, not as {number}. Somebody approved it there; void it or take its number."
        return Rejected.because("number_differs", message, path="/number", external_id=external_id)
    return _document(invoice, entry, ISSUED, held, rounded=rounded)


def _document(
    invoice: InvoiceView, entry: Json, finished: frozenset[str], number: str | None, *, rounded: bool
) -> Done[DocumentResult] | Pending | Rejected:
    status, external_id = entry["Status"], entry.get("InvoiceID") or entry["CreditNoteID"]
    if status in REMOVED:
        message = f"It is {status} at Xero. Start a new one."
        return Rejected.because(f"document_{status.lower()}", message, external_id=external_id)
    if status not in finished:
        return Pending(f"it is {status} at Xero", external_id, LOOK_AGAIN)
    return Done(
        DocumentResult(
            external_id=external_id,
            number=number,
            line_ids=_line_ids(invoice, entry),
            totals=totals_of(invoice, entry, rounded=rounded),
            url=entry.get("Url"),
        )
    )


def _lines_of(invoice: InvoiceView, entry: Json) -> Sequence[tuple[str, Json]]:
    """Our line ids beside Xero's lines, which it keeps in order; nothing where it does not show them all."""
    lines = entry.get("LineItems") or ()
    if len(lines) < len(invoice.lines):
        return ()
    return [(line.id, told) for line, told in zip(invoice.lines, lines, strict=False)]


def _line_ids(invoice: InvoiceView, entry: Json) -> dict[str, str]:
    return {id: told["LineItemID"] for id, told in _lines_of(invoice, entry) if told.get("LineItemID")}


def totals_of(invoice: InvoiceView, entry: Json, *, rounded: bool) -> ProviderTotals | None:
    """The totals as Xero holds them; None of a sample. Where a rounding line makes up for Xero's tax, the total alone is told."""
    if "Total" not in entry:
        return None
    total = _decimal(entry["Total"])
    if rounded:
        return ProviderTotals(total=total)
    return ProviderTotals(
        total=total,
        tax=_decimal(entry["TotalTax"]),
        line_totals={id: _line_total(told, entry) for id, told in _lines_of(invoice, entry) if "LineAmount" in told},
    )


def _line_total(line: Json, entry: Json) -> Decimal:
    amount = _decimal(line["LineAmount"])
    holds_tax = entry.get("LineAmountTypes") != "Exclusive"
    return amount if holds_tax else amount + _decimal(line.get("TaxAmount") or 0)


def read_removal(_item: InvoiceItem, entry: Json) -> Done[RemovalResult] | Pending:
    """The invoice is void or gone."""
    if entry["Status"] in REMOVED:
        return Done(RemovalResult(entry["InvoiceID"]))
    return Pending(f"it is {entry['Status']} at Xero", entry["InvoiceID"], LOOK_AGAIN)


def read_recorded(_item: Item, entry: Json) -> Done[PaymentResult] | Pending:
    """The payment stands in the books. A sample has no amount."""
    if entry.get("Status", "AUTHORISED") != "AUTHORISED":
        return Pending(f"the payment is {entry['Status']} at Xero", entry["PaymentID"], LOOK_AGAIN)
    return Done(PaymentResult(PaymentStatus.SUCCEEDED, _decimal(entry["Amount"]), entry["PaymentID"]))


def read_snapshot(invoice: InvoiceView, entry: Json | None, *, rounded: bool) -> Done[Snapshot]:
    """What Xero holds now."""
    if entry is None:
        return Done(Snapshot(found=False))
    return Done(
        Snapshot(
            found=True,
            external_id=entry["InvoiceID"],
            number=entry.get("InvoiceNumber"),
            status=entry["Status"],
            totals=totals_of(invoice, entry, rounded=rounded),
            amount_paid=money_of(entry),
            receipts=receipts_of(entry),
            voided=entry["Status"] in REMOVED,
            amount_due=due_of(entry),
        )
    )


def money_of(invoice: Json) -> Decimal | None:
    """What came for the invoice: its payments, and what of the customer's prepayments and overpayments is put against it.

    Xero counts these as credited, with the credit notes, which are no money (spec, Invoice.AmountPaid and Invoice.AmountCredited). A list shows
    what of each was applied to this invoice, as the invoice by itself does (github XeroAPI/xero-php-oauth2, issue 65), without an id of that
    part: each may be put against several invoices. So it is in the sum, and no receipt.
    """
    if "AmountPaid" not in invoice:
        return None
    on_account = (each for kind in _MONEY_ON_ACCOUNT for each in invoice.get(kind) or ())
    applied = (_decimal(each.get("AppliedAmount") or 0) for each in on_account)
    return sum(applied, _decimal(invoice["AmountPaid"]))


def due_of(invoice: Json) -> Decimal | None:
    """What the customer is still asked for. Not where he withholds a part as tax: the spec does not say whether AmountDue then holds it
    (Invoice.CISDeduction)."""
    if "AmountDue" not in invoice or invoice.get("CISDeduction"):
        return None
    return _decimal(invoice["AmountDue"])


def receipts_of(invoice: Json) -> tuple[Receipt, ...]:
    """The payments that stand on the invoice, under the ids by which they were recorded.

    A list shows them as the invoice by itself does (spec, examples of getInvoices and getInvoice), unless it is asked for a summary. Money that
    went back is never one of them: Xero pays it out of a credit note, or the payment is deleted and shown no more.
    """
    standing = (each for each in invoice.get("Payments") or () if each.get("Status") != "DELETED")
    told = ((each.get("PaymentID"), _decimal(each.get("Amount") or 0)) for each in standing)
    return tuple(Receipt(id, amount) for id, amount in told if id and amount > 0)


def read_organisation_name(reply: Reply, account: str) -> Done[ConnectionResult] | Rejected:
    """The organisation that the token reaches."""
    if not is_success(reply):
        return refused(reply)
    (own,) = reply.json()["Organisations"]
    return Done(ConnectionResult((Account(account or own["OrganisationID"], own["Name"]),)))


def _decimal(told: Any) -> Decimal:
    return told if isinstance(told, Decimal) else Decimal(str(told))
