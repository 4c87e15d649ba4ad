"""The customers' desk: who pays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from billhook.testing.simulator.messages import SimReply
from billhook_gocardless.simulator import members
from billhook_gocardless.simulator.answers import (
    Ask,
    Route,
    existing,
    page,
    refuse_unknown_filters,
    shown,
    timestamp,
)
from billhook_gocardless.simulator.keys import KeyedDesk
from billhook_gocardless.simulator.ledger import Ledger, Thing
from billhook_gocardless.simulator.mandates import MandateDesk
from billhook_gocardless.simulator.rules import GoCardlessRules

# [sdk: CustomersService.create] the members of a customer.
_MEMBERS: Mapping[str, members.Check] = {
    **dict.fromkeys(("address_line1", "address_line2", "address_line3", "city", "company_name"), members.text),
    **dict.fromkeys(("family_name", "given_name", "phone_number", "postal_code", "region", "language"), members.text),
    "country_code": members.country,
    "email": members.email,
    "metadata": members.metadata,
}


class CustomerDesk(KeyedDesk):
    """Creates, changes and lists customers."""

    kind = "customers"

    def __init__(self, ledger: Ledger, rules: GoCardlessRules, mandates: MandateDesk) -> None:
        super().__init__(ledger, rules)
        self._mandates = mandates

    def routes(self) -> list[Route]:
        return [
            ("POST", "/customers", self.create),
            ("GET", "/customers", self._list),
            (
                "GET",
                "/customers/{id}",
                lambda ask: shown("customers", existing(self.ledger, "customers", ask.path["id"])),
            ),
            ("PUT", "/customers/{id}", self._update),
        ]

    def make(self, ask: Ask) -> Thing:
        """A new customer, with the mandates that the rules let it sign at once."""
        content = members.content_of(ask, "customers", _MEMBERS, frozenset())
        _check_name(content)
        body = {
            "id": self.ledger.new_id("customers"),
            "created_at": timestamp(ask.now),
            **dict.fromkeys(_MEMBERS),
            "metadata": {},
            **content,
        }
        customer = Thing("customers", body["id"], None, ask.now, body)
        self.ledger.put(customer)
        for scheme in self.rules.new_customers_sign:
            self._mandates.sign(customer.id, scheme, "active", ask.now)
        return customer

    def _update(self, ask: Ask) -> SimReply:
        customer = existing(self.ledger, "customers", ask.path["id"])
        content = members.content_of(ask, "customers", _MEMBERS, frozenset())
        changed = replace(customer, body={**customer.body, **content})
        _check_name(changed.body)
        self.ledger.put(changed)
        return shown("customers", changed)

    def _list(self, ask: Ask) -> SimReply:
        refuse_unknown_filters(ask.request, frozenset())
        return page(self.ledger, "customers", ask.request, {})


def _check_name(content: Mapping[str, Any]) -> None:
    # [sdk: Customer.company_name] "Required unless a given_name and family_name are provided."
    if content.get("company_name") or (content.get("given_name") and content.get("family_name")):
        return
    members.refuse("customers", [("company_name", "is required unless given_name and family_name are provided")])
