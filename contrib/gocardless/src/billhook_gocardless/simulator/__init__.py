"""A GoCardless that fits in a test: mandates, payments that settle days later, refunds, events and signed webhooks.

It is written from the vendor's pages and clients alone, and shares no code with the provider.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from billhook.clock import Clock

if TYPE_CHECKING:
    from billhook_gocardless.simulator.rules import GoCardlessRules
    from billhook_gocardless.simulator.server import GoCardlessSimulator

__all__ = ["simulator"]


def simulator(
    path: str | Path = ":memory:",
    *,
    clock: Clock | None = None,
    rules: GoCardlessRules | None = None,
    latency_seconds: float = 0.0,
    webhook_url: str | None = None,
    hurried: bool = False,
    currency: str | None = None,
) -> GoCardlessSimulator:
    """A GoCardless whose books are at `path`; see `GoCardlessSimulator`. `hurried`: money is confirmed after two seconds."""
    # Whoever only looks at what is installed needs neither the server nor sqlite3.
    from billhook_gocardless.simulator.rules import HURRIED
    from billhook_gocardless.simulator.server import GoCardlessSimulator

    rules = rules or (HURRIED if hurried else None)
    return GoCardlessSimulator(path, clock=clock, rules=rules, latency_seconds=latency_seconds, webhook_url=webhook_url)
