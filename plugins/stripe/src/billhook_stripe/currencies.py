"""Amounts as Stripe takes them: whole units, whose size Stripe sets by a table of its own (docs.stripe.com/currencies).

The table differs from ISO 4217: MGA has no decimals there, ISK is written with two that must be zero, and the last of three decimals
must be zero. UGX is left out, because Stripe's page lists it both with and without decimals: a wrong guess is off by a hundred.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal, DivisionByZero, InvalidOperation, Overflow

from billhook.errors import InvalidInput

EXACT = Context(prec=80, rounding=ROUND_HALF_EVEN, traps=[InvalidOperation, DivisionByZero, Overflow])

LARGEST_UNITS = 99_999_999
"""A payment has at most eight digits (docs.stripe.com/currencies, minimum and maximum charge amounts)."""


def _codes(text: str) -> frozenset[str]:
    return frozenset(text.split())


_NO_DECIMALS = _codes("BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF")
_THREE_DECIMALS = _codes("BHD JOD KWD OMR TND")
_ZERO_CENTS = _codes("ISK")
_TWO_DECIMALS = _codes(
    "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BWP BYN BZD CAD CDF CHF CNY COP CRC "
    "CVE CZK DKK DOP DZD EGP ETB EUR FJD FKP GBP GEL GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR ISK JMD KES KGS KHR "
    "KYD KZT LAK LBP LKR LRD LSL MAD MDL MKD MMK MNT MOP MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK "
    "PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SEK SGD SHP SLE SOS SRD SZL THB TJS TOP TRY TTD TWD TZS UAH USD UYU UZS "
    "WST XCD YER ZAR ZMW"
)
CURRENCIES = _NO_DECIMALS | _THREE_DECIMALS | _TWO_DECIMALS

_SMALLEST = {
    **dict.fromkeys(_codes("USD AUD BRL CAD CHF EUR INR NZD SGD"), "0.50"),
    **dict.fromkeys(_codes("AED MYR PLN RON"), "2.00"),
    **dict.fromkeys(_codes("NOK SEK"), "3.00"),
    **dict.fromkeys(_codes("MXN THB"), "10.00"),
    "BGN": "1.00",
    "CZK": "15.00",
    "DKK": "2.50",
    "GBP": "0.30",
    "HKD": "4.00",
    "HUF": "175.00",
    "JPY": "50",
}


def decimals(currency: str) -> int:
    """How many decimals Stripe's units of that currency stand for."""
    if currency in _NO_DECIMALS:
        return 0
    return 3 if currency in _THREE_DECIMALS else 2


def step(currency: str) -> int:
    """Amounts must be a multiple of so many units."""
    if currency in _THREE_DECIMALS:
        return 10
    return 100 if currency in _ZERO_CENTS else 1


def is_whole(amount: Decimal, currency: str) -> bool:
    """Whether Stripe has a number of units for that amount."""
    units = EXACT.scaleb(amount, decimals(currency))
    return EXACT.remainder(units, Decimal(step(currency))) == 0


def to_units(amount: Decimal, currency: str) -> int:
    """The amount in Stripe's units. Raises InvalidInput where that would round."""
    if not is_whole(amount, currency):
        raise InvalidInput(
            "amount_not_representable",
            f"Stripe can't hold {amount:f} {currency}: {finest(currency)}. Round the prices, or bill this customer elsewhere.",
        )
    return int(EXACT.scaleb(amount, decimals(currency)))


def from_units(units: int, currency: str) -> Decimal:
    """What that many of Stripe's units are worth."""
    return EXACT.scaleb(Decimal(units), -decimals(currency))


def finest(currency: str) -> str:
    """What Stripe's smallest amount of a currency is, in words."""
    return f"its smallest amount there is {from_units(step(currency), currency):f}"


def smallest_charge(currency: str) -> Decimal | None:
    """The least that can be charged; None where Stripe's table names no figure."""
    named = _SMALLEST.get(currency)
    return None if named is None else Decimal(named)
