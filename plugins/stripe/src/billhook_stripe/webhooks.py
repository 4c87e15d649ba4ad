"""Stripe's webhooks: the SDK checks the signature, the clock that is handed in checks the age, and each event is a hint."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from billhook.contract import Refusal, WebhookEvent
from billhook.contract.webhooks import EventKind
from billhook_stripe.encoding import COLLECTED_ELSEWHERE_KEY, REFUND_KEY

TOLERANCE = timedelta(seconds=300)
"""docs.stripe.com/webhooks/signature"""

# What our own requests cause tells nothing new: each hint costs a read.
_DOCUMENT_EVENTS = frozenset(
    {"invoice.finalization_failed", "invoice.voided", "invoice.deleted", "invoice.marked_uncollectible"}
)
_MONEY_ON_INVOICES = frozenset({"invoice.paid", "invoice.overpaid"})
_PAYMENT_EVENTS = frozenset(
    {
        *("payment_intent.succeeded", "payment_intent.payment_failed", "payment_intent.processing"),
        *("payment_intent.requires_action", "payment_intent.amount_capturable_updated", "payment_intent.canceled"),
    }
)
_REFUND_EVENTS = frozenset({"refund.updated", "refund.failed"})
_REFUND_MADE = "refund.created"


def read_events(
    headers: Mapping[str, str], body: bytes, secret: str | None, now: datetime, account: str | None = None
) -> tuple[WebhookEvent, ...] | Refusal:
    """The event that a webhook tells, none where it means nothing to ``account``, or why the webhook is refused."""
    if not secret:
        return Refusal("the app has no webhook secret, so no signature can be checked; add webhook_secret to it")
    return _refusal(headers.get("stripe-signature", ""), body, secret, now) or _events(body, account)


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


def _events(body: bytes, account: str | None) -> tuple[WebhookEvent, ...] | Refusal:
    try:
        told = json.loads(body)
        # An endpoint of a platform gets the events of all its connected accounts (docs.stripe.com/connect/webhooks).
        is_ours = told.get("account") in {None, account}
        return _read(told, told["data"]["object"]) if is_ours else ()
    except (ValueError, KeyError, TypeError, AttributeError):
        return Refusal("its body is no event of Stripe")


def _read(told: Mapping[str, Any], about: Mapping[str, Any]) -> tuple[WebhookEvent, ...]:
    kind, id = _kind(told["type"], about), about["id"]
    if _is_refund_by_others(told["type"], about):
        kind, id = "payment", about["payment_intent"]
    if kind is None:
        return ()
    at = datetime.fromtimestamp(told["created"], UTC)
    return (WebhookEvent(told["id"], kind, id, told["type"], at),)


def _is_refund_by_others(type_: str, about: Mapping[str, Any]) -> bool:
    """Whether somebody gave money back in Stripe's dashboard: its payment tells how much."""
    is_ours = REFUND_KEY in (about.get("metadata") or {})
    return type_ in {_REFUND_MADE, *_REFUND_EVENTS} and not is_ours and bool(about.get("payment_intent"))


def _kind(type_: str, about: Mapping[str, Any]) -> EventKind | None:
    """What the event is about; None where it tells nothing. Money that this app charges automatically is told by its payment."""
    if type_ in _MONEY_ON_INVOICES:
        is_charged_here = about.get("collection_method") != "send_invoice" and not _is_collected_elsewhere(about)
        return None if is_charged_here else "document"
    if type_ in _DOCUMENT_EVENTS:
        return "document"
    if type_ in _PAYMENT_EVENTS:
        return "payment"
    return "refund" if type_ in _REFUND_EVENTS else None


def _is_collected_elsewhere(about: Mapping[str, Any]) -> bool:
    return COLLECTED_ELSEWHERE_KEY in (about.get("metadata") or {})
