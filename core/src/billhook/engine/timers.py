"""Invoices that time moves on: a collection interval, a draft period, a due date."""

from __future__ import annotations

from collections.abc import Sequence

from billhook.domain.lifecycle import Trigger, due_trigger, work_needed
from billhook.engine.advance import Advancer
from billhook.engine.unit import Unit
from billhook.engine.work import WorkRow


def advance_due(unit: Unit, advancer: Advancer, works: Sequence[WorkRow]) -> None:
    """Let each of these invoices go on, if it still may."""
    unit.load_invoices(work.subject_id for work in works)
    for work in works:
        unit.drop(*work.key)
        row = unit.invoices.get(work.subject_id)
        if row is None:
            continue
        trigger = None if work_needed(row.facts) else due_trigger(row.facts, unit.now)
        if trigger is Trigger.PAYMENT_OVERDUE:
            advancer.fire(unit, row, trigger, "due_date_passed")
        else:
            advancer.go_on(unit, row, "time_passed")
