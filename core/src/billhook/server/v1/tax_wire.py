"""Tax on the wire: how something is taxed, and which taxes came of it."""

from __future__ import annotations

import re
from typing import Any

from billhook.domain.tax import TaxAmount, TaxConfig
from billhook.server.v1.shown import filled, json_number

STRIPE_CODE = re.compile(r"txcd_[0-9]{8}")
"""A tax code of Stripe's; any other stands under ``customInvoicing``."""


def tax_config_v1(config: TaxConfig) -> dict[str, Any]:
    """How something is taxed. Rates have no word here."""
    return {"behavior": config.behavior.value, **_code(config.code)}


def tax_item_v1(tax: TaxAmount) -> dict[str, Any]:
    """One tax of a line. What it comes to stands in the line's totals."""
    return {"percent": json_number(tax.percentage), "behavior": tax.behavior.value}


def _code(code: str | None) -> dict[str, Any]:
    if code is None:
        return {}
    by = "stripe" if STRIPE_CODE.fullmatch(code) else "customInvoicing"
    return {by: filled(code=code)}
