"""Payments, refunds and credit notes, as one transaction reads and changes them: kept in memory, and written at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from billhook.engine import tables
from billhook.engine.naming import Named
from billhook.errors import NotFound
from billhook.store import schema
from billhook.store.transaction import Transaction

Row = dict[str, Any]
OPEN_CREDIT_STATES = frozenset({"draft", "issuing"})

_refund, _note = schema.refund, schema.credit_note
_NAMED = ("payment", "refund")
"""The kinds that have their app's id in their own row."""


def is_told_by_invoice(payment: Mapping[str, Any]) -> bool:
    """Whether no operation of ours knows how the payment stands, but only a look at the invoice that it is on: it came past us."""
    return bool(payment["origin"] == "outside")


class MoneyChanges:
    """The rows with a small lifecycle: of each ``kind`` (payment, refund, credit_note) those that were read. ``flush`` writes what was saved.

    ``read_invoice`` reads an invoice unless that was done, and returns whether it had to.
    """

    def __init__(self, tx: Transaction, now_micros: int, read_invoice: Callable[[str], bool]) -> None:
        self._tx = tx
        self._now_micros = now_micros
        self._read_invoice = read_invoice
        self._known: dict[str, dict[str, Row]] = {kind: {} for kind in tables.RECORDS}
        self._saved: dict[str, set[str]] = {kind: set() for kind in tables.RECORDS}
        self._named: dict[str, str | None] = {}
        self._payments_read: set[str] = set()
        self._payment_ids: dict[str, dict[str, None]] = {}
        self._open_credits: dict[str, Decimal] = {}

    def load(self, kind: str, ids: Iterable[str]) -> None:
        """Read them for change."""
        known = self._known[kind]
        for row in tables.read_records(self._tx, kind, [id for id in ids if id not in known]):
            self._know_stored(kind, row)

    def get(self, kind: str, id: str, namespace: str | None = None) -> Row:
        """One of them, for change. Raises NotFound where it is not there or belongs to another namespace."""
        if id not in self._known[kind]:
            self.load(kind, [id])
            self._load_under_its_invoice(kind, id)
        row = self._known[kind].get(id)
        if row is None or (namespace is not None and row["namespace"] != namespace):
            raise NotFound(kind.replace("_", " "), id, namespace)
        return row

    def _load_under_its_invoice(self, kind: str, id: str) -> None:
        """Read it again once its invoice was read, whose version tells of every change of its money that comes after."""
        row = self._known[kind].get(id)
        invoice_id = row["invoice_id"] if row is not None else None
        if invoice_id is not None and self._read_invoice(invoice_id):
            del self._known[kind][id]
            self.load(kind, [id])

    def credit_note_under(self, key: str, namespace: str) -> Row | None:
        """The credit note with that client key, of those that are here."""
        notes = self._known["credit_note"].values()
        return next((note for note in notes if (note["client_key"], note["namespace"]) == (key, namespace)), None)

    def load_payments_of(self, invoice_ids: Iterable[str]) -> None:
        """Read every payment of these invoices."""
        missing = [id for id in dict.fromkeys(invoice_ids) if id not in self._payments_read]
        if not missing:
            return
        self._payments_read.update(missing)
        for row in tables.read_payments_of(self._tx, missing):
            self._know_stored("payment", self._known["payment"].get(row["id"], row))

    def payments_of(self, invoice_id: str) -> list[Row]:
        """Every payment of an invoice."""
        if invoice_id not in self._payments_read:
            self.load_payments_of([invoice_id])
        known = self._known["payment"]
        return [known[id] for id in self._payment_ids.get(invoice_id, ())]

    def refunds_of(self, payment_id: str) -> list[Row]:
        """Every refund of a payment."""
        found = self._tx.all(sa.select(_refund.c.id).where(_refund.c.payment_id == payment_id))
        self.load("refund", [each.id for each in found])
        return [refund for refund in self._known["refund"].values() if refund["payment_id"] == payment_id]

    def credit_notes_of(self, invoice_id: str) -> list[Row]:
        """Every credit note of an invoice, the oldest first."""
        stored = self._tx.all(sa.select(_note.c.id).where(_note.c.invoice_id == invoice_id))
        self.load("credit_note", [each.id for each in stored])
        notes = (note for note in self._known["credit_note"].values() if note["invoice_id"] == invoice_id)
        return sorted(notes, key=lambda note: str(note["id"]))

    def load_open_credits(self, invoice_ids: Iterable[str]) -> None:
        """Read which credit notes of these invoices are still to be issued."""
        missing = [id for id in dict.fromkeys(invoice_ids) if id not in self._open_credits]
        if not missing:
            return
        self._open_credits.update(dict.fromkeys(missing, Decimal(0)))
        columns = ("id", "invoice_id", "state", "total")
        stored = self._tx.select_in(_note, columns, "invoice_id", missing)
        notes = {id: (invoice_id, state, total) for id, invoice_id, state, total in stored}
        for id, note in self._known["credit_note"].items():
            notes[id] = (note["invoice_id"], note["state"], note["total"])
        for invoice_id, state, total in notes.values():
            if invoice_id in missing and state in OPEN_CREDIT_STATES:
                self._open_credits[invoice_id] += Decimal(total)

    def open_credits(self, invoice_id: str) -> Decimal:
        """How much is about to be credited to an invoice."""
        if invoice_id not in self._open_credits:
            self.load_open_credits([invoice_id])
        return self._open_credits[invoice_id]

    def save(self, kind: str, row: Row) -> Row:
        """Keep a new or a changed one."""
        row["updated_at"] = self._now_micros
        self._know(kind, row)
        if kind == "credit_note":
            self._open_credits.pop(row["invoice_id"], None)
        self._saved[kind].add(row["id"])
        return row

    def take_names(self) -> Iterator[Named]:
        """What of it apps call by ids that were not known before."""
        for kind in _NAMED:
            for id in sorted(self._saved[kind]):
                row = self._known[kind][id]
                if row["external_id"] not in {None, self._named.get(id)}:
                    yield Named(row["app_id"], kind, row["external_id"], id)
                self._named[id] = row["external_id"]

    def flush(self) -> None:
        """Write what was saved."""
        for kind, ids in self._saved.items():
            rows = [tables.record_tuple(kind, self._known[kind][id]) for id in sorted(ids)]
            self._tx.upsert_many(tables.UPSERT_RECORD[kind], rows)
            ids.clear()

    def _know_stored(self, kind: str, row: Row) -> None:
        self._know(kind, row)
        if kind in _NAMED:
            self._named.setdefault(row["id"], row["external_id"])

    def _know(self, kind: str, row: Row) -> None:
        self._known[kind][row["id"]] = row
        if kind == "payment":
            self._payment_ids.setdefault(row["invoice_id"], {})[row["id"]] = None
