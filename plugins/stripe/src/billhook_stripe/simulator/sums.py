"""Lines, taxes and totals of invoices, in whole units, as Stripe computes them."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from billhook_stripe.simulator.desk import Body, Refused, merged
from billhook_stripe.simulator.forms import decimal, flag, needed, whole
from billhook_stripe.simulator.ledger import Ledger
from billhook_stripe.simulator.units import product

MOST_LINES = 250
"""changelog 2016-02-22: an attempt to add more is an error."""
MOST_TAXES = 10
"""docs.stripe.com/api/invoice-line-item/bulk, tax_amounts."""


def line_of(ledger: Ledger, invoice: Body, params: Body, number: int) -> Body:
    """A new line, from the parameters of `add_lines` at that place."""
    place = f"lines[{number}]"
    amount, quantity, unit = _amounts(params, place, invoice["currency"])
    return {
        "id": f"il_{invoice['id'].rpartition('_')[2]}_{invoice['_lines_made'] + number + 1}",
        "object": "line_item",
        "amount": amount,
        "currency": invoice["currency"],
        "description": params.get("description"),
        "invoice": invoice["id"],
        "metadata": merged({}, params.get("metadata")),
        "pricing": {"unit_amount_decimal": unit},
        "quantity_decimal": quantity,
        "subtotal": amount,
        "taxes": _taxes(ledger, params.get("tax_amounts") or (), place),
    }


def _amounts(params: Body, place: str, currency: str) -> tuple[int, str, str]:
    """Either an amount, or a quantity and a price that are multiplied and rounded to a unit."""
    amount = whole(params, "amount")
    price: Body = params.get("price_data") or {}
    if (amount is None) == (not price):
        raise Refused(400, "A line needs either amount or price_data.", param=place)
    if amount is not None:
        return amount, "1", str(amount)
    if needed(price, "currency") != currency:
        raise Refused(400, f"The invoice is in {currency}.", param=f"{place}[price_data][currency]")
    needed(price, "product")
    quantity, unit = decimal(params, "quantity_decimal"), decimal(price, "unit_amount_decimal")
    if unit is None:
        raise Refused(400, "Missing required param.", code="parameter_missing", param=f"{place}[price_data]")
    count = Decimal(1) if quantity is None else quantity
    return product(count, unit), format(count, "f"), format(unit, "f")


def _taxes(ledger: Ledger, stated: Sequence[Body], place: str) -> list[Body]:
    if len(stated) > MOST_TAXES:
        raise Refused(400, f"A line takes at most {MOST_TAXES} tax amounts.", param=f"{place}[tax_amounts]")
    return [_tax(ledger, each, f"{place}[tax_amounts]") for each in stated]


def _tax(ledger: Ledger, stated: Body, place: str) -> Body:
    """docs.stripe.com/invoicing/taxes/manual-tax-amounts: the amount is taken as stated; the rate only describes it."""
    amount, taxable, rate = whole(stated, "amount"), whole(stated, "taxable_amount"), stated.get("tax_rate_data")
    if amount is None or taxable is None or not isinstance(rate, dict):
        raise Refused(400, "A tax amount needs amount, taxable_amount and tax_rate_data.", param=place)
    inclusive = flag(rate, "inclusive") is True
    percentage = Decimal(needed(rate, "percentage"))
    if not 0 <= percentage <= 100 or percentage != round(percentage, 4):
        raise Refused(400, "percentage takes 0 to 100 with four decimals.", param=f"{place}[tax_rate_data][percentage]")
    return {
        "amount": amount,
        "tax_behavior": "inclusive" if inclusive else "exclusive",
        "tax_rate_details": {"tax_rate": _rate(ledger, needed(rate, "display_name"), percentage, inclusive=inclusive)},
        "taxability_reason": "not_available",
        "taxable_amount": taxable,
        "type": "tax_rate_details",
    }


def _rate(ledger: Ledger, name: str, percentage: Decimal, *, inclusive: bool) -> str:
    """The tax rate of that name, made where there is none."""
    if len(name) > 50:
        raise Refused(400, "display_name takes 50 characters.", param="tax_rate_data[display_name]")
    key = f"{name}|{percentage.normalize()}|{inclusive}"
    for known in ledger.all_of("tax_rate", key):
        return str(known["id"])
    rate = {
        "id": ledger.next_id("tax_rate"),
        "object": "tax_rate",
        "display_name": name,
        "percentage": str(percentage),
        "inclusive": inclusive,
    }
    return str(ledger.save(rate, parent=key)["id"])


def summed(invoice: Body) -> Body:
    """The invoice with the totals of its lines. Inclusive taxes are in the amounts already."""
    lines = invoice["_lines"]
    subtotal = sum(line["amount"] for line in lines)
    taxes = total_taxes(lines)
    on_top = sum(tax["amount"] for tax in taxes if tax["tax_behavior"] == "exclusive")
    total = subtotal + on_top
    everything = sum(tax["amount"] for tax in taxes)
    return {
        **invoice,
        "subtotal": subtotal,
        "total": total,
        "total_excluding_tax": total - everything,
        "total_taxes": taxes,
        "amount_due": max(total, 0),
        "amount_remaining": max(total, 0),
    }


def total_taxes(lines: Sequence[Body]) -> list[Body]:
    """The taxes of the lines, added up by rate."""
    added: dict[str, Body] = {}
    for tax in (tax for line in lines for tax in line["taxes"]):
        rate = tax["tax_rate_details"]["tax_rate"]
        if rate not in added:
            added[rate] = {**tax, "amount": 0, "taxable_amount": 0}
        added[rate]["amount"] += tax["amount"]
        added[rate]["taxable_amount"] += tax["taxable_amount"]
    return list(added.values())


def shown(invoice: Body, expand: Sequence[str], intents: Any) -> Body:
    """An invoice as it is answered: its first ten lines, and its first ten payments where they are asked for.

    "the first handful" of the lines (docs.stripe.com/api/invoice-line-item); payments are expandable (docs.stripe.com/api/invoices/object).
    """
    first, lines = invoice["_lines"][:10], invoice["_lines"]
    url = f"/v1/invoices/{invoice['id']}/lines"
    told = {name: value for name, value in invoice.items() if not name.startswith("_")}
    told["lines"] = {"object": "list", "data": first, "has_more": len(lines) > len(first), "url": url}
    wanted = [each for each in expand if each.partition(".")[0] == "payments"]
    if wanted:
        whole_intents = any(each.endswith(".payment_intent") for each in wanted)
        payments = invoice["_payments"]
        data = [shown_payment(each, intents if whole_intents else None) for each in payments[:10]]
        goes_on = len(payments) > len(data)
        told["payments"] = {"object": "list", "data": data, "has_more": goes_on, "url": "/v1/invoice_payments"}
    return told


def shown_payment(payment: Body, intents: Any) -> Body:
    """A payment of an invoice, with its payment intent whole where ``intents`` finds it."""
    inner = payment["payment"]
    if intents is None or "payment_intent" not in inner:
        return payment
    return {**payment, "payment": {**inner, "payment_intent": intents(inner["payment_intent"])}}
