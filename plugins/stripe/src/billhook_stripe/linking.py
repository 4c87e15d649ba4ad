"""Which refunds a credit note links: money that went back already is not given a second time.

A refund can be linked by several credit notes, in parts, and never for more than its amount (docs.stripe.com/api/credit_notes/create).
One that a credit note links can fail days later. What is given back after it makes up for it, and is not there for another credit note.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from billhook_stripe.lines import Params
from billhook_stripe.paying import gave_nothing

Body = Mapping[str, Any]


def links(refunds: Sequence[Body], notes: Iterable[Body], wanted: int) -> list[Params]:
    """The refunds to be linked, in the order given, each for no more than no credit note links yet, and for no more than is wanted."""
    linked, to_make_up_for, found = _linked_by(notes), 0, []
    for refund in refunds:
        if gave_nothing(refund):
            to_make_up_for += linked[refund["id"]]
            continue
        rest = refund["amount"] - linked[refund["id"]]
        made_up_for = min(rest, to_make_up_for)
        to_make_up_for -= made_up_for
        amount = min(rest - made_up_for, wanted)
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
