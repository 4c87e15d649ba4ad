"""How payments stand at Stripe: by a payment intent alone, or by an invoice with what was paid on it.

A status that is not known here is Pending: neither success nor failure (docs.stripe.com/payments/paymentintents/lifecycle).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

from billhook.contract import Done, PaymentItem, PaymentResult, PaymentStatus, Pending, Rejected, Reply
from billhook_stripe.currencies import from_units
from billhook_stripe.findings import intent_of, payments_of
from billhook_stripe.reading import LOOK_AGAIN, error_of, is_success, refused

Body = Mapping[str, Any]
Paid = Done[PaymentResult] | Pending | Rejected

NOTHING = Decimal(0)
_NOT_GIVEN = frozenset({"failed", "canceled"})
_DEBITS_TAKE_DAYS = timedelta(hours=6)


def read_intent_reply(reply: Reply) -> Paid:
    """How a payment stands by an answer; a refusal by the bank holds the payment inside the error."""
    if is_success(reply):
        return read_intent(reply.json())
    intent = error_of(reply).get("payment_intent")
    if not isinstance(intent, dict):
        return refused(reply)
    return read_intent({**intent, "last_payment_error": error_of(reply)})


def read_intent(intent: Body) -> Paid:
    """How a payment stands by itself."""
    id, error = intent["id"], intent.get("last_payment_error") or {}
    match intent["status"]:
        case "succeeded":
            received = from_units(intent["amount_received"], intent["currency"].upper())
            return Done(PaymentResult(PaymentStatus.SUCCEEDED, received, id))
        case "requires_capture":
            return Done(PaymentResult(PaymentStatus.AUTHORIZED, NOTHING, id))
        case "requires_action":
            return Done(PaymentResult(PaymentStatus.ACTION_REQUIRED, NOTHING, id, _action_url(intent)))
        case "canceled":
            return Done(PaymentResult(PaymentStatus.CANCELED, NOTHING, id))
        case "requires_payment_method" if error:
            return _failed(id, error)
        case "processing":
            return Pending("The payment is processing at Stripe", id, _DEBITS_TAKE_DAYS)
        case status:
            return Pending(f"The payment is {status} at Stripe", id, LOOK_AGAIN)


def read_invoice_payment(invoice: Body, item: PaymentItem, error: Body | None = None) -> Paid:
    """How the payment of an invoice stands that lives at Stripe. ``error`` is what the attempt was refused with."""
    intent = _intent(invoice, item.external_id)
    id = intent.get("id") or item.external_id
    is_settled_by_other_money = bool(item.external_id and intent) and intent["status"] != "succeeded"
    match invoice["status"]:
        case "paid" if not is_settled_by_other_money:
            amount = _share_of(item, invoice, intent)
            message = _settled_without_charge(intent, amount, item.currency)
            return Done(PaymentResult(PaymentStatus.SUCCEEDED, amount, id, message=message))
        case "uncollectible":
            return Done(PaymentResult(PaymentStatus.UNCOLLECTIBLE, NOTHING, id))
        case "void":
            return Done(PaymentResult(PaymentStatus.CANCELED, NOTHING, id))
    if error and not intent:
        return _failed(id, error)
    if not intent:
        return Pending("Stripe shows no payment of this invoice yet", None, LOOK_AGAIN)
    known_error = intent.get("last_payment_error") or error or {}
    outcome = read_intent({**intent, "last_payment_error": known_error})
    return _acted_on_invoice(outcome, invoice)


def _acted_on_invoice(outcome: Paid, invoice: Body) -> Paid:
    """Where the payer must act, Stripe's page of the invoice is the place. Money that the invoice does not count is not there yet."""
    if not isinstance(outcome, Done):
        return outcome
    result = outcome.result
    match result.status:
        case PaymentStatus.SUCCEEDED:
            return Pending("The payment is not on its invoice yet", result.external_id, LOOK_AGAIN)
        case PaymentStatus.ACTION_REQUIRED:
            url = invoice.get("hosted_invoice_url") or result.action_url
            return Done(PaymentResult(PaymentStatus.ACTION_REQUIRED, NOTHING, result.external_id, url))
    return outcome


def gave_nothing(refund: Body) -> bool:
    """Whether the money of a refund stayed here. One that is under way counts as given (docs.stripe.com/refunds, failed refunds)."""
    return refund["status"] in _NOT_GIVEN


def given_back(refunds: Sequence[Body], currency: str) -> Decimal:
    """What refunds gave back, or are giving back."""
    return sum((from_units(each["amount"], currency) for each in refunds if not gave_nothing(each)), NOTHING)


def _intent(invoice: Body, known_id: str | None) -> Body:
    """The payment that is known, else the one that succeeded, else the one that waits."""
    intents = [intent for payment in payments_of(invoice) if (intent := intent_of(payment))]
    known = [intent for intent in intents if intent["id"] == known_id]
    succeeded = [intent for intent in intents if intent["status"] == "succeeded"]
    return [*known, *succeeded, *intents, {}][0]


def _failed(id: str | None, error: Body) -> Done[PaymentResult]:
    code = error.get("decline_code") or error.get("code")
    return Done(PaymentResult(PaymentStatus.FAILED, NOTHING, id, code=code, message=error.get("message")))


def _action_url(intent: Body) -> str | None:
    action = intent.get("next_action") or {}
    url: str | None = (action.get("redirect_to_url") or {}).get("url")
    return url


def _share_of(item: PaymentItem, invoice: Body, intent: Body) -> Decimal:
    """What the payment brought to a paid invoice: money that was noted there, or credit, may have taken a part since it was asked for. On
    Stripe's page the customer pays what is open there, which may be more than what was still asked for here.
    """
    noted = sum(
        each["amount_paid"] or 0 for each in payments_of(invoice) if each["payment"]["type"] == "payment_record"
    )
    by_others = noted + (invoice.get("pre_payment_credit_notes_amount") or 0)
    asked = min(item.amount, from_units(invoice["total"] - by_others, item.currency))
    return max(asked, from_units(intent.get("amount_received") or 0, item.currency))


def _settled_without_charge(intent: Body, amount: Decimal, currency: str) -> str | None:
    """Stripe puts credit on the customer's balance against an invoice first (docs.stripe.com/billing/customer/balance)."""
    received = from_units(intent.get("amount_received") or 0, currency)
    rest = amount - received
    if rest <= 0:
        return None
    return (
        f"{rest:f} {currency} of it was settled at Stripe without a charge, such as from the customer's credit balance"
    )
