"""What Xero can do and takes, as data."""

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
    RequestsAtOnce,
    Scope,
    Sdk,
    Unsupported,
)
from billhook_xero.config import XeroCredentials, XeroSettings
from billhook_xero.requests import BATCH, KEYS_HONOURED, REFERENCES

LONGEST_NUMBER = 255
_LONGEST = timedelta(seconds=60)


_AT_ONCE = 5
"""Requests of one organisation that Xero lets run at once, whatever they do."""


def _rules(batch: int = 1, concurrency: int = _AT_ONCE) -> OperationRules:
    return OperationRules(batch=batch, atomic=batch == 1, concurrency=concurrency, longest=_LONGEST)


_OPERATIONS: Mapping[Capability, OperationRules] = {
    # One batch after the other, so that each sees the names that the one before it took.
    Capability.SYNC_CUSTOMER: _rules(REFERENCES, concurrency=1),
    Capability.SYNC_DRAFT: _rules(BATCH),
    Capability.ISSUE: _rules(BATCH),
    Capability.VOID: _rules(BATCH),
    Capability.DELETE: _rules(BATCH),
    Capability.FETCH: _rules(BATCH),
    Capability.RECORD_PAYMENT: _rules(REFERENCES),
    Capability.SEND: _rules(),
    Capability.CREDIT: _rules(),
    Capability.CHECK_CONNECTION: _rules(concurrency=1),
    Capability.EXCHANGE_CODE: _rules(concurrency=1),
    Capability.LIST_ACCOUNTS: _rules(concurrency=1),
    Capability.REFRESH_CREDENTIALS: _rules(concurrency=1),
    Capability.AUTHORIZE_URL: OperationRules(local=True),
}

_LIMITS = (
    RateLimit(name="minute", calls=60, per=timedelta(minutes=1), scope=Scope.ACCOUNT),
    RateLimit(name="day", calls=5_000, per=timedelta(days=1), scope=Scope.ACCOUNT),
    RateLimit(name="app_minute", calls=10_000, per=timedelta(minutes=1), scope=Scope.DEVELOPER),
)
"""As on developer.xero.com, "Limits". A developer plan may allow less a day; every answer tells what is left, and that is believed."""

_NO_MONEY = "Xero keeps books and takes no money: collect it with another app, and it is recorded in Xero"

DECLARATION = Declaration(
    type="xero",
    name="Xero",
    description="Issues invoices and credit notes in Xero and records payments there. Numbers are Billhook's.",
    capabilities={
        **dict.fromkeys(_OPERATIONS, Full()),
        Capability.SEND: Partial(reason="Xero e-mails one invoice a call, to the customer's address, in its own words"),
        Capability.CREDIT: Partial(
            reason="Xero's credit notes have no discounts: they are taken off the lines beforehand"
        ),
        Capability.RECORD_PAYMENT: Partial(
            reason="Xero takes no more than is due; record the rest as an overpayment there"
        ),
        Capability.MARK_UNCOLLECTIBLE: Unsupported(
            reason="Xero knows no such status: write the debt off there with a credit note against a bad-debt account"
        ),
        Capability.MAP_LINE: Full(),
        Capability.VALIDATE_INVOICE: Full(),
        Capability.READ_WEBHOOK: Full(),
        Capability.COLLECT_PAYMENT: Unsupported(reason=_NO_MONEY),
        Capability.CAPTURE_PAYMENT: Unsupported(reason=_NO_MONEY),
        Capability.CANCEL_PAYMENT: Unsupported(reason=_NO_MONEY),
        Capability.CHECK_PAYMENT: Unsupported(reason="a payment at Xero shows on its invoice, which is read"),
        Capability.REFUND: Unsupported(reason=_NO_MONEY),
        Capability.CHECK_REFUND: Unsupported(reason=_NO_MONEY),
        Capability.CALCULATE_TAX: Unsupported(reason="Xero computes tax only on documents that stand there already"),
    },
    operations=_OPERATIONS,
    limits=_LIMITS,
    at_once=(RequestsAtOnce(requests=_AT_ONCE, scope=Scope.ACCOUNT),),
    numbers=NumberRules(owner=NumberOwner.ENGINE, needed_for=Capability.ISSUE, max_length=LONGEST_NUMBER),
    # Finer prices and quantities are sent as one of the whole amount, so nothing is refused for its scale.
    money=MoneyRules(tax_rounding="line"),
    keys=KeyRules(scope=Scope.ACCOUNT, window=KEYS_HONOURED),
    settings=XeroSettings,
    credentials=XeroCredentials,
    install_methods=(InstallMethod.OAUTH2,),
    sdk=Sdk(requirement="xero-python>=15.2,<16"),
    homepage="https://developer.xero.com/documentation/api/accounting/overview",
)

OWN_NUMBERS = DECLARATION.model_copy(
    update={
        "type": "xero_own_numbers",
        "name": "Xero, with its own numbers",
        "description": "Issues invoices and credit notes in Xero and records payments there. Numbers are Xero's.",
        "operations": {**_OPERATIONS, Capability.SYNC_DRAFT: _rules(REFERENCES)},
        "numbers": NumberRules(owner=NumberOwner.PROVIDER, max_length=LONGEST_NUMBER),
    }
)
"""The same, with numbers given by Xero. A draft is then looked up by its reference, of which fewer fit a look-up than of numbers."""
