"""What PayPal Invoicing can do, and within which limits."""

from __future__ import annotations

from datetime import timedelta

from billhook.contract import (
    Capability,
    Declaration,
    Full,
    InstallMethod,
    MoneyRules,
    NumberOwner,
    NumberRules,
    OperationRules,
    Partial,
    Unsupported,
)
from billhook_paypal.settings import PaypalCredentials, PaypalSettings

CURRENCIES = frozenset(
    [
        "AUD",
        "BRL",
        "CAD",
        "CHF",
        "CNY",
        "CZK",
        "DKK",
        "EUR",
        "GBP",
        "HKD",
        "HUF",
        "ILS",
        "JPY",
        "MXN",
        "MYR",
        "NOK",
        "NZD",
        "PHP",
        "PLN",
        "SEK",
        "SGD",
        "THB",
        "TWD",
        "USD",
    ]
)
NUMBER_LENGTH = 25
MOST_LINES = 100
_IN_HALF_A_MINUTE = OperationRules(longest=timedelta(seconds=30))
_ONE_ACCOUNT = "a REST app of PayPal is one account's own, and signs in with its id and secret"

DECLARATION = Declaration(
    type="paypal",
    name="PayPal",
    description="Issues invoices at PayPal, and waits for the customer to pay them there.",
    capabilities={
        Capability.MAP_LINE: Full(),
        Capability.VALIDATE_INVOICE: Full(),
        Capability.SYNC_DRAFT: Full(),
        Capability.ISSUE: Full(),
        Capability.VOID: Full(),
        Capability.DELETE: Full(),
        Capability.FETCH: Full(),
        Capability.RECORD_PAYMENT: Full(),
        Capability.CHECK_PAYMENT: Full(),
        Capability.COLLECT_PAYMENT: Partial(
            reason="PayPal asks the customer, who pays at the invoice's link; nothing stored is charged"
        ),
        Capability.REFUND: Partial(
            reason="refunds of money that somebody recorded at PayPal are noted; what was paid through PayPal is given "
            "back at PayPal"
        ),
        Capability.READ_WEBHOOK: Full(),
        Capability.CHECK_CONNECTION: Full(),
        Capability.REFRESH_CREDENTIALS: Full(),
        Capability.SEND: Unsupported(
            reason="PayPal e-mails an invoice in the request that issues it; see the setting email_recipient"
        ),
        Capability.CREDIT: Unsupported(reason="PayPal has no credit notes; cancel the invoice, or refund it"),
        Capability.SYNC_CUSTOMER: Unsupported(reason="PayPal takes the recipient with each invoice"),
        Capability.MARK_UNCOLLECTIBLE: Unsupported(reason="PayPal has no such mark; cancel the invoice"),
        Capability.CALCULATE_TAX: Unsupported(reason="PayPal takes rates, and knows none itself"),
        Capability.CAPTURE_PAYMENT: Unsupported(reason="an invoice's payment is never only authorized"),
        Capability.CANCEL_PAYMENT: Unsupported(reason="the customer pays by himself; cancel the invoice"),
        Capability.CHECK_REFUND: Unsupported(reason="a refund that was noted is final"),
        Capability.AUTHORIZE_URL: Unsupported(reason=_ONE_ACCOUNT),
        Capability.EXCHANGE_CODE: Unsupported(reason=_ONE_ACCOUNT),
        Capability.LIST_ACCOUNTS: Unsupported(reason=_ONE_ACCOUNT),
    },
    operations=dict.fromkeys(
        (
            Capability.SYNC_DRAFT,
            Capability.ISSUE,
            Capability.VOID,
            Capability.DELETE,
            Capability.RECORD_PAYMENT,
            Capability.REFUND,
        ),
        _IN_HALF_A_MINUTE,
    ),
    numbers=NumberRules(
        owner=NumberOwner.ENGINE,
        # The number is what keeps a draft from being made twice: PayPal refuses one that is taken.
        needed_for=Capability.SYNC_DRAFT,
        max_length=NUMBER_LENGTH,
    ),
    money=MoneyRules(currencies=CURRENCIES, tax_rounding="line", max_lines=MOST_LINES),
    settings=PaypalSettings,
    credentials=PaypalCredentials,
    install_methods=(InstallMethod.API_KEY,),
    homepage="https://developer.paypal.com/docs/api/invoicing/v2/",
)
