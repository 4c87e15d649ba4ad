"""Billhook carries an invoice, exactly once and to the cent, through the systems that deliver it and collect the money.

    from billhook import Engine

    with Engine.open("billhook.db") as engine:
        billing = engine.namespace()
        invoice = billing.invoices.submit({...})
        engine.run_until_idle()

Plugin authors import ``billhook.contract``. Names are loaded when they are first used, so that importing the package costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from billhook.clock import SystemClock
    from billhook.contract import Provider, hookimpl
    from billhook.domain.invoice import InvoiceDraft, InvoiceView
    from billhook.domain.issue import ValidationIssue
    from billhook.domain.money import Money
    from billhook.engine.context import Policy
    from billhook.engine.engine import Engine
    from billhook.engine.invoice_filter import InvoiceFilter
    from billhook.engine.namespace import Namespace
    from billhook.engine.queries import InvoiceDetails
    from billhook.engine.running import RunningWorker
    from billhook.errors import BillhookError
    from billhook.plugins.catalog import ProviderCatalog

__version__ = "0.1.0"

_HOMES = {
    "BillhookError": "billhook.errors",
    "Engine": "billhook.engine.engine",
    "InvoiceDetails": "billhook.engine.queries",
    "InvoiceDraft": "billhook.domain.invoice",
    "InvoiceFilter": "billhook.engine.invoice_filter",
    "InvoiceView": "billhook.domain.invoice",
    "Money": "billhook.domain.money",
    "Namespace": "billhook.engine.namespace",
    "Policy": "billhook.engine.context",
    "Provider": "billhook.contract",
    "ProviderCatalog": "billhook.plugins.catalog",
    "RunningWorker": "billhook.engine.running",
    "SystemClock": "billhook.clock",
    "ValidationIssue": "billhook.domain.issue",
    "hookimpl": "billhook.contract",
}

__all__ = [
    "BillhookError",
    "Engine",
    "hookimpl",
    "InvoiceDetails",
    "InvoiceDraft",
    "InvoiceFilter",
    "InvoiceView",
    "Money",
    "Namespace",
    "Policy",
    "Provider",
    "ProviderCatalog",
    "RunningWorker",
    "SystemClock",
    "ValidationIssue",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'billhook' has no attribute {name!r}. It has {', '.join(__all__)}.")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
