"""Our references at QuickBooks: in the private note of a document, in the notes of a customer, and as the id of a batch's item.

The private note can't be filtered by, so look-ups go by number or by customer and date, and are told apart by these marks.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from billhook.contract import encode_json

LONGEST_BID = 10
"""With a request id, Intuit takes no longer id of a batch's item."""

_MARK = re.compile(r"billhook:([0-9A-Z]{26}):([0-9a-f]{16})")


class Mark(NamedTuple):
    """Whose it is, and a fingerprint of what was sent."""

    item_id: str
    content: str

    def __str__(self) -> str:
        return f"billhook:{self.item_id}:{self.content}"


def mark_of(item_id: str, content: Mapping[str, Any]) -> Mark:
    """The mark of that content; equal content has equal marks."""
    return Mark(item_id, hashlib.sha256(encode_json(content)).hexdigest()[:16])


def read_mark(entity: Mapping[str, Any]) -> Mark | None:
    """The mark of a document or customer, None of what is not ours or was made void."""
    found = _MARK.search(str(entity.get("PrivateNote") or entity.get("Notes") or ""))
    return None if found is None else Mark(found[1], found[2])


def batch_ids(item_ids: Sequence[str]) -> dict[str, str]:
    """An id of a batch's item for each of ours: its random end, or its place in the rare batch where two ends are equal."""
    ends = [item_id[-LONGEST_BID:] for item_id in item_ids]
    if len(set(ends)) < len(ends):
        ends = [str(place) for place, _ in enumerate(item_ids)]
    return dict(zip(item_ids, ends, strict=True))
