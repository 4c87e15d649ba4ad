"""Refunds that others made at the provider and that came back: its app shows less given back of the payment than is known here.

A look may be older than what is known, so a second one, some time after it, has to say the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from billhook.domain.money import plain
from billhook.domain.payment import RefundOrigin, RefundStatus, RefundTrigger
from billhook.engine import agreeing_looks, notes, payments
from billhook.engine.asking_what_went_back import look, look_at_refund
from billhook.engine.failed_refunds import bounced, told_of
from billhook.engine.invoice_row import InvoiceRow
from billhook.engine.unit import Row, Unit

_SHOWN = "shown_given_back"


def note(unit: Unit, row: InvoiceRow, payment: Row, refunded: Decimal | None) -> bool:
    """Count no more what others gave back and the app shows no longer, and say that the customer does not have it. Returns whether there is
    such; nothing changes before it is sure."""
    if refunded is None or row.values["amount_refunded"] == "0":
        return False
    made = [each for each in unit.money.refunds_of(payment["id"]) if each["state"] == RefundStatus.SUCCEEDED]
    less = payments.spoken_for(each for each in made if not payments.is_recorded(each)) - refunded
    by_others = [each for each in made if each["origin"] == RefundOrigin.OUTSIDE]
    if less <= 0 or not by_others:
        agreeing_looks.forget(unit, payment["id"], payment["app_id"], _SHOWN)
        return False
    if not _is_sure(unit, payment, refunded):
        for refund in made:
            if refund["origin"] == RefundOrigin.REQUESTED:
                look_at_refund(unit, refund)  # it may be one of these, and its own look says so
        return False
    agreeing_looks.forget(unit, payment["id"], payment["app_id"], _SHOWN)
    for refund in list(_making_up(unit, by_others, less)):
        payments.move_refund(unit, row, refund, RefundTrigger.FAIL, None)
        unit.issues.report(row.id, told_of(refund), [bounced(unit.app(payment["app_id"]).name, refund)])
    return True


def _is_sure(unit: Unit, payment: Row, refunded: Decimal) -> bool:
    """Whether a look long enough ago said the same. After the first one another is made."""
    unit.links.of(payment["id"], payment["app_id"])["kind"] = "payment"
    sure_at = agreeing_looks.sure_at(unit, payment["id"], payment["app_id"], _SHOWN, plain(refunded))
    if unit.now >= sure_at:
        return True
    look(unit, payment, sure_at)
    return False


def _making_up(unit: Unit, by_others: list[Row], less: Decimal) -> Iterator[Row]:
    """The refunds that are so much together, else the latest ones. What was noted as one may have been several there, of which some stand."""
    rest = less
    latest_first = sorted(by_others, key=lambda each: str(each["id"]), reverse=True)
    for refund in notes.making_up(latest_first, less) or latest_first:
        if not rest:
            return
        part = min(rest, Decimal(refund["amount"]))
        rest -= part
        yield refund if part == Decimal(refund["amount"]) else payments.split_refund(unit, refund, part)
