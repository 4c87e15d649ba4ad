"""The mandates' desk: what customers signed, and what becomes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime

from billhook.testing.simulator.messages import SimReply
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
from billhook_gocardless.simulator.ledger import Ledger, Thing

Move = Callable[[Thing, str, str, datetime], Thing]
"""Of a thing, to a status, by an action, at a time."""

# [doc: API reference, "Supported Direct Debit Schemes"] with the currency of each scheme's country.
SCHEMES: Mapping[str, str] = {
    "ach": "USD", "autogiro": "SEK", "bacs": "GBP", "becs": "AUD", "becs_nz": "NZD", "betalingsservice": "DKK",
    "faster_payments": "GBP", "pad": "CAD", "pay_to": "AUD", "sepa_core": "EUR",
}  # fmt: skip

# [sdk: Mandate.status] a mandate in any other state can not be charged [sdk: PaymentsService.create].
LIVE_MANDATES = frozenset({"pending_customer_approval", "pending_submission", "submitted", "active"})


class MandateDesk:
    """Shows and cancels mandates. They are signed on GoCardless's pages: here by `sign`."""

    def __init__(self, ledger: Ledger, events: EventDesk, move_payment: Move) -> None:
        self._ledger = ledger
        self._events = events
        self._move_payment = move_payment

    def routes(self) -> list[Route]:
        return [
            ("GET", "/mandates", self._list),
            (
                "GET",
                "/mandates/{id}",
                lambda ask: shown("mandates", existing(self._ledger, "mandates", ask.path["id"])),
            ),
            ("POST", "/mandates/{id}/actions/cancel", self._cancel),
        ]

    def sign(self, customer_id: str, scheme: str, status: str, now: datetime) -> Thing:
        """The customer signs."""
        mandate_id = self._ledger.new_id("mandates")
        body = {
            "id": mandate_id,
            "created_at": timestamp(now),
            "reference": f"REF-{mandate_id}",
            "scheme": scheme,
            "status": status,
            "metadata": {},
            "links": {"customer": customer_id, "creditor": "CR000001"},
        }
        mandate = Thing("mandates", mandate_id, customer_id, now, body)
        self._ledger.put(mandate)
        self._events.tell(mandate, "created", now)
        return mandate

    def move(self, mandate: Thing, status: str, action: str, now: datetime) -> Thing:
        """It stands otherwise now. One that ends takes the payments along that were not submitted yet."""
        # [sdk: MandatesService.cancel] "cancels a mandate and all associated cancellable payments"
        moved = replace(mandate, body={**mandate.body, "status": status})
        self._ledger.put(moved)
        self._events.tell(moved, action, now)
        if status not in LIVE_MANDATES:
            for payment in self._payments(mandate, "pending_customer_approval", "pending_submission"):
                self._move_payment(payment, "cancelled", "cancelled", now)
        elif mandate.status == "pending_customer_approval":
            # [sdk: ScenarioSimulatorsService.run] "All payments associated with the mandate will be transitioned to pending_submission"
            for payment in self._payments(mandate, "pending_customer_approval"):
                self._move_payment(payment, "pending_submission", "customer_approval_granted", now)
        return moved

    def _payments(self, mandate: Thing, *statuses: str) -> list[Thing]:
        return [payment for payment in self._ledger.of("payments", mandate.id) if payment.status in statuses]

    def _cancel(self, ask: Ask) -> SimReply:
        mandate = existing(self._ledger, "mandates", ask.path["id"])
        if mandate.status not in LIVE_MANDATES:
            raise invalid_state("cancellation_failed", f"The mandate is {mandate.status}")
        return shown("mandates", self.move(mandate, "cancelled", "cancelled", ask.now))

    def _list(self, ask: Ask) -> SimReply:
        refuse_unknown_filters(ask.request, frozenset({"customer", "status"}))
        customer, status = ask.request.param("customer"), ask.request.param("status")
        where = {
            **({"parent": (customer,)} if customer else {}),
            **({"status": tuple(status.split(","))} if status else {}),
        }
        return page(self._ledger, "mandates", ask.request, where)
