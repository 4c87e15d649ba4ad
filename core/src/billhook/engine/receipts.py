"""The payments that an app's books show of an invoice, one by one: each is one of ours, or money that came there and counts under its id."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal

from billhook.contract.results import Receipt
from billhook.domain.payment import PaymentStatus
from billhook.engine import given_back, notes, payments
from billhook.engine.invoice_row import InvoiceRow
from billhook.engine.money import Money
from billhook.engine.unit import Row, Unit

_MAY_HOLD_IT = payments.OPEN | {PaymentStatus.SUCCEEDED.value}


def take_known(
    unit: Unit, row: InvoiceRow, app_id: str, receipts: Iterable[Receipt], operation_id: str | None
) -> list[Receipt]:
    """Take over what went back of payments that are known, and what the books show of those that were noted in them. Returns the receipts of
    which nothing is known here."""
    unknown = []
    for receipt in receipts:
        noted = notes.of_name(unit, row, app_id, receipt.external_id)
        if noted is not None:
            notes.take_shown(unit, app_id, noted, receipt.amount)
            continue
        payment = _known(unit, row, app_id, receipt)
        if payment is None:
            unknown.append(receipt)
        else:
            given_back.take_over(unit, row, payment, receipt.refunded, operation_id)
    return unknown


def receive(
    money: Money,
    unit: Unit,
    row: InvoiceRow,
    app_id: str,
    receipts: Iterable[Receipt],
    more: Decimal,
    operation_id: str | None,
) -> bool:
    """Count the money of these receipts, as far as the books show ``more`` than was known, and what they show beyond. Returns whether there
    was any. One that went back whole before it was seen is received all the same: how things end must not depend on when they are looked at.
    """
    explained = list(_explaining(receipts, more))
    for receipt in explained:
        payment = money.receive(
            unit, row, app_id, receipt.amount, unit.now, origin="outside", external_id=receipt.external_id
        )
        given_back.take_over(unit, row, payment, receipt.refunded, operation_id)
    rest = more - sum(map(_kept, explained), Decimal(0))
    if rest:
        money.receive(unit, row, app_id, rest, unit.now, origin="outside")
    return bool(explained or rest)


def _known(unit: Unit, row: InvoiceRow, app_id: str, receipt: Receipt) -> Row | None:
    own = [each for each in unit.money.payments_of(row.id) if each["app_id"] == app_id]
    named = (each for each in own if each["external_id"] == receipt.external_id and each["state"] in _MAY_HOLD_IT)
    return next(named, None) or _named_now(unit, own, receipt)


def _named_now(unit: Unit, own: Iterable[Row], receipt: Receipt) -> Row | None:
    """Money that came there and counts already, of which its books tell the id only now."""
    nameless = ("outside", PaymentStatus.SUCCEEDED, None, receipt.amount)
    for payment in own:
        received = Decimal(payment["amount_received"])
        if (payment["origin"], payment["state"], payment["external_id"], received) == nameless:
            payment["external_id"] = receipt.external_id
            unit.money.save("payment", payment)
            return payment
    return None


def _explaining(receipts: Iterable[Receipt], more: Decimal) -> Iterator[Receipt]:
    """The receipts that brought what the books show beyond what was known: no more is counted than that."""
    rest = more
    for receipt in receipts:
        if _kept(receipt) <= rest:
            rest -= _kept(receipt)
            yield receipt


def _kept(receipt: Receipt) -> Decimal:
    return receipt.amount - receipt.refunded
