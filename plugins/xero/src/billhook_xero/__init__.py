"""Xero as a provider: contacts, invoices in batches, credit notes, and payments recorded in its books."""

from __future__ import annotations

from billhook_xero.config import XeroCredentials, XeroSettings
from billhook_xero.organisation import Organisation, read_organisation
from billhook_xero.provider import XeroOwnNumbersProvider, XeroProvider

__all__ = [
    "Organisation",
    "XeroCredentials",
    "XeroOwnNumbersProvider",
    "XeroProvider",
    "XeroSettings",
    "own_numbers_provider",
    "provider",
    "read_organisation",
]

provider = XeroProvider
own_numbers_provider = XeroOwnNumbersProvider
