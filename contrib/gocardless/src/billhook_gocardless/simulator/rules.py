"""How this GoCardless behaves: what is known of the real one as defaults, what is not known to be chosen."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class GoCardlessRules:
    """`new_customers_sign` are the schemes for which every new customer has a mandate at once; the real ones sign on a page.

    The three delays are how long a payment stays pending_submission, submitted and confirmed; a refund takes the first two. Bank days
    are not modelled. `key_checked_first` says whether a used key is noticed before the body is judged, which no page states.
    """

    tokens: tuple[str, ...] = ("gocardless-token",)
    webhook_secret: str = "gocardless-webhook-secret"  # noqa: S105 - a made-up provider's well-known secret
    new_customers_sign: tuple[str, ...] = ("bacs", "sepa_core")
    submit_after: timedelta = timedelta(days=1)
    confirm_after: timedelta = timedelta(days=2)
    pay_out_after: timedelta = timedelta(days=2)
    calls_per_minute: int = 1000
    key_window: timedelta = timedelta(days=30)
    key_checked_first: bool = True
    events_per_webhook: int = 250
    creditor_name: str = "Acme Ltd"


_MOMENT = timedelta(seconds=1)
HURRIED = GoCardlessRules(submit_after=_MOMENT, confirm_after=_MOMENT, pay_out_after=_MOMENT)
