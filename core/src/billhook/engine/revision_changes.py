"""What documents say, revision by revision, and where their lines go: read once in a transaction, and what is new written at the end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from billhook.domain.invoice import InvoiceContent
from billhook.domain.mapping import MappedLine
from billhook.engine import tables
from billhook.engine.context import Documents
from billhook.store.transaction import Transaction

RevisionKey = tuple[str, int]
"""A document, and which of its revisions."""
MappingKey = tuple[str, int, str]
"""A document, which of its revisions, and the app."""
Mapping = tuple[MappedLine, ...]


class RevisionChanges:
    """The revisions of documents, and their lines as apps take them. ``flush`` writes what was added; what stands there never changes."""

    def __init__(self, tx: Transaction, stored: Documents) -> None:
        self._tx = tx
        self._stored = stored
        self._contents: dict[RevisionKey, InvoiceContent] = {}
        self._mappings: dict[MappingKey, Mapping] = {}
        self._added: list[tuple[Any, ...]] = []
        self._frozen: list[tuple[Any, ...]] = []

    def load(self, wanted: Sequence[RevisionKey]) -> None:
        """Read the contents that are not here yet."""
        missing = [key for key in wanted if key not in self._contents]
        if missing:
            self._contents.update(self._stored.contents(self._tx, missing))

    def content(self, document_id: str, revision: int) -> InvoiceContent:
        """What the document says in that revision."""
        self.load([(document_id, revision)])
        return self._contents[document_id, revision]

    def add(self, document_id: str, revision: int, content: InvoiceContent, body: bytes) -> None:
        """A new revision; ``body`` is its content as it is stored."""
        self.suppose(document_id, revision, content)
        self._added.append((document_id, revision, body))

    def suppose(self, document_id: str, revision: int, content: InvoiceContent) -> None:
        """Go on as if the document said that; it is written nowhere."""
        self._contents[document_id, revision] = content

    def load_mappings(self, wanted: Sequence[MappingKey]) -> None:
        """Read where lines go, as far as that is not here yet."""
        missing = [key for key in wanted if key not in self._mappings]
        if missing:
            self._mappings.update(self._stored.mappings(self._tx, missing))

    def mapping(self, document_id: str, revision: int, app_id: str) -> Mapping:
        """Where the lines of a revision go at an app, as validated; nothing where it was not."""
        key = (document_id, revision, app_id)
        self.load_mappings([key])
        return self._mappings.get(key, ())

    def keep_mapping(self, document_id: str, revision: int, app_id: str, lines: Mapping) -> None:
        """Freeze where the lines go: what is sent later is what was validated now."""
        self._mappings[document_id, revision, app_id] = lines
        self._frozen.append((document_id, revision, app_id, tables.dump_mapping(lines)))

    def flush(self) -> None:
        """Write what was added."""
        self._tx.insert_many(tables.INSERT_BODY, self._added)
        self._tx.upsert_many(tables.UPSERT_MAPPING, self._frozen)
        self._added, self._frozen = [], []
