"""Callbacks that come at the same moment are taken together: one reading and one writing of each table for all of them.

Each is answered by itself. When one of them fails, nothing of the group stays, and each is taken alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from threading import Lock

from billhook.engine.context import Context
from billhook.engine.invoice_row import InvoiceRow
from billhook.engine.unit import Unit
from billhook.engine.work import Lane
from billhook.errors import StaleWrite, StoreError
from billhook.store.database import refusing_texts
from billhook.store.transaction import Transaction

LARGEST_GROUP = 256
STALE_RETRIES = 5

Change = Callable[[Unit, InvoiceRow], None]
FindInvoice = Callable[[Unit], InvoiceRow]


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """One callback. ``done`` is resolved once it is committed, or with the reason why it is refused."""

    invoice_id: str
    find: FindInvoice
    change: Change
    done: Future[None] = field(default_factory=Future)


class CallbackQueue:
    """The callbacks of one engine that wait for the writer. Safe between threads."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._waiting: list[Call] = []
        self._lock = Lock()

    def submit(self, call: Call) -> Future[None]:
        """Queue a callback, and give what is resolved once it is committed."""
        call.done.set_running_or_notify_cancel()  # from here on it is made, whoever still waits for it
        with self._lock:
            self._waiting.append(call)
            is_first = len(self._waiting) == 1
        if is_first:
            self._write(_Group(self), STALE_RETRIES)
        return call.done

    def take(self) -> list[Call]:
        """Those that wait, as many as may go together. What is left is written after them."""
        with self._lock:
            taken, self._waiting = self._waiting[:LARGEST_GROUP], self._waiting[LARGEST_GROUP:]
            is_more = bool(self._waiting)
        if is_more:
            self._write(_Group(self), STALE_RETRIES)
        return taken

    def _write(self, group: _Group, retries: int) -> None:
        try:
            written = self._context.database.submit(partial(group.settle, self._context))
        except StoreError as closed:
            with self._lock:
                left, self._waiting = [*group.calls, *self._waiting], []
            for call in left:
                call.done.set_exception(closed)
            return
        written.add_done_callback(lambda future: self._deliver(group, future, retries))

    def _deliver(self, group: _Group, written: Future[None], retries: int) -> None:
        error = written.exception()
        if isinstance(error, StaleWrite) and retries:
            self._write(group, retries - 1)
            return
        for call, refusal in zip(group.calls, group.refusals, strict=True):
            reason = error or refusal
            if reason is None:
                call.done.set_result(None)
            else:
                call.done.set_exception(reason)


class _Group:
    """Some callbacks that are committed together. May be settled more than once until then, as any job."""

    def __init__(self, queue: CallbackQueue) -> None:
        self._queue = queue
        self._is_taken = False
        self.calls: Sequence[Call] = ()
        self.refusals: list[Exception | None] = []

    def settle(self, context: Context, tx: Transaction) -> None:
        """Make the changes. Who is refused is noted; the others are made all the same."""
        if not self._is_taken:
            self.calls, self._is_taken = self._queue.take(), True
        self.refusals = [None] * len(self.calls)
        if len(self.calls) > 1 and self._all_together(context, tx):
            return
        self.refusals = [_alone(context, tx, call) for call in self.calls]

    def _all_together(self, context: Context, tx: Transaction) -> bool:
        try:
            with tx.part():
                _change(context, tx, self.calls)
        except StoreError:
            raise
        except Exception:  # noqa: BLE001 - whose fault it is shows when each is taken alone, and is told to that one
            return False
        return True


def _alone(context: Context, tx: Transaction, call: Call) -> Exception | None:
    """Make one change, or say why not; then nothing of it stays."""
    try:
        with refusing_texts(), tx.part():
            _change(context, tx, [call])
    except StoreError:
        raise
    except Exception as refusal:  # noqa: BLE001 - handed to whoever waits for this callback
        return refusal
    return None


def _change(context: Context, tx: Transaction, calls: Sequence[Call]) -> None:
    unit = Unit(context, tx, lane=Lane.INTERACTIVE)
    _read_ahead(unit, [call.invoice_id for call in calls])
    for call in calls:
        call.change(unit, call.find(unit))
    unit.flush()


def _read_ahead(unit: Unit, invoice_ids: Sequence[str]) -> None:
    """One question to each table for all of them."""
    unit.load_invoices(invoice_ids)
    rows = [unit.invoices[id] for id in dict.fromkeys(invoice_ids) if id in unit.invoices]
    ids = [row.id for row in rows]
    unit.revisions.load([(row.id, row.revision) for row in rows])
    unit.revisions.load_mappings([(row.id, row.revision, row.values["invoicing_app_id"]) for row in rows])
    unit.links.load([(row.id, row.values["invoicing_app_id"]) for row in rows])
    for app_id in dict.fromkeys(row.values["invoicing_app_id"] for row in rows):
        at_app = [row.values["customer_id"] for row in rows if row.values["invoicing_app_id"] == app_id]
        unit.customer_links.load(at_app, app_id)
    unit.confirmations.load(ids)
    unit.work.load_claimed(ids)
