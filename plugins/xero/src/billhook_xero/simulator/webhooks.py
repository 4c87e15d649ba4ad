"""Xero's webhooks (schema xero-webhooks, and "Configuring your server"): what changed and no more, signed with HMAC-SHA256 in base64."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json

from billhook.testing.simulator import Event, Pairs

SIGNATURE = "x-xero-signature"
_PLACES = {"INVOICE": "Invoices", "CONTACT": "Contacts", "CREDITNOTE": "CreditNotes"}


def told(event: Event, key: str) -> tuple[Pairs, bytes]:
    """Headers and body of one event. Xero has no event ids, but counts."""
    category, _, kind = event.type.partition(".")
    sequence = int(event.id.removeprefix("evt_"))
    content = {
        "resourceUrl": f"https://api.xero.com/api.xro/2.0/{_PLACES[category]}/{event.object_id}",
        "resourceId": event.object_id,
        "eventDateUtc": (event.at + event.skew).replace(tzinfo=None).isoformat(timespec="milliseconds"),
        "eventType": kind,
        "eventCategory": category,
        "tenantId": event.reference,
        "tenantType": "ORGANISATION",
    }
    return signed([content], sequence, key)


def handshake(key: str, *, good: bool) -> tuple[Pairs, bytes]:
    """An intent to receive: no events; a bad one must be answered with 401."""
    return signed([], 0, key if good else f"not {key}")


def signed(events: list[dict[str, str]], sequence: int, key: str) -> tuple[Pairs, bytes]:
    """The events with their signature."""
    content = {
        "events": events,
        "firstEventSequence": sequence,
        "lastEventSequence": sequence,
        "entropy": hashlib.sha256(f"{sequence}".encode()).hexdigest()[:20].upper(),
    }
    body = json.dumps(content, separators=(",", ":")).encode()
    signature = base64.b64encode(hmac.new(key.encode(), body, hashlib.sha256).digest()).decode()
    return (("Content-Type", "application/json"), (SIGNATURE, signature)), body
