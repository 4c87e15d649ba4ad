"""What a look-up shows of requests whose outcome is unknown, each finding shaped like the answer that was lost."""

from __future__ import annotations

from collections.abc import Mapping
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
    ours = [entry for entry in body[envelope] if (entry.get("metadata") or {}).get(MARK[envelope]) == item]
    if ours:
        moving = [entry for entry in ours if entry.get("status") not in _NO_MONEY]
        return {item: Found(Reply.of({envelope: [*moving, *ours][0]}, status=201))}
    return {item: Unknown("the list goes on") if _goes_on(body) else Absent()}


def find_updated(reply: Reply, item: str, details: Mapping[str, Any]) -> dict[str, Finding]:
    """Of a customer that was to be changed: whether everything stands as it was sent."""
    if not is_success(reply):
        return {item: Unknown(f"the look-up was answered with {reply.status}")}
    customer = body_of(reply)["customers"]
    differs = any(customer.get(name) != value for name, value in details.items())
    return {item: Absent() if differs else Found(reply)}


def _goes_on(body: Mapping[str, Any]) -> bool:
    # [sdk: list_response.py] meta.cursors.after is where the next page begins, null on the last one.
    return ((body.get("meta") or {}).get("cursors") or {}).get("after") is not None
