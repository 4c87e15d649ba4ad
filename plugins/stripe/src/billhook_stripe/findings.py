"""What a look-up shows of a step whose outcome is unknown, shaped like the answer that was lost.

A list that goes on proves no absence, and neither does a look-up that was refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from billhook.contract import Absent, Finding, Found, Reply, Unknown
from billhook_stripe.lines import Params

_PAYING = frozenset({"processing", "requires_action", "requires_capture", "succeeded"})


def made_id(reply: Reply, item: str) -> dict[str, str]:
    """The id of the object in an answer. A payment that was refused stands there all the same, inside the error."""
    body = reply.json()
    made = body if reply.status < 300 else body.get("error", {}).get("payment_intent") or {}
    return {item: made["id"]} if made.get("id") and not made.get("deleted") else {}


def find_listed(reply: Reply, item: str, key: str) -> dict[str, Finding]:
    """An object with our id under that metadata key."""
    if reply.status >= 300:
        return {item: _refused(reply)}
    page = reply.json()
    found = [each for each in page["data"] if (each.get("metadata") or {}).get(key) == item]
    if found:
        return {item: Found(Reply.of(found[-1]))}
    return {item: Unknown("the list goes on") if page["has_more"] else Absent()}


def find_marked(reply: Reply, item: str, key: str, mark: str) -> dict[str, Finding]:
    """An object whose metadata hold that mark."""
    return _look(reply, item, lambda body: (body.get("metadata") or {}).get(key) == mark)


def find_numbered(reply: Reply, item: str, number: str) -> dict[str, Finding]:
    """A draft with that number, or what was a draft."""
    return _look(reply, item, lambda body: body.get("number") == number or body.get("status") != "draft")


def find_status(reply: Reply, item: str, statuses: Sequence[str]) -> dict[str, Finding]:
    """An invoice in one of these statuses."""
    return _look(reply, item, lambda body: body.get("status") in statuses)


def find_paid(reply: Reply, item: str) -> dict[str, Finding]:
    """An invoice that is paid, or whose payment is under way. One that is open can be paid again: it takes its amount only once."""
    found = _look(reply, item, lambda body: body.get("status") == "paid" or _is_being_paid(body))
    goes_on = isinstance(found[item], Absent) and reply.status == 200 and has_more_payments(reply.json())
    return {item: Unknown("the list of its payments goes on")} if goes_on else found


def find_gone(reply: Reply, item: str) -> dict[str, Finding]:
    """An object that is not there any more."""
    if reply.status == 404:
        return {item: Found(Reply.of({"deleted": True}))}
    return _look(reply, item, lambda body: body.get("deleted") is True)


def find_attached(reply: Reply, item: str, record: str) -> dict[str, Finding]:
    """That payment record among those of an invoice."""
    return _look(reply, item, lambda page: any(_record(each) == record for each in page["data"]))


def find_event(reply: Reply, item: str, object_id: str) -> dict[str, Finding]:
    """An event of that object. What it tells of is what the lost answer held."""
    if reply.status >= 300:
        return {item: _refused(reply)}
    page = reply.json()
    told = [event["data"]["object"] for event in page["data"]]
    found = [each for each in told if each["id"] == object_id]
    if found:
        return {item: Found(Reply.of(found[0]))}
    return {item: Unknown("the list goes on") if page["has_more"] else Absent()}


def payments_of(invoice: Mapping[str, Any]) -> list[Params]:
    """The payments that an invoice was read with."""
    payments: list[Params] = (invoice.get("payments") or {}).get("data", [])
    return payments


def has_more_payments(invoice: Mapping[str, Any]) -> bool:
    """Whether the invoice was read with the first of its payments only."""
    return bool((invoice.get("payments") or {}).get("has_more"))


def intent_of(payment: Mapping[str, Any]) -> Params:
    """The payment intent of an invoice's payment, where it was read with it."""
    intent = (payment.get("payment") or {}).get("payment_intent")
    return intent if isinstance(intent, dict) else {}


def _is_being_paid(invoice: Mapping[str, Any]) -> bool:
    return any(intent_of(payment).get("status") in _PAYING for payment in payments_of(invoice))


def _record(payment: Mapping[str, Any]) -> str | None:
    record: str | None = (payment.get("payment") or {}).get("payment_record")
    return record


def _look(reply: Reply, item: str, is_done: Callable[[Params], bool]) -> dict[str, Finding]:
    if reply.status == 404:
        return {item: Absent()}
    if reply.status >= 300:
        return {item: _refused(reply)}
    return {item: Found(Reply(reply.status, reply.headers, reply.body)) if is_done(reply.json()) else Absent()}


def _refused(reply: Reply) -> Unknown:
    return Unknown(f"the look-up was answered with {reply.status}")
