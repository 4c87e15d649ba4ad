"""Invoices that time moves on: a collection interval, a draft period, a due date."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from billhook.domain.lifecycle import State, Trigger, due_trigger, work_needed
from billhook.engine.advance import Advancer
from billhook.engine.invoice_row import InvoiceRow
from billhook.engine.moments import to_micros
from billhook.engine.unit import Unit
from billhook.engine.usage import Quantities, snapshot
from billhook.engine.work import WorkRow


@dataclass(slots=True)
class DueTimers:
    """Timers that are over, with the usage that was asked for. About ``unanswered`` invoices the source could not tell."""

    works: list[WorkRow] = field(default_factory=list)
    quantities: Mapping[str, Quantities] = field(default_factory=dict)
    unanswered: set[str] = field(default_factory=set)


def advance_due(unit: Unit, advancer: Advancer, due: DueTimers, works: Sequence[WorkRow]) -> None:
    """Let each of these invoices go on, if it still may."""
    unit.load_invoices(work.subject_id for work in works)
    for work in works:
        if work.subject_id in due.unanswered:
            again = unit.now + unit.context.policy.longest_backoff
            unit.work.want(work._replace(due=to_micros(again), attempts=work.attempts + 1))
            continue
        unit.work.drop(*work.key)
        if work.subject_id in unit.invoices:
            _advance(unit, advancer, due, work.subject_id)


def _waits_for_an_app(row: InvoiceRow) -> bool:
    # Money that is being collected, or that nobody collects, is overdue all the same.
    need = work_needed(row.facts)
    return need is not None and need.operation != "collect_payment"


def _advance(unit: Unit, advancer: Advancer, due: DueTimers, invoice_id: str) -> None:
    row = unit.invoices[invoice_id]
    if row.state is State.DRAFT_WAITING_FOR_COLLECTION and invoice_id in due.quantities:
        snapshot(unit, row, due.quantities[invoice_id])
    trigger = None if _waits_for_an_app(row) else due_trigger(row.facts, unit.now)
    if trigger is Trigger.PAYMENT_OVERDUE:
        advancer.fire(unit, row, trigger, "due_date_passed")
    else:
        advancer.go_on(unit, row, "time_passed")
