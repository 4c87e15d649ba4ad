"""What an invoice received at Stripe, payment by payment, and what of each went back."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from decimal import Decimal
from typing import Any

from billhook.contract import Call, Receipt, Rejected, Reply, Request
from billhook_stripe import paying, reading
from billhook_stripe.currencies import from_units
from billhook_stripe.findings import has_more_payments, payments_of
from billhook_stripe.requests import LONGEST_LIST, Reading, StripeRequests

Body = Mapping[str, Any]


class Receiving(StripeRequests):
    """Reading the payments of invoices, and the refunds of payments."""

    def receipts(
        self, batch: Reading, invoice: Body
    ) -> Generator[Request | Call, Reply, tuple[Receipt, ...] | Rejected]:
        """The payment intents that paid on an invoice, which was read with its first payments. What was paid out of band is none of them."""
        currency, found = invoice["currency"].upper(), []
        whole = yield from self.with_all_payments(batch, invoice)
        if isinstance(whole, Rejected):
            return whole
        for intent, amount in _paid_by_intents(whole, currency):
            refunded = yield from self.given_back(batch, intent, currency)
            if isinstance(refunded, Rejected):
                return refunded
            found.append(Receipt(intent, amount, min(refunded, amount)))
        return tuple(found)

    def with_all_payments(self, batch: Reading, invoice: Body) -> Generator[Request | Call, Reply, Body | Rejected]:
        """The invoice with all its payments, page after page: one that is read shows the first of them (docs.stripe.com/api/invoice-payment/list)."""
        if not has_more_payments(invoice):
            return invoice
        found: list[Body] = []
        while True:
            params = {
                "invoice": invoice["id"],
                "limit": LONGEST_LIST,
                "starting_after": found[-1]["id"] if found else None,
                "expand": ["data.payment.payment_intent"],
            }
            step = f"invoice_payments.{len(found) // LONGEST_LIST + 1}"
            reply = yield self.get(batch, step, "/v1/invoice_payments", params, _EMPTY)
            if not reading.is_success(reply):
                return reading.refused(reply)
            shown = reply.json()
            found += shown["data"]
            if not shown["has_more"]:
                return {**invoice, "payments": {"data": found, "has_more": False}}

    def given_back(
        self, batch: Reading, intent: str, currency: str
    ) -> Generator[Request | Call, Reply, Decimal | Rejected]:
        """What was given back of a payment intent, or is being given back, by whomever."""
        refunds = yield from self._refunds(batch, intent)
        return refunds if isinstance(refunds, Rejected) else paying.given_back(refunds, currency)

    def went_back(self, batch: Reading, invoice: Body) -> Generator[Request | Call, Reply, tuple[Body, ...] | Rejected]:
        """The refunds of the payment intents that paid on an invoice, which was read with its first payments: the oldest first, also those that
        gave nothing."""
        found: list[Body] = []
        whole = yield from self.with_all_payments(batch, invoice)
        if isinstance(whole, Rejected):
            return whole
        for intent, _ in _paid_by_intents(whole, invoice["currency"].upper()):
            refunds = yield from self._refunds(batch, intent)
            if isinstance(refunds, Rejected):
                return refunds
            found += reversed(refunds)
        return tuple(sorted(found, key=lambda refund: refund["created"]))

    def _refunds(self, batch: Reading, intent: str) -> Generator[Request | Call, Reply, list[Body] | Rejected]:
        """The refunds of a payment intent, also those that gave nothing: the newest first, page after page."""
        found: list[Body] = []
        after, page = None, 1
        while True:
            params = {"payment_intent": intent, "limit": LONGEST_LIST, "starting_after": after}
            reply = yield self.get(batch, f"refunds.{intent}.{page}", "/v1/refunds", params, _EMPTY)
            if not reading.is_success(reply):
                return reading.refused(reply)
            shown = reply.json()
            found += shown["data"]
            if not shown["has_more"]:
                return found
            after, page = shown["data"][-1]["id"], page + 1


_EMPTY = {"data": [], "has_more": False}


def _paid_by_intents(invoice: Body, currency: str) -> Iterator[tuple[str, Decimal]]:
    """The payment intents of an invoice with what each paid (docs.stripe.com/api/invoice-payment/object)."""
    for payment in payments_of(invoice):
        intent = (payment.get("payment") or {}).get("payment_intent")
        paid = from_units(payment.get("amount_paid") or 0, currency)
        if payment.get("status") == "paid" and intent and paid > 0:
            yield intent["id"] if isinstance(intent, dict) else intent, paid
