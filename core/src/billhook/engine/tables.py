"""The engine's set-based statements, and rows as dictionaries. Compiled once; SQL itself lives in the store."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from pydantic_core import from_json, to_json

from billhook.domain.mapping import MappedLine
from billhook.engine.invoice_row import COLUMNS, MUTABLE
from billhook.engine.work import WAITING, Lane, WorkRow
from billhook.store import schema
from billhook.store.statements import Delete, Insert, Update, Upsert, column_names
from billhook.store.transaction import Transaction

Row = dict[str, Any]

INSERT_INVOICE = Insert(schema.invoice, COLUMNS)
UPDATE_INVOICE = Update(schema.invoice, key=("id", "version"), set=MUTABLE)
INSERT_EVENT = Insert(
    schema.event, ("document_id", "version", "at", "cause", "hops", "changes", "operation_id", "note")
)
INSERT_BODY = Insert(schema.document_body, ("document_id", "revision", "body"))
UPSERT_MAPPING = Upsert(
    schema.document_mapping,
    key=("document_id", "revision", "app_id"),
    columns=("document_id", "revision", "app_id", "lines"),
)
INSERT_ISSUE = Insert(
    schema.validation_issue,
    ("id", "document_id", "component", "severity", "code", "message", "path", "metadata", "created_at"),
)
CONFIRMATION_KEY = ("invoice_id", "stage", "revision")
UPSERT_CONFIRMATION = Upsert(schema.confirmation, key=CONFIRMATION_KEY, columns=(*CONFIRMATION_KEY, "content", "at"))
SUPERSEDE_ISSUES = Update(
    schema.validation_issue, key=("document_id", "component"), set=("superseded_at",), where="superseded_at IS NULL"
)
WORK_COLUMNS = WorkRow._fields
UPSERT_WORK = Upsert(schema.work, key=("item_id", "operation", "app_id"), columns=WORK_COLUMNS)
# Only what still waits: what an operation holds, and perhaps nobody knows the end of, must not be begun again.
RELEASE_WAITING = Update(
    schema.work, key=("waits_for",), set=("state", "due", "waits_for"), where=f"state = {WAITING:d}"
)
DELETE_WORK = Delete(schema.work, key=("item_id", "operation", "app_id"))
# Work that nobody holds, as the row is when it is written and not as it was when it was read.
UPSERT_FREE_WORK = Upsert(
    schema.work, key=("item_id", "operation", "app_id"), columns=WORK_COLUMNS, where="{row}.state <> 1"
)
# What nobody asked for takes the place of nothing but its like.
UPSERT_UNASKED_WORK = Upsert(
    schema.work,
    key=("item_id", "operation", "app_id"),
    columns=WORK_COLUMNS,
    where=f"{{row}}.state = 0 AND {{row}}.lane = {Lane.UNASKED:d}",
)
DELETE_FREE_WORK = Delete(schema.work, key=("item_id", "operation", "app_id"), where="state <> 1")
CLAIM_WORK = Update(
    schema.work,
    key=("item_id", "operation", "app_id", "version"),
    set=("state", "operation_id"),
    where="state = 0",
)
# A lease that is held is always written, so that whoever gives it back at this moment waits, and then sees the work.
WAKE_APP = Update(
    schema.app_lease,
    key=("app_id",),
    set=("next_due",),
    where="owner IS NOT NULL OR next_due IS NULL OR next_due > {next_due}",
)
WAKE_APP_UNASKED = Update(
    schema.app_lease,
    key=("app_id",),
    set=("next_unasked",),
    where="owner IS NOT NULL OR next_unasked IS NULL OR next_unasked > {next_unasked}",
)

INSERT_ALLOCATION = Insert(
    schema.allocation, ("id", "namespace", "credit_note_id", "invoice_id", "amount", "created_at")
)

RECORDS: dict[str, sa.Table] = {"payment": schema.payment, "refund": schema.refund, "credit_note": schema.credit_note}
RECORD_COLUMNS = {kind: column_names(table) for kind, table in RECORDS.items()}
UPSERT_RECORD = {kind: Upsert(table, key=("id",), columns=RECORD_COLUMNS[kind]) for kind, table in RECORDS.items()}

LINK_COLUMNS = column_names(schema.document_link)
UPSERT_LINK = Upsert(schema.document_link, key=("document_id", "app_id"), columns=LINK_COLUMNS)
EMPTY = "{}"
LINK_JSON = ("line_ids", "discount_ids", "leftovers", "evidence")

CUSTOMER_LINK_COLUMNS = column_names(schema.customer_link)
UPSERT_CUSTOMER_LINK = Upsert(schema.customer_link, key=("customer_id", "app_id"), columns=CUSTOMER_LINK_COLUMNS)
CUSTOMER_LINK_JSON = ("app_data", "leftovers", "failure")


def dump_text(value: Any) -> str:
    """Compact JSON text."""
    return to_json(value).decode()


def dump_mapping(lines: Sequence[MappedLine]) -> bytes:
    """Mapped lines as JSON."""
    return to_json([line.to_json() for line in lines])


def load_mapping(body: bytes) -> tuple[MappedLine, ...]:
    """The mapped lines that ``dump_mapping`` wrote."""
    return tuple(MappedLine.from_json(line) for line in from_json(body))


def new_link(document_id: str, app_id: str, kind: str = "invoice") -> Row:
    """A document that an app does not know yet."""
    return {
        "document_id": document_id,
        "app_id": app_id,
        "kind": kind,
        "external_id": None,
        "payment_external_id": None,
        "number": None,
        "url": None,
        "line_ids": {},
        "discount_ids": {},
        "leftovers": {},
        "evidence": None,
    }


def read_links(tx: Transaction, document_ids: Iterable[str]) -> list[Row]:
    """How apps know these documents."""
    rows = tx.select_in(schema.document_link, LINK_COLUMNS, "document_id", sorted(document_ids))
    return [_decoded(dict(zip(LINK_COLUMNS, row, strict=True)), LINK_JSON) for row in rows]


def read_bearer(tx: Transaction, app_id: str, kind: str, external_id: str) -> str | None:
    """The id of the document of that kind that an app calls so."""
    link = schema.document_link.c
    bears = sa.and_(link.app_id == app_id, link.external_id == external_id, link.kind == kind)
    found: str | None = tx.scalar(sa.select(link.document_id).where(bears).limit(1))
    return found


def link_tuple(link: Row) -> tuple[Any, ...]:
    """A document link as stored."""
    return _encoded(link, LINK_COLUMNS, LINK_JSON)


def read_customer_links(tx: Transaction, customer_ids: Sequence[str], app_id: str) -> dict[str, Row]:
    """How an app knows these customers; a fresh row for each that it does not."""
    links = {id: _new_customer_link(id, app_id) for id in customer_ids}
    for row in tx.select_in(schema.customer_link, CUSTOMER_LINK_COLUMNS, "customer_id", list(customer_ids)):
        link = dict(zip(CUSTOMER_LINK_COLUMNS, row, strict=True))
        if link["app_id"] == app_id:
            links[link["customer_id"]] = _decoded(link, CUSTOMER_LINK_JSON)
    return links


def _new_customer_link(customer_id: str, app_id: str) -> Row:
    return {
        "customer_id": customer_id,
        "app_id": app_id,
        "synced_revision": None,
        "external_id": None,
        "payment_method": None,
        "app_data": {},
        "leftovers": {},
        "failure": None,
    }


def customer_link_tuple(link: Row) -> tuple[Any, ...]:
    """A customer link as stored."""
    return _encoded(link, CUSTOMER_LINK_COLUMNS, CUSTOMER_LINK_JSON)


def read_records(tx: Transaction, kind: str, ids: Sequence[str]) -> list[Row]:
    """Payments, refunds or credit notes by id."""
    columns = RECORD_COLUMNS[kind]
    rows = tx.select_in(RECORDS[kind], columns, "id", ids) if ids else []
    return [dict(zip(columns, row, strict=True)) for row in rows]


def read_payments_of(tx: Transaction, invoice_ids: Sequence[str]) -> list[Row]:
    """Every payment of these invoices."""
    columns = RECORD_COLUMNS["payment"]
    rows = tx.select_in(schema.payment, columns, "invoice_id", invoice_ids)
    return [dict(zip(columns, row, strict=True)) for row in rows]


def record_tuple(kind: str, row: Row) -> tuple[Any, ...]:
    """A payment, refund or credit note as stored."""
    return tuple(map(row.__getitem__, RECORD_COLUMNS[kind]))


def read_subject_work(tx: Transaction, subject_id: str) -> list[WorkRow]:
    """Everything that is to be done for a subject."""
    return [WorkRow(*row) for row in tx.select_in(schema.work, WORK_COLUMNS, "subject_id", [subject_id])]


def read_item_work(tx: Transaction, item_id: str) -> list[WorkRow]:
    """Everything that is to be done for an item."""
    return [WorkRow(*row) for row in tx.select_in(schema.work, WORK_COLUMNS, "item_id", [item_id])]


def read_waiting_work(tx: Transaction, name: str) -> list[WorkRow]:
    """Everything that waits for that name."""
    found = (WorkRow(*row) for row in tx.select_in(schema.work, WORK_COLUMNS, "waits_for", [name]))
    return [work for work in found if work.is_waiting]


def _decoded(row: Row, json_columns: Iterable[str]) -> Row:
    for name in json_columns:
        text = row[name]
        row[name] = {} if text == EMPTY else from_json(text) if text else None
    return row


def _encoded(row: Row, columns: Sequence[str], json_columns: Iterable[str]) -> tuple[Any, ...]:
    return tuple(map((row | {name: _text(row[name]) for name in json_columns}).__getitem__, columns))


def _text(value: Any) -> str | None:
    if not value:
        return None if value is None else EMPTY
    return dump_text(value)
