"""Payments by themselves, refunds, and records of money that came another way."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from billhook_stripe.simulator.charging import Charger
from billhook_stripe.simulator.desk import Ask, Body, Refused, Route, made_since, merged, page
from billhook_stripe.simulator.forms import flag, needed, whole
from billhook_stripe.simulator.invoice_money import InvoiceMoney
from billhook_stripe.simulator.ledger import Ledger, found_in
from billhook_stripe.simulator.refund_links import GAVE_NOTHING


class PaymentDesk:
    """docs.stripe.com/payments/paymentintents/lifecycle."""

    def __init__(self, ledger: Ledger, charger: Charger, money: InvoiceMoney) -> None:
        self._ledger = ledger
        self._charger = charger
        self._money = money

    def routes(self) -> list[Route]:
        one = "/v1/payment_intents/{id}"
        return [
            Route("POST", "/v1/payment_intents", self._create, "PaymentIntentCreateParams"),
            Route("GET", "/v1/payment_intents", self._list, "PaymentIntentListParams"),
            Route("GET", one, self._get, "PaymentIntentRetrieveParams"),
            Route("POST", f"{one}/capture", self._capture, "PaymentIntentCaptureParams"),
            Route("POST", f"{one}/cancel", self._cancel, "PaymentIntentCancelParams"),
            Route("POST", "/v1/refunds", self._refund, "RefundCreateParams"),
            Route("GET", "/v1/refunds", self._refunds, "RefundListParams"),
            Route("GET", "/v1/refunds/{id}", self._one_refund, "RefundRetrieveParams"),
            Route("POST", "/v1/payment_records/report_payment", self._report, "PaymentRecordReportPaymentParams"),
            Route("GET", "/v1/payment_records", self._records, "PaymentRecordListParams"),
        ]

    def settle(self, now: datetime) -> None:
        """Bank debits come to their end."""
        for intent in self._ledger.due(now):
            if intent["_ends"] == "succeeded":
                self._charger.succeed(intent, now)
                self._count(intent, now)
            else:
                self._charger.fail(
                    intent, now, "payment_intent_payment_attempt_failed", intent["_ends"], "The debit failed."
                )

    def finish(self, intent: Body, now: datetime, *, succeeds: bool) -> Body:
        """The payer did what was asked, or failed to."""
        if succeeds:
            self._charger.succeed(intent, now)
            self._count(intent, now)
        else:
            message = "We are unable to authenticate your payment method."
            self._charger.fail(intent, now, "payment_intent_authentication_failure", None, message)
        return intent

    def _count(self, intent: Body, now: datetime) -> None:
        if intent["_invoice"] is not None:
            self._money.take(self._ledger.get("invoice", intent["_invoice"]), intent, now)

    def _create(self, ask: Ask) -> Body:
        params = ask.params
        amount, currency = whole(params, "amount"), needed(params, "currency")
        if amount is None:
            raise Refused(400, "Missing required param: amount.", code="parameter_missing", param="amount")
        confirms, method = flag(params, "confirm") is True, params.get("payment_method")
        if confirms and method is None:
            raise Refused(400, "You must provide a payment method to confirm.", code="payment_intent_unexpected_state")
        _refuse_missing_return_url(params, confirms=confirms)
        customer = self._ledger.get("customer", params["customer"])["id"] if params.get("customer") else None
        intent = self._charger.intent(
            amount,
            currency,
            customer,
            ask.at_seconds,
            capture_method=params.get("capture_method", "automatic"),
            description=params.get("description"),
            metadata=merged({}, params.get("metadata")),
        )
        if not confirms:
            return intent
        off_session = flag(params, "off_session") is True
        refusal = self._charger.pay(intent, needed(params, "payment_method"), ask.now, off_session=off_session)
        if refusal is not None:
            raise refusal
        return intent

    def _get(self, ask: Ask) -> Body:
        return self._ledger.get("payment_intent", ask.path["id"])

    def _list(self, ask: Ask) -> Body:
        found = self._ledger.all_of("payment_intent", ask.params.get("customer"))
        return page(ask, made_since(ask, found), "/v1/payment_intents")

    def _capture(self, ask: Ask) -> Body:
        intent = self._get(ask)
        if intent["status"] != "requires_capture":
            raise _unexpected(intent, "captured")
        wanted = whole(ask.params, "amount_to_capture")
        amount = intent["amount"] if wanted is None else wanted
        if not 0 < amount <= intent["amount_capturable"]:
            raise Refused(400, "amount_to_capture is more than can be captured.", param="amount_to_capture")
        self._charger.succeed({**intent, "amount": amount}, ask.now)
        return self._get(ask)

    def _cancel(self, ask: Ask) -> Body:
        intent = self._get(ask)
        if intent["_invoice"] is not None:
            raise Refused(400, "You cannot cancel a PaymentIntent for an invoice. Void the invoice instead.")
        if intent["status"] in {"succeeded", "canceled", "processing"}:
            raise _unexpected(intent, "canceled")
        self._charger.cancel(intent, ask.now)
        return intent

    def _refund(self, ask: Ask) -> Body:
        """docs.stripe.com/refunds: in parts too, and never more than was received."""
        intent = self._ledger.get("payment_intent", needed(ask.params, "payment_intent"))
        if intent["status"] != "succeeded":
            raise Refused(400, "This payment has no charge that succeeded.", param="payment_intent")
        stated, given = whole(ask.params, "amount"), self._given_back(intent["id"])
        amount = intent["amount_received"] - given if stated is None else stated
        if given == intent["amount_received"]:
            raise Refused(400, "The charge has already been refunded.", code="charge_already_refunded")
        if not 0 < amount <= intent["amount_received"] - given:
            raise Refused(400, "The refund is greater than what is left of the charge.", param="amount")
        metadata = merged({}, ask.params.get("metadata"))
        return self.give_back(intent, amount, ask.now, metadata=metadata, reason=ask.params.get("reason"))

    def give_back(self, intent: Body, units: int, now: datetime, **told: Any) -> Body:
        """A refund of so much of a payment, by the API or by somebody in the dashboard."""
        refund = {
            "id": self._ledger.next_id("refund"),
            "object": "refund",
            "amount": units,
            "charge": intent["latest_charge"],
            "created": int(now.timestamp()),
            "currency": intent["currency"],
            "metadata": {},
            "payment_intent": intent["id"],
            "reason": None,
            "status": "succeeded",
            **told,
        }
        reference = refund["metadata"].get("billhook_refund", "")
        self._ledger.note_event("refund.created", reference, refund["id"], now)
        return self._ledger.save(refund, parent=intent["id"])

    def bounce(self, refund_id: str, now: datetime) -> None:
        """The bank sends the money of a refund back (docs.stripe.com/refunds, failed refunds)."""
        refund = self._ledger.get("refund", refund_id)
        refund |= {"status": "failed", "failure_reason": "lost_or_stolen_card"}
        self._ledger.save(refund, parent=refund["payment_intent"])
        self._ledger.note_event("refund.failed", refund["metadata"].get("billhook_refund", ""), refund_id, now)

    def _given_back(self, intent_id: str) -> int:
        refunds = self._ledger.all_of("refund", intent_id)
        return sum(refund["amount"] for refund in refunds if refund["status"] not in GAVE_NOTHING)

    def _refunds(self, ask: Ask) -> Body:
        found = self._ledger.all_of("refund", ask.params.get("payment_intent"))
        return page(ask, made_since(ask, found), "/v1/refunds")

    def _one_refund(self, ask: Ask) -> Body:
        return self._ledger.get("refund", ask.path["id"])

    def _report(self, ask: Ask) -> Body:
        """docs.stripe.com/api/payment-record/report-payment."""
        stated = ask.params.get("amount_requested") or {}
        value = whole(stated, "value")
        if not value or not stated.get("currency"):
            raise Refused(400, "Missing required param.", code="parameter_missing", param="amount_requested")
        record = {
            "id": self._ledger.next_id("payment_record"),
            "object": "payment_record",
            "amount_requested": {"value": value, "currency": stated["currency"]},
            "created": ask.at_seconds,
            "metadata": merged({}, ask.params.get("metadata")),
            "_invoice": None,
        }
        return self._ledger.save(record)

    def _records(self, ask: Ask) -> Body:
        since = whole(ask.params, "created_after") or 0
        found = [each for each in self._ledger.all_of("payment_record") if each["created"] > since]
        return page(ask, found_in(found), "/v1/payment_records")


def _unexpected(intent: Body, done: str) -> Refused:
    message = f"This payment can't be {done}: it is {intent['status']}."
    return Refused(400, message, code="payment_intent_unexpected_state")


def _refuse_missing_return_url(params: Body, *, confirms: bool) -> None:
    """docs.stripe.com/api/payment_intents/create: redirects need an address to return to, unless they are ruled out."""
    rules = params.get("automatic_payment_methods") or {}
    if confirms and rules.get("allow_redirects") != "never" and not params.get("return_url"):
        raise Refused(400, "Provide a return_url, or set allow_redirects to never.", param="return_url")
