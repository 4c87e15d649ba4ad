"""Judging a body: its envelope, the members that a resource has, and what each may hold. Everything wrong is told at once.

[sdk: errors.py] A refused body is validation_failed, with field, message and request_pointer for each fault; 422 is assumed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from billhook_gocardless.simulator.answers import Ask, Refused

Fault = tuple[str, str]
Check = Callable[[Any], str | None]

# [sdk: Payment.metadata] "Up to 3 keys are permitted, with key names up to 50 characters and values up to 500 characters."
_METADATA_KEYS, _METADATA_NAME, _METADATA_VALUE = 3, 50, 500
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")
_COUNTRY = re.compile(r"[A-Z]{2}")

CURRENCIES = ("AUD", "CAD", "DKK", "EUR", "GBP", "NZD", "SEK", "USD")


def content_of(ask: Ask, envelope: str, members: Mapping[str, Check], required: frozenset[str]) -> Mapping[str, Any]:
    """The content of a body whose envelope is right and whose every member may be as it is; refused otherwise."""
    if not isinstance(ask.body, dict) or set(ask.body) != {envelope} or not isinstance(ask.body[envelope], dict):
        message = f"The body must be an object with the one member {envelope}"
        reason = {"reason": "invalid_document_structure", "message": message}
        raise Refused(400, "invalid_api_usage", message, reason)
    content: dict[str, Any] = ask.body[envelope]
    faults = [(name, "is not a member of this resource") for name in content if name not in members]
    faults += [(name, "is required") for name in sorted(required) if content.get(name) is None]
    given = {name: value for name, value in content.items() if name in members and value is not None}
    faults += [(name, fault) for name, value in given.items() if (fault := members[name](value)) is not None]
    refuse(envelope, faults)
    return content


def refuse(envelope: str, faults: list[Fault]) -> None:
    """Raise when there is any fault."""
    if faults:
        told = [
            {"field": name, "message": fault, "request_pointer": f"/{envelope}/{name.replace('.', '/')}"}
            for name, fault in faults
        ]
        raise Refused(422, "validation_failed", "Validation failed", *told)


def text(value: Any) -> str | None:
    return None if isinstance(value, str) and value.strip() else "must be a text that is not empty"


def email(value: Any) -> str | None:
    return None if isinstance(value, str) and _EMAIL.fullmatch(value) else "is not a valid email address"


def country(value: Any) -> str | None:
    # [sdk: Customer.country_code] ISO 3166-1 alpha-2.
    return None if isinstance(value, str) and _COUNTRY.fullmatch(value) else "must be an ISO 3166-1 alpha-2 code"


def minor_units(value: Any) -> str | None:
    # [sdk: Payment.amount] "in the lowest denomination for the currency (e.g. pence in GBP, cents in EUR)": whole, never a fraction.
    whole = isinstance(value, int) and not isinstance(value, bool)
    return None if whole and value > 0 else "must be a whole number above zero, in the currency's smallest unit"


def currency(value: Any) -> str | None:
    return None if value in CURRENCIES else f"must be one of {', '.join(CURRENCIES)}"


def metadata(value: Any) -> str | None:
    if not isinstance(value, dict) or not all(isinstance(each, str) for each in value.values()):
        return "must be an object of texts"
    if len(value) > _METADATA_KEYS:
        return f"has {len(value)} keys; at most {_METADATA_KEYS} are permitted"
    if any(len(name) > _METADATA_NAME or len(each) > _METADATA_VALUE for name, each in value.items()):
        return f"names are up to {_METADATA_NAME} characters, values up to {_METADATA_VALUE}"
    return None


def link_to(name: str) -> Check:
    """A `links` object that names one resource and nothing else."""

    def check(value: Any) -> str | None:
        is_one = isinstance(value, dict) and set(value) == {name} and isinstance(value[name], str)
        return None if is_one else f"must be an object with the one member {name}"

    return check
