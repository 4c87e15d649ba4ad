"""Freezing a batch: everything an operation may read, gathered from the store, written down, and built from what was written.

The live run and a replay after a crash build their items from the same frozen values, so they can't differ.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from billhook.contract.declaration import Capability
from billhook.contract.items import (
    CreditNoteItem,
    CustomerItem,
    CustomerLink,
    InvoiceItem,
    PaymentItem,
    RefundItem,
)
from billhook.contract.operations import OPERATIONS, OperationSpec
from billhook.domain.invoice import InvoiceContent, InvoiceView
from billhook.domain.mapping import MappedLine
from billhook.domain.party import CustomerSnapshot
from billhook.engine import tables
from billhook.engine.context import Context
from billhook.engine.invoice_row import invoice_view
from billhook.engine.moments import from_micros, maybe_from_micros, to_micros
from billhook.engine.work import WorkRow
from billhook.store import schema
from billhook.store.transaction import Transaction

Row = dict[str, Any]
Frozen = dict[str, Any]

TOLD_COLUMNS = (
    "id",
    "namespace",
    "client_key",
    "state",
    "version",
    "revision",
    "customer_id",
    "payment_app_id",
    "number",
    "number_final",
    "total",
    "amount_paid",
    "amount_credited",
    "amount_refunded",
    "collection_at",
    "draft_until",
    "due_at",
    "issued_at",
    "sent_at",
    "voided_at",
    "deleted_at",
    "created_at",
    "updated_at",
)


@dataclass(frozen=True, slots=True)
class FrozenBatch:
    """What T1 stores of a batch. ``items`` are plain JSON values."""

    items: tuple[Frozen, ...]
    settings: Mapping[str, Any]
    now: datetime

    def dump(self) -> bytes:
        """As JSON."""
        whole = {"items": self.items, "settings": self.settings, "now": to_micros(self.now)}
        return tables.dump_text(whole).encode()

    @classmethod
    def load(cls, data: bytes) -> FrozenBatch:
        """What ``dump`` wrote."""
        whole = json.loads(data)
        return cls(tuple(whole["items"]), whole["settings"], from_micros(whole["now"]))


class Freezer:
    """Reads from the store what a batch of one operation needs."""

    def __init__(self, context: Context, tx: Transaction, app_id: str) -> None:
        self._context = context
        self._tx = tx
        self._app_id = app_id

    def freeze(self, spec: OperationSpec, works: Sequence[WorkRow], numbers: Mapping[str, str]) -> list[Frozen]:
        """The frozen items, in the order of the work. Work whose item is gone is left out."""
        items = _FREEZERS[spec.item](self, spec, works)
        for item in items:
            if item["id"] in numbers:
                item["number"] = numbers[item["id"]]
        return items

    def invoices(self, spec: OperationSpec, works: Sequence[WorkRow]) -> list[Frozen]:
        """Invoices with their links."""
        rows = self.invoice_rows(work.subject_id for work in works)
        links = self._links(rows)
        customers = self._customer_links(row["customer_id"] for row in rows.values())
        return [
            self._invoice(work.item_id, rows[work.subject_id], links, customers)
            for work in works
            if work.subject_id in rows
        ]

    def credit_notes(self, spec: OperationSpec, works: Sequence[WorkRow]) -> list[Frozen]:
        """Credit notes with the remote id of what they apply to."""
        records = self._records("credit_note", [work.item_id for work in works])
        parents = [row["invoice_id"] for row in records.values() if row["invoice_id"]]
        links = self._links([*records, *parents])
        customers = self._customer_links(row["customer_id"] for row in records.values())
        return [self._credit_note(records[work.item_id], links, customers) for work in works if work.item_id in records]

    def payments(self, spec: OperationSpec, works: Sequence[WorkRow]) -> list[Frozen]:
        """Payments with the invoice they are for."""
        records = self._records("payment", [work.item_id for work in works])
        rows = self.invoice_rows(row["invoice_id"] for row in records.values())
        links = self._links([*rows, *records])
        customers = self._customer_links(row["customer_id"] for row in rows.values())
        return [
            self._payment(spec, records[work.item_id], rows[records[work.item_id]["invoice_id"]], links, customers)
            for work in works
            if work.item_id in records
        ]

    def refunds(self, spec: OperationSpec, works: Sequence[WorkRow]) -> list[Frozen]:
        """Refunds with the remote id of their payment."""
        records = self._records("refund", [work.item_id for work in works])
        payments = self._records("payment", [row["payment_id"] for row in records.values()])
        links = self._links(records)
        return [
            {
                "id": row["id"],
                "amount": row["amount"],
                "currency": row["currency"],
                "reason": row["reason"],
                "external_id": row["external_id"],
                "payment_external_id": payments[row["payment_id"]]["external_id"],
                "leftovers": links[row["id"]]["leftovers"],
            }
            for row in (records[work.item_id] for work in works if work.item_id in records)
        ]

    def customers(self, spec: OperationSpec, works: Sequence[WorkRow]) -> list[Frozen]:
        """Customers, with what the app knows of them."""
        table = schema.customer
        columns = ("id", "party", "currency", "metadata", "revision")
        rows = {row[0]: row for row in self._tx.select_in(table, columns, "id", [work.item_id for work in works])}
        links = self._customer_links(rows)
        return [
            {
                "id": id,
                "party": json.loads(party),
                "currency": currency,
                "metadata": json.loads(metadata),
                "revision": revision,
                "external_id": links[id]["external_id"],
                "leftovers": links[id]["leftovers"],
            }
            for id, party, currency, metadata, revision in (
                rows[work.item_id] for work in works if work.item_id in rows
            )
        ]

    def invoice_rows(self, ids: Iterable[str]) -> dict[str, Row]:
        """What an operation is told of invoices, by id; columns without a value are absent."""
        rows = self._context.rows.read(self._tx, dict.fromkeys(ids))
        return {id: {name: row[name] for name in TOLD_COLUMNS if row[name] is not None} for id, row in rows.items()}

    def _records(self, kind: str, ids: Sequence[str]) -> dict[str, Row]:
        columns = tables.RECORD_COLUMNS[kind]
        found = self._tx.select_in(tables.RECORDS[kind], columns, "id", list(ids))
        return {row[0]: dict(zip(columns, row, strict=True)) for row in found}

    def _links(self, document_ids: Iterable[str]) -> dict[str, Row]:
        ids = list(document_ids)
        links = {id: tables.new_link(id, self._app_id) for id in ids}
        links.update(
            {row["document_id"]: row for row in tables.read_links(self._tx, ids) if row["app_id"] == self._app_id}
        )
        return links

    def _customer_links(self, customer_ids: Iterable[str]) -> dict[str, Row]:
        distinct = list(dict.fromkeys(customer_ids))
        return tables.read_customer_links(self._tx, distinct, self._app_id)

    def _invoice(self, item_id: str, row: Row, links: Mapping[str, Row], customers: Mapping[str, Row]) -> Frozen:
        link = links[row["id"]]
        return {
            "id": item_id,
            "row": row,
            "number": row.get("number"),
            "external_id": link["external_id"],
            "line_ids": link["line_ids"],
            "discount_ids": link["discount_ids"],
            "leftovers": link["leftovers"],
            "customer": _customer(customers[row["customer_id"]]),
        }

    def _credit_note(self, row: Row, links: Mapping[str, Row], customers: Mapping[str, Row]) -> Frozen:
        link = links[row["id"]]
        parent = links[row["invoice_id"]]["external_id"] if row["invoice_id"] else None
        return {
            "id": row["id"],
            "row": {name: row[name] for name in tables.RECORD_COLUMNS["credit_note"] if row[name] is not None},
            "number": row["number"],
            "external_id": link["external_id"],
            "applies_to": parent,
            "leftovers": link["leftovers"],
            "customer": _customer(customers[row["customer_id"]]),
        }

    def _payment(
        self, spec: OperationSpec, row: Row, invoice: Row, links: Mapping[str, Row], customers: Mapping[str, Row]
    ) -> Frozen:
        is_capture = spec.capability is Capability.CAPTURE_PAYMENT
        return {
            "id": row["id"],
            "invoice": invoice,
            "amount": row["amount_to_capture"] if is_capture else row["amount"],
            "currency": row["currency"],
            "method": row["method"],
            "received_at": row["received_at"],
            "external_id": links[row["id"]]["external_id"]
            or (row["external_id"] if row["app_id"] == self._app_id else None),
            "invoice_external_id": links[invoice["id"]]["external_id"],
            "leftovers": links[row["id"]]["leftovers"],
            "customer": _customer(customers[invoice["customer_id"]]),
        }


class Thawer:
    """Builds a batch from its frozen values and the immutable revisions that they name."""

    def __init__(self, context: Context, tx: Transaction, app_id: str) -> None:
        self._context = context
        self._tx = tx
        self._app_id = app_id

    def items(self, spec: OperationSpec, frozen: Sequence[Frozen]) -> tuple[Any, ...]:
        """The items, in order."""
        keys = [key for item in frozen if (key := _revision_of(item)) is not None]
        contents = self._context.documents.contents(self._tx, keys) if keys else {}
        mappings: Mapping[tuple[str, int, str], tuple[MappedLine, ...]] = {}
        if spec.maps_lines:
            mappings = self._context.documents.mappings(self._tx, [(*key, self._app_id) for key in keys])
        build = _THAWERS[spec.item]
        return tuple(build(item, contents, mappings, self._app_id) for item in frozen)


def _customer(link: Row) -> Frozen:
    return {name: link[name] for name in ("customer_id", "external_id", "payment_method", "app_data") if link[name]}


def _customer_link(frozen: Frozen) -> CustomerLink:
    return CustomerLink(
        frozen["customer_id"], frozen.get("external_id"), frozen.get("payment_method"), frozen.get("app_data", {})
    )


def _revision_of(item: Frozen) -> tuple[str, int] | None:
    row = item.get("row") or item.get("invoice")
    return None if row is None else (row["id"], row.get("revision", 1))


def _view(row: Row, contents: Mapping[tuple[str, int], InvoiceContent]) -> InvoiceView:
    return invoice_view(row, contents[row["id"], row["revision"]])


def credit_note_view(row: Row, content: InvoiceContent, external_id: str | None = None) -> InvoiceView:
    """A credit note as plugins and hosts read it; hosts are told what its app calls it, too."""
    at = from_micros(row["created_at"])
    return InvoiceView(
        id=row["id"],
        namespace=row["namespace"],
        status=row["state"],
        revision=1,
        version=row["version"],
        customer_id=row["customer_id"],
        content=content,
        created_at=at,
        updated_at=from_micros(row["updated_at"]),
        key=row.get("client_key"),
        number=row["number"],
        issued_at=maybe_from_micros(row.get("issued_at")),
        amount_credited=Decimal(row["amount_allocated"]),
        amount_due=Decimal(0),
        external_ids={} if external_id is None else {"invoicing": external_id},
    )


Contents = Mapping[tuple[str, int], InvoiceContent]
Mappings = Mapping[tuple[str, int, str], tuple[MappedLine, ...]]


def _thaw_invoice(item: Frozen, contents: Contents, mappings: Mappings, app_id: str) -> InvoiceItem:
    row = item["row"]
    return InvoiceItem(
        id=item["id"],
        invoice=_view(row, contents),
        customer=_customer_link(item["customer"]),
        lines=mappings.get((row["id"], row["revision"], app_id), ()),
        number=item["number"],
        external_id=item["external_id"],
        line_external_ids=item["line_ids"],
        discount_external_ids=item["discount_ids"],
        leftovers=item["leftovers"],
        collected_here=row.get("payment_app_id") == app_id,
    )


def _thaw_credit_note(item: Frozen, contents: Contents, mappings: Mappings, app_id: str) -> CreditNoteItem:
    row = item["row"]
    return CreditNoteItem(
        id=item["id"],
        credit_note=credit_note_view(row, contents[row["id"], 1]),
        customer=_customer_link(item["customer"]),
        lines=mappings.get((row["id"], 1, app_id), ()),
        number=item["number"],
        external_id=item["external_id"],
        applies_to=item["applies_to"],
        leftovers=item["leftovers"],
    )


def _thaw_payment(item: Frozen, contents: Contents, mappings: Mappings, app_id: str) -> PaymentItem:
    return PaymentItem(
        id=item["id"],
        invoice=_view(item["invoice"], contents),
        amount=Decimal(item["amount"]),
        currency=item["currency"],
        customer=_customer_link(item["customer"]),
        invoice_external_id=item["invoice_external_id"],
        external_id=item["external_id"],
        method=item["method"],
        received_at=maybe_from_micros(item["received_at"]),
        leftovers=item["leftovers"],
    )


def _thaw_refund(item: Frozen, contents: Contents, mappings: Mappings, app_id: str) -> RefundItem:
    return RefundItem(
        id=item["id"],
        amount=Decimal(item["amount"]),
        currency=item["currency"],
        payment_external_id=item["payment_external_id"],
        reason=item["reason"],
        external_id=item["external_id"],
        leftovers=item["leftovers"],
    )


def _thaw_customer(item: Frozen, contents: Contents, mappings: Mappings, app_id: str) -> CustomerItem:
    return CustomerItem(
        id=item["id"],
        customer=CustomerSnapshot.model_validate(item["party"]),
        revision=item["revision"],
        currency=item["currency"],
        metadata=item["metadata"],
        external_id=item["external_id"],
        leftovers=item["leftovers"],
    )


_FREEZERS: dict[type, Callable[[Freezer, OperationSpec, Sequence[WorkRow]], list[Frozen]]] = {
    InvoiceItem: Freezer.invoices,
    CreditNoteItem: Freezer.credit_notes,
    PaymentItem: Freezer.payments,
    RefundItem: Freezer.refunds,
    CustomerItem: Freezer.customers,
}

_THAWERS: dict[type, Callable[[Frozen, Contents, Mappings, str], Any]] = {
    InvoiceItem: _thaw_invoice,
    CreditNoteItem: _thaw_credit_note,
    PaymentItem: _thaw_payment,
    RefundItem: _thaw_refund,
    CustomerItem: _thaw_customer,
}


def needs_customer(capability: Capability) -> bool:
    """Whether an operation of that capability needs the customer at the provider first."""
    return OPERATIONS[capability].item in (InvoiceItem, CreditNoteItem, PaymentItem)
