"""The customers' desk of the sandbox."""

from __future__ import annotations

import random
from typing import Any

from billhook.errors import InvalidInput, NotFound
from billhook.testing.sandbox.desk import Ask, Route, SandboxRules, answer_batch, answer_page
from billhook.testing.sandbox.fields import Item, items_of, metadata_of, optional_text, text
from billhook.testing.sandbox.ledger import Filter, Ledger
from billhook.testing.sandbox.records import Customer
from billhook.testing.simulator.messages import SimReply

_BATCH = 100


class CustomerDesk:
    """Creates, changes and lists customers. Names may repeat; references too, unless the rules say otherwise."""

    def __init__(self, ledger: Ledger, rules: SandboxRules, shuffler: random.Random | None) -> None:
        self._ledger = ledger
        self._rules = rules
        self._shuffler = shuffler

    def routes(self) -> list[Route]:
        return [
            ("POST", "/v1/customers", self._create),
            ("POST", "/v1/customers/upsert", self._upsert),
            ("GET", "/v1/customers", self._list),
            ("PUT", "/v1/customers/{id}", self._change),
        ]

    def _create(self, ask: Ask) -> SimReply:
        return answer_batch(items_of(ask.body, "items", _BATCH), self._create_one, self._shuffler)

    def _create_one(self, item: Item) -> dict[str, Any]:
        with self._ledger.transaction():
            customer = _read(item, self._ledger.next_id("customers"))
            self._refuse_repeated(customer.reference)
            self._ledger.put_customer(customer)
        return {"ok": True, **_shown(customer)}

    def _upsert(self, ask: Ask) -> SimReply:
        """Create the items without an id, change the customers that the others name."""

        def upsert_one(item: Item) -> dict[str, Any]:
            return self._change_one(item) if item.get("id") else self._create_one(item)

        return answer_batch(items_of(ask.body, "items", _BATCH), upsert_one, self._shuffler)

    def _change_one(self, item: Item) -> dict[str, Any]:
        with self._ledger.transaction():
            customer = _read(item, text(item, "id"))
            if not self._ledger.customers(Filter({"id": [customer.id]})):
                raise InvalidInput("not_found", f"There is no customer {customer.id!r}.", "/id")
            self._ledger.put_customer(customer)
        return {"ok": True, **_shown(customer)}

    def _list(self, ask: Ask) -> SimReply:
        return answer_page(ask, ("reference", "id"), self._ledger.customers, _shown)

    def _change(self, ask: Ask) -> SimReply:
        id = ask.path["id"]
        with self._ledger.transaction():
            if not self._ledger.customers(Filter({"id": [id]})):
                raise NotFound("customer", id)
            customer = _read(ask.item, id)
            self._ledger.put_customer(customer)
        return SimReply.of(200, {"ok": True, **_shown(customer)})

    def _refuse_repeated(self, reference: str) -> None:
        if self._rules.unique_references and self._ledger.customers(Filter({"reference": [reference]})):
            raise InvalidInput("reference_taken", f"A customer {reference!r} exists already.", "/reference")


def _read(item: Item, id: str) -> Customer:
    address = item.get("address") or {}
    if not isinstance(address, dict):
        raise InvalidInput("address_invalid", "address must be an object of texts.", "/address")
    return Customer(
        id, text(item, "reference"), text(item, "name"), optional_text(item, "email"), address, metadata_of(item)
    )


def _shown(customer: Customer) -> dict[str, Any]:
    return {
        "id": customer.id,
        "reference": customer.reference,
        "name": customer.name,
        "email": customer.email,
        "address": customer.address,
        "metadata": customer.metadata,
    }
