"""What a look-up shows of requests whose outcome is unknown, each finding shaped like the answer that was lost.

A list that goes on proves no absence, and a copy of other content proves nothing of the one that was sent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from billhook.contract import Absent, Finding, Found, Reply, Unknown
from sandbox_of_contract_1_0.encoding import CONTENT_MARK

Entry = Mapping[str, Any]

# What shows that it was done to a document which can still be read.
_DONE: Mapping[str, Callable[[Entry], bool]] = {
    "send": lambda document: document["sent_count"] > 0,
    "void": lambda document: document["status"] == "void",
    "delete": lambda document: document["status"] == "deleted",
}
_NOT_ISSUED = frozenset({"draft", "draft_pending"})
_NO_MONEY = frozenset({"failed", "uncollectible"})


def find_content(reply: Reply, marks: Mapping[str, str], ids: Mapping[str, str]) -> dict[str, Finding]:
    """Of entries that were to be created or changed: whether what stands there is what was sent. `ids` has those that stood before."""
    page = _Page(reply)
    return {item: page.content(item, mark, ids.get(item)) for item, mark in marks.items()}


def find_issued(reply: Reply, ids: Mapping[str, str | None]) -> dict[str, Finding]:
    """Of drafts that were to be issued, by their remote ids; what has none was not asked for."""
    page = _Page(reply)
    return {item: Absent() if known is None else page.issued(known) for item, known in ids.items()}


def find_single(reply: Reply, item: str, origin: str | None) -> dict[str, Finding]:
    """Of one payment or refund; `origin` tells a charge from a payment that was only recorded."""
    page = _Page(reply)
    found = [entry for entry in page.entries if entry["reference"] == item and origin in {None, entry.get("origin")}]
    return {item: Found(Reply.of(best_payment(found))) if found else page.absent()}


def find_moved(reply: Reply, item: str, done: str) -> dict[str, Finding]:
    """Of one document that was to be sent, voided or deleted."""
    if reply.status == 404:
        return {item: Absent() if done == "send" else Found(reply)}
    if reply.status >= 300:
        return {item: Unknown(f"the look-up was answered with {reply.status}")}
    return {item: Found(reply) if _DONE[done](reply.json()) else Absent()}


def best_payment(entries: Sequence[Entry], known_id: str | None = None) -> Entry:
    """Of several with one reference: the known one, else one that moved money, else the oldest."""
    known = [entry for entry in entries if entry["id"] == known_id]
    moving = [entry for entry in entries if entry["status"] not in _NO_MONEY]
    return [*known, *moving, *entries][0]


class _Page:
    """One page of a list."""

    def __init__(self, reply: Reply) -> None:
        body = reply.json() if reply.status < 300 else {}
        self.entries: list[Entry] = body.get("items", [])
        self._is_whole = body.get("has_more") is False

    def absent(self) -> Absent | Unknown:
        return Absent() if self._is_whole else Unknown("the list goes on, or was not answered")

    def content(self, item: str, mark: str, known_id: str | None) -> Finding:
        standing = [entry for entry in self.entries if entry["reference"] == item]
        same = [entry for entry in standing if _mark(entry) == mark and known_id in {None, entry["id"]}]
        if same:
            return _as_answered(same[0])
        if standing and known_id is None:
            return Unknown("another copy with that reference stands there")
        return self.absent()

    def issued(self, document_id: str) -> Finding:
        document = next((entry for entry in self.entries if entry["id"] == document_id), None)
        if document is None:
            return self.absent()
        return Absent() if document["status"] in _NOT_ISSUED else _as_answered(document)


def _mark(entry: Entry) -> str | None:
    mark: str | None = entry.get("metadata", {}).get(CONTENT_MARK)
    return mark


def _as_answered(entry: Entry) -> Found:
    return Found(Reply.of({"items": [{"ok": True, **entry}]}))
