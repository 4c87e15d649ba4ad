"""Invoice rows that this process has read or written, so that the next look at one costs no more than a look at its version.

Every change of an invoice counts its version up, so a row of the version that stands in the store is the row that stands there. Only what was
committed is kept; what is not kept, or has moved on, is read whole.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Sequence
from functools import partial
from typing import Any

from billhook.engine.invoice_row import COLUMNS
from billhook.store import schema
from billhook.store.transaction import Transaction

Row = dict[str, Any]

ROWS_KEPT = 10_000


class KeptRows:
    """The invoice rows used last, by id. Safe between threads. Nobody changes a row that came from here: whoever changes one, copies it."""

    def __init__(self, most: int = ROWS_KEPT) -> None:
        self._most = most
        self._rows: dict[str, Row] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._rows)

    def read(self, tx: Transaction, ids: Collection[str]) -> dict[str, Row]:
        """The rows as this transaction sees them, by id; an id that no invoice has is absent."""
        found = self._current(tx, ids)
        missing = [id for id in ids if id not in found]
        read = [dict(zip(COLUMNS, row, strict=True)) for row in tx.select_in(schema.invoice, COLUMNS, "id", missing)]
        found.update((row["id"], row) for row in read)
        tx.once_certain(partial(self.keep, read))
        return found

    def _current(self, tx: Transaction, ids: Iterable[str]) -> dict[str, Row]:
        rows = self._rows
        kept = {id: row for id in ids if (row := rows.get(id)) is not None}
        stored = tx.select_in(schema.invoice, ("id", "version"), "id", list(kept))
        return {id: kept[id] for id, version in stored if kept[id]["version"] == version}

    def keep(self, rows: Sequence[Row]) -> None:
        """Keep committed rows, and let go of the oldest while there are too many."""
        with self._lock:
            for row in rows:
                self._rows.pop(row["id"], None)
                self._rows[row["id"]] = row
            while len(self._rows) > self._most:
                del self._rows[next(iter(self._rows))]

    def forget(self, ids: Iterable[str]) -> None:
        """Keep these no longer: they are finished."""
        with self._lock:
            for id in ids:
                self._rows.pop(id, None)
