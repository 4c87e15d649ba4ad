"""The lifecycle as one table: state, trigger, next state, guard; and what each state does on entry.

Everything that must agree on the lifecycle reads this table: the decisions, the actions offered to users, the
refusals, the diagram in the docs and the property tests.

Where it differs from OpenMeter on purpose:

- `draft.syncing` takes `updated`. An integration may adjust the invoice while it waits there; the edit makes a new
  revision, which is validated and waits again.
- `issuing.failed` takes `retry` back to `draft.validating` where the invoice changed since it was synced: what was
  mended is validated, and the draft that stands at the app is rewritten, before it is issued.
- `void` and `delete` ask that no money is held. A voided or deleted invoice is worth nothing, so a captured amount would belong to no
  document; refund it first, or issue a credit note.
- `paid` takes `failed` when money that had counted was taken back, as a bank debit can be for weeks. What is owed then
  is owed again; a refund, which the seller decides, leaves the invoice paid.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Literal, NamedTuple

from billhook.domain.facts import InvoiceFacts
from billhook.domain.states import State, Trigger

Guard = Callable[[InvoiceFacts, datetime], bool]
Role = Literal["tax", "invoicing", "payment"]
OperationName = Literal[
    "calculate_tax",
    "validate",
    "sync_draft",
    "issue",
    "send",
    "delete",
    "collect_payment",
    "void",
    "mark_uncollectible",
]


class Transition(NamedTuple):
    """From `state`, `trigger` leads to `to` if `guard` holds. Of several, the first that holds is taken."""

    state: State
    trigger: Trigger
    to: State
    guard: Guard | None = None


class EntryOperation(NamedTuple):
    """An operation that a state asks of the app in a role, while `needed` holds."""

    role: Role
    operation: OperationName
    needed: Callable[[InvoiceFacts], bool]


class StateInfo(NamedTuple):
    """What is true of a state whatever the invoice. `entry` is in order: the first that is needed comes first."""

    entry: tuple[EntryOperation, ...]
    mutable: bool
    failed: bool
    final: bool


# Guards.


def collection_is_due(facts: InvoiceFacts, now: datetime) -> bool:
    """The wait for metered usage is over. A mirrored invoice was collected upstream."""
    return facts.mirrored or facts.collection_at is None or now >= facts.collection_at


def draft_is_validated(facts: InvoiceFacts, now: datetime) -> bool:
    """This revision was validated, tax included, and nothing critical was found."""
    return facts.validated_revision == facts.revision and not facts.critical_issues


def draft_is_synced_and_waits_for_approval(facts: InvoiceFacts, now: datetime) -> bool:
    """This revision stands at the invoicing app, and a person approves it."""
    return not facts.auto_advance and _draft_is_synced(facts)


def draft_is_synced_and_advances_by_itself(facts: InvoiceFacts, now: datetime) -> bool:
    """This revision stands at the invoicing app, and the draft period approves it."""
    return facts.auto_advance and _draft_is_synced(facts)


def draft_period_is_over(facts: InvoiceFacts, now: datetime) -> bool:
    """Nobody objected while the draft could be seen."""
    if facts.mirrored or facts.draft_until is None or facts.critical_issues:
        return False
    return facts.auto_advance and now >= facts.draft_until


def nothing_critical_is_open(facts: InvoiceFacts, now: datetime) -> bool:
    """No critical issue is open."""
    return not facts.critical_issues


def no_line_is_left(facts: InvoiceFacts, now: datetime) -> bool:
    """Every line was deleted, so there is nothing to issue."""
    return not facts.has_lines


def draft_was_changed_since_its_sync(facts: InvoiceFacts, now: datetime) -> bool:
    """The invoicing app was not given this revision yet."""
    return _draft_sync_is_open(facts)


def delete_is_confirmed(facts: InvoiceFacts, now: datetime) -> bool:
    """The invoicing app holds nothing of this invoice any more."""
    return facts.delete_confirmed


def issue_is_confirmed(facts: InvoiceFacts, now: datetime) -> bool:
    """This revision was issued and, where that is asked, sent to the customer."""
    return not _issue_is_open(facts) and not _send_is_open(facts)


def nothing_is_captured(facts: InvoiceFacts, now: datetime) -> bool:
    """No money is held for this invoice."""
    return facts.nothing_captured


def something_is_owed(facts: InvoiceFacts, now: datetime) -> bool:
    """Something is owed again, because money that had counted was taken back."""
    return not facts.fully_paid


def _draft_is_synced(facts: InvoiceFacts) -> bool:
    return facts.synced_revision == facts.revision and not facts.critical_issues


# What a state still asks for.


def _tax_is_open(facts: InvoiceFacts) -> bool:
    return facts.tax_required and facts.validated_revision != facts.revision


def _validation_is_open(facts: InvoiceFacts) -> bool:
    return facts.validated_revision != facts.revision


def _draft_sync_is_open(facts: InvoiceFacts) -> bool:
    return facts.synced_revision != facts.revision


def _issue_is_open(facts: InvoiceFacts) -> bool:
    return facts.issued_revision != facts.revision


def _send_is_open(facts: InvoiceFacts) -> bool:
    return facts.send_required and facts.sent_revision != facts.revision


def _delete_is_open(facts: InvoiceFacts) -> bool:
    return not facts.delete_confirmed


def _collection_is_open(facts: InvoiceFacts) -> bool:
    return facts.collection_method == "charge_automatically" and not facts.fully_paid


def _void_is_open(facts: InvoiceFacts) -> bool:
    return not facts.void_confirmed


def _write_off_is_open(facts: InvoiceFacts) -> bool:
    return not facts.write_off_confirmed


S = State
T = Trigger

TRANSITIONS: tuple[Transition, ...] = (
    Transition(S.DRAFT_CREATED, T.NEXT, S.DRAFT_WAITING_FOR_COLLECTION),
    Transition(S.DRAFT_CREATED, T.FAILED, S.DRAFT_INVALID),
    Transition(S.DRAFT_CREATED, T.DELETE, S.DELETE_IN_PROGRESS, nothing_is_captured),
    Transition(S.DRAFT_CREATED, T.UPDATED, S.DRAFT_UPDATING),
    Transition(S.DRAFT_WAITING_FOR_COLLECTION, T.NEXT, S.DRAFT_COLLECTING, collection_is_due),
    Transition(S.DRAFT_WAITING_FOR_COLLECTION, T.FORCE_COLLECT, S.DRAFT_COLLECTING),
    Transition(S.DRAFT_WAITING_FOR_COLLECTION, T.DELETE, S.DELETE_IN_PROGRESS, nothing_is_captured),
    Transition(S.DRAFT_WAITING_FOR_COLLECTION, T.UPDATED, S.DRAFT_UPDATING),
    Transition(S.DRAFT_COLLECTING, T.NEXT, S.DRAFT_VALIDATING),
    Transition(S.DRAFT_COLLECTING, T.FAILED, S.DRAFT_INVALID),
    Transition(S.DRAFT_COLLECTING, T.DELETE, S.DELETE_IN_PROGRESS, nothing_is_captured),
    Transition(S.DRAFT_COLLECTING, T.UPDATED, S.DRAFT_UPDATING),
    Transition(S.DRAFT_UPDATING, T.NEXT, S.DRAFT_WAITING_FOR_COLLECTION),
    Transition(S.DRAFT_UPDATING, T.FAILED, S.DRAFT_INVALID),
    Transition(S.DRAFT_UPDATING, T.DELETE, S.DELETE_IN_PROGRESS, nothing_is_captured),
    Transition(S.DRAFT_VALIDATING, T.NEXT, S.DRAFT_SYNCING, draft_is_validated),
    Transition(S.DRAFT_VALIDATING, T.FAILED, S.DRAFT_INVALID),
    Transition(S.DRAFT_VALIDATING, T.DELETE, S.DELETE_IN_PROGRESS, nothing_is_captured),
    Transition(S.DRAFT_VALIDATING, T.UPDATED, S.DRAFT_UPDATING),
    Transition(S.DRAFT_INVALID, T.RETRY, S.DRAFT_VALIDATING),
    Transition(S.DRAFT_INVALID, T.DELETE, S.DELETE_IN_PROGRESS, nothing_is_captured),
    Transition(S.DRAFT_INVALID, T.UPDATED, S.DRAFT_UPDATING),
    Transition(S.DRAFT_SYNCING, T.NEXT, S.DRAFT_MANUAL_APPROVAL_NEEDED, draft_is_synced_and_waits_for_approval),
    Transition(S.DRAFT_SYNCING, T.NEXT, S.DRAFT_WAITING_AUTO_APPROVAL, draft_is_synced_and_advances_by_itself),
    Transition(S.DRAFT_SYNCING, T.FAILED, S.DRAFT_SYNC_FAILED),
    Transition(S.DRAFT_SYNCING, T.DELETE, S.DELETE_IN_PROGRESS, nothing_is_captured),
    Transition(S.DRAFT_SYNCING, T.UPDATED, S.DRAFT_UPDATING),
    Transition(S.DRAFT_SYNC_FAILED, T.RETRY, S.DRAFT_VALIDATING),
    Transition(S.DRAFT_SYNC_FAILED, T.DELETE, S.DELETE_IN_PROGRESS, nothing_is_captured),
    Transition(S.DRAFT_SYNC_FAILED, T.UPDATED, S.DRAFT_UPDATING),
    Transition(S.DRAFT_WAITING_AUTO_APPROVAL, T.NEXT, S.DRAFT_READY_TO_ISSUE, draft_period_is_over),
    Transition(S.DRAFT_WAITING_AUTO_APPROVAL, T.APPROVE, S.DRAFT_READY_TO_ISSUE),
    Transition(S.DRAFT_WAITING_AUTO_APPROVAL, T.DELETE, S.DELETE_IN_PROGRESS, nothing_is_captured),
    Transition(S.DRAFT_WAITING_AUTO_APPROVAL, T.UPDATED, S.DRAFT_UPDATING),
    Transition(S.DRAFT_MANUAL_APPROVAL_NEEDED, T.APPROVE, S.DRAFT_READY_TO_ISSUE, nothing_critical_is_open),
    Transition(S.DRAFT_MANUAL_APPROVAL_NEEDED, T.DELETE, S.DELETE_IN_PROGRESS, nothing_is_captured),
    Transition(S.DRAFT_MANUAL_APPROVAL_NEEDED, T.UPDATED, S.DRAFT_UPDATING),
    Transition(S.DRAFT_READY_TO_ISSUE, T.NEXT, S.DELETE_SYNCING, no_line_is_left),
    Transition(S.DRAFT_READY_TO_ISSUE, T.NEXT, S.ISSUING_LINE_FINALIZATION),
    Transition(S.DRAFT_READY_TO_ISSUE, T.DELETE, S.DELETE_IN_PROGRESS, nothing_is_captured),
    Transition(S.DRAFT_READY_TO_ISSUE, T.UPDATED, S.DRAFT_UPDATING),
    Transition(S.DELETE_IN_PROGRESS, T.NEXT, S.DELETE_SYNCING),
    Transition(S.DELETE_IN_PROGRESS, T.FAILED, S.DELETE_FAILED),
    Transition(S.DELETE_SYNCING, T.NEXT, S.DELETED, delete_is_confirmed),
    Transition(S.DELETE_SYNCING, T.FAILED, S.DELETE_FAILED),
    Transition(S.DELETE_FAILED, T.DELETE, S.DELETE_IN_PROGRESS),
    Transition(S.ISSUING_LINE_FINALIZATION, T.NEXT, S.ISSUING_SYNCING),
    Transition(S.ISSUING_LINE_FINALIZATION, T.FAILED, S.ISSUING_LINE_FINALIZATION_FAILED),
    Transition(S.ISSUING_LINE_FINALIZATION, T.DELETE, S.DELETE_IN_PROGRESS, nothing_is_captured),
    Transition(S.ISSUING_LINE_FINALIZATION_FAILED, T.RETRY, S.ISSUING_LINE_FINALIZATION),
    Transition(S.ISSUING_LINE_FINALIZATION_FAILED, T.DELETE, S.DELETE_IN_PROGRESS, nothing_is_captured),
    Transition(S.ISSUING_SYNCING, T.NEXT, S.ISSUING_CHARGE_BOOKING, issue_is_confirmed),
    Transition(S.ISSUING_SYNCING, T.FAILED, S.ISSUING_FAILED),
    Transition(S.ISSUING_SYNCING, T.DELETE, S.DELETE_IN_PROGRESS, nothing_is_captured),
    Transition(S.ISSUING_FAILED, T.RETRY, S.DRAFT_VALIDATING, draft_was_changed_since_its_sync),
    Transition(S.ISSUING_FAILED, T.RETRY, S.ISSUING_SYNCING),
    Transition(S.ISSUING_FAILED, T.DELETE, S.DELETE_IN_PROGRESS, nothing_is_captured),
    Transition(S.ISSUING_CHARGE_BOOKING, T.NEXT, S.ISSUED),
    Transition(S.ISSUING_CHARGE_BOOKING, T.FAILED, S.ISSUING_CHARGE_BOOKING_FAILED),
    Transition(S.ISSUING_CHARGE_BOOKING, T.DELETE, S.DELETE_IN_PROGRESS, nothing_is_captured),
    Transition(S.ISSUING_CHARGE_BOOKING_FAILED, T.RETRY, S.ISSUING_CHARGE_BOOKING),
    Transition(S.ISSUING_CHARGE_BOOKING_FAILED, T.DELETE, S.DELETE_IN_PROGRESS, nothing_is_captured),
    Transition(S.ISSUED, T.NEXT, S.PAYMENT_PENDING),
    Transition(S.ISSUED, T.VOID, S.VOIDED, nothing_is_captured),
    Transition(S.PAYMENT_PENDING, T.AUTHORIZED, S.PAYMENT_BOOKING_AUTHORIZED),
    Transition(S.PAYMENT_PENDING, T.PAID, S.PAYMENT_BOOKING_AUTHORIZED_AND_SETTLED),
    Transition(S.PAYMENT_PENDING, T.FAILED, S.PAYMENT_FAILED),
    Transition(S.PAYMENT_PENDING, T.PAYMENT_UNCOLLECTIBLE, S.UNCOLLECTIBLE),
    Transition(S.PAYMENT_PENDING, T.PAYMENT_OVERDUE, S.OVERDUE),
    Transition(S.PAYMENT_PENDING, T.ACTION_REQUIRED, S.PAYMENT_ACTION_REQUIRED),
    Transition(S.PAYMENT_PENDING, T.VOID, S.VOIDED, nothing_is_captured),
    Transition(S.PAYMENT_BOOKING_AUTHORIZED, T.NEXT, S.PAYMENT_AUTHORIZED),
    Transition(S.PAYMENT_BOOKING_AUTHORIZED, T.FAILED, S.PAYMENT_BOOKING_AUTHORIZED_FAILED),
    Transition(S.PAYMENT_BOOKING_AUTHORIZED, T.VOID, S.VOIDED, nothing_is_captured),
    Transition(S.PAYMENT_BOOKING_AUTHORIZED_FAILED, T.RETRY, S.PAYMENT_BOOKING_AUTHORIZED),
    Transition(S.PAYMENT_BOOKING_AUTHORIZED_FAILED, T.VOID, S.VOIDED, nothing_is_captured),
    Transition(S.PAYMENT_BOOKING_AUTHORIZED_AND_SETTLED, T.NEXT, S.PAID),
    Transition(S.PAYMENT_BOOKING_AUTHORIZED_AND_SETTLED, T.FAILED, S.PAYMENT_BOOKING_AUTHORIZED_AND_SETTLED_FAILED),
    Transition(S.PAYMENT_BOOKING_AUTHORIZED_AND_SETTLED, T.VOID, S.VOIDED, nothing_is_captured),
    Transition(S.PAYMENT_BOOKING_AUTHORIZED_AND_SETTLED_FAILED, T.RETRY, S.PAYMENT_BOOKING_AUTHORIZED_AND_SETTLED),
    Transition(S.PAYMENT_BOOKING_AUTHORIZED_AND_SETTLED_FAILED, T.VOID, S.VOIDED, nothing_is_captured),
    Transition(S.PAYMENT_AUTHORIZED, T.PAID, S.PAYMENT_BOOKING_SETTLED),
    Transition(S.PAYMENT_AUTHORIZED, T.FAILED, S.PAYMENT_FAILED),
    Transition(S.PAYMENT_AUTHORIZED, T.PAYMENT_UNCOLLECTIBLE, S.UNCOLLECTIBLE),
    Transition(S.PAYMENT_AUTHORIZED, T.PAYMENT_OVERDUE, S.OVERDUE),
    Transition(S.PAYMENT_AUTHORIZED, T.ACTION_REQUIRED, S.PAYMENT_ACTION_REQUIRED),
    Transition(S.PAYMENT_AUTHORIZED, T.VOID, S.VOIDED, nothing_is_captured),
    Transition(S.PAYMENT_BOOKING_SETTLED, T.NEXT, S.PAID),
    Transition(S.PAYMENT_BOOKING_SETTLED, T.FAILED, S.PAYMENT_BOOKING_SETTLED_FAILED),
    Transition(S.PAYMENT_BOOKING_SETTLED, T.VOID, S.VOIDED, nothing_is_captured),
    Transition(S.PAYMENT_BOOKING_SETTLED_FAILED, T.RETRY, S.PAYMENT_BOOKING_SETTLED),
    Transition(S.PAYMENT_BOOKING_SETTLED_FAILED, T.VOID, S.VOIDED, nothing_is_captured),
    Transition(S.PAYMENT_FAILED, T.AUTHORIZED, S.PAYMENT_BOOKING_AUTHORIZED),
    Transition(S.PAYMENT_FAILED, T.PAID, S.PAYMENT_BOOKING_AUTHORIZED_AND_SETTLED),
    Transition(S.PAYMENT_FAILED, T.RETRY, S.PAYMENT_PENDING),
    Transition(S.PAYMENT_FAILED, T.PAYMENT_OVERDUE, S.OVERDUE),
    Transition(S.PAYMENT_FAILED, T.PAYMENT_UNCOLLECTIBLE, S.UNCOLLECTIBLE),
    Transition(S.PAYMENT_FAILED, T.ACTION_REQUIRED, S.PAYMENT_ACTION_REQUIRED),
    Transition(S.PAYMENT_FAILED, T.VOID, S.VOIDED, nothing_is_captured),
    Transition(S.PAYMENT_ACTION_REQUIRED, T.AUTHORIZED, S.PAYMENT_BOOKING_AUTHORIZED),
    Transition(S.PAYMENT_ACTION_REQUIRED, T.PAID, S.PAYMENT_BOOKING_AUTHORIZED_AND_SETTLED),
    Transition(S.PAYMENT_ACTION_REQUIRED, T.FAILED, S.PAYMENT_FAILED),
    Transition(S.PAYMENT_ACTION_REQUIRED, T.RETRY, S.PAYMENT_PENDING),
    Transition(S.PAYMENT_ACTION_REQUIRED, T.PAYMENT_OVERDUE, S.OVERDUE),
    Transition(S.PAYMENT_ACTION_REQUIRED, T.PAYMENT_UNCOLLECTIBLE, S.UNCOLLECTIBLE),
    Transition(S.PAYMENT_ACTION_REQUIRED, T.VOID, S.VOIDED, nothing_is_captured),
    Transition(S.OVERDUE, T.AUTHORIZED, S.PAYMENT_BOOKING_AUTHORIZED),
    Transition(S.OVERDUE, T.PAID, S.PAYMENT_BOOKING_AUTHORIZED_AND_SETTLED),
    Transition(S.OVERDUE, T.FAILED, S.PAYMENT_FAILED),
    Transition(S.OVERDUE, T.RETRY, S.PAYMENT_PENDING),
    Transition(S.OVERDUE, T.PAYMENT_UNCOLLECTIBLE, S.UNCOLLECTIBLE),
    Transition(S.OVERDUE, T.ACTION_REQUIRED, S.PAYMENT_ACTION_REQUIRED),
    Transition(S.PAID, T.FAILED, S.PAYMENT_FAILED, something_is_owed),
    Transition(S.UNCOLLECTIBLE, T.VOID, S.VOIDED, nothing_is_captured),
    Transition(S.UNCOLLECTIBLE, T.AUTHORIZED, S.PAYMENT_BOOKING_AUTHORIZED),
    Transition(S.UNCOLLECTIBLE, T.PAID, S.PAYMENT_BOOKING_AUTHORIZED_AND_SETTLED),
)

_ENTRY_OPERATIONS: dict[State, tuple[EntryOperation, ...]] = {
    S.DRAFT_VALIDATING: (
        EntryOperation("tax", "calculate_tax", _tax_is_open),
        EntryOperation("invoicing", "validate", _validation_is_open),
    ),
    S.DRAFT_SYNCING: (EntryOperation("invoicing", "sync_draft", _draft_sync_is_open),),
    S.DELETE_SYNCING: (EntryOperation("invoicing", "delete", _delete_is_open),),
    S.ISSUING_SYNCING: (
        EntryOperation("invoicing", "issue", _issue_is_open),
        EntryOperation("invoicing", "send", _send_is_open),
    ),
    S.PAYMENT_PENDING: (EntryOperation("payment", "collect_payment", _collection_is_open),),
    S.VOIDED: (EntryOperation("invoicing", "void", _void_is_open),),
    S.UNCOLLECTIBLE: (EntryOperation("invoicing", "mark_uncollectible", _write_off_is_open),),
}

# OpenMeter does not count draft.invalid as failed, and counts uncollectible as final although money may still arrive.
_FAILED_STATES = frozenset(state for state in S if state.endswith("failed"))
_FINAL_STATES = frozenset({S.DELETED, S.PAID, S.UNCOLLECTIBLE, S.VOIDED})


def _grouped(rows: tuple[Transition, ...]) -> dict[State, dict[Trigger, tuple[Transition, ...]]]:
    grouped: dict[State, dict[Trigger, tuple[Transition, ...]]] = {state: {} for state in State}
    for row in rows:
        grouped[row.state][row.trigger] = (*grouped[row.state].get(row.trigger, ()), row)
    return grouped


TRANSITIONS_FROM = _grouped(TRANSITIONS)

STATES: dict[State, StateInfo] = {
    state: StateInfo(
        entry=_ENTRY_OPERATIONS.get(state, ()),
        mutable=Trigger.UPDATED in TRANSITIONS_FROM[state],
        failed=state in _FAILED_STATES,
        final=state in _FINAL_STATES,
    )
    for state in State
}
