"""Amounts at GoCardless: whole numbers of the currency's smallest unit, in the currencies of its schemes.

GoCardless computes nothing: no tax, no lines. So an amount either fits exactly or is refused; nothing is ever rounded.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType

from billhook.contract import Severity, ValidationIssue

# [sdk: Payment.currency] "Currently AUD, CAD, DKK, EUR, GBP, NZD, SEK and USD are supported"; each has two decimals.
CURRENCIES = frozenset({"AUD", "CAD", "DKK", "EUR", "GBP", "NZD", "SEK", "USD"})
DECIMALS = 2

# [doc: API reference, "Supported Direct Debit Schemes"] A scheme belongs to a country, and so to a currency.
CURRENCY_OF_SCHEME: Mapping[str, str] = MappingProxyType(
    {
        "ach": "USD",
        "autogiro": "SEK",
        "bacs": "GBP",
        "becs": "AUD",
        "becs_nz": "NZD",
        "betalingsservice": "DKK",
        "faster_payments": "GBP",
        "pad": "CAD",
        "pay_to": "AUD",
        "sepa_core": "EUR",
    }
)


def problems_of(amount: Decimal, currency: str) -> tuple[ValidationIssue, ...]:
    """Why GoCardless can't take that amount, everything at once; empty when it can."""
    found = []
    if currency not in CURRENCIES:
        known = ", ".join(sorted(CURRENCIES))
        message = (
            f"GoCardless collects {known}, not {currency}. Delete the invoice, give the customer a billing profile with another payment app, "
            "and submit it again under a new key."
        )
        found.append(_issue("currency_not_collected", message, "/currency"))
    if amount != _cents(amount).scaleb(-DECIMALS):
        message = f"{amount:f} {currency} is finer than a hundredth, and GoCardless takes whole hundredths. Round the invoice first."
        found.append(_issue("amount_too_fine", message, "/totals/total"))
    if amount <= 0:
        message = f"{amount:f} {currency} can't be collected: GoCardless takes amounts above zero."
        found.append(_issue("amount_not_positive", message, "/totals/total"))
    return tuple(found)


def to_minor(amount: Decimal) -> int:
    """The amount in hundredths. Call it after `problems_of`; an amount that is finer raises ValueError."""
    cents = _cents(amount)
    if cents.scaleb(-DECIMALS) != amount:
        raise ValueError(f"{amount:f} is finer than a hundredth; check it with problems_of first")
    return int(cents)


def to_major(minor: int) -> Decimal:
    """Hundredths as an amount."""
    return Decimal(minor).scaleb(-DECIMALS)


def _cents(amount: Decimal) -> Decimal:
    # Whatever is finer than a hundredth is cut off; who asks compares with the original.
    return Decimal(int(amount.scaleb(DECIMALS)))


def _issue(code: str, message: str, path: str) -> ValidationIssue:
    return ValidationIssue(severity=Severity.CRITICAL, code=code, message=message, path=path)
