"""What QuickBooks makes of our figures, predicted by its own rules, and the form of a line that it gets right.

QuickBooks takes quantities and prices of up to seven decimals, multiplies, and rounds half up to two; an Amount that differs from that
product is refused. Outside the US it computes the tax of each line by its code and rounds it half up before it adds up. In the US it takes
the sum of the tax as it is stated (developer.intuit.com, "Manage sales tax for US locales" and "... for non-US locales").
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal

from billhook.contract import InvoiceView, Line, MappedLine
from billhook_quickbooks.config import QuickBooksSettings, TaxModel

SCALE = 7
_CENT = Decimal("0.01")
_ONE = Decimal(1)
_NOTHING = Decimal(0)
# Wide enough for the product of any two of our amounts.
_EXACT = Context(prec=80, rounding=ROUND_HALF_UP)


@dataclass(frozen=True, slots=True)
class Figures:
    """A line as it is sent. ``made_of`` tells what one of the whole amount stands for."""

    quantity: Decimal
    unit_price: Decimal
    amount: Decimal
    made_of: str = ""


@dataclass(frozen=True, slots=True)
class TaxDifference:
    """The first line whose tax QuickBooks would compute otherwise. ``is_rounding``: by no more than a cent a line in all."""

    place: int
    ours: Decimal
    theirs: Decimal
    is_rounding: bool


def figures_of(line: Line) -> Figures:
    """Quantity and price where QuickBooks comes to our amount with them, else once the amount. Discounts are off, tax inside prices too."""
    net = cents(line.totals.net)
    quantity, price = quantity_and_price(line)
    is_plain = not line.detailed_lines and not line.totals.discounts_total and not line.totals.taxes_inclusive_total
    if is_plain and fits(quantity) and fits(price) and product(quantity, price) == net:
        return Figures(quantity, price, net)
    return Figures(_ONE, net, net, _made_of(line))


def quantity_and_price(line: Line) -> tuple[Decimal, Decimal]:
    """Of a line that is plainly quantity times price; what it says of other lines is not used."""
    price: Decimal = getattr(line.price, "amount", Decimal(0))
    return (_ONE if line.price.type == "flat" else line.quantity), price


def fits(value: Decimal) -> bool:
    """Whether QuickBooks takes so many decimals."""
    return value == value.quantize(_ONE.scaleb(-SCALE), ROUND_HALF_UP, _EXACT)


def product(quantity: Decimal, price: Decimal) -> Decimal:
    """What QuickBooks makes of them."""
    return cents(_EXACT.multiply(quantity, price))


def cents(amount: Decimal) -> Decimal:
    """The amount in two decimals, rounded half up."""
    return amount.quantize(_CENT, ROUND_HALF_UP, _EXACT)


def is_in_cents(amount: Decimal) -> bool:
    """Whether two decimals are enough for it."""
    return amount == cents(amount)


def line_tax(net: Decimal, percentage: Decimal) -> Decimal:
    """The tax that QuickBooks computes on a line outside the US."""
    return cents(_EXACT.divide(_EXACT.multiply(net, percentage), Decimal(100)))


def tax_difference(
    invoice: InvoiceView, mapped: Mapping[str, MappedLine], settings: QuickBooksSettings
) -> TaxDifference | None:
    """The smallest counter-example where the tax of the invoice would come out otherwise: one line. None: to the cent."""
    rest = tax_rest(invoice, mapped, settings)
    if rest == rounding_of(invoice, mapped, settings):
        return None
    lines = (
        (place, line, predicted_line_tax(line, mapped[line.id], settings)) for place, line in enumerate(invoice.lines)
    )
    return next(
        TaxDifference(place, line.totals.taxes_total, theirs, _is_rounding(rest, invoice))
        for place, line, theirs in lines
        if line.totals.taxes_total != theirs
    )


def tax_rest(invoice: InvoiceView, mapped: Mapping[str, MappedLine], settings: QuickBooksSettings) -> Decimal:
    """What the tax that QuickBooks computes lacks of ours; nothing where it takes the sum as it is stated."""
    if settings.tax_model is TaxModel.US:
        return _NOTHING
    predicted = (predicted_line_tax(line, mapped[line.id], settings) for line in invoice.lines)
    return invoice.totals.taxes_total - sum(predicted, _NOTHING)


def rounding_of(invoice: InvoiceView, mapped: Mapping[str, MappedLine], settings: QuickBooksSettings) -> Decimal:
    """What a line of its own makes up for, so that the total is ours; nothing where none is needed, or nobody named a product for it."""
    can = settings.tax_model is TaxModel.ELSEWHERE and settings.rounding_item and settings.untaxed_code
    rest = tax_rest(invoice, mapped, settings) if can else _NOTHING
    return rest if _is_rounding(rest, invoice) else _NOTHING


def _is_rounding(rest: Decimal, invoice: InvoiceView) -> bool:
    # A cent a line is rounding; more is another rate.
    return abs(rest) <= _CENT * len(invoice.lines)


def predicted_line_tax(line: Line, mapped: MappedLine, settings: QuickBooksSettings) -> Decimal:
    """The tax of a line as QuickBooks computes it; none where the company does not use sales tax or the code is not known."""
    percentage = settings.percentage_of(mapped.tax_code or "")
    if settings.tax_model is TaxModel.NONE or percentage is None:
        return Decimal("0.00")
    return line_tax(cents(line.totals.net), percentage)


def _made_of(line: Line) -> str:
    discount = line.totals.discounts_total
    less = f", less {plain(discount)}" if discount else ""
    if not line.detailed_lines:
        quantity, price = quantity_and_price(line)
        return f"{plain(quantity)} x {plain(price)}{less}"
    parts = ((each.name, each.quantity, each.per_unit_amount) for each in line.detailed_lines)
    return "; ".join(f"{name}: {plain(quantity)} x {plain(price)}" for name, quantity, price in parts) + less


def plain(amount: Decimal) -> str:
    """The decimal in digits, never with an exponent."""
    return format(amount, "f")
