"""Lines in a form whose total Stripe can't get wrong: whole units, our own tax amounts, and quantity times price only where that is exact.

Stripe multiplies and rounds by itself where it is given a quantity and a price, so it is given them only where nothing is left to round.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeVar

from billhook.contract import InvoiceItem, Line, MappedLine, encode_json
from billhook_stripe.currencies import EXACT, from_units, is_whole, to_units

Params = dict[str, Any]
T = TypeVar("T")

LINE_KEY = "billhook_line"
CONTENT_KEY = "billhook_content"
ACCOUNT_KEY = "billhook_account"
TAX_KEY = "billhook_tax_{}"
"""Metadata that Stripe keeps on each line: our id, a fingerprint of what was sent, our account, and what each tax is."""

LINES_PER_CALL = 100
"""Stripe's pages name no limit for one call; an invoice holds at most 250 lines (changelog 2016-02-22)."""

_PRODUCT = "prod_"


def line_params(line: Line, mapped: MappedLine, currency: str) -> Params:
    """One line of an invoice."""
    factors = _exact_factors(line, mapped, currency)
    if factors is None:
        return amount_params(line, mapped, currency)
    content = {"description": mapped.description, **factors, **_taxed(line, currency)}
    return {**content, "metadata": _metadata(line, mapped, content)}


def amount_params(line: Line, mapped: MappedLine, currency: str) -> Params:
    """One line as a single amount; the description says what it is made of."""
    amount = to_units(line.totals.before_taxes, currency)
    content = {"description": _described(line, mapped), "amount": amount, **_taxed(line, currency)}
    return {**content, "metadata": _metadata(line, mapped, content)}


def mark_of(content: Mapping[str, Any]) -> str:
    """A fingerprint of parameters: equal ones have equal marks."""
    return hashlib.sha256(encode_json(content)).hexdigest()[:16]


def tax_name(name: str, percentage: Decimal, behavior: str) -> str:
    """What tells one tax from another on an invoice at Stripe."""
    return f"{behavior} {_plain(percentage)}% {name}"[:500]


def chunks(entries: Sequence[T]) -> Iterator[Sequence[T]]:
    """The lines in as few calls as may be."""
    return (entries[start : start + LINES_PER_CALL] for start in range(0, len(entries), LINES_PER_CALL))


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done with the lines that stand there: which go, and which are missing."""

    remove: tuple[str, ...]
    add: tuple[Params, ...]


def plan_of(item: InvoiceItem, standing: Sequence[Mapping[str, Any]]) -> Plan:
    """How a draft with those lines becomes the one that is wanted. A line that stands there as it should is left alone."""
    wanted = {
        line.id: line_params(line, mapped, item.invoice.currency)
        for line, mapped in zip(item.invoice.lines, item.lines, strict=True)
    }
    kept: set[str] = set()
    removed: list[str] = []
    for there in standing:
        id = there["metadata"].get(LINE_KEY, "")
        is_same = id in wanted and there["metadata"].get(CONTENT_KEY) == wanted[id]["metadata"][CONTENT_KEY]
        if is_same and id not in kept:
            kept.add(id)
        else:
            removed.append(there["id"])
    return Plan(tuple(removed), tuple(params for id, params in wanted.items() if id not in kept))


def predicted_total(lines: Sequence[Mapping[str, Any]], currency: str) -> Decimal:
    """What Stripe will hold as the total of lines with these parameters."""
    return from_units(sum(_units(line) + _units_of_taxes(line) for line in lines), currency)


def _units(line: Mapping[str, Any]) -> int:
    if "amount" in line:
        return int(line["amount"])
    return int(EXACT.multiply(line["quantity_decimal"], line["price_data"]["unit_amount_decimal"]))


def _units_of_taxes(line: Mapping[str, Any]) -> int:
    taxes = line.get("tax_amounts", ())
    return sum(int(tax["amount"]) for tax in taxes if not tax["tax_rate_data"]["inclusive"])


def _exact_factors(line: Line, mapped: MappedLine, currency: str) -> Params | None:
    """Quantity and price of a line that is mapped to a product, where their product is the amount without rounding."""
    price = _unit_price(line)
    if price is None or not (mapped.item_code or "").startswith(_PRODUCT):
        return None
    if EXACT.multiply(line.quantity, price) != line.totals.before_taxes:
        return None
    if not is_whole(line.totals.before_taxes, currency):
        return None
    price_data = {
        "currency": currency.lower(),
        "product": mapped.item_code,
        "unit_amount_decimal": _in_units(price, currency),
    }
    return {"quantity_decimal": line.quantity, "price_data": price_data}


def _in_units(price: Decimal, currency: str) -> Decimal:
    one = from_units(1, currency)
    return Decimal(_plain(EXACT.divide(price, one)))


def _unit_price(line: Line) -> Decimal | None:
    """The price of one, where the line is plainly quantity times price."""
    if line.detailed_lines or line.price.type != "unit":
        return None
    price: Decimal = line.price.amount
    return price


def _described(line: Line, mapped: MappedLine) -> str:
    made_of = _made_of(line)
    return f"{mapped.description} ({made_of})" if made_of else mapped.description


def _made_of(line: Line) -> str:
    parts = [f"{detail.name}: {_times(detail.quantity, detail.per_unit_amount)}" for detail in line.detailed_lines]
    price = _unit_price(line)
    if price is not None and (line.quantity != 1 or line.totals.discounts_total):
        parts.append(_times(line.quantity, price))
    if line.totals.discounts_total:
        parts.append(f"less {line.totals.discounts_total:f}")
    return "; ".join(parts)


def _times(quantity: Decimal, price: Decimal) -> str:
    return f"{_plain(quantity)} x {_plain(price)}"


def _taxed(line: Line, currency: str) -> Params:
    """Our own tax amounts (docs.stripe.com/invoicing/taxes/manual-tax-amounts), so that Stripe computes none."""
    if not line.taxes:
        return {}
    return {
        "tax_amounts": [
            {
                "amount": to_units(tax.amount, currency),
                "taxable_amount": to_units(tax.taxable_amount, currency),
                "tax_rate_data": {
                    "display_name": tax.name,
                    "percentage": Decimal(_plain(tax.percentage)),
                    "inclusive": tax.behavior.value == "inclusive",
                },
            }
            for tax in line.taxes
        ]
    }


def _metadata(line: Line, mapped: MappedLine, content: Params) -> Params:
    taxes = {
        TAX_KEY.format(place): tax_name(tax.name, tax.percentage, tax.behavior.value)
        for place, tax in enumerate(line.taxes)
    }
    account = {ACCOUNT_KEY: mapped.account} if mapped.account else {}
    return {LINE_KEY: line.id, CONTENT_KEY: mark_of({**content, **account}), **account, **taxes}


def _plain(number: Decimal) -> str:
    """In digits, without an exponent and without zeros that say nothing."""
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
