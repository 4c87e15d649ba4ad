"""What callers confirmed of invoices: read once in a transaction, kept in memory, and written at the end."""

from __future__ import annotations

from collections.abc import Iterable

from billhook.engine import tables
from billhook.store import schema
from billhook.store.transaction import Transaction

ConfirmationKey = tuple[str, str, int]
"""An invoice, what was confirmed of it, and for which of its revisions."""


class ConfirmationChanges:
    """The confirmations that one transaction reads and keeps. ``flush`` writes them; nothing is written before."""

    def __init__(self, tx: Transaction, now_micros: int) -> None:
        self._tx = tx
        self._now_micros = now_micros
        self._known: dict[ConfirmationKey, str] = {}
        self._read: set[str] = set()
        self._kept: dict[ConfirmationKey, None] = {}

    def load(self, invoice_ids: Iterable[str]) -> None:
        """Read what callers confirmed of these invoices."""
        missing = [id for id in dict.fromkeys(invoice_ids) if id not in self._read]
        if not missing:
            return
        self._read.update(missing)
        columns = (*tables.CONFIRMATION_KEY, "content")
        rows = self._tx.select_in(schema.confirmation, columns, "invoice_id", missing)
        for invoice_id, stage, revision, content in rows:
            self._known.setdefault((invoice_id, stage, revision), content)

    def of(self, key: ConfirmationKey) -> str | None:
        """What a caller confirmed, None where nobody did."""
        self.load([key[0]])
        return self._known.get(key)

    def keep(self, key: ConfirmationKey, content: str) -> None:
        """A caller confirms it."""
        self._known[key] = content
        self._kept[key] = None

    def flush(self) -> None:
        """Write what was kept."""
        rows = [(*key, self._known[key], self._now_micros) for key in self._kept]
        self._tx.upsert_many(tables.UPSERT_CONFIRMATION, rows)
        self._kept = {}
