"""The providers of a life, each with a simulator of its system: two that take money, two that keep books, and those that do both."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from billhook.clock import TurnedClock
from billhook.plugins.catalog import ProviderCatalog
from billhook.providers.custom_invoicing import provider as custom_invoicing
from billhook.testing.sandbox import provider as sandbox, simulator as a_sandbox
from billhook.testing.simulator import Connection
from billhook_quickbooks import QuickBooksOwnNumbersProvider, QuickBooksProvider
from billhook_quickbooks.simulator import simulator as a_quickbooks
from billhook_quickbooks.simulator.rules import CompanyRules
from billhook_stripe import provider as stripe
from billhook_stripe.simulator import simulator as a_stripe
from billhook_xero import own_numbers_provider as xero_own_numbers, provider as xero
from billhook_xero.simulator import simulator as a_xero

CATALOG = ProviderCatalog.from_objects(
    [sandbox, custom_invoicing, stripe, xero, xero_own_numbers, QuickBooksProvider, QuickBooksOwnNumbersProvider]
)
PERCENTAGES = ("20", "15", "12", "5", "0")
TAX_TYPES = dict(zip(PERCENTAGES, ("OUTPUT2", "OUTPUT15", "OUTPUT12", "RROUTPUT", "ZERORATEDOUTPUT"), strict=True))
TAX_CODES = {"none": {"id": "2", "percentage": "0"}} | {
    each: {"id": each, "percentage": each} for each in ("5", "12", "20")
}
ELSEWHERE = {"tax_codes": TAX_CODES, "default_tax_code": "none", "rounding_item": "3"}
PAIRS = (
    *("sandbox sandbox", "stripe stripe", "stripe stripe", "sandbox stripe", "stripe sandbox", "stripe cards"),
    *("xero stripe", "xero sandbox", "xero cards", "xero later", "quickbooks stripe", "quickbooks sandbox"),
    *("quickbooks later", "caller stripe", "caller sandbox"),
)
"""Who issues, and who takes the money: names of places. `cards` and `later` only authorize what is captured then."""
WRONG = {"token", "api_key", "access_token", "client_secret", "refresh_token"}


@dataclass
class Place:
    """The books of a system, and our apps there: one, or more where somebody installed it anew."""

    name: str
    type: str
    books: Any
    connection: Connection
    app_ids: list[str] = field(default_factory=list)
    installed: int = 0

    @property
    def app_id(self) -> str:
        """The app that was installed last; those before it end what they began."""
        return self.app_ids[-1]

    @property
    def url(self) -> str:
        """Where it listens."""
        return url_of(self.name)

    @property
    def keeps_accounts(self) -> bool:
        """It is told of money that others take."""
        return self.type.startswith(("xero", "quickbooks"))

    @property
    def wrong_credentials(self) -> Mapping[str, str]:
        """As after somebody took the access back."""
        return {name: "wrong" if name in WRONG else secret for name, secret in self.connection.credentials.items()}


def url_of(name: str) -> str:
    return f"http://{name}.test"


def a_town(clock: TurnedClock, chance: random.Random) -> dict[str, Place]:
    """Every place, by its name. Whose numbers the books have and how QuickBooks taxes differs from town to town."""
    company = CompanyRules(
        home_currency="EUR",
        multicurrency=True,
        custom_numbers=chance.random() < 0.6,
        tax=chance.choice(["us", "elsewhere", "none"]),
    )
    at_quickbooks = {"multicurrency": True, **(ELSEWHERE if company.tax == "elsewhere" else {})}
    places = [
        _place("sandbox", "sandbox", a_sandbox(clock=clock)),
        _authorizing("later", "sandbox", a_sandbox(clock=clock)),
        _place("stripe", "stripe", a_stripe(clock=clock), unattached_credit_notes="refuse"),
        _authorizing("cards", "stripe", a_stripe(clock=clock)),
        _place("xero", chance.choice(["xero", "xero_own_numbers"]), a_xero(clock=clock), tax_types=TAX_TYPES),
        _place(
            "quickbooks",
            "quickbooks" if company.custom_numbers else "quickbooks_own_numbers",
            a_quickbooks(clock=clock, rules=company),
            **at_quickbooks,
        ),
    ]
    return {place.name: place for place in places}


def _place(name: str, type: str, books: Any, **settings: Any) -> Place:
    connection = books.connection(url_of(name))
    return Place(name, type, books, replace(connection, settings={**connection.settings, **settings}))


def _authorizing(name: str, type: str, books: Any) -> Place:
    return Place(name, type, books, books.authorizing_connection(url_of(name)))
