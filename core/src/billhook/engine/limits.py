"""What a provider's declaration says it would refuse, found before any I/O and all at once."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from billhook.contract.declaration import Declaration
from billhook.domain.checks import issues_of
from billhook.domain.invoice import InvoiceView, Line
from billhook.domain.issue import Severity, ValidationIssue
from billhook.domain.money import plain


def invoice_problems(invoice: InvoiceView, declaration: Declaration) -> tuple[ValidationIssue, ...]:
    """Everything wrong with the revision by our own calculation and by what the provider declares of money."""
    return (
        *issues_of(invoice.content),
        *_document_problems(invoice, declaration),
        *_line_problems(invoice, declaration),
        *_money_held(invoice),
    )


def collection_problems(invoice: InvoiceView, declaration: Declaration) -> tuple[ValidationIssue, ...]:
    """Why the money of an invoice that lives elsewhere can't be collected there, by what the provider declares of money."""
    return tuple(_amount_problems(invoice, declaration))


def _document_problems(invoice: InvoiceView, declaration: Declaration) -> Iterator[ValidationIssue]:
    money = declaration.money
    yield from _amount_problems(invoice, declaration)
    if money.max_lines is not None and len(invoice.lines) > money.max_lines:
        yield _critical(
            "too_many_lines",
            f"{declaration.name} takes {money.max_lines} lines, this invoice has {len(invoice.lines)}. Split it.",
            "/lines",
        )


def _amount_problems(invoice: InvoiceView, declaration: Declaration) -> Iterator[ValidationIssue]:
    money = declaration.money
    if money.currencies is not None and invoice.currency not in money.currencies:
        yield _critical(
            "currency_not_supported",
            f"{declaration.name} does not take {invoice.currency}. Delete the invoice, give the customer a billing profile whose app "
            "does, and submit it again under a new key.",
            "/currency",
        )
    if money.max_amount is not None and abs(invoice.total) > Decimal(money.max_amount):
        yield _critical(
            "amount_too_large",
            f"{declaration.name} takes at most {money.max_amount}, the total is {plain(invoice.total)}. Split the invoice.",
            "/totals/total",
        )


def _money_held(invoice: InvoiceView) -> Iterator[ValidationIssue]:
    """A draft may not be worth less than what was received for it: no books could take that money."""
    held = invoice.amount_paid - invoice.amount_refunded
    if held > max(invoice.total, Decimal(0)):
        yield _critical(
            "total_below_paid",
            f"{plain(held)} {invoice.currency} were received for this invoice already, and its total is {plain(invoice.total)}. "
            "Raise the total, or refund what is too much; then retry.",
            "/totals/total",
        )


def _line_problems(invoice: InvoiceView, declaration: Declaration) -> Iterator[ValidationIssue]:
    if declaration.money.negative_lines:
        return
    for place, line in enumerate(invoice.lines):
        if line.totals.total < 0:
            yield _negative(place, line, declaration)


def _negative(place: int, line: Line, declaration: Declaration) -> ValidationIssue:
    return _critical(
        "line_negative",
        f"{declaration.name} takes no negative lines, {line.name!r} is {plain(line.totals.total)}. Use a discount or a credit note.",
        f"/lines/{place}",
    )


def _critical(code: str, message: str, path: str) -> ValidationIssue:
    return ValidationIssue(severity=Severity.CRITICAL, code=code, message=message, path=path)
