"""Invoices that stand alike share a plan; it is what the lifecycle decides for each of them alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, strategies as st

from billhook.domain.lifecycle import Decision, State, Trigger, decide, decide_from_outside, timers, work_needed
from billhook.engine.invoice_row import COLUMNS, InvoiceRow, stored_facts
from billhook.engine.moments import to_micros
from billhook.engine.plans import Plan, outlook, plan

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
PASSES = ("taxed_revision", "validated_revision", "synced_revision", "issued_revision", "sent_revision")
SWITCHES = (
    "auto_advance",
    "asks_tax",
    "asks_send",
    "overdue_after_due",
    "mirrored",
    "has_lines",
    "delete_confirmed",
    "void_confirmed",
    "critical_issues",
)
TIMES = ("stated_issued_at", "stated_due_at", "collection_at", "draft_until", "due_at", "issued_at", "overdue_at")

moments = st.sampled_from([-1, 0, 1]).map(lambda days: to_micros(NOW + timedelta(days=days)))
amounts = st.sampled_from(["0", "0.00", "0.01", "10", "10.00", "25"])


@st.composite
def rows(draw: st.DrawFn) -> InvoiceRow:
    values: dict[str, Any] = dict.fromkeys(COLUMNS)
    values |= {"id": "i", "version": 3, "revision": 2, "created_at": draw(moments)}
    values |= {"state": draw(st.sampled_from(State)).value, "draft_period": "P1D", "due_after": "P1M"}
    values |= {name: draw(st.sampled_from([None, 1, 2])) for name in PASSES}
    values |= {name: draw(st.sampled_from([0, 1])) for name in SWITCHES}
    values |= {name: draw(st.none() | moments) for name in TIMES}
    values |= {name: draw(amounts) for name in ("total", "amount_paid", "amount_credited", "amount_refunded")}
    values["collection_method"] = draw(st.sampled_from(["charge_automatically", "send_invoice"]))
    return InvoiceRow(values)


@given(rows(), st.sampled_from(Trigger), st.booleans(), st.sampled_from([None, State.DRAFT_READY_TO_ISSUE]))
def test_a_plan_is_what_the_lifecycle_decides(row, trigger, outside, stop_at):
    decided = (decide_from_outside if outside else decide)(row.facts, trigger, NOW, stop_at=stop_at)
    way = plan(row, trigger, NOW, stop_at=stop_at, outside=outside)
    if not isinstance(decided, Decision):
        assert way == decided
        return
    assert isinstance(way, Plan)
    facts = decided.facts
    assert way.hops == decided.hops
    assert way.outlook == (facts.state, facts.fully_paid, work_needed(facts), timers(facts))
    assert way.stored == stored_facts(facts)


@given(rows())
def test_an_outlook_is_what_the_state_waits_for(row):
    facts = row.facts
    assert outlook(row) == (facts.state, facts.fully_paid, work_needed(facts), timers(facts))
