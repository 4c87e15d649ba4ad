"""Payments and refunds of an invoice: how a provider's word changes them, and what that does to the invoice's money."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any

from billhook.contract.declaration import Capability
from billhook.contract.results import PaymentResult, PaymentStatus, RefundResult, RefundStatus
from billhook.domain.lifecycle import Trigger
from billhook.domain.money import plain
from billhook.domain.payment import (
    PAYMENT_TRANSITIONS,
    REFUND_TRANSITIONS,
    PaymentStatus as DomainStatus,
    PaymentTrigger,
    RefundOrigin,
    RefundStatus as DomainRefund,
    RefundTrigger,
)
from billhook.engine import notes, tables
from billhook.engine.invoice_row import InvoiceRow
from billhook.engine.moments import to_micros
from billhook.engine.unit import Unit

Row = dict[str, Any]

GIVEN_BACK_THERE = "It was given back at the provider."
WAITS_FOR_SOMEBODY = frozenset({"action_required", "authorized"})
OPEN = frozenset({"pending", "processing"}) | WAITS_FOR_SOMEBODY
_CAME_TO_NOTHING = frozenset({"failed", "canceled"})

# What a payment's state means for its invoice. Succeeded means paid only when nothing is left to pay.
INVOICE_TRIGGER: dict[PaymentStatus, Trigger] = {
    PaymentStatus.SUCCEEDED: Trigger.PAID,
    PaymentStatus.FAILED: Trigger.FAILED,
    PaymentStatus.CANCELED: Trigger.FAILED,
    PaymentStatus.UNCOLLECTIBLE: Trigger.PAYMENT_UNCOLLECTIBLE,
    PaymentStatus.ACTION_REQUIRED: Trigger.ACTION_REQUIRED,
    PaymentStatus.AUTHORIZED: Trigger.AUTHORIZED,
}

# The payment's own step; uncollectible is the invoice's word, the payment itself failed.
_STEP: dict[PaymentStatus, PaymentTrigger] = {
    PaymentStatus.PROCESSING: PaymentTrigger.PROCESS,
    PaymentStatus.ACTION_REQUIRED: PaymentTrigger.REQUIRE_ACTION,
    PaymentStatus.AUTHORIZED: PaymentTrigger.AUTHORIZE,
    PaymentStatus.SUCCEEDED: PaymentTrigger.SUCCEED,
    PaymentStatus.FAILED: PaymentTrigger.FAIL,
    PaymentStatus.CANCELED: PaymentTrigger.CANCEL,
    PaymentStatus.UNCOLLECTIBLE: PaymentTrigger.FAIL,
}

_REFUND_STEP: dict[RefundStatus, RefundTrigger] = {
    RefundStatus.PROCESSING: RefundTrigger.PROCESS,
    RefundStatus.SUCCEEDED: RefundTrigger.SUCCEED,
    RefundStatus.FAILED: RefundTrigger.FAIL,
}


def has_open(unit: Unit, row: InvoiceRow) -> bool:
    """Whether some payment of the invoice is under way."""
    return any(payment["state"] in OPEN for payment in unit.money.payments_of(row.id))


def where_it_stands(unit: Unit, row: InvoiceRow) -> Trigger | None:
    """What a payment under way means for its invoice: that somebody has to act, or to capture it. None where nobody has to."""
    states = (payment["state"] for payment in unit.money.payments_of(row.id))
    return next((INVOICE_TRIGGER[PaymentStatus(state)] for state in states if state in WAITS_FOR_SOMEBODY), None)


def is_under_way_to(unit: Unit, row: InvoiceRow, app_id: str) -> bool:
    """Whether some payment of the invoice is being taken at that app, or is still to be noted there."""
    if any(payment["state"] in OPEN and payment["app_id"] == app_id for payment in unit.money.payments_of(row.id)):
        return True
    return any(work.app_id == app_id for work in unit.work.of_subject(row.id, Capability.RECORD_PAYMENT))


def shown_at(unit: Unit, row: InvoiceRow, app_id: str) -> Decimal:
    """What that app's books show of the payments we know: what it took or told of itself, and what was noted there, even where that
    money was taken back since. What it refused to note it does not show.
    """
    unit.links.load((each["id"], app_id) for each in unit.money.payments_of(row.id))
    refused = {each["id"] for each in notes.refused(unit, row, unit.app(app_id))}
    known = [each for each in unit.money.payments_of(row.id) if each["id"] not in refused]
    own = sum((_own(unit, each) for each in known if each["app_id"] == app_id), Decimal(0))
    noted = sum((notes.noted_at(unit, each, app_id) for each in known if each["app_id"] != app_id), Decimal(0))
    return own + noted - _refunded_there(unit, row, app_id)


def _refunded_there(unit: Unit, row: InvoiceRow, app_id: str) -> Decimal:
    """What that app gave back of what it received."""
    if not Decimal(row.values["amount_refunded"]):
        return Decimal(0)
    own = (payment["id"] for payment in unit.money.payments_of(row.id) if payment["app_id"] == app_id)
    refunds = (refund for id in own for refund in unit.money.refunds_of(id) if not is_recorded(refund))
    return sum(
        (Decimal(refund["amount"]) for refund in refunds if refund["state"] == DomainRefund.SUCCEEDED), Decimal(0)
    )


def _own(unit: Unit, payment: Row) -> Decimal:
    """What the app that took the payment or was told of it shows of it."""
    is_collected = payment["origin"] == "collected"
    return Decimal(payment["amount_received"]) if is_collected else notes.shown_of(unit, payment, payment["app_id"])


def open_payment(unit: Unit, row: InvoiceRow, app_id: str) -> Row:
    """A new payment over what is due and not about to be credited, to be collected by that app."""
    amount = row.amount_due - unit.money.open_credits(row.id)
    return unit.money.save("payment", _payment(unit, row, app_id, amount, "pending", "collected"))


def received_payment(
    unit: Unit,
    row: InvoiceRow,
    app_id: str,
    amount: Decimal,
    *,
    received_at: datetime,
    method: str | None,
    external_id: str | None,
    client_key: str | None,
    origin: str,
) -> Row:
    """Money that came another way. It counts at once."""
    payment = _payment(unit, row, app_id, amount, "succeeded", origin)
    payment |= {
        "amount_received": plain(amount),
        "method": method,
        "external_id": external_id,
        "client_key": client_key,
        "received_at": to_micros(received_at),
    }
    count_received(row, amount)
    return unit.money.save("payment", payment)


def counted_as(unit: Unit, row: InvoiceRow, payment: Row, result: PaymentResult) -> Row | None:
    """The payment that brought this money already: it succeeded at the same app under the same id. A provider tries again on a payment that
    failed, and its payer may pay that one by themselves; then two of ours learn of it, or its books tell of it first.
    """
    id = result.external_id or payment["external_id"]
    if id is None or result.status is not PaymentStatus.SUCCEEDED or payment["state"] == DomainStatus.SUCCEEDED:
        return None
    wanted = (DomainStatus.SUCCEEDED, payment["app_id"], id)
    return next(
        (
            each
            for each in unit.money.payments_of(row.id)
            if (each["state"], each["app_id"], each["external_id"]) == wanted and each["origin"] != "recorded"
        ),
        None,
    )


def end_as_counted(unit: Unit, payment: Row, counted: Row) -> bool:
    """The payment brought nothing: its money counts with another. Returns whether it was open. What is told of the id is told of that one."""
    was_open = payment["state"] in OPEN
    payment |= {
        "state": DomainStatus.FAILED.value if was_open else payment["state"],
        "external_id": None,
        "action_url": None,
        "code": "counted_already",
        "message": f"{counted['external_id']} is payment {counted['id']}, whose money counts already.",
    }
    unit.money.save("payment", payment)
    return was_open


def take_result(unit: Unit, row: InvoiceRow, payment: Row, result: PaymentResult) -> Trigger | None:
    """Take over what the provider says of a payment. Returns what it means for the invoice, None when it means nothing new.

    What the payment's own table does not allow is an older word that comes late, and changes nothing.
    """
    step = PAYMENT_TRANSITIONS[DomainStatus(payment["state"])].get(_STEP[result.status])
    if step is None:
        return None
    before = Decimal(payment["amount_received"])
    received = result.amount if step is DomainStatus.SUCCEEDED else Decimal(0)
    if payment["state"] == DomainStatus.AUTHORIZED and step is DomainStatus.SUCCEEDED:
        payment["amount"] = plain(received)  # what of it was not captured has gone back
    payment |= {
        "state": step.value,
        "amount_received": plain(received),
        "external_id": result.external_id or payment["external_id"],
        "action_url": result.action_url,
        "code": result.code,
        "message": result.message,
    }
    if step is DomainStatus.SUCCEEDED and payment["received_at"] is None:
        payment["received_at"] = unit.now_micros
    unit.money.save("payment", payment)
    count_received(row, received - before)
    return trigger_of(row, result.status)


def trigger_of(row: InvoiceRow, status: PaymentStatus) -> Trigger | None:
    """What a payment's status means for its invoice."""
    if status is PaymentStatus.SUCCEEDED and not row.is_fully_paid:
        return None
    return INVOICE_TRIGGER.get(status)


def count_received(row: InvoiceRow, amount: Decimal) -> None:
    """So much more money was received for the invoice."""
    row.values["amount_paid"] = plain(Decimal(row.values["amount_paid"]) + amount)


def is_to_be_done(unit: Unit, payment: Row, capability: Capability) -> bool:
    """Whether that operation of a payment waits or is under way."""
    return any(work.operation == capability for work in tables.read_item_work(unit.tx, payment["id"]))


def take_refund(unit: Unit, row: InvoiceRow, refund: Row, result: RefundResult) -> bool:
    """Take over what the provider says of a refund. Returns whether that changed anything: an older word that comes late does not."""
    return move_refund(unit, row, refund, _REFUND_STEP[result.status], result.message, result.external_id)


def move_refund(
    unit: Unit,
    row: InvoiceRow,
    refund: Row,
    trigger: RefundTrigger,
    message: str | None,
    external_id: str | None = None,
) -> bool:
    """Move a refund on, and count what that means for its invoice. Returns whether its table has such a move."""
    step = REFUND_TRANSITIONS[DomainRefund(refund["state"])].get(trigger)
    if step is None:
        return False
    if step is DomainRefund.SUCCEEDED:
        _count_refunded(row, Decimal(refund["amount"]))
    if refund["state"] == DomainRefund.SUCCEEDED:
        _count_refunded(row, -Decimal(refund["amount"]))
    refund |= {
        "state": step.value,
        "external_id": external_id or refund["external_id"],
        "message": message,
    }
    unit.money.save("refund", refund)
    return True


def spoken_for(refunds: Iterable[Row]) -> Decimal:
    """What these refunds gave back, or are about to."""
    return sum((Decimal(each["amount"]) for each in refunds if each["state"] not in _CAME_TO_NOTHING), Decimal(0))


def is_recorded(refund: Row) -> bool:
    """Whether it was paid back another way than through the app that received the payment, which knows nothing of it."""
    return bool(refund["origin"] == RefundOrigin.RECORDED)


def open_refund(
    unit: Unit,
    payment: Row,
    amount: Decimal,
    reason: str | None,
    client_key: str | None = None,
    origin: RefundOrigin = RefundOrigin.REQUESTED,
) -> Row:
    """A new refund of the payment."""
    refund = {
        "id": unit.context.new_id(unit.now),
        "namespace": payment["namespace"],
        "payment_id": payment["id"],
        "invoice_id": payment["invoice_id"],
        "app_id": payment["app_id"],
        "client_key": client_key,
        "state": "pending",
        "origin": origin.value,
        "amount": plain(amount),
        "currency": payment["currency"],
        "reason": reason,
        "external_id": None,
        "message": None,
        "created_at": unit.now_micros,
        "updated_at": unit.now_micros,
    }
    return unit.money.save("refund", refund)


def split_refund(unit: Unit, refund: Row, part: Decimal) -> Row:
    """Two refunds that are as much together. Returns the one over that part."""
    refund["amount"] = plain(Decimal(refund["amount"]) - part)
    unit.money.save("refund", refund)
    split = {
        "id": unit.context.new_id(unit.now),
        "amount": plain(part),
        "client_key": None,
        "created_at": unit.now_micros,
    }
    return unit.money.save("refund", refund | split)


def note_given_back(unit: Unit, row: InvoiceRow, payment: Row, refunded: Decimal | None) -> bool:
    """What the provider gave back beyond the refunds that are known is one that somebody made there. Returns whether there is such.

    More than was received is never taken for given back, whatever the provider says.
    """
    if refunded is None or payment["state"] != DomainStatus.SUCCEEDED:
        return False
    refunds = unit.money.refunds_of(payment["id"])
    elsewhere = spoken_for(filter(is_recorded, refunds))
    beyond = min(refunded, Decimal(payment["amount_received"]) - elsewhere) - (spoken_for(refunds) - elsewhere)
    if beyond <= 0:
        return False
    refund = open_refund(unit, payment, beyond, GIVEN_BACK_THERE, origin=RefundOrigin.OUTSIDE)
    return take_refund(unit, row, refund, RefundResult(RefundStatus.SUCCEEDED, beyond))


def _count_refunded(row: InvoiceRow, amount: Decimal) -> None:
    row.values["amount_refunded"] = plain(Decimal(row.values["amount_refunded"]) + amount)


def _payment(unit: Unit, row: InvoiceRow, app_id: str, amount: Decimal, state: str, origin: str) -> Row:
    return {
        "id": unit.context.new_id(unit.now),
        "namespace": row.namespace,
        "invoice_id": row.id,
        "app_id": app_id,
        "client_key": None,
        "state": state,
        "amount": plain(amount),
        "amount_received": "0",
        "amount_to_capture": None,
        "currency": row.values["currency"],
        "origin": origin,
        "method": None,
        "external_id": None,
        "action_url": None,
        "code": None,
        "message": None,
        "received_at": None,
        "created_at": unit.now_micros,
        "updated_at": unit.now_micros,
    }
