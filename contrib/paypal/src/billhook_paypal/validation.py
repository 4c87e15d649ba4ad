"""What PayPal would refuse, or would compute another way than we did; found before anything is sent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal

from billhook.contract import InvoiceView, Line, MappedLine, Severity, ValidationIssue
from billhook_paypal.amounts import MOST, PERCENT_DECIMALS, decimals, has_a_unit_for, worth_of
from billhook_paypal.encoding import NAME_LENGTH

DESCRIPTION_LENGTH = 1000
NOTE_LENGTH = 4000
TAX_NAME_LENGTH = 100
PARTY_LENGTH = 300
_HUNDRED = Decimal(100)


def find_faults(
    invoice: InvoiceView, lines: Sequence[MappedLine], *, email_recipient: bool
) -> Iterator[ValidationIssue]:
    """Everything wrong with the invoice, all at once."""
    if not lines:
        yield _finding(
            "not_invoiced_here",
            "PayPal collects only for invoices that it issued. Delete this one, give the customer a billing profile in which PayPal does "
            "the invoicing too, and submit it again under a new key.",
            "",
        )
        return
    yield from _faults_of_the_whole(invoice, email_recipient)
    for index, (line, mapped) in enumerate(zip(invoice.lines, lines, strict=True)):
        for code, message in _faults_of_a_line(line, mapped, invoice.currency):
            yield _finding(code, f"Line {index + 1}: {message}", f"/lines/{index}")


def _faults_of_the_whole(invoice: InvoiceView, email_recipient: bool) -> Iterator[ValidationIssue]:
    if invoice.total <= 0:
        message = f"Over {invoice.total} {invoice.currency} there is nothing that the customer could pay at PayPal."
        yield _finding("nothing_to_pay", message, "")
    if len(invoice.content.description or "") > NOTE_LENGTH:
        yield _finding("note_too_long", f"PayPal takes {NOTE_LENGTH} characters of a note.", "/description")
    if max(len(invoice.customer.name), len(invoice.supplier.name)) > PARTY_LENGTH:
        yield _finding("name_too_long", f"PayPal takes {PARTY_LENGTH} characters of a party's name.", "/customer/name")
    if email_recipient and not invoice.customer.email:
        message = "The customer has no e-mail address, so PayPal e-mails nobody. The invoice can be paid at its link."
        yield _finding("no_email_address", message, "/customer/email", Severity.WARNING)


def _faults_of_a_line(line: Line, mapped: MappedLine, currency: str) -> Iterator[tuple[str, str]]:
    described = len(mapped.description) if len(mapped.description) > NAME_LENGTH else 0
    if described + len(line.description or "") > DESCRIPTION_LENGTH:
        yield "description_too_long", f"PayPal takes {DESCRIPTION_LENGTH} characters of a line's description."
    if len(line.taxes) > 1:
        yield "one_tax_per_line", f"It has {len(line.taxes)} taxes, and PayPal takes one. Give it one rate of both."
        return
    yield from _faults_of_the_tax(line)
    yield from _faults_of_the_amounts(line, currency)


def _faults_of_the_tax(line: Line) -> Iterator[tuple[str, str]]:
    for tax in line.taxes:
        if tax.percentage > _HUNDRED or decimals(tax.percentage) > PERCENT_DECIMALS:
            yield "tax_rate_not_taken", f"PayPal takes rates up to 100% with {PERCENT_DECIMALS} decimals."
        if len(tax.name) > TAX_NAME_LENGTH:
            yield "tax_name_too_long", f"PayPal takes {TAX_NAME_LENGTH} characters of a tax's name."


def _faults_of_the_amounts(line: Line, currency: str) -> Iterator[tuple[str, str]]:
    worth = worth_of(line, currency)
    for amount in (worth.unit_amount, worth.discount, line.totals.total):
        if not has_a_unit_for(amount, currency):
            yield "amount_has_decimals", f"PayPal takes {currency} in whole units, and the line has {amount}."
            break
    if max(abs(worth.unit_amount), worth.discount) > MOST:
        yield "amount_too_large", f"PayPal takes at most {MOST} a line."
    if worth.discount < 0:
        yield "negative_discount", "PayPal takes no discount that adds to a line."
    if worth.tax != line.totals.taxes_total:
        yield (
            "tax_not_reproducible",
            (
                f"PayPal computes {worth.tax} of tax at {worth.tax_percent}%, and the line has {line.totals.taxes_total}. "
                "Let tax be rounded on each line, half up: billhook invoices update INVOICE --workflow tax_rounding=per_line "
                "--workflow rounding=half_up"
            ),
        )


def _finding(code: str, message: str, path: str, severity: Severity = Severity.CRITICAL) -> ValidationIssue:
    return ValidationIssue(severity=severity, code=code, message=message, path=path)
