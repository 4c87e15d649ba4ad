"""Which refunds a credit note links: money that went back already is not given a second time.

A refund can be linked by several credit notes, in parts, and never for more than its amount (docs.stripe.com/api/credit_notes/create).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from billhook_stripe.lines import Params

Body = Mapping[str, Any]


def links(refunds: Sequence[Body], notes: Iterable[Body], wanted: int) -> list[Params]:
    """The refunds to be linked, in the order given, each for no more than no credit note links yet, and for no more than is wanted."""
    linked, found = _linked_by(notes), []
    for refund in refunds:
        amount = min(refund["amount"] - linked[refund["id"]], wanted)
        if amount > 0:
            found.append({"refund": refund["id"], "amount_refunded": amount})
            wanted -= amount
    return found


def _linked_by(notes: Iterable[Body]) -> Counter[str]:
    """What credit notes link of each refund. One that is void links nothing any more; a refund of a payment record is none of ours."""
    linked: Counter[str] = Counter()
    for note in notes:
        if note["status"] != "void":
            for link in note.get("refunds") or ():
                linked[_id(link.get("refund"))] += link["amount_refunded"]
    return linked


def _id(refund: Body | str | None) -> str:
    return refund["id"] if isinstance(refund, Mapping) else refund or ""
