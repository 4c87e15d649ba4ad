"""Stripe's own table of currencies (docs.stripe.com/currencies), written down a second time, so that a slip in one of them shows."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation

EXACT = Context(prec=60, rounding=ROUND_HALF_UP, traps=[InvalidOperation])

_ZERO_DECIMAL = (
    "bif",
    "clp",
    "djf",
    "gnf",
    "jpy",
    "kmf",
    "krw",
    "mga",
    "pyg",
    "rwf",
    "vnd",
    "vuv",
    "xaf",
    "xof",
    "xpf",
)
_THREE_DECIMAL = ("bhd", "jod", "kwd", "omr", "tnd")

# docs.stripe.com/currencies, minimum and maximum charge amounts; in units.
MINIMUM = {
    "usd": 50,
    "aed": 200,
    "aud": 50,
    "bgn": 100,
    "brl": 50,
    "cad": 50,
    "chf": 50,
    "czk": 1500,
    "dkk": 250,
    "eur": 50,
    "gbp": 30,
    "hkd": 400,
    "huf": 17500,
    "inr": 50,
    "jpy": 50,
    "mxn": 1000,
    "myr": 200,
    "nok": 300,
    "nzd": 50,
    "pln": 200,
    "ron": 200,
    "sek": 300,
    "sgd": 50,
    "thb": 1000,
}
MAXIMUM = 99_999_999


def exponent(currency: str) -> int:
    """How many decimals a currency's units stand for."""
    if currency in _ZERO_DECIMAL:
        return 0
    return 3 if currency in _THREE_DECIMAL else 2


def major(units: int, currency: str) -> Decimal:
    """What so many units are worth."""
    return Decimal(units).scaleb(-exponent(currency), EXACT)


def product(quantity: Decimal, unit_amount: Decimal) -> int:
    """Quantity times price in whole units, half up."""
    return int(EXACT.multiply(quantity, unit_amount).quantize(Decimal(1), ROUND_HALF_UP, EXACT))


def is_chargeable(units: int, currency: str) -> bool:
    """Whether a payment of so many units is written as Stripe wants it: the last of three decimals, and ISK's two, are zero."""
    if currency in _THREE_DECIMAL:
        return units % 10 == 0
    return currency != "isk" or units % 100 == 0
