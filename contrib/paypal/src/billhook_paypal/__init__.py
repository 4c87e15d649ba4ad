"""PayPal Invoicing as a Billhook provider."""

from __future__ import annotations

from billhook_paypal.provider import PaypalProvider
from billhook_paypal.settings import PaypalCredentials, PaypalSettings

__all__ = [
    "PaypalCredentials",
    "PaypalProvider",
    "PaypalSettings",
    "provider",
]

provider = PaypalProvider
