"""Webhooks of Intuit, in both forms: CloudEvents, and the eventNotifications that came before them.

The signature is the base64 of an HMAC-SHA256 of the body under the verifier token (developer.intuit.com, "Configure webhooks"; Intuit's blog
of 2025-11-12 on the change of the payload). One address gets the events of all companies of a developer's app, and ids are unique only
within a company, so those of other companies are left out. The signature covers no time: a copy is told by its id.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from billhook.contract import Refusal, WebhookEvent
from billhook.contract.webhooks import EventKind

SIGNATURE = "intuit-signature"

# A payment or a credit memo that is applied changes its invoice, and that is told too. Other things lead to no read.
_KINDS: Mapping[str, EventKind] = {"invoice": "document"}


def read_events(
    headers: Mapping[str, str], body: bytes, token: str | None, realm: str
) -> Sequence[WebhookEvent] | Refusal:
    """The events about the company's invoices in a webhook with a good signature."""
    if not token:
        return Refusal("the app has no verifier_token, so no signature can be checked; add it to its credentials")
    expected = base64.b64encode(hmac.new(token.encode(), body, hashlib.sha256).digest())
    if not hmac.compare_digest(expected, headers.get(SIGNATURE, "").encode()):
        return Refusal("its signature does not match; check verifier_token")
    try:
        told = json.loads(body)
        if isinstance(told, list):
            found = [event for each in told for event in _of_cloud_event(each)]
        else:
            found = [event for notice in told["eventNotifications"] for event in _of_notification(notice)]
        return [event for event in found if event.details["realm"] == realm]
    except (ValueError, KeyError, TypeError, AttributeError):
        return Refusal("it is signed, but is no list of events")


def _of_cloud_event(told: Mapping[str, Any]) -> list[WebhookEvent]:
    """``qbo.invoice.created.v1`` tells kind and change."""
    _, kind, change, *_ = told["type"].split(".")
    return _event(told["id"], kind, change, told["intuitentityid"], told["intuitaccountid"], told["time"])


def _of_notification(told: Mapping[str, Any]) -> list[WebhookEvent]:
    """The old form has no event ids; the same change of the same thing at the same time is the same event."""
    realm: str = told["realmId"]
    found: list[WebhookEvent] = []
    for each in told["dataChangeEvent"]["entities"]:
        at = each["lastUpdated"]
        id = "/".join((realm, each["name"], each["id"], each["operation"], at))
        found += _event(id, each["name"], each["operation"], each["id"], realm, at)
    return found


def _event(id: str, kind: str, change: str, external_id: str, realm: str, at: str) -> list[WebhookEvent]:
    known = _KINDS.get(kind.casefold())
    if known is None:
        return []
    return [WebhookEvent(id, known, external_id, f"{kind}.{change}".lower(), _moment(at), {"realm": realm})]


def _moment(told: str) -> datetime:
    moment = datetime.fromisoformat(told)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
