"""Names of contacts. Xero wants them unique among all active contacts; two customers may well share one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote_plus

from billhook.contract import CustomerItem, Rejected, remote_id
from billhook_xero.config import NameClash

Json = Mapping[str, Any]

LONGEST_NAME = 255
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
        named = _choose(item, taken.get(_folded(wanted_name(item))), used, clash)
        if named is None:
            refused[item.id] = _taken(wanted_name(item))
            continue
        used.add(_folded(named.name))
        chosen.append(named)
    return chosen, refused


def _choose(item: CustomerItem, holder: Json | None, used: set[str], clash: NameClash) -> Named | None:
    name, known = wanted_name(item), remote_id(item)
    is_ours = holder is not None and (holder["ContactID"] == known or holder.get("ContactNumber") == item.id)
    if holder is not None and is_ours:
        return Named(item, name, holder["ContactID"])
    if holder is None and _folded(name) not in used:
        return Named(item, name, known)
    if clash is NameClash.SUFFIX:
        return Named(item, _with_suffix(name, item), known)
    if clash is NameClash.ADOPT and holder is not None and known is None and not holder.get("ContactNumber"):
        return Named(item, name, holder["ContactID"])
    return None


def _with_suffix(name: str, item: CustomerItem) -> str:
    suffix = f" ({item.customer.key or item.id})"
    return name[: LONGEST_NAME - len(suffix)] + suffix


def _folded(name: str) -> str:
    return name.casefold()


def _taken(name: str) -> Rejected:
    message = (
        f"Another contact at Xero is called {name}. Rename one of the two, "
        "or set name_clash of the app to suffix or adopt."
    )
    return Rejected.because("customer_name_taken", message, path="/customer/name")
