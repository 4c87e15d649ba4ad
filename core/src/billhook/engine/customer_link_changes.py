"""What apps know of customers, as one transaction reads and changes it: kept in memory, and written at the end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from billhook.engine import tables
from billhook.engine.locks import hold, of_customer
from billhook.engine.naming import Named
from billhook.store import schema
from billhook.store.transaction import Transaction

Row = dict[str, Any]


class CustomerLinkChanges:
    """The links between customers and apps, and how often a customer was changed since. ``flush`` writes the links that were saved."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx
        self._known: dict[tuple[str, str], Row] = {}
        self._saved: set[tuple[str, str]] = set()
        self._named: dict[tuple[str, str], str | None] = {}
        self._revisions: dict[str, int] = {}

    def load(self, customer_ids: Iterable[str], app_id: str) -> None:
        """Read how an app knows these customers."""
        missing = [id for id in dict.fromkeys(customer_ids) if (id, app_id) not in self._known]
        if missing:
            links = tables.read_customer_links(self._tx, missing, app_id)
            self._known.update({(id, app_id): link for id, link in links.items()})
            self._named.update({(id, app_id): link["external_id"] for id, link in links.items()})

    def of(self, customer_id: str, app_id: str) -> Row:
        """How an app knows a customer; empty when it does not."""
        self.load([customer_id], app_id)
        return self._known[customer_id, app_id]

    def to_change(self, namespace: str, customer_id: str, app_id: str) -> Row:
        """How an app knows a customer now; nobody else changes it until this transaction ends."""
        hold(self._tx, namespace, of_customer(customer_id))
        if (customer_id, app_id) not in self._saved:
            self._known.pop((customer_id, app_id), None)
        return self.of(customer_id, app_id)

    def save(self, link: Row) -> None:
        """Keep what an app said of a customer."""
        self._saved.add((link["customer_id"], link["app_id"]))

    def load_revisions(self, customer_ids: Iterable[str]) -> None:
        """Read how often these customers were changed."""
        missing = [id for id in dict.fromkeys(customer_ids) if id not in self._revisions]
        self._revisions.update(dict.fromkeys(missing, 0))
        self._revisions.update(self._tx.select_in(schema.customer, ("id", "revision"), "id", missing))

    def revision_of(self, customer_id: str) -> int:
        """How often a customer was changed."""
        self.load_revisions([customer_id])
        return self._revisions[customer_id]

    def take_names(self) -> Iterator[Named]:
        """The customers whom apps call by ids that were not known before."""
        for key in sorted(self._saved):
            link = self._known[key]
            if link["external_id"] not in {None, self._named.get(key)}:
                yield Named(link["app_id"], "customer", link["external_id"], link["customer_id"])
            self._named[key] = link["external_id"]

    def flush(self) -> None:
        """Write what was saved."""
        rows = [tables.customer_link_tuple(self._known[key]) for key in sorted(self._saved)]
        self._tx.upsert_many(tables.UPSERT_CUSTOMER_LINK, rows)
        self._saved = set()
