"""Money that came: it counts, closes the invoice when nothing is left, and is noted where the books are kept."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from billhook.contract.declaration import Capability
from billhook.domain.lifecycle import Decision, Trigger, decide
from billhook.engine import notes, overpaid, payments, unsent_payments
from billhook.engine.advance import Advancer
from billhook.engine.invoice_row import InvoiceRow
from billhook.engine.unit import Unit
from billhook.engine.work import WorkRow

Row = dict[str, Any]


def can_fire(row: InvoiceRow, trigger: Trigger, now: datetime) -> bool:
    """Whether the table has a way for that trigger now."""
    return isinstance(decide(row.facts, trigger, now), Decision)


class Money:
    """What received money does to its invoice."""

    def __init__(self, advancer: Advancer) -> None:
        self.advancer = advancer

    def after(self, unit: Unit, row: InvoiceRow, trigger: Trigger | None, cause: str, operation_id: str | None) -> None:
        """Move the invoice on after its money changed; a trigger that its state does not take changes nothing else."""
        if trigger is None or not self.advancer.fire_if_possible(unit, row, trigger, cause, operation_id):
            self.advancer.go_on(unit, row, cause, operation_id=operation_id)

    def owed_otherwise(self, unit: Unit, row: InvoiceRow, operation_id: str | None = None) -> None:
        """What went back to the customer, or came back, was recorded. Of an invoice that is not paid it changes what is owed: one that owes
        nothing any more is paid, and a collection that was not sent is over what is due now.
        """
        self.advancer.go_on(unit, row, "owed_otherwise", operation_id=operation_id)
        unsent_payments.refit(self.advancer, unit, row)
        overpaid.tell_what_is_left(unit, row)

    def receive(
        self,
        unit: Unit,
        row: InvoiceRow,
        app_id: str,
        amount: Decimal,
        received_at: datetime,
        *,
        origin: str = "recorded",
        method: str | None = None,
        external_id: str | None = None,
        client_key: str | None = None,
    ) -> Row:
        """Money that came another way: it counts, closes the invoice when nothing is left, and is noted at the invoicing app."""
        payment = payments.received_payment(
            unit,
            row,
            app_id,
            amount,
            received_at=received_at,
            method=method,
            external_id=external_id,
            client_key=client_key,
            origin=origin,
        )
        trigger = Trigger.PAID if row.is_fully_paid else None
        self.after(unit, row, trigger, f"payment.{origin}", None)
        self.mirror(unit, row, payment)
        unsent_payments.refit(self.advancer, unit, row)
        if origin != "recorded":
            overpaid.tell(unit, row)
        return payment

    def mirror(self, unit: Unit, row: InvoiceRow, payment: Row) -> None:
        """Have the invoicing app note a payment that it neither took nor told of itself."""
        app = unit.app(row.values["invoicing_app_id"])
        if payment["app_id"] == app.id and payment["origin"] != "recorded":
            return
        if app.deleted or not app.handle.declaration.can(Capability.RECORD_PAYMENT):
            return
        if notes.name_at(unit, payment, app.id) is not None:
            # It came back after it was taken back, and still stands there.
            unit.issues.report(row.id, notes.taken_back(payment), [])
            return
        work = WorkRow(payment["id"], Capability.RECORD_PAYMENT, app.id, row.id, version=row.values["version"])
        self.advancer.want_after_issue(unit, app, Capability.RECORD_PAYMENT, work, row)
