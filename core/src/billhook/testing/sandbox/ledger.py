"""The sandbox's books: a SQLite file apart from any engine's database, readable by itself after everything else died."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar

from billhook.testing.sandbox.fields import exponent_of, plain
from billhook.testing.sandbox.records import (
    ISSUED_STATES,
    Customer,
    Discount,
    Document,
    Line,
    Payment,
    Refund,
)
from billhook.testing.sandbox.sums import added
from billhook.testing.simulator.books import Duplicate
from billhook.testing.simulator.memory import Memory, micros, moment

_SCHEMA = """
CREATE TABLE IF NOT EXISTS customers (
  seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, reference TEXT NOT NULL, name TEXT NOT NULL, content TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS customers_by_reference ON customers (reference);
CREATE TABLE IF NOT EXISTS documents (
  seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, reference TEXT NOT NULL, number TEXT,
  status TEXT NOT NULL, customer TEXT NOT NULL REFERENCES customers (id), currency TEXT NOT NULL,
  amount TEXT NOT NULL, discounted TEXT NOT NULL, tax TEXT NOT NULL, total TEXT NOT NULL,
  sent_count INTEGER NOT NULL, pending_until INTEGER, content TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS documents_by_reference ON documents (kind, reference);
CREATE INDEX IF NOT EXISTS documents_by_number ON documents (kind, number);
CREATE INDEX IF NOT EXISTS documents_pending ON documents (pending_until) WHERE pending_until IS NOT NULL;
CREATE TABLE IF NOT EXISTS lines (
  document TEXT NOT NULL REFERENCES documents (id), position INTEGER NOT NULL, id TEXT NOT NULL, reference TEXT NOT NULL,
  description TEXT NOT NULL, quantity TEXT NOT NULL, unit_price TEXT NOT NULL, amount TEXT NOT NULL, tax TEXT NOT NULL,
  account TEXT, item TEXT, tax_code TEXT, PRIMARY KEY (document, position)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS payments (
  seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, reference TEXT NOT NULL, status TEXT NOT NULL, origin TEXT NOT NULL,
  amount TEXT NOT NULL, currency TEXT NOT NULL, invoice TEXT REFERENCES documents (id), settles_at INTEGER,
  content TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS payments_by_reference ON payments (reference);
CREATE INDEX IF NOT EXISTS payments_by_invoice ON payments (invoice);
CREATE INDEX IF NOT EXISTS payments_processing ON payments (settles_at) WHERE settles_at IS NOT NULL;
CREATE TABLE IF NOT EXISTS refunds (
  seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, reference TEXT NOT NULL,
  payment TEXT NOT NULL REFERENCES payments (id), amount TEXT NOT NULL, currency TEXT NOT NULL,
  status TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS refunds_by_reference ON refunds (reference);
"""

_PREFIXES = {"customers": "cus", "invoice": "inv", "credit_note": "crn", "payments": "pay", "refunds": "ref"}
_MONEY_MOVED = ("paid", "processing", "action_required", "authorized")


@dataclass(frozen=True, slots=True)
class Filter:
    """Which rows: `column IN values` for every entry, after a sequence number, at most `limit` of them."""

    where: Mapping[str, Sequence[str]]
    after: int = 0
    limit: int = -1

    def clause(self) -> tuple[str, list[str | int]]:
        conditions = "".join(
            f" AND {column} IN ({', '.join('?' * len(values))})" for column, values in self.where.items()
        )
        bound: list[str | int] = [
            self.after,
            *(value for values in self.where.values() for value in values),
            self.limit,
        ]
        return f"WHERE seq > ?{conditions} ORDER BY seq LIMIT ?", bound


_ALL = Filter({})


class Ledger(Memory):
    """The books. `Ledger.open(path)` reads them, whether or not the sandbox that wrote them still lives.

    References are ours and may repeat, as at most providers: that is how a duplicate can happen, and be seen.
    """

    schema: ClassVar[str] = _SCHEMA

    # -- reading --------------------------------------------------------------------------------------------------

    def customers(self, wanted: Filter = _ALL) -> tuple[Customer, ...]:
        """The customers, oldest first."""
        clause, values = wanted.clause()
        rows = self.read(f"SELECT id, reference, name, content FROM customers {clause}", values)
        return tuple(Customer(*row, **json.loads(content)) for *row, content in rows)

    def documents(self, wanted: Filter = _ALL) -> tuple[Document, ...]:
        """The invoices and credit notes with their lines, oldest first; deleted drafts too, marked as such."""
        clause, values = wanted.clause()
        rows = self.read(f"SELECT {_DOCUMENT} FROM documents {clause}", values)
        lines = self._lines([row[0] for row in rows])
        return tuple(_document(row, lines.get(row[0], ())) for row in rows)

    def payments(self, wanted: Filter = _ALL) -> tuple[Payment, ...]:
        """The payments, charged or recorded, oldest first; failed ones too."""
        clause, values = wanted.clause()
        statement = f"SELECT id, reference, status, origin, amount, currency, invoice, settles_at, content FROM payments {clause}"
        return tuple(_payment(row) for row in self.read(statement, values))

    def refunds(self, wanted: Filter = _ALL) -> tuple[Refund, ...]:
        """The refunds, oldest first."""
        clause, values = wanted.clause()
        rows = self.read(f"SELECT id, reference, payment, amount, currency, status FROM refunds {clause}", values)
        return tuple(
            Refund(id, reference, payment, Decimal(amount), cur, status)
            for id, reference, payment, amount, cur, status in rows
        )

    def duplicates(self) -> tuple[Duplicate, ...]:
        """Every reference that stands for more than one customer, document, payment or refund.

        Deleted drafts and payments that moved no money don't count.
        """
        moved = ", ".join(f"'{status}'" for status in _MONEY_MOVED)
        rows = self.read(
            "SELECT kind, reference, group_concat(id) FROM ("
            " SELECT 'customer' AS kind, reference, id FROM customers"
            " UNION ALL SELECT kind, reference, id FROM documents WHERE status <> 'deleted'"
            f" UNION ALL SELECT 'payment', reference, id FROM payments WHERE status IN ({moved})"
            " UNION ALL SELECT 'refund', reference, id FROM refunds WHERE status = 'succeeded'"
            ") GROUP BY kind, reference HAVING count(*) > 1 ORDER BY kind, reference"
        )
        return tuple(Duplicate(kind, reference, tuple(sorted(ids.split(",")))) for kind, reference, ids in rows)

    def totals(self) -> dict[str, Decimal]:
        """What was issued, by currency: invoices less credit notes. Drafts and voided documents don't count."""
        issued = ", ".join(f"'{status}'" for status in sorted(ISSUED_STATES))
        signed: dict[str, list[Decimal]] = {}
        for kind, currency, total in self.read(
            f"SELECT kind, currency, total FROM documents WHERE status IN ({issued})"
        ):
            signed.setdefault(currency, []).append(Decimal(total) if kind == "invoice" else -Decimal(total))
        return {currency: added(amounts, exponent_of(currency) or 0) for currency, amounts in sorted(signed.items())}

    # -- writing --------------------------------------------------------------------------------------------------

    def next_id(self, kind: str) -> str:
        """An id that nothing has: of `customers`, `payments`, `refunds`, `invoice` or `credit_note`."""
        table = "documents" if kind in {"invoice", "credit_note"} else kind
        ((last,),) = self.read(f"SELECT coalesce(max(seq), 0) FROM {table}")
        return f"{_PREFIXES[kind]}_{last + 1:06d}"

    def put_customer(self, customer: Customer) -> None:
        """Write a customer, new or changed."""
        self.decisions.heed(customer.id, customer.reference)
        content = {"email": customer.email, "address": dict(customer.address), "metadata": dict(customer.metadata)}
        row = (customer.id, customer.reference, customer.name, json.dumps(content))
        with self.transaction() as tx:
            tx.execute(
                f"INSERT INTO customers (id, reference, name, content) VALUES {_marks(row)} {_UPDATE_CUSTOMER}", row
            )

    def put_document(self, document: Document) -> None:
        """Write a document with its lines, new or changed."""
        self.decisions.heed(document.id, document.reference)
        row = _document_row(document)
        lines = [(document.id, position, *_line_row(line)) for position, line in enumerate(document.lines)]
        with self.transaction() as tx:
            tx.execute(f"INSERT INTO documents ({_DOCUMENT}) VALUES {_marks(row)} {_UPDATE_DOCUMENT}", row)
            tx.execute("DELETE FROM lines WHERE document = ?", (document.id,))
            tx.executemany(f"INSERT INTO lines VALUES ({', '.join('?' * 12)})", lines)

    def move_document(self, document: Document) -> None:
        """Write what moves on a document while its lines stay: status, number, dates, sendings and pending time."""
        self.decisions.heed(document.id, document.reference)
        *_, sent_count, pending, content = _document_row(document)
        row = (document.status, document.number, sent_count, pending, content, document.id)
        moved = "status = ?, number = ?, sent_count = ?, pending_until = ?, content = ?"
        with self.transaction() as tx:
            tx.execute(f"UPDATE documents SET {moved} WHERE id = ?", row)

    def put_payment(self, payment: Payment) -> None:
        """Write a payment, new or changed."""
        self.decisions.heed(payment.id, payment.reference)
        content = {
            "customer": payment.customer,
            "method": payment.method,
            "received_at": payment.received_at,
            "metadata": dict(payment.metadata),
        }
        settles = None if payment.settles_at is None else micros(payment.settles_at)
        figures = (plain(payment.amount), payment.currency, payment.invoice, settles, json.dumps(content))
        row = (payment.id, payment.reference, payment.status, payment.origin, *figures)
        columns = "id, reference, status, origin, amount, currency, invoice, settles_at, content"
        changed = ", ".join(f"{name} = excluded.{name}" for name in ("status", "amount", "settles_at"))
        update = f"ON CONFLICT (id) DO UPDATE SET {changed}"
        with self.transaction() as tx:
            tx.execute(f"INSERT INTO payments ({columns}) VALUES {_marks(row)} {update}", row)

    def put_refund(self, refund: Refund) -> None:
        """Write a refund, new or changed."""
        self.decisions.heed(refund.id, refund.reference)
        row = (refund.id, refund.reference, refund.payment, plain(refund.amount), refund.currency, refund.status)
        with self.transaction() as tx:
            tx.execute(
                f"INSERT INTO refunds (id, reference, payment, amount, currency, status) VALUES {_marks(row)}"
                " ON CONFLICT (id) DO UPDATE SET status = excluded.status",
                row,
            )

    # -- looking up -----------------------------------------------------------------------------------------------

    def due_documents(self, now: datetime) -> tuple[Document, ...]:
        """The pending documents whose time has come."""
        ids = self.read("SELECT id FROM documents WHERE pending_until <= ?", (micros(now),))
        return self.documents(Filter({"id": [id for (id,) in ids]})) if ids else ()

    def due_payments(self, now: datetime) -> tuple[Payment, ...]:
        """The processing payments whose time has come."""
        ids = self.read("SELECT id FROM payments WHERE settles_at <= ?", (micros(now),))
        return self.payments(Filter({"id": [id for (id,) in ids]})) if ids else ()

    def _lines(self, document_ids: Sequence[str]) -> dict[str, tuple[Line, ...]]:
        found: dict[str, list[Line]] = {}
        for chunk in _chunks(document_ids):
            statement = f"SELECT * FROM lines WHERE document IN {_marks(chunk)} ORDER BY document, position"
            for document, _, *columns in self.read(statement, chunk):
                found.setdefault(document, []).append(_line(columns))
        return {document: tuple(lines) for document, lines in found.items()}


_DOCUMENT = (
    "id, kind, reference, number, status, customer, currency, amount, discounted, tax, total, "
    "sent_count, pending_until, content"
)
_UPDATE_DOCUMENT = "ON CONFLICT (id) DO UPDATE SET " + ", ".join(
    f"{column} = excluded.{column}" for column in _DOCUMENT.split(", ")[2:]
)
_UPDATE_CUSTOMER = (
    "ON CONFLICT (id) DO UPDATE SET reference = excluded.reference, name = excluded.name, content = excluded.content"
)


def _document_row(document: Document) -> tuple[str | int | None, ...]:
    sums = (document.amount, document.discounted, document.tax, document.total)
    pending = None if document.pending_until is None else micros(document.pending_until)
    content = {
        "issue_date": document.issue_date,
        "due_date": document.due_date,
        "exchange_rate": document.exchange_rate,
        "invoice": document.invoice,
        "sent_at": document.sent_at,
        "metadata": dict(document.metadata),
        "discounts": [(each.id, each.reference, plain(each.amount), each.line) for each in document.discounts],
    }
    head = (document.id, document.kind, document.reference, document.number, document.status, document.customer)
    return (*head, document.currency, *map(plain, sums), document.sent_count, pending, json.dumps(content))


def _document(row: Sequence[Any], lines: tuple[Line, ...]) -> Document:
    id, kind, reference, number, status, customer, currency, *sums, sent_count, pending, content = row
    amount, discounted, tax, total = map(Decimal, sums)
    kept = json.loads(content)
    return Document(
        id=id,
        kind=kind,
        reference=reference,
        number=number,
        status=status,
        customer=customer,
        currency=currency,
        amount=amount,
        discounted=discounted,
        tax=tax,
        total=total,
        lines=lines,
        discounts=tuple(Discount(id, name, Decimal(sum), line) for id, name, sum, line in kept.pop("discounts")),
        sent_count=sent_count,
        pending_until=None if pending is None else moment(pending),
        **kept,
    )


def _line_row(line: Line) -> tuple[str | None, ...]:
    figures = (line.quantity, line.unit_price, line.amount, line.tax)
    return (line.id, line.reference, line.description, *map(plain, figures), line.account, line.item, line.tax_code)


def _line(columns: Sequence[Any]) -> Line:
    id, reference, description, *figures, account, item, tax_code = columns
    quantity, unit_price, amount, tax = map(Decimal, figures)
    return Line(id, reference, description, quantity, unit_price, amount, tax, account, item, tax_code)


def _payment(row: Sequence[Any]) -> Payment:
    id, reference, status, origin, amount, currency, invoice, settles_at, content = row
    settles = None if settles_at is None else moment(settles_at)
    kept = json.loads(content)
    return Payment(id, reference, status, origin, Decimal(amount), currency, invoice, settles_at=settles, **kept)


def _marks(values: Sequence[object]) -> str:
    return f"({', '.join('?' * len(values))})"


def _chunks(values: Sequence[str], size: int = 500) -> Iterable[Sequence[str]]:
    return (values[start : start + size] for start in range(0, len(values), size))
