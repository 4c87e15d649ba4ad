from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from billhook.contract import (
    Batch,
    Capability,
    CustomerLink,
    DocumentResult,
    Done,
    InvoiceItem,
    PaymentItem,
    PaymentResult,
    PaymentStatus,
    RemovalResult,
)
from billhook.errors import ConfigError, Unsupported
from billhook.plugins import ProviderHandle, check_provider, imports_on_load
from billhook.testing.builders import a_view, an_id
from billhook_manual import ManualProvider, ManualSettings, payment_instructions, payment_reference

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ACCOUNT = {"account_holder": "Acme Inc", "iban": "DE89 3704 0044 0532 0130 00", "bank_name": "Commerzbank"}
INVOICE = a_view(number="INV-TECU-7", due_at=datetime(2026, 3, 31, tzinfo=UTC))
HANDLE = ProviderHandle(ManualProvider)


def some_settings(**changes: Any) -> ManualSettings:
    return ManualSettings(**{**ACCOUNT, **changes})


def a_batch(item: Any) -> Batch[Any, ManualSettings]:
    return Batch(an_id(9), (item,), some_settings(), NOW, "app", "default")


def an_item() -> InvoiceItem:
    return InvoiceItem(INVOICE.id, INVOICE, CustomerLink(INVOICE.customer_id), number="INV-TECU-7")


def a_payment(amount: str) -> PaymentItem:
    return PaymentItem(
        an_id(5), INVOICE, Decimal(amount), "EUR", CustomerLink(INVOICE.customer_id), external_id="bank-1"
    )


def test_the_provider_keeps_the_contract():
    assert check_provider(ManualProvider) is ManualProvider


def test_loading_it_imports_no_client_of_anything():
    loaded = imports_on_load("billhook_manual:provider")
    assert not loaded & {"httpx", "requests", "urllib3", "sqlalchemy"}


def test_an_invoice_is_final_at_once_and_keeps_the_number_of_the_engine():
    assert HANDLE.start(Capability.ISSUE, a_batch(an_item())) == {INVOICE.id: Done(DocumentResult())}
    assert HANDLE.declaration.numbers.owner == "engine"


@pytest.mark.parametrize("capability", [Capability.VOID, Capability.DELETE])
def test_there_is_nothing_outside_to_remove(capability):
    assert HANDLE.start(capability, a_batch(an_item())) == {INVOICE.id: Done(RemovalResult())}


@pytest.mark.parametrize("amount", ["0.01", "40.00", "99999.00"])
def test_a_payment_counts_as_the_operator_says_in_part_or_beyond_what_was_due(amount):
    outcomes = HANDLE.start(Capability.RECORD_PAYMENT, a_batch(a_payment(amount)))
    assert outcomes == {an_id(5): Done(PaymentResult(PaymentStatus.SUCCEEDED, Decimal(amount), "bank-1"))}


def test_a_bank_transfer_can_t_be_pulled_and_the_refusal_says_what_to_do():
    with pytest.raises(Unsupported, match="record it when it arrives"):
        HANDLE.start(Capability.COLLECT_PAYMENT, a_batch(a_payment("1.00")))


def test_the_instructions_tell_everything_that_a_payer_needs():
    total = format(INVOICE.total, "f")
    assert payment_instructions(some_settings(), INVOICE).splitlines() == [
        f"Please pay {total} EUR by bank transfer, due 2026-03-31.",
        "To: Acme Inc",
        "Account: DE89 3704 0044 0532 0130 00",
        "Bank: Commerzbank",
        f"Reference: {_grouped(payment_reference(INVOICE))} (invoice INV-TECU-7)",
    ]


def _grouped(code: str) -> str:
    return " ".join(code[start : start + 4] for start in range(0, len(code), 4))


def test_after_a_part_was_paid_the_rest_is_asked_for():
    partly_paid = replace(INVOICE, amount_paid=Decimal("10.00"), amount_due=INVOICE.total - Decimal("10.00"))
    assert format(partly_paid.amount_due, "f") in payment_instructions(some_settings(), partly_paid)


def test_a_template_of_one_s_own_may_use_every_place():
    template = "{number} {amount} {currency} {due_date} {reference} {account_holder} {account} {bic} {bank_name} {{}}"
    account = {"iban": None, "account_number": "12345678", "bic": "cobadeff"}
    told = payment_instructions(some_settings(instructions=template, **account), replace(INVOICE, due_at=None))
    assert "EUR on receipt RF" in told
    assert told.endswith("Acme Inc 12345678 COBADEFF Commerzbank {}")


def test_a_number_too_long_for_a_reference_is_stated_as_it_is():
    invoice = replace(INVOICE, number="RECHNUNG-2026-0000000000000042")
    assert payment_reference(invoice) == invoice.number
    assert f"Reference: {invoice.number} " in payment_instructions(some_settings(), invoice)


@pytest.mark.parametrize(
    "changes, complaint",
    [
        ({"iban": "DE89370400440532013001"}, "iban: .*check digits"),
        ({"iban": None}, "needs one account"),
        ({"account_number": "1"}, "needs one account"),
        ({"bic": "X"}, "bic: .*is no BIC"),
        ({"instructions": "Pay {sum}"}, r"instructions: .*\{sum\}"),
        ({"instructions": "Pay {amount.real}"}, "instructions: .*nobody fills"),
        ({"instructions": "Pay {amount!r}"}, "instructions: .*nobody fills"),
        ({"instructions": "Pay {amount"}, "instructions: .*is no template"),
        ({"currencies": ["eur"]}, "currencies"),
        ({"ibn": "x"}, "ibn"),
    ],
)
def test_a_wrong_setting_is_refused_when_the_app_is_configured(changes, complaint):
    with pytest.raises(ConfigError, match=complaint):
        HANDLE.settings({**ACCOUNT, **changes})


def test_an_invoice_in_a_currency_that_the_account_does_not_take_is_stopped_before_it_is_issued():
    issues = HANDLE.validate_invoice(INVOICE, (), some_settings(currencies=("USD", "CHF")))
    assert [(issue.code, issue.path) for issue in issues] == [("currency_not_taken_by_account", "/currency")]
    assert HANDLE.validate_invoice(INVOICE, (), some_settings(currencies=("EUR",))) == ()
    assert HANDLE.validate_invoice(INVOICE, (), some_settings()) == ()
