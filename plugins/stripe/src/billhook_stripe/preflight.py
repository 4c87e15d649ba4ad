"""What Stripe would refuse, or do with an invoice that nobody wants: found before anything is written, all at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

from billhook.contract import InvoiceView, Line, MappedLine, Rejected, Severity, ValidationIssue
from billhook.errors import InvalidInput
from billhook_stripe.currencies import (
    CURRENCIES,
    LARGEST_UNITS,
    finest,
    from_units,
    is_whole,
    smallest_charge,
    to_units,
)
from billhook_stripe.lines import line_params, predicted_total

MOST_TAXES = 10
"""Tax amounts on a line (docs.stripe.com/api/invoice-line-item/bulk)."""
_TAX_DECIMALS = 4
"""Decimals of a tax rate's percentage (docs.stripe.com/api/tax_rates/create)."""
_LONGEST_TAX_NAME = 50
"""Characters of a tax rate's display name (docs.stripe.com/api/tax_rates/create)."""


def invoice_problems(invoice: InvoiceView, lines: Sequence[MappedLine]) -> tuple[ValidationIssue, ...]:
    """Everything that stops an invoice; of one that lives elsewhere, which comes without lines, what stops its payment."""
    if invoice.currency not in CURRENCIES:
        return ()  # the declaration says so already, and no other rule means anything then
    if invoice.content.type.value == "credit_note":
        return ()  # what stops it depends on where it goes, which the operation knows; it refuses before it writes anything
    if not lines:
        return tuple(_charge_problems(invoice))
    found = [
        *_customer_problems(invoice),
        *_total_problems(invoice),
        *_amount_problems(invoice),
        *_tax_problems(invoice),
    ]
    return tuple(found or _unpredictable(invoice, lines))


def charge_problem(amount: Decimal, currency: str) -> Rejected | None:
    """Why an amount can't be charged by itself."""
    if currency not in CURRENCIES:
        return Rejected.because("currency_not_supported", f"Stripe takes no {currency} here. Collect it elsewhere.")
    units = to_units(amount, currency)
    smallest = smallest_charge(currency)
    if smallest is not None and amount < smallest:
        message = f"Stripe charges at least {smallest:f} {currency}, this payment is {amount:f}. Record it, or collect it elsewhere."
        return Rejected.because("amount_too_small", message)
    return Rejected.because("amount_too_large", _too_large(amount, currency)) if units > LARGEST_UNITS else None


def _charge_problems(invoice: InvoiceView) -> Iterator[ValidationIssue]:
    """What stops the payment of an invoice that lives elsewhere."""
    if not is_whole(invoice.total, invoice.currency):
        message = f"Stripe can't charge {invoice.total:f} {invoice.currency}: {finest(invoice.currency)}. Round the total, or collect it elsewhere."
        yield _critical("amount_not_representable", message, "/totals/total")
        return
    problem = charge_problem(invoice.total, invoice.currency)
    for issue in problem.issues if problem is not None else ():
        yield issue.model_copy(update={"path": "/totals/total"})


def _customer_problems(invoice: InvoiceView) -> Iterator[ValidationIssue]:
    if invoice.content.workflow.collection_method.value == "send_invoice" and not invoice.customer.email:
        message = f"Stripe is to e-mail the invoice, and {invoice.customer.name} has no address. Add one to the customer, then retry."
        yield _critical("customer_email_missing", message, "/customer/email")


def _total_problems(invoice: InvoiceView) -> Iterator[ValidationIssue]:
    total, currency = invoice.total, invoice.currency
    smallest = smallest_charge(currency)
    if total < 0:
        message = (
            f"The total is {total:f}. Stripe would turn it into credit of the customer; make a credit note instead."
        )
        yield _critical("total_negative", message, "/totals/total")
    elif smallest is not None and 0 < total < smallest:
        yield _critical(
            "amount_below_minimum",
            f"The total is {total:f} {currency}, and Stripe charges at least {smallest:f}. It would call the invoice paid and put "
            "the amount onto the customer's next one. Bill it together with something else.",
            "/totals/total",
        )
    elif is_whole(total, currency) and to_units(total, currency) > LARGEST_UNITS:
        yield _critical("amount_too_large", _too_large(total, currency), "/totals/total")


def _amount_problems(invoice: InvoiceView) -> Iterator[ValidationIssue]:
    """The smallest amount that Stripe has no units for shows what is wrong; the others would say the same."""
    currency = invoice.currency
    wrong = [(abs(amount), amount, path) for amount, path in _amounts(invoice.lines) if not is_whole(amount, currency)]
    if not wrong:
        return
    _, amount, path = min(wrong)
    others = f" {len(wrong) - 1} more amounts are like it." if len(wrong) > 1 else ""
    yield _critical(
        "amount_not_representable",
        f"Stripe can't hold {amount:f} {currency}: {finest(currency)}.{others} Round the prices, or bill this customer elsewhere.",
        path,
    )


def _amounts(lines: Sequence[Line]) -> Iterator[tuple[Decimal, str]]:
    for place, line in enumerate(lines):
        yield line.totals.before_taxes, f"/lines/{place}"
        for number, tax in enumerate(line.taxes):
            yield tax.amount, f"/lines/{place}/taxes/{number}/amount"
            yield tax.taxable_amount, f"/lines/{place}/taxes/{number}/taxable_amount"


def _tax_problems(invoice: InvoiceView) -> Iterator[ValidationIssue]:
    for place, line in enumerate(invoice.lines):
        if len(line.taxes) > MOST_TAXES:
            message = (
                f"Stripe takes {MOST_TAXES} taxes on a line, {line.name!r} has {len(line.taxes)}. Join some of them."
            )
            yield _critical("too_many_taxes", message, f"/lines/{place}/taxes")
        for number, tax in enumerate(line.taxes):
            yield from _rate_problems(tax, f"/lines/{place}/taxes/{number}")


def _rate_problems(tax: Any, path: str) -> Iterator[ValidationIssue]:
    if not 0 <= tax.percentage <= 100 or tax.percentage != round(tax.percentage, _TAX_DECIMALS):
        message = (
            f"Stripe takes rates from 0 to 100 % with {_TAX_DECIMALS} decimals, {tax.name!r} is {tax.percentage:f} %."
        )
        yield _critical("tax_rate_not_representable", message, f"{path}/percentage")
    if len(tax.name) > _LONGEST_TAX_NAME:
        message = f"Stripe takes names of taxes up to {_LONGEST_TAX_NAME} characters, {tax.name!r} has {len(tax.name)}. Shorten it."
        yield _critical("tax_name_too_long", message, f"{path}/name")


def _unpredictable(invoice: InvoiceView, lines: Sequence[MappedLine]) -> Iterator[ValidationIssue]:
    """What Stripe will hold, against what we hold: computed from the very parameters that would be sent."""
    try:
        params = [
            line_params(line, mapped, invoice.currency) for line, mapped in zip(invoice.lines, lines, strict=True)
        ]
    except InvalidInput as problem:
        yield _critical(problem.code, problem.message, problem.path)
        return
    predicted = predicted_total(params, invoice.currency)
    if predicted != invoice.total:
        message = f"Stripe would compute {predicted:f}, the total is {invoice.total:f}. Report this, with the invoice."
        yield _critical("total_not_reproducible", message, "/totals/total")


def _too_large(amount: Decimal, currency: str) -> str:
    most = from_units(LARGEST_UNITS, currency)
    return f"Stripe charges at most {most:f} {currency} at once, this is {amount:f}. Split the invoice."


def _critical(code: str, message: str, path: str) -> ValidationIssue:
    return ValidationIssue(severity=Severity.CRITICAL, code=code, message=message, path=path)
