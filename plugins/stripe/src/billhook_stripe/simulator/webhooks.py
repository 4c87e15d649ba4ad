"""Telling events: a snapshot of the object, signed as docs.stripe.com/webhooks/signature says."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import datetime

from billhook.testing.simulator import Event, Pairs
from billhook_stripe.simulator.desk import Body


def signed_webhook(told: Body, now: datetime, secret: str) -> tuple[Pairs, bytes]:
    """Headers and body; `Stripe-Signature: t=<unix seconds>,v1=<hex>` covers `<t>.<body>`."""
    body = json.dumps(told, separators=(",", ":")).encode()
    at_seconds = int(now.timestamp())
    signature = hmac.new(secret.encode(), f"{at_seconds}.".encode() + body, hashlib.sha256).hexdigest()
    headers = (("Content-Type", "application/json"), ("Stripe-Signature", f"t={at_seconds},v1={signature}"))
    return headers, body


def event_body(event: Event, about: Body, api_version: str) -> Body:
    """docs.stripe.com/api/events/object."""
    return {
        "id": event.id,
        "object": "event",
        "api_version": api_version,
        "created": int((event.at + event.skew).timestamp()),
        "data": {"object": {name: value for name, value in about.items() if not name.startswith("_")}},
        "livemode": False,
        "pending_webhooks": 1,
        "type": event.type,
    }
