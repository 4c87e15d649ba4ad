from __future__ import annotations

from billhook.testing.kit import ProviderConformance


class TestPaypal(ProviderConformance):
    provider = "paypal"
