"""How a line is written so that Xero's own arithmetic comes to our amounts, and what that arithmetic is.

Xero multiplies quantity by unit amount (four decimals each), takes the discount off, and rounds half up to two decimals. Tax is rounded
per line, then summed; a stated tax replaces the computed one (developer.xero.com, "Rounding in Xero").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal
from enum import StrEnum

from billhook.contract import InvoiceView, Line, MappedLine
from billhook_xero.config import TaxAuthority, XeroSettings

EXACT = Context(prec=80, rounding=ROUND_HALF_UP)
CENT = Decimal("0.01")
FOURTH = Decimal("0.0001")
ZERO = Decimal(0)
HUNDRED = Decimal(100)
LONGEST_DESCRIPTION = 4000


class AmountsAre(StrEnum):
    """Xero's LineAmountTypes: whether line amounts hold their tax."""

    EXCLUSIVE = "Exclusive"
    INCLUSIVE = "Inclusive"
    NO_TAX = "NoTax"


@dataclass(frozen=True, slots=True)
class Written:
    """A line as Xero gets it. ``tax_amount`` None: Xero computes it. ``own_tax`` is what the invoice says."""

    description: str
    quantity: Decimal
    unit_amount: Decimal
    discount: Decimal
    line_amount: Decimal
    tax_amount: Decimal | None
    tax_type: str | None
    own_tax: Decimal
    account: str | None = None
    item_code: str | None = None
    tracking: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Paper:
    """A whole document as Xero gets it. ``rounding`` is the line that makes up for tax which Xero rounds otherwise."""

    amounts_are: AmountsAre
    lines: tuple[Written, ...]
    rounding: Written | None = None

    @property
    def all_lines(self) -> tuple[Written, ...]:
        """The lines with the rounding line at the end."""
        return self.lines if self.rounding is None else (*self.lines, self.rounding)


def paper_of(
    invoice: InvoiceView, mapped: Sequence[MappedLine], settings: XeroSettings, *, discounts: bool = True
) -> Paper:
    """The document as it is sent. Without ``discounts`` they are taken off beforehand: Xero's credit notes have none."""
    amounts_are = amounts_of(invoice, mapped)
    lines = tuple(
        _written(line, to, amounts_are, settings, discounts=discounts)
        for line, to in zip(invoice.lines, mapped, strict=True)
    )
    return Paper(amounts_are, lines, _rounding_line(lines, amounts_are, settings))


def amounts_of(invoice: InvoiceView, mapped: Sequence[MappedLine]) -> AmountsAre:
    """Inclusive where every price holds its tax, without tax where nothing is taxed, else exclusive."""
    if not any(line.taxes for line in invoice.lines) and not any(to.tax_code for to in mapped):
        return AmountsAre.NO_TAX
    inclusive = [bool(line.taxes) and not line.totals.taxes_exclusive_total for line in invoice.lines]
    holds_tax = any(line.totals.taxes_inclusive_total for line in invoice.lines)
    return AmountsAre.INCLUSIVE if holds_tax and all(inclusive) else AmountsAre.EXCLUSIVE


def _written(
    line: Line, to: MappedLine, amounts_are: AmountsAre, settings: XeroSettings, *, discounts: bool
) -> Written:
    amount = cents(line.totals.before_taxes if amounts_are is AmountsAre.INCLUSIVE else line.totals.net)
    description = " ".join((to.description or line.name).split())
    quantity, unit_amount, discount = _factors(line, discounts=discounts)
    if not _comes_to(amount, quantity, unit_amount, discount) or line.detailed_lines:
        description = _with_arithmetic(description, line)
        quantity, unit_amount, discount = Decimal(1), amount, ZERO
    taxed = amounts_are is not AmountsAre.NO_TAX
    ours = taxed and settings.tax is TaxAuthority.BILLHOOK
    return Written(
        description=description[:LONGEST_DESCRIPTION],
        quantity=quantity,
        unit_amount=unit_amount,
        discount=discount,
        line_amount=amount,
        tax_amount=cents(line.totals.taxes_total) if ours else None,
        tax_type=tax_type_of(line, to, settings) if taxed else None,
        own_tax=cents(line.totals.taxes_total),
        account=to.account,
        item_code=to.item_code,
        tracking=to.tracking,
    )


def tax_type_of(line: Line, to: MappedLine, settings: XeroSettings) -> str | None:
    """Xero's TaxType: the mapping's, else the settings' for that percentage; for a line without tax the one that says so.

    None where nobody knows it.
    """
    if to.tax_code:
        return to.tax_code
    if not line.taxes:
        return settings.untaxed_tax_type
    percentage = percentage_of(line)
    return next((code for rate, code in settings.tax_types.items() if Decimal(rate) == percentage), None)


def percentage_of(line: Line) -> Decimal:
    """All taxes of the line together, as a TaxType has one rate."""
    return sum((tax.percentage for tax in line.taxes), ZERO)


def computed_amount(quantity: Decimal, unit_amount: Decimal, discount: Decimal) -> Decimal:
    """What Xero makes of a line."""
    return cents(EXACT.subtract(EXACT.multiply(quantity, unit_amount), discount))


def computed_tax(amount: Decimal, percentage: Decimal, amounts_are: AmountsAre) -> Decimal:
    """The tax that Xero computes on a line."""
    divisor = EXACT.add(HUNDRED, percentage) if amounts_are is AmountsAre.INCLUSIVE else HUNDRED
    return cents(EXACT.divide(EXACT.multiply(amount, percentage), divisor))


def computed_tax_of(line: Written, amounts_are: AmountsAre, settings: XeroSettings) -> Decimal | None:
    """The tax that will stand on a line at Xero; None where its rate is not known here."""
    if line.tax_amount is not None:
        return line.tax_amount
    if amounts_are is AmountsAre.NO_TAX:
        return ZERO
    if line.tax_type == settings.untaxed_tax_type:
        return ZERO
    percentage = (settings.organisation.tax_rates or {}).get(line.tax_type or "")
    return None if percentage is None else computed_tax(line.line_amount, percentage, amounts_are)


def predicted_total(paper: Paper, settings: XeroSettings) -> Decimal | None:
    """The total that Xero will come to; None where a tax rate is not known here."""
    taxes = [computed_tax_of(line, paper.amounts_are, settings) for line in paper.all_lines]
    if any(tax is None for tax in taxes):
        return None
    total = sum((line.line_amount for line in paper.all_lines), ZERO)
    return total if paper.amounts_are is AmountsAre.INCLUSIVE else total + sum((tax or ZERO for tax in taxes), ZERO)


def can_be_rounded(paper: Paper, settings: XeroSettings) -> bool:
    """Whether a rounding line, where an account were named for it, would make up for the tax that Xero computes otherwise."""
    return paper.rounding is None and bool(_cents_missing(paper.lines, paper.amounts_are, settings))


def _rounding_line(lines: Sequence[Written], amounts_are: AmountsAre, settings: XeroSettings) -> Written | None:
    account = settings.rounding_account or settings.organisation.rounding_account
    rest = _cents_missing(lines, amounts_are, settings)
    if account is None or not rest:
        return None
    return Written("Rounding", Decimal(1), rest, ZERO, rest, None, settings.untaxed_tax_type, ZERO, account)


def _cents_missing(lines: Sequence[Written], amounts_are: AmountsAre, settings: XeroSettings) -> Decimal:
    """By how much our tax is more than what Xero will compute, where a line can make up for it; else nothing."""
    if settings.tax is TaxAuthority.BILLHOOK or amounts_are is not AmountsAre.EXCLUSIVE:
        return ZERO
    taxes = [computed_tax_of(line, amounts_are, settings) for line in lines]
    if any(tax is None for tax in taxes):
        return ZERO
    rest = sum((line.own_tax for line in lines), ZERO) - sum((tax or ZERO for tax in taxes), ZERO)
    # A cent a line is rounding; more is another rate, and is refused instead.
    return rest if abs(rest) <= CENT * len(lines) else ZERO


def cents(amount: Decimal) -> Decimal:
    """Rounded half up to two decimals, as Xero does."""
    return EXACT.quantize(amount, CENT)


def _comes_to(amount: Decimal, quantity: Decimal, unit_amount: Decimal, discount: Decimal) -> bool:
    fits = all(EXACT.quantize(value, FOURTH) == value for value in (quantity, unit_amount, discount))
    return fits and computed_amount(quantity, unit_amount, discount) == amount


def _factors(line: Line, *, discounts: bool) -> tuple[Decimal, Decimal, Decimal]:
    """Quantity, price and discount of a plain line; what it gives for other lines is not used."""
    price: Decimal = getattr(line.price, "amount", ZERO)
    quantity = Decimal(1) if line.price.type == "flat" else line.quantity
    return quantity, price, line.totals.discounts_total if discounts else ZERO


def _with_arithmetic(description: str, line: Line) -> str:
    made_of = "; ".join(f"{plain(each)} x {plain(price)}" for each, price in _parts(line))
    return f"{description} ({made_of})" if made_of else description


def _parts(line: Line) -> list[tuple[Decimal, Decimal]]:
    if line.detailed_lines:
        return [(detail.quantity, detail.per_unit_amount) for detail in line.detailed_lines]
    quantity = Decimal(1) if line.price.type == "flat" else line.quantity
    return [(quantity, getattr(line.price, "amount", ZERO))]


def plain(number: Decimal) -> str:
    """In digits, never with an exponent."""
    return format(number, "f")
