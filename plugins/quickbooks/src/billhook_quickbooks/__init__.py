"""QuickBooks Online as a provider: customers, invoices in batches, credit memos, e-mail, and payments recorded as they come in."""

from __future__ import annotations

from billhook_quickbooks.config import QuickBooksCredentials, QuickBooksSettings, TaxCode, TaxModel
from billhook_quickbooks.provider import QuickBooksOwnNumbersProvider, QuickBooksProvider

__all__ = [
    "QuickBooksCredentials",
    "QuickBooksOwnNumbersProvider",
    "QuickBooksProvider",
    "QuickBooksSettings",
    "TaxCode",
    "TaxModel",
    "own_numbers_provider",
    "provider",
]

provider = QuickBooksProvider
own_numbers_provider = QuickBooksOwnNumbersProvider
