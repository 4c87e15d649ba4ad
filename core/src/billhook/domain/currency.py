"""Currencies of ISO 4217 and how many decimals their amounts have."""

from __future__ import annotations

from functools import cache
from typing import Annotated

from pydantic import AfterValidator

from billhook.domain.base import inside_model
from billhook.errors import InvalidInput


def exponent(currency: str) -> int:
    """The number of decimals of that currency's amounts: 2 for EUR, 0 for JPY, 3 for KWD, 4 for CLF."""
    try:
        return _exponents()[currency]
    except KeyError:
        raise _unknown(currency) from None


def known_currency(code: str) -> str:
    """The code itself, when ISO 4217 lists it as a currency that can be paid in."""
    if code not in _exponents():
        raise _unknown(code)
    return code


@cache
def _exponents() -> dict[str, int]:
    # The package parses XML when imported; nobody who only asks for help should wait for that.
    from iso4217 import Currency

    return {currency.code: currency.exponent for currency in Currency if currency.exponent is not None}


def _unknown(code: str) -> InvalidInput:
    return InvalidInput(
        "currency_unknown",
        f"{code[:16]!r} is no currency of ISO 4217 that can be paid in. Use a code in upper case, such as EUR.",
    )


CurrencyCode = Annotated[str, AfterValidator(inside_model(known_currency))]
