"""What this Xero is like: its organisations with their charts, who is let in, and the limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from types import MappingProxyType

DEMO_TENANT = "2f1d2c3b-6a5e-4c2b-9d10-7a1b0c9e8f01"
DEMO_TOKEN = "xero-demo-token"  # noqa: S105 - opens nothing but this simulator
DEMO_WEBHOOK_KEY = "xero-demo-webhook-key"
DEMO_CLIENT = "xero-demo-client"
DEMO_CLIENT_SECRET = "xero-demo-client-secret"  # noqa: S105 - the same


@dataclass(frozen=True, slots=True)
class ChartAccount:
    """An account; ``tax_type`` is what a line gets that states none."""

    code: str
    name: str
    type: str = "REVENUE"
    tax_type: str = "OUTPUT2"
    active: bool = True
    takes_payments: bool = False
    system: str | None = None


_CHART = (
    ChartAccount("200", "Sales"),
    ChartAccount("201", "Postage"),
    ChartAccount("260", "Other revenue"),
    ChartAccount("299", "Discontinued sales", active=False),
    ChartAccount("090", "Business bank account", "BANK", "NONE", takes_payments=True),
    ChartAccount("610", "Accounts receivable", "CURRENT", "NONE", system="DEBTORS"),
    ChartAccount("860", "Rounding", "EXPENSE", "NONE", system="ROUNDING"),
    ChartAccount("880", "Payment clearing", "CURRENT", "NONE", takes_payments=True),
)
_TAX_RATES = MappingProxyType(
    {
        "OUTPUT2": Decimal("20.0000"),
        "RROUTPUT": Decimal("5.0000"),
        "OUTPUT15": Decimal("15.0000"),
        "OUTPUT12": Decimal("12.0000"),
        "ZERORATEDOUTPUT": Decimal("0.0000"),
        "EXEMPTOUTPUT": Decimal("0.0000"),
        "NONE": Decimal("0.0000"),
    }
)
_TRACKING = MappingProxyType({"Team": ("Sales", "Support"), "Region": ("North", "South")})


@dataclass(frozen=True, slots=True)
class Org:
    """An organisation. Nothing is posted on or before a lock date."""

    tenant: str = DEMO_TENANT
    name: str = "Demo Company (UK)"
    base_currency: str = "GBP"
    currencies: tuple[str, ...] = ("GBP", "EUR", "USD", "JPY")
    accounts: tuple[ChartAccount, ...] = _CHART
    tax_rates: Mapping[str, Decimal] = field(default_factory=lambda: _TAX_RATES)
    tracking: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: _TRACKING)
    period_lock_date: date | None = None
    end_of_year_lock_date: date | None = None

    @property
    def locked_until(self) -> date | None:
        """The last closed day."""
        return max((day for day in (self.period_lock_date, self.end_of_year_lock_date) if day), default=None)


@dataclass(frozen=True, slots=True)
class XeroRules:
    """How this Xero behaves.

    ``tokens`` are access tokens that never expire and reach every organisation. ``another_consumer`` is how many calls a minute
    somebody else makes of an organisation's budget. ``key_window`` is not documented by Xero; minutes are assumed.
    """

    organisations: tuple[Org, ...] = (Org(),)
    tokens: tuple[str, ...] = (DEMO_TOKEN,)
    client_id: str = DEMO_CLIENT
    client_secret: str = DEMO_CLIENT_SECRET
    access_lasts: timedelta = timedelta(minutes=30)
    old_refresh_works: timedelta = timedelta(minutes=30)
    refresh_lasts: timedelta = timedelta(days=60)
    calls_a_minute: int = 60
    calls_a_day: int = 5_000
    app_calls_a_minute: int = 10_000
    calls_at_once: int = 5
    another_consumer: int = 0
    key_window: timedelta = timedelta(minutes=5)
    webhook_key: str = DEMO_WEBHOOK_KEY
    most_body_bytes: int = 3_500_000
