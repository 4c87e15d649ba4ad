"""Stripe's webhooks: the SDK checks the signature, the clock that is handed in checks the age, and each event is a hint."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from billhook.contract import Refusal, WebhookEvent

TOLERANCE = timedelta(seconds=300)
"""docs.stripe.com/webhooks/signature"""

_DOCUMENT_EVENTS = frozenset(
    {
        *("invoice.created", "invoice.finalized", "invoice.finalization_failed", "invoice.updated", "invoice.sent"),
        *("invoice.paid", "invoice.overpaid", "invoice.voided", "invoice.deleted", "invoice.marked_uncollectible"),
    }
)
_PAYMENT_EVENTS = "payment_intent."
_REFUND_EVENTS = "refund."


def read_events(
    headers: Mapping[str, str], body: bytes, secret: str | None, now: datetime
) -> tuple[WebhookEvent, ...] | Refusal:
    """The event that a webhook tells, none where it means nothing here, or why the webhook is refused."""
    if not secret:
        return Refusal("the app has no webhook secret, so no signature can be checked; add webhook_secret to it")
    return _refusal(headers.get("stripe-signature", ""), body, secret, now) or _events(body)


def _refusal(signature: str, body: bytes, secret: str, now: datetime) -> Refusal | None:
    import stripe

    try:
        # Without a tolerance, because the SDK would ask the machine's clock.
        stripe.WebhookSignature.verify_header(body, signature, secret)
    except (stripe.SignatureVerificationError, UnicodeDecodeError):
        return Refusal("its Stripe-Signature does not match; check webhook_secret")
    signed_at = datetime.fromtimestamp(_signed_at_seconds(signature), UTC)
    if abs(now - signed_at) > TOLERANCE:
        return Refusal(f"it was signed more than {TOLERANCE} away from now; a copy, or a wrong clock")
    return None


def _signed_at_seconds(signature: str) -> int:
    parts = dict(part.strip().partition("=")[::2] for part in signature.split(","))
    return int(parts["t"])


def _events(body: bytes) -> tuple[WebhookEvent, ...] | Refusal:
    try:
        told = json.loads(body)
        return _read(told, told["data"]["object"])
    except (ValueError, KeyError, TypeError):
        return Refusal("its body is no event of Stripe")


def _read(told: Mapping[str, Any], about: Mapping[str, Any]) -> tuple[WebhookEvent, ...]:
    type_, at = told["type"], datetime.fromtimestamp(told["created"], UTC)
    if type_ in _DOCUMENT_EVENTS:
        return (WebhookEvent(told["id"], "document", about["id"], type_, at),)
    if type_.startswith(_PAYMENT_EVENTS):
        return (WebhookEvent(told["id"], "payment", about["id"], type_, at),)
    if type_.startswith(_REFUND_EVENTS):
        return (WebhookEvent(told["id"], "refund", about["id"], type_, at),)
    return ()
