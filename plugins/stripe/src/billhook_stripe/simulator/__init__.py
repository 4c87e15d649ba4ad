"""A Stripe that fits in a test: invoices, payments and webhooks on loopback, with books to compare with. It shares no code with the plugin."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from billhook.clock import Clock
    from billhook_stripe.simulator.rules import StripeRules
    from billhook_stripe.simulator.server import StripeSimulator

__all__ = ["simulator"]


def simulator(
    path: str | Path = ":memory:",
    *,
    clock: Clock | None = None,
    rules: StripeRules | None = None,
    latency_seconds: float = 0.0,
    webhook_url: str | None = None,
    hurried: bool = False,
    currency: str | None = None,
    schemas: Path | None = None,
) -> StripeSimulator:
    """A Stripe whose books are at `path`; see `StripeSimulator`. `hurried`: bank debits settle after a second."""
    # Describing the plugin must need neither the server nor sqlite3.
    from billhook_stripe.simulator.rules import HURRIED
    from billhook_stripe.simulator.server import StripeSimulator

    rules = rules or (HURRIED if hurried else None)
    return StripeSimulator(
        path, clock=clock, rules=rules, latency_seconds=latency_seconds, webhook_url=webhook_url, schemas=schemas
    )
