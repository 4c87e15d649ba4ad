"""A simulator of Xero: its books, tokens, limits and webhooks, without an account. Shares no code with the provider."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from billhook.clock import Clock

if TYPE_CHECKING:
    from billhook_xero.simulator.rules import XeroRules
    from billhook_xero.simulator.server import XeroSimulator

__all__ = ["app_credentials", "app_settings", "simulator"]


def simulator(
    path: str | Path = ":memory:",
    *,
    clock: Clock | None = None,
    rules: XeroRules | None = None,
    latency_seconds: float = 0.0,
    webhook_url: str | None = None,
    hurried: bool = False,
    currency: str | None = None,
    schemas: Path | None = None,
) -> XeroSimulator:
    """A Xero whose books are at ``path``; see ``XeroSimulator``.

    Nothing takes days at Xero, so ``hurried`` changes nothing. ``currency`` is the organisation's base currency.
    """
    from billhook_xero.simulator.rules import Org, XeroRules
    from billhook_xero.simulator.server import XeroSimulator

    if rules is None:
        rules = XeroRules() if currency is None else XeroRules((Org(base_currency=currency),))
    return XeroSimulator(
        path,
        clock=clock,
        rules=rules,
        latency_seconds=latency_seconds,
        webhook_url=webhook_url,
        schemas=schemas,
    )


def app_settings(url: str) -> dict[str, str]:
    """Settings by which an app reaches a simulator at that address, and uses its chart of accounts."""
    from billhook_xero.simulator.rules import DEMO_CLIENT, DEMO_TENANT

    return {
        "account": DEMO_TENANT,
        "client_id": DEMO_CLIENT,
        "connection": "custom",
        "api_url": url,
        "identity_url": url,
        "login_url": url,
        "sales_account": "200",
        "payment_account": "090",
    }


def app_credentials() -> dict[str, str]:
    """Credentials that a simulator lets in."""
    from billhook_xero.simulator.rules import DEMO_CLIENT_SECRET, DEMO_TOKEN, DEMO_WEBHOOK_KEY

    return {"access_token": DEMO_TOKEN, "client_secret": DEMO_CLIENT_SECRET, "webhook_key": DEMO_WEBHOOK_KEY}
