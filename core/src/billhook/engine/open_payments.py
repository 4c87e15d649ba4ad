"""Payments that are authorized or still open: taking what was only authorized, and having come to nothing what is not wanted any more."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from billhook.contract.declaration import Capability
from billhook.contract.operations import OPERATIONS
from billhook.domain.lifecycle import Trigger
from billhook.domain.money import plain, to_minor
from billhook.engine import payments, rests
from billhook.engine.invoice_row import InvoiceRow
from billhook.engine.unit import Unit
from billhook.engine.unsent_payments import is_unsent
from billhook.engine.work import WorkRow
from billhook.errors import InvalidInput, NotAllowed, Unsupported

if TYPE_CHECKING:
    from billhook.engine.advance import Advancer

Row = dict[str, Any]

_ATTEMPTING = (
    Capability.COLLECT_PAYMENT,
    Capability.CHECK_PAYMENT,
    Capability.CAPTURE_PAYMENT,
    Capability.CANCEL_PAYMENT,
)


def capture(advancer: Advancer, unit: Unit, row: InvoiceRow, amount: Decimal | None) -> None:
    """Have the app take an authorized payment, or that much of it. Raises NotAllowed, Unsupported or InvalidInput."""
    payment = _authorized(unit, row)
    wanted = Decimal(payment["amount"]) if amount is None else amount
    to_minor(wanted, payment["currency"])
    if not 0 < wanted <= Decimal(payment["amount"]):
        raise InvalidInput(
            "capture_too_large",
            f"{plain(wanted)} can't be captured: {payment['amount']} {payment['currency']} are authorized.",
            "/amount_to_capture",
        )
    payment["amount_to_capture"] = plain(wanted)
    unit.money.save("payment", payment)
    unit.record(row, "capture_payment.requested", note=f"{plain(wanted)} {payment['currency']} are to be captured.")
    _ask(advancer, unit, row, payment, Capability.CAPTURE_PAYMENT)


def cancel(advancer: Advancer, unit: Unit, row: InvoiceRow) -> None:
    """Have every payment under way come to nothing. Raises NotAllowed where there is none, Unsupported where an app can't."""
    under_way = _open(unit, row)
    if not under_way:
        raise NotAllowed(
            f"No payment of invoice {row.id} is under way; there is nothing to cancel. One that was noted by mistake is taken back with "
            f"billhook invoices take-back {row.id} PAYMENT --reason WHY",
            "payment_not_open",
        )
    for payment in under_way:
        if is_unsent(payment):
            _drop(unit, payment)
        else:
            _ask(advancer, unit, row, payment, Capability.CANCEL_PAYMENT)
    unit.record(row, "cancel_payment.requested")
    if not payments.has_open(unit, row):
        advancer.fire_if_possible(unit, row, Trigger.FAILED, "cancel_payment.done", None)


def make_way(advancer: Advancer, unit: Unit, row: InvoiceRow, asked: Sequence[str]) -> list[str]:
    """Have the payments under way come to nothing, because the invoice is to be void. Returns those that have to be waited for.

    Those in ``asked`` were asked for before. Raises NotAllowed where one can't be canceled: its money may still come.
    """
    waiting = []
    for payment in _open(unit, row):
        if is_unsent(payment):
            _drop(unit, payment)
            continue
        if not _can(unit, payment, Capability.CANCEL_PAYMENT) or not _may_be_asked(unit, payment, asked):
            raise NotAllowed(
                f"Payment {payment['id']} of invoice {row.id} is {payment['state']} at {_named(unit, payment)}. "
                "Wait for its end or end it there, then try again.",
                "payment_under_way",
            )
        if payment["id"] not in asked:
            _ask(advancer, unit, row, payment, Capability.CANCEL_PAYMENT)
        waiting.append(payment["id"])
    return waiting


def let_go(advancer: Advancer, unit: Unit, row: InvoiceRow) -> None:
    """Nothing is owed any more: a payment under way is canceled as far as its app can, so that nobody pays twice."""
    for payment in _open(unit, row):
        if is_unsent(payment):
            if not unit.work.is_claimed(_work(payment, Capability.COLLECT_PAYMENT, row)):
                _drop(unit, payment)
        elif _can(unit, payment, Capability.CANCEL_PAYMENT):
            _ask(advancer, unit, row, payment, Capability.CANCEL_PAYMENT)


def end_findings(unit: Unit, row: InvoiceRow) -> None:
    """Nothing is to be collected any more, so it does not matter what stood in the way of an attempt."""
    rests.end(unit, row)
    attempts = unit.money.payments_of(row.id)
    if all(payment["state"] == "succeeded" for payment in attempts) and len(attempts) < 2:
        return
    apps = filter(None, map(unit.app_if_loaded, sorted({payment["app_id"] for payment in attempts})))
    for app, capability in itertools.product(apps, _ATTEMPTING):
        unit.issues.report(row.id, OPERATIONS[capability].component(app.type), [])


def _named(unit: Unit, payment: Row) -> str:
    """The payment's app, with the reason where it can't cancel it."""
    app = unit.app(payment["app_id"])
    if _can(unit, payment, Capability.CANCEL_PAYMENT):
        return app.name
    return f"{app.name} ({app.handle.declaration.why_not(Capability.CANCEL_PAYMENT)})"


def _open(unit: Unit, row: InvoiceRow) -> list[Row]:
    return [payment for payment in unit.money.payments_of(row.id) if payment["state"] in payments.OPEN]


def _authorized(unit: Unit, row: InvoiceRow) -> Row:
    found = [payment for payment in unit.money.payments_of(row.id) if payment["state"] == "authorized"]
    if not found:
        raise NotAllowed(
            f"No payment of invoice {row.id} is authorized; there is nothing to capture.", "payment_not_authorized"
        )
    return found[0]


def _drop(unit: Unit, payment: Row) -> None:
    unit.work.drop_if_free(payment["id"], Capability.COLLECT_PAYMENT, payment["app_id"])
    payment["state"] = "canceled"
    unit.money.save("payment", payment)


def _can(unit: Unit, payment: Row, capability: Capability) -> bool:
    return unit.app(payment["app_id"]).handle.declaration.can(capability)


def _may_be_asked(unit: Unit, payment: Row, asked: Sequence[str]) -> bool:
    """Whether the app did not answer yet."""
    if payment["id"] not in asked:
        return True
    return payments.is_to_be_done(unit, payment, Capability.CANCEL_PAYMENT)


def _ask(advancer: Advancer, unit: Unit, row: InvoiceRow, payment: Row, capability: Capability) -> None:
    app = unit.app(payment["app_id"])
    declaration = app.handle.declaration
    if not declaration.can(capability):
        raise Unsupported(f"App {app.name} can't {capability}: {declaration.why_not(capability)}. Do it there.")
    advancer.want(unit, app, capability, _work(payment, capability, row), row.values["customer_id"])


def _work(payment: Row, capability: Capability, row: InvoiceRow) -> WorkRow:
    return WorkRow(payment["id"], capability, payment["app_id"], row.id, version=row.values["version"])
