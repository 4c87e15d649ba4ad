"""The payments' desk of the sandbox: charges, money that came another way, and refunds."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from billhook.errors import InvalidInput, NotAllowed, NotFound
from billhook.testing.sandbox.desk import Ask, Route, SandboxRules, answer_page
from billhook.testing.sandbox.fields import (
    Item,
    currency_of,
    exponent_of,
    metadata_of,
    money,
    optional_text,
    plain,
    text,
)
from billhook.testing.sandbox.ledger import Filter, Ledger
from billhook.testing.sandbox.records import ISSUED_STATES, Document, Payment, Refund
from billhook.testing.sandbox.sums import added
from billhook.testing.simulator.messages import SimReply

STEERING_KEY = "openmeter.io/sandbox/target-payment-status"

_EVENTS = {
    "paid": "payment.succeeded",
    "failed": "payment.failed",
    "uncollectible": "payment.uncollectible",
    "action_required": "payment.action_required",
    "processing": "payment.processing",
    "authorized": "payment.authorized",
    "canceled": "payment.canceled",
}
_TARGETS = tuple(status for status in _EVENTS if status != "canceled")
_UNFINISHED = frozenset({"processing", "action_required", "authorized"})


class PaymentDesk:
    """Charges customers with the outcome that metadata ask for (of the payment, else of its invoice): paid unless told, or
    authorized where ``capture`` is false.

    It takes more money than is due, and takes it twice, as payment providers do: preventing that is the client's work.
    """

    def __init__(self, ledger: Ledger, rules: SandboxRules) -> None:
        self._ledger = ledger
        self._rules = rules

    def routes(self) -> list[Route]:
        return [
            ("POST", "/v1/payments", self._charge),
            ("GET", "/v1/payments", self._list),
            ("POST", "/v1/payments/record", self._record),
            ("GET", "/v1/payments/{id}", self._get),
            ("POST", "/v1/payments/{id}/capture", self._capture),
            ("POST", "/v1/payments/{id}/cancel", self._cancel),
            ("POST", "/v1/refunds", self._refund),
            ("GET", "/v1/refunds", self._list_refunds),
        ]

    def settle(self, now: datetime) -> None:
        """Finish the processing payments whose time has come."""
        if not self._ledger.due_payments(now):
            return
        with self._ledger.transaction():  # read again inside: another thread may have settled them meanwhile
            for payment in self._ledger.due_payments(now):
                self.finish(payment.id, "paid", now)

    def finish(self, payment_id: str, status: str, now: datetime) -> Payment:
        """Let an unfinished payment end: paid, failed or uncollectible."""
        with self._ledger.transaction():
            payment = self._existing(payment_id)
            if payment.status not in _UNFINISHED:
                raise NotAllowed(f"Payment {payment_id} is {payment.status} already.", "payment_finished")
            finished = replace(payment, status=status, settles_at=None)
            self._book(finished, now)
        return finished

    # -- money in -------------------------------------------------------------------------------------------------

    def _charge(self, ask: Ask) -> SimReply:
        item = ask.item
        captures = item.get("capture", True)
        if not isinstance(captures, bool):
            raise InvalidInput(
                "capture_invalid", "Send capture: true, or false to have it authorized only.", "/capture"
            )
        with self._ledger.transaction():
            payment = self._read(item, origin="charged")
            untold = "paid" if captures else "authorized"
            if self._ledger.decisions.declines(payment.reference, payment.invoice):
                untold = "failed"
            payment = replace(payment, **self._target(payment, ask.now, untold))
            self._book(payment, ask.now)
        return SimReply.of(200, _shown(payment))

    def _record(self, ask: Ask) -> SimReply:
        item = ask.item
        text(item, "invoice")
        with self._ledger.transaction():
            received = text(item, "received_at")
            payment = replace(self._read(item, origin="recorded"), status="paid", received_at=received)
            self._book(payment, ask.now)
        return SimReply.of(200, _shown(payment))

    def _read(self, item: Item, origin: str) -> Payment:
        currency, exponent = currency_of(item)
        amount = money(item, "amount", exponent)
        if amount <= 0:
            raise InvalidInput("amount_not_positive", f"amount must be above zero, not {plain(amount)}.", "/amount")
        invoice = self._open_invoice(optional_text(item, "invoice"), currency)
        return Payment(
            id=self._ledger.next_id("payments"),
            reference=text(item, "reference"),
            status="processing",
            origin=origin,
            amount=amount,
            currency=currency,
            invoice=invoice.id if invoice else None,
            customer=optional_text(item, "customer") or (invoice.customer if invoice else None),
            method=optional_text(item, "method"),
            metadata=metadata_of(item),
        )

    def _target(self, payment: Payment, now: datetime, untold: str) -> dict[str, Any]:
        invoice = self._invoice(payment.invoice)
        inherited = invoice.metadata.get(STEERING_KEY) if invoice else None
        status = payment.metadata.get(STEERING_KEY) or inherited or untold
        if status not in _TARGETS:
            message = f"The sandbox knows no payment status {status!r}. Use one of: {', '.join(_TARGETS)}."
            raise InvalidInput("payment_status_unknown", message, "/metadata")
        return {"status": status, "settles_at": now + self._rules.settle_after if status == "processing" else None}

    def _book(self, payment: Payment, now: datetime) -> None:
        if self._rules.unique_references and self._taken(payment):
            raise InvalidInput("reference_taken", f"A payment {payment.reference!r} exists already.", "/reference")
        self._ledger.put_payment(payment)
        self._ledger.note_event(_EVENTS[payment.status], payment.reference, payment.id, now)
        invoice = self._invoice(payment.invoice)
        if invoice and invoice.status == "issued" and self._received(invoice) >= invoice.total:
            self._ledger.move_document(replace(invoice, status="paid"))
            self._ledger.note_event("invoice.updated", invoice.reference, invoice.id, now)

    def _capture(self, ask: Ask) -> SimReply:
        """Take an authorized payment, or a part of it; the rest is let go."""
        with self._ledger.transaction():
            payment = self._existing(ask.path["id"])
            amount = money(ask.item, "amount", exponent_of(payment.currency) or 0)
            if payment.status != "authorized" or not 0 < amount <= payment.amount:
                raise NotAllowed(
                    f"Payment {payment.id} is {payment.status} over {plain(payment.amount)}; {plain(amount)} can't be captured.",
                    "not_capturable",
                )
            captured = replace(payment, status="paid", amount=amount)
            self._book(captured, ask.now)
        return SimReply.of(200, _shown(captured))

    def _cancel(self, ask: Ask) -> SimReply:
        """Let an unfinished payment come to nothing."""
        with self._ledger.transaction():
            payment = self._existing(ask.path["id"])
            if payment.status not in _UNFINISHED:
                raise NotAllowed(f"Payment {payment.id} is {payment.status} and can't be canceled.", "not_cancelable")
            canceled = replace(payment, status="canceled", settles_at=None)
            self._book(canceled, ask.now)
        return SimReply.of(200, _shown(canceled))

    # -- money out ------------------------------------------------------------------------------------------------

    def _refund(self, ask: Ask) -> SimReply:
        item = ask.item
        with self._ledger.transaction():
            payment = self._existing(text(item, "payment"))
            exponent = exponent_of(payment.currency) or 0
            amount = money(item, "amount", exponent)
            if payment.status != "paid" or amount <= 0:
                raise NotAllowed(
                    f"Payment {payment.id} is {payment.status}; {plain(amount)} can't be refunded.", "not_refundable"
                )
            made = self._ledger.refunds(Filter({"payment": [payment.id], "status": ["succeeded"]}))
            before = [refund.amount for refund in made]
            if added([*before, amount], exponent) > payment.amount:
                raise NotAllowed(f"That is more than is left of payment {payment.id}.", "refund_exceeds_payment")
            refund = Refund(
                self._ledger.next_id("refunds"), text(item, "reference"), payment.id, amount, payment.currency
            )
            self._ledger.put_refund(refund)
            self._ledger.note_event("refund.succeeded", refund.reference, refund.id, ask.now)
        return SimReply.of(200, _shown_refund(refund))

    def bounce(self, refund_id: str, now: datetime) -> Refund:
        """The customer's bank sends a refund back."""
        with self._ledger.transaction():
            (refund,) = self._ledger.refunds(Filter({"id": [refund_id]}))
            bounced = replace(refund, status="bounced")
            self._ledger.put_refund(bounced)
            self._ledger.note_event("refund.bounced", refund.reference, refund.id, now)
        return bounced

    # -- reading --------------------------------------------------------------------------------------------------

    def _get(self, ask: Ask) -> SimReply:
        return SimReply.of(200, _shown(self._existing(ask.path["id"])))

    def _list(self, ask: Ask) -> SimReply:
        return answer_page(ask, ("reference", "id", "invoice"), self._ledger.payments, _shown)

    def _list_refunds(self, ask: Ask) -> SimReply:
        return answer_page(ask, ("reference", "id", "payment"), self._ledger.refunds, _shown_refund)

    def _existing(self, id: str) -> Payment:
        found = self._ledger.payments(Filter({"id": [id]}))
        if not found:
            raise NotFound("payment", id)
        return found[0]

    def _invoice(self, id: str | None) -> Document | None:
        found = self._ledger.documents(Filter({"id": [id], "kind": ["invoice"]})) if id else ()
        return found[0] if found else None

    def _open_invoice(self, id: str | None, currency: str) -> Document | None:
        invoice = self._invoice(id)
        if id and invoice is None:
            raise InvalidInput("invoice_unknown", f"There is no invoice {id!r}.", "/invoice")
        if invoice and invoice.status not in ISSUED_STATES:
            raise InvalidInput(
                "invoice_not_issued", f"{invoice.id} is {invoice.status} and takes no money.", "/invoice"
            )
        if invoice and invoice.currency != currency:
            raise InvalidInput(
                "currency_differs", f"{invoice.id} is in {invoice.currency}, not {currency}.", "/currency"
            )
        return invoice

    def _received(self, invoice: Document) -> Decimal:
        paid = self._ledger.payments(Filter({"invoice": [invoice.id], "status": ["paid"]}))
        return added((payment.amount for payment in paid), exponent_of(invoice.currency) or 0)

    def _taken(self, payment: Payment) -> bool:
        return any(
            other.id != payment.id for other in self._ledger.payments(Filter({"reference": [payment.reference]}))
        )


def _shown(payment: Payment) -> dict[str, Any]:
    action = {"url": f"https://sandbox.example/pay/{payment.id}"} if payment.status == "action_required" else None
    failed = payment.status in {"failed", "uncollectible"}
    failure = {"code": "card_declined", "message": "The card was declined."} if failed else None
    return {
        "id": payment.id,
        "reference": payment.reference,
        "status": payment.status,
        "origin": payment.origin,
        "amount": plain(payment.amount),
        "currency": payment.currency,
        "invoice": payment.invoice,
        "customer": payment.customer,
        "method": payment.method,
        "received_at": payment.received_at,
        "action": action,
        "failure": failure,
        "metadata": payment.metadata,
    }


def _shown_refund(refund: Refund) -> dict[str, Any]:
    return {
        "id": refund.id,
        "reference": refund.reference,
        "payment": refund.payment,
        "amount": plain(refund.amount),
        "currency": refund.currency,
        "status": refund.status,
    }
