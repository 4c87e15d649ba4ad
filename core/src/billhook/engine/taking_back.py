"""Taking back a payment that was noted by mistake: that money never came, and what it paid is owed again. No money moves."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from billhook.contract.declaration import Capability
from billhook.domain.lifecycle import State, Trigger
from billhook.domain.money import plain
from billhook.domain.payment import PAYMENT_TRANSITIONS, PaymentStatus, PaymentTrigger, advance
from billhook.domain.workflow import CollectionMethod
from billhook.engine import notes, payments, unsent_payments
from billhook.engine.advance import Advancer
from billhook.engine.invoice_row import InvoiceRow
from billhook.engine.unit import Unit
from billhook.engine.work import WorkRow
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
    unit.save_record("payment", payment)
    notes.tell_taken_back(unit, row, payment)
    told = f"{plain(amount)} {payment['currency']} of payment {payment['id']} no longer count: {reason}"
    unit.record(row, "payment.taken_back", note=told)
    _owe_again(advancer, unit, row)
    unsent_payments.refit(advancer, unit, row)


def would_read_as_paid(unit: Unit, row: InvoiceRow, *, is_looked_at: bool) -> bool:
    """Whether the app that is to collect keeps the books, and may still show in them what was taken back: it would count it as paid again.

    Raises NotAllowed where it does, as far as it can be known: its books were ``looked at``, or can't be.
    """
    app = unit.app(row.values["invoicing_app_id"])
    shown = notes.still_shown(unit, row, app) if row.values["payment_app_id"] == app.id else []
    if not shown or not _is_charged(row):
        return False
    if app.handle.declaration.can(Capability.FETCH) and not is_looked_at:
        return True
    names = ", ".join(str(notes.name_at(unit, payment, app.id)) for payment in shown)
    raise NotAllowed(
        f"{app.name} still shows payment {names}, which was taken back, and would count it as paid again. Undo it there, then retry. Where "
        f"that can't be, credit invoice {row.id} with a credit note and bill it anew.",
        "taken_back_in_books",
    )


def look_first(advancer: Advancer, unit: Unit, row: InvoiceRow) -> None:
    """Look at the books before anything else is done."""
    app = unit.app(row.values["invoicing_app_id"])
    look = WorkRow(row.id, Capability.FETCH, app.id, row.id, version=row.values["version"])
    advancer.want(unit, app, Capability.FETCH, look, row.values["customer_id"])


def _is_charged(row: InvoiceRow) -> bool:
    return bool(row.values["collection_method"] == CollectionMethod.CHARGE_AUTOMATICALLY.value)


def _noted(unit: Unit, row: InvoiceRow, payment_id: str) -> Row:
    payment = unit.get_record("payment", payment_id, row.namespace)
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


def _refuse_paid_back(unit: Unit, payment: Row) -> None:
    """What was paid back was received, so the payment stands."""
    paid_back = payments.spoken_for(payments.refunds_of(unit, payment))
    if paid_back:
        raise NotAllowed(
            f"{plain(paid_back)} {payment['currency']} of payment {payment['id']} were paid back to the customer, so it is no mistake. Say that "
            f"the rest was paid back too: billhook invoices refund {payment['id']} AMOUNT --paid-elsewhere",
            "payment_paid_back",
        )


def _owe_again(advancer: Advancer, unit: Unit, row: InvoiceRow) -> None:
    """What counted as paid waits for money again. Whether a customer is charged again by itself is for a person to say."""
    was_paid = row.state is State.PAID
    if was_paid and advancer.fire_if_possible(unit, row, Trigger.FAILED, "owed_again", None) and not _is_charged(row):
        advancer.fire(unit, row, Trigger.RETRY, "owed_again")
