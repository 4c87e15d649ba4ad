"""What a person can do about a payment that books refuse to note, whatever they refuse it for."""

from __future__ import annotations

from billhook.domain.issue import LONGEST_MESSAGE, ValidationIssue
from billhook.engine import looking_at_books
from billhook.engine.apps import AppHandle
from billhook.engine.invoice_row import InvoiceRow
from billhook.engine.unit import Row


def with_ways_out(issue: ValidationIssue, row: InvoiceRow, app: AppHandle, payment: Row) -> ValidationIssue:
    """The books' own words, and then the ways out of them: the note is asked for again, entered there by hand, or taken back."""
    ways_out = " ".join(_ways_out(issue.code, row, app, payment))
    words = issue.message[: LONGEST_MESSAGE - len(ways_out) - 1]
    return issue.model_copy(update={"message": f"{words} {ways_out}"})


def _ways_out(code: str, row: InvoiceRow, app: AppHandle, payment: Row) -> list[str]:
    entered = "Once it is entered there by hand"
    dismissed = f"billhook invoices dismiss {row.id} {code} --reason WHY."
    if looking_at_books.can_be_read(app):
        entered += f": billhook invoices look {row.id}; where the invoice does not show it there, as money on account"
    ways = [f"Once that is mended: billhook invoices retry {row.id}.", f"{entered}: {dismissed}"]
    if payment["origin"] != "collected":
        ways.append(f"Where it never came: billhook invoices take-back {row.id} {payment['id']} --reason WHY")
    return ways
