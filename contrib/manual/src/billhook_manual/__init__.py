"""Bank transfer as a provider: numbered invoices, payment instructions, and payments recorded as they arrive."""

from __future__ import annotations

from billhook_manual.instructions import payment_instructions, payment_reference
from billhook_manual.provider import ManualProvider
from billhook_manual.settings import ManualSettings

__all__ = ["ManualProvider", "ManualSettings", "payment_instructions", "payment_reference", "provider"]

provider = ManualProvider
