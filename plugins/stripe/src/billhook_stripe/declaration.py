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
_MANY = OperationRules(concurrency=16, longest=_LONGEST)
"""As many as 25 a second at each of two endpoints need, where a call takes a quarter of a second and more."""
_FOUR = OperationRules(concurrency=4, longest=_LONGEST)
_OPERATIONS: Mapping[Capability, OperationRules] = {
    Capability.SYNC_CUSTOMER: _FOUR,
    Capability.SYNC_DRAFT: _MANY,
    Capability.ISSUE: _MANY,
    Capability.SEND: _FOUR,
    Capability.VOID: _FOUR,
    Capability.MARK_UNCOLLECTIBLE: _FOUR,
    Capability.DELETE: _FOUR,
    Capability.CREDIT: _FOUR,
    Capability.COLLECT_PAYMENT: _FOUR,
    Capability.CAPTURE_PAYMENT: _FOUR,
    Capability.CANCEL_PAYMENT: _FOUR,
    Capability.CHECK_PAYMENT: _FOUR,
    Capability.RECORD_PAYMENT: OperationRules(longest=_LONGEST),
    Capability.REFUND: _FOUR,
    Capability.CHECK_REFUND: _FOUR,
    Capability.FETCH: _FOUR,
    Capability.CHECK_CONNECTION: OperationRules(longest=_LONGEST),
}


_SECOND = timedelta(seconds=1)


def _endpoint(name: str, *steps: str, of: Capability | None = None) -> RateLimit:
    """What one endpoint takes, by the steps that ask it; ``of`` where another operation names a step of another endpoint the same."""
    operations = frozenset({of} if of is not None else ())
    return RateLimit(
        name=name, calls=25, per=_SECOND, scope=Scope.ACCOUNT, operations=operations, steps=frozenset(steps)
    )


# An account makes 100 calls a second, and each endpoint takes 25 (docs.stripe.com/rate-limits). A look-up may ask any endpoint that reads.
_LIMITS = (
    # Three of an account's hundred are left to whatever else calls it: Stripe never tells how many are left.
    RateLimit(name="account", calls=97, per=_SECOND, scope=Scope.ACCOUNT),
    _endpoint("customers", "customer", of=Capability.SYNC_CUSTOMER),
    _endpoint("read_customer", "customer", "look", of=Capability.COLLECT_PAYMENT),
    _endpoint("create_invoice", "create"),
    _endpoint("change_invoice", "header", "number", "mark"),
    _endpoint("add_lines", "add"),
    _endpoint("remove_lines", "remove"),
    _endpoint("list_lines", "lines"),
    _endpoint("finalize", "finalize"),
    _endpoint("read_invoice", "invoice", "standing", "look"),
    _endpoint("list_invoices", "page", "look"),
    _endpoint("send", "send"),
    _endpoint("void", "void"),
    _endpoint("mark_uncollectible", "mark_uncollectible"),
    _endpoint("delete", "delete"),
    _endpoint("pay", "pay"),
    _endpoint("attach_payment", "attach"),
    _endpoint("report_payment", "report"),
    _endpoint("charge", "charge"),
    _endpoint("capture", "capture"),
    _endpoint("cancel", "cancel"),
    _endpoint("read_payment", "payment", "look"),
    _endpoint("list_payments", "payments", "look"),
    _endpoint("credit_notes", "credit_note"),
    _endpoint("list_credit_notes", "credit_notes", "look"),
    _endpoint("customer_balance", "balance"),
    _endpoint("refunds", "refund"),
    _endpoint("list_refunds", "refunds", "look"),
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
        Capability.CAPTURE_PAYMENT: Partial(reason="Stripe only authorizes payments of invoices that live elsewhere"),
        Capability.CANCEL_PAYMENT: Partial(
            reason="the payment of an invoice that stands at Stripe ends when that invoice is voided"
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
