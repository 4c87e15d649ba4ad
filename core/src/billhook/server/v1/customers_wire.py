"""Customers on the wire. Pure: no engine is called."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from billhook.domain.base import Email, Key, Metadata, Name
from billhook.domain.currency import CurrencyCode
from billhook.engine.customer_search import CustomerField, CustomerMatch, CustomerOrder, Match
from billhook.engine.records import Customer
from billhook.server.v1.party_input import AddressInput
from billhook.server.v1.party_wire import address_v1
from billhook.server.v1.shown import filled, maybe_moment, moment
from billhook.server.v1.wire import WireModel

ShortName = Annotated[Name, StringConstraints(max_length=256)]
ShortDescription = Annotated[str, StringConstraints(max_length=1024, pattern=r"^[^\x00]*$")]


class OrderBy(StrEnum):
    """By what customers are sorted."""

    ID = "id"
    NAME = "name"
    CREATED_AT = "createdAt"


ORDERS: Mapping[OrderBy | None, CustomerOrder] = {
    None: CustomerOrder.NAME,
    OrderBy.ID: CustomerOrder.ID,
    OrderBy.NAME: CustomerOrder.NAME,
    OrderBy.CREATED_AT: CustomerOrder.CREATED_AT,
}


class UsageAttributionInput(WireModel):
    """Whose usage is charged to the customer."""

    subject_keys: Annotated[tuple[Key, ...], Field(max_length=1000)]


class CustomerInput(WireModel):
    """A customer. An update replaces it as far as it can be said here."""

    name: ShortName
    description: ShortDescription | None = None
    metadata: Metadata | None = None
    key: Key | None = None
    usage_attribution: UsageAttributionInput | None = None
    primary_email: Annotated[Email | None, Field(description="An e-mail address.")] = None
    currency: CurrencyCode | None = None
    billing_address: AddressInput | None = None

    def values(self) -> dict[str, Any]:
        """The arguments of the engine."""
        return {
            "name": self.name,
            "description": self.description,
            "metadata": self.metadata or {},
            "key": self.key,
            "subject_keys": self.usage_attribution.subject_keys if self.usage_attribution else (),
            "email": self.primary_email,
            "currency": self.currency,
            "addresses": (self.billing_address.parts(),) if self.billing_address else (),
        }


def parts_looked_for(parts: Mapping[CustomerField, str | None]) -> tuple[CustomerMatch, ...]:
    """Customers that have all these parts of words, whatever their case."""
    return tuple(CustomerMatch(field, Match.CONTAINS, (part,)) for field, part in parts.items() if part)


def customer_v1(customer: Customer) -> dict[str, Any]:
    """A customer."""
    party = customer.party
    return filled(
        id=customer.id,
        key=party.key,
        name=party.name,
        description=customer.description,
        metadata=dict(customer.metadata),
        createdAt=moment(customer.created_at),
        updatedAt=moment(customer.updated_at),
        deletedAt=maybe_moment(customer.deleted_at),
        usageAttribution={"subjectKeys": list(party.subject_keys)},
        primaryEmail=party.email,
        currency=customer.currency,
        billingAddress=address_v1(party.addresses[0]) if party.addresses else None,
    )
