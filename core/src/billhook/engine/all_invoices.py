"""Invoices, and pending lines as the invoices that they would make: read, listed and deleted together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from billhook.domain.lifecycle import State
from billhook.domain.usage import UsageSource
from billhook.engine.arguments import checked
from billhook.engine.context import Context
from billhook.engine.gathering_invoice import GatheringInvoice, LiveView, Pool, live
from billhook.engine.invoice_filter import (
    GATHERING,
    InvoiceFilter,
    InvoiceOrder,
    customers_where,
    invoices_where,
    times_where,
)
from billhook.engine.invoices import Invoices
from billhook.engine.paging import PAGE_SIZE, check_page
from billhook.engine.pending_lines import find_gathering, lines_of, remove_lines_of
from billhook.engine.queries import InvoiceDetails, details, details_of
from billhook.engine.records import Page
from billhook.engine.resolving import resolve
from billhook.engine.unit import Unit
from billhook.errors import Deleted, NotAllowed, NotFound
from billhook.store import schema
from billhook.store.transaction import Transaction

AnyInvoice = InvoiceDetails | GatheringInvoice
Pools = list[Pool]

_invoice, _gathering, _line, _customer = schema.invoice, schema.gathering, schema.pending_line, schema.customer
_NEVER = sa.cast(sa.null(), sa.BigInteger)


@checked
class AllInvoices:
    """The invoices of one namespace, and its pools of pending lines beside them."""

    def __init__(self, context: Context, namespace: str, invoices: Invoices, usage: UsageSource | None) -> None:
        self._context = context
        self._namespace = namespace
        self._invoices = invoices
        self._live = LiveView(context, usage)

    def get(self, id: str) -> AnyInvoice:
        """An invoice by its id, or a pool of pending lines by its own. Raises NotFound."""
        with self._context.database.read() as tx:
            if find_gathering(tx, self._namespace, id) is None:
                return details(Unit(self._context, tx), self._namespace, id)
            pool = self._pool(tx, id)
        return self._live.of(pool)

    def invoice(self, id: str) -> InvoiceDetails:
        """An invoice that stands by itself. Raises NotFound, or NotAllowed for a pool of pending lines."""
        found = self.get(id)
        if isinstance(found, GatheringInvoice):
            raise NotAllowed(f"{id} is a pool of pending lines and no invoice yet. Take lines away, or add others.")
        return found

    def list(
        self,
        filter: InvoiceFilter | None = None,
        *,
        order: InvoiceOrder = InvoiceOrder.CREATED_AT,
        descending: bool = False,
        page: int = 1,
        page_size: int = PAGE_SIZE,
    ) -> Page[AnyInvoice]:
        """Invoices in that order; those that have nothing to be sorted by come last. Pools without a line are left out.

        Raises InvalidInput for a page that can't be.
        """
        check_page(page, page_size)
        everything = self._everything(filter or InvoiceFilter(), order)
        way = everything.c.sorted_by.desc() if descending else everything.c.sorted_by.asc()
        wanted = sa.select(everything).order_by(way.nulls_last() if order in _MAY_BE_MISSING else way, everything.c.id)
        with self._context.database.read() as tx:
            total = tx.scalar(sa.select(sa.func.count()).select_from(everything))
            ids = [row.id for row in tx.all(wanted.limit(page_size).offset((page - 1) * page_size))]
            unit = Unit(self._context, tx)
            unit.load_invoices(ids)
            rows = [unit.invoices[id] for id in ids if id in unit.invoices]
            known: dict[str, AnyInvoice] = {each.id: each for each in details_of(unit, rows)}
            pools = self._pools(tx, [id for id in ids if id not in known])
        known |= live(self._live, pools)
        return Page(tuple(known[id] for id in ids if id in known), int(total), page, page_size)

    def delete(self, id: str) -> None:
        """Delete a draft here and at its app, or take away all lines of a pool.

        Raises NotFound, or NotAllowed: with code ``invoice_delete_failed`` where the app refused it at once.
        """
        if self._is_pool(id):
            self._context.database.write(lambda tx: remove_lines_of(tx, self._namespace, id))
            return
        deleted = self._invoices.delete(id)
        if deleted.status == State.DELETE_FAILED:
            reasons = " ".join(issue.message for issue in deleted.issues)
            raise NotAllowed(
                f"Invoice {id} could not be deleted at its app. {reasons}".strip(), "invoice_delete_failed"
            )

    def _is_pool(self, id: str) -> bool:
        with self._context.database.read() as tx:
            return find_gathering(tx, self._namespace, id) is not None

    def _everything(self, wanted: InvoiceFilter, order: InvoiceOrder) -> sa.Subquery:
        arms = [_invoices_in(order).where(invoices_where(self._namespace, wanted))]
        if wanted.takes_gathering:
            arms.append(_pools_in(order).where(_gathering.c.namespace == self._namespace, *_pool_filters(wanted)))
        return sa.union_all(*arms).subquery()

    def _pool(self, tx: Transaction, id: str) -> Pool:
        gathering = find_gathering(tx, self._namespace, id)
        if gathering is None:
            raise NotFound("invoice", id, self._namespace)
        resolved = resolve(tx, self._namespace, customer_id=gathering.customer_id)
        return Pool(gathering, tuple(lines_of(tx, id)), resolved)

    def _pools(self, tx: Transaction, ids: Sequence[str]) -> Pools:
        pools: Pools = []
        for id in ids:
            try:
                pools.append(self._pool(tx, id))
            except (Deleted, NotFound):
                # No profile serves this customer any more, so there is no invoice that these lines would make.
                continue
        return pools


def _invoices_in(order: InvoiceOrder) -> sa.Select[Any]:
    if order is InvoiceOrder.CUSTOMER_NAME:
        named = sa.select(_invoice.c.id, _customer.c.name.label("sorted_by"))
        return named.join(_customer, _customer.c.id == _invoice.c.customer_id)
    return sa.select(_invoice.c.id, _invoice.c[_COLUMNS[order]].label("sorted_by"))


def _pools_in(order: InvoiceOrder) -> sa.Select[Any]:
    joined = _gathering.join(_customer, _customer.c.id == _gathering.c.customer_id)
    return sa.select(_gathering.c.id, _SORTED_BY[order].label("sorted_by")).select_from(joined)


def _pool_filters(wanted: InvoiceFilter) -> list[sa.ColumnElement[bool]]:
    has_lines = sa.exists().where(_line.c.gathering_id == _gathering.c.id)
    customers = customers_where(_gathering.c.customer_id, wanted)
    return [has_lines, *customers, *times_where(_gathering.c.created_at, wanted, "created")]


# An id is made when its invoice is, and there is an index on it.
_COLUMNS: dict[InvoiceOrder, str] = {
    InvoiceOrder.CREATED_AT: "id",
    InvoiceOrder.UPDATED_AT: "updated_at",
    InvoiceOrder.ISSUED_AT: "issued_at",
    InvoiceOrder.PERIOD_START: "period_start",
    InvoiceOrder.STATUS: "state",
}
_MAY_BE_MISSING = frozenset({InvoiceOrder.ISSUED_AT, InvoiceOrder.PERIOD_START})
_SORTED_BY: dict[InvoiceOrder, sa.ColumnElement[Any]] = {
    InvoiceOrder.CREATED_AT: _gathering.c.id,
    InvoiceOrder.UPDATED_AT: _gathering.c.created_at,
    InvoiceOrder.ISSUED_AT: _NEVER,
    InvoiceOrder.PERIOD_START: _NEVER,
    InvoiceOrder.STATUS: sa.literal(GATHERING),
    InvoiceOrder.CUSTOMER_NAME: _customer.c.name,
}
