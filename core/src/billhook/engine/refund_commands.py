"""Refunds of one namespace: money that goes back, through the app that received it or another way."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from pydantic import ConfigDict

from billhook.contract.declaration import Capability
from billhook.domain.base import Description, Key, Value
from billhook.domain.money import amount, plain, to_minor
from billhook.domain.parsing import argument, parse
from billhook.engine import payments
from billhook.engine.context import Context
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
    """Giving money back from payments that an app collected."""

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

    def get(self, refund_id: str) -> RefundView:
        """How the refund stands. Raises NotFound."""
        with self._context.database.read() as tx:
            return refund_view(Unit(self._context, tx).get_record("refund", refund_id, self._namespace))

    def _open(self, tx: Transaction, payment_id: str, wanted: Decimal, reason: str | None, key: str | None) -> str:
        unit = Unit(self._context, tx, lane=Lane.INTERACTIVE)
        payment = unit.get_record("payment", payment_id, self._namespace)
        existing = self._existing(tx, key)
        if existing is not None:
            return self._same(existing, payment_id, wanted, key or "")
        self._check(unit, payment, wanted)
        row = unit.invoice(payment["invoice_id"])
        refund = payments.open_refund(unit, payment, wanted, reason, key)
        unit.record(row, "refund.requested", note=reason)
        work = WorkRow(refund["id"], Capability.REFUND, payment["app_id"], row.id, version=row.values["version"])
        self._settler.advancer.want(
            unit, unit.app(payment["app_id"]), Capability.REFUND, work, row.values["customer_id"]
        )
        unit.flush()
        return str(refund["id"])

    def _check(self, unit: Unit, payment: Row, wanted: Decimal) -> None:
        app = unit.app(payment["app_id"])
        if not app.handle.declaration.can(Capability.REFUND):
            raise Unsupported(
                f"App {app.name} can't refund: {app.handle.declaration.why_not(Capability.REFUND)}. Pay it back another way."
            )
        if payment["state"] != "succeeded" or payment["external_id"] is None or payment["origin"] != "collected":
            raise NotAllowed(
                f"Payment {payment['id']} is {payment['state']}; only money that an app received can be given back.",
                "refund_not_available",
            )
        to_minor(wanted, payment["currency"])
        left = Decimal(payment["amount_received"]) - payments.spoken_for(payments.refunds_of(unit, payment))
        if not 0 < wanted <= left:
            raise InvalidInput(
                "refund_too_large",
                f"{plain(wanted)} can't be refunded: {plain(left)} of the payment is left.",
                "/amount_to_refund",
            )

    def _existing(self, tx: Transaction, key: str | None) -> Any:
        refund = schema.refund
        if key is None:
            return None
        return tx.first(sa.select(refund).where(refund.c.namespace == self._namespace, refund.c.client_key == key))

    def _same(self, existing: Any, payment_id: str, wanted: Decimal, key: str) -> str:
        if existing.payment_id != payment_id or Decimal(existing.amount) != wanted:
            raise KeyReused(key, f"refund {existing.id}")
        return str(existing.id)
