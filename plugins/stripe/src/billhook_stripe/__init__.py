"""Stripe as a provider: invoices and their payments there, or payments alone for invoices that live elsewhere."""

from __future__ import annotations

from billhook_stripe.provider import StripeProvider
from billhook_stripe.settings import StripeCredentials, StripeSettings

__all__ = ["StripeCredentials", "StripeProvider", "StripeSettings", "provider"]

provider = StripeProvider
