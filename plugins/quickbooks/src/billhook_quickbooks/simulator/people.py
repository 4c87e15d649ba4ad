"""Customers. A display name is unique across customers, vendors and employees (developer.intuit.com, "Customer": error 6240)."""

from __future__ import annotations

from datetime import datetime

from billhook_quickbooks.simulator.changes import changed, made
from billhook_quickbooks.simulator.ledger import Ledger
from billhook_quickbooks.simulator.rules import CompanyRules
from billhook_quickbooks.simulator.wire import Entity, Refused, ref

LONGEST_NAME = 500


class People:
    """Creates and changes customers."""

    def __init__(self, ledger: Ledger, rules: CompanyRules) -> None:
        self._ledger = ledger
        self._rules = rules

    def create(self, body: Entity, now: datetime) -> Entity:
        """A new customer, in the home currency unless it names another."""
        self._check_name(body, None)
        currency = ref(body, "CurrencyRef") or self._rules.home_currency
        if currency != self._rules.home_currency and not self._rules.multicurrency:
            raise Refused(
                "6000", "A business validation error has occurred", "Multi Currency should be enabled", "CurrencyRef"
            )
        entity = made(
            self._ledger.next_id(), {"Active": True, "Balance": 0, **body, "CurrencyRef": {"value": currency}}, now
        )
        self._put(entity, "created", now)
        return entity

    def update(self, body: Entity, now: datetime) -> Entity:
        """A customer changed; a sparse body leaves what it does not name."""
        old = self._ledger.entity("Customer", str(body.get("Id")))
        entity = changed(old, body, now, kept=("CurrencyRef", "Balance", "Active"))
        if ref(body, "CurrencyRef") not in {None, ref(entity, "CurrencyRef")}:
            raise Refused(
                "6000", "A business validation error has occurred", "A customer's currency can't change", "CurrencyRef"
            )
        self._check_name(entity, entity["Id"])
        self._put(entity, "updated", now)
        return entity

    def others(self, kind: str) -> list[Entity]:
        """Vendors; nobody is employed here."""
        if kind == "Employee":
            return []
        return [{"Id": str(place), "DisplayName": name} for place, name in enumerate(self._rules.others, start=1)]

    def _check_name(self, body: Entity, own_id: str | None) -> None:
        name = body.get("DisplayName")
        if not isinstance(name, str) or not name.strip():
            raise Refused(
                "2020", "Required param missing, need to supply the required value for the API", "DisplayName"
            )
        if len(name) > LONGEST_NAME:
            raise Refused(
                "2050", "Property Value exceeds the max length", f"DisplayName: max {LONGEST_NAME}", "DisplayName"
            )
        if any(sign in name for sign in ":\t\n"):
            raise Refused("2040", "Invalid String. The String contains unsupported characters", name, "DisplayName")
        holders = {each["Id"] for each in self._ledger.select("Customer", "name", [name.casefold()])}
        taken = {each.casefold() for each in self._rules.others}
        if holders - {own_id} or name.casefold() in taken:
            raise Refused(
                "6240", "Duplicate Name Exists Error", f"The name supplied already exists. : {name}", "DisplayName"
            )

    def _put(self, entity: Entity, change: str, now: datetime) -> None:
        self._ledger.put("Customer", entity)
        self._ledger.note_event(f"customer.{change}", "", entity["Id"], now)
