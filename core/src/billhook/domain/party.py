"""Who sells and who buys, as they were when the invoice was made."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from billhook.domain.base import Code, Email, Key, Name, Value
from billhook.domain.ids import Ulid

CountryCode = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]


class Address(Value):
    """Where somebody is found. The country is its two letters in ISO 3166."""

    country: CountryCode | None = None
    postal_code: Name | None = None
    state: Name | None = None
    city: Name | None = None
    line1: Name | None = None
    line2: Name | None = None
    phone_number: Name | None = None


class Party(Value):
    """One side of an invoice."""

    id: Ulid | None = None
    key: Key | None = None
    name: Name | None = None
    tax_id: Annotated[Code, StringConstraints(max_length=32)] | None = None
    addresses: Annotated[tuple[Address, ...], Field(max_length=1)] = ()
    email: Email | None = None


class Supplier(Party):
    """The `Party` that is owed."""

    name: Name


class CustomerSnapshot(Party):
    """The `Party` that owes, frozen onto the invoice."""

    id: Ulid
    name: Name
    subject_keys: Annotated[tuple[Key, ...], Field(max_length=1000)] = ()
