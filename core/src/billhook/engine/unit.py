"""One transaction's worth of changes: rows read once, changed in memory, and written set by set at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any

from billhook.contract.events import InvoiceTransitioned
from billhook.domain.ids import RANDOMNESS_BYTES, new_ulid
from billhook.domain.invoice import InvoiceContent
from billhook.domain.lifecycle import Hop, is_final
from billhook.domain.mapping import MappedLine
from billhook.engine import tables
from billhook.engine.apps import AppHandle
from billhook.engine.confirmation_changes import ConfirmationChanges
from billhook.engine.context import Context
from billhook.engine.invoice_row import COLUMNS, MUTABLE, InvoiceRow
from billhook.engine.issue_changes import IssueChanges
from billhook.engine.locks import hold, of_customer
from billhook.engine.moments import to_micros
from billhook.engine.notifications.notices import Notices
from billhook.engine.work import Lane
from billhook.engine.work_changes import WorkChanges
from billhook.errors import BillhookError, NotFound, StaleWrite, StoreError
from billhook.store import schema
from billhook.store.transaction import Transaction

Row = dict[str, Any]
COUNTER_BYTES = 3
OPEN_CREDIT_STATES = frozenset({"draft", "issuing"})


class Unit:
    """What one transaction reads and changes. ``flush`` writes it all; nothing is written before.

    ``bound`` says that the transaction is the host's: no final number may be taken in it. ``wakes_workers`` is False where a worker
    itself looks at ``wanted``.
    """

    def __init__(
        self,
        context: Context,
        tx: Transaction,
        *,
        bound: bool = False,
        lane: Lane = Lane.BULK,
        wakes_workers: bool = True,
    ) -> None:
        self.context = context
        self.tx = tx
        self.bound = bound
        self._wakes_workers = wakes_workers
        self.lane = lane
        self.awaited: set[str] = set()
        """Invoices for which commands wait: they go no further until those were heard."""
        self.now: datetime = context.clock.now()
        self.now_micros = to_micros(self.now)
        self.invoices: dict[str, InvoiceRow] = {}
        self.contents: dict[tuple[str, int], InvoiceContent] = {}
        self.mappings: dict[tuple[str, int, str], tuple[MappedLine, ...]] = {}
        self.links: dict[tuple[str, str], Row] = {}
        self.customer_links: dict[tuple[str, str], Row] = {}
        self._customer_revisions: dict[str, int] = {}
        self.work = WorkChanges(tx, self.now_micros)
        self.issues = IssueChanges(tx, partial(context.new_id, self.now), self.now_micros)
        self.confirmations = ConfirmationChanges(tx, self.now_micros)
        self.records: dict[str, dict[str, Row]] = {name: {} for name in tables.RECORDS}
        self._payments_read: set[str] = set()
        self._open_credits: dict[str, Decimal] = {}
        self._payment_ids: dict[str, dict[str, None]] = {}
        self._apps: dict[str, AppHandle] = {}
        self._dirty_records: dict[str, set[str]] = {name: set() for name in tables.RECORDS}
        self._dirty_links: set[tuple[str, str]] = set()
        self._dirty_customer_links: set[tuple[str, str]] = set()
        self._events: list[tuple[Any, ...]] = []
        self._bodies: list[tuple[Any, ...]] = []
        self._mapping_rows: list[tuple[Any, ...]] = []
        self.named: list[tuple[str, str, str, str]] = []
        self._transitions: list[InvoiceTransitioned] = []
        self._is_watched = context.observers.hear("invoice_transitioned")
        self._notices = Notices(context, tx, self.now_micros)
        self._later: list[Callable[[], None]] = []
        self._documents_made = 0

    # Invoices.

    def load_invoices(self, ids: Iterable[str]) -> None:
        """Read the rows that are not here yet, for change."""
        missing = {id for id in ids if id not in self.invoices}
        if not missing:
            return
        for id, row in self.context.rows.read(self.tx, missing).items():
            self.invoices[id] = InvoiceRow(row)

    def invoice(self, id: str, namespace: str | None = None) -> InvoiceRow:
        """The invoice, for change. Raises NotFound when it is not there or belongs to another namespace."""
        if id not in self.invoices:
            self.load_invoices([id])
        row = self.invoices.get(id)
        if row is None or (namespace is not None and row.namespace != namespace):
            raise NotFound("invoice", id, namespace)
        return row

    def new_document_id(self) -> str:
        """A fresh id. All documents of a unit are of one moment, and their ids sort in the order in which they were made."""
        self._documents_made += 1
        chance = self.context.randomness(RANDOMNESS_BYTES - COUNTER_BYTES)
        return new_ulid(self.now, self._documents_made.to_bytes(COUNTER_BYTES) + chance)

    def add_invoice(self, values: Row, content: InvoiceContent, body: bytes) -> InvoiceRow:
        """A new invoice with its first revision."""
        row = InvoiceRow(values, is_new=True)
        self.invoices[row.id] = row
        self.add_body(row.id, row.revision, content, body)
        return row

    def add_body(self, document_id: str, revision: int, content: InvoiceContent, body: bytes) -> None:
        """A new immutable revision."""
        self.contents[document_id, revision] = content
        self._bodies.append((document_id, revision, body))

    def content(self, document_id: str, revision: int) -> InvoiceContent:
        """One revision's content."""
        self.load_contents([(document_id, revision)])
        return self.contents[document_id, revision]

    def load_contents(self, wanted: Sequence[tuple[str, int]]) -> None:
        """Read the revisions that are not here yet."""
        missing = [key for key in wanted if key not in self.contents]
        if missing:
            self.contents.update(self.context.documents.contents(self.tx, missing))

    def mapping(self, document_id: str, revision: int, app_id: str) -> tuple[MappedLine, ...]:
        """Where the lines of a revision go at an app, as validated."""
        key = (document_id, revision, app_id)
        self.load_mappings([key])
        return self.mappings.get(key, ())

    def load_mappings(self, wanted: Sequence[tuple[str, int, str]]) -> None:
        """Read the mappings that are not here yet."""
        missing = [key for key in wanted if key not in self.mappings]
        if missing:
            self.mappings.update(self.context.documents.mappings(self.tx, missing))

    def keep_mapping(self, document_id: str, revision: int, app_id: str, lines: tuple[MappedLine, ...]) -> None:
        """Freeze where the lines go: what is sent later is what was validated now."""
        self.mappings[document_id, revision, app_id] = lines
        self._mapping_rows.append((document_id, revision, app_id, tables.dump_mapping(lines)))

    def record(
        self,
        row: InvoiceRow,
        cause: str,
        hops: tuple[Hop, ...] = (),
        path: str | None = None,
        *,
        operation_id: str | None = None,
        note: str | None = None,
    ) -> None:
        """Append the event that explains what changed, and count the row's version up. ``path`` is how the hops are kept."""
        values, is_first = row.values, not row.recorded
        values["updated_at"] = self.now_micros
        changes = row.changes()
        values["version"] += 1
        self._events.append(
            (
                row.id,
                values["version"],
                self.now_micros,
                cause,
                path,
                tables.dump_text(changes),
                operation_id,
                note,
            )
        )
        row.mark_recorded()
        if hops:
            link = self.links.get((row.id, values["invoicing_app_id"]))
            self._notices.note(row, hops, link, is_new=is_first)
        if hops and self._is_watched:
            moves = tuple((hop.trigger.value, hop.to_state.value) for hop in hops)
            self._transitions.append(InvoiceTransitioned(row.namespace, row.id, values["version"], moves, self.now))

    def record_document(
        self, record: Row, cause: str, changes: Row, *, operation_id: str | None = None, note: str | None = None
    ) -> None:
        """Append an event of a credit note, and count its version up."""
        record["version"] += 1
        self._events.append(
            (
                record["id"],
                record["version"],
                self.now_micros,
                cause,
                None,
                tables.dump_text(changes),
                operation_id,
                note,
            )
        )

    # Documents as apps know them.

    def load_links(self, keys: Iterable[tuple[str, str]]) -> None:
        """Read how apps know these documents."""
        missing = [key for key in keys if key not in self.links]
        if not missing:
            return
        for row in tables.read_links(self.tx, {document for document, _ in missing}):
            self.links.setdefault((row["document_id"], row["app_id"]), row)
        for document_id, app_id in missing:
            self.links.setdefault((document_id, app_id), tables.new_link(document_id, app_id))

    def link(self, document_id: str, app_id: str) -> Row:
        """How an app knows a document; empty when it does not."""
        key = (document_id, app_id)
        if key not in self.links:
            self.load_links([key])
        return self.links[key]

    def save_link(self, link: Row) -> None:
        """Keep what an app said of a document."""
        self._dirty_links.add((link["document_id"], link["app_id"]))

    def customer_link(self, customer_id: str, app_id: str) -> Row:
        """How an app knows a customer; empty when it does not."""
        self.load_customer_links([customer_id], app_id)
        return self.customer_links[customer_id, app_id]

    def customer_link_to_change(self, namespace: str, customer_id: str, app_id: str) -> Row:
        """As ``customer_link``, as it is now; nobody else changes it until this transaction ends."""
        hold(self.tx, namespace, of_customer(customer_id))
        if (customer_id, app_id) not in self._dirty_customer_links:
            self.customer_links.pop((customer_id, app_id), None)
        return self.customer_link(customer_id, app_id)

    def load_customer_links(self, customer_ids: Iterable[str], app_id: str) -> None:
        """Read how an app knows these customers."""
        missing = [id for id in dict.fromkeys(customer_ids) if (id, app_id) not in self.customer_links]
        if missing:
            links = tables.read_customer_links(self.tx, missing, app_id)
            self.customer_links.update({(id, app_id): link for id, link in links.items()})

    def load_customer_revisions(self, customer_ids: Iterable[str]) -> None:
        """Read how often these customers were changed."""
        missing = [id for id in dict.fromkeys(customer_ids) if id not in self._customer_revisions]
        self._customer_revisions.update(dict.fromkeys(missing, 0))
        self._customer_revisions.update(self.tx.select_in(schema.customer, ("id", "revision"), "id", missing))

    def customer_revision(self, customer_id: str) -> int:
        """How often a customer was changed."""
        self.load_customer_revisions([customer_id])
        return self._customer_revisions[customer_id]

    def save_customer_link(self, link: Row) -> None:
        """Keep what an app said of a customer."""
        self._dirty_customer_links.add((link["customer_id"], link["app_id"]))

    # Payments, refunds, credit notes: rows with a small lifecycle.

    def load_records(self, kind: str, ids: Iterable[str]) -> None:
        """Read payments, refunds or credit notes for change."""
        have = self.records[kind]
        for row in tables.read_records(self.tx, kind, [id for id in ids if id not in have]):
            self._know(kind, row)

    def get_record(self, kind: str, id: str, namespace: str | None = None) -> Row:
        """One payment, refund or credit note, for change. Raises NotFound."""
        if id not in self.records[kind]:
            self.load_records(kind, [id])
            self._load_under_its_invoice(kind, id)
        row = self.records[kind].get(id)
        if row is None or (namespace is not None and row["namespace"] != namespace):
            raise NotFound(kind.replace("_", " "), id, namespace)
        return row

    def _load_under_its_invoice(self, kind: str, id: str) -> None:
        """Read it again once its invoice was read, whose version tells of every change of its money that comes after."""
        row = self.records[kind].get(id)
        invoice_id = row["invoice_id"] if row is not None else None
        if invoice_id is None or invoice_id in self.invoices:
            return
        self.load_invoices([invoice_id])
        del self.records[kind][id]
        self.load_records(kind, [id])

    def load_payments_of(self, invoice_ids: Iterable[str]) -> None:
        """Read every payment of these invoices."""
        missing = [id for id in dict.fromkeys(invoice_ids) if id not in self._payments_read]
        if not missing:
            return
        self._payments_read.update(missing)
        for row in tables.read_payments_of(self.tx, missing):
            self._know("payment", self.records["payment"].get(row["id"], row))

    def payments_of(self, invoice_id: str) -> list[Row]:
        """Every payment of an invoice."""
        if invoice_id not in self._payments_read:
            self.load_payments_of([invoice_id])
        known = self.records["payment"]
        return [known[id] for id in self._payment_ids.get(invoice_id, ())]

    def _know(self, kind: str, row: Row) -> None:
        self.records[kind][row["id"]] = row
        if kind == "payment":
            self._payment_ids.setdefault(row["invoice_id"], {})[row["id"]] = None

    def load_open_credits(self, invoice_ids: Iterable[str]) -> None:
        """Read which credit notes of these invoices are still to be issued."""
        missing = [id for id in dict.fromkeys(invoice_ids) if id not in self._open_credits]
        if not missing:
            return
        self._open_credits.update(dict.fromkeys(missing, Decimal(0)))
        columns = ("id", "invoice_id", "state", "total")
        stored = self.tx.select_in(schema.credit_note, columns, "invoice_id", missing)
        notes = {id: (invoice_id, state, total) for id, invoice_id, state, total in stored}
        for id, note in self.records["credit_note"].items():
            notes[id] = (note["invoice_id"], note["state"], note["total"])
        for invoice_id, state, total in notes.values():
            if invoice_id in missing and state in OPEN_CREDIT_STATES:
                self._open_credits[invoice_id] += Decimal(total)

    def open_credits(self, invoice_id: str) -> Decimal:
        """How much is about to be credited to an invoice."""
        if invoice_id not in self._open_credits:
            self.load_open_credits([invoice_id])
        return self._open_credits[invoice_id]

    def app(self, app_id: str) -> AppHandle:
        """The installed app."""
        if app_id not in self._apps:
            self._apps[app_id] = self.context.apps.get(self.tx, app_id)
        return self._apps[app_id]

    def app_if_loaded(self, app_id: str) -> AppHandle | None:
        """The installed app; None where its provider is gone, which does nothing."""
        try:
            return self.app(app_id)
        except StoreError:
            raise
        except BillhookError:
            return None

    def save_record(self, kind: str, row: Row) -> Row:
        """Keep a new or changed payment, refund or credit note."""
        row["updated_at"] = self.now_micros
        self._know(kind, row)
        if kind == "credit_note":
            self._open_credits.pop(row["invoice_id"], None)
        self._dirty_records[kind].add(row["id"])
        return row

    # Webhooks that came before we knew what they are about.

    def match_inbox(self, app_id: str, external_id: str | None, document_id: str, kind: str) -> None:
        """An external id is known now: events that named it are worked."""
        if external_id is not None:
            self.named.append((app_id, external_id, document_id, kind))

    def after_commit(self, act: Callable[[], None]) -> None:
        """Do this once everything is committed."""
        self._later.append(act)

    # Writing.

    def flush(self) -> None:
        """Write everything, each table in one statement. Raises StaleWrite when an invoice was changed by somebody else."""
        self._write(is_last=True)

    def flush_midway(self) -> None:
        """As ``flush``, where more is to follow: invoices that are new are still on their way."""
        self._write(is_last=False)

    def _write(self, *, is_last: bool) -> None:
        if self._notices.write(is_last=is_last):
            self._later.append(self.context.notice_wakeups.wake)
        self._flush_invoices()
        self._flush_documents()
        self._flush_records()
        self.issues.flush()
        self.confirmations.flush()
        if self.work.flush() and self._wakes_workers:
            self._later.append(self.context.wakeups.wake)
        self._announce()

    def _flush_invoices(self) -> None:
        fresh = [row for row in self.invoices.values() if row.is_new]
        changed = [
            row for row in self.invoices.values() if not row.is_new and row.values["version"] != row.loaded_version
        ]
        if fresh:
            self.tx.insert_many(tables.INSERT_INVOICE, [tuple(map(row.values.get, COLUMNS)) for row in fresh])
        if changed:
            rows = [(row.id, row.loaded_version, *map(row.values.__getitem__, MUTABLE)) for row in changed]
            if self.tx.update_many(tables.UPDATE_INVOICE, rows) != len(rows):
                raise StaleWrite(
                    "An invoice was changed by somebody else meanwhile. Nothing was written; read it again."
                )
        for row in (*fresh, *changed):
            row.loaded_version, row.is_new = row.values["version"], False
        if fresh or changed:
            written = [dict(row.values) for row in (*fresh, *changed)]
            self.tx.after_commit(partial(self.context.rows.keep, written))
        if self._events:
            self.tx.insert_many(tables.INSERT_EVENT, self._events)
        self._events = []

    def _flush_documents(self) -> None:
        if self._bodies:
            self.tx.insert_many(tables.INSERT_BODY, self._bodies)
        if self._mapping_rows:
            self.tx.upsert_many(tables.UPSERT_MAPPING, self._mapping_rows)
        if self._dirty_links:
            self.tx.upsert_many(
                tables.UPSERT_LINK, [tables.link_tuple(self.links[key]) for key in sorted(self._dirty_links)]
            )
        if self._dirty_customer_links:
            rows = [tables.customer_link_tuple(self.customer_links[key]) for key in sorted(self._dirty_customer_links)]
            self.tx.upsert_many(tables.UPSERT_CUSTOMER_LINK, rows)
        self._bodies, self._mapping_rows = [], []
        self._dirty_links, self._dirty_customer_links = set(), set()

    def _flush_records(self) -> None:
        for kind, ids in self._dirty_records.items():
            if ids:
                self.tx.upsert_many(
                    tables.UPSERT_RECORD[kind],
                    [tables.record_tuple(kind, self.records[kind][id]) for id in sorted(ids)],
                )
                self._dirty_records[kind] = set()

    def _announce(self) -> None:
        for act in self._later:
            self.tx.after_commit(act)
        observers = self.context.observers
        for event in self._transitions:
            self.tx.after_commit(partial(observers.notify_invoice_transitioned, event))
        finished = {row.id for row in self.invoices.values() if is_final(row.state)}
        if finished:
            # Memory that fills with what nobody will ask for again makes every garbage collection slower.
            self.tx.after_commit(partial(self.context.documents.forget, finished))
            self.tx.after_commit(partial(self.context.rows.forget, finished))
        self._later, self._transitions = [], []
