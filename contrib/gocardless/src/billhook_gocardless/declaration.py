"""What GoCardless can do, how fast, and in which currencies."""

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
    NotYet,
    OperationRules,
    Partial,
    RateLimit,
    Scope,
    Unsupported,
)
from billhook_gocardless.config import GoCardlessCredentials, GoCardlessSettings
from billhook_gocardless.money import CURRENCIES
from billhook_gocardless.refusals import REQUESTS_LIMIT

# No page that could be read states how long keys are honoured; a day is assumed, as elsewhere. After it the look-up decides.
KEYS_HONOURED = timedelta(hours=24)

# [sdk: api_client.py] The vendor's own client gives up after 60 seconds.
_ONE_BY_ONE = OperationRules(batch=1, concurrency=4, longest=timedelta(seconds=60))
_OPERATIONS: Mapping[Capability, OperationRules] = dict.fromkeys(
    (
        Capability.SYNC_CUSTOMER,
        Capability.COLLECT_PAYMENT,
        Capability.CHECK_PAYMENT,
        Capability.REFUND,
        Capability.CHECK_REFUND,
        Capability.CHECK_CONNECTION,
    ),
    _ONE_BY_ONE,
)

_NO_INVOICES = Unsupported(reason="GoCardless collects money and keeps no invoices; let another app do the invoicing")

DECLARATION = Declaration(
    type="gocardless",
    name="GoCardless",
    description="Collects invoices by bank debit against a mandate that the customer signed, and refunds them.",
    capabilities={
        Capability.SYNC_CUSTOMER: Partial(
            reason="customers are created and updated; a mandate is signed by the customer on GoCardless's own pages"
        ),
        Capability.COLLECT_PAYMENT: Partial(
            reason="against an existing mandate, as early as its scheme allows; no date of one's own"
        ),
        Capability.CHECK_PAYMENT: Full(),
        Capability.REFUND: Partial(reason="GoCardless has to switch refunds on for your account; at most 25 a payment"),
        Capability.CHECK_REFUND: Full(),
        Capability.VALIDATE_INVOICE: Full(),
        Capability.READ_WEBHOOK: Full(),
        Capability.CHECK_CONNECTION: Full(),
        Capability.CAPTURE_PAYMENT: Unsupported(reason="a bank debit is never only authorized"),
        Capability.CANCEL_PAYMENT: NotYet(
            reason="a debit that was not submitted yet is canceled in GoCardless's dashboard, and its webhook tells of it"
        ),
        Capability.SYNC_DRAFT: _NO_INVOICES,
        Capability.ISSUE: _NO_INVOICES,
        Capability.SEND: _NO_INVOICES,
        Capability.VOID: _NO_INVOICES,
        Capability.MARK_UNCOLLECTIBLE: _NO_INVOICES,
        Capability.DELETE: _NO_INVOICES,
        Capability.CREDIT: _NO_INVOICES,
        Capability.FETCH: _NO_INVOICES,
        Capability.RECORD_PAYMENT: Unsupported(reason="GoCardless knows only money that it collected itself"),
        Capability.EXCHANGE_CODE: NotYet(reason="partners connect by OAuth; this plugin takes an access token"),
    },
    operations=_OPERATIONS,
    limits=(
        # Third-party pages name 1,000 a minute; every answer says what is left of the real one.
        RateLimit(name=REQUESTS_LIMIT, calls=1000, per=timedelta(minutes=1), scope=Scope.CREDENTIAL),
    ),
    money=MoneyRules(currencies=CURRENCIES),
    keys=KeyRules(window=KEYS_HONOURED),
    settings=GoCardlessSettings,
    credentials=GoCardlessCredentials,
    install_methods=(InstallMethod.API_KEY,),
    homepage="https://developer.gocardless.com",
)
