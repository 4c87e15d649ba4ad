"""Display names of customers. They are unique across customers, vendors and employees of a company; a clash is resolved by a rule.

The rule: a name that something else has gets behind it what the customer's metadata say under ``known_as``, else his key, else the end of our
id: ``Ada Ltd (ada)``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from billhook.contract import CustomerItem, remote_id
from billhook_quickbooks.marks import read_mark

KNOWN_AS = "known_as"
"""The metadata of a customer that tell him from others of his name, for people."""
LONGEST_NAME = 100

_NOT_IN_NAMES = re.compile(r"[:\t\n\r]+")


def plain_name(item: CustomerItem) -> str:
    """The customer's own name, as far as QuickBooks takes it: no colon, no tab, no new line."""
    name = item.customer.name or item.customer.key or item.id
    return _clean(name)[:LONGEST_NAME].strip() or item.id


def told_apart(item: CustomerItem) -> str:
    """The name with what tells the customer from others of that name."""
    told = item.metadata.get(KNOWN_AS) or item.customer.key or item.id[-6:]
    behind = f" ({_clean(told)[:40]})"
    return plain_name(item)[: LONGEST_NAME - len(behind)].strip() + behind


class Directory:
    """What has which name, and which of our customers stand there already, by what was looked up before anything is written."""

    def __init__(self, people: Sequence[Mapping[str, Any]]) -> None:
        self._people = people
        self._taken: dict[str, str] = {}

    def standing(self, item: CustomerItem) -> Mapping[str, Any] | None:
        """Our customer there: by its id, or by our mark where an earlier attempt left it behind."""
        known = remote_id(item)
        marked = (each for each in self._people if (mark := read_mark(each)) is not None and mark.item_id == item.id)
        by_id = (each for each in self._people if each["Id"] == known and "SyncToken" in each)
        return next(by_id, None) or next(marked, None)

    def name_for(self, item: CustomerItem) -> str:
        """The name that the customer gets; nobody else in this batch gets it."""
        own = (self.standing(item) or {}).get("Id")
        for name in (plain_name(item), told_apart(item)):
            if self._is_free(name, own, item.id):
                break
        else:
            name = f"{plain_name(item)[: LONGEST_NAME - 29]} ({item.id})"
        self._taken[name.casefold()] = item.id
        return name

    def _is_free(self, name: str, own_id: str | None, item_id: str) -> bool:
        folded = name.casefold()
        holders = {each["Id"] for each in self._people if str(each.get("DisplayName", "")).casefold() == folded}
        return holders <= {own_id} and self._taken.get(folded, item_id) == item_id


def _clean(text: str) -> str:
    return " ".join(_NOT_IN_NAMES.sub(" ", text).split())
