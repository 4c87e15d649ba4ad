"""The sandbox: a provider that needs no account, with every fault on demand and books to compare with."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from billhook.clock import Clock
from billhook.testing.sandbox.provider import SandboxProvider

if TYPE_CHECKING:
    from billhook.testing.sandbox.desk import SandboxRules
    from billhook.testing.sandbox.server import SandboxSimulator

__all__ = ["provider", "simulator"]

provider = SandboxProvider

MOMENT = timedelta(seconds=1)


def simulator(
    path: str | Path = ":memory:",
    *,
    clock: Clock | None = None,
    rules: SandboxRules | None = None,
    latency_seconds: float = 0.0,
    webhook_url: str | None = None,
    hurried: bool = False,
    currency: str | None = None,
) -> SandboxSimulator:
    """A sandbox whose books are at `path`; see `SandboxSimulator`. `hurried`: what is pending settles after a second."""
    # Describing the sandbox provider imports this package, and needs neither the server nor sqlite3.
    from billhook.testing.sandbox.desk import SandboxRules
    from billhook.testing.sandbox.server import SandboxSimulator

    if rules is None:
        rules = SandboxRules(settle_after=MOMENT) if hurried else SandboxRules()
    return SandboxSimulator(path, clock=clock, rules=rules, latency_seconds=latency_seconds, webhook_url=webhook_url)
