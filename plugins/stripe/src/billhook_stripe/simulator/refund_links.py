"""The refunds that credit notes link: of payments of their invoice, and no more of each than it gave back."""

from __future__ import annotations

from billhook_stripe.simulator.desk import Ask, Body, Refused, missing
from billhook_stripe.simulator.forms import needed, whole
from billhook_stripe.simulator.ledger import Ledger

GAVE_NOTHING = frozenset({"failed", "canceled"})
"""Refunds whose money stayed (docs.stripe.com/refunds, failed refunds)."""


class RefundLinks:
    """Judges what a request links, and knows what of the refunds of an invoice no credit note links yet."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def asked(self, ask: Ask, invoice: Body) -> list[Body]:
        """What the request links, as a credit note shows it (docs.stripe.com/api/credit_notes/object, refunds)."""
        rests = self._rests(invoice)
        return [
            self._link(stated, rests, f"refunds[{place}]")
            for place, stated in enumerate(ask.params.get("refunds") or [])
        ]

    def unlinked(self, invoice: Body) -> int:
        """What went back of the invoice's payments and no credit note links."""
        return sum(self._rests(invoice).values())

    def _link(self, stated: Body, rests: dict[str, int], place: str) -> Body:
        if stated.get("type", "refund") != "refund":
            raise Refused(400, "This simulator links refunds of payment intents alone.", param=f"{place}[type]")
        id = needed(stated, "refund")
        refund = self._ledger.find("refund", id)
        if refund is None:
            raise missing("refund", id)
        if id not in rests:
            message = f"The refund {id} is {refund['status']}, or of no payment of this invoice."
            raise Refused(400, message, param=f"{place}[refund]")
        wanted = whole(stated, "amount_refunded")
        amount = refund["amount"] if wanted is None else wanted
        if not 0 < amount <= rests[id]:
            message = f"Credit notes link all but {rests[id]} of the refund {id}."
            raise Refused(400, message, param=f"{place}[amount_refunded]")
        rests[id] -= amount
        return {"amount_refunded": amount, "payment_record_refund": None, "refund": id, "type": "refund"}

    def _rests(self, invoice: Body) -> dict[str, int]:
        """The refunds of the invoice's payments, and what of each no credit note links."""
        intents = [payment["payment"].get("payment_intent") for payment in invoice["_payments"]]
        refunds = [each for intent in intents if intent for each in self._ledger.all_of("refund", intent)]
        rests = {each["id"]: each["amount"] for each in refunds if each["status"] not in GAVE_NOTHING}
        for note in self._ledger.all_of("credit_note", invoice["id"]):
            for link in note["refunds"]:
                if link["refund"] in rests:
                    rests[link["refund"]] -= link["amount_refunded"]
        return rests
