"""Bodies that are taken as they stand, for operations where what is made up alone would hardly ever be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from peopled import FLAT, SUPPLIER, Ids

PERIOD = {"from": "2026-04-01T00:00:00Z", "to": "2026-05-01T00:00:00Z"}
LINE = {"name": "Fee", "period": PERIOD, "invoiceAt": "2026-05-01T00:00:00Z", "rateCard": {"price": FLAT}}
WHOLE = {"percentage": 100, "action": {"type": "discard"}}


def taken_bodies(ids: Ids, url: str) -> Mapping[str, Mapping[str, Any]]:
    """By method and path, as the document has them."""
    profile = {"name": "Profile", "default": False, "supplier": SUPPLIER, "workflow": {}}
    apps = dict.fromkeys(("tax", "invoicing", "payment"), ids["app"][0])
    hook = {"type": "WEBHOOK", "name": "Hook", "url": url}
    rule = {"type": "invoice.updated", "name": "Rule", "channels": ids["channel"]}
    content = {"supplier": SUPPLIER, "customer": {"name": "Jane"}, "lines": [LINE], "workflow": {"workflow": {}}}
    lines = {"currency": "USD", "lines": [LINE]}
    customer = "/api/v1/billing/customers/{customer_id}/invoices"
    outside = "/api/v1/apps/custom-invoicing/{invoiceId}"
    return {
        "POST /api/v1/marketplace/listings/{type}/install": {"name": "Books"},
        "POST /api/v1/billing/profiles": {**profile, "apps": apps},
        "PUT /api/v1/billing/profiles/{id}": profile,
        f"POST {customer}/pending-lines": lines,
        f"POST {customer}/simulate": {**lines, "lines": [{**LINE, "quantity": "1"}]},
        "PUT /api/v1/billing/invoices/{id}": content,
        "POST /api/v1/billing/invoices/{id}/void": {"action": WHOLE, "reason": "wrong"},
        f"POST {outside}/draft/synchronized": {"invoicing": {"externalId": "doc-1"}},
        f"POST {outside}/issuing/synchronized": {"payment": {"externalId": "pay-1"}},
        "POST /api/v1/notification/channels": hook,
        "PUT /api/v1/notification/channels/{channel_id}": hook,
        "POST /api/v1/notification/rules": rule,
        "PUT /api/v1/notification/rules/{rule_id}": rule,
        "PUT /api/billhook/v1/invoices/{invoice_id}/validation-issues": {
            "issues": [{"severity": "warning", "code": "small", "message": "It is small."}]
        },
        "POST /api/billhook/v1/apps": {"type": "custom_invoicing", "name": "Books"},
    }
