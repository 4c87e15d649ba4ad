"""Compares what a provider holds with what we computed, to the cent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from billhook.contract.results import ProviderTotals
from billhook.domain.invoice import InvoiceView
from billhook.domain.issue import Severity, ValidationIssue
from billhook.domain.money import plain


class Compared(NamedTuple):
    """One figure, as it is here and as it is there."""

    what: str
    ours: Decimal
    theirs: Decimal


def compare(document: InvoiceView, held: ProviderTotals | None) -> list[Compared]:
    """Every figure that the provider tells, beside ours."""
    return [] if held is None else list(_pairs(document, held))


def differences(compared: Iterable[Compared]) -> list[str]:
    """What differs, each with both figures."""
    return [
        f"{what} is {plain(ours)} here and {plain(theirs)} there" for what, ours, theirs in compared if ours != theirs
    ]


def differing(app_name: str, found: Sequence[str], issued_as: str | None = None) -> ValidationIssue:
    """The finding that stops a document whose amounts differ, with both figures of each. ``issued_as`` says that it is final there all the
    same."""
    way_out = "Find the cause, then retry."
    if issued_as is not None:
        way_out = f"It is issued there, as {issued_as}. Put that right or make it void there, then retry."
    message = f"{app_name} holds other amounts than this invoice: {'; '.join(found)}. {way_out}"
    return ValidationIssue(severity=Severity.CRITICAL, code="totals_differ", message=message, path="/totals/total")


def evidence(compared: Iterable[Compared]) -> dict[str, Any]:
    """Both figures of everything that was compared, to be stored."""
    return {what: [plain(ours), plain(theirs)] for what, ours, theirs in compared}


def _pairs(document: InvoiceView, held: ProviderTotals) -> Iterator[Compared]:
    totals = document.totals
    if held.total is not None:
        yield Compared("the total", totals.total, held.total)
    if held.tax is not None:
        yield Compared("the tax", totals.taxes_total, held.tax)
    if held.discounts is not None:
        yield Compared("the discount", totals.discounts_total, held.discounts)
    if held.line_totals:
        for place, line in enumerate(document.lines):
            theirs = held.line_totals.get(line.id)
            if theirs is not None:
                yield Compared(f"line {place}", line.totals.total, theirs)
