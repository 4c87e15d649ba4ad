"""The states an invoice can be in and the triggers that move it, by their wire names.

The names are OpenMeter's. What leads where stands in `transitions`.
"""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """Where an invoice stands: the whole name, as in `statusDetails.extendedStatus`."""

    DRAFT_CREATED = "draft.created"
    DRAFT_WAITING_FOR_COLLECTION = "draft.waiting_for_collection"
    DRAFT_COLLECTING = "draft.collecting"
    DRAFT_UPDATING = "draft.updating"
    DRAFT_VALIDATING = "draft.validating"
    DRAFT_INVALID = "draft.invalid"
    DRAFT_SYNCING = "draft.syncing"
    DRAFT_SYNC_FAILED = "draft.sync_failed"
    DRAFT_WAITING_AUTO_APPROVAL = "draft.waiting_auto_approval"
    DRAFT_MANUAL_APPROVAL_NEEDED = "draft.manual_approval_needed"
    DRAFT_READY_TO_ISSUE = "draft.ready_to_issue"
    DELETE_IN_PROGRESS = "delete.in_progress"
    DELETE_SYNCING = "delete.syncing"
    DELETE_FAILED = "delete.failed"
    DELETED = "deleted"
    ISSUING_LINE_FINALIZATION = "issuing.line_finalization"
    ISSUING_LINE_FINALIZATION_FAILED = "issuing.line_finalization_failed"
    ISSUING_SYNCING = "issuing.syncing"
    ISSUING_FAILED = "issuing.failed"
    ISSUING_CHARGE_BOOKING = "issuing.charge_booking"
    ISSUING_CHARGE_BOOKING_FAILED = "issuing.charge_booking_failed"
    ISSUED = "issued"
    PAYMENT_PENDING = "payment_processing.pending"
    PAYMENT_BOOKING_AUTHORIZED = "payment_processing.booking_authorized"
    PAYMENT_BOOKING_AUTHORIZED_FAILED = "payment_processing.booking_authorized_failed"
    PAYMENT_BOOKING_AUTHORIZED_AND_SETTLED = "payment_processing.booking_authorized_and_settled"
    PAYMENT_BOOKING_AUTHORIZED_AND_SETTLED_FAILED = "payment_processing.booking_authorized_and_settled_failed"
    PAYMENT_AUTHORIZED = "payment_processing.authorized"
    PAYMENT_BOOKING_SETTLED = "payment_processing.booking_settled"
    PAYMENT_BOOKING_SETTLED_FAILED = "payment_processing.booking_settled_failed"
    PAYMENT_FAILED = "payment_processing.failed"
    PAYMENT_ACTION_REQUIRED = "payment_processing.action_required"
    OVERDUE = "overdue"
    PAID = "paid"
    UNCOLLECTIBLE = "uncollectible"
    VOIDED = "voided"

    @property
    def short(self) -> str:
        """The part before the dot: the wire field `status`."""
        return self.value.partition(".")[0]


class Trigger(StrEnum):
    """What can happen to an invoice."""

    NEXT = "next"
    FAILED = "failed"
    UPDATED = "updated"
    FORCE_COLLECT = "force_collect"
    DELETE = "delete"
    RETRY = "retry"
    APPROVE = "approve"
    PAID = "paid"
    AUTHORIZED = "authorized"
    ACTION_REQUIRED = "action_required"
    PAYMENT_UNCOLLECTIBLE = "payment_uncollectible"
    PAYMENT_OVERDUE = "payment_overdue"
    VOID = "void"


class Action(StrEnum):
    """What a user may be offered: a key of `statusDetails.availableActions`."""

    ADVANCE = "advance"
    APPROVE = "approve"
    DELETE = "delete"
    RETRY = "retry"
    SNAPSHOT_QUANTITIES = "snapshotQuantities"


TRIGGER_OF_ACTION: dict[Action, Trigger] = {
    Action.ADVANCE: Trigger.NEXT,
    Action.APPROVE: Trigger.APPROVE,
    Action.DELETE: Trigger.DELETE,
    Action.RETRY: Trigger.RETRY,
    Action.SNAPSHOT_QUANTITIES: Trigger.FORCE_COLLECT,
}
