"""A customer as single apps know it: the provider's own id for it, how it pays there, and what a host adds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from billhook.contract.declaration import Capability
from billhook.domain.parsing import parse
from billhook.engine import tables
from billhook.engine.apps import app_not_found
from billhook.engine.arguments import checked
from billhook.engine.context import Context
from billhook.engine.locks import hold, of_customer
from billhook.engine.override_commands import OverrideCommands
from billhook.engine.records import UNCHANGED, App, CustomerApp, ResolvedProfile, Unchanged
from billhook.engine.resolving import resolve
from billhook.engine.stored import read_app, read_customer_app
from billhook.engine.unit import Unit
from billhook.engine.work import CLAIMED
from billhook.errors import Conflict, Deleted, NotFound
from billhook.store import schema
from billhook.store.transaction import Transaction

_app, _customer, _link, _work = schema.app, schema.customer, schema.customer_link, schema.work

ROLES = ("invoicing", "payment", "tax")


@checked
@dataclass(frozen=True, slots=True)
class CustomerAppEntry:
    """What one app is to know of a customer. ``external_id`` names a customer who is at the provider already."""

    app_id: str
    external_id: str | Unchanged | None = UNCHANGED
    payment_method: str | Unchanged | None = UNCHANGED
    data: Mapping[str, str] | Unchanged = UNCHANGED


Entries = Sequence[CustomerAppEntry]


@checked
class CustomerAppCommands:
    """The customers of one namespace as their apps know them."""

    def __init__(self, context: Context, namespace: str) -> None:
        self._context = context
        self._namespace = namespace

    def list(self, customer_id: str) -> tuple[CustomerApp, ...]:
        """The apps that know the customer, in the order of their installation. Raises NotFound, or Deleted for a deleted customer."""
        select = (
            sa.select(_link)
            .join(_app, _app.c.id == _link.c.app_id)
            .where(_link.c.customer_id == customer_id, _app.c.deleted_at.is_(None))
            .order_by(_link.c.app_id)
        )
        with self._context.database.read() as tx:
            self._check_customer(tx, customer_id)
            return tuple(read_customer_app(row) for row in tx.all(select))

    def set(self, customer_id: str, entries: Entries | Callable[[Sequence[App]], Entries]) -> tuple[CustomerApp, ...]:
        """Let apps know this of the customer; what an entry leaves out stays. All entries, or none.

        A function chooses the entries, given the apps of the customer's profile as ``profile_apps`` has them. A new external id is brought up to date when an invoice next needs the customer there. Raises NotFound for an unknown customer
        or app, Deleted for a deleted customer, Conflict with code ``customer_under_way`` while the customer is being brought there.
        """
        return self._context.database.write(lambda tx: self._set(tx, customer_id, entries))

    def pin_and_set(
        self, customer_id: str, profile_id: str | None, choose: Callable[[Sequence[App]], Entries]
    ) -> ResolvedProfile:
        """Serve the customer by that profile, as ``overrides.pin`` does, and let its apps know what ``choose`` says; both, or neither."""

        def both(tx: Transaction) -> ResolvedProfile:
            resolved = OverrideCommands(self._context, self._namespace).pin_within(tx, customer_id, profile_id)
            self._set(tx, customer_id, choose)
            return resolved

        return self._context.database.write(both)

    def delete(self, customer_id: str, app_id: str) -> None:
        """Forget how the app knows the customer. Doing it twice is fine. What the provider holds stays there.

        Raises as ``set``. An invoice that needs the customer there brings it anew, unless its id is set again: a provider that finds
        customers by our own id finds the same one, another makes a second one.
        """
        self._context.database.write(lambda tx: self._delete(tx, customer_id, app_id))

    def profile_apps(self, customer_id: str) -> tuple[App, ...]:
        """The apps of the customer's next invoice: for invoicing, for payment, for tax. An app with several roles comes once.

        Raises as resolving its profile does.
        """
        with self._context.database.read() as tx:
            return self._profile_apps(tx, customer_id)

    def _profile_apps(self, tx: Transaction, customer_id: str) -> tuple[App, ...]:
        profile = resolve(tx, self._namespace, customer_id=customer_id).profile
        ids = dict.fromkeys(getattr(profile, f"{role}_app_id") for role in ROLES)
        rows = {row.id: row for row in tx.all(sa.select(_app).where(_app.c.id.in_(ids)))}
        return tuple(read_app(rows[id]) for id in ids)

    def _set(
        self, tx: Transaction, customer_id: str, given: Entries | Callable[[Sequence[App]], Entries]
    ) -> tuple[CustomerApp, ...]:
        self._hold(tx, customer_id)
        entries = given(self._profile_apps(tx, customer_id)) if callable(given) else given
        unit = Unit(self._context, tx)
        for entry in entries:
            self._check_app(tx, entry.app_id)
            self._change(unit, customer_id, entry)
        unit.flush()
        here = sa.and_(_link.c.customer_id == customer_id, _link.c.app_id.in_([entry.app_id for entry in entries]))
        kept = {row.app_id: read_customer_app(row) for row in tx.all(sa.select(_link).where(here))}
        return tuple(kept[id] for id in dict.fromkeys(entry.app_id for entry in entries))

    def _change(self, unit: Unit, customer_id: str, entry: CustomerAppEntry) -> None:
        link = unit.customer_links.of(customer_id, entry.app_id)
        stated = {"external_id": entry.external_id, "payment_method": entry.payment_method, "data": entry.data}
        changes: dict[str, Any] = {name: value for name, value in stated.items() if value is not UNCHANGED}
        before = {
            "external_id": link["external_id"],
            "payment_method": link["payment_method"],
            "data": link["app_data"],
        }
        checked = parse(CustomerApp, {"customer_id": customer_id, "app_id": entry.app_id, **before, **changes})
        if checked.external_id != link["external_id"]:
            self._refuse_while_under_way(unit.tx, customer_id, entry.app_id)
            self._prepare_again(unit, customer_id, entry.app_id)
            link["synced_revision"] = None
            link["leftovers"], link["failure"] = {}, None
        link["external_id"] = checked.external_id
        link["payment_method"] = checked.payment_method
        link["app_data"] = dict(checked.data)
        unit.customer_links.save(link)

    def _delete(self, tx: Transaction, customer_id: str, app_id: str) -> None:
        self._hold(tx, customer_id)
        self._check_app(tx, app_id)
        self._refuse_while_under_way(tx, customer_id, app_id)
        unit = Unit(self._context, tx)
        self._prepare_again(unit, customer_id, app_id)
        unit.flush()
        tx.execute(sa.delete(_link).where(_link.c.customer_id == customer_id, _link.c.app_id == app_id))

    def _hold(self, tx: Transaction, customer_id: str) -> None:
        hold(tx, self._namespace, of_customer(customer_id))
        self._check_customer(tx, customer_id)

    def _check_customer(self, tx: Transaction, customer_id: str) -> None:
        here = sa.and_(_customer.c.id == customer_id, _customer.c.namespace == self._namespace)
        row = tx.first(sa.select(_customer.c.deleted_at).where(here))
        if row is None:
            raise NotFound("customer", customer_id, self._namespace)
        if row.deleted_at is not None:
            raise Deleted(f"The customer {customer_id} is deleted. Create another one.", "customer_deleted")

    def _check_app(self, tx: Transaction, app_id: str) -> None:
        installed = sa.and_(_app.c.id == app_id, _app.c.namespace == self._namespace, _app.c.deleted_at.is_(None))
        if tx.scalar(sa.select(_app.c.id).where(installed)) is None:
            raise app_not_found(tx, app_id, self._namespace)

    def _prepare_again(self, unit: Unit, customer_id: str, app_id: str) -> None:
        """Who is about to bring the customer there looks again under which id it is known."""
        for work in tables.read_item_work(unit.tx, customer_id):
            if (work.operation, work.app_id) == (Capability.SYNC_CUSTOMER, app_id) and not work.is_claimed:
                unit.work.prepare_again(work)

    def _refuse_while_under_way(self, tx: Transaction, customer_id: str, app_id: str) -> None:
        here = sa.and_(_work.c.item_id == customer_id, _work.c.app_id == app_id)
        claimed = sa.and_(here, _work.c.operation == Capability.SYNC_CUSTOMER.value, _work.c.state == CLAIMED)
        if tx.scalar(sa.select(_work.c.item_id).where(claimed)) is not None:
            raise Conflict(
                f"The customer {customer_id} is just being brought to the app {app_id}. Try again when that is done.",
                "customer_under_way",
            )
