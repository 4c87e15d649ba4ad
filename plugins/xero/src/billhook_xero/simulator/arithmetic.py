"""How Xero computes a document (developer.xero.com, "Rounding in Xero").

Quantity and unit amount have four decimals, the unit amount only where the request says ``unitdp=4``, else two. A line is their product less the
discount, rounded half up to two decimals; tax is rounded per line, then summed. A stated tax amount replaces the computed one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from billhook_xero.simulator.rules import Org
from billhook_xero.simulator.wire import EXACT, Invalid, Json, cents, number

HUNDRED = Decimal(100)
ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Sums:
    """What a document comes to."""

    sub_total: Decimal
    total_tax: Decimal
    total: Decimal
    discount: Decimal


def sums_of(lines: Sequence[Json], amounts_are: str) -> Sums:
    """The totals of computed lines."""
    amount = sum((line["LineAmount"] for line in lines), ZERO)
    tax = sum((line["TaxAmount"] for line in lines), ZERO)
    discount = sum((line.get("DiscountAmount") or ZERO for line in lines), ZERO)
    if amounts_are == "Inclusive":
        return Sums(cents(amount - tax), cents(tax), cents(amount), cents(discount))
    return Sums(cents(amount), cents(tax), cents(amount + tax), cents(discount))


def computed_line(told: Json, org: Org, amounts_are: str, unit_decimals: int, *, may_discount: bool) -> Json:
    """The line as it stands in the books. Raises Invalid."""
    quantity = number(told.get("Quantity"), "Quantity", 4)
    unit_amount = number(told.get("UnitAmount"), "UnitAmount", unit_decimals)
    quantity = Decimal("1.0000") if quantity is None else quantity
    amount = _line_amount(told, quantity, unit_amount or ZERO, may_discount=may_discount)
    tax_type = _tax_type(told, org, amounts_are)
    return {
        **{name: told[name] for name in ("Description", "AccountCode", "ItemCode", "Tracking") if told.get(name)},
        "Quantity": quantity,
        "UnitAmount": unit_amount or ZERO,
        **({"DiscountAmount": cents(told["DiscountAmount"])} if told.get("DiscountAmount") else {}),
        "LineAmount": amount,
        "TaxType": tax_type,
        "TaxAmount": _tax(told, amount, tax_type, org, amounts_are),
    }


def _line_amount(told: Json, quantity: Decimal, unit_amount: Decimal, *, may_discount: bool) -> Decimal:
    if told.get("DiscountAmount") is not None and told.get("DiscountRate") is not None:
        raise Invalid("Only one of DiscountRate and DiscountAmount may be given")
    if not may_discount and (told.get("DiscountAmount") or told.get("DiscountRate")):
        raise Invalid("Discounts are not supported on credit notes")
    rate = number(told.get("DiscountRate"), "DiscountRate", 4) or ZERO
    gross = EXACT.multiply(quantity, unit_amount)
    off = number(told.get("DiscountAmount"), "DiscountAmount", 4) or EXACT.multiply(gross, rate) / HUNDRED
    expected = cents(EXACT.subtract(gross, off))
    stated = number(told.get("LineAmount"), "LineAmount", 2)
    if stated is not None and stated != expected:
        raise Invalid(f"The line total {stated} does not match the expected line total {expected}")
    return expected


def _tax_type(told: Json, org: Org, amounts_are: str) -> str:
    if amounts_are == "NoTax":
        return "NONE"
    stated: str | None = told.get("TaxType")
    if stated is None:
        # A line that states none gets the default of its account.
        code = told.get("AccountCode")
        return next((account.tax_type for account in org.accounts if account.code == code), "NONE")
    if stated not in org.tax_rates:
        raise Invalid(f"The TaxType code '{stated}' does not exist or cannot be used for this type of transaction")
    return stated


def _tax(told: Json, amount: Decimal, tax_type: str, org: Org, amounts_are: str) -> Decimal:
    if amounts_are == "NoTax":
        return cents(ZERO)
    stated = number(told.get("TaxAmount"), "TaxAmount", 2)
    if stated is not None:
        if stated and not org.tax_rates[tax_type]:
            raise Invalid(f"TaxAmount {stated} does not fit the TaxType {tax_type}, whose rate is zero")
        return stated
    rate = org.tax_rates[tax_type]
    divisor = EXACT.add(HUNDRED, rate) if amounts_are == "Inclusive" else HUNDRED
    return cents(EXACT.divide(EXACT.multiply(amount, rate), divisor))
