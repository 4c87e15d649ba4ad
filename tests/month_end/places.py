"""Xero, QuickBooks and Stripe with as many tenants as are wanted, and somebody else at each who spends from the same budgets."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from billhook.clock import TurnedClock
from billhook.testing.simulator import SimRequest, Simulator
from billhook.testing.simulator.books import Connection
from billhook_quickbooks.simulator import simulator as quickbooks_simulator
from billhook_quickbooks.simulator.rules import CompanyRules
from billhook_stripe.simulator import simulator as stripe_simulator
from billhook_xero.simulator import app_credentials, app_settings, simulator as xero_simulator
from billhook_xero.simulator.rules import DEMO_TOKEN, Org, XeroRules

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)


@dataclass(frozen=True)
class Limit:
    """What a provider allows, from its documentation and not from our declaration: so many calls of these kinds in a stretch.

    ``is_common``: all tenants together. ``others_count``: the other consumer's calls count too.
    """

    name: str
    calls: int
    per: timedelta
    kinds: frozenset[str] = frozenset()
    is_common: bool = False
    others_count: bool = True

    def counts(self, kind: str) -> bool:
        """Whether calls of that kind count."""
        return not self.kinds or kind in self.kinds


@dataclass(frozen=True)
class Least:
    """How few calls of a kind will do: one for so many invoices, or so many once, for all customers together or each."""

    what: str
    invoices_a_call: int = 0
    once: int = 0

    def for_invoices(self, invoices: int) -> int:
        """For so many."""
        return self.once + (-(-invoices // self.invoices_a_call) if self.invoices_a_call else 0)


@dataclass(frozen=True)
class Tenant:
    """A way in, and the call by which somebody else spends."""

    connection: Connection
    books: Simulator
    call_of_another: SimRequest


@dataclass(frozen=True)
class Place:
    """A provider with all its tenants. ``latency``: what a call takes. ``least``: the fewest calls that will do, by kind."""

    provider: str
    simulators: Mapping[str, Simulator]
    tenants: Sequence[Tenant]
    another_calls_every: timedelta
    latency: timedelta
    limits: Sequence[Limit]
    least: Mapping[str, Least]


def a_xero(clock: TurnedClock, tenants: int) -> Place:
    """One Xero, with an organisation for each tenant. The other consumer is another program of the same developer's app."""
    url, ids = "http://xero.test", [str(uuid.UUID(int=number + 1)) for number in range(tenants)]
    books = xero_simulator(clock=clock, rules=XeroRules(tuple(Org(tenant=id) for id in ids)))

    def tenant(id: str) -> Tenant:
        headers = (("Authorization", f"Bearer {DEMO_TOKEN}"), ("xero-tenant-id", id))
        look = SimRequest("GET", "/api.xro/2.0/Organisation", (), headers)
        return Tenant(Connection({**app_settings(url), "account": id}, app_credentials()), books, look)

    limits = (Limit("organisation, a minute", 60, MINUTE), Limit("app, a minute", 10_000, MINUTE, is_common=True))
    least = {
        "GET Contacts": Least("whether the customers stand there already", once=1),
        "PUT Contacts": Least("all customers", once=1),
        "PUT Invoices": Least("create, 50 a call", 50),
        "POST Invoices": Least("issue, 50 a call", 50),
    }
    return Place("xero", {url: books}, [tenant(id) for id in ids], MINUTE / 6, SECOND * 0.8, limits, least)


def a_quickbooks(clock: TurnedClock, tenants: int) -> Place:
    """A company for each tenant. The other consumer is another developer's app, which spends from what the company allows to all."""
    simulators: dict[str, Simulator] = {}
    found = []
    query = json.dumps({"BatchItemRequest": [{"bId": "1", "Query": "select * from CompanyInfo"}]}).encode()
    for number in range(tenants):
        url, rules = (
            f"http://quickbooks-{number}.test",
            CompanyRules(realm=str(9_000_000 + number), home_currency="GBP"),
        )
        simulators[url] = books = quickbooks_simulator(clock=clock, rules=rules)
        headers = (("Authorization", f"Bearer {rules.other_apps_tokens[0]}"),)
        batch = SimRequest("POST", f"/v3/company/{rules.realm}/batch", (), headers, query)
        found.append(Tenant(books.connection(url), books, batch))
    limits = (
        Limit("company and app, batches a minute", 40, MINUTE, frozenset({"POST batch"}), others_count=False),
        Limit("company, batches a minute", 120, MINUTE, frozenset({"POST batch"})),
        Limit("company, a minute", 500, MINUTE),
        Limit("company and app, a second", 10, SECOND, others_count=False),
    )
    what = "whether the customers stand there, and create them; then create and issue, 30 a call"
    least = {"POST batch": Least(what, 30, once=2)}
    return Place("quickbooks", simulators, found, SECOND, SECOND * 1.2, limits, least)


STRIPE_KINDS = ("POST invoices", "POST invoices/add_lines", "POST invoices/one", "POST invoices/finalize")


def a_stripe(clock: TurnedClock, tenants: int) -> Place:
    """An account for each tenant. The other consumer is the account's own shop."""
    simulators: dict[str, Simulator] = {}
    found = []
    for number in range(tenants):
        url = f"http://stripe-{number}.test"
        simulators[url] = books = stripe_simulator(clock=clock)
        headers = (("Authorization", f"Bearer {books.rules.api_keys[0]}"), ("Stripe-Version", books.rules.api_version))
        found.append(Tenant(books.connection(url), books, SimRequest("GET", "/v1/account", (), headers)))
    endpoints = (Limit(f"{kind}, a second", 25, SECOND, frozenset({kind}), others_count=False) for kind in STRIPE_KINDS)
    least = dict.fromkeys(STRIPE_KINDS, Least("one a document", 1)) | {
        "POST customers": Least("one a customer", once=10)
    }
    limits = (Limit("account, a second", 100, SECOND), *endpoints)
    return Place("stripe", simulators, found, SECOND, SECOND * 0.25, limits, least)


PLACES: Mapping[str, Callable[[TurnedClock, int], Place]] = {
    "xero": a_xero,
    "quickbooks": a_quickbooks,
    "stripe": a_stripe,
}


def kind_of(method: str, path: str) -> str:
    """What a call is, without the ids in its path."""
    parts = [part for part in path.split("/") if part][2:] if path.startswith("/api.xro") else path.split("/")[2:]
    if path.startswith("/v3/company"):
        parts = parts[2:]
    named = [part for part in parts if not any(letter.isdigit() for letter in part)]
    bare = "/".join(named)
    return f"{method} {bare}/one" if method == "POST" and bare == "invoices" and len(parts) > 1 else f"{method} {bare}"
