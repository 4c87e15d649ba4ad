"""Webhooks of Xero, the intent-to-receive handshake among them: a good signature is answered with 200, a bad one with 401.

Xero tells which document changed and no more (developer.xero.com, "Webhooks: configuring your server"); a payment shows as an update of
its invoice. The signature covers no time, so a copy is told by the event's sequence number.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from billhook.contract import Refusal, WebhookEvent

SIGNATURE = "x-xero-signature"

Kind = Literal["document", "customer", "connection"]

_KINDS: Mapping[str, Kind] = {"INVOICE": "document", "CREDITNOTE": "document", "CONTACT": "customer"}


def read_events(
    headers: Mapping[str, str], body: bytes, key: str | None, tenant: str
) -> Sequence[WebhookEvent] | Refusal:
    """The organisation's events in a webhook with a good signature. The handshake has none, and no tenant means any."""
    if not key:
        return Refusal("the app has no webhook_key")
    expected = base64.b64encode(hmac.new(key.encode(), body, hashlib.sha256).digest())
    if not hmac.compare_digest(expected, headers.get(SIGNATURE, "").encode()):
        return Refusal("the signature does not match")
    try:
        told = json.loads(body)
        first: int = told.get("firstEventSequence") or 0
        events = [(first + place, each) for place, each in enumerate(told["events"])]
        # One address gets the events of every organisation that is connected.
        return [_event(sequence, each) for sequence, each in events if tenant in {"", each["tenantId"]}]
    except (ValueError, KeyError, TypeError, AttributeError):
        return Refusal("the body is signed, but is no list of events")


def _event(sequence: int, told: Mapping[str, Any]) -> WebhookEvent:
    category: str = told["eventCategory"]
    return WebhookEvent(
        id=f"{told['tenantId']}/{sequence}/{told['resourceId']}",
        kind=_KINDS.get(category, "connection"),
        external_id=told["resourceId"],
        type=f"{category}.{told['eventType']}",
        occurred_at=_moment(told["eventDateUtc"]),
        details={"tenant": told["tenantId"]},
    )


def _moment(told: str) -> datetime:
    moment = datetime.fromisoformat(told)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
