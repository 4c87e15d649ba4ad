"""Reading GoCardless's webhooks: the signature first, then hints of what changed. A body holds several events.

[sdk: webhooks.py] The signature is the hex HMAC-SHA256 of the raw body under the endpoint's secret. It covers no time, so an old copy
can't be told by its age: its events are known by their ids, and each only leads to a read.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any

from billhook.contract import Refusal, WebhookEvent

SIGNATURE_HEADER = "webhook-signature"

# Mandates are looked up afresh before every payment, so what happens to them needs no reading now. Nor do payouts.
_LINK_OF: Mapping[str, str] = MappingProxyType({"payments": "payment", "refunds": "refund"})


def read_events(headers: Mapping[str, str], body: bytes, secret: str | None) -> tuple[WebhookEvent, ...] | Refusal:
    """The events about payments and refunds, or why the webhook is refused."""
    if not secret:
        return Refusal(
            "the app has no webhook secret, so no signature can be checked; add webhook_secret to its credentials"
        )
    expected = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected.encode(), headers.get(SIGNATURE_HEADER, "").encode()):
        return Refusal("its Webhook-Signature does not match; check webhook_secret")
    try:
        return tuple(_events(json.loads(body)))
    except (ValueError, KeyError, TypeError, AttributeError):
        return Refusal("its body holds no events of GoCardless")


def _events(body: Any) -> Iterator[WebhookEvent]:
    for event in body["events"]:
        link = _LINK_OF.get(event["resource_type"])
        if link is None:
            continue
        details = event.get("details") or {}
        yield WebhookEvent(
            id=str(event["id"]),
            kind="payment" if link == "payment" else "refund",
            external_id=str(event["links"][link]),
            type=f"{event['resource_type']}.{event['action']}",
            occurred_at=datetime.fromisoformat(event["created_at"]),
            details={name: str(details[name]) for name in ("cause", "description") if details.get(name)},
        )
