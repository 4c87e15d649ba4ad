"""Money that an app took, or that its books told of, beyond what was owed: nobody here typed that amount, so a person is told until it went back.

It comes so where a payment was under way while another one, or a credit note, closed the invoice.
"""

from __future__ import annotations

from decimal import Decimal

from billhook.domain.issue import Severity, ValidationIssue
from billhook.domain.money import plain
from billhook.engine.invoice_row import InvoiceRow
from billhook.engine.unit import Unit

_OVERPAID = "overpaid"
_COMPONENT = "money.overpaid"


def tell(unit: Unit, row: InvoiceRow) -> None:
    """An app took money, or told of some: say by how much more than was owed came in all."""
    more = _beyond(row)
    if more > 0:
        unit.issues.report(row.id, _COMPONENT, [_warning(row, more)])


def tell_what_is_left(unit: Unit, row: InvoiceRow) -> None:
    """Some of what came was given back or counts no more: say so where a person was told."""
    if unit.issues.open_components(row.id, _COMPONENT):
        unit.issues.report(row.id, _COMPONENT, [])
        tell(unit, row)


def _beyond(row: InvoiceRow) -> Decimal:
    return row.amount_kept + Decimal(row.values["amount_credited"]) - row.total


def _warning(row: InvoiceRow, more: Decimal) -> ValidationIssue:
    currency, credited = row.values["currency"], Decimal(row.values["amount_credited"])
    owed = f"{plain(row.total)} {currency}" + (f", of which {plain(credited)} were credited" if credited else "")
    message = (
        f"{plain(row.amount_kept)} {currency} came for an invoice over {owed}: {plain(more)} more than was owed. Give that back: billhook invoices "
        f"refund PAYMENT AMOUNT, or with --paid-elsewhere where it went another way. Where the customer keeps it as credit: billhook invoices "
        f"dismiss {row.id} {_OVERPAID} --reason WHY"
    )
    return ValidationIssue(severity=Severity.WARNING, code=_OVERPAID, message=message)
