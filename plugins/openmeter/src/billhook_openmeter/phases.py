"""Where an invoice stands upstream, in OpenMeter, and where it stands here: as few words as a decision needs."""

from __future__ import annotations

from enum import StrEnum


class Upstream(StrEnum):
    """Where an invoice stands in OpenMeter."""

    DRAFTING = "drafting"
    DRAFT_SYNC = "draft_sync"
    DRAFT_REFUSED = "draft_refused"
    """Its draft sync failed. It can be edited there, deleted, and tried again."""
    ISSUING = "issuing"
    ISSUE_SYNC = "issue_sync"
    ISSUE_REFUSED = "issue_refused"
    """Its issuing sync failed. It can be deleted there, and tried again; its content can't be changed any more."""
    PAYMENT_PENDING = "payment_pending"
    PAYMENT_FAILED = "payment_failed"
    ACTION_REQUIRED = "action_required"
    OVERDUE = "overdue"
    PAID = "paid"
    UNCOLLECTIBLE = "uncollectible"
    VOIDED = "voided"
    DELETED = "deleted"


class Here(StrEnum):
    """Where the same invoice stands in Billhook."""

    ABSENT = "absent"
    DRAFTING = "drafting"
    DRAFT_FAILED = "draft_failed"
    READY = "ready"
    ISSUING = "issuing"
    ISSUE_FAILED = "issue_failed"
    UNPAID = "unpaid"
    PAYMENT_FAILED = "payment_failed"
    ACTION_REQUIRED = "action_required"
    OVERDUE = "overdue"
    PAID = "paid"
    UNCOLLECTIBLE = "uncollectible"
    VOIDED = "voided"
    DELETING = "deleting"
    DELETE_FAILED = "delete_failed"
    """The provider does not let go of it."""
    DELETED = "deleted"


GATHERING = "gathering"

# The names on the wire, most special first: the first that the state is, or that stands before its dot, counts.
_UPSTREAM: tuple[tuple[str, Upstream], ...] = (
    ("draft.syncing", Upstream.DRAFT_SYNC),
    ("draft.sync_failed", Upstream.DRAFT_REFUSED),
    ("draft", Upstream.DRAFTING),
    ("issuing.syncing", Upstream.ISSUE_SYNC),
    ("issuing.failed", Upstream.ISSUE_REFUSED),
    ("issuing", Upstream.ISSUING),
    ("issued", Upstream.ISSUING),
    ("payment_processing.failed", Upstream.PAYMENT_FAILED),
    ("payment_processing.action_required", Upstream.ACTION_REQUIRED),
    ("payment_processing", Upstream.PAYMENT_PENDING),
    ("overdue", Upstream.OVERDUE),
    ("paid", Upstream.PAID),
    ("uncollectible", Upstream.UNCOLLECTIBLE),
    ("voided", Upstream.VOIDED),
    ("delete", Upstream.DELETED),
    ("deleted", Upstream.DELETED),
)
_HERE: tuple[tuple[str, Here], ...] = (
    ("draft.invalid", Here.DRAFT_FAILED),
    ("draft.sync_failed", Here.DRAFT_FAILED),
    ("draft.manual_approval_needed", Here.READY),
    ("draft.waiting_auto_approval", Here.READY),
    ("draft.ready_to_issue", Here.ISSUING),
    ("draft", Here.DRAFTING),
    ("issuing.line_finalization_failed", Here.ISSUE_FAILED),
    ("issuing.failed", Here.ISSUE_FAILED),
    ("issuing.charge_booking_failed", Here.ISSUE_FAILED),
    ("issuing", Here.ISSUING),
    ("issued", Here.UNPAID),
    ("payment_processing.failed", Here.PAYMENT_FAILED),
    ("payment_processing.action_required", Here.ACTION_REQUIRED),
    ("payment_processing", Here.UNPAID),
    ("overdue", Here.OVERDUE),
    ("paid", Here.PAID),
    ("uncollectible", Here.UNCOLLECTIBLE),
    ("voided", Here.VOIDED),
    ("deleted", Here.DELETED),
    ("delete.failed", Here.DELETE_FAILED),
    ("delete", Here.DELETING),
)


def upstream_phase(extended_status: str) -> Upstream | None:
    """Where it stands upstream; None for what is no invoice yet, ``GATHERING``, or a state that nobody here knows."""
    return next((phase for name, phase in _UPSTREAM if _is(extended_status, name)), None)


def phase_here(status: str) -> Here:
    """Where it stands here."""
    return next(phase for name, phase in _HERE if _is(status, name))


def _is(status: str, name: str) -> bool:
    return status == name or status.startswith(f"{name}.")
