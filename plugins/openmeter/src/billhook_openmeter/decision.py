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
    TELL_EMPTY = "tell_empty"
    """Let upstream go on with a draft of which every line was deleted: it deletes such an invoice itself."""
    TELL_ISSUED = "tell_issued"
    TELL_FAILED = "tell_failed"
    """Say that the provider refuses the document, so that it shows upstream and can be retried there."""
    TELL_PAYMENT = "tell_payment"
    """Say upstream how the payment stands here."""
    HEAR_PAYMENT = "hear_payment"
    """Take over how the payment stands upstream."""
    NOTE_TOLD = "note_told"
    """Upstream shows already how it stands here: remember that it was told."""
    STUCK = "stuck"
    """The two sides contradict each other in a way that only a person can settle."""


U, H, S = Upstream, Here, Step

ISSUED = frozenset({H.UNPAID, H.PAYMENT_FAILED, H.ACTION_REQUIRED, H.OVERDUE, H.PAID, H.UNCOLLECTIBLE})
UNPAID = ISSUED - {H.PAID}
BEFORE_ISSUE = frozenset({H.DRAFTING, H.DRAFT_FAILED, H.READY})
GONE = frozenset({H.VOIDED, H.DELETED})
REFUSED = frozenset({H.DRAFT_FAILED, H.ISSUE_FAILED})
"""Where the provider, or a check here, does not take the document."""
TOLD_ONCE = REFUSED | {H.PAYMENT_FAILED, H.OVERDUE}
"""Told once each time it comes about, and a retry upstream is one here. No retry here ends an action that is required of the payer."""


def _row(*groups: tuple[frozenset[Here] | Here, Step], rest: Step = S.WAIT) -> Mapping[Here, Step]:
    row = dict.fromkeys(Here, rest)
    for phases, step in groups:
        row |= dict.fromkeys([phases] if isinstance(phases, Here) else phases, step)
    return row


# Of what was never here nothing is made but where upstream waits for it: whatever went past that before the bridge came was delivered otherwise.
STEPS: Mapping[Upstream, Mapping[Here, Step]] = {
    U.DRAFTING: _row(
        (REFUSED, S.NOTE_TOLD),
        (GONE | {H.DELETE_FAILED}, S.STUCK),
    ),
    U.DRAFT_SYNC: _row(
        (H.ABSENT, S.MIRROR),
        (ISSUED | {H.READY}, S.TELL_DRAFT),
        (REFUSED, S.TELL_FAILED),
        (GONE | {H.DELETE_FAILED}, S.STUCK),
    ),
    U.DRAFT_REFUSED: _row(
        (REFUSED, S.NOTE_TOLD),
        (ISSUED | GONE | {H.ABSENT, H.READY, H.DELETE_FAILED}, S.STUCK),
    ),
    U.ISSUING: _row(
        (REFUSED, S.NOTE_TOLD),
        (GONE | {H.DELETE_FAILED}, S.STUCK),
    ),
    U.ISSUE_SYNC: _row(
        (H.ABSENT, S.MIRROR),
        (H.READY, S.APPROVE),
        (ISSUED, S.TELL_ISSUED),
        (REFUSED, S.TELL_FAILED),
        (GONE | {H.DELETE_FAILED}, S.STUCK),
    ),
    U.ISSUE_REFUSED: _row(
        (REFUSED, S.NOTE_TOLD),
        (ISSUED | GONE | {H.ABSENT, H.READY, H.DELETE_FAILED}, S.STUCK),
    ),
    U.PAYMENT_PENDING: _row(
        (H.ABSENT, S.MIRROR),
        (H.READY, S.APPROVE),
        (ISSUED - {H.UNPAID}, S.TELL_PAYMENT),
        (H.VOIDED, S.TELL_PAYMENT),
        (REFUSED | {H.DELETE_FAILED, H.DELETED}, S.STUCK),
    ),
    U.PAYMENT_FAILED: _row(
        (H.READY, S.APPROVE),
        (ISSUED - {H.UNPAID, H.PAYMENT_FAILED}, S.TELL_PAYMENT),
        (H.VOIDED, S.TELL_PAYMENT),
        (H.PAYMENT_FAILED, S.NOTE_TOLD),
        (REFUSED | {H.DELETE_FAILED, H.DELETED}, S.STUCK),
    ),
    U.ACTION_REQUIRED: _row(
        (H.READY, S.APPROVE),
        (ISSUED - {H.UNPAID, H.ACTION_REQUIRED}, S.TELL_PAYMENT),
        (H.VOIDED, S.TELL_PAYMENT),
        (REFUSED | {H.DELETE_FAILED, H.DELETED}, S.STUCK),
    ),
    U.OVERDUE: _row(
        (H.READY, S.APPROVE),
        (frozenset({H.UNPAID, H.PAYMENT_FAILED, H.ACTION_REQUIRED}), S.HEAR_PAYMENT),
        (H.OVERDUE, S.NOTE_TOLD),
        (frozenset({H.PAID, H.UNCOLLECTIBLE, H.VOIDED}), S.TELL_PAYMENT),
        (REFUSED | {H.DELETE_FAILED, H.DELETED}, S.STUCK),
    ),
    # What was paid and then taken back is a payment that failed here: no upstream state takes that over.
    U.PAID: _row(
        (H.READY, S.APPROVE),
        (UNPAID - {H.PAYMENT_FAILED}, S.HEAR_PAYMENT),
        (REFUSED | GONE | {H.PAYMENT_FAILED, H.DELETE_FAILED}, S.STUCK),
    ),
    U.UNCOLLECTIBLE: _row(
        (UNPAID - {H.UNCOLLECTIBLE}, S.HEAR_PAYMENT),
        (H.PAID, S.TELL_PAYMENT),
        (H.VOIDED, S.TELL_PAYMENT),
        (REFUSED | {H.READY, H.DELETE_FAILED, H.DELETED}, S.STUCK),
    ),
    U.VOIDED: _row(
        (BEFORE_ISSUE | {H.ISSUE_FAILED}, S.DELETE),
        (UNPAID, S.VOID),
        (frozenset({H.PAID, H.DELETE_FAILED}), S.STUCK),
    ),
    U.DELETED: _row(
        (BEFORE_ISSUE | {H.ISSUE_FAILED}, S.DELETE),
        (UNPAID, S.VOID),
        (frozenset({H.PAID, H.DELETE_FAILED}), S.STUCK),
    ),
}


@dataclass(frozen=True, slots=True)
class Situation:
    """One invoice on both sides.

    ``current``: what is here was made from what upstream has now. ``told``: that it stands so was told upstream. ``has_lines``: upstream has any.
    ``given_back``: no money is held for it here. ``asked``: a command waits here for what is under way.
    """

    upstream: Upstream
    here: Here
    current: bool = True
    told: bool = False
    drafts_at_provider: bool = True
    has_lines: bool = True
    given_back: bool = False
    asked: bool = False


PAUSES = frozenset({U.DRAFT_SYNC, U.ISSUE_SYNC})
"""Where upstream waits for us, and lets nobody change the invoice."""
ENDED_UPSTREAM = frozenset({U.VOIDED, U.DELETED})
FAILED_UPSTREAM = frozenset({U.DRAFT_REFUSED, U.ISSUE_REFUSED})
ACTS_HERE = frozenset({S.MIRROR, S.APPROVE, S.RETRY, S.DELETE, S.VOID, S.HEAR_PAYMENT})
_OWED = frozenset({U.PAYMENT_PENDING, U.PAYMENT_FAILED, U.ACTION_REQUIRED, U.OVERDUE, U.PAID})
"""Past the pauses: issued upstream, so that it has to be issued here."""
_CHANGEABLE = frozenset({H.DRAFTING, H.DRAFT_FAILED, H.READY})


def may_differ(upstream: Upstream, here: Here) -> bool:
    """Whether what upstream has now has to be brought here, where it is not what the invoice here was made from.

    Past the pauses upstream did not wait for us: what is issued here by then was issued with what upstream had.
    """
    return here is not H.ABSENT if upstream in PAUSES else upstream in _OWED and here in _CHANGEABLE


def decide(situation: Situation, post_at: PostAt = PostAt.ISSUE) -> Step:
    """The next step."""
    step = _step(situation, post_at)
    return S.WAIT if situation.asked and step in ACTS_HERE else step


def _step(situation: Situation, post_at: PostAt) -> Step:
    upstream, here = situation.upstream, situation.here
    if upstream is U.DRAFT_SYNC and not situation.has_lines:
        return S.TELL_EMPTY
    if not situation.current and may_differ(upstream, here):
        return _bring_changes(here)
    step = STEPS[upstream][here]
    if step is S.TELL_DRAFT and here is H.READY and post_at is PostAt.DRAFT and not situation.drafts_at_provider:
        return S.APPROVE
    if here is H.PAID and step is S.STUCK and situation.given_back and upstream not in FAILED_UPSTREAM:
        return S.WAIT
    return _once_told(upstream, step) if here in TOLD_ONCE and situation.told else step


def _bring_changes(here: Here) -> Step:
    # What was refused when it was to be issued is issued nowhere yet.
    if here in _CHANGEABLE | {H.ISSUE_FAILED}:
        return S.MIRROR
    return S.WAIT if here in (H.ISSUING, H.DELETING) else S.STUCK


def _once_told(upstream: Upstream, step: Step) -> Step:
    """Told already. Where upstream waits for us nevertheless, somebody there asked for another try."""
    if step not in (S.TELL_FAILED, S.TELL_PAYMENT, S.NOTE_TOLD):
        return step
    return S.RETRY if upstream in PAUSES | {U.PAYMENT_PENDING} else S.WAIT
