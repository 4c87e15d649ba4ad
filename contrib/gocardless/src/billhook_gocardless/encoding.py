"""Our customers, payments and refunds as GoCardless takes them. Each carries our own id in its metadata, by which it is found again.

Metadata [sdk: Payment.metadata]: at most 3 keys, names up to 50 and values up to 500 characters.
"""

from __future__ import annotations

from typing import Any

from billhook.contract import CustomerItem, PaymentItem, RefundItem
from billhook_gocardless.money import to_minor

Entry = dict[str, Any]

# How a customer of the host says what it is at GoCardless: keys of its metadata.
LINKED_CUSTOMER = "gocardless/customer"
PINNED_MANDATE = "gocardless/mandate"
GIVEN_NAME = "gocardless/given_name"
FAMILY_NAME = "gocardless/family_name"

# Under which key of GoCardless's metadata our id stands, by the name that wraps the resource on the wire.
MARK = {"customers": "billhook_customer", "payments": "billhook_payment", "refunds": "billhook_refund"}

_METADATA_VALUE = 500
_DESCRIPTION = 100


def new_customer(item: CustomerItem) -> Entry:
    """A customer to be created."""
    details = {name: value for name, value in customer_details(item).items() if value is not None}
    return {**details, "metadata": {MARK["customers"]: item.id}}


def customer_details(item: CustomerItem) -> Entry:
    """What GoCardless knows of a customer; None clears. Metadata are left out, so that an update keeps what others put there."""
    party = item.customer
    address = party.addresses[0] if party.addresses else None
    return {
        **_names(item),
        "email": party.email,
        "address_line1": address and address.line1,
        "address_line2": address and address.line2,
        "city": address and address.city,
        "region": address and address.state,
        "postal_code": address and address.postal_code,
        "country_code": address and address.country,
    }


def _names(item: CustomerItem) -> Entry:
    # [sdk: Customer.company_name] required unless both other names are given; for Canada it makes the mandate a business one.
    given, family = item.metadata.get(GIVEN_NAME), item.metadata.get(FAMILY_NAME)
    if given and family:
        return {"company_name": None, "given_name": given, "family_name": family}
    return {"company_name": item.customer.name or item.customer.key or item.id, "given_name": None, "family_name": None}


def new_payment(item: PaymentItem, mandate_id: str) -> Entry:
    """A payment to be collected as soon as the scheme allows."""
    return {
        "amount": to_minor(item.amount),
        "currency": item.currency,
        "description": f"Invoice {item.invoice.number or item.invoice.id}"[:_DESCRIPTION],
        "metadata": {MARK["payments"]: item.id, "billhook_invoice": item.invoice.id},
        "links": {"mandate": mandate_id},
    }


def new_refund(item: RefundItem, refunded_minor: int) -> Entry:
    """Money to be given back. `refunded_minor` is what the payment gave back before: GoCardless wants the sum of both confirmed."""
    amount = to_minor(item.amount)
    reason = {"reason": item.reason[:_METADATA_VALUE]} if item.reason else {}
    return {
        "amount": amount,
        "total_amount_confirmation": refunded_minor + amount,
        "metadata": {MARK["refunds"]: item.id, **reason},
        "links": {"payment": item.payment_external_id},
    }
