"""How this Stripe behaves where accounts differ."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class StripeRules:
    """The account's keys and limits.

    `account_calls` and `endpoint_calls` are a second's (docs.stripe.com/rate-limits: 100 live, 25 in a sandbox, 25 for each endpoint).
    `card_on_file` is the test payment method that every new customer has added on a setup page; None: customers have none.
    `settle_after` is how long bank debits take. `endpoint_calls=None` or `account_calls=None` sets no limit.
    """

    api_keys: tuple[str, ...] = ("sk_test_simulator",)
    webhook_secret: str = "whsec_simulator"  # noqa: S105 - a fake has a known secret
    api_version: str = "2026-10-28.endive"
    account_calls: int | None = 100
    endpoint_calls: int | None = 25
    card_on_file: str | None = "pm_card_visa"
    settle_after: timedelta = timedelta(days=4)
    key_window: timedelta = timedelta(hours=24)


HURRIED = StripeRules(settle_after=timedelta(seconds=1))
