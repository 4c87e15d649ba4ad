"""A simulator of Xero: its books, tokens, limits and webhooks, without an account. Shares no code with the provider."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from billhook.clock import Clock

if TYPE_CHECKING:
    from billhook_xero.simulator.rules import XeroRules
    from billhook_xero.simulator.server import XeroSimulator

__all__ = ["simulator"]


def simulator(
    path: str | Path = ":memory:",
    *,
    clock: Clock | None = None,
    rules: XeroRules | None = None,
    latency_seconds: float = 0.0,
    webhook_url: str | None = None,
    schema_folder: Path | None = None,
) -> XeroSimulator:
    """A Xero whose books are at ``path``; see ``XeroSimulator``."""
    from billhook_xero.simulator.server import XeroSimulator

    return XeroSimulator(
        path,
        clock=clock,
        rules=rules,
        latency_seconds=latency_seconds,
        webhook_url=webhook_url,
        schema_folder=schema_folder,
    )
