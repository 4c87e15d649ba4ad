"""The books: Stripe's objects as JSON in a SQLite file apart from any engine's database, readable by itself after everything else died."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar

from billhook.testing.simulator import Memory
from billhook.testing.simulator.books import Duplicate
from billhook_stripe.simulator.desk import Body, missing
from billhook_stripe.simulator.records import (
    Customer,
    Document,
    Payment,
    Refund,
    credit_of,
    customer_of,
    document_of,
    note_of,
    payments_of,
    refund_of,
)
from billhook_stripe.simulator.units import EXACT

_SCHEMA = """
CREATE TABLE IF NOT EXISTS objects (
  seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, parent TEXT, due INTEGER, body TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS objects_by_kind ON objects (kind, parent);
CREATE INDEX IF NOT EXISTS objects_due ON objects (due) WHERE due IS NOT NULL;
CREATE TABLE IF NOT EXISTS numbers (number TEXT PRIMARY KEY, invoice TEXT NOT NULL) WITHOUT ROWID;
"""

PREFIXES = {
    "customer": "cus",
    "payment_method": "pm",
    "invoice": "in",
    "tax_rate": "txr",
    "payment_intent": "pi",
    "charge": "ch",
    "refund": "re",
    "credit_note": "cn",
    "customer_balance_transaction": "cbtxn",
    "payment_record": "pyr",
}


class Ledger(Memory):
    """The books. `Ledger.open(path)` reads them, whether or not the simulator that wrote them still lives."""

    schema: ClassVar[str] = _SCHEMA

    # -- objects --------------------------------------------------------------------------------------------------

    def next_id(self, kind: str) -> str:
        """An id that nothing has."""
        ((last,),) = self.read("SELECT coalesce(max(seq), 0) FROM objects")
        return f"{PREFIXES[kind]}_{last + 1:08d}"

    def save(self, body: Body, *, parent: str | None = None, due: int | None = None) -> Body:
        """Write an object, new or changed. Raises TurnedDown where it is to be refused."""
        self.decisions.heed(body["id"], body.get("_invoice"), *(body.get("metadata") or {}).values())
        row = (body["id"], body["object"], parent, due, json.dumps(body, separators=(",", ":")))
        update = "ON CONFLICT (id) DO UPDATE SET body = excluded.body, due = excluded.due"
        with self.transaction() as tx:
            tx.execute(f"INSERT INTO objects (id, kind, parent, due, body) VALUES (?, ?, ?, ?, ?) {update}", row)
        return body

    def find(self, kind: str, id: str) -> Body | None:
        """An object by its id."""
        rows = self.read("SELECT body FROM objects WHERE id = ? AND kind = ?", (id, kind))
        return json.loads(rows[0][0]) if rows else None

    def get(self, kind: str, id: str) -> Body:
        """An object by its id. Raises Refused when there is none, or none any more."""
        body = self.find(kind, id)
        if body is None or body.get("deleted"):
            raise missing(kind.replace("_", " "), id)
        return body

    def all_of(self, kind: str, parent: str | None = None) -> list[Body]:
        """Objects of a kind, newest first; with a parent only its own."""
        where, values = ("kind = ?", [kind]) if parent is None else ("kind = ? AND parent = ?", [kind, parent])
        rows = self.read(f"SELECT body FROM objects WHERE {where} ORDER BY seq DESC", values)
        return [body for (text,) in rows if not (body := json.loads(text)).get("deleted")]

    def due(self, now: datetime) -> list[Body]:
        """What is to go on by itself by now."""
        rows = self.read("SELECT body FROM objects WHERE due <= ?", (int(now.timestamp()),))
        return [json.loads(text) for (text,) in rows]

    def take_number(self, number: str, invoice: str) -> bool:
        """Bind a number to an invoice. Whether it was free, or this invoice's already."""
        with self.transaction() as tx:
            self.free_number(invoice)
            taken = tx.execute("SELECT invoice FROM numbers WHERE number = ?", (number,)).fetchall()
            if not taken:
                tx.execute("INSERT INTO numbers VALUES (?, ?)", (number, invoice))
        return not taken

    def free_number(self, invoice: str) -> None:
        """Let go of an invoice's number: a deleted draft has none."""
        with self.transaction() as tx:
            tx.execute("DELETE FROM numbers WHERE invoice = ?", (invoice,))

    def events_since(self, since: int, type: str | None) -> list[tuple[Any, ...]]:
        """What was told since then, newest first: number, type, object id, and when in microseconds."""
        statement = "SELECT number, type, object_id, at FROM events WHERE at >= ? AND (? IS NULL OR type = ?) ORDER BY number DESC"
        return self.read(statement, (since * 1_000_000, type, type))

    # -- reading the books ----------------------------------------------------------------------------------------

    def customers(self) -> tuple[Customer, ...]:
        """The customers, oldest first."""
        return tuple(customer_of(body) for body in reversed(self.all_of("customer")))

    def documents(self) -> tuple[Document, ...]:
        """Invoices, then credit notes, then credit on customers' balances that stands for one; each oldest first."""
        entries = reversed(self.all_of("customer_balance_transaction"))
        return (
            *(document_of(body) for body in reversed(self.all_of("invoice"))),
            *(note_of(body) for body in reversed(self.all_of("credit_note"))),
            *(credit_of(body) for body in entries if "billhook_credit_note" in body["metadata"]),
        )

    def payments(self) -> tuple[Payment, ...]:
        """What was tried or noted to be paid, oldest first."""
        intents, records = self.all_of("payment_intent"), self.all_of("payment_record")
        return tuple(payments_of(reversed(intents), reversed(records), reversed(self.all_of("invoice"))))

    def refunds(self) -> tuple[Refund, ...]:
        """The refunds, oldest first."""
        return tuple(refund_of(body) for body in reversed(self.all_of("refund")))

    def duplicates(self) -> tuple[Duplicate, ...]:
        """Every reference that stands for more than one customer, document, payment or refund. Failed payments don't count."""
        named = [("customer", each.reference, each.id) for each in self.customers()]
        named += [(each.kind, each.reference, each.id) for each in self.documents()]
        named += [("payment", each.reference, each.id) for each in self.payments() if each.has_moved]
        named += [("refund", each.reference, each.id) for each in self.refunds()]
        ids: dict[tuple[str, str], list[str]] = {}
        for kind, reference, id in named:
            ids.setdefault((kind, reference), []).append(id)
        found = ((key, each) for key, each in sorted(ids.items()) if key[1] and len(each) > 1)
        return tuple(Duplicate(kind, reference, tuple(each)) for (kind, reference), each in found)

    def totals(self) -> dict[str, Decimal]:
        """What was issued, by currency: invoices less credit notes. Drafts and void documents don't count."""
        sums: dict[str, Decimal] = {}
        for document in self.documents():
            if document.is_issued:
                signed = document.total if document.kind == "invoice" else -document.total
                sums[document.currency] = EXACT.add(sums.get(document.currency, Decimal(0)), signed)
        return dict(sorted(sums.items()))


def found_in(bodies: Sequence[Body], **where: Any) -> list[Body]:
    """The objects whose members have these values; a value of None is any."""
    wanted = {name: value for name, value in where.items() if value is not None}
    return [body for body in bodies if all(body.get(name) == value for name, value in wanted.items())]
