"""Money that went back, in the books: a person enters there what no operation does, and the books are seen to show it."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from billhook.domain.issue import Severity, ValidationIssue
from billhook.domain.money import plain
from billhook.engine import notes, payments
from billhook.engine.apps import AppHandle
from billhook.engine.invoice_row import InvoiceRow
from billhook.engine.looking_at_books import look
from billhook.engine.not_in_books import GIVEN_BACK
from billhook.engine.unit import Row, Unit


def tell(unit: Unit, row: InvoiceRow, payment: Row) -> None:
    """The books may show a payment of which money went back without them; no operation takes it out of them, so a person has to."""
    app = unit.app(row.values["invoicing_app_id"])
    shown = _shown_as(unit, payment, app)
    unknown = _unknown(unit, payment, app)
    if notes.given_back_at(unit, payment, app.id) > unknown:
        notes.keep_given_back(unit, app, payment, unknown)  # a refund that was entered there was a mistake
        look(unit, row, app)
    refunded = unknown - notes.given_back_at(unit, payment, app.id)
    message = (
        f"{app.name} still shows {shown} over {payment['amount']} {payment['currency']}, of which {plain(refunded)} went back to "
        "the customer. Enter the refund there."
    )
    issue = ValidationIssue(severity=Severity.WARNING, code=GIVEN_BACK, message=message)
    unit.issues.report(row.id, f"refunds.{payment['id']}", [issue] if shown and refunded else [])


def end_undone(unit: Unit, row: InvoiceRow, app: AppHandle, less: Decimal) -> None:
    """Where the books show exactly so much ``less`` than is known of them, somebody took out of them what was taken or given back."""
    taken_back = notes.still_shown(unit, row, app)
    given_back = list(_to_be_entered(unit, row, app))
    for each in notes.making_up([*taken_back, *given_back], less):
        payment = unit.money.get("payment", each["id"])
        if any(each is one for one in taken_back):
            unit.issues.report(row.id, notes.taken_back(payment), [])
            notes.forget(unit, app, payment)
        else:
            notes.keep_given_back(unit, app, payment, _unknown(unit, payment, app))
            note = f"{app.name} shows payment {payment['id']} less {each['amount']} {payment['currency']}."
            unit.record(row, "refund.entered", note=note)
        if row.values["amount_refunded"] != "0":
            tell(unit, row, payment)


def _to_be_entered(unit: Unit, row: InvoiceRow, app: AppHandle) -> Iterator[Row]:
    """The payments that those books show without what went back of them, with that as their amount, as far as the invoice shows it."""
    for payment in unit.money.payments_of(row.id):
        missing = _unknown(unit, payment, app) - notes.given_back_at(unit, payment, app.id)
        is_noted = payment["origin"] != "collected" or payment["app_id"] != app.id
        if missing > 0 and is_noted and payment["state"] == "succeeded" and _shown_as(unit, payment, app):
            yield payment | {"amount": plain(min(missing, notes.shown_of(unit, payment, app.id)))}


def _shown_as(unit: Unit, payment: Row, app: AppHandle) -> str | None:
    """What the payment is called in those books; None where they don't show it."""
    name = notes.name_at(unit, payment, app.id)
    if name is not None:
        return f"payment {name}"
    if payment["app_id"] != app.id or payment["origin"] == "recorded":
        return None
    return "a payment" if payment["external_id"] is None else f"payment {payment['external_id']}"


def _unknown(unit: Unit, payment: Row, app: AppHandle) -> Decimal:
    """How much of what the books took of the payment went back in ways that they don't know of by themselves."""
    is_theirs = payment["app_id"] == app.id
    refunds = (each for each in unit.money.refunds_of(payment["id"]) if each["state"] == "succeeded")
    unknown = (each for each in refunds if payments.is_recorded(each) or not is_theirs)
    went_back = sum((Decimal(each["amount"]) for each in unknown), Decimal(0))
    return max(went_back - notes.not_taken_at(unit, payment, app.id), Decimal(0))
