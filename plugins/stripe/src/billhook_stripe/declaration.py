"""What Stripe can do through this plugin, within which limits. Data alone: reading it imports no SDK."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from billhook.contract import (
    Capability,
    Declaration,
    Full,
    InstallMethod,
    KeyRules,
    MoneyRules,
    NumberRules,
    OperationRules,
    Partial,
    RateLimit,
    Scope,
    Sdk,
    Unsupported,
)
from billhook_stripe.currencies import CURRENCIES
from billhook_stripe.requests import KEYS_HONOURED
from billhook_stripe.settings import StripeCredentials, StripeSettings

_LONGEST = timedelta(seconds=80)
"""How long Stripe's own SDK waits for an answer."""
_SIX = OperationRules(concurrency=6, longest=_LONGEST)
_FOUR = OperationRules(concurrency=4, longest=_LONGEST)
_OPERATIONS: Mapping[Capability, OperationRules] = {
    Capability.SYNC_CUSTOMER: _FOUR,
    Capability.SYNC_DRAFT: _SIX,
    Capability.ISSUE: _SIX,
    Capability.SEND: _FOUR,
    Capability.VOID: _FOUR,
    Capability.DELETE: _FOUR,
    Capability.CREDIT: _FOUR,
    Capability.COLLECT_PAYMENT: _FOUR,
    Capability.CHECK_PAYMENT: _FOUR,
    Capability.RECORD_PAYMENT: OperationRules(longest=_LONGEST),
    Capability.REFUND: _FOUR,
    Capability.FETCH: _FOUR,
    Capability.CHECK_CONNECTION: OperationRules(longest=_LONGEST),
}


def _per_second(name: str, calls: int, *operations: Capability) -> RateLimit:
    return RateLimit(
        name=name, calls=calls, per=timedelta(seconds=1), scope=Scope.ACCOUNT, operations=frozenset(operations)
    )


# An account makes 100 calls a second, and each endpoint takes 25 (docs.stripe.com/rate-limits). A draft takes turns at two endpoints,
# and so does an issue: with c of them at once, a stretch of l calls holds at most (l + c) / 2 at one endpoint. A payment for
# an invoice that lives elsewhere is one call, at one endpoint. Collecting, recording and fetching share the endpoint that reads an invoice.
_LIMITS = (
    _per_second("account", 100),
    _per_second("customers", 25, Capability.SYNC_CUSTOMER),
    _per_second("drafts", 44, Capability.SYNC_DRAFT),
    _per_second("issues", 44, Capability.ISSUE),
    _per_second("payments", 25, Capability.COLLECT_PAYMENT, Capability.RECORD_PAYMENT),
    _per_second("reads", 5, Capability.FETCH, Capability.CHECK_PAYMENT),
    _per_second("sends", 25, Capability.SEND),
    _per_second("removals", 25, Capability.VOID, Capability.DELETE),
    _per_second("credits", 25, Capability.CREDIT),
    _per_second("refunds", 25, Capability.REFUND),
)

DECLARATION = Declaration(
    type="stripe",
    name="Stripe",
    description="Issues invoices and credit notes at Stripe and collects their money, or collects for invoices that live elsewhere.",
    capabilities={
        **dict.fromkeys(_OPERATIONS, Full()),
        Capability.CREDIT: Partial(
            reason="Stripe's credit notes stand on an invoice; one without goes to the customer's credit balance, or is refused"
        ),
        Capability.COLLECT_PAYMENT: Partial(
            reason="a payment that is only authorized is captured at Stripe; its webhook tells of it"
        ),
        Capability.CALCULATE_TAX: Unsupported(
            reason="this app takes taxes as they are stated and lets Stripe compute none"
        ),
        Capability.MAP_LINE: Full(),
        Capability.VALIDATE_INVOICE: Full(),
        Capability.READ_WEBHOOK: Full(),
    },
    operations=_OPERATIONS,
    limits=_LIMITS,
    # Stripe takes a number up to 26 characters on a draft, once in an account.
    numbers=NumberRules(max_length=26),
    # 250 lines: changelog 2016-02-22. Decimals of price and quantity: changelog 2026-03-25.
    money=MoneyRules(currencies=CURRENCIES, unit_price_scale=12, quantity_scale=12, max_lines=250),
    keys=KeyRules(scope=Scope.ACCOUNT, window=KEYS_HONOURED),
    settings=StripeSettings,
    credentials=StripeCredentials,
    install_methods=(InstallMethod.API_KEY,),
    sdk=Sdk(requirement="stripe>=16.1,<17", extra="stripe"),
    homepage="https://docs.stripe.com/invoicing",
)
