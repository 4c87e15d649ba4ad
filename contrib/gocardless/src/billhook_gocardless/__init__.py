"""GoCardless as a provider: bank debits against a stored mandate, which settle days later and can fail late, and refunds."""

from __future__ import annotations

from billhook_gocardless.config import GoCardlessCredentials, GoCardlessSettings
from billhook_gocardless.provider import GoCardlessProvider

__all__ = ["GoCardlessCredentials", "GoCardlessProvider", "GoCardlessSettings", "provider"]

provider = GoCardlessProvider
