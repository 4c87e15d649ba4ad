"""What the sandbox's answers mean: outcomes by our own reference, never by position."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar

from billhook.contract import (
    Account,
    Answered,
    Busy,
    ConnectionResult,
    CustomerResult,
    DocumentResult,
    Done,
    InvoiceItem,
    LineTax,
    Outcomes,
    OutcomeUnknown,
    PaymentResult,
    PaymentStatus,
    Pending,
    ProviderTotals,
    RefundResult,
    RefundStatus,
    Rejected,
    RemovalResult,
    Reply,
    SendResult,
    Severity,
    Snapshot,
    TaxResult,
    ValidationIssue,
    Verdict,
)
from billhook.contract.items import Item

Entry = Mapping[str, Any]
ItemT = TypeVar("ItemT", bound=Item)
R = TypeVar("R")

LOOK_AGAIN = timedelta(seconds=15)

_PAYMENTS = {
    "paid": PaymentStatus.SUCCEEDED,
    "failed": PaymentStatus.FAILED,
    "uncollectible": PaymentStatus.UNCOLLECTIBLE,
    "action_required": PaymentStatus.ACTION_REQUIRED,
    "authorized": PaymentStatus.AUTHORIZED,
    "canceled": PaymentStatus.CANCELED,
}
_OPEN = frozenset({PaymentStatus.ACTION_REQUIRED, PaymentStatus.AUTHORIZED})
_IN_PROGRESS = frozenset({"draft_pending", "issue_pending", "processing"})


def verdict_of(reply: Reply) -> Verdict | None:
    """What the sandbox documents beyond HTTP: a key in flight is busy, and a success is one JSON object."""
    if reply.status == 409 and _error(reply).get("code") == "request_in_flight":
        return Busy(timedelta(seconds=5))
    if 200 <= reply.status < 300:
        return Answered() if _body(reply) else OutcomeUnknown("the answer is no JSON object")
    return None


def outcomes_of(
    reply: Reply, items: Iterable[ItemT], read: Callable[[ItemT, Entry], Done[R] | Pending | Rejected]
) -> Outcomes[R]:
    """The outcome of each item that the answer of a batch mentions."""
    items = list(items)
    if not is_success(reply):
        return {item.id: refused(reply) for item in items}
    told = entries_by_reference(reply)
    return {item.id: _outcome(item, told[item.id], read) for item in items if item.id in told}


def _outcome(
    item: ItemT, entry: Entry, read: Callable[[ItemT, Entry], Done[R] | Pending | Rejected]
) -> Done[R] | Pending | Rejected:
    if entry.get("ok"):
        return read(item, entry)
    return Rejected(tuple(_issue(each) for each in entry["errors"]), entry.get("id"))


def entries_by_reference(reply: Reply) -> dict[str, Entry]:
    """The items of an answer by our reference."""
    return {entry["reference"]: entry for entry in reply.json().get("items", ()) if entry.get("reference")}


def remote_ids_of(reply: Reply) -> dict[str, str]:
    """What stands at the sandbox after an answer, by our reference: of a batch, or of one object."""
    body = reply.json()
    entries = body.get("items", [body])
    return {entry["reference"]: entry["id"] for entry in entries if entry.get("ok", True) and entry.get("id")}


def is_success(reply: Reply) -> bool:
    """Whether the request as a whole was accepted."""
    return 200 <= reply.status < 300


def refused(reply: Reply) -> Rejected:
    """The refusal of a whole request."""
    error = _error(reply)
    code, message = error.get("code", "refused"), error.get("message", f"The sandbox answered {reply.status}.")
    return Rejected.because(code, message)


def not_there(kind: str, id: str) -> Rejected:
    """The sandbox holds no such thing."""
    return Rejected.because(f"{kind}_not_there", f"The sandbox holds no {kind} {id}. Look there, then start a new one.")


def read_customer(entry: Entry) -> Done[CustomerResult]:
    """The customer stands there."""
    return Done(CustomerResult(entry["id"]))


def read_draft(entry: Entry) -> Done[DocumentResult] | Pending | Rejected:
    """The draft stands there; one that was issued already does too."""
    return _document(entry, {"draft", "issued", "paid"})


def read_issued(number: str | None, entry: Entry) -> Done[DocumentResult] | Pending | Rejected:
    """The document is final there, under the number that was asked for."""
    if number is not None and entry.get("number") not in {None, number}:
        message = f"The sandbox holds it as {entry['number']}, not as {number}. Somebody issued it there; void it or take its number."
        return Rejected.because("number_differs", message, path="/number", external_id=entry["id"])
    return _document(entry, {"issued", "paid"})


def _document(entry: Entry, finished: set[str]) -> Done[DocumentResult] | Pending | Rejected:
    status = entry["status"]
    if status in finished:
        return Done(_document_result(entry))
    if status in {"void", "deleted"}:
        return Rejected.because(f"document_{status}", f"The sandbox says it is {status}.", external_id=entry["id"])
    return unfinished(entry)


def unfinished(entry: Entry) -> Pending:
    """Looked at again soon: it is under way, or in a state that is not known here."""
    status = entry["status"]
    reason = "is under way" if status in _IN_PROGRESS else "is in a state that is not known here"
    return Pending(f"{entry['id']} {reason} at the sandbox ({status})", entry["id"], LOOK_AGAIN)


def _document_result(entry: Entry) -> DocumentResult:
    return DocumentResult(
        external_id=entry["id"],
        number=entry.get("number"),
        line_ids={line["reference"]: line["id"] for line in entry.get("lines", ())},
        discount_ids={discount["reference"]: discount["id"] for discount in entry.get("discounts", ())},
        totals=totals_of(entry),
        url=entry.get("url"),
    )


def totals_of(entry: Entry) -> ProviderTotals | None:
    """The totals as the sandbox computed them; None of a sample, which has none."""
    totals = entry.get("totals")
    if totals is None:
        return None
    return ProviderTotals(
        total=Decimal(totals["total"]),
        tax=Decimal(totals["tax"]),
        discounts=Decimal(totals["discounts"]),
        line_totals={line["reference"]: Decimal(line["total"]) for line in entry.get("lines", ())},
    )


def read_snapshot(entry: Entry | None) -> Done[Snapshot] | Pending:
    """What the sandbox holds; what is still under way there is no snapshot yet."""
    if entry is None:
        return Done(Snapshot(found=False))
    if entry["status"] in _IN_PROGRESS:
        return unfinished(entry)
    status = entry["status"]
    return Done(Snapshot(True, entry["id"], entry.get("number"), status, totals_of(entry), voided=status == "void"))


def read_sent(reply: Reply) -> Done[SendResult] | Rejected:
    """The document was sent."""
    return Done(SendResult(datetime.fromisoformat(reply.json()["sent_at"]))) if is_success(reply) else refused(reply)


def read_removal(reply: Reply, document_id: str) -> Done[RemovalResult] | Rejected:
    """The document is void or gone; one that is not there has nothing left to remove."""
    return Done(RemovalResult(document_id)) if is_success(reply) or reply.status == 404 else refused(reply)


def read_payment(entry: Entry) -> Done[PaymentResult] | Pending:
    """How a payment stands. A status that is not known here is neither success nor failure."""
    status = _PAYMENTS.get(entry["status"])
    if status is None:
        return unfinished(entry)
    action, failure = entry.get("action") or {}, entry.get("failure") or {}
    return Done(
        PaymentResult(
            status=status,
            amount=Decimal(entry["amount"]) if status is PaymentStatus.SUCCEEDED else Decimal(0),
            external_id=entry["id"],
            action_url=action.get("url"),
            code=failure.get("code"),
            message=failure.get("message"),
        )
    )


def read_payment_reply(reply: Reply) -> Done[PaymentResult] | Pending | Rejected:
    """How a payment stands, by an answer that holds it alone."""
    return read_payment(reply.json()) if is_success(reply) else refused(reply)


def read_ended(reply: Reply) -> Done[PaymentResult] | None:
    """How a payment ended, by an answer that holds it alone; None while it has not."""
    outcome = read_payment_reply(reply)
    if not isinstance(outcome, Done) or outcome.result.status in _OPEN:
        return None
    return outcome


def read_refund_reply(reply: Reply) -> Done[RefundResult] | Pending | Rejected:
    """How a refund stands, by an answer that holds it alone."""
    return _refund(reply.json()) if is_success(reply) else refused(reply)


def read_listed_refund(reply: Reply, refund_id: str) -> Done[RefundResult] | Pending | Rejected:
    """How a refund stands, by a list that shows it if it is there."""
    if not is_success(reply):
        return refused(reply)
    found = reply.json()["items"]
    return _refund(found[0]) if found else not_there("refund", refund_id)


def read_refunds(entries: Sequence[Entry], refund_id: str) -> Done[RefundResult] | Pending | Rejected:
    """How a refund stands, of everything there under its reference."""
    return _refund(entries[-1]) if entries else not_there("refund", refund_id)


def _refund(entry: Entry) -> Done[RefundResult] | Pending:
    if entry["status"] == "bounced":
        message = "The customer's bank sent the money back."
        return Done(RefundResult(RefundStatus.FAILED, Decimal(entry["amount"]), entry["id"], message))
    if entry["status"] != "succeeded":
        return unfinished(entry)
    return Done(RefundResult(RefundStatus.SUCCEEDED, Decimal(entry["amount"]), entry["id"]))


def read_connection(reply: Reply) -> Done[ConnectionResult] | Rejected:
    """The account that the token reaches."""
    if not is_success(reply):
        return refused(reply)
    account = reply.json()
    return Done(ConnectionResult((Account(account["id"], account["name"]),)))


def read_taxes(_item: InvoiceItem, entry: Entry) -> Done[TaxResult]:
    """The tax of each line that was asked for."""
    return Done(TaxResult({line["reference"]: (_tax(line),) for line in entry["lines"]}))


def _tax(line: Entry) -> LineTax:
    code: str = line["tax_code"]
    return LineTax(name=code, amount=Decimal(line["tax_amount"]), percentage=Decimal(line["rate"]) * 100)


def _issue(error: Entry) -> ValidationIssue:
    return ValidationIssue(
        severity=Severity.CRITICAL, code=error["code"], message=error["message"], path=error.get("path", "")
    )


def _error(reply: Reply) -> dict[str, Any]:
    error = _body(reply).get("error")
    return error if isinstance(error, dict) else {}


def _body(reply: Reply) -> dict[str, Any]:
    try:
        body = reply.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
