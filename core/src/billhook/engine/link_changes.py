"""How apps know documents, as one transaction reads and changes it: kept in memory, and written at the end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from billhook.engine import tables
from billhook.engine.naming import Named
from billhook.store.transaction import Transaction

Row = dict[str, Any]


class LinkChanges:
    """The links between documents and apps. ``flush`` writes those that were saved."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx
        self._known: dict[tuple[str, str], Row] = {}
        self._saved: set[tuple[str, str]] = set()
        self._named: dict[tuple[str, str], str | None] = {}

    def load(self, keys: Iterable[tuple[str, str]]) -> None:
        """Read how apps know these documents: pairs of a document's id and an app's."""
        missing = [key for key in keys if key not in self._known]
        if not missing:
            return
        for row in tables.read_links(self._tx, {document for document, _ in missing}):
            key = (row["document_id"], row["app_id"])
            self._known.setdefault(key, row)
            self._named.setdefault(key, row["external_id"])
        for document_id, app_id in missing:
            self._known.setdefault((document_id, app_id), tables.new_link(document_id, app_id))

    def of(self, document_id: str, app_id: str) -> Row:
        """How an app knows a document; empty when it does not."""
        key = (document_id, app_id)
        if key not in self._known:
            self.load([key])
        return self._known[key]

    def if_loaded(self, document_id: str, app_id: str) -> Row | None:
        """How an app knows a document, where that was read."""
        return self._known.get((document_id, app_id))

    def bearer(self, app_id: str, kind: str, external_id: str) -> str | None:
        """The id of the document of that kind that the app calls so; None where there is none."""
        wanted = (app_id, kind, external_id)
        for link in self._known.values():
            if (link["app_id"], link["kind"], link["external_id"]) == wanted:
                return str(link["document_id"])
        return tables.read_bearer(self._tx, *wanted)

    def save(self, link: Row) -> None:
        """Keep what an app said of a document."""
        self._saved.add((link["document_id"], link["app_id"]))

    def remembered(self, document_id: str, app_id: str, name: str) -> Any:
        """What is remembered of a document at an app under that name; None where nothing is."""
        return (self.of(document_id, app_id)["evidence"] or {}).get(name)

    def remember(self, document_id: str, app_id: str, name: str, value: Any) -> None:
        """Remember that of a document at an app; None forgets what was remembered."""
        link = self.of(document_id, app_id)
        before = link["evidence"] or {}
        others = {known: kept for known, kept in before.items() if known != name}
        after = others if value is None else others | {name: value}
        if after != before:
            link["evidence"] = after or None
            self.save(link)

    def take_names(self) -> Iterator[Named]:
        """What apps call by ids that were not known before."""
        for key in sorted(self._saved):
            link = self._known[key]
            if link["external_id"] not in {None, self._named.get(key)}:
                yield Named(link["app_id"], link["kind"], link["external_id"], link["document_id"])
            self._named[key] = link["external_id"]

    def flush(self) -> None:
        """Write what was saved."""
        rows = [tables.link_tuple(self._known[key]) for key in sorted(self._saved)]
        self._tx.upsert_many(tables.UPSERT_LINK, rows)
        self._saved = set()
