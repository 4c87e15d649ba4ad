"""What a look-up shows of requests whose outcome is unknown, each finding shaped like the answer that was lost."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from billhook.contract import Absent, Finding, Found, Reply, Unknown
from billhook_quickbooks.marks import batch_ids, read_mark
from billhook_quickbooks.refusals import body_of, is_success

Entity = Mapping[str, Any]

_FULL_PAGE = 1000


def is_void(invoice: Entity) -> bool:
    """Whether an invoice was made void: its note says so, and its amounts are nothing."""
    return str(invoice.get("PrivateNote") or "").startswith("Voided") and not Decimal(str(invoice.get("TotalAmt", 0)))


_DONE: Mapping[str, Callable[[Entity], bool]] = {
    "send": lambda invoice: invoice.get("EmailStatus") == "EmailSent",
    "void": is_void,
    "delete": lambda _invoice: False,
}


def rows_of(reply: Reply, kind: str) -> list[dict[str, Any]]:
    """The things of that kind that a query showed."""
    found: list[dict[str, Any]] = body_of(reply).get("QueryResponse", {}).get(kind, [])
    return found


def made_by_batch(reply: Reply, items: Mapping[str, str]) -> dict[str, str]:
    """The ids of what a batch made, by our item id."""
    told = {str(entry.get("bId")): entry for entry in body_of(reply).get("BatchItemResponse", ())}
    entities = {bid: next((v for v in told[bid].values() if isinstance(v, dict) and "Id" in v), None) for bid in told}
    return {items[bid]: entity["Id"] for bid, entity in entities.items() if entity is not None and bid in items}


def find_in_batch(reply: Reply, kind: str, marks: Mapping[str, str], known: Sequence[str]) -> dict[str, Finding]:
    """Of things that were to be created or changed: whether what stands there is what was sent. ``known`` stood there before."""
    page = _Page(reply, kind)
    found: dict[str, Finding] = {}
    for id, mark in marks.items():
        finding = page.content(id, mark, changed=id in known)
        (bid,) = batch_ids([id]).values()
        found[id] = (
            Found(Reply.of({"BatchItemResponse": [{"bId": bid, kind: finding}]}))
            if isinstance(finding, dict)
            else finding
        )
    return found


def find_one(reply: Reply, kind: str, item: str, mark: str) -> dict[str, Finding]:
    """Of one thing that was to be created."""
    finding = _Page(reply, kind).content(item, mark, changed=False)
    return {item: Found(Reply.of({kind: finding})) if isinstance(finding, dict) else finding}


def find_moved(reply: Reply, item: str, done: str) -> dict[str, Finding]:
    """Of one invoice that was to be sent, made void or deleted. A deleted one is not shown any more."""
    if not is_success(reply):
        return {item: Unknown(f"the look-up was answered with {reply.status}")}
    rows = rows_of(reply, "Invoice")
    if not rows:
        gone = Found(Reply.of({"Invoice": {"status": "Deleted"}}))
        return {item: Absent() if done == "send" else gone}
    return {item: Found(Reply.of({"Invoice": rows[0]})) if _DONE[done](rows[0]) else Absent()}


class _Page:
    """The answer of a query."""

    def __init__(self, reply: Reply, kind: str) -> None:
        self._reply = reply
        self._rows = rows_of(reply, kind)
        self._is_whole = is_success(reply) and len(self._rows) < _FULL_PAGE

    def content(self, item: str, mark: str, *, changed: bool) -> dict[str, Any] | Absent | Unknown:
        ours = [(row, found) for row in self._rows if (found := read_mark(row)) is not None and found.item_id == item]
        same = [row for row, found in ours if str(found) == mark]
        if same:
            return same[0]
        if ours and not changed:
            return Unknown("another copy with that reference stands there")
        return Absent() if self._is_whole else Unknown("the list goes on, or was not answered")
