"""What QuickBooks refuses, and what an answer says of whether anything was done.

A fault is {"Fault": {"type", "Error": [{"Message", "Detail", "code", "element"}]}}, also with status 200; gateways write it in lower case or
answer in HTML (developer.intuit.com, "Error codes", "Handling common errors").
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from billhook.contract import (
    Answered,
    Call,
    OutcomeUnknown,
    Rejected,
    Reply,
    Request,
    Retry,
    Severity,
    Throttled,
    Unauthorized,
    ValidationIssue,
    Verdict,
    classify_by_status,
)

Fault = Mapping[str, Any]

THROTTLED_FOR = timedelta(seconds=60)
_AGAIN = timedelta(seconds=2)

_THROTTLED = frozenset({"3001", "003001"})
_TIMED_OUT = frozenset({"6002", "006002"})
_NO_TOKEN = frozenset({"3200", "003200", "3100", "003100"})
_STALE = "5010"
NOT_FOUND = "610"

# Our codes for theirs, and what to do.
_KNOWN: Mapping[str, tuple[str, str]] = {
    "120": ("access_denied", "Connect with a user of the company who may write invoices."),
    "610": (
        "not_found_or_inactive",
        "Something that it names was deleted or made inactive there; look at item and customer.",
    ),
    "2020": ("value_missing", "A value that the company requires is missing."),
    "2050": (
        "value_too_long",
        "A number has 21 characters at most. Delete the invoice, and submit it again shorter under a new key.",
    ),
    "2500": ("reference_invalid", "An item, account or tax code that it names is not there. Correct the mapping."),
    "6000": ("business_rule", "Correct what it says, then retry."),
    "6000 currency": (
        "currency_of_customer",
        (
            "QuickBooks keeps a customer in one currency: the customer's own here when it was made there, else the company's. Make one in "
            "the document's currency there and name it with `billhook customers link CUSTOMER APP --external-id ID`; then retry."
        ),
    ),
    "6070": ("amount_differs", "Report this: quantity and price were sent that do not make the amount."),
    "6140": (
        "number_taken",
        (
            "Give the company's other document of that number another one there, then retry; or change the series' template with "
            "`billhook numbers define`, delete this invoice and submit it again under a new key."
        ),
    ),
    "6190": ("subscription_lapsed", "The company's QuickBooks subscription has ended. Renew it, then retry."),
    "6200": ("period_closed", "The books are closed for that date. Open the period, or date it later."),
    "6240": ("name_taken", "A customer, vendor or employee of the company has that name. Rename one of them."),
}


def is_success(reply: Reply) -> bool:
    """Whether the request as a whole was accepted; a success that carries a fault was not."""
    return 200 <= reply.status < 300 and fault_of(body_of(reply)) is None


def body_of(reply: Reply) -> dict[str, Any]:
    """The body where it is one JSON object, else nothing."""
    try:
        body = reply.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def fault_of(body: Mapping[str, Any]) -> Fault | None:
    """The fault that a body carries, in either spelling."""
    found = body.get("Fault") or body.get("fault")
    return found if isinstance(found, Mapping) else None


def errors_of(fault: Fault) -> Sequence[Mapping[str, Any]]:
    """The errors of a fault, in either spelling."""
    found = fault.get("Error") or fault.get("error") or ()
    return [each for each in found if isinstance(each, Mapping)] if isinstance(found, list | tuple) else ()


def codes_of(fault: Fault) -> set[str]:
    """The codes of its errors."""
    return {str(error.get("code", "")) for error in errors_of(fault)}


def verdict_of(request: Request | Call, reply: Reply) -> Verdict:
    """What an answer says of whether the request was executed."""
    fault = fault_of(body_of(reply))
    codes = codes_of(fault) if fault is not None else set()
    by_status = classify_by_status(request, reply)
    if isinstance(by_status, Throttled) or codes & _THROTTLED:
        # The vendor says to wait a minute, and sends no header that says otherwise.
        return Throttled(after=(by_status.after if isinstance(by_status, Throttled) else None) or THROTTLED_FOR)
    if isinstance(by_status, Unauthorized) or codes & _NO_TOKEN or (fault or {}).get("type") == "AuthenticationFault":
        return Unauthorized(f"QuickBooks answered {reply.status}: {', '.join(sorted(codes)) or 'no code'}")
    if reply.status == 403 and "120" not in codes:
        return Unauthorized("QuickBooks answered 403: the company's grant is gone")
    if codes & _TIMED_OUT or ((fault or {}).get("type") == "SystemFault" and not codes & (_KNOWN.keys() | {"6210"})):
        return OutcomeUnknown(f"QuickBooks answered {reply.status} with a system fault")
    if 200 <= reply.status < 300 and not body_of(reply):
        return OutcomeUnknown("the answer is no JSON object")
    return by_status if isinstance(by_status, OutcomeUnknown) else Answered()


def refused(reply: Reply) -> Rejected | Retry:
    """Why a whole request was refused; another try where only its version was stale."""
    fault = fault_of(body_of(reply))
    if fault is None:
        oauth = body_of(reply).get("error")
        detail = f": {oauth}" if isinstance(oauth, str) else ""
        return Rejected.because("refused", f"QuickBooks answered {reply.status}{detail}.")
    return refusal(fault)


def refusal(fault: Fault, external_id: str | None = None) -> Rejected | Retry:
    """Why something was refused, every error of it."""
    if _STALE in codes_of(fault):
        return Retry(_AGAIN, "somebody changed it there meanwhile; it is read again")
    if codes_of(fault) & _THROTTLED:
        return Retry(THROTTLED_FOR, "the company's limit is used up for this minute")
    issues = tuple(_issue(error) for error in errors_of(fault)) or (_issue({}),)
    return Rejected(issues, external_id)


def _issue(error: Mapping[str, Any]) -> ValidationIssue:
    theirs = str(error.get("code", ""))
    code, way_out = _KNOWN.get(_meaning(error, theirs), ("refused", ""))
    said = (
        " ".join(_sentence(str(error[name])) for name in ("Message", "Detail") if error.get(name)) or "no reason given."
    )
    message = f"QuickBooks refuses it ({theirs or 'no code'}): {said} {way_out}".strip()
    return ValidationIssue(
        severity=Severity.CRITICAL, code=code, message=message[:4000], metadata={"quickbooks_code": theirs[:64]}
    )


def _sentence(words: str) -> str:
    return words if words.rstrip().endswith((".", "!", "?")) else f"{words.rstrip()}."


def _meaning(error: Mapping[str, Any], code: str) -> str:
    """6210 is a closed period; older pages have it for a number that is taken, and 6000 may be anything. The words tell."""
    words = str(error).casefold()
    if code == "6000" and "customer" in words and "currency" in words:
        return "6000 currency"
    if code != "6210":
        return code
    return "6200" if "clos" in words else "6140"
