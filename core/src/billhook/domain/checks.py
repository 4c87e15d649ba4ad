"""What our own calculation finds wrong with a revision, before any provider is asked."""

from __future__ import annotations

from collections.abc import Iterator

from billhook.domain.calculation import InvoiceEdit, recalculate
from billhook.domain.invoice import DocumentType, ExpectedTotals, InvoiceContent
from billhook.domain.issue import Severity, ValidationIssue
from billhook.domain.money import EXACT, ZERO, Rounding, plain
from billhook.domain.tax import TaxRounding

_FIGURES = {"net": "the net amount", "taxes_total": "the tax", "total": "the total"}


def issues_of(content: InvoiceContent) -> tuple[ValidationIssue, ...]:
    """Everything found, in a stable order. A critical issue stops the invoice."""
    return (*_total_issues(content), *_expected_issues(content), *_tax_issues(content))


def _total_issues(content: InvoiceContent) -> Iterator[ValidationIssue]:
    if content.totals.total < ZERO:
        yield _critical(
            "total_negative",
            f"The total is {plain(content.totals.total)} {content.currency}. Make a credit note for what is owed back.",
            "/totals/total",
        )


def _expected_issues(content: InvoiceContent) -> Iterator[ValidationIssue]:
    unexpected = _unexpected(content)
    if unexpected:
        yield _critical(
            "totals_unexpected",
            f"The lines come to other amounts than expected: {'; '.join(unexpected)}. {' '.join(_ways_out(content))}",
            "/expected_totals",
        )


def _unexpected(content: InvoiceContent) -> list[str]:
    """What differs from what the sender computed, each with both figures."""
    stated = content.expected_totals.stated if content.expected_totals else {}
    found = {name: getattr(content.totals, name) for name in stated}
    return [
        f"{_FIGURES[name]} is {plain(found[name])} and {plain(expected)} was expected"
        for name, expected in stated.items()
        if found[name] != expected
    ]


def _ways_out(content: InvoiceContent) -> Iterator[str]:
    name, value = _rounding_as_expected(content)
    contradiction = _contradiction(content.expected_totals)
    if contradiction:
        yield contradiction
    elif name != "tax_rounding" and _taxed_otherwise(content):
        yield "If your system computed the tax another way, state it: each line's taxes."
    if content.type is DocumentType.CREDIT_NOTE:
        mended = f"with the workflow {name}={value}" if name else "with other lines or expected_totals"
        yield f"Give it up with billhook credit-notes void CREDIT_NOTE, and submit it {mended} under a new key."
    elif name:
        yield f"Rounded otherwise they come to it: billhook invoices update INVOICE --workflow {name}={value}"
    else:
        yield (
            "Correct the lines, or what is expected: billhook invoices update INVOICE --file EDIT.json, where EDIT.json has the lines "
            "or expected_totals."
        )


def _contradiction(expected: ExpectedTotals | None) -> str:
    """What is said of figures that no lines can come to; mostly the total is what was left to pay."""
    if expected is None or expected.net is None or expected.taxes_total is None or expected.total is None:
        return ""
    whole = EXACT.add(expected.net, expected.taxes_total)
    if whole == expected.total:
        return ""
    return (
        f"No lines come to all of that: the net amount and the tax make {plain(whole)}. The total is the whole document's: what was paid "
        "before, or is withheld, is a payment of it, and the rounding of what is to be paid a line without tax."
    )


def _taxed_otherwise(content: InvoiceContent) -> bool:
    """Whether the net amount is as expected, and the tax is not."""
    stated = content.expected_totals.stated if content.expected_totals else {}
    net, taxes = content.totals.net, content.totals.taxes_total
    return stated.get("net", net) == net and stated.get("taxes_total", taxes) != taxes


def _rounding_as_expected(content: InvoiceContent) -> tuple[str, str]:
    """The one workflow value that comes to what is expected; nothing where that is not the cause."""
    ways = [*(("tax_rounding", each) for each in TaxRounding), *(("rounding", each) for each in Rounding)]
    for name, value in ways:
        workflow = content.workflow.model_copy(update={name: value})
        if not _unexpected(recalculate(content, InvoiceEdit(workflow=workflow))):
            return name, value.value
    return "", ""


def _tax_issues(content: InvoiceContent) -> Iterator[ValidationIssue]:
    if not content.workflow.tax_enforced:
        return
    for index, line in enumerate(content.lines):
        if not line.taxes and line.totals.before_taxes:
            yield _critical(
                "tax_missing",
                f"The line {line.name!r} has no tax, and the invoice enforces tax. Give it a rate, or let the invoice not enforce tax: "
                "billhook invoices update INVOICE --workflow tax_enforced=false",
                f"/lines/{index}/taxes",
            )


def _critical(code: str, message: str, path: str) -> ValidationIssue:
    return ValidationIssue(severity=Severity.CRITICAL, code=code, message=message, path=path)
