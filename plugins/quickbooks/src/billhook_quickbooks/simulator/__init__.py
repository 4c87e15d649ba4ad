"""A simulator of QuickBooks Online: a company with books, numbers, tax, limits, OAuth and webhooks, on this machine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from billhook.clock import Clock

if TYPE_CHECKING:
    from billhook_quickbooks.simulator.rules import CompanyRules
    from billhook_quickbooks.simulator.server import QuickBooksSimulator

__all__ = ["own_numbers_simulator", "simulator"]


def simulator(
    path: str | Path = ":memory:",
    *,
    clock: Clock | None = None,
    rules: CompanyRules | None = None,
    latency_seconds: float = 0.0,
    webhook_url: str | None = None,
    hurried: bool = False,
    currency: str | None = None,
    schema_folder: str | Path | None = None,
) -> QuickBooksSimulator:
    """A company whose books are at ``path``; see QuickBooksSimulator. With ``schema_folder`` requests are judged by Intuit's schema.

    Nothing takes days at QuickBooks, so ``hurried`` changes nothing. ``currency`` is the company's home currency.
    """
    from billhook_quickbooks.simulator.rules import CompanyRules
    from billhook_quickbooks.simulator.server import QuickBooksSimulator

    if rules is None:
        rules = CompanyRules() if currency is None else CompanyRules(home_currency=currency)
    return QuickBooksSimulator(
        path,
        clock=clock,
        rules=rules,
        latency_seconds=latency_seconds,
        webhook_url=webhook_url,
        schema_folder=schema_folder,
    )


def own_numbers_simulator(
    path: str | Path = ":memory:", *, currency: str | None = None, **options: Any
) -> QuickBooksSimulator:
    """The same, where the company numbers its documents itself, as the provider ``quickbooks_own_numbers`` wants it."""
    from billhook_quickbooks.simulator.rules import CompanyRules

    rules = CompanyRules(custom_numbers=False)
    if currency is not None:
        rules = replace(rules, home_currency=currency)
    return simulator(path, rules=rules, **options)
