"""Telling events: a JSON body, signed with a shared secret and the time, so that a stale copy can be refused."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import datetime

from billhook.testing.simulator.messages import Event, Pairs

SIGNATURE_HEADER = "Sandbox-Signature"


def signed_webhook(event: Event, now: datetime, secret: str) -> tuple[Pairs, bytes]:
    """Headers and body of an event; `Sandbox-Signature: t=<unix seconds>,v1=<hex>` covers `<t>.<body>`."""
    told = {
        "id": event.id,
        "type": event.type,
        "reference": event.reference,
        "object_id": event.object_id,
        "at": (event.at + event.skew).isoformat(),
    }
    body = json.dumps(told, separators=(",", ":")).encode()
    at_seconds = int(now.timestamp())
    signature = f"t={at_seconds},v1={signature_of(body, at_seconds, secret)}"
    return (("Content-Type", "application/json"), (SIGNATURE_HEADER, signature)), body


def signature_of(body: bytes, at_seconds: int, secret: str) -> str:
    """The hex HMAC-SHA256 of `<t>.<body>`."""
    return hmac.new(secret.encode(), f"{at_seconds}.".encode() + body, hashlib.sha256).hexdigest()
