"""What to do about an invoice, given where it stands on both sides: one table, which has an answer for every pair.

Nothing is remembered from one decision to the next but what is read again on both sides. So it does not matter which event led here, whether
it came late, twice, out of order or never, or where a run before this one ended.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from billhook_openmeter.phases import Here, Upstream


class PostAt(StrEnum):
    """When a document is made at a provider that keeps no drafts: while OpenMeter waits in draft sync, or in issuing sync."""

    DRAFT = "draft"
    ISSUE = "issue"


class Step(StrEnum):
    """What to do next."""

    WAIT = "wait"
    """Nothing: the other side, or the provider, has to move first."""
    MIRROR = "mirror"
    """Make the invoice here, or bring what changed upstream."""
    APPROVE = "approve"
    """Issue it at the provider."""
    RETRY = "retry"
    """Upstream was asked to try again what had failed here: try it again here."""
    DELETE = "delete"
    VOID = "void"
    TELL_DRAFT = "tell_draft"
    TELL_ISSUED = "tell_issued"
    TELL_FAILED = "tell_failed"
    """Say that the provider refuses the document, so that it shows upstream and can be retried there."""
    TELL_PAYMENT = "tell_payment"
    """Say upstream how the payment stands here."""
    HEAR_PAYMENT = "hear_payment"
    """Take over how the payment stands upstream."""
    NOTE_TOLD = "note_told"
    """Upstream shows the failure already: remember that it was told."""
    STUCK = "stuck"
    """The two sides contradict each other in a way that only a person can settle."""


U, H, S = Upstream, Here, Step

ISSUED = frozenset({H.UNPAID, H.PAYMENT_FAILED, H.ACTION_REQUIRED, H.OVERDUE, H.PAID, H.UNCOLLECTIBLE})
UNPAID = ISSUED - {H.PAID}
BEFORE_ISSUE = frozenset({H.DRAFTING, H.DRAFT_FAILED, H.READY})
GONE = frozenset({H.VOIDED, H.DELETED})
FAILED = frozenset({H.DRAFT_FAILED, H.ISSUE_FAILED, H.PAYMENT_FAILED})


def _row(*groups: tuple[frozenset[Here] | Here, Step], rest: Step = S.WAIT) -> Mapping[Here, Step]:
    row = dict.fromkeys(Here, rest)
    for phases, step in groups:
        row |= dict.fromkeys([phases] if isinstance(phases, Here) else phases, step)
    return row


STEPS: Mapping[Upstream, Mapping[Here, Step]] = {
    U.DRAFTING: _row((H.DRAFT_FAILED, S.NOTE_TOLD)),
    U.DRAFT_SYNC: _row(
        (H.ABSENT, S.MIRROR),
        (H.READY, S.TELL_DRAFT),
        (ISSUED, S.TELL_DRAFT),
        (H.DRAFT_FAILED, S.TELL_FAILED),
        (H.ISSUE_FAILED, S.TELL_FAILED),
        (GONE, S.STUCK),
    ),
    U.ISSUING: _row((H.ISSUE_FAILED, S.NOTE_TOLD), (H.DRAFT_FAILED, S.NOTE_TOLD)),
    U.ISSUE_SYNC: _row(
        (H.ABSENT, S.MIRROR),
        (H.READY, S.APPROVE),
        (ISSUED, S.TELL_ISSUED),
        (H.DRAFT_FAILED, S.TELL_FAILED),
        (H.ISSUE_FAILED, S.TELL_FAILED),
        (GONE, S.STUCK),
    ),
    U.PAYMENT_PENDING: _row(
        (H.ABSENT, S.MIRROR),
        (H.READY, S.APPROVE),
        (ISSUED - {H.UNPAID}, S.TELL_PAYMENT),
        (H.VOIDED, S.TELL_PAYMENT),
        (H.DRAFT_FAILED, S.STUCK),
        (H.ISSUE_FAILED, S.STUCK),
        (H.DELETED, S.STUCK),
    ),
    U.PAYMENT_FAILED: _row(
        (frozenset({H.ACTION_REQUIRED, H.PAID, H.UNCOLLECTIBLE, H.VOIDED}), S.TELL_PAYMENT),
        (H.PAYMENT_FAILED, S.NOTE_TOLD),
        (H.DELETED, S.STUCK),
    ),
    U.ACTION_REQUIRED: _row(
        (frozenset({H.PAYMENT_FAILED, H.PAID, H.UNCOLLECTIBLE, H.VOIDED}), S.TELL_PAYMENT),
        (H.DELETED, S.STUCK),
    ),
    U.OVERDUE: _row(
        (frozenset({H.PAID, H.UNCOLLECTIBLE, H.VOIDED}), S.TELL_PAYMENT),
        (H.DELETED, S.STUCK),
    ),
    # What was paid and then taken back is a payment that failed here: no upstream state takes that over.
    U.PAID: _row(
        (UNPAID - {H.PAYMENT_FAILED}, S.HEAR_PAYMENT),
        (H.PAYMENT_FAILED, S.STUCK),
        (GONE, S.STUCK),
    ),
    U.UNCOLLECTIBLE: _row(
        (UNPAID - {H.UNCOLLECTIBLE}, S.HEAR_PAYMENT),
        (H.PAID, S.TELL_PAYMENT),
        (H.VOIDED, S.TELL_PAYMENT),
        (H.DELETED, S.STUCK),
    ),
    U.VOIDED: _row(
        (BEFORE_ISSUE, S.DELETE),
        (H.ISSUE_FAILED, S.DELETE),
        (UNPAID, S.VOID),
        (H.PAID, S.STUCK),
    ),
    U.DELETED: _row(
        (BEFORE_ISSUE, S.DELETE),
        (H.ISSUE_FAILED, S.DELETE),
        (UNPAID, S.VOID),
        (H.PAID, S.STUCK),
    ),
}


@dataclass(frozen=True, slots=True)
class Situation:
    """One invoice on both sides. ``current``: what is here was made from what upstream has now. ``told``: this very failure was told upstream."""

    upstream: Upstream
    here: Here
    current: bool = True
    told: bool = False
    drafts_at_provider: bool = True


PAUSES = frozenset({U.DRAFT_SYNC, U.ISSUE_SYNC})
"""Where upstream waits for us, and lets nobody change the invoice."""
_AWAITS_US = PAUSES | {U.PAYMENT_PENDING}
_CHANGEABLE = frozenset({H.DRAFTING, H.DRAFT_FAILED, H.READY})


def may_differ(upstream: Upstream, here: Here) -> bool:
    """Whether what upstream has now has to be brought here, where it is not what the invoice here was made from.

    Past the pauses upstream did not wait for us: what is issued here by then was issued with what upstream had.
    """
    return here is not H.ABSENT if upstream in PAUSES else upstream in _AWAITS_US and here in _CHANGEABLE


def decide(situation: Situation, post_at: PostAt = PostAt.ISSUE) -> Step:
    """The next step."""
    upstream, here = situation.upstream, situation.here
    if not situation.current and may_differ(upstream, here):
        return _bring_changes(here)
    step = STEPS[upstream][here]
    if step is S.TELL_DRAFT and here is H.READY and post_at is PostAt.DRAFT and not situation.drafts_at_provider:
        return S.APPROVE
    return _once_told(upstream, step) if here in FAILED and situation.told else step


def _bring_changes(here: Here) -> Step:
    if here in _CHANGEABLE:
        return S.MIRROR
    return S.WAIT if here in (H.ISSUING, H.DELETING) else S.STUCK


def _once_told(upstream: Upstream, step: Step) -> Step:
    """Told already. Where upstream waits for us nevertheless, somebody there asked for another try."""
    if step not in (S.TELL_FAILED, S.TELL_PAYMENT, S.NOTE_TOLD):
        return step
    return S.RETRY if upstream in _AWAITS_US else S.WAIT
