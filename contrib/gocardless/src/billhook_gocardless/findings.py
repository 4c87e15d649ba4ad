"""What a look-up shows of requests whose outcome is unknown, each finding shaped like the answer that was lost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from billhook.contract import Absent, Finding, Found, Reply, Unknown
from billhook_gocardless.encoding import MARK
from billhook_gocardless.refusals import body_of, is_success

_NO_MONEY = frozenset({"failed", "cancelled", "customer_approval_denied"})


def find_created(reply: Reply, envelope: str, item: str) -> dict[str, Finding]:
    """Of something that was to be created: the one that carries our id. A list that goes on proves no absence."""
    if not is_success(reply):
        return {item: Unknown(f"the look-up was answered with {reply.status}")}
    body = body_of(reply)
    found = made_for(body[envelope], envelope, item)
    if found is not None:
        return {item: Found(Reply.of({envelope: found}, status=201))}
    return {item: Absent() if next_page(body) is None else Unknown("the list goes on")}


def made_for(entries: Sequence[Mapping[str, Any]], envelope: str, item: str) -> Mapping[str, Any] | None:
    """The one that carries our id; of several the one that can still bring money."""
    ours = [entry for entry in entries if (entry.get("metadata") or {}).get(MARK[envelope]) == item]
    moving = [entry for entry in ours if entry.get("status") not in _NO_MONEY]
    return next(iter([*moving, *ours]), None)


def next_page(body: Mapping[str, Any]) -> str | None:
    """Where the list goes on; None on its last page."""
    # [sdk: list_response.py] meta.cursors.after is where the next page begins, null on the last one.
    after: str | None = ((body.get("meta") or {}).get("cursors") or {}).get("after")
    return after


def find_updated(reply: Reply, item: str, details: Mapping[str, Any]) -> dict[str, Finding]:
    """Of a customer that was to be changed: whether everything stands as it was sent."""
    if not is_success(reply):
        return {item: Unknown(f"the look-up was answered with {reply.status}")}
    customer = body_of(reply)["customers"]
    differs = any(customer.get(name) != value for name, value in details.items())
    return {item: Absent() if differs else Found(reply)}
