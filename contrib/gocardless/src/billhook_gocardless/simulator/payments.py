"""The payments' desk: taken against a mandate, submitted and confirmed as days go by, failed or charged back when the bank says so."""

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
from billhook_gocardless.simulator.mandates import LIVE_MANDATES, SCHEMES
from billhook_gocardless.simulator.rules import GoCardlessRules

# [sdk: PaymentsService.create] the members of a payment.
_MEMBERS: Mapping[str, members.Check] = {
    "amount": members.minor_units,
    "currency": members.currency,
    "description": members.text,
    "reference": members.text,
    "metadata": members.metadata,
    "links": members.link_to("mandate"),
}
_REQUIRED = frozenset({"amount", "currency", "links"})

# [sdk: PaymentsService.retry] "Payments can be retried up to 3 times."
_MOST_RETRIES = 3

# What time makes of a payment, and how the event is called.
_NEXT = {"pending_submission": "submitted", "submitted": "confirmed", "confirmed": "paid_out"}


class PaymentDesk(KeyedDesk):
    """Creates, cancels, retries and lists payments. It takes the same money twice: preventing that is the client's work."""

    kind = "payments"

    def __init__(self, ledger: Ledger, rules: GoCardlessRules, events: EventDesk) -> None:
        super().__init__(ledger, rules)
        self._events = events
        self._stays = {
            "pending_submission": rules.submit_after,
            "submitted": rules.confirm_after,
            "confirmed": rules.pay_out_after,
        }

    def routes(self) -> list[Route]:
        return [
            ("POST", "/payments", self.create),
            ("GET", "/payments", self._list),
            ("GET", "/payments/{id}", lambda ask: shown("payments", existing(self.ledger, "payments", ask.path["id"]))),
            ("POST", "/payments/{id}/actions/cancel", self._cancel),
            ("POST", "/payments/{id}/actions/retry", self._retry),
        ]

    def make(self, ask: Ask) -> Thing:
        """A new payment against a live mandate."""
        content = members.content_of(ask, "payments", _MEMBERS, _REQUIRED)
        mandate = self.ledger.find("mandates", content["links"]["mandate"])
        if mandate is None:
            members.refuse("payments", [("links.mandate", "was not found")])
        assert mandate is not None
        if mandate.status not in LIVE_MANDATES:
            # [sdk: PaymentsService.create] "fails with a mandate_is_inactive error if the linked mandate is cancelled or has failed"
            raise invalid_state("mandate_is_inactive", "The mandate is not active")
        if SCHEMES[mandate.body["scheme"]] != content["currency"]:
            members.refuse("payments", [("currency", f"is not the currency of {mandate.body['scheme']}")])
        waits = mandate.status == "pending_customer_approval"
        body = {
            "id": self.ledger.new_id("payments"),
            "created_at": timestamp(ask.now),
            "charge_date": f"{ask.now + self.rules.submit_after + self.rules.confirm_after:%Y-%m-%d}",
            "amount": content["amount"],
            "amount_refunded": 0,
            "currency": content["currency"],
            "description": content.get("description"),
            "reference": content.get("reference"),
            "scheme": mandate.body["scheme"],
            "status": "pending_customer_approval" if waits else "pending_submission",
            "metadata": content.get("metadata") or {},
            "links": {"mandate": mandate.id, "creditor": "CR000001"},
        }
        due_at = None if waits else ask.now + self.rules.submit_after
        payment = Thing("payments", body["id"], mandate.id, ask.now, body, due_at)
        self.ledger.put(payment)
        self._events.tell(payment, "created", ask.now)
        return payment

    def settle(self, payment: Thing) -> None:
        """Do what is due."""
        assert payment.status is not None
        assert payment.due_at is not None
        is_returned = payment.status == "submitted" and self.ledger.decisions.declines(payment.id, payment.reference)
        status = "failed" if is_returned else _NEXT[payment.status]
        self.move(payment, status, status, payment.due_at)

    def move(self, payment: Thing, status: str, action: str, at: datetime) -> Thing:
        """It stands otherwise now."""
        stays = self._stays.get(status)
        due_at = None if stays is None else at + stays
        moved = replace(payment, body={**payment.body, "status": status}, due_at=due_at)
        self.ledger.put(moved)
        self._events.tell(moved, action, at)
        return moved

    def _cancel(self, ask: Ask) -> SimReply:
        payment = existing(self.ledger, "payments", ask.path["id"])
        if payment.status != "pending_submission":
            # [sdk: PaymentsService.cancel] "fail with a cancellation_failed error unless the payment's status is pending_submission"
            raise invalid_state("cancellation_failed", f"The payment is {payment.status}")
        return shown("payments", self.move(payment, "cancelled", "cancelled", ask.now))

    def _retry(self, ask: Ask) -> SimReply:
        payment = existing(self.ledger, "payments", ask.path["id"])
        retried = sum(
            event.body["action"] == "resubmission_requested" for event in self.ledger.of("events", payment.id)
        )
        if payment.status != "failed" or retried >= _MOST_RETRIES:
            # [sdk: PaymentsService.retry] "will return a retry_failed error if the payment has not failed"
            raise invalid_state("retry_failed", f"The payment is {payment.status} and was retried {retried} times")
        moved = self.move(payment, "pending_submission", "resubmission_requested", ask.now)
        return shown("payments", moved)

    def _list(self, ask: Ask) -> SimReply:
        # [sdk: PaymentsService.list] filters by mandate, customer and status among others.
        refuse_unknown_filters(ask.request, frozenset({"mandate", "customer", "status"}))
        customer, status = ask.request.param("customer"), ask.request.param("status")
        where: dict[str, tuple[str, ...]] = {"status": (status,)} if status else {}
        if mandate := ask.request.param("mandate"):
            where["parent"] = (mandate,)
        elif customer:
            where["parent"] = tuple(each.id for each in self.ledger.of("mandates", customer))
        return page(self.ledger, "payments", ask.request, where)
