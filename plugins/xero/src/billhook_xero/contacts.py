"""Names of contacts. Xero wants them unique among all active contacts; two customers may well share one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote_plus

from billhook.contract import CustomerItem, Rejected, remote_id
from billhook_xero.config import NameClash

Json = Mapping[str, Any]

KNOWN_AS = "known_as"
"""The metadata of a customer that tell him from others of his name, for people. Where there are none his key does."""
LONGEST_NAME = 255
_LONGEST_SUFFIX = 50
_LONGEST_FILTER = 1700


@dataclass(frozen=True, slots=True)
class Named:
    """Under which name, and over which contact that is there, a customer is put."""

    item: CustomerItem
    name: str
    known_id: str | None


def wanted_name(item: CustomerItem) -> str:
    """The customer's own name."""
    party = item.customer
    return " ".join((party.name or party.key or item.id).split())[:LONGEST_NAME]


def wanted_names(items: Sequence[CustomerItem], _standing: Sequence[Json], _clash: NameClash) -> list[str]:
    """The names to look for first: the customers' own."""
    return [wanted_name(item) for item in items]


def told_apart_names(items: Sequence[CustomerItem], standing: Sequence[Json], clash: NameClash) -> list[str]:
    """The names to look for then: those of customers whose own is taken by what stands there."""
    chosen, _ = choose_names(items, standing, clash)
    return [named.name for named in chosen if named.name != wanted_name(named.item)]


def in_filters(names: Sequence[str]) -> Iterator[list[str]]:
    """The names in portions that fit a filter. One with a quotation mark fits none: Xero judges that one by itself."""
    portion: list[str] = []
    length = 0
    for name in dict.fromkeys(names):
        if '"' in name or "\\" in name:
            continue
        needed = len(quote_plus(f' OR Name=="{name}"'))
        if portion and length + needed > _LONGEST_FILTER:
            yield portion
            portion, length = [], 0
        portion.append(name)
        length += needed
    if portion:
        yield portion


def choose_names(
    items: Sequence[CustomerItem], standing: Sequence[Json], clash: NameClash
) -> tuple[list[Named], dict[str, Rejected]]:
    """What each customer is called, and who can't be called anything, by what stands at Xero under these names."""
    taken = {_folded(entry["Name"]): entry for entry in standing if entry.get("ContactStatus", "ACTIVE") == "ACTIVE"}
    chosen: list[Named] = []
    refused: dict[str, Rejected] = {}
    used: set[str] = set()
    for item in items:
        named = _choose(item, taken, used, clash)
        if named is None:
            refused[item.id] = _taken(wanted_name(item))
            continue
        used.add(_folded(named.name))
        chosen.append(named)
    return chosen, refused


def _choose(item: CustomerItem, taken: Mapping[str, Json], used: set[str], clash: NameClash) -> Named | None:
    name, known = wanted_name(item), remote_id(item)
    holder = taken.get(_folded(name))
    if holder is not None and _is_ours(holder, item):
        return Named(item, name, holder["ContactID"])
    if holder is None and _folded(name) not in used:
        return Named(item, name, known)
    if clash is NameClash.SUFFIX:
        return _told_apart(item, taken, used)
    if clash is NameClash.ADOPT and holder is not None and known is None and not holder.get("ContactNumber"):
        return Named(item, name, holder["ContactID"])
    return None


def _told_apart(item: CustomerItem, taken: Mapping[str, Json], used: set[str]) -> Named:
    """Under what people know him as, where nobody else has that name; otherwise under our id, which nobody has."""
    name = _with_suffix(item, item.metadata.get(KNOWN_AS) or item.customer.key or item.id)
    holder = taken.get(_folded(name))
    if holder is not None and _is_ours(holder, item):
        return Named(item, name, holder["ContactID"])
    is_free = holder is None and _folded(name) not in used
    return Named(item, name if is_free else _with_suffix(item, item.id), remote_id(item))


def _is_ours(holder: Json, item: CustomerItem) -> bool:
    return bool(holder["ContactID"] == remote_id(item) or holder.get("ContactNumber") == item.id)


def _with_suffix(item: CustomerItem, told: str) -> str:
    suffix = f" ({told[:_LONGEST_SUFFIX]})"
    return wanted_name(item)[: LONGEST_NAME - len(suffix)] + suffix


def _folded(name: str) -> str:
    return name.casefold()


def _taken(name: str) -> Rejected:
    message = (
        f"Another contact at Xero is called {name}. Rename one of the two, "
        "or set name_clash of the app to suffix or adopt."
    )
    return Rejected.because("customer_name_taken", message, path="/customer/name")
