"""What GoCardless tells: each change of a payment, refund or mandate is an event, listed under /events and told by webhook.

[vendor's page "Webhooks for partners"] An event has a resource_type, an action, links to the resource, and details that say why.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from billhook.testing.simulator.messages import Event, Pairs, SimReply
from billhook_gocardless.simulator.answers import Ask, Route, page, refuse_unknown_filters, timestamp
from billhook_gocardless.simulator.ledger import Ledger, Thing

SIGNATURE_HEADER = "Webhook-Signature"

# What the bank or GoCardless says of each action, where it says more than the action itself.
_DETAILS: Mapping[str, tuple[str, str, str]] = {
    "payments.failed": (
        "bank",
        "insufficient_funds",
        "The customer's account had insufficient funds to make this payment.",
    ),
    "payments.charged_back": (
        "bank",
        "refer_to_payer",
        "The customer told the bank that the payment was not authorised.",
    ),
    "payments.cancelled": (
        "api",
        "payment_cancelled",
        "The payment was cancelled before it was submitted to the bank.",
    ),
    "payments.paid_out": ("gocardless", "payment_paid_out", "The payment has been paid out by GoCardless."),
    "payments.confirmed": (
        "gocardless",
        "payment_confirmed",
        "Enough time has passed for the payment to count as collected.",
    ),
    "refunds.failed": (
        "gocardless",
        "refund_failed",
        "The refund did not reach the customer; its funds will be returned.",
    ),
    "refunds.funds_returned": ("gocardless", "refund_funds_returned", "The funds for the refund have been returned."),
}


class EventDesk:
    """Writes events down and lists them."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def routes(self) -> list[Route]:
        return [("GET", "/events", self._list)]

    def tell(self, thing: Thing, action: str, at: datetime, cause: str | None = None) -> None:
        """Note that this happened."""
        type = f"{thing.kind}.{action}"
        origin, usual_cause, description = _DETAILS.get(type, ("gocardless", f"{thing.kind[:-1]}_{action}", type))
        event_id = self._ledger.new_id("events")
        body = {
            "id": event_id,
            "created_at": timestamp(at),
            "resource_type": thing.kind,
            "action": action,
            "details": {"origin": origin, "cause": cause or usual_cause, "description": description},
            "metadata": {},
            "links": {thing.kind.removesuffix("s"): thing.id},
        }
        self._ledger.put(Thing("events", event_id, thing.id, at, body))
        self._ledger.note_event(type, event_id, thing.id, at)

    def _list(self, ask: Ask) -> SimReply:
        # [sdk: EventsService.list] filters by payment, refund and mandate among others.
        refuse_unknown_filters(ask.request, frozenset({"payment", "refund", "mandate"}))
        parents = tuple(filter(None, map(ask.request.param, ("payment", "refund", "mandate"))))
        return page(self._ledger, "events", ask.request, {"parent": parents} if parents else {})


def signed(ledger: Ledger, events: Sequence[Event], secret: str) -> tuple[Pairs, bytes]:
    """Headers and body of one webhook with all these events. [sdk: webhooks.py] The signature covers the raw body, and no time."""
    told = [_shown(ledger, event) for event in events]
    body = json.dumps({"events": told, "meta": {"webhook_id": f"WB{events[0].reference[2:]}"}}).encode()
    signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return (("Content-Type", "application/json"), (SIGNATURE_HEADER, signature)), body


def _shown(ledger: Ledger, event: Event) -> dict[str, Any]:
    kept = ledger.find("events", event.reference)
    assert kept is not None, f"{event.reference} was told and never written"
    return {**kept.body, "created_at": timestamp(event.at + event.skew)}
