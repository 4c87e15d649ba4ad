"""Lines in the third form of the API."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from billhook.domain.calculation import metered_quantity_of
from billhook.domain.discount import AppliedDiscount, Discount, DiscountReason, PercentageDiscount, UsageDiscount
from billhook.domain.invoice import DetailedLine, Line, ManagedBy, Totals, details_of
from billhook.domain.money import plain
from billhook.server.v1.frame import Frame, period_v1
from billhook.server.v1.line_wire import FEATURE_KEY
from billhook.server.v1.shown import filled, json_number, moment
from billhook.server.v3.labels import labels_v3
from billhook.server.v3.price_wire import price_v3, unit_config_v3


def line_v3(line: Line, frame: Frame) -> dict[str, Any]:
    """A line with what it came to. One without a period shows an empty one, because the document asks for some."""
    return {
        **_common(line, frame),
        **filled(
            description=line.description,
            labels=labels_v3(line.metadata),
            discounts=filled(usage=_usage(line.discounts, frame)),
            usage_quantity_detail=_quantities(line),
        ),
        "type": "standard_line",
        "lifecycle_controller": "manual" if line.managed_by is ManagedBy.MANUAL else "system",
        "service_period": _period(line, frame),
        "rate_card": _rate_card(line),
        "detailed_lines": [_detail(detail, line, frame) for detail in details_of(line)],
    }


def totals_v3(totals: Totals) -> dict[str, Any]:
    """All totals, none left out."""
    names = (
        "amount",
        "charges_total",
        "discounts_total",
        "credits_total",
        "taxes_inclusive_total",
        "taxes_exclusive_total",
        "taxes_total",
        "total",
    )
    return {name: plain(getattr(totals, name)) for name in names}


def agreed_discounts_v3(agreed: Iterable[Discount]) -> dict[str, Any]:
    """What was agreed for a line: at most one share and one free quantity; a fixed amount has no word here."""
    shown: dict[str, Any] = {}
    for discount in agreed:
        if isinstance(discount, PercentageDiscount):
            shown.setdefault("percentage", json_number(discount.percentage))
        elif isinstance(discount, UsageDiscount):
            shown.setdefault("usage", plain(discount.quantity))
    return shown


def shown_feature_key(line: Line) -> str | None:
    """The feature, where the document has room for its key."""
    return line.feature_key if line.feature_key and FEATURE_KEY.fullmatch(line.feature_key) else None


def _rate_card(line: Line) -> dict[str, Any]:
    return filled(
        price=price_v3(line.price),
        feature_key=shown_feature_key(line),
        discounts=agreed_discounts_v3(line.agreed_discounts),
        unit_config=unit_config_v3(line.price),
    )


def _detail(detail: DetailedLine, line: Line, frame: Frame) -> dict[str, Any]:
    return {
        **_common(detail, frame),
        **filled(discounts=filled(amount=_amounts(detail.discounts, frame))),
        "service_period": _period(line, frame),
        "category": detail.category.value,
        "quantity": plain(detail.quantity),
        "unit_price": plain(detail.per_unit_amount),
    }


def _common(part: Line | DetailedLine, frame: Frame) -> dict[str, Any]:
    return filled(
        id=part.id,
        name=part.name,
        created_at=frame.created_at,
        updated_at=frame.updated_at,
        totals=totals_v3(part.totals),
        external_references=filled(invoicing_id=frame.line_external_ids.get(part.id)),
    )


def _quantities(line: Line) -> dict[str, Any]:
    if line.feature_key is None:
        return {}
    return {"raw_quantity": plain(metered_quantity_of(line)), "invoiced_quantity": plain(line.quantity)}


def _amounts(applied: Iterable[AppliedDiscount], frame: Frame) -> list[dict[str, Any]]:
    return [
        {**_discount(each, frame), "reason": _amount_reason(each), "amount": plain(each.amount)}
        for each in applied
        if each.quantity is None
    ]


def _usage(applied: Iterable[AppliedDiscount], frame: Frame) -> list[dict[str, Any]]:
    return [
        {**_discount(each, frame), "reason": each.reason.value, "quantity": plain(each.quantity)}
        for each in applied
        if each.quantity is not None
    ]


def _discount(discount: AppliedDiscount, frame: Frame) -> dict[str, Any]:
    return filled(
        id=discount.id,
        description=discount.description,
        external_references=filled(invoicing_id=frame.discount_external_ids.get(discount.id)),
    )


def _amount_reason(discount: AppliedDiscount) -> str:
    # OpenMeter has no fixed amount off a line. Like a maximum spend, it says no more than what came off.
    return (discount.reason if discount.reason is DiscountReason.PERCENTAGE else DiscountReason.MAXIMUM_SPEND).value


def _period(line: Line, frame: Frame) -> dict[str, str]:
    period = line.period or frame.period
    if period is not None:
        return period_v1(period)
    at = frame.created_at if line.invoice_at is None else moment(line.invoice_at)
    return {"from": at, "to": at}
