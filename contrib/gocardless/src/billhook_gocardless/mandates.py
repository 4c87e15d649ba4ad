"""Which mandate a payment is taken against. GoCardless only collects what a customer has signed for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from billhook.contract import Rejected
from billhook_gocardless.money import CURRENCY_OF_SCHEME

Mandate = Mapping[str, Any]

# [sdk: PaymentsService.create] "Payments can be created against mandates with status of" these. The nearest to a charge first.
USABLE = ("active", "submitted", "pending_submission", "pending_customer_approval")


def choose(
    mandates: Sequence[Mandate], currency: str, customer_id: str, pinned: str | None = None
) -> Mandate | Rejected:
    """The mandate to charge: the pinned one, else the most advanced, else the newest. Refused, with the way out, when there is none."""
    named = [mandate for mandate in mandates if pinned in {None, mandate["id"]}]
    fitting = _ranked(named, currency)
    return fitting[0] if fitting else _refusal(named, currency, customer_id, pinned)


def usual(mandates: Sequence[Mandate], currency: str | None, pinned: str | None = None) -> str | None:
    """The id of the mandate that would be charged in the customer's own currency; None where nothing can be."""
    fitting = _ranked([mandate for mandate in mandates if pinned in {None, mandate["id"]}], currency)
    return fitting[0]["id"] if fitting else None


def _ranked(mandates: Sequence[Mandate], currency: str | None) -> list[Mandate]:
    usable = [each for each in mandates if each["status"] in USABLE and _takes(each, currency)]
    newest_first = sorted(usable, key=lambda mandate: str(mandate.get("created_at")), reverse=True)
    return sorted(newest_first, key=lambda mandate: USABLE.index(mandate["status"]))


def _takes(mandate: Mandate, currency: str | None) -> bool:
    # A scheme that is not known here is left to GoCardless to judge.
    return currency is None or CURRENCY_OF_SCHEME.get(mandate.get("scheme", ""), currency) == currency


def _refusal(named: Sequence[Mandate], currency: str, customer_id: str, pinned: str | None) -> Rejected:
    if pinned is not None and not named:
        message = (
            f"The customer's metadata names mandate {pinned}, but customer {customer_id} has no such mandate at GoCardless. "
            "Correct the metadata gocardless/mandate, or remove it to let a mandate be chosen; then retry."
        )
        return Rejected.because("mandate_not_there", message)
    if not named:
        message = (
            f"Customer {customer_id} has no mandate at GoCardless, so nothing can be collected. "
            "Send the customer a billing request to sign, then retry."
        )
        return Rejected.because("mandate_missing", message)
    told = "; ".join(f"{each['id']} ({each.get('scheme', 'unknown scheme')}) is {each['status']}" for each in named[:5])
    message = (
        f"No mandate of customer {customer_id} can be charged in {currency}: {told}. "
        f"Reinstate it at GoCardless, or have the customer sign one for {currency}; then retry."
    )
    return Rejected.because("mandate_not_usable", message)
