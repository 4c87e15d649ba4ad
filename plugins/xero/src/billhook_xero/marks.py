"""A fingerprint of what matters in a contact or document, made alike of what was sent and of what stands at Xero.

It tells the copy that was sent from an older one. What Xero fills in by itself (an account, a tax type) counts only where it was stated.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from billhook.contract import encode_json

Json = Mapping[str, Any]

_STATED = {"a": "AccountCode", "t": "TaxType", "x": "TaxAmount", "i": "ItemCode"}
_CONTACT = ("Name", "EmailAddress", "TaxNumber")
_ADDRESS = ("AddressLine1", "AddressLine2", "City", "Region", "PostalCode", "Country")


def document_mark(document: Json) -> str:
    """The mark of a document that is to be sent."""
    lines = document.get("LineItems", ())
    columns = "".join(letter for letter, name in _STATED.items() if all(line.get(name) is not None for line in lines))
    return f"{columns}:{_digest(_document(document, columns))}"


def has_document_mark(document: Json, mark: str) -> bool:
    """Whether that document is what was sent under this mark."""
    columns, _, digest = mark.partition(":")
    return _digest(_document(document, columns)) == digest


def contact_mark(contact: Json) -> str:
    """The mark of a contact, sent or standing."""
    street: Json = next((each for each in contact.get("Addresses", ()) if each.get("AddressType") == "STREET"), {})
    return _digest([contact.get(name) or "" for name in _CONTACT] + [street.get(name) or "" for name in _ADDRESS])


def _document(document: Json, columns: str) -> list[Any]:
    contact = document.get("Contact", {}).get("ContactID")
    return [contact, document.get("CurrencyCode"), document.get("LineAmountTypes"), _lines(document, columns)]


def _lines(document: Json, columns: str) -> list[Any]:
    return [
        [
            line.get("Description"),
            *_numbers(line),
            *(_told(line.get(_STATED[letter])) for letter in columns),
            *_tracking(line),
        ]
        for line in document.get("LineItems", ())
    ]


def _numbers(line: Json) -> list[str]:
    return [_told(line.get(name)) for name in ("Quantity", "UnitAmount", "LineAmount")]


def _tracking(line: Json) -> Sequence[str]:
    return sorted(f"{each.get('Name')}={each.get('Option')}" for each in line.get("Tracking") or ())


def _told(value: Any) -> str:
    """Numbers alike whether they were written 1, 1.0 or 1.0000."""
    if isinstance(value, str) or value is None:
        return value or ""
    return format(Decimal(value).normalize(), "f")


def _digest(content: Any) -> str:
    return hashlib.sha256(encode_json(content)).hexdigest()[:16]
