"""Who sells and who buys, in the third form of the API: as it is shown, and as callers say it."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, StringConstraints

from billhook.domain.base import Code, Key
from billhook.domain.party import Address, CountryCode, Party
from billhook.errors import InvalidInput
from billhook.server.v1.party_input import Text
from billhook.server.v1.shown import filled
from billhook.server.v3.wire import WireModel


class AddressInput(WireModel):
    """An address. Every part may be missing."""

    country: CountryCode | None = None
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


class AddressesInput(WireModel):
    """The addresses of a party."""

    billing_address: AddressInput


def _without_id(value: object) -> object:
    # Read only: whoever sends back what was read may leave it in.
    return {name: each for name, each in value.items() if name != "id"} if isinstance(value, dict) else value


class PartyInput(WireModel):
    """One side of an invoice."""

    key: Key | None = None
    name: Text = None
    tax_id: TaxIdentityInput | None = None
    addresses: AddressesInput | None = None

    def values(self) -> dict[str, Any]:
        """The values of a party; what is left out is none."""
        return {
            "key": self.key,
            "name": self.name,
            "tax_id": self.tax_id.code if self.tax_id else None,
            "addresses": (self.addresses.billing_address.parts(),) if self.addresses else (),
        }


SupplierInput = Annotated[PartyInput, BeforeValidator(_without_id)]


def supplier_values(party: PartyInput) -> dict[str, Any]:
    """The values of who sells. Raises InvalidInput without a name or a country: no invoice could be issued."""
    if party.name is None:
        raise InvalidInput("supplier_name_missing", "The supplier needs a name.", "/supplier/name")
    if party.addresses is None or party.addresses.billing_address.country is None:
        raise InvalidInput(
            "supplier_country_missing",
            "The supplier needs an address with a country, such as DE.",
            "/supplier/addresses/billing_address/country",
        )
    return party.values()


def party_v3(party: Party) -> dict[str, Any]:
    """One side of an invoice."""
    return filled(
        id=party.id,
        key=party.key,
        name=party.name,
        tax_id=filled(code=party.tax_id),
        addresses={"billing_address": address_v3(party.addresses[0])} if party.addresses else None,
    )


def address_v3(address: Address) -> dict[str, Any]:
    """An address, as far as it is known."""
    return address.model_dump(exclude_none=True)
