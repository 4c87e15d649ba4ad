"""Cards and bank debits as Stripe's test payment methods behave (docs.stripe.com/testing)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from billhook_stripe.simulator.desk import Body, Refused
from billhook_stripe.simulator.ledger import Ledger
from billhook_stripe.simulator.rules import StripeRules
from billhook_stripe.simulator.units import MAXIMUM, MINIMUM, is_chargeable

_DECLINES = {
    "pm_card_chargeDeclined": ("card_declined", "generic_decline", "Your card was declined."),
    "pm_card_chargeDeclinedInsufficientFunds": (
        "card_declined",
        "insufficient_funds",
        "Your card has insufficient funds.",
    ),
    "pm_card_chargeDeclinedExpiredCard": ("expired_card", None, "Your card has expired."),
    "pm_card_chargeDeclinedProcessingError": (
        "processing_error",
        None,
        "An error occurred while processing your card.",
    ),
}
_DECLINED = next(iter(_DECLINES))
_SUCCEED = frozenset({"pm_card_visa", "pm_card_mastercard", "pm_card_amex"})
_FAIL_WITHOUT_CUSTOMER = frozenset({"pm_card_authenticationRequired"})
_NEED_ACTION = _FAIL_WITHOUT_CUSTOMER | {"pm_card_threeDSecure2Required"}
_DEBITS = {"pm_usBankAccount_success": "succeeded", "pm_usBankAccount_insufficientFunds": "insufficient_funds"}


class Charger:
    """Makes payment intents and lets them be paid."""

    def __init__(self, ledger: Ledger, rules: StripeRules) -> None:
        self._ledger = ledger
        self._rules = rules

    def intent(self, amount: int, currency: str, customer: str | None, at: int, **more: Any) -> Body:
        """A new payment intent that nobody tried to pay yet."""
        self.refuse_amount(amount, currency)
        id = self._ledger.next_id("payment_intent")
        body: Body = {
            "id": id,
            "object": "payment_intent",
            "amount": amount,
            "amount_capturable": 0,
            "amount_received": 0,
            "canceled_at": None,
            "capture_method": "automatic",
            "client_secret": f"{id}_secret_simulated",
            "created": at,
            "currency": currency,
            "customer": customer,
            "description": None,
            "last_payment_error": None,
            "latest_charge": None,
            "livemode": False,
            "metadata": {},
            "next_action": None,
            "payment_method": None,
            "status": "requires_payment_method",
            "_invoice": None,
            "_ends": None,
            **more,
        }
        return self._ledger.save(body, parent=customer)

    def refuse_amount(self, amount: int, currency: str) -> None:
        """docs.stripe.com/currencies: least and most, and the last digits that must be zero."""
        if amount < MINIMUM.get(currency, 1):
            raise Refused(400, "Amount is below the minimum charge amount.", code="amount_too_small", param="amount")
        if amount > MAXIMUM:
            raise Refused(400, f"Amount must be no more than {MAXIMUM}.", code="amount_too_large", param="amount")
        if not is_chargeable(amount, currency):
            raise Refused(
                400, f"Amounts in {currency} must end with zero.", code="invalid_charge_amount", param="amount"
            )

    def pay(self, intent: Body, method: str, now: datetime, *, off_session: bool) -> Refused | None:
        """Let the intent be paid with a method. What is refused is written down, and given back to be told."""
        is_declined = self._ledger.decisions.declines(intent["id"], intent["_invoice"], *intent["metadata"].values())
        token = _DECLINED if is_declined else self._token(method)
        intent |= {"payment_method": method, "last_payment_error": None, "next_action": None}
        if token in _DEBITS:
            self._debit(intent, token, now)
            return None
        if token in _NEED_ACTION:
            return self._need_action(intent, token, now, off_session=off_session)
        if token in _SUCCEED:
            self._succeed(intent, now)
            return None
        code, decline_code, message = _DECLINES[token]
        return self.fail(intent, now, code, decline_code, message)

    def _token(self, method: str) -> str:
        known = self._ledger.find("payment_method", method)
        token = known["_token"] if known else method
        if token not in {*_DEBITS, *_NEED_ACTION, *_SUCCEED, *_DECLINES}:
            raise Refused(400, f"No such PaymentMethod: '{method}'", code="resource_missing", param="payment_method")
        return str(token)

    def _succeed(self, intent: Body, now: datetime) -> None:
        charge = self._ledger.next_id("charge")
        is_manual = intent["capture_method"] == "manual"
        intent["latest_charge"] = charge
        self._ledger.save(
            {"id": charge, "object": "charge", "payment_intent": intent["id"], "amount": intent["amount"]}
        )
        if is_manual:
            self._move(intent, "requires_capture", "amount_capturable_updated", now, amount_capturable=intent["amount"])
        else:
            self.succeed(intent, now)

    def succeed(self, intent: Body, now: datetime) -> None:
        """The money is there."""
        self._move(intent, "succeeded", "succeeded", now, amount_received=intent["amount"], amount_capturable=0)

    def _debit(self, intent: Body, token: str, now: datetime) -> None:
        """A bank debit takes days (docs.stripe.com/payments/ach-direct-debit)."""
        due = int((now + self._rules.settle_after).timestamp())
        self._move(intent, "processing", "processing", now, due=due, _ends=_DEBITS[token])

    def _need_action(self, intent: Body, token: str, now: datetime, *, off_session: bool) -> Refused | None:
        """Without the customer at hand an own payment fails; an invoice's waits (docs.stripe.com/billing/subscriptions/overview)."""
        message = "Your card was declined. This transaction requires authentication."
        if off_session and token in _FAIL_WITHOUT_CUSTOMER and intent["_invoice"] is None:
            return self.fail(intent, now, "authentication_required", "authentication_required", message)
        url = f"https://hooks.stripe.example/redirect/{intent['id']}"
        action = {"type": "redirect_to_url", "redirect_to_url": {"url": url, "return_url": None}}
        self._move(intent, "requires_action", "requires_action", now, next_action=action)
        if intent["_invoice"] is None:
            return None
        code = "invoice_payment_intent_requires_action"
        return Refused(402, "This payment requires additional user action.", type="card_error", code=code)

    def cancel(self, intent: Body, now: datetime) -> None:
        """Nobody is to pay it any more."""
        self._move(intent, "canceled", "canceled", now, canceled_at=int(now.timestamp()))

    def fail(self, intent: Body, now: datetime, code: str, decline_code: str | None, message: str) -> Refused:
        """The bank says no. The intent stays, to be tried again."""
        error = {"type": "card_error", "code": code, "decline_code": decline_code, "message": message}
        self._move(
            intent, "requires_payment_method", "payment_failed", now, last_payment_error=error, payment_method=None
        )
        shown = {name: value for name, value in intent.items() if not name.startswith("_")}
        return Refused(402, message, type="card_error", code=code, decline_code=decline_code, payment_intent=shown)

    def _move(self, intent: Body, status: Any, event: str, now: datetime, due: int | None = None, **more: Any) -> None:
        intent |= {"status": status, **more}
        self._ledger.save(intent, parent=intent["customer"], due=due)
        reference = intent["metadata"].get("billhook_payment") or intent["_invoice"] or ""
        self._ledger.note_event(f"payment_intent.{event}", reference, intent["id"], now)
