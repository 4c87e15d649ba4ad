"""Taking back a payment that was noted by mistake: that money never came, and what it paid is owed again. No money moves."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from billhook.domain.lifecycle import State, Trigger
from billhook.domain.money import plain
from billhook.domain.payment import PAYMENT_TRANSITIONS, PaymentStatus, PaymentTrigger, advance
from billhook.engine import looking_again, looking_at_books, notes, overpaid, payments, unsent_payments
from billhook.engine.advance import Advancer
from billhook.engine.invoice_row import InvoiceRow
from billhook.engine.unit import Unit
from billhook.errors import NotAllowed, NotFound

Row = dict[str, Any]

TAKEN_BACK = "taken_back"
"""The code of a payment that was taken back. Its message is the reason."""


def take_back(advancer: Advancer, unit: Unit, row: InvoiceRow, payment_id: str, reason: str) -> None:
    """Count the payment no more. Doing it twice is doing it once.

    Raises NotFound for a payment of no invoice or of another one, and NotAllowed for one that an app collected or that was paid back.
    """
    payment = _noted(unit, row, payment_id)
    if payment["code"] == TAKEN_BACK:
        return
    _refuse_paid_back(unit, payment)
    state = advance(PAYMENT_TRANSITIONS, PaymentStatus(payment["state"]), PaymentTrigger.TAKE_BACK)
    amount = Decimal(payment["amount_received"])
    payments.count_received(row, -amount)
    payment |= {"state": state.value, "amount_received": "0", "code": TAKEN_BACK, "message": reason}
    unit.money.save("payment", payment)
    _suppose_shown(unit, row, payment, amount)
    notes.tell_taken_back(unit, row, payment)
    told = f"{plain(amount)} {payment['currency']} of payment {payment['id']} no longer count: {reason}"
    unit.record(row, "payment.taken_back", note=told)
    _owe_again(advancer, unit, row)
    unsent_payments.refit(advancer, unit, row)
    overpaid.tell_what_is_left(unit, row)
    looking_again.if_it_is_sure(advancer, unit, row)


def _noted(unit: Unit, row: InvoiceRow, payment_id: str) -> Row:
    payment = unit.money.get("payment", payment_id, row.namespace)
    if payment["invoice_id"] != row.id:
        raise NotFound("payment", payment_id, row.namespace)
    if payment["origin"] == "collected":
        raise NotAllowed(
            f"Payment {payment_id} is {payment['state']} at {unit.app(payment['app_id']).name}, which collects it, so it is no mistake to be "
            f"taken back here. What came is given back with billhook invoices refund {payment_id} AMOUNT; what is still open is ended with "
            f"billhook invoices cancel-payment {row.id}",
            "payment_not_noted",
        )
    return payment


def _suppose_shown(unit: Unit, row: InvoiceRow, payment: Row, amount: Decimal) -> None:
    """Books that told of the payment show it until somebody takes it out of them: what they show is not counted anew. A look tells."""
    app = unit.app(row.values["invoicing_app_id"])
    if payment["origin"] == "outside" and payment["app_id"] == app.id and looking_at_books.can_be_read(app):
        notes.keep(unit, app, payment, payment["external_id"], amount)
        looking_at_books.look(unit, row, app)


def _refuse_paid_back(unit: Unit, payment: Row) -> None:
    """What was paid back was received, so the payment stands."""
    paid_back = payments.spoken_for(unit.money.refunds_of(payment["id"]))
    if paid_back:
        raise NotAllowed(
            f"{plain(paid_back)} {payment['currency']} of payment {payment['id']} were paid back to the customer, so it is no mistake. Say that "
            f"the rest was paid back too: billhook invoices refund {payment['id']} AMOUNT --paid-elsewhere",
            "payment_paid_back",
        )


def _owe_again(advancer: Advancer, unit: Unit, row: InvoiceRow) -> None:
    """What counted as paid waits for money again. Whether a customer is charged again by itself is for a person to say."""
    was_paid = row.state is State.PAID
    if was_paid and advancer.fire_if_possible(unit, row, Trigger.FAILED, "owed_again", None) and not row.is_charged:
        advancer.fire(unit, row, Trigger.RETRY, "owed_again")
