"""One transaction's worth of changes: rows read once, changed in memory, and written set by set at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from functools import partial
from typing import Any

from billhook.contract.events import InvoiceTransitioned
from billhook.domain.ids import RANDOMNESS_BYTES, new_ulid
from billhook.domain.invoice import InvoiceContent
from billhook.domain.lifecycle import Hop, is_final
from billhook.engine import tables
from billhook.engine.apps import AppHandle
from billhook.engine.confirmation_changes import ConfirmationChanges
from billhook.engine.context import Context
from billhook.engine.customer_link_changes import CustomerLinkChanges
from billhook.engine.inbox import match_named
from billhook.engine.invoice_row import COLUMNS, MUTABLE, InvoiceRow
from billhook.engine.issue_changes import IssueChanges
from billhook.engine.link_changes import LinkChanges
from billhook.engine.moments import to_micros
from billhook.engine.money_changes import MoneyChanges
from billhook.engine.notifications.notices import Notices
from billhook.engine.revision_changes import RevisionChanges
from billhook.engine.work import Lane
from billhook.engine.work_changes import WorkChanges
from billhook.errors import BillhookError, NotFound, StaleWrite, StoreError
from billhook.store.transaction import Transaction

Row = dict[str, Any]
COUNTER_BYTES = 3


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
        self.revisions = RevisionChanges(tx, context.documents)
        self.links = LinkChanges(tx)
        self.customer_links = CustomerLinkChanges(tx)
        self.money = MoneyChanges(tx, self.now_micros, self._read_invoice)
        self.work = WorkChanges(tx, self.now_micros)
        self.issues = IssueChanges(tx, partial(context.new_id, self.now), self.now_micros)
        self.confirmations = ConfirmationChanges(tx, self.now_micros)
        self._apps: dict[str, AppHandle] = {}
        self._events: list[tuple[Any, ...]] = []
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

    def _read_invoice(self, id: str) -> bool:
        """Read the invoice unless that was done. Returns whether it had to be."""
        is_new = id not in self.invoices
        self.load_invoices([id])
        return is_new

    def new_document_id(self) -> str:
        """A fresh id. All documents of a unit are of one moment, and their ids sort in the order in which they were made."""
        self._documents_made += 1
        chance = self.context.randomness(RANDOMNESS_BYTES - COUNTER_BYTES)
        return new_ulid(self.now, self._documents_made.to_bytes(COUNTER_BYTES) + chance)

    def add_invoice(self, values: Row, content: InvoiceContent, body: bytes) -> InvoiceRow:
        """A new invoice with its first revision."""
        row = InvoiceRow(values, is_new=True)
        self.invoices[row.id] = row
        self.revisions.add(row.id, row.revision, content, body)
        return row

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
            link = self.links.if_loaded(row.id, values["invoicing_app_id"])
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

    # Webhooks that came before we knew what they are about.

    def match_events(self) -> None:
        """Work the events that named something before its app's id for it was known here. ``flush`` does it for whatever is named till then."""
        match_named(self, [*self.links.take_names(), *self.customer_links.take_names(), *self.money.take_names()])

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
        self.match_events()
        if self._notices.write(is_last=is_last):
            self._later.append(self.context.notice_wakeups.wake)
        self._flush_invoices()
        self._flush_events()
        self.revisions.flush()
        self.links.flush()
        self.customer_links.flush()
        self.money.flush()
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
            self.tx.once_certain(partial(self.context.rows.keep, written))

    def _flush_events(self) -> None:
        self.tx.insert_many(tables.INSERT_EVENT, self._events)
        self._events = []

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
