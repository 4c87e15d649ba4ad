"""What is left to be paid once a collection brought less than is owed: a person is told, because nobody takes the rest by themselves."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from billhook.domain.issue import Severity, ValidationIssue
from billhook.domain.lifecycle import State
from billhook.engine import payments
from billhook.engine.invoice_row import InvoiceRow
from billhook.engine.open_issues import REST
from billhook.engine.unit import Unit

Row = dict[str, Any]

_WAITS_FOR_WHAT_IS_TAKEN = frozenset({State.PAYMENT_PENDING, State.PAYMENT_ACTION_REQUIRED})
"""What is owed there is being taken. Once nothing is, it waits for a person."""


def is_left(unit: Unit, row: InvoiceRow) -> bool:
    """Whether something is still owed of an invoice, and nothing of it is being taken any more."""
    if row.is_fully_paid or payments.has_open(unit, row):
        return False
    if row.state is State.PAYMENT_PENDING and row.amount_due <= unit.money.open_credits(row.id):
        return False  # where the credit note fails, that rest is collected
    return row.state is State.PAYMENT_AUTHORIZED or (row.state in _WAITS_FOR_WHAT_IS_TAKEN and row.is_charged)


def tell(unit: Unit, row: InvoiceRow, payment: Row) -> None:
    """Say how much of the invoice that payment left."""
    brought = f"{payment['amount_received']} {payment['currency']}"
    rest = (
        f"{row.amount_due:f} are still owed. Collect them: billhook invoices retry {row.id}. Where they come another way: "
        f"billhook invoices pay {row.id} AMOUNT"
    )
    captured = ValidationIssue(
        severity=Severity.WARNING, code="captured_in_part", message=f"{brought} were captured, and {rest}"
    )
    collected = ValidationIssue(
        severity=Severity.WARNING, code="collected_in_part", message=f"{brought} were collected, and {rest}"
    )
    unit.issues.report(row.id, REST, [captured if row.state is State.PAYMENT_AUTHORIZED else collected])


def end(unit: Unit, row: InvoiceRow) -> None:
    """The rest is paid, or is being collected."""
    attempts = unit.money.payments_of(row.id)
    if any(Decimal(payment["amount_received"]) < row.total for payment in attempts):
        unit.issues.report(row.id, REST, [])
