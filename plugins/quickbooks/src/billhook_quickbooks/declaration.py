"""What QuickBooks Online can do and takes, as data.

Limits: developer.intuit.com, "API call limits and throttles". Keys: Intuit's blog of 2015-04-06 on request ids, which names no lifetime;
so a key is believed for minutes, and whatever can be looked up is looked up first.
"""

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
    NumberOwner,
    NumberRules,
    OperationRules,
    Partial,
    RateLimit,
    Scope,
    Unsupported,
)
from billhook_quickbooks.config import QuickBooksCredentials, QuickBooksSettings
from billhook_quickbooks.requests import BATCH, KEYS_HONOURED

LONGEST_NUMBER = 21

# Intuit cuts a request off after 120 seconds.
_LONGEST = timedelta(seconds=120)
_BATCHED = OperationRules(batch=BATCH, atomic=False, concurrency=4, longest=_LONGEST)
_SINGLE = OperationRules(concurrency=4, longest=_LONGEST)
_ALONE = OperationRules(longest=timedelta(seconds=30))

_OPERATIONS: Mapping[Capability, OperationRules] = {
    Capability.SYNC_CUSTOMER: _BATCHED,
    Capability.ISSUE: _BATCHED,
    Capability.RECORD_PAYMENT: _BATCHED,
    Capability.FETCH: OperationRules(batch=BATCH, concurrency=2, longest=_LONGEST),
    Capability.SEND: _SINGLE,
    Capability.VOID: _SINGLE,
    Capability.DELETE: _SINGLE,
    Capability.CREDIT: _SINGLE,
    Capability.CHECK_CONNECTION: _ALONE,
    Capability.EXCHANGE_CODE: _ALONE,
    Capability.LIST_ACCOUNTS: _ALONE,
    Capability.REFRESH_CREDENTIALS: _ALONE,
    Capability.AUTHORIZE_URL: OperationRules(local=True),
}

_BATCHES = frozenset({Capability.SYNC_CUSTOMER, Capability.ISSUE, Capability.RECORD_PAYMENT})
_MINUTE = timedelta(minutes=1)
_LIMITS = (
    RateLimit(name="realm_minute", calls=500, per=_MINUTE, scope=Scope.ACCOUNT),
    RateLimit(name="realm_batch_minute", calls=120, per=_MINUTE, scope=Scope.ACCOUNT, operations=_BATCHES),
    RateLimit(name="app_second", calls=10, per=timedelta(seconds=1)),
    RateLimit(name="app_batch_minute", calls=40, per=_MINUTE, operations=_BATCHES),
)

_NO_MONEY = (
    "the accounting API records money and takes none (QuickBooks Payments is another product, for the US): collect it with "
    "another app, and it is recorded here"
)

DECLARATION = Declaration(
    type="quickbooks",
    name="QuickBooks Online",
    description="Issues invoices and credit memos in QuickBooks Online and records payments there. Numbers are Billhook's.",
    capabilities={
        **dict.fromkeys(_OPERATIONS, Full()),
        Capability.ISSUE: Partial(
            reason="an invoice posts to the ledger at once: it is created there when it is issued"
        ),
        Capability.SEND: Partial(reason="QuickBooks e-mails one invoice a call, in its own words"),
        Capability.CREDIT: Partial(
            reason="discounts are taken off the lines; what the invoice has no room for stays as credit of the customer"
        ),
        Capability.LIST_ACCOUNTS: Partial(reason="Intuit grants one company at a time, which comes back as realmId"),
        Capability.MARK_UNCOLLECTIBLE: Unsupported(
            reason="QuickBooks knows no such status: write the debt off there with a credit memo for a bad-debt item"
        ),
        Capability.MAP_LINE: Full(),
        Capability.VALIDATE_INVOICE: Full(),
        Capability.READ_WEBHOOK: Full(),
        Capability.SYNC_DRAFT: Unsupported(reason="QuickBooks Online has no drafts: what is created is posted"),
        Capability.COLLECT_PAYMENT: Unsupported(reason=_NO_MONEY),
        Capability.CAPTURE_PAYMENT: Unsupported(reason=_NO_MONEY),
        Capability.CANCEL_PAYMENT: Unsupported(reason=_NO_MONEY),
        Capability.CHECK_PAYMENT: Unsupported(reason="a payment in QuickBooks shows on its invoice, which is read"),
        Capability.REFUND: Unsupported(reason=_NO_MONEY),
        Capability.CHECK_REFUND: Unsupported(reason=_NO_MONEY),
        Capability.CALCULATE_TAX: Unsupported(reason="QuickBooks computes tax only on documents that it posts"),
    },
    operations=_OPERATIONS,
    limits=_LIMITS,
    numbers=NumberRules(owner=NumberOwner.ENGINE, needed_for=Capability.ISSUE, max_length=LONGEST_NUMBER),
    # Finer prices and quantities are sent as one of the whole amount, so nothing is refused for its scale.
    money=MoneyRules(tax_rounding="line"),
    keys=KeyRules(scope=Scope.ACCOUNT, window=KEYS_HONOURED),
    settings=QuickBooksSettings,
    credentials=QuickBooksCredentials,
    install_methods=(InstallMethod.OAUTH2,),
    homepage="https://developer.intuit.com/app/developer/qbo/docs/develop",
)

OWN_NUMBERS = DECLARATION.model_copy(
    update={
        "type": "quickbooks_own_numbers",
        "name": "QuickBooks Online, with its own numbers",
        "description": "Issues invoices and credit memos in QuickBooks Online and records payments there. Numbers are QuickBooks'.",
        "numbers": NumberRules(owner=NumberOwner.PROVIDER, max_length=LONGEST_NUMBER),
    }
)
"""The same, for a company whose setting "custom transaction numbers" is off: it gives the numbers."""
