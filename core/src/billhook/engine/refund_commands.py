"""Refunds of one namespace: money that goes back, through the app that received it or another way."""

from __future__ import annotations

from decimal import Decimal
from functools import partial
from typing import Any, NamedTuple

import sqlalchemy as sa
from pydantic import ConfigDict

from billhook.contract.declaration import Capability
from billhook.contract.results import RefundResult, RefundStatus
from billhook.domain.base import Description, Key, Reason, Value
from billhook.domain.money import amount, plain, to_minor
from billhook.domain.parsing import argument, parse
from billhook.domain.payment import RefundOrigin, RefundTrigger
from billhook.domain.states import State
from billhook.engine import payments
from billhook.engine.arguments import checked
from billhook.engine.asking_what_went_back import look
from billhook.engine.context import Context
from billhook.engine.given_back import end_made_up_for, tell_of_refunds, tell_what_is_not_made_up_for
from billhook.engine.money_changes import is_told_by_invoice
from billhook.engine.queries import RefundView, refund_view, require_invoice
from billhook.engine.settle import Settler
from billhook.engine.unit import Unit
from billhook.engine.work import Lane, WorkRow
from billhook.errors import Conflict, InvalidInput, KeyReused, NotAllowed, Unsupported
from billhook.store import schema
from billhook.store.transaction import Transaction

Row = dict[str, Any]

_KEEPS_NOTHING = frozenset(
    {State.VOIDED, State.DELETED, State.DELETE_IN_PROGRESS, State.DELETE_SYNCING, State.DELETE_FAILED}
)


class _RefundNotes(Value):
    model_config = ConfigDict(strict=True)

    reason: Description | None
    key: Key | None


class _TakenBack(Value):
    model_config = ConfigDict(strict=True)

    reason: Reason


class _Wanted(NamedTuple):
    payment_id: str
    amount: Decimal
    notes: _RefundNotes
    origin: RefundOrigin


@checked
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
        exact = argument("amount_to_refund", amount, amount_to_refund)
        notes = parse(_RefundNotes, {"reason": reason, "key": key})
        wanted = _Wanted(payment_id, exact, notes, RefundOrigin.REQUESTED)
        return self._context.database.write(partial(self._give_back, wanted))

    def record(
        self, payment_id: str, amount_paid_back: Decimal | str, *, reason: str | None = None, key: str | None = None
    ) -> str:
        """Note that so much of a payment was paid back another way, in major units: by bank transfer, say. Returns the refund's id.

        Nobody is asked, and it counts at once. The same ``key`` counts once. Where the books show the payment, a warning tells what to enter
        there.

        Raises InvalidInput for more than is left of the payment, and for an argument that is wrong, which it names; NotAllowed for a payment
        that was not received.
        """
        exact = argument("amount_paid_back", amount, amount_paid_back)
        notes = parse(_RefundNotes, {"reason": reason, "key": key})
        wanted = _Wanted(payment_id, exact, notes, RefundOrigin.RECORDED)
        return self._context.database.write(partial(self._give_back, wanted))

    def take_back(self, refund_id: str, *, reason: str) -> RefundView:
        """What was noted as paid back another way was a mistake: it counts no more. Doing it twice is doing it once. No money moves.

        The refund is ``canceled`` with the reason as its message. A refund that failed, and that it made up for, is told of again. Whoever
        entered it in the books undoes it there.

        Raises NotFound, InvalidInput without a reason, NotAllowed for a refund that an app made, and for one of an invoice that is void or
        deleted: such an invoice keeps no money.
        """
        stated = parse(_TakenBack, {"reason": reason})
        return self._context.database.write(partial(self._take_back, refund_id, stated.reason))

    def get(self, refund_id: str) -> RefundView:
        """How the refund stands. Raises NotFound."""
        with self._context.database.read() as tx:
            return refund_view(Unit(self._context, tx).money.get("refund", refund_id, self._namespace))

    def list(self, invoice_id: str) -> tuple[RefundView, ...]:
        """Every refund of an invoice's payments, the oldest first, also those that failed. Raises NotFound."""
        refund = schema.refund
        with self._context.database.read() as tx:
            require_invoice(tx, self._namespace, invoice_id)
            rows = tx.all(sa.select(refund).where(refund.c.invoice_id == invoice_id).order_by(refund.c.id))
        return tuple(refund_view(dict(row._mapping)) for row in rows)

    def find(self, key: str) -> RefundView | None:
        """The refund that was asked for or noted under that key."""
        with self._context.database.read() as tx:
            found = self._existing(tx, key)
            return None if found is None else refund_view(dict(found._mapping))

    def _give_back(self, wanted: _Wanted, tx: Transaction) -> str:
        unit = Unit(self._context, tx, lane=Lane.INTERACTIVE)
        payment = unit.money.get("payment", wanted.payment_id, self._namespace)
        # Read before the key is looked for, so that whoever was first with the key is not taken for somebody else.
        refunds = unit.money.refunds_of(payment["id"])
        existing = self._existing(tx, wanted.notes.key)
        if existing is not None:
            return _same(existing, wanted)
        left = Decimal(payment["amount_received"]) - payments.spoken_for(refunds)
        way = self._record if wanted.origin is RefundOrigin.RECORDED else self._ask
        refund = way(unit, payment, left, wanted)
        unit.flush()
        return str(refund["id"])

    def _ask(self, unit: Unit, payment: Row, left: Decimal, wanted: _Wanted) -> Row:
        self._check(unit, payment)
        refund = _opened(unit, payment, left, wanted, "/amount_to_refund")
        row = unit.invoice(payment["invoice_id"])
        unit.record(row, "refund.requested", note=wanted.notes.reason)
        work = WorkRow(refund["id"], Capability.REFUND, payment["app_id"], row.id, version=row.values["version"])
        self._settler.advancer.want(
            unit, unit.app(payment["app_id"]), Capability.REFUND, work, row.values["customer_id"]
        )
        return refund

    def _record(self, unit: Unit, payment: Row, left: Decimal, wanted: _Wanted) -> Row:
        if payment["state"] != "succeeded":
            raise NotAllowed(
                f"Payment {payment['id']} is {payment['state']}; only money that was received can be paid back.",
                "refund_not_available",
            )
        refund = _opened(unit, payment, left, wanted, "/amount_paid_back")
        row = unit.invoice(payment["invoice_id"])
        payments.take_refund(unit, row, refund, RefundResult(RefundStatus.SUCCEEDED, wanted.amount))
        unit.record(row, "refund.recorded", note=wanted.notes.reason)
        end_made_up_for(unit, row, payment)
        tell_of_refunds(unit, row, payment)
        self._settler.money.owed_otherwise(unit, row)
        return refund

    def _take_back(self, refund_id: str, reason: str, tx: Transaction) -> RefundView:
        unit = Unit(self._context, tx, lane=Lane.INTERACTIVE)
        refund = unit.money.get("refund", refund_id, self._namespace)
        if not payments.is_recorded(refund):
            app = unit.app(refund["app_id"]).name
            raise NotAllowed(
                f"Refund {refund_id} was made by {app}, so it is no mistake to be taken back here: it is {refund['state']} there.",
                "refund_not_recorded",
            )
        row = unit.invoice(refund["invoice_id"])
        if refund["state"] != "succeeded":
            return refund_view(refund)
        if row.state in _KEEPS_NOTHING:
            raise NotAllowed(
                f"Invoice {row.id} is {row.state.value}, and keeps no money: what came for it was paid back. Bill it anew, and note there "
                "what the customer paid.",
                "refund_needed",
            )
        payments.move_refund(unit, row, refund, RefundTrigger.TAKE_BACK, reason)
        told = (
            f"{plain(Decimal(refund['amount']))} {refund['currency']} of refund {refund_id} no longer count: {reason}"
        )
        unit.record(row, "refund.taken_back", note=told)
        payment = unit.money.get("payment", refund["payment_id"])
        tell_what_is_not_made_up_for(unit, row, payment)
        tell_of_refunds(unit, row, payment)
        self._settler.money.owed_otherwise(unit, row)
        look(unit, payment)
        unit.flush()
        return refund_view(refund)

    def _check(self, unit: Unit, payment: Row) -> None:
        app, id = unit.app(payment["app_id"]), payment["id"]
        if app.deleted:
            raise Conflict(
                f"App {app.name} was uninstalled, and gives nothing back any more. Pay it back another way, and say so: "
                f"billhook invoices refund {id} AMOUNT --paid-elsewhere",
                "app_deleted",
            )
        if not app.handle.declaration.can(Capability.REFUND):
            raise Unsupported(
                f"App {app.name} can't refund: {app.handle.declaration.why_not(Capability.REFUND)}. Pay it back another way, and say so: "
                f"billhook invoices refund {id} AMOUNT --paid-elsewhere"
            )
        if payment["origin"] == "recorded" or _is_nameless(payment):
            raise NotAllowed(
                f"Payment {id} did not come through {app.name} as far as is known here, and it can give back only what did. Pay it back another "
                f"way, and say so: billhook invoices refund {id} AMOUNT --paid-elsewhere",
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


def _is_nameless(payment: Row) -> bool:
    """Whether the money came to the app past us, and the app did not tell by which id."""
    return is_told_by_invoice(payment) and payment["external_id"] is None


def _opened(unit: Unit, payment: Row, left: Decimal, wanted: _Wanted, path: str) -> Row:
    """A new refund. Raises InvalidInput for more than is left of the payment."""
    to_minor(wanted.amount, payment["currency"])
    if not 0 < wanted.amount <= left:
        raise InvalidInput(
            "refund_too_large", f"{plain(wanted.amount)} can't be refunded: {plain(left)} of the payment is left.", path
        )
    return payments.open_refund(unit, payment, wanted.amount, wanted.notes.reason, wanted.notes.key, wanted.origin)


def _same(existing: Any, wanted: _Wanted) -> str:
    asked_for = (wanted.payment_id, wanted.origin, wanted.amount)
    if (existing.payment_id, existing.origin, Decimal(existing.amount)) != asked_for:
        raise KeyReused(existing.client_key, f"refund {existing.id}")
    return str(existing.id)
