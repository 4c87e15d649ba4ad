"""What becomes to be done in a transaction, and what no longer is: changed in memory, and written set by set at the end."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from billhook.contract.declaration import Capability
from billhook.engine import tables
from billhook.engine.invoice_row import InvoiceRow
from billhook.engine.moments import to_micros
from billhook.engine.work import ADVANCE, CLAIMED, EVERYTHING, READY, Lane, WorkRow
from billhook.errors import StaleWrite
from billhook.store import schema
from billhook.store.statements import Upsert
from billhook.store.transaction import Transaction

WorkKey = tuple[str, str, str]
"""An item, an operation and an app."""


class WorkChanges:
    """The work that one transaction adds and takes away. ``flush`` writes it; nothing is written before."""

    def __init__(self, tx: Transaction, now_micros: int) -> None:
        self._tx = tx
        self._now_micros = now_micros
        self._work: dict[WorkKey, WorkRow | None] = {}
        self._ways: dict[WorkKey, Upsert] = {}
        self._freed: set[WorkKey] = set()
        self._wakes: dict[str, int] = {}
        self._unasked_wakes: dict[str, int] = {}
        self._stirred: set[tuple[str, str]] = set()
        self._released: list[tuple[str, int, int, None]] = []
        self._claimed: dict[str, bool] = {}

    def want(self, work: WorkRow) -> None:
        """Something is to be done; one row per item, operation and app."""
        self._ways.pop(work.key, None)
        self._work[work.key] = work
        if work.is_ready:
            wakes = self._unasked_wakes if work.lane == Lane.UNASKED else self._wakes
            wakes[work.app_id] = min(work.due, wakes.get(work.app_id, work.due))

    def want_if_free(self, work: WorkRow) -> None:
        """As ``want``, unless an operation holds that very work: then it is being done."""
        guarded = work.key not in self._work or work.key in self._ways
        self.want(work)
        if guarded:
            self._ways[work.key] = tables.UPSERT_FREE_WORK

    def want_unasked_look(self, invoice_id: str, app_id: str, due: int) -> None:
        """Nobody asks to look at the invoice, and it is to be looked at then, unless somebody asked: then it is done as they did."""
        work = WorkRow.unasked_look(invoice_id, app_id, due)
        if self._work.get(work.key) is not None:
            return
        guarded = work.key not in self._work
        self.want(work)
        if guarded:
            self._ways[work.key] = tables.UPSERT_UNASKED_WORK

    def prepare_again(self, work: WorkRow) -> None:
        """What waits is done as things stand now, also where somebody prepared it a moment ago."""
        self._work[work.key] = work._replace(version=work.version + 1)
        self._freed.add(work.key)

    def drop(self, item_id: str, operation: str, app_id: str) -> None:
        """It is no longer to be done."""
        self._ways.pop((item_id, operation, app_id), None)
        self._work[item_id, operation, app_id] = None

    def drop_if_free(self, item_id: str, operation: str, app_id: str) -> None:
        """It is no longer to be done, unless an operation holds it: then it is being done."""
        for work in tables.read_item_work(self._tx, item_id):
            if work.key == (item_id, operation, app_id) and not work.is_claimed:
                self._work.setdefault(work.key, None)
                self._freed.add(work.key)

    def drop_open(self, subject_id: str) -> None:
        """Nothing that the invoice's present content asked for is to be done any more. What an operation already holds goes on.

        Money that came stays to be noted: it does not depend on the content.
        """
        for work in tables.read_subject_work(self._tx, subject_id):
            if not work.is_claimed and work.operation != Capability.RECORD_PAYMENT:
                self._work.setdefault(work.key, None)
                self._freed.add(work.key)

    def pending(self, item_id: str, operation: str, app_id: str) -> WorkRow | None:
        """What this transaction is about to write there."""
        return self._work.get((item_id, operation, app_id))

    def is_claimed(self, work: WorkRow) -> bool:
        """Whether an operation holds that work now."""
        stored = [other for other in tables.read_item_work(self._tx, work.item_id) if other.key == work.key]
        return any(other.is_claimed for other in stored)

    def of_subject(self, subject_id: str, operation: str) -> list[WorkRow]:
        """What of that kind is to be done for a subject, as it stands once this is written."""
        wanted = {work.key: work for work in tables.read_subject_work(self._tx, subject_id)} | self._work
        found = (work for work in wanted.values() if work is not None)
        return [work for work in found if (work.subject_id, work.operation) == (subject_id, operation)]

    def load_claimed(self, subject_ids: Iterable[str]) -> None:
        """Read which of these invoices have work that an operation holds."""
        missing = [id for id in dict.fromkeys(subject_ids) if id not in self._claimed]
        if not missing:
            return
        self._claimed.update(dict.fromkeys(missing, False))
        for subject_id, state in self._tx.select_in(schema.work, ("subject_id", "state"), "subject_id", missing):
            self._claimed[subject_id] |= state == CLAIMED

    def has_claimed(self, subject_id: str) -> bool:
        """Whether an operation held work of that invoice when this was first asked."""
        self.load_claimed([subject_id])
        return self._claimed[subject_id]

    def release(self, name: str, app_id: str, operations: Iterable[str] = (EVERYTHING,)) -> None:
        """What waited for this can be done now at that app."""
        self._released.append((name, READY, self._now_micros, None))
        self._stirred.update((app_id, operation) for operation in operations)
        self._wake_at(app_id, self._now_micros)

    def waiting_for(self, name: str) -> list[WorkRow]:
        """What waits for this."""
        return tables.read_waiting_work(self._tx, name)

    def wake(self, app_id: str, due: int) -> None:
        """There may be something to do at that app, of whatever kind, at that time or earlier."""
        self._stirred.add((app_id, EVERYTHING))
        self._wake_at(app_id, due)

    def _wake_at(self, app_id: str, due: int) -> None:
        self._wakes[app_id] = min(due, self._wakes.get(app_id, due))

    def advance_at(self, row: InvoiceRow, at: datetime | None) -> None:
        """Set the invoice's timer; None sets none."""
        app_id = row.values["invoicing_app_id"]
        if at is None:
            return
        due = max(to_micros(at), self._now_micros)
        self.want(WorkRow(row.id, ADVANCE, app_id, row.id, lane=Lane.BULK, due=due, version=row.values["version"]))

    def wanted(self) -> set[tuple[str, str]]:
        """The apps and operations for which there is new work; ``*`` where it may be of any kind. What nobody asked for is not for now."""
        asked = (work for work in self._work.values() if work is not None and work.lane != Lane.UNASKED)
        return {(work.app_id, work.operation) for work in asked if work.is_ready} | self._stirred

    # Writing.

    def flush(self) -> bool:
        """Write everything, and say whether an app is to be woken. Raises StaleWrite when work was begun by somebody else meanwhile."""
        self._flush_freed()
        gone = [key for key, work in self._work.items() if work is None]
        wanted = [work for work in self._work.values() if work is not None]
        self._tx.delete_many(tables.DELETE_WORK, gone)
        for way in (tables.UPSERT_WORK, tables.UPSERT_FREE_WORK, tables.UPSERT_UNASKED_WORK):
            written = [work for work in wanted if self._ways.get(work.key, tables.UPSERT_WORK) is way]
            self._tx.upsert_many(way, written)
        if self._released:
            self._tx.update_many(tables.RELEASE_WAITING, self._released)
        for statement, wakes in ((tables.WAKE_APP, self._wakes), (tables.WAKE_APP_UNASKED, self._unasked_wakes)):
            self._tx.update_many(statement, sorted(wakes.items()))
        is_awake = bool(self._wakes)
        self._work, self._wakes, self._unasked_wakes, self._released = {}, {}, {}, []
        self._ways = {}
        return is_awake

    def _flush_freed(self) -> None:
        # What was free when it was read may be held by now: then everything was decided on a wrong picture.
        freed = {key: self._work.pop(key) for key in sorted(self._freed & self._work.keys())}
        gone = [key for key, work in freed.items() if work is None]
        wanted = [work for work in freed.values() if work is not None]
        written = self._tx.delete_many(tables.DELETE_FREE_WORK, gone)
        written += self._tx.upsert_many(tables.UPSERT_FREE_WORK, wanted)
        if written != len(freed):
            raise StaleWrite("Work was begun by somebody else meanwhile. Nothing was written; read it again.")
        self._freed = set()
