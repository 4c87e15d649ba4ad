"""The books of this Xero: a SQLite file of its own, readable after everything else died."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, ClassVar

from billhook.testing.simulator import Memory
from billhook.testing.simulator.books import Duplicate
from billhook_xero.simulator.wire import Json, read_json, write_json

_SCHEMA = """
CREATE TABLE IF NOT EXISTS things (
  seq INTEGER PRIMARY KEY, tenant TEXT NOT NULL, kind TEXT NOT NULL, id TEXT NOT NULL UNIQUE, name TEXT, reference TEXT,
  status TEXT NOT NULL, content TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS things_by_name ON things (tenant, kind, name);
CREATE INDEX IF NOT EXISTS things_by_reference ON things (tenant, kind, reference);
CREATE TABLE IF NOT EXISTS counters (tenant TEXT NOT NULL, kind TEXT NOT NULL, value INTEGER NOT NULL, PRIMARY KEY (tenant, kind));
CREATE TABLE IF NOT EXISTS sent (invoice TEXT NOT NULL, at INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS tokens (
  token TEXT PRIMARY KEY, kind TEXT NOT NULL, family TEXT NOT NULL, until INTEGER NOT NULL, replaced_at INTEGER, redirect TEXT
);
CREATE TABLE IF NOT EXISTS spent (bucket TEXT NOT NULL, at INTEGER NOT NULL, calls INTEGER NOT NULL, PRIMARY KEY (bucket, at));
"""

CONTACT, INVOICE, CREDIT_NOTE, PAYMENT = "contact", "invoice", "credit_note", "payment"
PREPAYMENT, OVERPAYMENT = "prepayment", "overpayment"
ISSUED = frozenset({"AUTHORISED", "PAID"})
GONE = frozenset({"DELETED", "VOIDED"})


@dataclass(frozen=True, slots=True)
class Customer:
    """A contact. ``reference`` is the ContactNumber, which is whoever made it's own id."""

    id: str
    reference: str
    name: str
    tenant: str


@dataclass(frozen=True, slots=True)
class Line:
    """A line with what it came to."""

    id: str
    description: str
    quantity: Decimal
    unit_price: Decimal
    amount: Decimal
    tax: Decimal
    account: str | None
    tax_code: str | None


@dataclass(frozen=True, slots=True)
class Document:
    """An invoice or credit note. ``status`` is Xero's: DRAFT, SUBMITTED, AUTHORISED, PAID, VOIDED or DELETED."""

    id: str
    kind: str
    reference: str
    number: str | None
    status: str
    customer: str
    currency: str
    tax: Decimal
    total: Decimal
    amount_due: Decimal
    lines: tuple[Line, ...]
    sent_count: int
    tenant: str

    @property
    def is_issued(self) -> bool:
        """Whether it is final, and neither void nor deleted."""
        return self.status in ISSUED


@dataclass(frozen=True, slots=True)
class Payment:
    """A recorded payment: AUTHORISED, or DELETED."""

    id: str
    reference: str
    status: str
    amount: Decimal
    invoice: str
    account: str
    tenant: str


class Ledger(Memory):
    """The books. References may repeat, as at the real one: that is how a duplicate can happen, and be seen."""

    schema: ClassVar[str] = _SCHEMA

    # -- as the desks use it ---------------------------------------------------------------------------------------

    def new_id(self, tenant: str, kind: str) -> str:
        """An id of its own, the same in every run."""
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"xero/{tenant}/{kind}/{self.count(tenant, f'id of {kind}')}"))

    def count(self, tenant: str, kind: str) -> int:
        """The next value of a counter."""
        with self.transaction() as tx:
            tx.execute(
                "INSERT INTO counters VALUES (?, ?, 1) ON CONFLICT (tenant, kind) DO UPDATE SET value = value + 1",
                (tenant, kind),
            )
            ((value,),) = self.read("SELECT value FROM counters WHERE tenant = ? AND kind = ?", (tenant, kind))
        return int(value)

    def save(self, tenant: str, kind: str, id: str, content: Json, name: str | None, reference: str | None) -> None:
        """Write a thing, in place of its older form. Raises TurnedDown where it is to be refused."""
        self.decisions.heed(id, reference)
        row = (
            tenant,
            kind,
            id,
            name,
            reference,
            content.get("Status") or content["ContactStatus"],
            write_json(content),
        )
        with self.transaction() as tx:
            tx.execute(
                "INSERT INTO things (tenant, kind, id, name, reference, status, content) VALUES (?, ?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (id) DO UPDATE SET name = excluded.name, reference = excluded.reference,"
                " status = excluded.status, content = excluded.content",
                row,
            )

    def get(self, tenant: str, kind: str, id: str) -> Json | None:
        """A thing by its id."""
        found = self.where(tenant, kind, "id", [id])
        return found[0] if found else None

    def where(self, tenant: str, kind: str, column: str, values: Sequence[str]) -> list[Json]:
        """The things whose id, name, reference or status is one of these, oldest first."""
        marks = ", ".join("?" * len(values))
        statement = f"SELECT content FROM things WHERE tenant = ? AND kind = ? AND {column} IN ({marks}) ORDER BY seq"
        return [read_json(content) for (content,) in self.read(statement, (tenant, kind, *values))]

    def all(self, tenant: str, kind: str) -> list[Json]:
        """All things of a kind, oldest first."""
        rows = self.read("SELECT content FROM things WHERE tenant = ? AND kind = ? ORDER BY seq", (tenant, kind))
        return [read_json(content) for (content,) in rows]

    # -- as somebody looks at it -----------------------------------------------------------------------------------

    def customers(self) -> tuple[Customer, ...]:
        """The contacts, oldest first."""
        rows = self._kind(CONTACT)
        return tuple(Customer(each["ContactID"], each.get("ContactNumber") or "", each["Name"], t) for t, each in rows)

    def documents(self) -> tuple[Document, ...]:
        """The invoices, then the credit notes, oldest first; deleted ones too."""
        sent = dict(self.read("SELECT invoice, count(*) FROM sent GROUP BY invoice"))
        rows = [(kind, row) for kind in (INVOICE, CREDIT_NOTE) for row in self._kind(kind)]
        return tuple(_document(kind, tenant, each, sent) for kind, (tenant, each) in rows)

    def payments(self) -> tuple[Payment, ...]:
        """The payments, oldest first; undone ones too."""
        return tuple(_payment(tenant, each) for tenant, each in self._kind(PAYMENT))

    def duplicates(self) -> tuple[Duplicate, ...]:
        """Every reference that stands for more than one contact, document or payment. What is void, deleted or undone does not count."""
        rows = self.read(
            "SELECT kind, reference, group_concat(id) FROM things WHERE reference IS NOT NULL AND reference <> ''"
            " AND status NOT IN ('DELETED', 'VOIDED') GROUP BY tenant, kind, reference HAVING count(*) > 1"
            " ORDER BY kind, reference"
        )
        return tuple(Duplicate(kind, reference, tuple(ids.split(","))) for kind, reference, ids in rows)

    def totals(self) -> dict[str, Decimal]:
        """What was issued, by currency: invoices less credit notes."""
        totals: dict[str, Decimal] = {}
        for each in self.documents():
            if each.is_issued:
                amount = each.total if each.kind == INVOICE else -each.total
                totals[each.currency] = totals.get(each.currency, Decimal(0)) + amount
        return totals

    def _kind(self, kind: str) -> list[tuple[str, Json]]:
        rows = self.read("SELECT tenant, content FROM things WHERE kind = ? ORDER BY seq", (kind,))
        return [(tenant, read_json(content)) for tenant, content in rows]


def _document(kind: str, tenant: str, content: Json, sent: dict[str, int]) -> Document:
    is_invoice = kind == INVOICE
    id = content["InvoiceID" if is_invoice else "CreditNoteID"]
    return Document(
        id=id,
        kind=kind,
        reference=content.get("Reference") or "",
        number=content.get("InvoiceNumber" if is_invoice else "CreditNoteNumber"),
        status=content["Status"],
        customer=content["Contact"]["ContactID"],
        currency=content["CurrencyCode"],
        tax=content["TotalTax"],
        total=content["Total"],
        amount_due=content["AmountDue" if is_invoice else "RemainingCredit"],
        lines=tuple(_line(each) for each in content["LineItems"]),
        sent_count=sent.get(id, 0),
        tenant=tenant,
    )


def _line(content: Json) -> Line:
    return Line(
        content["LineItemID"],
        content["Description"],
        content["Quantity"],
        content["UnitAmount"],
        content["LineAmount"],
        content["TaxAmount"],
        content.get("AccountCode"),
        content.get("TaxType"),
    )


def _payment(tenant: str, content: Json) -> Payment:
    return Payment(
        content["PaymentID"],
        content.get("Reference") or "",
        content["Status"],
        content["Amount"],
        content["Invoice"]["InvoiceID"],
        content["Account"]["Code"],
        tenant,
    )


def typed(value: Any) -> str:
    """A value of a request as a text."""
    return "" if value is None else str(value)
