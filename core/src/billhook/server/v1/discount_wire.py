"""Discounts on the wire: what was agreed, and what it came to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

from billhook.domain.discount import AppliedDiscount, Discount, DiscountReason, PercentageDiscount, UsageDiscount
from billhook.domain.money import ZERO, plain
from billhook.server.v1.frame import Frame
from billhook.server.v1.shown import filled, json_number


def agreed_discounts_v1(agreed: Iterable[Discount]) -> dict[str, Any]:
    """What was agreed for a line: at most one share and one free quantity; a fixed amount has no word here."""
    shown: dict[str, Any] = {}
    for discount in agreed:
        if isinstance(discount, PercentageDiscount):
            fields = {"percentage": json_number(discount.percentage)}
            shown.setdefault("percentage", filled(**fields, correlationId=discount.correlation_id))
        elif isinstance(discount, UsageDiscount):
            fields = {"quantity": plain(discount.quantity)}
            shown.setdefault("usage", filled(**fields, correlationId=discount.correlation_id))
    return shown


def amount_discounts_v1(applied: Iterable[AppliedDiscount], frame: Frame) -> list[dict[str, Any]]:
    """What came off the amount."""
    return [
        {**_common(discount, frame), "reason": _amount_reason(discount), "amount": plain(discount.amount)}
        for discount in applied
        if discount.quantity is None
    ]


def usage_discounts_v1(
    applied: Iterable[AppliedDiscount], agreed: Sequence[Discount], frame: Frame
) -> list[dict[str, Any]]:
    """What was not charged of the quantity."""
    free = {each.correlation_id: each.quantity for each in agreed if isinstance(each, UsageDiscount)}
    return [
        {
            **_common(discount, frame),
            "reason": _usage_reason(discount, free.get(discount.correlation_id, discount.quantity)),
            "quantity": plain(discount.quantity),
        }
        for discount in applied
        if discount.quantity is not None
    ]


def _common(discount: AppliedDiscount, frame: Frame) -> dict[str, Any]:
    return filled(
        id=discount.id,
        createdAt=frame.created_at,
        updatedAt=frame.updated_at,
        description=discount.description,
        externalIds=filled(invoicing=frame.discount_external_ids.get(discount.id)),
    )


def _amount_reason(discount: AppliedDiscount) -> dict[str, Any]:
    if discount.reason is not DiscountReason.PERCENTAGE:
        # OpenMeter has no fixed amount off a line. Like a maximum spend, it says no more than what came off.
        return {"type": DiscountReason.MAXIMUM_SPEND.value}
    percentage = json_number(discount.percentage or ZERO)
    return filled(type=discount.reason.value, percentage=percentage, correlationId=discount.correlation_id)


def _usage_reason(discount: AppliedDiscount, agreed: Decimal) -> dict[str, Any]:
    return filled(type=discount.reason.value, quantity=plain(agreed), correlationId=discount.correlation_id)
