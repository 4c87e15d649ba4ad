"""What QuickBooks is documented to refuse, found before anything is written: all at once, with the place and the way out.

The length of numbers is declared, and judged by the engine when it makes one: what an invoice has before is only a draft's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal

from billhook.contract import InvoiceView, Line, MappedLine, Severity, ValidationIssue
from billhook_quickbooks.amounts import TaxDifference, is_in_cents, plain, tax_difference
from billhook_quickbooks.config import QuickBooksSettings, TaxModel
from billhook_quickbooks.encoding import NOT_TAXED, TAXED

_ROUNDING = (
    "Name a product for a line of such cents, with a tax code of 0 % among the app's tax_codes: billhook apps update APP_ID "
    "--set rounding_item=ITEM; then retry. Or use rates of that code on prices without tax, rounded on each line: "
)
_OTHER_RATES = "Give the line rates of that code on a price without tax, or the tax code of its rates."
"""The ways out where QuickBooks' own tax differs by cents, and by more."""


def issues_of(
    invoice: InvoiceView, lines: Sequence[MappedLine], settings: QuickBooksSettings
) -> tuple[ValidationIssue, ...]:
    """Everything about an invoice or a credit note that would be refused, or come to other amounts."""
    mapped = {line.line_id: line for line in lines}
    found = [*_document_issues(invoice, settings), *_currency_issues(invoice, settings)]
    for place, line in enumerate(invoice.lines):
        if line.id in mapped:
            found += _line_issues(place, line, mapped[line.id], settings)
    if not found and all(line.id in mapped for line in invoice.lines):
        found += _tax_issues(invoice, mapped, settings)
    return tuple(found)


def _document_issues(invoice: InvoiceView, settings: QuickBooksSettings) -> Iterator[ValidationIssue]:
    if invoice.total < 0:
        yield _issue(
            "total_negative",
            f"QuickBooks takes no invoice below zero, and this one comes to {plain(invoice.total)}. Issue a credit note.",
            "/totals/total",
        )
    if (
        settings.closed_until is not None
        and invoice.issued_at is not None
        and settings.day(invoice.issued_at) <= settings.closed_until
    ):
        yield _issue(
            "period_closed",
            f"The books are closed until {settings.closed_until}, and the invoice is of {settings.day(invoice.issued_at)}. "
            "Date it later, or open the period and change closed_until.",
            "/issued_at",
        )
    is_mailed = invoice.content.workflow.collection_method.value == "send_invoice" and not _is_credit_note(invoice)
    if is_mailed and not invoice.customer.email:
        yield _issue(
            "customer_email_missing",
            f"QuickBooks is to e-mail the invoice, and {invoice.customer.name} has no address. Add one to the customer, then retry.",
            "/customer/email",
        )


def _currency_issues(invoice: InvoiceView, settings: QuickBooksSettings) -> Iterator[ValidationIssue]:
    if invoice.currency == settings.home_currency:
        return
    if not settings.multicurrency:
        yield _issue(
            "currency_not_enabled",
            f"The company keeps its books in {settings.home_currency} alone, and the invoice is in {invoice.currency}. "
            "Switch on multicurrency at QuickBooks, then: billhook apps update APP_ID --set multicurrency=true; then retry the invoice.",
            "/currency",
        )
        return
    rate = invoice.content.exchange_rate
    if rate is None or rate.to_currency != settings.home_currency:
        stated = f'{{"exchange_rate": {{"from_currency": "{invoice.currency}", "to_currency": "{settings.home_currency}", "rate": "1.25"}}}}'
        way_out = (
            f"Give it up with billhook credit-notes void CREDIT_NOTE, and submit it with {stated} under a new key."
            if _is_credit_note(invoice)
            else f"Give it with billhook invoices update INVOICE --file EDIT.json, where EDIT.json has {stated}"
        )
        yield _issue(
            "exchange_rate_missing",
            f"State the exchange rate from {invoice.currency} to {settings.home_currency}; QuickBooks would take one of its own. {way_out}",
            "/exchange_rate",
        )


def _line_issues(place: int, line: Line, mapped: MappedLine, settings: QuickBooksSettings) -> Iterator[ValidationIssue]:
    if not mapped.item_code or not mapped.item_code.isdigit():
        yield _issue(
            "item_not_mapped",
            f"Line {line.name!r} has no product or service in QuickBooks ({mapped.item_code or 'nothing'}). Name one for "
            f"{line.item_code or 'it'} in the app's items, set default_item, or add a mapping rule.",
            f"/lines/{place}",
        )
    yield from _tax_code_issues(place, line, mapped, settings)
    if not (is_in_cents(line.totals.net) and is_in_cents(line.totals.taxes_total)):
        yield _issue(
            "amount_too_fine",
            f"Line {line.name!r} comes to {plain(line.totals.total)}; QuickBooks keeps two decimals. Round it to cents.",
            f"/lines/{place}",
        )


def _tax_code_issues(
    place: int, line: Line, mapped: MappedLine, settings: QuickBooksSettings
) -> Iterator[ValidationIssue]:
    code = mapped.tax_code
    if settings.tax_model is TaxModel.US and code in {None, TAXED, NOT_TAXED}:
        return
    if settings.tax_model is TaxModel.NONE and code is None:
        return
    if settings.tax_model is TaxModel.ELSEWHERE and code is not None and settings.percentage_of(code) is not None:
        return
    known = ", ".join(settings.tax_codes) if settings.tax_model is TaxModel.ELSEWHERE else f"{TAXED}, {NOT_TAXED}"
    yield _issue(
        "tax_code_unknown",
        f"Line {line.name!r} has the tax code {code or 'nothing'}, which the company is not known to have. Known: {known or 'none'}. "
        "Add it to the app's tax_codes, or set default_tax_code.",
        f"/lines/{place}/tax_config",
    )


def _tax_issues(
    invoice: InvoiceView, mapped: Mapping[str, MappedLine], settings: QuickBooksSettings
) -> Iterator[ValidationIssue]:
    differs = tax_difference(invoice, mapped, settings)
    if differs is None:
        return
    line = invoice.lines[differs.place]
    percentage = settings.percentage_of(mapped[line.id].tax_code or "") or Decimal(0)
    yield _issue(
        "tax_not_reproducible",
        f"QuickBooks computes tax itself, line by line: {plain(percentage)} % of {plain(line.totals.net)} (line {line.name!r}) is "
        f"{plain(differs.theirs)} there and {plain(differs.ours)} here. {_way_out(invoice, differs)}",
        f"/lines/{differs.place}/taxes",
    )


def _way_out(invoice: InvoiceView, differs: TaxDifference) -> str:
    if not differs.is_rounding:
        return _OTHER_RATES
    if _is_credit_note(invoice):
        anew = "give it up with billhook credit-notes void CREDIT_NOTE, and submit it with the workflow tax_rounding=per_line under a new key."
        return f"{_ROUNDING}{anew}"
    return f"{_ROUNDING}billhook invoices update INVOICE --workflow tax_rounding=per_line"


def _is_credit_note(invoice: InvoiceView) -> bool:
    return invoice.content.type.value == "credit_note"


def _issue(code: str, message: str, path: str) -> ValidationIssue:
    return ValidationIssue(severity=Severity.CRITICAL, code=code, message=message, path=path)
