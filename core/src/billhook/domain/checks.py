"""What our own calculation finds wrong with a revision, before any provider is asked."""

from __future__ import annotations

from collections.abc import Iterator

from billhook.domain.invoice import InvoiceContent
from billhook.domain.issue import Severity, ValidationIssue
from billhook.domain.money import ZERO, plain


def issues_of(content: InvoiceContent) -> tuple[ValidationIssue, ...]:
    """Everything found, in a stable order. A critical issue stops the invoice."""
    return (*_total_issues(content), *_tax_issues(content))


def _total_issues(content: InvoiceContent) -> Iterator[ValidationIssue]:
    if content.totals.total < ZERO:
        yield _critical(
            "total_negative",
            f"The total is {plain(content.totals.total)} {content.currency}. Make a credit note for what is owed back.",
            "/totals/total",
        )


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
