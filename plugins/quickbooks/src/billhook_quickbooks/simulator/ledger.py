"""The company's books in one SQLite file, apart from any engine's database, readable after everything else died."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import ClassVar

from billhook.testing.simulator import Memory
from billhook.testing.simulator.books import Duplicate
from billhook_quickbooks.simulator.records import Customer, Document, Line, Payment
from billhook_quickbooks.simulator.wire import Entity, dumps, loads, ref

_SCHEMA = """
CREATE TABLE IF NOT EXISTS entities (
  id INTEGER PRIMARY KEY, kind TEXT NOT NULL, reference TEXT NOT NULL, number TEXT, customer TEXT, day TEXT, name TEXT,
  deleted INTEGER NOT NULL DEFAULT 0, sent INTEGER NOT NULL DEFAULT 0, content TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS entities_by_number ON entities (kind, number);
CREATE INDEX IF NOT EXISTS entities_by_customer ON entities (kind, customer, day);
CREATE INDEX IF NOT EXISTS entities_by_name ON entities (name);
CREATE TABLE IF NOT EXISTS grants (
  token TEXT PRIMARY KEY, kind TEXT NOT NULL, made_at TEXT NOT NULL, dies_at TEXT NOT NULL, replaced_by TEXT
);
"""

# The simulator only looks for whose a thing is, to tell duplicates.
_REFERENCE = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}")
_KINDS = {"Invoice": "invoice", "CreditMemo": "credit_note"}


class Ledger(Memory):
    """The books. ``Ledger.open(path)`` reads them, whether or not the simulator that wrote them still lives."""

    schema: ClassVar[str] = _SCHEMA

    # -- reading --------------------------------------------------------------------------------------------------

    def customers(self) -> tuple[Customer, ...]:
        """The customers, oldest first."""
        return tuple(
            Customer(
                each["Id"],
                reference,
                each["DisplayName"],
                (each.get("PrimaryEmailAddr") or {}).get("Address"),
                ref(each, "CurrencyRef") or "",
            )
            for reference, _, _, each in self._all("Customer")
        )

    def documents(self) -> tuple[Document, ...]:
        """The invoices and credit memos with their lines, oldest first; deleted ones too, marked as such."""
        found = [
            (int(each["Id"]), _document(kind, reference, bool(deleted), sent, each))
            for kind in _KINDS
            for reference, deleted, sent, each in self._all(kind)
        ]
        return tuple(document for _, document in sorted(found, key=lambda pair: pair[0]))

    def payments(self) -> tuple[Payment, ...]:
        """The payments that brought money, oldest first."""
        return tuple(payment for payment in self._payments() if payment.amount)

    def applications(self) -> tuple[Payment, ...]:
        """The payments of nothing, which put credit memos against invoices."""
        return tuple(payment for payment in self._payments() if not payment.amount)

    def duplicates(self) -> tuple[Duplicate, ...]:
        """Every reference that stands for more than one customer, document, payment or application."""
        named: list[tuple[str, str, str]] = [("customer", each.reference, each.id) for each in self.customers()]
        named += [(each.kind, each.reference, each.id) for each in self.documents() if each.status != "deleted"]
        named += [("payment", each.reference, each.id) for each in self.payments()]
        named += [("application", each.reference, each.id) for each in self.applications()]
        ids: dict[tuple[str, str], list[str]] = {}
        for kind, reference, id in named:
            ids.setdefault((kind, reference), []).append(id)
        several = sorted((key, tuple(found)) for key, found in ids.items() if key[1] and len(found) > 1)
        return tuple(Duplicate(kind, reference, found) for (kind, reference), found in several)

    def totals(self) -> dict[str, Decimal]:
        """What was issued, by currency: invoices less credit memos. What is void or deleted doesn't count."""
        totals: dict[str, Decimal] = {}
        for document in self.documents():
            if document.is_issued:
                signed = document.total if document.kind == "invoice" else -document.total
                totals[document.currency] = totals.get(document.currency, Decimal("0.00")) + signed
        return dict(sorted(totals.items()))

    # -- entities -------------------------------------------------------------------------------------------------

    def entity(self, kind: str, id: str) -> Entity | None:
        """One thing that stands, None where it never did or was deleted."""
        rows = self.read(
            "SELECT content FROM entities WHERE kind = ? AND id = ? AND NOT deleted",
            (kind, int(id) if id.isdigit() else -1),
        )
        return loads(rows[0][0]) if rows else None

    def entities(self, kind: str) -> list[Entity]:
        """Everything of a kind that stands, oldest first."""
        rows = self.read("SELECT content FROM entities WHERE kind = ? AND NOT deleted ORDER BY id", (kind,))
        return [loads(content) for (content,) in rows]

    def select(self, kind: str, column: str, values: Sequence[str]) -> list[Entity]:
        """What stands of a kind with one of these values in an indexed column: id, number, customer or name."""
        marks = ", ".join("?" * len(values))
        rows = self.read(
            f"SELECT content FROM entities WHERE kind = ? AND NOT deleted AND {column} IN ({marks}) ORDER BY id",
            (kind, *values),
        )
        return [loads(content) for (content,) in rows]

    def next_id(self) -> str:
        """An id that nothing has: transactions and people share one series here."""
        ((last,),) = self.read("SELECT coalesce(max(id), 100) FROM entities")
        return str(last + 1)

    def next_number(self) -> str:
        """The company's own next number."""
        ((count,),) = self.read("SELECT count(*) FROM entities WHERE kind IN ('Invoice', 'CreditMemo')")
        return str(1001 + count)

    def put(self, kind: str, entity: Entity) -> None:
        """Write a thing, new or changed. Its reference stays what it was when it was made. Raises TurnedDown where it is to be refused."""
        note = str(entity.get("PrivateNote") or entity.get("Notes") or "")
        found = _REFERENCE.search(note)
        self.decisions.heed(str(entity["Id"]), found[0] if found else None)
        row = (
            int(entity["Id"]),
            kind,
            found[0] if found else "",
            entity.get("DocNumber"),
            ref(entity, "CustomerRef"),
            entity.get("TxnDate"),
            str(entity["DisplayName"]).casefold() if "DisplayName" in entity else None,
            dumps(entity),
        )
        changed = ", ".join(f"{name} = excluded.{name}" for name in ("number", "customer", "day", "name", "content"))
        with self.transaction() as tx:
            tx.execute(
                "INSERT INTO entities (id, kind, reference, number, customer, day, name, content) "
                f"VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET {changed}",
                row,
            )

    def count_sending(self, id: str) -> None:
        """One more e-mail of that invoice went out."""
        with self.transaction() as tx:
            tx.execute("UPDATE entities SET sent = sent + 1 WHERE id = ?", (int(id),))

    def delete(self, id: str) -> None:
        """The thing stands no more. Raises TurnedDown where that is to be refused."""
        self.decisions.heed(id)
        with self.transaction() as tx:
            tx.execute("UPDATE entities SET deleted = 1 WHERE id = ?", (int(id),))

    # -- grants ---------------------------------------------------------------------------------------------------

    def grant(self, token: str) -> tuple[str, datetime, datetime, str | None] | None:
        """Kind, when it was made, when it dies and what replaced it; None of a token that was never given."""
        rows = self.read("SELECT kind, made_at, dies_at, replaced_by FROM grants WHERE token = ?", (token,))
        if not rows:
            return None
        kind, made_at, dies_at, replaced_by = rows[0]
        return kind, datetime.fromisoformat(made_at), datetime.fromisoformat(dies_at), replaced_by

    def put_grant(self, token: str, kind: str, made_at: datetime, dies_at: datetime) -> None:
        """Give a token (access, refresh or code)."""
        with self.transaction() as tx:
            row = (token, kind, made_at.isoformat(), dies_at.isoformat())
            tx.execute("INSERT OR REPLACE INTO grants (token, kind, made_at, dies_at) VALUES (?, ?, ?, ?)", row)

    def replace_grant(self, token: str, by: str, dies_at: datetime) -> None:
        """A token was replaced, and is taken until then."""
        with self.transaction() as tx:
            tx.execute(
                "UPDATE grants SET replaced_by = ?, dies_at = ? WHERE token = ?", (by, dies_at.isoformat(), token)
            )

    def count_grants(self) -> int:
        """How many tokens were given."""
        ((count,),) = self.read("SELECT count(*) FROM grants")
        return int(count)

    # -- inside ---------------------------------------------------------------------------------------------------

    def _all(self, kind: str) -> list[tuple[str, int, int, Entity]]:
        rows = self.read("SELECT reference, deleted, sent, content FROM entities WHERE kind = ? ORDER BY id", (kind,))
        return [(reference, deleted, sent, loads(content)) for reference, deleted, sent, content in rows]

    def _payments(self) -> list[Payment]:
        return [_payment(reference, each) for reference, deleted, _, each in self._all("Payment") if not deleted]


def _document(kind: str, reference: str, deleted: bool, sent: int, each: Entity) -> Document:
    total, left = Decimal(each["TotalAmt"]), Decimal(each["Balance" if kind == "Invoice" else "RemainingCredit"])
    is_void = str(each.get("PrivateNote", "")).startswith("Voided") and not total
    status = "deleted" if deleted else "void" if is_void else "issued" if left or not total else "paid"
    return Document(
        id=each["Id"],
        kind=_KINDS[kind],
        reference=reference,
        number=each.get("DocNumber"),
        status=status,
        customer=ref(each, "CustomerRef") or "",
        currency=ref(each, "CurrencyRef") or "",
        tax=Decimal((each.get("TxnTaxDetail") or {}).get("TotalTax", 0)),
        total=total,
        open_amount=left,
        date=each["TxnDate"],
        due_date=each.get("DueDate"),
        exchange_rate=Decimal(each["ExchangeRate"]) if "ExchangeRate" in each else None,
        sent_count=sent,
        lines=tuple(_line(line) for line in each["Line"] if line["DetailType"] == "SalesItemLineDetail"),
    )


def _line(line: Entity) -> Line:
    detail = line["SalesItemLineDetail"]
    return Line(
        line["Id"],
        line["LineNum"],
        line.get("Description", ""),
        Decimal(detail.get("Qty", 1)),
        Decimal(detail.get("UnitPrice", line["Amount"])),
        Decimal(line["Amount"]),
        ref(detail, "ItemRef"),
        ref(detail, "TaxCodeRef"),
    )


def _payment(reference: str, each: Entity) -> Payment:
    applied = tuple(
        (link["TxnId"], Decimal(line["Amount"]))
        for line in each.get("Line", ())
        for link in line["LinkedTxn"]
        if link["TxnType"] == "Invoice"
    )
    currency, customer = ref(each, "CurrencyRef") or "", ref(each, "CustomerRef") or ""
    return Payment(each["Id"], reference, Decimal(each["TotalAmt"]), currency, customer, applied)
