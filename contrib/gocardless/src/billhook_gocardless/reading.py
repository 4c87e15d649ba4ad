"""What GoCardless says of customers, payments and refunds, as outcomes. A status that is not known here is still under way."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from billhook.contract import (
    Account,
    ConnectionResult,
    CustomerResult,
    Done,
    PaymentResult,
    PaymentStatus,
    Pending,
    RefundResult,
    RefundStatus,
    Rejected,
    Reply,
)
from billhook_gocardless.config import GoCardlessSettings
from billhook_gocardless.money import to_major
from billhook_gocardless.refusals import conflicting_id, is_success

Entry = Mapping[str, Any]

_FROM_METADATA = "mandate_of_metadata"
"""What is remembered under it comes from the customer's metadata, and goes with them."""

# Webhooks tell at once; this is how long a lost one may go unnoticed.
LOOK_AGAIN = timedelta(hours=12)

# [sdk: Payment.status] A payment can leave each of these: fail after it was confirmed, and be reinstated after it was charged back.
_ENDED: Mapping[str, PaymentStatus] = MappingProxyType(
    {
        "failed": PaymentStatus.FAILED,
        "charged_back": PaymentStatus.FAILED,
        "customer_approval_denied": PaymentStatus.FAILED,
        "cancelled": PaymentStatus.CANCELED,
    }
)
_RECEIVED = {"confirmed": frozenset({"confirmed", "paid_out"}), "paid_out": frozenset({"paid_out"})}

# [sdk: ScenarioSimulatorsService.run] names pending_submission, submitted, paid, bounced and refund_returned; the events of a refund are
# created, paid, failed, refund_settled and funds_returned. Both vocabularies are understood.
_REFUND_FAILED = frozenset({"bounced", "cancelled", "failed", "funds_returned", "refund_returned"})
_REFUND_PAID = frozenset({"paid", "refund_settled"})


def entries(reply: Reply, envelope: str) -> list[Entry]:
    """What a list shows."""
    found: list[Entry] = reply.json()[envelope]
    return found


def entry(reply: Reply, envelope: str) -> Entry:
    """The one thing that an answer holds."""
    found: Entry = reply.json()[envelope]
    return found


def made_id(reply: Reply, envelope: str) -> str | None:
    """The id of what stands at GoCardless after an answer to a creation; None when it was refused."""
    return str(entry(reply, envelope)["id"]) if is_success(reply) else conflicting_id(reply)


def has_ended_badly(payment: Entry) -> bool:
    """Whether its events say why no money came."""
    return payment["status"] in _ENDED


def read_payment(
    payment: Entry, settings: GoCardlessSettings, events: list[Entry] | None = None
) -> Done[PaymentResult] | Pending:
    """How a payment stands."""
    status, payment_id = payment["status"], payment["id"]
    if status in _RECEIVED[settings.received_when]:
        return Done(PaymentResult(PaymentStatus.SUCCEEDED, to_major(payment["amount"]), payment_id))
    if status in _ENDED:
        code, message = _why(payment, events or [])
        return Done(PaymentResult(_ENDED[status], Decimal(0), payment_id, code=code, message=message))
    if status == "pending_customer_approval":
        # GoCardless mails the second signatory itself; there is no page to send the payer to.
        message = "The customer has to approve the payment, by the e-mail that GoCardless sent."
        return Done(PaymentResult(PaymentStatus.ACTION_REQUIRED, Decimal(0), payment_id, code=status, message=message))
    charged_on = payment.get("charge_date")
    when = f", to be charged on {charged_on}" if charged_on else ""
    return Pending(f"payment {payment_id} is {status} at GoCardless{when}", payment_id, LOOK_AGAIN)


def _why(payment: Entry, events: list[Entry]) -> tuple[str, str]:
    """The code and the sentence: from the newest event that tells of this end, else from the status alone."""
    status = payment["status"]
    wanted = {"failed": {"failed", "late_failure_settled"}}.get(status, {status})
    told = [event for event in events if event.get("action") in wanted and event.get("details")]
    if not told:
        return status, f"GoCardless says that the payment is {status}."
    details = max(told, key=lambda event: str(event.get("created_at")))["details"]
    cause = str(details.get("cause") or status)
    return (cause if status == "failed" else status), str(details.get("description") or f"{status}: {cause}")


def read_refund(refund: Entry) -> Done[RefundResult] | Pending:
    """How a refund stands."""
    refund_id, status = refund["id"], refund.get("status") or "created"
    amount = to_major(refund["amount"])
    if status in _REFUND_PAID:
        return Done(RefundResult(RefundStatus.SUCCEEDED, amount, refund_id))
    if status in _REFUND_FAILED:
        message = f"GoCardless says that the refund is {status}: the money did not reach the customer."
        return Done(RefundResult(RefundStatus.FAILED, amount, refund_id, message))
    return Pending(f"refund {refund_id} is {status} at GoCardless", refund_id, LOOK_AGAIN)


def read_customer(customer_id: str, mandate_id: str | None, pinned: str | None) -> Done[CustomerResult]:
    """The customer stands there. A mandate that the host named is kept, so that nothing else is ever charged."""
    return Done(CustomerResult(customer_id, mandate_id, {_FROM_METADATA: pinned or ""}))


def pinned_mandate(app_data: Mapping[str, str]) -> str | None:
    """The mandate that the customer's metadata name, else the one that the host gave with the link."""
    return app_data.get(_FROM_METADATA) or app_data.get("mandate") or None


def read_connection(creditors: list[Entry]) -> Done[ConnectionResult]:
    """The creditors that the token reaches."""
    return Done(ConnectionResult(tuple(Account(each["id"], each.get("name") or each["id"]) for each in creditors)))


def not_there(kind: str, id: str) -> Rejected:
    """GoCardless holds no such thing."""
    return Rejected.because(
        f"{kind}_not_there", f"GoCardless holds no {kind} {id}. Look in its dashboard, then start a new one."
    )
