"""Settlement: an operation's outcome, applied to what it was for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from billhook.contract.declaration import Capability, Declaration
from billhook.contract.events import OperationSettled
from billhook.contract.items import CreditNoteItem, CustomerItem, InvoiceItem, PaymentItem, RefundItem
from billhook.contract.operations import OPERATIONS
from billhook.contract.outcomes import Done, Pending, Rejected, Retry
from billhook.domain.issue import Severity, ValidationIssue
from billhook.engine.advance import Advancer
from billhook.engine.apps import AppHandle
from billhook.engine.effects import Alone, Doubt, Release
from billhook.engine.moments import maybe_from_micros, to_micros
from billhook.engine.money import Money
from billhook.engine.numbers import Numbers
from billhook.engine.settle_credit_note import CreditNoteOutcomes
from billhook.engine.settle_customer import CustomerOutcomes
from billhook.engine.settle_invoice import InvoiceOutcomes
from billhook.engine.settle_payment import PaymentOutcomes
from billhook.engine.settle_refund import RefundOutcomes
from billhook.engine.settled import GAVE_UP, Outcomes, Settled
from billhook.engine.unit import Unit
from billhook.engine.work import CLAIMED, READY, WorkRow


class Settler:
    """Applies outcomes inside a transaction. What they mean for each kind of item is that kind's own."""

    def __init__(self, numbers: Numbers) -> None:
        self.numbers = numbers
        self.advancer = Advancer(self._settle_local, numbers)
        self.money = Money(self.advancer)
        self._kinds: Mapping[type, Outcomes] = {
            InvoiceItem: InvoiceOutcomes(self.advancer, self.money, numbers, self.pending, self.doubt),
            PaymentItem: PaymentOutcomes(self.money),
            RefundItem: RefundOutcomes(self.money),
            CreditNoteItem: CreditNoteOutcomes(self.money, numbers),
            CustomerItem: CustomerOutcomes(self.settle),
        }

    def _kind(self, settled: Settled) -> Outcomes:
        return self._kinds[OPERATIONS[settled.capability].item]

    def settle(self, unit: Unit, settled: Settled) -> None:
        """Apply one item's outcome. What was made of it before it came to anything but its end is kept: the next operation starts from it."""
        if not isinstance(settled.outcome, Done):
            settled.remember(unit, None)
        _OUTCOMES[type(settled.outcome)](self, unit, settled)
        self._announce(unit, settled)

    def _settle_local(
        self, unit: Unit, app: AppHandle, capability: Capability, work: WorkRow, item: Any, outcome: Any
    ) -> None:
        self.settle(unit, Settled(app, capability, work, item, outcome))

    def _announce(self, unit: Unit, settled: Settled) -> None:
        observers = unit.context.observers
        if not observers.hear("operation_settled"):
            return
        name = _NAMES[type(settled.outcome)]
        event = OperationSettled(
            settled.app.namespace, settled.app.id, settled.capability.value, settled.work.item_id, name, unit.now
        )
        unit.after_commit(lambda: observers.notify_operation_settled(event))

    # Outcomes.

    def done(self, unit: Unit, settled: Settled) -> None:
        """It is done."""
        unit.work.drop(*settled.work.key)
        assert isinstance(settled.outcome, Done)
        self._kind(settled).done(unit, settled, settled.outcome.result)

    def pending(self, unit: Unit, settled: Settled) -> None:
        """The provider has it; look again later, or wait for the outside."""
        outcome = settled.outcome
        assert isinstance(outcome, Pending)
        give_up_at = (
            outcome.give_up_at or maybe_from_micros(settled.work.give_up_at) or _patience_ends_at(unit, settled)
        )
        if give_up_at is not None and unit.now >= give_up_at:
            self.rejected(
                unit, replace(settled, outcome=gave_up(settled.app.name, outcome.reason, outcome.external_id))
            )
            return
        unit.work.drop(*settled.work.key)
        self._kind(settled).pending(unit, settled, outcome)
        self._look_again(unit, settled, outcome, give_up_at)

    def _look_again(self, unit: Unit, settled: Settled, outcome: Pending, give_up_at: datetime | None) -> None:
        times = [unit.now + outcome.check_after] if outcome.check_after is not None else []
        times += [give_up_at] if give_up_at is not None else []
        if not times:
            return
        check = check_of(settled.app.handle.declaration, settled.capability)
        unit.work.want(
            WorkRow(
                settled.work.item_id,
                check.value,
                settled.app.id,
                settled.work.subject_id,
                lane=settled.work.lane,
                due=to_micros(min(times)),
                version=settled.work.version,
                give_up_at=to_micros(give_up_at) if give_up_at else None,
            )
        )

    def rejected(self, unit: Unit, settled: Settled) -> None:
        """The provider refuses it as it is."""
        outcome = settled.outcome
        assert isinstance(outcome, Rejected)
        unit.work.drop(*settled.work.key)
        issues = [issue.model_copy(update={"component": settled.component}) for issue in outcome.issues]
        self._kind(settled).rejected(unit, settled, issues, outcome.external_id)

    def retry(self, unit: Unit, settled: Settled) -> None:
        """It is not done; later, from what it left behind."""
        outcome = settled.outcome
        assert isinstance(outcome, Retry)
        if settled.work.attempts >= unit.context.policy.retries:
            message = f"{settled.app.name} could not do it {settled.work.attempts} times ({outcome.reason or 'busy'}). Retry when it can."
            self.rejected(unit, replace(settled, outcome=Rejected.because("retries_exhausted", message)))
            return
        self._again(unit, settled, outcome.after)

    def release(self, unit: Unit, settled: Settled) -> None:
        """A look-up proved that nothing was done: back into the queue."""
        self._again(unit, settled, timedelta())

    def alone(self, unit: Unit, settled: Settled) -> None:
        """Back into the queue, to be tried by itself."""
        unit.work.want(settled.work._replace(state=READY, due=unit.now_micros, alone=1, operation_id=None))

    def _again(self, unit: Unit, settled: Settled, after: timedelta) -> None:
        due = to_micros(unit.now + after)
        again = settled.work._replace(state=READY, due=due, attempts=settled.work.attempts + 1, operation_id=None)
        unit.work.want(again)

    def doubt(self, unit: Unit, settled: Settled) -> None:
        """Nobody knows. The work stays held until a person decides."""
        outcome = settled.outcome
        assert isinstance(outcome, Doubt)
        unit.work.want(settled.work._replace(state=CLAIMED))
        self._kind(settled).doubted(unit, settled, outcome.reason)
        issue = ValidationIssue(
            severity=Severity.CRITICAL,
            code="outcome_unknown",
            message=(
                f"It is not known whether {settled.app.name} did {settled.capability} ({outcome.reason}). "
                f"Look there, then say what you found: billhook invoices resolve {settled.work.subject_id}."
            ),
            component=settled.component,
        )
        unit.issues.report(settled.work.subject_id, settled.component, [issue])


def check_of(declaration: Declaration, capability: Capability) -> Capability:
    """The operation that looks how a pending one stands; the operation itself where the provider has no such look."""
    check = _CHECKS.get(capability)
    return check if check is not None and declaration.can(check) else capability


def gave_up(app_name: str, reason: str, external_id: str | None = None) -> Rejected:
    """What becomes of an item that was waited for as long as anybody allowed."""
    message = f"{app_name} did not finish in time ({reason}). Look there, then retry."
    return Rejected.because(GAVE_UP, message, external_id=external_id)


def _patience_ends_at(unit: Unit, settled: Settled) -> datetime | None:
    """When an item is given up that its provider said nothing about. Money, and callers who confirm, take the time they take."""
    local = settled.app.handle.declaration.rules(settled.capability).local
    return None if local or settled.capability in _WITHOUT_END else unit.now + unit.context.policy.longest_wait


_OUTCOMES: dict[type, Callable[[Settler, Unit, Settled], None]] = {
    Done: Settler.done,
    Pending: Settler.pending,
    Rejected: Settler.rejected,
    Retry: Settler.retry,
    Release: Settler.release,
    Alone: Settler.alone,
    Doubt: Settler.doubt,
}
_NAMES: dict[type, str] = {
    Done: "done",
    Pending: "pending",
    Rejected: "rejected",
    Retry: "retry",
    Release: "retry",
    Alone: "retry",
    Doubt: "in_doubt",
}

LOOKS = frozenset({Capability.FETCH, Capability.CHECK_PAYMENT, Capability.CHECK_REFUND})
"""Operations that only look how something stands, and may be done as often as one likes."""
_WITHOUT_END = LOOKS | {
    Capability.COLLECT_PAYMENT,
    Capability.CAPTURE_PAYMENT,
    Capability.CANCEL_PAYMENT,
    Capability.REFUND,
}
_CHECKS: dict[Capability, Capability] = {
    Capability.SYNC_DRAFT: Capability.FETCH,
    Capability.ISSUE: Capability.FETCH,
    Capability.COLLECT_PAYMENT: Capability.CHECK_PAYMENT,
    Capability.CAPTURE_PAYMENT: Capability.CHECK_PAYMENT,
    Capability.CANCEL_PAYMENT: Capability.CHECK_PAYMENT,
    Capability.REFUND: Capability.CHECK_REFUND,
}
