"""What the lines of an invoice take from the invoice that they stand on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from billhook.domain.invoice import Totals
from billhook.domain.money import plain
from billhook.domain.period import Period
from billhook.server.v1.shown import moment


@dataclass(frozen=True, slots=True)
class Frame:
    """The invoice around its lines. Lines have no times of their own: they change when the invoice does."""

    invoice: Mapping[str, str]
    currency: str
    created_at: str
    updated_at: str
    period: Period | None = None
    line_external_ids: Mapping[str, str] = field(default_factory=dict)
    discount_external_ids: Mapping[str, str] = field(default_factory=dict)


def period_v1(period: Period) -> dict[str, str]:
    """A period on the wire."""
    return {"from": moment(period.start), "to": moment(period.end)}


def totals_v1(totals: Totals) -> dict[str, Any]:
    """All totals, none left out."""
    return {
        "amount": plain(totals.amount),
        "chargesTotal": plain(totals.charges_total),
        "discountsTotal": plain(totals.discounts_total),
        "creditsTotal": plain(totals.credits_total),
        "taxesInclusiveTotal": plain(totals.taxes_inclusive_total),
        "taxesExclusiveTotal": plain(totals.taxes_exclusive_total),
        "taxesTotal": plain(totals.taxes_total),
        "total": plain(totals.total),
    }
