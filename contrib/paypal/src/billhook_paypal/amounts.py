"""What PayPal makes of a line: it multiplies, takes off the discount, and computes the tax for itself.

Each step is rounded half up to the currency, line by line, as the published example of an invoice shows (0.725 of tax
is 0.73).
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

from billhook.contract import Line

# PayPal takes these in whole units, and all others with two decimals; for HUF and TWD ISO 4217 says otherwise.
WHOLE_UNITS_ONLY = frozenset({"HUF", "JPY", "TWD"})
QUANTITY_DECIMALS = 5
QUANTITY_LENGTH = 14
PERCENT_DECIMALS = 5
MOST = Decimal(1_000_000)
_ZERO = Decimal(0)
_ONE = Decimal(1)
_CENT = Decimal("0.01")


@dataclass(frozen=True)
class Worth:
    """A line in PayPal's terms: quantity times unit amount, less the discount, plus a percentage of what is left."""

    quantity: Decimal
    unit_amount: Decimal
    discount: Decimal
    tax_name: str | None
    tax_percent: Decimal
    tax: Decimal

    @property
    def total(self) -> Decimal:
        """What the line comes to at PayPal."""
        return self.quantity * self.unit_amount - self.discount + self.tax


def worth_of(line: Line, currency: str) -> Worth:
    """The line in PayPal's terms.

    Quantity and price stand there where their product is the line's amount; else the amount stands there once. A price
    that contains its tax, and a line with charges or credits, goes there as its net amount.
    """
    gross, discount = (line.totals.amount, line.totals.discounts_total) if is_plain(line) else (line.totals.net, _ZERO)
    quantity, unit_amount = _factors(line, gross, currency)
    name, percent = _rate(line)
    tax = paypal_round((gross - discount) * percent / 100, currency)
    return Worth(quantity, unit_amount, discount, name, percent, tax)


def is_plain(line: Line) -> bool:
    """Whether the line is an amount, a discount, and tax on top, which PayPal can show as such."""
    return not (line.totals.taxes_inclusive_total or line.totals.charges_total or line.totals.credits_total)


def paypal_round(value: Decimal, currency: str) -> Decimal:
    """Half up, to the decimals that PayPal takes of that currency."""
    return value.quantize(_ONE if currency in WHOLE_UNITS_ONLY else _CENT, ROUND_HALF_UP)


def has_a_unit_for(value: Decimal, currency: str) -> bool:
    """Whether PayPal's decimals of that currency hold the amount."""
    return value == paypal_round(value, currency)


def plain(value: Decimal) -> str:
    """The number in digits, never with an exponent, nor with zeros at its end: PayPal counts them as decimals."""
    whole, _, rest = f"{value:f}".partition(".")
    rest = rest.rstrip("0")
    return f"{whole}.{rest}" if rest else whole


def decimals(value: Decimal) -> int:
    """How many decimals the number needs."""
    exponent = value.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def _factors(line: Line, gross: Decimal, currency: str) -> tuple[Decimal, Decimal]:
    if line.price.type != "unit" or not _is_takeable(line.quantity, line.price.amount, currency):
        return _ONE, gross
    if line.quantity * line.price.amount != gross:
        return _ONE, gross
    return line.quantity, line.price.amount


def _is_takeable(quantity: Decimal, price: Decimal, currency: str) -> bool:
    short = decimals(quantity) <= QUANTITY_DECIMALS and len(f"{quantity.normalize():f}") <= QUANTITY_LENGTH
    return short and abs(quantity) <= MOST and abs(price) <= MOST and has_a_unit_for(price, currency)


def _rate(line: Line) -> tuple[str | None, Decimal]:
    """The one tax of the line. Several are refused by `validation`, so only the first is read here."""
    if not line.taxes:
        return None, _ZERO
    return line.taxes[0].name, line.taxes[0].percentage
