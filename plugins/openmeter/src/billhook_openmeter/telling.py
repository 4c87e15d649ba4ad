"""What is told upstream of an invoice here: the bodies of OpenMeter's three callbacks."""

from __future__ import annotations

from typing import Any

from billhook import InvoiceDetails
from billhook_openmeter import wire

Json = dict[str, Any]
NOTHING_TO_SYNC: Json = {"invoicing": {}}

_TRIGGERS = {
    "payment_processing.failed": "payment_failed",
    "payment_processing.action_required": "action_required",
    "overdue": "payment_overdue",
    "paid": "paid",
    "uncollectible": "payment_uncollectible",
    "voided": "void",
}
HEARD = {"paid": "paid", "uncollectible": "payment_uncollectible", "overdue": "payment_overdue"}
"""The payment trigger that takes over, here, where an invoice stands upstream."""


def trigger(status: str, upstream: wire.Invoice) -> str:
    """The payment trigger that says upstream where the invoice stands here."""
    wanted = _TRIGGERS[status]
    # OpenMeter voids no overdue invoice; it voids one that is uncollectible.
    if wanted == "void" and upstream.status_details.extended_status == "overdue":
        return "payment_uncollectible"
    return wanted


def draft_synchronized(details: InvoiceDetails) -> Json:
    """The draft stands at the provider, under these ids."""
    invoice = details.invoice
    return {
        "invoicing": _stated(
            {
                "invoiceNumber": _provider_number(details),
                "externalId": invoice.external_ids.get("invoicing"),
                "lineExternalIds": [
                    {"lineId": line_id, "externalId": external_id}
                    for line_id, external_id in sorted(invoice.line_external_ids.items())
                ],
                "lineDiscountExternalIds": _discounts(details),
            }
        )
    }


def issuing_synchronized(details: InvoiceDetails) -> Json:
    """The invoice is issued under this number."""
    invoice = details.invoice
    sent_at = invoice.sent_to_customer_at
    payment_id = next((payment.external_id for payment in reversed(details.payments) if payment.external_id), None)
    return _stated(
        {
            "invoicing": _stated(
                {
                    "invoiceNumber": invoice.number,
                    "sentToCustomerAt": sent_at.isoformat().replace("+00:00", "Z") if sent_at else None,
                }
            ),
            "payment": _stated({"externalId": payment_id}),
        }
    )


def _provider_number(details: InvoiceDetails) -> str | None:
    """The number, once it is more than that of a draft here."""
    return details.invoice.number if details.invoice.issued_at is not None else None


def _discounts(details: InvoiceDetails) -> list[Json]:
    """The ids of discounts, under the upstream ids that they keep as their correlation."""
    known = details.invoice.discount_external_ids
    return [
        {"lineDiscountId": discount.correlation_id, "externalId": known[discount.id]}
        for line in details.invoice.lines
        for discount in line.discounts
        if discount.correlation_id is not None and discount.id in known
    ]


def _stated(values: Json) -> Json:
    return {name: value for name, value in values.items() if value not in (None, [], {})}
