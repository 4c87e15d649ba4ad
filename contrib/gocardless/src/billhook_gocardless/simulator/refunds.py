"""The refunds' desk: money given back from a payment that was collected, with the vendor's safeguard against refunding twice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from billhook.testing.simulator.messages import SimReply
from billhook_gocardless.simulator import members
from billhook_gocardless.simulator.answers import (
    Ask,
    Route,
    existing,
    invalid_state,
    page,
    refuse_unknown_filters,
    shown,
    timestamp,
)
from billhook_gocardless.simulator.events import EventDesk
from billhook_gocardless.simulator.keys import KeyedDesk
from billhook_gocardless.simulator.ledger import Ledger, Thing
from billhook_gocardless.simulator.rules import GoCardlessRules

# [sdk: RefundsService.create] the members of a refund.
_MEMBERS: Mapping[str, members.Check] = {
    "amount": members.minor_units,
    "total_amount_confirmation": members.minor_units,
    "reference": members.text,
    "metadata": members.metadata,
    "links": members.link_to("payment"),
}
# [sdk: RefundsService.create] total_amount_confirmation "must be supplied if links[payment] is present"
_REQUIRED = frozenset({"amount", "links", "total_amount_confirmation"})
_MOST_REFUNDS = 25
_REFUNDABLE = frozenset({"confirmed", "paid_out"})
_NEXT = {"pending_submission": "submitted", "submitted": "paid"}


class RefundDesk(KeyedDesk):
    """Creates and lists refunds."""

    kind = "refunds"

    def __init__(self, ledger: Ledger, rules: GoCardlessRules, events: EventDesk) -> None:
        super().__init__(ledger, rules)
        self._events = events
        self._stays = {"pending_submission": rules.submit_after, "submitted": rules.confirm_after}

    def routes(self) -> list[Route]:
        return [
            ("POST", "/refunds", self.create),
            ("GET", "/refunds", self._list),
            ("GET", "/refunds/{id}", lambda ask: shown("refunds", existing(self.ledger, "refunds", ask.path["id"]))),
        ]

    def make(self, ask: Ask) -> Thing:
        """A new refund; the payment's `amount_refunded` counts it at once."""
        content = members.content_of(ask, "refunds", _MEMBERS, _REQUIRED)
        payment = self.ledger.find("payments", content["links"]["payment"])
        if payment is None:
            members.refuse("refunds", [("links.payment", "was not found")])
        assert payment is not None
        total = payment.body["amount_refunded"] + content["amount"]
        self._check(payment, total, content["total_amount_confirmation"])
        self.ledger.put(replace(payment, body={**payment.body, "amount_refunded": total}))
        body = {
            "id": self.ledger.new_id("refunds"),
            "created_at": timestamp(ask.now),
            "amount": content["amount"],
            "currency": payment.body["currency"],
            "reference": content.get("reference"),
            "status": "pending_submission",
            "metadata": content.get("metadata") or {},
            "links": {"payment": payment.id, "mandate": payment.parent},
        }
        refund = Thing("refunds", body["id"], payment.id, ask.now, body, ask.now + self.rules.submit_after)
        self.ledger.put(refund)
        self._events.tell(refund, "created", ask.now)
        return refund

    def _check(self, payment: Thing, total: int, confirmed: int) -> None:
        # [sdk: RefundsService.create, in the clients of several languages] the four ways in which a refund fails.
        if payment.status not in _REFUNDABLE:
            raise invalid_state("refund_payment_invalid_state", f"The payment is {payment.status}")
        if confirmed != total:
            raise invalid_state("total_amount_confirmation_invalid", f"The refunds would be {total} in all")
        if len(self.ledger.of("refunds", payment.id)) >= _MOST_REFUNDS:
            raise invalid_state("number_of_refunds_exceeded", f"The payment has {_MOST_REFUNDS} refunds already")
        if total > payment.body["amount"]:
            raise invalid_state("available_refund_amount_insufficient", "More than the payment would be refunded")

    def settle(self, refund: Thing) -> None:
        """Do what is due."""
        assert refund.status is not None
        assert refund.due_at is not None
        status = _NEXT[refund.status]
        self.move(refund, status, status, refund.due_at)

    def move(self, refund: Thing, status: str, action: str, at: datetime) -> Thing:
        """It stands otherwise now."""
        stays = self._stays.get(status)
        moved = replace(refund, body={**refund.body, "status": status}, due_at=None if stays is None else at + stays)
        self.ledger.put(moved)
        if action != "submitted":  # nobody is told of that
            self._events.tell(moved, action, at)
        return moved

    def _list(self, ask: Ask) -> SimReply:
        refuse_unknown_filters(ask.request, frozenset({"payment"}))
        payment = ask.request.param("payment")
        return page(self.ledger, "refunds", ask.request, {"parent": (payment,)} if payment else {})
