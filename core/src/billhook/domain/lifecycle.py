"""Decide what happens to an invoice: pure, from the table in `transitions`.

    decision = decide(facts, Trigger.APPROVE, now)
    if isinstance(decision, Refused): ...
    decision.facts.state      where the invoice rests now
    decision.hops             every state it went through, for the timeline
    work_needed(decision.facts)   what an app is asked to do before it can go on

`decide` takes any trigger and is for the engine. What a host or a callback asks for goes through `decide_from_outside`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import NamedTuple

from billhook.domain.facts import CollectionMethod, InvoiceFacts
from billhook.domain.period import Duration
from billhook.domain.states import TRIGGER_OF_ACTION, Action, State, Trigger
from billhook.domain.transitions import STATES, TRANSITIONS_FROM, Guard, OperationName, Role, StateInfo, Transition

__all__ = [
    "CANNOT_ADVANCE",
    "STATES",
    "TIMED_STATES",
    "Action",
    "CollectionMethod",
    "Decision",
    "Hop",
    "InvoiceFacts",
    "OperationName",
    "Refused",
    "Role",
    "State",
    "StateInfo",
    "Trigger",
    "WorkNeeded",
    "available_actions",
    "collection_time",
    "decide",
    "decide_from_outside",
    "due_trigger",
    "is_failed",
    "is_final",
    "is_mutable",
    "retrace",
    "timers",
    "work_needed",
]


CANNOT_ADVANCE = "invoice_cannot_advance"

OnEntry = Callable[[InvoiceFacts, datetime], InvoiceFacts]


class Hop(NamedTuple):
    """One step through the table."""

    trigger: Trigger
    from_state: State
    to_state: State


class Decision(NamedTuple):
    """What happens: the hops in order, the facts afterwards, and when the clock next has something to do.

    `wakes_at` may already be past: then `due_trigger` is due at once.
    """

    hops: tuple[Hop, ...]
    facts: InvoiceFacts
    wakes_at: datetime | None


class Refused(NamedTuple):
    """Nothing happens, and why. `code` is stable."""

    code: str
    message: str


class WorkNeeded(NamedTuple):
    """What the invoice's state waits for: an operation of the app in that role."""

    role: Role
    operation: OperationName


def decide(facts: InvoiceFacts, trigger: Trigger, now: datetime, *, stop_at: State | None = None) -> Decision | Refused:
    """Fire `trigger`, then `next` until the invoice rests or stands in `stop_at`.

    `updated` makes revision + 1, so no pass counts any more. `updated` and `retry` leave no critical issue open; the
    caller clears or downgrades the stored ones too. A draft whose sync is retried is validated anew. Entering a state sets
    its dates: `draft_until` and `due_at` for a draft, `issued_at` and `due_at` on issue, `overdue_at` the first time it is
    overdue.
    """
    step = _open_step(facts, trigger, now)
    if step is None:
        return _refusal(facts.state, trigger)
    return _run(facts, step, now, stop_at)


def decide_from_outside(
    facts: InvoiceFacts, trigger: Trigger, now: datetime, *, stop_at: State | None = None
) -> Decision | Refused:
    """As `decide`, for a trigger that a host, a user or a callback fires.

    `failed` is heard only about a payment. That a sync or a validation failed is for the engine to know.
    """
    if trigger is Trigger.FAILED and not _is_payment_failure(facts.state):
        return _refusal(facts.state, trigger)
    return decide(facts, trigger, now, stop_at=stop_at)


def retrace(facts: InvoiceFacts, hops: Iterable[tuple[Trigger, State]], now: datetime) -> Iterator[InvoiceFacts]:
    """The facts after each hop of a decision that was made from `facts` at that time."""
    for trigger, state in hops:
        if trigger in _FRESH_START:
            facts = _FRESH_START[trigger](facts)
        on_entry = _ON_ENTRY.get(state)
        if on_entry is not None:
            facts = on_entry(facts, now)
        facts = facts.replace(state=state)
        yield facts


def nothing_passes(need: WorkNeeded) -> bool:
    """No work is done at once."""
    return False


def available_actions(
    facts: InvoiceFacts, now: datetime, passes: Callable[[WorkNeeded], bool] = nothing_passes
) -> Mapping[Action, State]:
    """The actions that are allowed now, each with the state it would lead to.

    The outcome is foretold with issues ignored, and ends where work is needed that does not pass at once; for delete it is
    always `deleted`.
    """
    return {
        action: State.DELETED if action is Action.DELETE else _foretold(facts, step, now, passes)
        for action, trigger in TRIGGER_OF_ACTION.items()
        if (step := _open_step(facts, trigger, now)) is not None
    }


def work_needed(facts: InvoiceFacts) -> WorkNeeded | None:
    """What the state waits for, or None if it waits for time, for a person, for the payer, or for nothing."""
    for role, operation, needed in STATES[facts.state].entry:
        if needed(facts):
            return WorkNeeded(role, operation)
    return None


def timers(facts: InvoiceFacts) -> datetime | None:
    """When time alone moves the invoice on, or None. May lie in the past."""
    if facts.mirrored:
        return None
    read = _TIMER_OF_STATE.get(facts.state)
    return read(facts) if read is not None else None


def due_trigger(facts: InvoiceFacts, now: datetime) -> Trigger | None:
    """The trigger that time fires now, or None if no timer is over."""
    wakes_at = timers(facts)
    if wakes_at is None or now < wakes_at:
        return None
    return Trigger.PAYMENT_OVERDUE if facts.state in _OVERDUE_TIMER_STATES else Trigger.NEXT


def collection_time(metered_invoice_at: Iterable[datetime], interval: Duration) -> datetime | None:
    """When all usage can be counted: the latest `invoice_at` of the metered lines, plus the collection interval.

    None if no line depends on metered usage: then there is nothing to wait for.
    """
    latest = max(metered_invoice_at, default=None)
    return None if latest is None else latest + interval


def is_mutable(state: State) -> bool:
    """An edit is accepted in this state."""
    return STATES[state].mutable


def is_failed(state: State) -> bool:
    """Something went wrong here and waits for a retry."""
    return STATES[state].failed


def is_final(state: State) -> bool:
    """The invoice is settled. From uncollectible a late payment or a void may still follow."""
    return STATES[state].final


class _Step(NamedTuple):
    """A row of the table with its consequences at hand: deciding is looking up."""

    to: State
    guard: Guard | None
    hop: Hop
    on_entry: OnEntry | None


def _open_step(facts: InvoiceFacts, trigger: Trigger, now: datetime) -> _Step | None:
    return _first_open(_STEPS[facts.state].get(trigger, ()), facts, now)


def _first_open(steps: tuple[_Step, ...], facts: InvoiceFacts, now: datetime) -> _Step | None:
    for step in steps:
        guard = step.guard
        if guard is None or guard(facts, now):
            return step
    return None


def _run(facts: InvoiceFacts, first: _Step, now: datetime, stop_at: State | None) -> Decision:
    # The state travels beside the facts: guards never read it, and one copy at the end is cheaper than one a hop.
    state, _, hop, on_entry = first
    hops = [hop]
    if hop.trigger in _FRESH_START:
        facts = _FRESH_START[hop.trigger](facts)
    if on_entry is not None:
        facts = on_entry(facts, now)
    while state is not stop_at and (step := _first_open(_NEXT_STEPS[state], facts, now)) is not None:
        state, _, hop, on_entry = step
        hops.append(hop)
        if on_entry is not None:
            facts = on_entry(facts, now)
    facts = facts.replace(state=state)
    return Decision(tuple(hops), facts, timers(facts))


def _foretold(facts: InvoiceFacts, step: _Step, now: datetime, passes: Callable[[WorkNeeded], bool]) -> State:
    facts = _run(facts.replace(critical_issues=0), step, now, None).facts
    while (need := work_needed(facts)) is not None and need.operation in _PASSES and passes(need):
        facts = facts.replace(**{_PASSES[need.operation]: facts.revision})
        decision = decide(facts, Trigger.NEXT, now)
        facts = facts if isinstance(decision, Refused) else decision.facts
    return facts.state


def _is_payment_failure(state: State) -> bool:
    return any(step.to is State.PAYMENT_FAILED for step in TRANSITIONS_FROM[state].get(Trigger.FAILED, ()))


_ASKED_AS: Mapping[Trigger, str] = {
    Trigger.NEXT: "advance",
    Trigger.UPDATED: "update",
    Trigger.FORCE_COLLECT: "snapshot_quantities",
    Trigger.FAILED: "payment_failed",
}
"""What callers call a trigger that has another name inside."""
_NOBODY_ASKS = frozenset({Trigger.NEXT, Trigger.AUTHORIZED})
"""That time passed, or that the payment app authorized, is nobody's to say."""


def _asked_as(trigger: Trigger) -> str:
    return _ASKED_AS.get(trigger, trigger.value)


def _can_be_asked(state: State, trigger: Trigger) -> bool:
    if trigger is not Trigger.FAILED:
        return trigger not in _NOBODY_ASKS
    # What is paid fails only where money was taken back, which is nobody's to say either.
    return any(row.to is State.PAYMENT_FAILED and row.guard is None for row in TRANSITIONS_FROM[state][trigger])


def _refusal(state: State, trigger: Trigger) -> Refused:
    rows = TRANSITIONS_FROM[state]
    possible = ", ".join(_asked_as(each) for each in rows if _can_be_asked(state, each)) or "nothing"
    if trigger is Trigger.NEXT:
        return Refused(
            CANNOT_ADVANCE,
            f"The invoice is in {state} and cannot advance by itself now. "
            f"Its issues and what it waits for say why. Possible in this state: {possible}.",
        )
    conditions = [row.guard.__doc__ or "" for row in rows.get(trigger, ()) if row.guard is not None]
    if conditions:
        return Refused(
            "invoice_action_not_available",
            f'The invoice is in {state}, where {_asked_as(trigger)} is available only once this holds: "{conditions[0]}"',
        )
    return Refused(
        "invoice_action_not_available",
        f"The invoice is in {state}, where {_asked_as(trigger)} is not available. Possible in this state: {possible}.",
    )


# What a trigger changes before the first hop.


def _new_revision(facts: InvoiceFacts) -> InvoiceFacts:
    return facts.replace(revision=facts.revision + 1, critical_issues=0)


def _another_try(facts: InvoiceFacts) -> InvoiceFacts:
    if facts.critical_issues:
        facts = facts.replace(critical_issues=0)
    return facts.replace(validated_revision=None) if facts.state is State.DRAFT_SYNC_FAILED else facts


_FRESH_START: dict[Trigger, Callable[[InvoiceFacts], InvoiceFacts]] = {
    Trigger.UPDATED: _new_revision,
    Trigger.RETRY: _another_try,
}


# What entering a state sets.


def _set_draft_dates(facts: InvoiceFacts, now: datetime) -> InvoiceFacts:
    if facts.mirrored:
        return facts
    draft_until, issued_at = _draft_until(facts), facts.stated_issued_at
    return facts.replace(draft_until=draft_until, issued_at=issued_at, due_at=_due_at(facts, draft_until, issued_at))


def _set_issue_dates(facts: InvoiceFacts, now: datetime) -> InvoiceFacts:
    if facts.issued_at is not None and (facts.mirrored or facts.issued_revision == facts.revision):
        return facts  # the issued document already carries this date; a retried send must not move it
    if facts.mirrored:
        return facts.replace(issued_at=now)
    issued_at = facts.stated_issued_at or now
    return facts.replace(issued_at=issued_at, due_at=_due_at(facts, facts.draft_until, issued_at))


def _note_overdue(facts: InvoiceFacts, now: datetime) -> InvoiceFacts:
    return facts if facts.overdue_at is not None else facts.replace(overdue_at=now)


def _ask_for_write_off(facts: InvoiceFacts, now: datetime) -> InvoiceFacts:
    # It may have been written off before, and paid meanwhile.
    return facts.replace(write_off_confirmed=False) if facts.write_off_confirmed else facts


def _draft_until(facts: InvoiceFacts) -> datetime | None:
    if not facts.auto_advance:
        return None
    visible_from = max(facts.created_at, facts.collection_at or facts.created_at)
    return visible_from + facts.draft_period


def _due_at(facts: InvoiceFacts, draft_until: datetime | None, issued_at: datetime | None) -> datetime | None:
    if facts.stated_due_at is not None:
        return facts.stated_due_at
    foreseen = draft_until if facts.auto_advance else issued_at
    starts_at = facts.stated_issued_at or foreseen
    return None if starts_at is None else (starts_at + facts.due_after).replace(microsecond=0)


_ON_ENTRY: dict[State, OnEntry] = {
    State.DRAFT_WAITING_FOR_COLLECTION: _set_draft_dates,
    State.ISSUING_SYNCING: _set_issue_dates,
    State.OVERDUE: _note_overdue,
    State.UNCOLLECTIBLE: _ask_for_write_off,
}


# What time moves.


def _collection_timer(facts: InvoiceFacts) -> datetime | None:
    return facts.collection_at


def _draft_timer(facts: InvoiceFacts) -> datetime | None:
    return facts.draft_until if facts.auto_advance and not facts.critical_issues else None


def _overdue_timer(facts: InvoiceFacts) -> datetime | None:
    # Once only: after a retry the due date is still past, and would take the invoice straight back to overdue.
    return facts.due_at if facts.overdue_after_due and facts.overdue_at is None else None


_OVERDUE_TIMER_STATES = frozenset(
    {State.PAYMENT_PENDING, State.PAYMENT_AUTHORIZED, State.PAYMENT_FAILED, State.PAYMENT_ACTION_REQUIRED}
)
_TIMER_OF_STATE: dict[State, Callable[[InvoiceFacts], datetime | None]] = {
    State.DRAFT_WAITING_FOR_COLLECTION: _collection_timer,
    State.DRAFT_WAITING_AUTO_APPROVAL: _draft_timer,
    **dict.fromkeys(_OVERDUE_TIMER_STATES, _overdue_timer),
}

TIMED_STATES = frozenset(_TIMER_OF_STATE)
"""The states that time alone may end."""


_PASSES: Mapping[OperationName, str] = {
    "validate": "validated_revision",
    "sync_draft": "synced_revision",
    "issue": "issued_revision",
    "send": "sent_revision",
}
"""Where the facts say that an operation is done for a revision."""

# The table, laid out for looking up.


def _compiled(row: Transition) -> _Step:
    return _Step(row.to, row.guard, Hop(row.trigger, row.state, row.to), _ON_ENTRY.get(row.to))


_STEPS: dict[State, dict[Trigger, tuple[_Step, ...]]] = {
    state: {trigger: tuple(map(_compiled, rows)) for trigger, rows in by_trigger.items()}
    for state, by_trigger in TRANSITIONS_FROM.items()
}
_NEXT_STEPS = {state: by_trigger.get(Trigger.NEXT, ()) for state, by_trigger in _STEPS.items()}
