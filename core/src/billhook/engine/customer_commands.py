"""The customers of one namespace."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from billhook.contract.declaration import Capability
from billhook.domain.parsing import parse
from billhook.domain.party import Address, CustomerSnapshot
from billhook.engine.arguments import checked
from billhook.engine.context import Context
from billhook.engine.customer_search import (
    EVERYBODY,
    CustomerFilter,
    CustomerOrder,
    conditions,
    ordering,
    remember_words,
)
from billhook.engine.locks import Lasting, as_seen, hold, of_customer, to_change, to_end
from billhook.engine.open_documents import needs_customer
from billhook.engine.paging import PAGE_SIZE, read_page
from billhook.engine.profile_commands import NO_METADATA
from billhook.engine.records import UNCHANGED, Customer, Page, Unchanged
from billhook.engine.stored import customer_values, read_customer
from billhook.engine.unit import Unit
from billhook.engine.work import Lane, WorkRow
from billhook.errors import Conflict, Deleted, InUse, NotFound
from billhook.store import schema
from billhook.store.transaction import Transaction

_customer, _link, _override = schema.customer, schema.customer_link, schema.customer_override

_OF_PARTY = frozenset({"key", "name", "email", "tax_id", "addresses", "subject_keys"})


@checked
class CustomerCommands:
    """The customers of one namespace. An edit reaches every app that knows the customer, but no invoice made before."""

    def __init__(self, context: Context, namespace: str) -> None:
        self._context = context
        self._namespace = namespace

    def create(
        self,
        name: str,
        *,
        key: str | None = None,
        email: str | None = None,
        tax_id: str | None = None,
        addresses: Sequence[Address | Mapping[str, Any]] = (),
        subject_keys: Sequence[str] = (),
        currency: str | None = None,
        description: str | None = None,
        metadata: Mapping[str, str] = NO_METADATA,
    ) -> Customer:
        """A new customer. Raises Conflict with code ``customer_key_taken`` when the key is another one's."""
        now = self._context.clock.now()
        customer_id = self._context.new_id(now)
        party = {
            "id": customer_id,
            "key": key,
            "name": name,
            "email": email,
            "tax_id": tax_id,
            "addresses": tuple(addresses),
            "subject_keys": tuple(subject_keys),
        }
        customer = parse(
            Customer,
            {
                "id": customer_id,
                "namespace": self._namespace,
                "party": parse(CustomerSnapshot, party),
                "description": description,
                "currency": currency,
                "metadata": metadata,
                "created_at": now,
                "updated_at": now,
            },
        )
        return self._context.database.write(lambda tx: self._insert(tx, customer))

    def get(self, id_or_key: str) -> Customer:
        """The customer of that id, deleted ones too, or else of that key. Raises NotFound."""
        with self._context.database.read() as tx:
            return self._read(tx, id_or_key)

    def list(
        self,
        wanted: CustomerFilter = EVERYBODY,
        *,
        order: CustomerOrder = CustomerOrder.ID,
        descending: bool = False,
        page: int = 1,
        page_size: int = PAGE_SIZE,
    ) -> Page[Customer]:
        """The customers, in the order in which they were made unless another is asked for."""
        select = (
            sa.select(_customer)
            .where(*conditions(self._namespace, wanted))
            .order_by(*ordering(order, descending=descending))
        )
        with self._context.database.read() as tx:
            return read_page(tx, select, read_customer, page=page, page_size=page_size)

    def update(
        self,
        id_or_key: str,
        *,
        name: str | Unchanged = UNCHANGED,
        key: str | Unchanged | None = UNCHANGED,
        email: str | Unchanged | None = UNCHANGED,
        tax_id: str | Unchanged | None = UNCHANGED,
        addresses: Sequence[Address | Mapping[str, Any]] | Unchanged = UNCHANGED,
        subject_keys: Sequence[str] | Unchanged = UNCHANGED,
        currency: str | Unchanged | None = UNCHANGED,
        description: str | Unchanged | None = UNCHANGED,
        metadata: Mapping[str, str] | Unchanged = UNCHANGED,
    ) -> Customer:
        """Change what is given, and bring it to every app that knows the customer. Nothing new changes nothing."""
        stated = {
            "name": name,
            "key": key,
            "email": email,
            "tax_id": tax_id,
            "addresses": addresses,
            "subject_keys": subject_keys,
            "currency": currency,
            "description": description,
            "metadata": metadata,
        }
        changes = {field: value for field, value in stated.items() if value is not UNCHANGED}
        return self._context.database.write(lambda tx: self._update(Unit(self._context, tx), id_or_key, changes))

    def delete(self, id_or_key: str) -> None:
        """Delete the customer with its override; it stays readable by id, and its key is free again.

        Doing it twice is fine. Raises InUse while an invoice, a credit note or a pending line of the customer is open.
        """
        self._context.database.write(lambda tx: self._delete(Unit(self._context, tx), id_or_key))

    def _insert(self, tx: Transaction, customer: Customer) -> Customer:
        self._check_key(tx, customer)
        tx.execute(sa.insert(_customer).values(customer_values(customer)))
        remember_words(tx, customer)
        return customer

    def _update(self, unit: Unit, id_or_key: str, changes: dict[str, Any]) -> Customer:
        before = self._hold(unit.tx, id_or_key, to_change)
        if before.deleted_at is not None:
            raise Deleted(f"The customer {before.id} is deleted. Create another one.", "customer_deleted")
        changed = _changed(before, changes)
        if changed == before:
            return before
        self._check_key(unit.tx, changed)
        changed = changed.model_copy(update={"revision": before.revision + 1, "updated_at": unit.now})
        self._save(unit.tx, changed)
        remember_words(unit.tx, changed)
        self._bring_to_apps(unit, changed.id)
        unit.flush()
        return changed

    def _delete(self, unit: Unit, id_or_key: str) -> None:
        customer = self._hold(unit.tx, id_or_key, to_end)
        if customer.deleted_at is not None:
            return
        needing = needs_customer(unit.tx, self._namespace, customer.id)
        if needing is not None:
            raise InUse(
                f"The customer {customer.id} can't be deleted: {needing} is open. Finish, void or delete it first."
            )
        self._save(unit.tx, customer.model_copy(update={"deleted_at": unit.now, "updated_at": unit.now}))
        unit.tx.execute(sa.delete(_override).where(_override.c.customer_id == customer.id))
        unit.work.drop_open(customer.id)
        unit.flush()

    def _save(self, tx: Transaction, customer: Customer) -> None:
        tx.execute(sa.update(_customer).where(_customer.c.id == customer.id).values(customer_values(customer)))

    def _bring_to_apps(self, unit: Unit, customer_id: str) -> None:
        knowing = sa.select(_link.c.app_id).where(_link.c.customer_id == customer_id)
        for row in unit.tx.all(knowing):
            work = WorkRow(
                customer_id,
                Capability.SYNC_CUSTOMER,
                row.app_id,
                customer_id,
                lane=Lane.INTERACTIVE,
                due=unit.now_micros,
            )
            # An operation that is under way settles with the revision it carried; the newer one is wanted then.
            if not unit.context.apps.get(unit.tx, row.app_id).deleted:
                unit.work.want_if_free(work)

    def _check_key(self, tx: Transaction, customer: Customer) -> None:
        if customer.key is None:
            return
        hold(tx, self._namespace, f"customer-key/{customer.key}")
        same_key = sa.and_(_customer.c.namespace == self._namespace, _customer.c.key == customer.key)
        other_id = tx.scalar(sa.select(_customer.c.id).where(same_key, _customer.c.id != customer.id))
        if other_id is not None:
            raise Conflict(
                f"The customer key {customer.key!r} already belongs to {other_id}. Use that customer, or another key.",
                "customer_key_taken",
            )

    def _hold(self, tx: Transaction, id_or_key: str, lasting: Lasting) -> Customer:
        """The customer as it is once nobody else changes it, or what its apps know of it."""
        customer_id = self._read(tx, id_or_key).id
        hold(tx, self._namespace, of_customer(customer_id))
        return self._read(tx, customer_id, lasting)

    def _read(self, tx: Transaction, id_or_key: str, lasting: Lasting = as_seen) -> Customer:
        mine = lasting(sa.select(_customer).where(_customer.c.namespace == self._namespace))
        row = tx.first(mine.where(_customer.c.id == id_or_key)) or tx.first(mine.where(_customer.c.key == id_or_key))
        if row is None:
            raise NotFound("customer", id_or_key, self._namespace)
        return read_customer(row)


def _changed(customer: Customer, changes: dict[str, Any]) -> Customer:
    of_party = {field: value for field, value in changes.items() if field in _OF_PARTY}
    others = {field: value for field, value in changes.items() if field not in _OF_PARTY}
    party = parse(CustomerSnapshot, {**dict(customer.party), **of_party})
    return parse(Customer, {**dict(customer), **others, "party": party})
