"""Who sells and who buys, as callers say it."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, StringConstraints

from billhook.domain.base import Code, Key, Name
from billhook.domain.party import CountryCode
from billhook.errors import InvalidInput
from billhook.server.v1.wire import WireModel


def _none_if_empty(value: object) -> object:
    return None if value == "" else value


Text = Annotated[Name | None, BeforeValidator(_none_if_empty)]
"""A text that may be left out or left empty."""


class AddressInput(WireModel):
    """An address. Every part may be missing."""

    country: Annotated[CountryCode | None, BeforeValidator(_none_if_empty)] = None
    postal_code: Text = None
    state: Text = None
    city: Text = None
    line1: Text = None
    line2: Text = None
    phone_number: Text = None

    def parts(self) -> dict[str, Any]:
        """What the address says."""
        return self.model_dump(exclude_none=True)


class TaxIdentityInput(WireModel):
    """The number under which a tax office knows a party."""

    code: Annotated[Code, StringConstraints(max_length=32)] | None = None


class PartyInput(WireModel):
    """One side of an invoice."""

    key: Key | None = None
    name: Text = None
    tax_id: TaxIdentityInput | None = None
    addresses: Annotated[tuple[AddressInput, ...], Field(max_length=1)] = ()

    def values(self) -> dict[str, Any]:
        """The values of a party; what is left out is none."""
        return {
            "key": self.key,
            "name": self.name,
            "tax_id": self.tax_id.code if self.tax_id else None,
            "addresses": tuple(address.parts() for address in self.addresses),
        }


def supplier_values(party: PartyInput, path: str = "/supplier") -> dict[str, Any]:
    """The values of who sells. Raises InvalidInput without a name or a country: no invoice could be issued."""
    if party.name is None:
        raise InvalidInput("supplier_name_missing", "The supplier needs a name.", f"{path}/name")
    if not party.addresses or party.addresses[0].country is None:
        raise InvalidInput(
            "supplier_country_missing",
            "The supplier needs an address with a country, such as DE.",
            f"{path}/addresses/0/country",
        )
    return party.values()
