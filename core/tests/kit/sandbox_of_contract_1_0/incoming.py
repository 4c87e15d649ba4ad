"""Reading the sandbox's webhooks: the signature first, then hints of what changed."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

from billhook.contract import Refusal, WebhookEvent
from billhook.contract.webhooks import EventKind

TOLERANCE = timedelta(minutes=5)

_KINDS: Mapping[str, EventKind] = MappingProxyType(
    {"invoice": "document", "credit_note": "document", "payment": "payment", "refund": "refund"}
)


def read_events(
    headers: Mapping[str, str], body: bytes, secret: str | None, now: datetime
) -> tuple[WebhookEvent, ...] | Refusal:
    """The event that a webhook tells, none where its kind means nothing here, or why the webhook is refused."""
    if not secret:
        return Refusal(
            "the app has no webhook secret, so no signature can be checked; add webhook_secret to its credentials"
        )
    refusal = _refusal(headers.get("sandbox-signature", ""), body, secret, now)
    return refusal or _events(body)


def _refusal(signature: str, body: bytes, secret: str, now: datetime) -> Refusal | None:
    parts = dict(part.strip().partition("=")[::2] for part in signature.split(","))
    at_seconds, given = parts.get("t", ""), parts.get("v1", "")
    if not (at_seconds.isascii() and at_seconds.isdigit() and len(at_seconds) < 12):
        return Refusal("it carries no readable Sandbox-Signature")
    expected = hmac.new(secret.encode(), f"{at_seconds}.".encode() + body, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected.encode(), given.encode()):
        return Refusal("its signature does not match; check webhook_secret")
    if abs(now - datetime.fromtimestamp(int(at_seconds), UTC)) > TOLERANCE:
        return Refusal(f"it was signed more than {TOLERANCE} away from now; a copy, or a wrong clock")
    return None


def _events(body: bytes) -> tuple[WebhookEvent, ...] | Refusal:
    try:
        told = json.loads(body)
        kind = _KINDS.get(told["type"].partition(".")[0])
        if kind is None:
            return ()
        details = {"reference": str(told["reference"])}
        at = datetime.fromisoformat(told["at"])
        return (WebhookEvent(told["id"], kind, told["object_id"], told["type"], at, details),)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return Refusal("its body is no event of the sandbox")
