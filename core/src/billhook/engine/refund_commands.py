"""Refunds of one namespace: money that goes back, through the app that received it or another way."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from pydantic import ConfigDict

from billhook.contract.declaration import Capability
from billhook.contract.results import RefundResult, RefundStatus
from billhook.domain.base import Description, Key, Value
from billhook.domain.money import amount, plain, to_minor
from billhook.domain.parsing import argument, parse
from billhook.domain.payment import RefundOrigin
from billhook.engine import payments
from billhook.engine.context import Context
from billhook.engine.given_back import end_made_up_for, tell_books
from billhook.engine.queries import RefundView, refund_view
from billhook.engine.settle import Settler
from billhook.engine.unit import Unit
from billhook.engine.work import Lane, WorkRow
from billhook.errors import InvalidInput, KeyReused, NotAllowed, Unsupported
from billhook.store import schema
from billhook.store.transaction import Transaction

Row = dict[str, Any]


class _RefundNotes(Value):
    model_config = ConfigDict(strict=True)

    reason: Description | None
    key: Key | None


class Refunds:
    """Giving money back from payments that an app collected, and noting what was paid back another way."""

    def __init__(self, context: Context, namespace: str, settler: Settler) -> None:
        self._context = context
        self._namespace = namespace
        self._settler = settler

    def refund(
        self, payment_id: str, amount_to_refund: Decimal | str, *, reason: str | None = None, key: str | None = None
    ) -> str:
        """Have the payment's app give back so much, in major units. Returns the refund's id. The same ``key`` refunds once.

        An invoice that is paid stays paid, with nothing due; what was given back shows as its ``amount_refunded``.

        Raises InvalidInput for more than is left of the payment, and for an argument that is wrong, which it names; Unsupported where the
        app can't refund.
        """
        wanted = argument("amount_to_refund", amount, amount_to_refund)
        notes = parse(_RefundNotes, {"reason": reason, "key": key})
        return self._context.database.write(lambda tx: self._open(tx, payment_id, wanted, notes.reason, notes.key))

    def record(
        self, payment_id: str, amount_paid_back: Decimal | str, *, reason: str | None = None, key: str | None = None
    ) -> str:
        """Note that so much of a payment was paid back another way, in major units: by bank transfer, say. Returns the refund's id.

        Nobody is asked, and it counts at once. The same ``key`` counts once. Where the books show the payment, a warning tells what to enter
        there.

        Raises InvalidInput for more than is left of the payment, and for an argument that is wrong, which it names; NotAllowed for a payment
        that was not received.
        """
        wanted = argument("amount_paid_back", amount, amount_paid_back)
        notes = parse(_RefundNotes, {"reason": reason, "key": key})
        return self._context.database.write(lambda tx: self._record(tx, payment_id, wanted, notes.reason, notes.key))

    def get(self, refund_id: str) -> RefundView:
        """How the refund stands. Raises NotFound."""
        with self._context.database.read() as tx:
            return refund_view(Unit(self._context, tx).get_record("refund", refund_id, self._namespace))

    def _open(self, tx: Transaction, payment_id: str, wanted: Decimal, reason: str | None, key: str | None) -> str:
        unit = Unit(self._context, tx, lane=Lane.INTERACTIVE)
        payment = unit.get_record("payment", payment_id, self._namespace)
        existing = self._existing(tx, key)
        if existing is not None:
            return _same(existing, payment_id, wanted, key or "", RefundOrigin.REQUESTED)
        self._check(unit, payment)
        _check_left(unit, payment, wanted, "/amount_to_refund")
        row = unit.invoice(payment["invoice_id"])
        refund = payments.open_refund(unit, payment, wanted, reason, key)
        unit.record(row, "refund.requested", note=reason)
        work = WorkRow(refund["id"], Capability.REFUND, payment["app_id"], row.id, version=row.values["version"])
        self._settler.advancer.want(
            unit, unit.app(payment["app_id"]), Capability.REFUND, work, row.values["customer_id"]
        )
        unit.flush()
        return str(refund["id"])

    def _record(self, tx: Transaction, payment_id: str, wanted: Decimal, reason: str | None, key: str | None) -> str:
        unit = Unit(self._context, tx, lane=Lane.INTERACTIVE)
        payment = unit.get_record("payment", payment_id, self._namespace)
        existing = self._existing(tx, key)
        if existing is not None:
            return _same(existing, payment_id, wanted, key or "", RefundOrigin.RECORDED)
        if payment["state"] != "succeeded":
            raise NotAllowed(
                f"Payment {payment_id} is {payment['state']}; only money that was received can be paid back.",
                "refund_not_available",
            )
        _check_left(unit, payment, wanted, "/amount_paid_back")
        row = unit.invoice(payment["invoice_id"])
        refund = payments.open_refund(unit, payment, wanted, reason, key, RefundOrigin.RECORDED)
        payments.take_refund(unit, row, refund, RefundResult(RefundStatus.SUCCEEDED, wanted))
        unit.record(row, "refund.recorded", note=reason)
        end_made_up_for(unit, row, payment)
        tell_books(unit, row, payment)
        unit.flush()
        return str(refund["id"])

    def _check(self, unit: Unit, payment: Row) -> None:
        app, id = unit.app(payment["app_id"]), payment["id"]
        if not app.handle.declaration.can(Capability.REFUND):
            raise Unsupported(
                f"App {app.name} can't refund: {app.handle.declaration.why_not(Capability.REFUND)}. Pay it back another way, and say so: "
                f"billhook invoices refund {id} AMOUNT --paid-elsewhere"
            )
        if payment["origin"] != "collected":
            raise NotAllowed(
                f"Payment {id} did not come through {app.name}, which can give back only what it collected. Pay it back another way, and say "
                f"so: billhook invoices refund {id} AMOUNT --paid-elsewhere",
                "refund_not_available",
            )
        if payment["state"] != "succeeded" or payment["external_id"] is None:
            raise NotAllowed(
                f"Payment {id} is {payment['state']}; only money that an app received can be given back.",
                "refund_not_available",
            )

    def _existing(self, tx: Transaction, key: str | None) -> Any:
        refund = schema.refund
        if key is None:
            return None
        return tx.first(sa.select(refund).where(refund.c.namespace == self._namespace, refund.c.client_key == key))


def _check_left(unit: Unit, payment: Row, wanted: Decimal, path: str) -> None:
    to_minor(wanted, payment["currency"])
    left = Decimal(payment["amount_received"]) - payments.spoken_for(payments.refunds_of(unit, payment))
    if not 0 < wanted <= left:
        raise InvalidInput(
            "refund_too_large", f"{plain(wanted)} can't be refunded: {plain(left)} of the payment is left.", path
        )


def _same(existing: Any, payment_id: str, wanted: Decimal, key: str, origin: RefundOrigin) -> str:
    if (existing.payment_id, existing.origin) != (payment_id, origin) or Decimal(existing.amount) != wanted:
        raise KeyReused(key, f"refund {existing.id}")
    return str(existing.id)
