"""What follows once money went back: it is noted, what failed before is made up for by it, and a person is told of what nobody here can do."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from billhook.domain.issue import Severity, ValidationIssue
from billhook.domain.money import plain
from billhook.engine import came_back, given_twice, less_in_books, payments, refunds_in_books
from billhook.engine.failed_refunds import BEYOND_PAYMENT, told_of
from billhook.engine.invoice_row import InvoiceRow
from billhook.engine.unit import Row, Unit


def take_over(unit: Unit, row: InvoiceRow, payment: Row, refunded: Decimal | None, operation_id: str | None) -> bool:
    """Note what the payment's app gave back of it, as far as nobody here asked for it, and what of that came back; more than came in all is
    told of. Returns whether there was any."""
    if refunded is not None:
        unit.issues.report(row.id, f"given_back.{payment['id']}", _more_than_came(unit, payment, refunded))
    went_back = payments.note_given_back(unit, row, payment, refunded)
    if not (went_back or came_back.note(unit, row, payment, refunded)):
        return False
    unit.record(row, "refund.outside" if went_back else "refund.came_back", operation_id=operation_id)
    end_made_up_for(unit, row, payment)
    tell_of_refunds(unit, row, payment)
    return True


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


def _more_than_came(unit: Unit, payment: Row, refunded: Decimal) -> list[ValidationIssue]:
    """What was noted as paid back another way may have gone back at the app as well, or be the same money."""
    noted = [
        each
        for each in filter(payments.is_recorded, unit.money.refunds_of(payment["id"]))
        if payments.spoken_for([each])
    ]
    elsewhere = payments.spoken_for(noted)
    beyond = refunded + elsewhere - Decimal(payment["amount_received"])
    if not noted or beyond <= 0:
        return []
    ids = ", ".join(sorted(each["id"] for each in noted))
    message = (
        f"{unit.app(payment['app_id']).name} gave back {plain(refunded)} {payment['currency']} of payment {payment['id']}, and {plain(elsewhere)} "
        f"were noted as paid back another way ({ids}): {plain(beyond)} more than came. Where one was noted by mistake, say so: billhook invoices "
        "take-back-refund REFUND --reason WHY. Where the customer has both, ask for it, then: billhook invoices dismiss "
        f"{payment['invoice_id']} {BEYOND_PAYMENT} --reason WHY"
    )
    return [ValidationIssue(severity=Severity.WARNING, code=BEYOND_PAYMENT, message=message)]


def _failed(unit: Unit, payment: Row) -> Iterator[tuple[Row, bool]]:
    refunds = sorted(unit.money.refunds_of(payment["id"]), key=lambda each: str(each["id"]))
    is_used_up = payments.spoken_for(refunds) >= Decimal(payment["amount_received"])
    for place, refund in enumerate(refunds):
        later = (Decimal(each["amount"]) for each in refunds[place + 1 :] if each["state"] == "succeeded")
        if refund["state"] == "failed":
            yield refund, is_used_up or sum(later) >= Decimal(refund["amount"])


def tell_of_refunds(unit: Unit, row: InvoiceRow, payment: Row) -> None:
    """What went back of the payment is other than it was: say what a person has to do about it."""
    refunds_in_books.tell(unit, row, payment)
    less_in_books.look_again(unit, row)
    given_twice.tell(unit, row)
