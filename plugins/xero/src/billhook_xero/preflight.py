"""What Xero would refuse, found before anything is sent: everything at once, each with its place and the way out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal

from billhook.contract import InvoiceView, Line, MappedLine, Severity, ValidationIssue
from billhook_xero.config import XeroSettings
from billhook_xero.contacts import LONGEST_NAME
from billhook_xero.representation import (
    ZERO,
    AmountsAre,
    Paper,
    Written,
    amounts_of,
    can_be_rounded,
    cents,
    computed_tax_of,
    paper_of,
    percentage_of,
    plain,
    predicted_total,
)

MOST_TRACKING = 2

Lines = Sequence[MappedLine]
Check = Callable[[InvoiceView, Lines, XeroSettings], Iterator[ValidationIssue]]


def problems_of(invoice: InvoiceView, lines: Lines, settings: XeroSettings) -> tuple[ValidationIssue, ...]:
    """Everything that is wrong with the invoice or credit note."""
    found = [issue for check in _CHECKS for issue in check(invoice, lines, settings)]
    # What can't be written in cents has no arithmetic to check.
    return tuple(found or _arithmetic(invoice, lines, settings))


def _cents(invoice: InvoiceView, lines: Lines, settings: XeroSettings) -> Iterator[ValidationIssue]:
    finer = [
        (abs(amount), place, line.name)
        for place, line in enumerate(invoice.lines)
        for amount in (line.totals.net, line.totals.taxes_total)
        if cents(amount) != amount
    ]
    if finer:
        amount, place, name = min(finer)
        given_up = "Give up the credit note (void)" if _is_credit_note(invoice) else "Delete the invoice"
        yield _critical(
            "amount_finer_than_cents",
            f"Xero keeps two decimals, and {name!r} comes to {plain(amount)} {invoice.currency}. {given_up}, "
            "give the customer a billing profile with another app, and submit it again under a new key.",
            f"/lines/{place}",
        )


def _total(invoice: InvoiceView, lines: Lines, settings: XeroSettings) -> Iterator[ValidationIssue]:
    if invoice.total < ZERO:
        yield _critical(
            "total_negative",
            f"Xero takes no invoice over {plain(invoice.total)}. Make it a credit note.",
            "/totals/total",
        )


def _locked(invoice: InvoiceView, lines: Lines, settings: XeroSettings) -> Iterator[ValidationIssue]:
    until = settings.organisation.locked_until
    if until is None or invoice.issued_at is None or settings.day(invoice.issued_at) > until:
        return
    yield _critical(
        "date_locked",
        f"The books are closed up to {until}, and this invoice is of {settings.day(invoice.issued_at)}. "
        "Date it after that day, or move the lock date at Xero and in the app's setting organisation.",
        "/issued_at",
    )


def _currency(invoice: InvoiceView, lines: Lines, settings: XeroSettings) -> Iterator[ValidationIssue]:
    known, rate = settings.organisation.currencies, invoice.content.exchange_rate
    if known is not None and invoice.currency not in known:
        yield _critical(
            "currency_not_enabled",
            f"The organisation does not use {invoice.currency}. Add the currency at Xero, then add it to the app's setting organisation.currencies.",
            "/currency",
        )
    base = settings.organisation.base_currency
    if rate is not None and base is not None and rate.to_currency != base:
        yield _critical(
            "exchange_rate_not_to_base",
            f"The books are kept in {base}, and the rate leads to {rate.to_currency}. State the rate to {base}.",
            "/exchange_rate",
        )


def _customer(invoice: InvoiceView, lines: Lines, settings: XeroSettings) -> Iterator[ValidationIssue]:
    if len(invoice.customer.name) > LONGEST_NAME:
        yield _critical(
            "customer_name_too_long",
            f"Xero takes {LONGEST_NAME} characters for a name, this has {len(invoice.customer.name)}. Shorten it.",
            "/customer/name",
        )
    email = invoice.customer.email or ""
    if not email.isascii():
        yield _critical(
            "customer_email_not_taken",
            f"Xero takes no letters beyond plain ones in an e-mail address, as in {email}. Use another address.",
            "/customer/email",
        )
    is_mailed = invoice.content.workflow.collection_method.value == "send_invoice" and not _is_credit_note(invoice)
    if is_mailed and not email:
        yield _critical(
            "customer_email_missing",
            f"Xero is to e-mail the invoice, and {invoice.customer.name} has no address. Add one to the customer, then retry.",
            "/customer/email",
        )


def _accounts(invoice: InvoiceView, lines: Lines, settings: XeroSettings) -> Iterator[ValidationIssue]:
    known = settings.organisation.accounts
    for place, to in enumerate(lines):
        path = f"/lines/{place}"
        if to.account is None and to.item_code is None:
            yield _critical("account_missing", f"{to.description!r} has no account. Map it to one.", path)
        elif known is not None and to.account is not None and to.account not in known:
            message = (
                f"The organisation has no account {to.account} ({to.rule}). Map the line to one that it has, or add it at Xero and "
                "in the app's setting organisation.accounts."
            )
            yield _critical("account_unknown", message, path)
        elif known is not None and to.account is not None and not known[to.account].active:
            message = (
                f"The account {to.account} is archived ({to.rule}). Map to another, or make it active at Xero and in the app's setting "
                "organisation.accounts."
            )
            yield _critical("account_inactive", message, path)


def _tax_types(invoice: InvoiceView, lines: Lines, settings: XeroSettings) -> Iterator[ValidationIssue]:
    if amounts_of(invoice, lines) is AmountsAre.NO_TAX:
        return
    known = settings.organisation.tax_rates
    for place, written in enumerate(paper_of(invoice, lines, settings).lines):
        path = f"/lines/{place}"
        if written.tax_type is None:
            yield _critical("tax_code_missing", _without_tax_type(invoice.lines[place]), path)
        elif known is not None and written.tax_type not in {*known, settings.untaxed_tax_type}:
            message = (
                f"The organisation has no active tax type {written.tax_type}. Map the line to one that it has, or add it at Xero and "
                "in the app's setting organisation.tax_rates."
            )
            yield _critical("tax_code_unknown", message, path)
        elif written.own_tax and _is_untaxed(written.tax_type, settings):
            message = f"{written.description!r} is taxed {plain(written.own_tax)}, and {written.tax_type} has no tax. Map it to a tax type with a rate."
            yield _critical("tax_code_untaxed", message, path)


def _without_tax_type(line: Line) -> str:
    percentage = plain(percentage_of(line))
    return (
        f"{line.name!r} is taxed {percentage} %, and nothing says which tax type that is. Add it to the app's setting tax_types, "
        f'such as {{"{percentage}": "TAX_TYPE"}}, or map the line to a tax type; then retry.'
    )


def _is_untaxed(tax_type: str, settings: XeroSettings) -> bool:
    rates = settings.organisation.tax_rates or {}
    return rates.get(tax_type, None if tax_type != settings.untaxed_tax_type else ZERO) == ZERO


def _tracking(invoice: InvoiceView, lines: Lines, settings: XeroSettings) -> Iterator[ValidationIssue]:
    known = settings.organisation.tracking
    for place, to in enumerate(lines):
        path = f"/lines/{place}"
        if len(to.tracking) > MOST_TRACKING:
            message = f"Xero takes {MOST_TRACKING} tracking categories a line, {to.description!r} has {len(to.tracking)}. Map fewer."
            yield _critical("tracking_too_many", message, path)
        for name, option in to.tracking:
            if known is not None and option not in known.get(name, frozenset()):
                message = (
                    f"The organisation has no active tracking option {name}: {option}. Map to another, or add it at Xero and in the app's "
                    "setting organisation.tracking."
                )
                yield _critical("tracking_unknown", message, path)


_CHECKS: tuple[Check, ...] = (_cents, _total, _locked, _currency, _customer, _accounts, _tax_types, _tracking)


def _arithmetic(invoice: InvoiceView, lines: Lines, settings: XeroSettings) -> Iterator[ValidationIssue]:
    """Whether Xero will come to the same amounts; where not, the smallest line that shows why."""
    paper = paper_of(invoice, lines, settings, discounts=not _is_credit_note(invoice))
    total = predicted_total(paper, settings)
    if total is None:
        codes = sorted({line.tax_type or "" for line in paper.lines if _tax(line, paper, settings) is None})
        message = (
            f"The rate of {', '.join(codes)} is not known here, so Xero's tax can't be foretold. Add it to the app's setting "
            "organisation.tax_rates."
        )
        yield _critical("tax_rate_unknown", message, "/lines")
    elif total != invoice.total or (paper.rounding is None and _differing(paper, settings)):
        yield _not_reproducible(paper, settings)


def _differing(paper: Paper, settings: XeroSettings) -> list[tuple[Decimal, int, Written]]:
    return [
        (abs(line.line_amount), place, line)
        for place, line in enumerate(paper.lines)
        if _tax(line, paper, settings) != line.own_tax
    ]


def _not_reproducible(paper: Paper, settings: XeroSettings) -> ValidationIssue:
    _, place, line = min(_differing(paper, settings), key=lambda found: found[:2])
    theirs = _tax(line, paper, settings) or ZERO
    message = (
        f"Xero will come to other tax: {line.description!r} over {plain(line.line_amount)} is taxed {plain(line.own_tax)} here "
        f"and {plain(theirs)} there ({line.tax_type}). {_way_out(paper, settings)}"
    )
    return _critical("tax_not_reproducible", message, f"/lines/{place}")


def _way_out(paper: Paper, settings: XeroSettings) -> str:
    """A line for the cents that differ helps where there is none yet, the prices hold no tax, and it is cents that differ."""
    stated = "State the tax from here: billhook apps update APP_ID --set tax=billhook; then retry"
    return f"{stated}; or name a rounding_account." if can_be_rounded(paper, settings) else f"{stated}."


def _is_credit_note(invoice: InvoiceView) -> bool:
    return invoice.content.type.value == "credit_note"


def _tax(line: Written, paper: Paper, settings: XeroSettings) -> Decimal | None:
    return computed_tax_of(line, paper.amounts_are, settings)


def _critical(code: str, message: str, path: str) -> ValidationIssue:
    return ValidationIssue(severity=Severity.CRITICAL, code=code, message=message, path=path)
