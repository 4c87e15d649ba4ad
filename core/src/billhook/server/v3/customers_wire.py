"""Customers in the third form of the API. Pure: no engine is called."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from pydantic import Field

from billhook.domain.base import Email, Key
from billhook.domain.currency import CurrencyCode
from billhook.engine.customer_search import CustomerField, CustomerFilter, CustomerMatch, CustomerOrder, Match
from billhook.engine.records import Customer
from billhook.server.v1.profiles_wire import ShortDescription, ShortName
from billhook.server.v1.shown import filled, maybe_moment, moment
from billhook.server.v3.labels import MOST_LABELS, labels_v3
from billhook.server.v3.party_wire import AddressInput, address_v3
from billhook.server.v3.query import Comparison, Kind
from billhook.server.v3.wire import Labels, WireModel

FILTERS: Mapping[str, Kind] = {
    "key": Kind.TEXT,
    "name": Kind.TEXT,
    "primary_email": Kind.TEXT,
    "usage_attribution_subject_key": Kind.TEXT,
    "plan_key": Kind.TEXT,
    "billing_profile_id": Kind.EXACT,
}
SORTS: Mapping[str, CustomerOrder] = {
    "id": CustomerOrder.ID,
    "name": CustomerOrder.NAME,
    "created_at": CustomerOrder.CREATED_AT,
}

_FIELDS: Mapping[str, CustomerField] = {
    "key": CustomerField.KEY,
    "name": CustomerField.NAME,
    "primary_email": CustomerField.EMAIL,
    "usage_attribution_subject_key": CustomerField.SUBJECT_KEY,
}
_MATCHES: Mapping[str, Match] = {
    "eq": Match.EQUALS,
    "neq": Match.EQUALS,
    "oeq": Match.EQUALS,
    "contains": Match.CONTAINS,
    "ocontains": Match.CONTAINS,
    "lt": Match.BEFORE,
    "lte": Match.UP_TO,
    "gt": Match.AFTER,
    "gte": Match.FROM,
}


class UsageAttributionInput(WireModel):
    """Whose usage is charged to the customer."""

    subject_keys: Annotated[tuple[Key, ...], Field(max_length=1000)]


class CustomerUpdate(WireModel):
    """What can change of a customer. It is replaced as far as it can be said here."""

    name: ShortName
    description: ShortDescription | None = None
    labels: Annotated[Labels | None, Field(max_length=MOST_LABELS)] = None
    usage_attribution: UsageAttributionInput | None = None
    primary_email: Email | None = None
    currency: CurrencyCode | None = None
    billing_address: AddressInput | None = None

    def values(self) -> dict[str, Any]:
        """The arguments of the engine but for metadata."""
        return {
            "name": self.name,
            "description": self.description,
            "subject_keys": self.usage_attribution.subject_keys if self.usage_attribution else (),
            "email": self.primary_email,
            "currency": self.currency,
            "addresses": (self.billing_address.parts(),) if self.billing_address else (),
        }


class CustomerCreate(CustomerUpdate):
    """A new customer. Its key never changes in this form of the API."""

    key: Key

    def values(self) -> dict[str, Any]:
        """The arguments of the engine."""
        return {**super().values(), "key": self.key, "metadata": self.labels or {}}


def customer_v3(customer: Customer) -> dict[str, Any]:
    """A customer. One that has no key is shown with its id in place of the key, by which it is found as well."""
    party = customer.party
    return filled(
        id=customer.id,
        key=party.key or customer.id,
        name=party.name,
        description=customer.description,
        labels=labels_v3(customer.metadata),
        created_at=moment(customer.created_at),
        updated_at=moment(customer.updated_at),
        deleted_at=maybe_moment(customer.deleted_at),
        usage_attribution={"subject_keys": list(party.subject_keys)},
        primary_email=party.email,
        currency=customer.currency,
        billing_address=address_v3(party.addresses[0]) if party.addresses else None,
    )


def customers_wanted(filters: Iterable[Comparison]) -> CustomerFilter | None:
    """What these filters ask for; None when nobody can fulfil them, because no value is given or nobody has a plan here."""
    matches: list[CustomerMatch] = []
    profiles: dict[bool, list[str]] = {True: [], False: []}
    for each in filters:
        if each.value == ():
            return None
        if each.field in _FIELDS:
            matches.append(_match(each))
        elif each.field == "billing_profile_id":
            profiles[each.op != "neq"] += _several(each.value)
        elif not _wants_no_plan(each):
            return None
    return CustomerFilter(tuple(matches), profile_ids=tuple(profiles[True]), not_profile_ids=tuple(profiles[False]))


def _match(wanted: Comparison) -> CustomerMatch:
    field = _FIELDS[wanted.field]
    if wanted.op == "exists":
        return CustomerMatch(field, negated=not wanted.value)
    return CustomerMatch(field, _MATCHES[wanted.op], tuple(_several(wanted.value)), negated=wanted.op == "neq")


def _wants_no_plan(wanted: Comparison) -> bool:
    return wanted.op == "neq" or (wanted.op == "exists" and not wanted.value)


def _several(value: Any) -> tuple[str, ...]:
    return value if isinstance(value, tuple) else (value,)
