"""Who sells and who buys, on the wire."""

from __future__ import annotations

from typing import Any

from billhook.domain.party import Address, CustomerSnapshot, Party
from billhook.server.v1.shown import filled


def party_v1(party: Party) -> dict[str, Any]:
    """One side of an invoice."""
    return filled(
        id=party.id,
        key=party.key,
        name=party.name,
        taxId=filled(code=party.tax_id),
        addresses=[address_v1(address) for address in party.addresses],
    )


def customer_v1(customer: CustomerSnapshot) -> dict[str, Any]:
    """The customer as the invoice has it, with the subjects whose usage is charged to it."""
    return {**party_v1(customer), "usageAttribution": {"subjectKeys": list(customer.subject_keys)}}


def address_v1(address: Address) -> dict[str, Any]:
    """An address, as far as it is known."""
    return filled(
        country=address.country,
        postalCode=address.postal_code,
        state=address.state,
        city=address.city,
        line1=address.line1,
        line2=address.line2,
        phoneNumber=address.phone_number,
    )
