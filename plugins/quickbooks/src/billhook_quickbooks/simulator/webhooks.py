"""Telling events: signed with the verifier token, as CloudEvents or in the form before them.

developer.intuit.com, "Configure webhooks"; Intuit's blog of 2025-11-12 on the change of the payload.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json

from billhook.testing.simulator import Event, Pairs
from billhook_quickbooks.simulator.rules import CompanyRules

_NAMES = {"invoice": "Invoice", "creditmemo": "CreditMemo", "payment": "Payment", "customer": "Customer"}
_OPERATIONS = {"created": "Create", "updated": "Update", "voided": "Void", "deleted": "Delete", "emailed": "Emailed"}


def signed_webhook(event: Event, rules: CompanyRules) -> tuple[Pairs, bytes]:
    """Headers and body of an event."""
    told = _cloud_event(event, rules) if rules.webhook_form == "cloud_events" else _notification(event, rules)
    body = json.dumps(told, separators=(",", ":")).encode()
    digest = hmac.new(rules.verifier_token.encode(), body, hashlib.sha256).digest()
    return (("Content-Type", "application/json"), ("intuit-signature", base64.b64encode(digest).decode())), body


def _cloud_event(event: Event, rules: CompanyRules) -> object:
    return [
        {
            "specversion": "1.0",
            "id": f"{rules.realm}-{event.id}",
            "source": "intuit.simulated",
            "type": f"qbo.{event.type}.v1",
            "datacontenttype": "application/json",
            "time": (event.at + event.skew).isoformat(),
            "intuitentityid": event.object_id,
            "intuitaccountid": rules.realm,
            "data": {},
        }
    ]


def _notification(event: Event, rules: CompanyRules) -> object:
    kind, _, change = event.type.partition(".")
    entity = {
        "name": _NAMES[kind],
        "id": event.object_id,
        "operation": _OPERATIONS[change],
        "lastUpdated": (event.at + event.skew).isoformat(),
    }
    return {"eventNotifications": [{"realmId": rules.realm, "dataChangeEvent": {"entities": [entity]}}]}
