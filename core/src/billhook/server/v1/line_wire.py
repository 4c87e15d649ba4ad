"""Lines on the wire: what was agreed, and the parts that it came to as children."""

from __future__ import annotations

import re
from typing import Any

from billhook.domain.invoice import DetailedLine, Line, details_of
from billhook.domain.money import plain
from billhook.server.v1.discount_wire import agreed_discounts_v1, amount_discounts_v1, usage_discounts_v1
from billhook.server.v1.frame import Frame, period_v1, totals_v1
from billhook.server.v1.price_wire import flat_price_v1, price_v1
from billhook.server.v1.shown import filled, moment
from billhook.server.v1.tax_wire import tax_config_v1, tax_item_v1

FEATURE_KEY = re.compile(r"[a-z0-9]+(?:_[a-z0-9]+)*")


def line_v1(line: Line, frame: Frame) -> dict[str, Any]:
    """A line with its children. One without a period shows an empty one, because the document asks for some."""
    price = price_v1(line.price)
    feature = line.feature_key if line.feature_key and FEATURE_KEY.fullmatch(line.feature_key) else None
    taxes = None if line.tax_config is None else tax_config_v1(line.tax_config)
    return filled(
        **_common(line, frame),
        type="usage_based",
        status="valid",
        managedBy=line.managed_by.value,
        description=line.description,
        metadata=dict(line.metadata),
        discounts=filled(usage=usage_discounts_v1(line.discounts, line.agreed_discounts, frame)),
        taxConfig=taxes,
        **_when(line, frame),
        price=price,
        featureKey=feature,
        rateCard=filled(
            price=price,
            featureKey=feature,
            taxConfig=taxes,
            discounts=agreed_discounts_v1(line.agreed_discounts),
        ),
        quantity=plain(line.quantity),
        meteredQuantity=None if line.metered_quantity is None else plain(line.metered_quantity),
        children=[_child(detail, line, frame) for detail in details_of(line)],
    )


def _child(detail: DetailedLine, line: Line, frame: Frame) -> dict[str, Any]:
    price = flat_price_v1(detail.per_unit_amount, detail.payment_term)
    return filled(
        **_common(detail, frame),
        type="flat_fee",
        status="detailed",
        managedBy="system",
        discounts=filled(amount=amount_discounts_v1(detail.discounts, frame)),
        **_when(line, frame),
        category=detail.category.value,
        paymentTerm=detail.payment_term.value,
        perUnitAmount=plain(detail.per_unit_amount),
        quantity=plain(detail.quantity),
        rateCard={"price": price, "quantity": plain(detail.quantity)},
    )


def _common(part: Line | DetailedLine, frame: Frame) -> dict[str, Any]:
    return filled(
        id=part.id,
        name=part.name,
        createdAt=frame.created_at,
        updatedAt=frame.updated_at,
        currency=frame.currency,
        invoice=frame.invoice,
        totals=totals_v1(part.totals),
        taxes=[tax_item_v1(tax) for tax in part.taxes],
        externalIds=filled(invoicing=frame.line_external_ids.get(part.id)),
    )


def _when(line: Line, frame: Frame) -> dict[str, Any]:
    invoice_at = frame.created_at if line.invoice_at is None else moment(line.invoice_at)
    period = line.period or frame.period
    empty = {"from": invoice_at, "to": invoice_at}
    return {"invoiceAt": invoice_at, "period": empty if period is None else period_v1(period)}
