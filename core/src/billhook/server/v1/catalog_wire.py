"""What can be installed, as the first form of the API shows it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from billhook.contract.declaration import Capability, Declaration
from billhook.server.installing import methods_here

KNOWN_TYPES = ("stripe", "sandbox", "custom_invoicing")
"""The types that OpenMeter's document has."""
CUSTOM = "custom_invoicing"

_PLACES: Mapping[str, tuple[str, str, tuple[Capability, ...]]] = {
    "calculateTax": ("calculate_tax", "Calculate Tax", (Capability.CALCULATE_TAX,)),
    "invoiceCustomers": ("invoice_customers", "Invoice Customers", (Capability.SYNC_DRAFT, Capability.ISSUE)),
    "collectPayments": ("collect_payments", "Collect Payments", (Capability.COLLECT_PAYMENT,)),
}


def places_of(declaration: Declaration) -> list[tuple[str, str, str]]:
    """The places that an app can take in a billing profile: type in camelCase, type in snake_case, and name.

    A system that takes invoices over and calls back can take them all.
    """
    return [
        (camel, snake, name)
        for camel, (snake, name, needed) in _PLACES.items()
        if declaration.type == CUSTOM or any(map(declaration.can, needed))
    ]


def listed_type(type: str) -> str:
    """A provider's type as the document can say it: whatever it does not know takes invoices over as custom invoicing does."""
    return type if type in KNOWN_TYPES else CUSTOM


def listing_v1(type: str, declaration: Declaration | None) -> dict[str, Any]:
    """A provider. One that is no longer there is known by its type alone."""
    if declaration is None:
        return {
            "type": listed_type(type),
            "name": type,
            "description": "This provider is not installed here.",
            "capabilities": [],
            "installMethods": [],
        }
    return {
        "type": listed_type(type),
        "name": declaration.name,
        "description": declaration.description,
        "capabilities": [
            {
                "type": camel,
                "key": f"{type}_{snake}"[:64].rstrip("_"),
                "name": name,
                "description": f"{name} with {declaration.name}.",
            }
            for camel, snake, name in places_of(declaration)
        ],
        "installMethods": [method.value for method in methods_here(declaration)],
    }
