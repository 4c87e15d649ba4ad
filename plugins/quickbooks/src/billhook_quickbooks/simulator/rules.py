"""How the simulated company is set up, and how strict Intuit is with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Literal

_ITEMS: Mapping[str, str] = MappingProxyType({"1": "Services", "2": "Hours", "3": "Goods"})
_CODES: Mapping[str, Decimal] = MappingProxyType(
    {"2": Decimal(0), "5": Decimal(5), "12": Decimal(12), "15": Decimal(15), "20": Decimal(20)}
)


@dataclass(frozen=True, slots=True)
class CompanyRules:
    """A company of one realm.

    ``tax`` is "us" (TAX and NON on lines, the sum is stated), "elsewhere" (a code on each line, computed here) or "none".
    ``automated_tax`` is the percentage that an automated sales tax adds in the US where no sum is stated. ``others`` are names of vendors.
    ``other_apps_tokens`` let in apps of other developers, each with limits of its own beside the company's.
    ``old_refresh_valid_for``: how long a refresh token that was replaced is still taken; Intuit states nothing, so both can be tried.
    """

    realm: str = "9341452000000001"
    name: str = "Acme Books"
    home_currency: str = "USD"
    multicurrency: bool = False
    custom_numbers: bool = True
    tax: Literal["us", "elsewhere", "none"] = "us"
    automated_tax: Decimal | None = None
    tax_codes: Mapping[str, Decimal] = field(default_factory=lambda: _CODES)
    items: Mapping[str, str] = field(default_factory=lambda: _ITEMS)
    inactive_items: frozenset[str] = frozenset()
    others: tuple[str, ...] = ()
    closed_until: date | None = None
    access_tokens: tuple[str, ...] = ("simulated-access-token",)
    other_apps_tokens: tuple[str, ...] = ("another-apps-access-token",)
    client_id: str = "simulated-client"
    client_secret: str = "simulated-secret"  # noqa: S105 - the simulator's well-known secret
    refresh_token: str = "simulated-refresh-token-0"  # noqa: S105 - the same
    verifier_token: str = "simulated-verifier"  # noqa: S105 - the same
    access_valid_for: timedelta = timedelta(hours=1)
    refresh_changes_after: timedelta = timedelta(hours=24)
    refresh_valid_for: timedelta = timedelta(days=100)
    old_refresh_valid_for: timedelta = timedelta(hours=24)
    key_window: timedelta = timedelta(hours=24)
    throttles: bool = True
    webhook_form: Literal["cloud_events", "notifications"] = "cloud_events"
