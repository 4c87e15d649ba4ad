"""Why an invoice needs a person, and the way out, by where it stands on both sides."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from billhook import InvoiceDetails
from billhook.contract import Severity
from billhook_openmeter.decision import ENDED_UPSTREAM, FAILED_UPSTREAM, GONE, ISSUED, REFUSED, Situation
from billhook_openmeter.mirroring import credit_key_of, upstream_id_of
from billhook_openmeter.phases import GATHERING, Here, Upstream

U, H = Upstream, Here


class Reason(NamedTuple):
    """In these pairs this is the way out. ``{id}`` is the invoice here, ``{credit_key}`` the key of the credit note that settles it."""

    upstream: frozenset[Upstream]
    here: frozenset[Here]
    way_out: str


_EVERYWHERE = frozenset(Upstream)
_BEFORE_ISSUE = frozenset({U.DRAFTING, U.DRAFT_SYNC, U.DRAFT_REFUSED, U.ISSUING, U.ISSUE_SYNC, U.ISSUE_REFUSED})
_EDITABLE = frozenset({U.DRAFTING, U.DRAFT_SYNC, U.DRAFT_REFUSED})
_RETRY_THERE = "then retry it in OpenMeter"

# The first that fits counts.
_REASONS = (
    Reason(
        _EVERYWHERE,
        frozenset({H.DELETE_FAILED}),
        "take the document away at the provider, then: billhook invoices delete {id}",
    ),
    Reason(_EDITABLE, REFUSED, f"mend that here or at the customer, or edit the invoice in OpenMeter; {_RETRY_THERE}"),
    Reason(
        _BEFORE_ISSUE,
        REFUSED,
        f"mend that here or at the customer, {_RETRY_THERE}, where its content can't be changed any more; "
        "what can't be mended so is deleted there and invoiced anew",
    ),
    Reason(_EVERYWHERE, REFUSED, "mend that here or at the customer, then: billhook invoices retry {id}"),
    Reason(
        FAILED_UPSTREAM, frozenset({H.ABSENT}), "retry it in OpenMeter; where it fails again, the reason is told here"
    ),
    Reason(FAILED_UPSTREAM, ISSUED | {H.READY}, "nothing is wrong with it here any more; retry it in OpenMeter"),
    Reason(_BEFORE_ISSUE, GONE, "delete it in OpenMeter too"),
    Reason(frozenset({U.PAID}), GONE, "give the money back, or invoice it anew"),
    Reason(frozenset({U.PAID}), frozenset({H.PAYMENT_FAILED}), "money was taken back; settle it with the customer"),
    Reason(
        ENDED_UPSTREAM,
        frozenset({H.PAID}),
        "give back what an app collected (billhook invoices refund PAYMENT_ID AMOUNT), or make a credit note of all of it under the key "
        "{credit_key} (billhook credit-notes create FILE)",
    ),
    Reason(_EVERYWHERE, GONE | {H.READY}, "void it in OpenMeter, or end it there as it ended with the customer"),
)
_CHANGED_TOO_LATE = (
    "it was changed in OpenMeter after its document was issued: undo the change there and retry it, "
    "or delete it there, which voids the document, and invoice it anew"
)


def stuck(extended_status: str, situation: Situation, here: InvoiceDetails | None) -> str:
    """What contradicts what, and what a person can do about it."""
    if situation.here in ISSUED and not situation.current:
        return _CHANGED_TOO_LATE
    stands = f"it is {extended_status} upstream and {here.status if here else 'was never'} here"
    told = "; ".join([stands, *refusals(here)])
    return f"{told}: {_way_out(situation, here)}"


def unknown(extended_status: str) -> str | None:
    """Why nothing is done in a state that this version knows nothing of; None for what is no invoice yet."""
    if extended_status == GATHERING:
        return None
    return (
        f"it is {extended_status} upstream, which this version of the bridge does not know: upgrade billhook-openmeter"
    )


def in_doubt(here: InvoiceDetails) -> str:
    """What nobody knows of an invoice that is in doubt here, and how to settle it."""
    return "; ".join(refusals(here)) or here.in_doubt or ""


def refusals(here: InvoiceDetails | None) -> Iterable[str]:
    """What stands against it here, in the words of whoever refused it."""
    return [issue.message.rstrip(".") for issue in here.issues if issue.severity is Severity.CRITICAL] if here else []


def _way_out(situation: Situation, here: InvoiceDetails | None) -> str:
    fits = (each for each in _REASONS if situation.upstream in each.upstream and situation.here in each.here)
    known = upstream_id_of(here.invoice.key) if here else None
    return next(fits).way_out.format(id=here.id if here else "", credit_key=credit_key_of(known or ""))
