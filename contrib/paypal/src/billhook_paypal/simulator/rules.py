"""What PayPal takes in a body, field by field: the published schemas, with their lengths and ranges."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from billhook_paypal.simulator.failures import Refused, detail

CURRENCIES = frozenset(
    [
        "AUD",
        "BRL",
        "CAD",
        "CNY",
        "CZK",
        "DKK",
        "EUR",
        "HKD",
        "HUF",
        "ILS",
        "JPY",
        "MYR",
        "MXN",
        "TWD",
        "NZD",
        "NOK",
        "PHP",
        "PLN",
        "GBP",
        "SGD",
        "SEK",
        "CHF",
        "THB",
        "USD",
    ]
)
WITHOUT_DECIMALS = frozenset({"HUF", "JPY", "TWD"})
MOST_ITEMS = 100
_NUMBER = re.compile(r"-?\d+(\.\d+)?")
_METHODS = ["BANK_TRANSFER", "CASH", "CHECK", "CREDIT_CARD", "DEBIT_CARD", "PAYPAL", "WIRE_TRANSFER", "OTHER"]
_TERMS = [
    "DUE_ON_RECEIPT",
    "DUE_ON_DATE_SPECIFIED",
    "NET_10",
    "NET_15",
    "NET_30",
    "NET_45",
    "NET_60",
    "NET_90",
    "NO_DUE_DATE",
]

Rule = Callable[[Any], str | None]
Shape = Mapping[str, Any]


def text(longest: int, shortest: int = 0) -> Rule:
    """Text of so many characters."""

    def rule(value: Any) -> str | None:
        if isinstance(value, str) and shortest <= len(value) <= longest:
            return None
        return f"It has to be text of {shortest} to {longest} characters."

    return rule


def number(low: int, high: int, decimals: int) -> Rule:
    """A number in text, in that range, with at most so many decimals."""

    def rule(value: Any) -> str | None:
        if not isinstance(value, str) or not _NUMBER.fullmatch(value):
            return "It has to be a number in text."
        if not low <= Decimal(value) <= high or len(value.partition(".")[2]) > decimals:
            return f"It has to be from {low} to {high} with at most {decimals} decimals."
        return None

    return rule


def one_of(*words: str) -> Rule:
    """One of these words."""
    return lambda value: None if value in words else f"It has to be one of {', '.join(words)}."


def a_day(value: Any) -> str | None:
    """A date without a time."""
    try:
        date.fromisoformat(value)
    except (TypeError, ValueError):
        return "It has to be a date such as 2026-11-22."
    return None


def a_boolean(value: Any) -> str | None:
    """True or false."""
    return None if isinstance(value, bool) else "It has to be true or false."


def money(low: int, high: int) -> Shape:
    """An amount in that range, and its currency."""
    return {"currency_code!": one_of(*sorted(CURRENCIES)), "value!": number(low, high, 2)}


_ADDRESS = {
    "address_line_1": text(300),
    "address_line_2": text(300),
    "admin_area_2": text(120),
    "admin_area_1": text(300),
    "postal_code": text(60),
    "country_code!": text(2, 2),
}
_BILLING_INFO = {"business_name": text(300), "email_address": text(254, 3), "address": _ADDRESS}
_ITEM = {
    "name!": text(200, 1),
    "description": text(1000),
    "quantity!": number(-1_000_000, 1_000_000, 5),
    "unit_amount!": money(-1_000_000, 1_000_000),
    "discount": {"percent": number(0, 100, 5), "amount": money(0, 1_000_000)},
    "tax": {"name!": text(100, 1), "percent!": number(0, 100, 5)},
}
INVOICE: Shape = {
    "detail!": {
        "invoice_number": text(25, 1),
        "currency_code!": one_of(*sorted(CURRENCIES)),
        "invoice_date": a_day,
        "reference": text(120),
        "note": text(4000),
        "memo": text(500),
        "payment_term": {"term_type": one_of(*_TERMS), "due_date": a_day},
    },
    "invoicer": {"business_name": text(300)},
    "primary_recipients": [{"billing_info": _BILLING_INFO}],
    "items": [_ITEM],
    "configuration": {
        "tax_calculated_after_discount": a_boolean,
        "tax_inclusive": a_boolean,
        "allow_tip": a_boolean,
        "partial_payment": {"allow_partial_payment": a_boolean},
    },
}
NOTIFICATION: Shape = {"send_to_invoicer": a_boolean, "send_to_recipient": a_boolean}
PAYMENT: Shape = {
    "method!": one_of(*_METHODS),
    "payment_date": a_day,
    "note": text(2000),
    "amount": money(0, 9_999_999),
}
REFUND: Shape = {"method!": one_of(*_METHODS), "refund_date": a_day, "amount": money(0, 9_999_999)}
SEARCH: Shape = {"invoice_number": text(25), "memo": text(500), "fields": [text(40)]}


def read_body(body: bytes, shape: Shape) -> dict[str, Any]:
    """The body where it has that shape. Raises Refused with everything that is wrong."""
    try:
        told = json.loads(body)
    except ValueError:
        raise Refused(400, detail("MALFORMED_REQUEST_JSON", "The request body is no JSON.")) from None
    faults = [detail("INVALID_PARAMETER_SYNTAX", why, field) for field, why in _faults(told, shape, "")]
    if faults:
        raise Refused(400, *faults)
    return dict(told)


def _faults(value: Any, shape: Any, field: str) -> Iterator[tuple[str, str]]:
    if isinstance(shape, list):
        yield from _faults_of_a_list(value, shape[0], field)
    elif isinstance(shape, Mapping):
        yield from _faults_of_an_object(value, shape, field)
    elif why := shape(value):
        yield field, why


def _faults_of_a_list(value: Any, shape: Any, field: str) -> Iterator[tuple[str, str]]:
    if not isinstance(value, list) or len(value) > MOST_ITEMS:
        yield field, f"It has to be a list of at most {MOST_ITEMS}."
        return
    for index, one in enumerate(value):
        yield from _faults(one, shape, f"{field}/{index}")


def _faults_of_an_object(value: Any, shape: Shape, field: str) -> Iterator[tuple[str, str]]:
    if not isinstance(value, dict):
        yield field, "It has to be an object."
        return
    rules = {name.rstrip("!"): rule for name, rule in shape.items()}
    for name in sorted({name.rstrip("!") for name in shape if name.endswith("!")} - value.keys()):
        yield f"{field}/{name}", "It is required."
    for name, one in value.items():
        if name not in rules:
            yield f"{field}/{name}", "PayPal knows no such field."
        else:
            yield from _faults(one, rules[name], f"{field}/{name}")
