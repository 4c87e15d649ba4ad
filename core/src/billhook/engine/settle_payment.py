"""What outcomes mean for payments, and for the books that note a payment which came another way."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from billhook.contract.declaration import Capability
from billhook.contract.operations import OPERATIONS
from billhook.contract.outcomes import Pending
from billhook.contract.results import PaymentResult
from billhook.domain.issue import Severity, ValidationIssue
from billhook.domain.lifecycle import State, Trigger
from billhook.engine import (
    after_refusing,
    given_back,
    looking_again,
    notes,
    open_payments,
    overpaid,
    payments,
    rests,
    unsent_payments,
)
from billhook.engine.invoice_row import InvoiceRow
from billhook.engine.moments import from_micros, to_micros
from billhook.engine.money import Money
from billhook.engine.settled import GAVE_UP, Settled
from billhook.engine.unit import Row, Unit
from billhook.engine.work import READY, WorkRow

REFUSED_LOOK_AGAIN = timedelta(hours=1)
FIRST_LOOK_AFTER = timedelta(hours=1)
"""How long after a payment began to wait for its payer, or for somebody to capture it, it is looked at without being told."""
_CHANGES_WHAT_STANDS = frozenset({Capability.CAPTURE_PAYMENT, Capability.CANCEL_PAYMENT})
_LEAVES_THE_PAYMENT = _CHANGES_WHAT_STANDS | {Capability.CHECK_PAYMENT, Capability.RECORD_PAYMENT}
"""Refusals that say nothing of the money: of a look, of a note in the books, and of what stands there and stays as it is."""


class PaymentOutcomes:
    """Outcomes of collecting, checking and recording payments."""

    def __init__(self, money: Money) -> None:
        self._money = money

    def done(self, unit: Unit, settled: Settled, result: PaymentResult) -> None:
        """The provider says how a payment stands, or its books show one."""
        if settled.capability is Capability.RECORD_PAYMENT:
            self._recorded(unit, settled, result)
            return
        row = unit.invoice(settled.work.subject_id)
        payment = unit.money.get("payment", settled.work.item_id)
        counted = payments.counted_as(unit, row, payment, result)
        if counted is not None:
            self._counted_already(unit, settled, row, payment, counted)
            return
        was_received = payment["state"] == "succeeded"
        looking_again.crossed_by(unit, row, settled.app)
        trigger = payments.take_result(unit, row, payment, result)
        self._end_findings(unit, settled, row, payment)
        if payment["state"] == "succeeded" and rests.is_left(unit, row):
            trigger = Trigger.FAILED
            rests.tell(unit, row, payment)
        self._money.after(unit, row, trigger, f"{settled.capability}.{result.status}", settled.work.operation_id)
        if payment["state"] == "succeeded" and not was_received:
            self._money.mirror(unit, row, payment)
            overpaid.tell(unit, row)
        if payment["state"] != "succeeded" and was_received:
            notes.tell_taken_back(unit, row, payment)
        if given_back.take_over(unit, row, payment, result.refunded, settled.work.operation_id):
            self._money.owed_otherwise(unit, row, settled.work.operation_id)
        self._let_go(unit, settled, row)
        self._look_seldom(unit, settled, payment)
        looking_again.if_it_is_sure(self._money.advancer, unit, row)

    def _counted_already(self, unit: Unit, settled: Settled, row: InvoiceRow, payment: Row, counted: Row) -> None:
        was_open = payments.end_as_counted(unit, payment, counted)
        self._end_findings(unit, settled, row, payment)
        trigger = Trigger.FAILED if was_open and not row.is_fully_paid else None
        self._money.after(unit, row, trigger, f"{settled.capability}.failed", settled.work.operation_id)
        looking_again.if_it_is_sure(self._money.advancer, unit, row)

    def _end_findings(self, unit: Unit, settled: Settled, row: InvoiceRow, payment: Row) -> None:
        """What was found wrong with an operation ends when it is done; what kept a payment from being canceled, with the payment."""
        unit.issues.report(row.id, settled.component, [])
        if payment["state"] not in payments.OPEN:
            unit.issues.report(row.id, OPERATIONS[Capability.CANCEL_PAYMENT].component(settled.app.type), [])

    def _look_seldom(self, unit: Unit, settled: Settled, payment: Row) -> None:
        """A webhook says when the payer has acted. What none told is found by a look, each after twice the time, until patience ends."""
        waited = unit.now - from_micros(payment["created_at"])
        if payment["state"] not in payments.WAITS_FOR_SOMEBODY or waited >= unit.context.policy.longest_wait:
            return
        look = _look_at(settled, unit.now + max(waited, FIRST_LOOK_AFTER))
        was_look = settled.capability is Capability.CHECK_PAYMENT
        if look and (was_look or not payments.is_to_be_done(unit, payment, Capability.CHECK_PAYMENT)):
            unit.work.want(look)

    def _let_go(self, unit: Unit, settled: Settled, row: InvoiceRow) -> None:
        # It was being sent when the invoice was paid another way.
        if settled.capability is Capability.COLLECT_PAYMENT and row.state is State.PAID:
            open_payments.let_go(self._money.advancer, unit, row)

    def _recorded(self, unit: Unit, settled: Settled, result: PaymentResult) -> None:
        row = unit.invoice(settled.work.subject_id)
        payment = unit.money.get("payment", settled.work.item_id)
        noted = Decimal(payment["amount"]) - result.on_account
        notes.keep(unit, settled.app, payment, result.external_id, noted, result.on_account)
        looking_again.crossed_by(unit, row, settled.app)
        unit.issues.report(row.id, notes.component(settled.app, payment), [])
        unit.record(row, "record_payment.done", operation_id=settled.work.operation_id)
        if payment["state"] != "succeeded":
            notes.tell_taken_back(unit, row, payment)
        if row.values["amount_refunded"] != "0":
            given_back.tell_of_refunds(unit, row, payment)
        unsent_payments.refit(self._money.advancer, unit, row)
        looking_again.if_it_is_sure(self._money.advancer, unit, row)

    def pending(self, unit: Unit, settled: Settled, outcome: Pending) -> None:
        """The money is under way."""
        row = unit.invoice(settled.work.subject_id)
        payment = unit.money.get("payment", settled.work.item_id)
        if settled.capability is not Capability.RECORD_PAYMENT:
            if payment["state"] == "pending":
                payment["state"] = "processing"
            payment["external_id"] = outcome.external_id or payment["external_id"]
            unit.money.save("payment", payment)
            unit.issues.report(row.id, settled.component, [])
        else:
            settled.remember(unit, outcome.external_id)
        unit.record(row, f"{settled.capability}.pending", operation_id=settled.work.operation_id, note=outcome.reason)
        self._let_go(unit, settled, row)

    def rejected(
        self, unit: Unit, settled: Settled, issues: Sequence[ValidationIssue], external_id: str | None
    ) -> None:
        """The provider refuses the payment, or refuses to note it."""
        row = unit.invoice(settled.work.subject_id)
        note = issues[0].message if issues else None
        settled.remember(unit, external_id)
        payment = unit.money.get("payment", settled.work.item_id)
        if settled.capability is Capability.RECORD_PAYMENT:
            issues = [after_refusing.with_ways_out(issue, row, settled.app, payment) for issue in issues]
        unit.issues.report(row.id, _component(settled, payment), _as_warnings(issues))
        if settled.capability in _LEAVES_THE_PAYMENT:
            unit.record(row, f"{settled.capability}.rejected", operation_id=settled.work.operation_id, note=note)
            self._look_again(unit, settled, issues)
            unsent_payments.refit(self._money.advancer, unit, row)
            looking_again.if_it_is_sure(self._money.advancer, unit, row)
            return
        payment |= {"state": "failed", "code": issues[0].code if issues else None, "message": note}
        unit.money.save("payment", payment)
        self._money.after(unit, row, Trigger.FAILED, f"{settled.capability}.rejected", settled.work.operation_id)
        looking_again.if_it_is_sure(self._money.advancer, unit, row)

    def _look_again(self, unit: Unit, settled: Settled, issues: Sequence[ValidationIssue]) -> None:
        look = _look_at(settled, unit.now)
        if look and settled.capability in _CHANGES_WHAT_STANDS:
            unit.work.want_if_free(look)  # what was refused may stand otherwise than we think
        if settled.capability is not Capability.CHECK_PAYMENT or any(issue.code == GAVE_UP for issue in issues):
            return
        due = to_micros(unit.now + REFUSED_LOOK_AGAIN)
        unit.work.want(settled.work._replace(state=READY, due=due, operation_id=None))

    def doubted(self, unit: Unit, settled: Settled, reason: str) -> None:
        """Nobody knows. The work is held; nothing else changes."""
        row = unit.invoice(settled.work.subject_id)
        unit.record(row, f"{settled.capability}.in_doubt", operation_id=settled.work.operation_id, note=reason)


def _component(settled: Settled, payment: Row) -> str:
    """Whose findings these are; each note in the books has its own."""
    is_note = settled.capability is Capability.RECORD_PAYMENT
    return notes.component(settled.app, payment) if is_note else settled.component


def _look_at(settled: Settled, at: datetime) -> WorkRow | None:
    """A look at the payment; None where its app can't."""
    if not settled.app.handle.declaration.can(Capability.CHECK_PAYMENT):
        return None
    work = settled.work
    return WorkRow(work.item_id, Capability.CHECK_PAYMENT, work.app_id, work.subject_id, due=to_micros(at))


def _as_warnings(issues: Sequence[ValidationIssue]) -> list[ValidationIssue]:
    # The payment's own state says that it failed; the invoice is not to blame.
    return [issue.model_copy(update={"severity": Severity.WARNING}) for issue in issues]
