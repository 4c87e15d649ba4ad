"""Providers and observers: found by entry point, described without their SDKs, checked, and asked through typed handles."""

from __future__ import annotations

from billhook.plugins.catalog import ProviderCatalog, ProviderDescription, ProviderListing, SdkStatus
from billhook.plugins.checks import check_observer, check_override, check_provider, check_returned
from billhook.plugins.handle import UNPACKAGED, ProviderHandle
from billhook.plugins.imports import check_imports, imports_on_load
from billhook.plugins.observers import Observers

__all__ = [
    "Observers",
    "ProviderCatalog",
    "ProviderDescription",
    "ProviderHandle",
    "ProviderListing",
    "SdkStatus",
    "UNPACKAGED",
    "check_imports",
    "check_observer",
    "check_override",
    "check_provider",
    "check_returned",
    "imports_on_load",
]
