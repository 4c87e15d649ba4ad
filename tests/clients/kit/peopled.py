"""A namespace in which there is one of everything, and the ids of what is there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

Ids = Mapping[str, Sequence[str]]
SUPPLIER = {"name": "ACME Ltd", "addresses": [{"country": "GB"}]}
FLAT = {"type": "flat", "amount": "100.00", "paymentTerm": "in_advance"}


@dataclass(frozen=True)
class Caller:
    """Calls as an administrator, and is never refused."""

    http: httpx.Client

    def post(self, path: str, body: Any = None) -> Any:
        answer = self.http.post(path, json=body)
        assert answer.is_success, (path, answer.text)
        return answer.json() if answer.content else None

    def put(self, path: str, body: Any) -> None:
        answer = self.http.put(path, json=body)
        assert answer.is_success, (path, answer.text)


def people(http: httpx.Client, channel_url: str) -> Ids:
    """Make everything. Ids by what they are of: app, profile, customer, invoice, line, channel, rule, event."""
    caller = Caller(http)
    apps = [_app(caller, name, waits=waits) for name, waits in (("Books", False), ("Waiting books", True))]
    usual, waiting, by_hand = (
        _profile(caller, apps[0], "Usual", default=True),
        _profile(caller, apps[1], "Waiting"),
        _profile(caller, apps[0], "By hand", autoAdvance=False),
    )
    customers = [_customer(caller, f"customer-{number}") for number in range(4)]
    for customer, profile in zip(customers, (usual, waiting, by_hand), strict=False):
        caller.put(f"/api/v1/billing/customers/{customer}", {"billingProfileId": profile})
    invoices = [_invoice(caller, customer) for customer in customers for _ in range(2)]
    caller.post(f"/api/v1/apps/custom-invoicing/{invoices[0]['id']}/payment/status", {"trigger": "payment_failed"})
    pools = [_pending(caller, customer)["invoice"] for customer in customers]
    channels = [_channel(caller, channel_url, name) for name in ("Hook", "Spare hook")]
    rules = [_rule(caller, channel) for channel in channels]
    events = [caller.post(f"/api/v1/notification/rules/{rule}/test")["id"] for rule in rules]
    return {
        "app": apps,
        "profile": [usual, waiting, by_hand],
        "customer": customers,
        "invoice": [each["id"] for each in (*invoices, *pools)],
        "line": [line["id"] for each in invoices for line in each["lines"]],
        "channel": channels,
        "rule": rules,
        "event": events,
    }


def _app(caller: Caller, name: str, *, waits: bool) -> str:
    app = caller.post("/api/v1/marketplace/listings/custom_invoicing/install", {"name": name})["app"]["id"]
    hooks = {"enableDraftSyncHook": waits, "enableIssuingSyncHook": waits}
    caller.put(f"/api/v1/apps/{app}", {"type": "custom_invoicing", "name": name, **hooks})
    return str(app)


def _profile(caller: Caller, app: str, name: str, *, default: bool = False, **invoicing: Any) -> str:
    apps = dict.fromkeys(("tax", "invoicing", "payment"), app)
    workflow = {"invoicing": invoicing}
    body = {"name": name, "default": default, "supplier": SUPPLIER, "workflow": workflow, "apps": apps}
    return str(caller.post("/api/v1/billing/profiles", body)["id"])


def _customer(caller: Caller, key: str) -> str:
    body = {"name": key, "key": key, "usageAttribution": {"subjectKeys": [key]}}
    return str(caller.post("/api/v1/customers", body)["id"])


def _pending(caller: Caller, customer: str) -> Any:
    now = datetime.now(UTC)
    period = {"from": (now - timedelta(days=31)).isoformat(), "to": (now - timedelta(days=1)).isoformat()}
    line = {"name": "Fee", "period": period, "invoiceAt": now.isoformat(), "rateCard": {"price": FLAT}}
    return caller.post(
        f"/api/v1/billing/customers/{customer}/invoices/pending-lines", {"currency": "USD", "lines": [line]}
    )


def _invoice(caller: Caller, customer: str) -> Any:
    _pending(caller, customer)
    return caller.post("/api/v1/billing/invoices/invoice", {"customerId": customer})[0]


def _channel(caller: Caller, url: str, name: str) -> str:
    return str(caller.post("/api/v1/notification/channels", {"type": "WEBHOOK", "name": name, "url": url})["id"])


def _rule(caller: Caller, channel: str) -> str:
    body = {"type": "invoice.updated", "name": "Changes", "channels": [channel]}
    return str(caller.post("/api/v1/notification/rules", body)["id"])
