"""What a document comes to, by the company's own rules.

Amount is Qty times UnitPrice rounded half up, and refused where it is stated otherwise (error 6070). Outside the US each line names a tax
code, whose tax is rounded half up on the line and then added up ("Manage sales tax for non-US locales"). In the US the stated
TxnTaxDetail.TotalTax is taken; an automated sales tax computes its own where none is stated ("Manage sales tax for US locales").
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from billhook_quickbooks.simulator.rules import CompanyRules
from billhook_quickbooks.simulator.wire import EXACT, Entity, Refused, cents, decimal, money, ref

SCALE = 7
_LONGEST_DESCRIPTION = 4000


def summed(body: Entity, rules: CompanyRules) -> Entity:
    """The document's lines with their ids and the line of the subtotal, its tax and its total."""
    sent = [line for line in body.get("Line") or () if line.get("DetailType") != "SubTotalLineDetail"]
    lines = [_line(place, line, rules) for place, line in enumerate(sent, start=1)]
    if not lines:
        raise Refused("2020", "Required param missing, need to supply the required value for the API", "Line", "Line")
    subtotal = cents(sum((line["Amount"] for line in lines), Decimal(0)))
    tax = _tax(body, lines, rules)
    total = subtotal + tax
    if total < 0:
        raise Refused("6000", "A business validation error has occurred", "Transaction amount must be 0 or greater")
    closing = {"Amount": subtotal, "DetailType": "SubTotalLineDetail", "SubTotalLineDetail": {}}
    return {"Line": [*lines, closing], "TxnTaxDetail": {"TotalTax": tax}, "TotalAmt": total}


def _line(place: int, sent: Entity, rules: CompanyRules) -> Entity:
    if sent.get("DetailType") != "SalesItemLineDetail":
        raise Refused("2500", "Invalid Reference Id", f"DetailType {sent.get('DetailType')} is not simulated", "Line")
    detail = sent.get("SalesItemLineDetail") or {}
    amount = money(sent, "Amount")
    if "UnitPrice" in detail:
        _check_product(amount, _fine(detail, "Qty", "1"), _fine(detail, "UnitPrice", None))
    if len(sent.get("Description", "")) > _LONGEST_DESCRIPTION:
        raise Refused(
            "2050", "Property Value exceeds the max length", f"Description: max {_LONGEST_DESCRIPTION}", "Line"
        )
    _check_item(ref(detail, "ItemRef"), rules)
    _check_code(ref(detail, "TaxCodeRef"), rules)
    return {**sent, "Id": str(place), "LineNum": sent.get("LineNum", place), "Amount": amount}


def _fine(detail: Entity, name: str, default: str | None) -> Decimal:
    """Quantities and prices have seven decimals at most."""
    value = decimal(detail, name, default)
    if value != value.quantize(Decimal(1).scaleb(-SCALE), context=EXACT):
        raise Refused("2030", "Invalid Number", f"{name} is {value:f}: {SCALE} decimals at most", name)
    return value


def _check_product(amount: Decimal, quantity: Decimal, price: Decimal) -> None:
    product = cents(EXACT.multiply(quantity, price))
    if product != amount:
        detail = f"Amount is not equal to UnitPrice * Qty. Supplied value: {amount:f}, computed: {product:f}"
        raise Refused("6070", "Amount calculation incorrect in the request", detail, "Amount")


def _check_item(item: str | None, rules: CompanyRules) -> None:
    if item is not None and item not in rules.items:
        raise Refused("2500", "Invalid Reference Id", f"Items element id {item} not found", "ItemRef")
    if item in rules.inactive_items:
        raise Refused("610", "Object Not Found", f"Item {item} has been made inactive", "ItemRef")


def _check_code(code: str | None, rules: CompanyRules) -> None:
    if rules.tax == "elsewhere" and code is None:
        raise Refused(
            "6000",
            "A business validation error has occurred",
            "Make sure all your transactions have a VAT rate before you save.",
        )
    known = {"us": {"TAX", "NON"}, "elsewhere": set(rules.tax_codes), "none": set[str]()}[rules.tax]
    if code is not None and code not in known:
        raise Refused("2500", "Invalid Reference Id", f"TaxCode element id {code} not found", "TaxCodeRef")


def _tax(body: Entity, lines: Sequence[Entity], rules: CompanyRules) -> Decimal:
    if rules.tax == "none":
        return Decimal("0.00")
    if rules.tax == "us":
        return _us_tax(body, lines, rules)
    if body.get("GlobalTaxCalculation", "TaxExcluded") == "NotApplicable":
        return Decimal("0.00")
    if body.get("GlobalTaxCalculation", "TaxExcluded") != "TaxExcluded":
        raise Refused("2030", "Invalid Enumeration", "prices with tax inside are not simulated", "GlobalTaxCalculation")
    taxes = (_share(line["Amount"], rules.tax_codes[_code(line)]) for line in lines)
    return cents(sum(taxes, Decimal(0)))


def _us_tax(body: Entity, lines: Sequence[Entity], rules: CompanyRules) -> Decimal:
    detail = body.get("TxnTaxDetail") or {}
    if "TotalTax" in detail:
        return money(detail, "TotalTax")
    if rules.automated_tax is None:
        return Decimal("0.00")
    taxed = sum((line["Amount"] for line in lines if _code(line) == "TAX"), Decimal(0))
    return _share(taxed, rules.automated_tax)


def _share(amount: Decimal, percentage: Decimal) -> Decimal:
    return cents(EXACT.divide(EXACT.multiply(amount, percentage), Decimal(100)))


def _code(line: Entity) -> str:
    return ref(line["SalesItemLineDetail"], "TaxCodeRef") or ""
