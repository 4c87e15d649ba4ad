"""Revisions and mappings, kept in memory as far as there is room. Only erasure ever changes one that was committed, so a kept one is right
until then.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Generic, TypeVar

from billhook.domain.invoice import InvoiceContent, parse_content
from billhook.domain.mapping import MappedLine
from billhook.engine.tables import load_mapping
from billhook.store import schema
from billhook.store.transaction import Transaction

K = TypeVar("K", bound="tuple[str, int] | tuple[str, int, str]")
V = TypeVar("V")

LINES_KEPT = 100_000


class Kept(Generic[K, V]):
    """The values used last, as many as weigh no more than ``most`` together. Safe between threads.

    A key begins with the id of the document that the value belongs to.
    """

    def __init__(self, most: int, weigh: Callable[[V], int]) -> None:
        self._most = most
        self._weigh = weigh
        self._weight = 0
        self._values: OrderedDict[K, V] = OrderedDict()
        self._keys: dict[str, set[K]] = {}
        self._lock = threading.Lock()

    def find(self, keys: Sequence[K]) -> dict[K, V]:
        """Those that are here."""
        with self._lock:
            return {key: self._values[key] for key in keys if key in self._values}

    def keep(self, values: Mapping[K, V]) -> None:
        """Keep committed values, and let go of the oldest while there is too much."""
        with self._lock:
            for key, value in values.items():
                if key not in self._values:
                    self._add(key, value)

    def _add(self, key: K, value: V) -> None:
        self._values[key] = value
        self._keys.setdefault(key[0], set()).add(key)
        self._weight += self._weigh(value)
        while self._weight > self._most and len(self._values) > 1:
            self._drop(next(iter(self._values)))

    def forget(self, document_ids: Collection[str]) -> None:
        """Let go of everything of these documents."""
        with self._lock:
            for key in [key for id in document_ids for key in self._keys.get(id, ())]:
                self._drop(key)

    def _drop(self, key: K) -> None:
        self._weight -= self._weigh(self._values.pop(key))
        keys = self._keys[key[0]]
        keys.remove(key)
        if not keys:
            del self._keys[key[0]]


class StoredDocuments:
    """Revisions and mappings from the store."""

    def __init__(self) -> None:
        self._contents: Kept[tuple[str, int], InvoiceContent] = Kept(LINES_KEPT, lambda content: len(content.lines) + 1)
        self._mappings: Kept[tuple[str, int, str], tuple[MappedLine, ...]] = Kept(
            LINES_KEPT, lambda lines: len(lines) + 1
        )

    def contents(self, tx: Transaction, keys: Sequence[tuple[str, int]]) -> dict[tuple[str, int], InvoiceContent]:
        """Revisions by (document id, revision)."""
        found = self._contents.find(keys)
        missing = {key for key in keys if key not in found}
        if missing:
            read: dict[tuple[str, int], InvoiceContent] = {}
            columns = ("document_id", "revision", "body")
            for document_id, revision, body in tx.select_in(
                schema.document_body, columns, "document_id", sorted({id for id, _ in missing})
            ):
                if (document_id, revision) in missing:
                    read[document_id, revision] = parse_content(body)
            found.update(read)
            tx.once_certain(partial(self._contents.keep, read))
        return found

    def mappings(
        self, tx: Transaction, keys: Sequence[tuple[str, int, str]]
    ) -> dict[tuple[str, int, str], tuple[MappedLine, ...]]:
        """Mapped lines by (document id, revision, app id); a key without a mapping is absent."""
        found = self._mappings.find(keys)
        missing = {key for key in keys if key not in found}
        if missing:
            read: dict[tuple[str, int, str], tuple[MappedLine, ...]] = {}
            columns = ("document_id", "revision", "app_id", "lines")
            for document_id, revision, app_id, lines in tx.select_in(
                schema.document_mapping, columns, "document_id", sorted({key[0] for key in missing})
            ):
                if (document_id, revision, app_id) in missing:
                    read[document_id, revision, app_id] = load_mapping(lines)
            found.update(read)
            tx.once_certain(partial(self._mappings.keep, read))
        return found

    def forget(self, document_ids: Collection[str]) -> None:
        """Keep these no longer: they are finished, or erased, the one thing that ever changes a revision."""
        self._contents.forget(document_ids)
        self._mappings.forget(document_ids)
