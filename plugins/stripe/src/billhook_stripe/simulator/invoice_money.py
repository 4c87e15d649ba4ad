"""The money of an invoice: what it waits for, what came, what was credited, and the customer's balance."""

from __future__ import annotations

from datetime import datetime

from billhook_stripe.simulator.charging import Charger
from billhook_stripe.simulator.customers import change_balance
from billhook_stripe.simulator.desk import Body, Refused
from billhook_stripe.simulator.ledger import Ledger
from billhook_stripe.simulator.units import MINIMUM


class InvoiceMoney:
    """Counts money on invoices, and writes them down."""

    def __init__(self, ledger: Ledger, charger: Charger) -> None:
        self._ledger = ledger
        self._charger = charger

    def apply_balance(self, invoice: Body, customer: Body, now: datetime) -> None:
        """The balance is put against the next invoice that is finalized, and what is less than can be charged goes onto it.

        docs.stripe.com/billing/customer/balance. A negative total becomes credit there.
        """
        currency, before, total = invoice["currency"], customer["balance"], invoice["total"]
        invoice["starting_balance"] = before
        due = max(total + before, 0) if customer["currency"] == currency else max(total, 0)
        kind = "applied_to_invoice"
        if 0 < due < MINIMUM.get(currency, 1):
            due, kind = 0, "invoice_too_small"
        moved = total - due
        if moved:
            at = int(now.timestamp())
            change_balance(self._ledger, customer, moved, currency, kind, at, invoice=invoice["id"])
        invoice |= {"amount_due": due, "amount_remaining": due, "ending_balance": customer["balance"]}

    def await_payment(self, invoice: Body, now: datetime) -> None:
        """Finalizing makes the payment that the invoice is to be paid with (docs.stripe.com/api/invoice-payment)."""
        amount = invoice["amount_due"]
        intent = self._charger.intent(
            amount, invoice["currency"], invoice["customer"], int(now.timestamp()), _invoice=invoice["id"]
        )
        invoice["_payments"].append(
            self.payment(invoice, {"type": "payment_intent", "payment_intent": intent["id"]}, amount)
        )

    def payment(self, invoice: Body, payment: Body, amount: int) -> Body:
        """An entry of the invoice's payments (docs.stripe.com/api/invoice-payment/object)."""
        number = len(invoice["_payments"]) + 1
        return {
            "id": f"inpay_{invoice['id'].rpartition('_')[2]}_{number}",
            "object": "invoice_payment",
            "amount_paid": None,
            "amount_requested": amount,
            "invoice": invoice["id"],
            "is_default": number == 1,
            "payment": payment,
            "status": "open",
        }

    def charge(self, invoice: Body, method: str, now: datetime) -> None:
        """Let the open amount be paid with a method. Raises Refused where the bank does, after it was written down."""
        intent = self.open_intent(invoice)
        if intent["status"] == "processing":
            raise Refused(400, "A payment of this invoice is under way.", code="payment_intent_unexpected_state")
        invoice["attempted"] = True
        self.save(invoice)
        intent["amount"] = invoice["amount_remaining"]
        refusal = self._charger.pay(intent, method, now, off_session=True)
        if refusal is not None:
            needs_action = intent["status"] == "requires_action"
            self.tell(invoice, f"invoice.payment_{'action_required' if needs_action else 'failed'}", now)
            raise refusal
        if intent["status"] == "succeeded":
            self.take(invoice, intent, now)

    def open_intent(self, invoice: Body) -> Body:
        """The payment that the invoice waits for."""
        ids = [each["payment"].get("payment_intent") for each in invoice["_payments"] if each["status"] == "open"]
        return self._ledger.get("payment_intent", next(id for id in ids if id))

    def cancel_payments(self, invoice: Body, now: datetime) -> None:
        """What the invoice waited for is not to be paid any more (docs.stripe.com/api/invoice-payment/object, status)."""
        for payment in invoice["_payments"]:
            if payment["status"] == "open":
                payment["status"] = "canceled"
                self._charger.cancel(self._ledger.get("payment_intent", payment["payment"]["payment_intent"]), now)

    def take(self, invoice: Body, intent: Body, now: datetime) -> None:
        """Count the money of a payment that succeeded."""
        for payment in invoice["_payments"]:
            if payment["payment"].get("payment_intent") == intent["id"]:
                payment |= {"status": "paid", "amount_paid": intent["amount_received"]}
        self.count(invoice, intent["amount_received"], now)

    def count(self, invoice: Body, amount: int, now: datetime) -> None:
        """Count money, whatever it came by."""
        invoice["amount_paid"] += amount
        rest = invoice["amount_remaining"] - amount
        invoice |= {"amount_remaining": max(rest, 0), "amount_overpaid": max(-rest, 0)}
        if rest <= 0:
            self.paid(invoice, now)
        self.save(invoice)

    def paid(self, invoice: Body, now: datetime) -> None:
        """Nothing is open any more."""
        invoice["amount_paid"] += invoice["amount_remaining"]
        invoice |= {"status": "paid", "amount_remaining": 0}
        self.tell(invoice, "invoice.paid", now)

    def credit(self, invoice: Body, before: int, after: int, now: datetime) -> None:
        """Take over a credit note: what reduces the open amount, and what was paid already."""
        invoice["pre_payment_credit_notes_amount"] += before
        invoice["post_payment_credit_notes_amount"] += after
        invoice["amount_due"] -= before
        invoice["amount_remaining"] -= before
        if before and not invoice["amount_remaining"]:
            invoice["status"] = "paid"
            self.tell(invoice, "invoice.paid", now)
        self.save(invoice)

    def save(self, invoice: Body) -> Body:
        """Write the invoice down."""
        return self._ledger.save(invoice, parent=invoice["customer"])

    def tell(self, invoice: Body, event: str, now: datetime) -> None:
        """Note an event of an invoice."""
        self._ledger.note_event(event, invoice["metadata"].get("billhook_invoice", ""), invoice["id"], now)
