"""What an invoice does next, worked out once for all that stand alike.

The invoices of a batch differ in who pays how much, and the lifecycle asks for neither: only whether something is owed and whether money is
held. Those with the same state, passes, dates and workflow go the same way at the same moment, and share one plan.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from operator import itemgetter
from typing import Any, NamedTuple

from billhook.domain.facts import InvoiceFacts
from billhook.domain.lifecycle import (
    Hop,
    Refused,
    State,
    Trigger,
    WorkNeeded,
    decide,
    decide_from_outside,
    timers,
    work_needed,
)
from billhook.engine.invoice_row import FACT_COLUMNS, InvoiceRow, facts_of, stored_facts
from billhook.engine.tables import dump_text

PLANS_KEPT = 4_096

_fact_values = itemgetter(*FACT_COLUMNS)

Standing = tuple[Any, ...]
"""The stored values that the lifecycle asks for, whether something is owed, and whether money is held."""


class Outlook(NamedTuple):
    """What an invoice waits for where it stands: an operation, or a time."""

    state: State
    is_fully_paid: bool
    need: WorkNeeded | None
    wakes_at: datetime | None


class Plan(NamedTuple):
    """The way from one resting place to the next. ``path`` is how the timeline keeps it, ``stored`` what it changes on the row."""

    hops: tuple[Hop, ...]
    path: str
    stored: Mapping[str, Any]
    outlook: Outlook

    @property
    def begins_at(self) -> State:
        """Where the invoice stood."""
        return self.hops[0].from_state

    @property
    def ends_at(self) -> State:
        """Where it stands then."""
        return self.outlook.state


def plan(
    row: InvoiceRow, trigger: Trigger, now: datetime, *, stop_at: State | None, outside: bool = False
) -> Plan | Refused:
    """The way that the trigger opens, as far as the invoice can go; or why there is none."""
    return _plan(_standing(row), trigger, now, stop_at, outside)


def outlook(row: InvoiceRow) -> Outlook:
    """What the invoice waits for where it stands now."""
    return _outlook(_standing(row))


def _standing(row: InvoiceRow) -> Standing:
    return (*_fact_values(row.values), row.amount_due > 0, row.holds_money)


def _facts(standing: Standing) -> InvoiceFacts:
    *values, owes, holds_money = standing
    # The lifecycle tells amounts from nothing, and not from each other.
    return facts_of(dict(zip(FACT_COLUMNS, values, strict=True)), Decimal(owes), Decimal(holds_money))


@lru_cache(maxsize=PLANS_KEPT)
def _plan(standing: Standing, trigger: Trigger, now: datetime, stop_at: State | None, outside: bool) -> Plan | Refused:
    choose = decide_from_outside if outside else decide
    decision = choose(_facts(standing), trigger, now, stop_at=stop_at)
    if isinstance(decision, Refused):
        return decision
    path = dump_text([[hop.trigger.value, hop.to_state.value] for hop in decision.hops])
    return Plan(decision.hops, path, stored_facts(decision.facts), _outlook_of(decision.facts))


@lru_cache(maxsize=PLANS_KEPT)
def _outlook(standing: Standing) -> Outlook:
    return _outlook_of(_facts(standing))


def _outlook_of(facts: InvoiceFacts) -> Outlook:
    return Outlook(facts.state, facts.fully_paid, work_needed(facts), timers(facts))
