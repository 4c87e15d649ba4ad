"""Xero's refusals in stable codes, with what to do next. Xero says what is wrong in prose alone."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from billhook.contract import Rejected, Reply, ValidationIssue

Json = Mapping[str, Any]

NOBODY = "00000000-0000-0000-0000-000000000000"

_KNOWN: tuple[tuple[str, str, str, str], ...] = (
    # in Xero's words                            our code                path                the way out
    (r"# must be unique|number must be unique", "number_taken", "/number", "Give what has that number another one at Xero, then retry; or change the series' template with `billhook numbers define`, delete this one and submit it again under a new key."),
    (r"lock ?date|locked", "date_locked", "/issued_at", "Date the document after the lock date, or move the lock date at Xero."),
    (r"name must be unique|already assigned to another contact", "customer_name_taken", "/customer/name", "Rename one of the two, or let the app adopt or suffix names."),
    (r"not subscribed to currency|currency .* not", "currency_not_enabled", "/currency", "Add the currency at Xero."),
    (r"exceeds the amount outstanding|greater than the amount", "amount_exceeds_due", "", "Xero noted nothing of it. Enter it there: what is due as a payment of the invoice, the rest as an overpayment."),
    (r"not of valid status|only be made against|only be allocated|status .* cannot|cannot be (voided|deleted|modified)", "document_state", "", "Look at how it stands at Xero: what is paid, allocated, void or deleted there can't be changed."),
    (r"contact is archived", "customer_archived", "/customer", "Restore the contact at Xero."),
    (r"account .*(archived|not active)", "account_inactive", "/lines", "Make the account active at Xero, or map the line to another."),
    (r"account code|account type|account must be", "account_unknown", "/lines", "Map the line to an account of this organisation that takes it."),
    (r"tax ?(type|code|rate)", "tax_code_unknown", "/lines", "Map the line to a tax type that is active at Xero."),
    (r"tracking", "tracking_unknown", "/lines", "Map the line to a tracking category and option that are active at Xero."),
    (r"email", "customer_email_missing", "/customer/email", "Give the customer a good e-mail address, then send again."),
    (r"line total .* does not match|total .* does not", "totals_differ", "/totals/total", "Report this: Xero computed other amounts than foretold."),
)  # fmt: skip


_ANOTHER_ACCOUNT = (
    "Make the account active at Xero and enable payments to it; or name another one: billhook apps update APP_ID --set payment_account=CODE, or "
    "where the payment's method has one of its own, in payment_accounts."
)
_OF_A_PAYMENT: tuple[tuple[str, str, str, str], ...] = (
    # The invoice stands: what is to be mended is the payment's own, and nothing of the invoice here.
    (r"lock ?date|locked", "date_locked", "", "Move the lock date at Xero, or take this note back and note the payment as received after that date."),
    (r"exceeds the amount outstanding|greater than the amount", "amount_exceeds_due", "", "Xero noted nothing of it. Enter it there: what is due as a payment of the invoice, the rest as an overpayment."),
    (r"not of valid status|only be made against|status .* cannot", "document_state", "", "Look at how the invoice stands at Xero. Approve a draft. Where it is paid or void, enter this payment there as money on account of the customer."),
    (r"account .*(archived|not active)", "account_inactive", "", _ANOTHER_ACCOUNT),
    (r"account", "account_unknown", "", _ANOTHER_ACCOUNT),
)  # fmt: skip


def refused(reply: Reply, *, of_payment: bool = False) -> Rejected:
    """The refusal of a whole request."""
    body = json_of(reply)
    told = [message for element in body.get("Elements") or () for message in messages_of(element)]
    plain = (body.get(name) for name in ("Message", "Detail", "error_description", "error"))
    said = next((text for text in plain if isinstance(text, str) and text), f"Xero answered {reply.status}.")
    return Rejected(tuple(issue(each, of_payment=of_payment) for each in told or [said]))


def refused_item(entry: Json, external_id: str | None, *, of_payment: bool = False) -> Rejected:
    """The refusal of one item of a batch."""
    told = list(messages_of(entry)) or ["Xero refuses it and gives no reason."]
    return Rejected(tuple(issue(each, of_payment=of_payment) for each in told), external_id)


def is_refused(entry: Json) -> bool:
    """Whether an item of a batch's answer was refused."""
    has_errors = bool(entry.get("HasErrors") or entry.get("HasValidationErrors") or entry.get("ValidationErrors"))
    return has_errors or entry.get("StatusAttributeString") == "ERROR"


def messages_of(entry: Json) -> Iterator[str]:
    """What Xero says is wrong with it."""
    for error in entry.get("ValidationErrors") or ():
        yield error["Message"]


def issue(message: str, *, of_payment: bool = False) -> ValidationIssue:
    """One of Xero's sentences as a finding."""
    code, path, advice = _meaning(message, _OF_A_PAYMENT if of_payment else _KNOWN)
    said = message.strip().rstrip(".")
    return ValidationIssue.told(code, f"Xero says: {said}. {advice}", path=path)


def _meaning(message: str, known: Sequence[tuple[str, str, str, str]]) -> tuple[str, str, str]:
    for pattern, code, path, advice in known:
        if re.search(pattern, message, re.IGNORECASE):
            return code, path, advice
    return "refused_by_xero", "", "Mend it, then retry."


def is_success(reply: Reply) -> bool:
    """Whether the request as a whole was accepted."""
    return 200 <= reply.status < 300


def json_of(reply: Reply) -> Json:
    """The body, empty where it is no JSON object."""
    try:
        body = reply.json() if reply.body else {}
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
