"""Look-ups whose answer is a list: is ours in it, and does its absence say anything?"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from billhook.contract import Absent, Finding, Found, Reply, Unknown


def find_listed(reply: Reply, number: str, memo: str) -> Finding:
    """Our draft among what a search found: number and memo have to be ours. A list that goes on proves no absence."""
    if reply.status >= 400:
        return Unknown(f"the search was refused with HTTP {reply.status}")
    told = reply.json()
    listed = told.get("items", [])
    for one in listed:
        detail = one["detail"]
        if detail.get("invoice_number") == number and detail.get("memo") == memo:
            return Found(Reply.of(one, status=201))
    if told.get("total_items", len(listed)) > len(listed):
        return Unknown("the search found more than one page")
    return Absent()


def find_new_refund(reply: Reply, known: Sequence[str], amount: Decimal) -> Finding:
    """The one refund over that amount that was not there before; several leave it open which is ours."""
    if reply.status >= 400:
        return Unknown(f"the invoice could not be read: HTTP {reply.status}")
    refunds = reply.json().get("refunds", {}).get("transactions", [])
    new = [one for one in refunds if one["refund_id"] not in known and Decimal(one["amount"]["value"]) == amount]
    if len(new) > 1:
        return Unknown("several new refunds of that amount stand there")
    return Found(Reply.of({"refund_id": new[0]["refund_id"]})) if new else Absent()
