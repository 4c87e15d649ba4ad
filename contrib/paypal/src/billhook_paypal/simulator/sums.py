"""What PayPal computes from the items of an invoice. Every amount is rounded half up, item by item."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from billhook_paypal.simulator.failures import unprocessable
from billhook_paypal.simulator.rules import WITHOUT_DECIMALS

_ZERO = Decimal(0)


def with_sums(told: Mapping[str, Any]) -> dict[str, Any]:
    """The invoice with the amounts that PayPal computes. Raises Refused for amounts in another currency."""
    currency = told["detail"]["currency_code"]
    items = [_with_tax(item, currency, number) for number, item in enumerate(told.get("items", []), start=1)]
    goods = sum((_gross(item, currency) for item in items), start=_ZERO)
    discount = sum((_amount(item.get("discount", {}), "amount") for item in items), start=_ZERO)
    tax = sum((_amount(item.get("tax", {}), "amount") for item in items), start=_ZERO)
    breakdown = {
        "item_total": money(goods, currency),
        "discount": {"item_discount": money(-discount, currency)},
        "tax_total": money(tax, currency),
    }
    total = goods - discount + tax
    if total < 0:
        raise unprocessable("INVALID_TOTAL_AMOUNT", "The total is below zero.")
    return {**told, "items": items, "amount": {**money(total, currency), "breakdown": breakdown}}


def money(value: Decimal, currency: str) -> dict[str, str]:
    """An amount as PayPal writes it."""
    return {"currency_code": currency, "value": str(rounded(value, currency))}


def rounded(value: Decimal, currency: str) -> Decimal:
    """In the currency's decimals."""
    return value.quantize(Decimal(1) if currency in WITHOUT_DECIMALS else Decimal("0.01"), ROUND_HALF_UP)


def value_of(told: Mapping[str, Any], currency: str) -> Decimal:
    """An amount that came in. Raises Refused where it is in another currency, or in parts of one that has none."""
    value = Decimal(told["value"])
    if told["currency_code"] != currency:
        raise unprocessable("CURRENCY_MISMATCH", f"The invoice is in {currency}.")
    if value != rounded(value, currency):
        raise unprocessable("DECIMALS_NOT_SUPPORTED", f"{currency} is taken in whole units.")
    return value


def _with_tax(item: Mapping[str, Any], currency: str, number: int) -> dict[str, Any]:
    gross, discount = _gross(item, currency), _discount(item, currency)
    told = {**item, "id": f"ITEM-{number}"}
    if "discount" in item:
        told["discount"] = {**item["discount"], "amount": money(discount, currency)}
    if "tax" in item:
        tax = rounded((gross - discount) * Decimal(item["tax"]["percent"]) / 100, currency)
        told["tax"] = {**item["tax"], "amount": money(tax, currency)}
    return told


def _gross(item: Mapping[str, Any], currency: str) -> Decimal:
    return rounded(Decimal(item["quantity"]) * value_of(item["unit_amount"], currency), currency)


def _discount(item: Mapping[str, Any], currency: str) -> Decimal:
    told = item.get("discount", {})
    if "amount" in told:
        return value_of(told["amount"], currency)
    return rounded(_gross(item, currency) * Decimal(told.get("percent", "0")) / 100, currency)


def _amount(told: Mapping[str, Any], name: str) -> Decimal:
    return Decimal(told[name]["value"]) if name in told else _ZERO
