"""What follows once money went back: what was told of refunds that failed before it ends, and what the books can't know is told of."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from billhook.domain.issue import Severity, ValidationIssue
from billhook.domain.money import plain
from billhook.engine import notes, payments
from billhook.engine.failed_refunds import told_of
from billhook.engine.invoice_row import InvoiceRow
from billhook.engine.unit import Row, Unit


def take_over(unit: Unit, row: InvoiceRow, payment: Row, refunded: Decimal | None, operation_id: str | None) -> None:
    """Note what the payment's app gave back of it, as far as nobody here asked for it."""
    if payments.note_given_back(unit, row, payment, refunded):
        unit.record(row, "refund.outside", operation_id=operation_id)
        end_made_up_for(unit, row, payment)
        tell_books(unit, row, payment)


def end_made_up_for(unit: Unit, row: InvoiceRow, payment: Row) -> None:
    """Nothing is to be done about a refund that failed once as much was given back after it, or nothing of the payment is left."""
    for refund, is_made_up_for in _failed(unit, payment):
        if is_made_up_for:
            unit.issues.report(row.id, told_of(refund), [])


def tell_what_is_not_made_up_for(unit: Unit, row: InvoiceRow, payment: Row) -> None:
    """What made up for a refund that failed was taken back: something is to be done about it again."""
    for refund, is_made_up_for in _failed(unit, payment):
        if not is_made_up_for:
            unit.issues.tell_again(row.id, told_of(refund))


def _failed(unit: Unit, payment: Row) -> Iterator[tuple[Row, bool]]:
    refunds = sorted(unit.money.refunds_of(payment["id"]), key=lambda each: str(each["id"]))
    is_used_up = payments.spoken_for(refunds) >= Decimal(payment["amount_received"])
    for place, refund in enumerate(refunds):
        later = (Decimal(each["amount"]) for each in refunds[place + 1 :] if each["state"] == "succeeded")
        if refund["state"] == "failed":
            yield refund, is_used_up or sum(later) >= Decimal(refund["amount"])


def tell_books(unit: Unit, row: InvoiceRow, payment: Row) -> None:
    """The books may show a payment of which money went back without them; no operation takes it out of them, so a person has to."""
    app = unit.app(row.values["invoicing_app_id"])
    is_theirs = payment["app_id"] == app.id
    recorded = notes.name_at(unit, payment, app.id) or (payment["external_id"] if is_theirs else None)
    if recorded is None:
        return
    refunds = (each for each in unit.money.refunds_of(payment["id"]) if each["state"] == "succeeded")
    unknown = [each for each in refunds if payments.is_recorded(each) or not is_theirs]
    refunded = sum((Decimal(each["amount"]) for each in unknown), Decimal(0))
    message = (
        f"{app.name} still shows payment {recorded} over {payment['amount']} {payment['currency']}, of which {plain(refunded)} went back to "
        "the customer. Enter the refund there."
    )
    issue = ValidationIssue(severity=Severity.WARNING, code="refund_not_in_books", message=message)
    unit.issues.report(row.id, f"refunds.{payment['id']}", [issue] if refunded else [])
