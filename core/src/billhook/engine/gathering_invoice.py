"""Pending lines as the invoice that they would make now: calculated when somebody looks, stored nowhere."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from billhook.domain.calculation import calculated_lines, summed
from billhook.domain.ids import child_ulid
from billhook.domain.invoice import InvoiceContent, Line, LineDraft, Totals, whole_period
from billhook.domain.issue import Severity
from billhook.domain.money import ZERO
from billhook.domain.usage import UsageSource
from billhook.engine.collection import collection_due, is_metered, usage_questions
from billhook.engine.context import Context
from billhook.engine.queries import ReportedIssue
from billhook.engine.records import Gathering, PendingLine, ResolvedProfile
from billhook.engine.telling import told
from billhook.errors import InvalidInput

METERING = "openmeter.metering"
"""The component of what is found about usage, as OpenMeter names it."""


@dataclass(frozen=True, slots=True)
class Pool:
    """Pending lines of one customer and currency, and what their invoice would get."""

    gathering: Gathering
    lines: tuple[PendingLine, ...]
    resolved: ResolvedProfile


@dataclass(frozen=True, slots=True)
class GatheringInvoice:
    """Pending lines as an invoice. ``collection_at`` is when the first of them is due, None where there is none.

    ``can_be_invoiced`` says that one is due now. Metered lines whose usage nobody knows count nothing, and an issue says so.
    """

    gathering: Gathering
    content: InvoiceContent
    profile_id: str
    apps: Mapping[str, str]
    collection_at: datetime | None
    updated_at: datetime
    can_be_invoiced: bool
    issues: tuple[ReportedIssue, ...] = ()

    @property
    def id(self) -> str:
        """The id of the pool."""
        return self.gathering.id


class LiveView:
    """Calculates what pools of pending lines come to now."""

    def __init__(self, context: Context, usage: UsageSource | None) -> None:
        self._context = context
        self._usage = usage

    def of(self, pool: Pool) -> GatheringInvoice:
        """The pool as an invoice. Asks for the usage of its metered lines; never fails because nobody knows it."""
        now = self._context.clock.now()
        drafts = [pending.line for pending in pool.lines]
        quantities, issues = self._quantities(pool, drafts, now)
        lines, broken = _calculated(pool, drafts, quantities, now)
        profile, due = pool.resolved.profile, [pending.invoice_at for pending in pool.lines]
        return GatheringInvoice(
            gathering=pool.gathering,
            content=InvoiceContent(
                currency=pool.gathering.currency,
                customer=pool.resolved.customer.party,
                supplier=profile.supplier,
                lines=lines,
                totals=summed(line.totals for line in lines) if lines else Totals(),
                period=whole_period(drafts),
                workflow=pool.resolved.workflow,
            ),
            profile_id=profile.id,
            apps={"tax": profile.tax_app_id, "invoicing": profile.invoicing_app_id, "payment": profile.payment_app_id},
            collection_at=collection_due(pool.resolved.workflow, min(due)) if due else None,
            updated_at=max([pending.created_at for pending in pool.lines], default=pool.gathering.created_at),
            can_be_invoiced=any(at <= now for at in due),
            issues=(*issues, *broken),
        )

    def _quantities(
        self, pool: Pool, drafts: Sequence[LineDraft], now: datetime
    ) -> tuple[dict[str, Decimal], list[ReportedIssue]]:
        questions = usage_questions(pool.gathering.customer_id, drafts)
        known = self._ask(pool, questions) if questions else {}
        unknown = [draft for draft in drafts if draft.id and is_metered(draft) and draft.id not in known]
        nothing = {str(draft.id): ZERO for draft in unknown}
        return {**known, **nothing}, [_usage_unknown(draft, now) for draft in unknown]

    def _ask(self, pool: Pool, questions: Sequence[object]) -> Mapping[str, Decimal]:
        if self._usage is None:
            return {}
        try:
            return self._usage.quantities(questions)  # type: ignore[arg-type]
        except Exception as error:  # noqa: BLE001 - the host's code; what it can't say is shown as unknown
            fields = {"gathering": pool.gathering.id, "reason": told(error)}
            self._context.telemetry.log(logging.ERROR, "The usage source did not answer for pending lines.", fields)
            return {}


def _calculated(
    pool: Pool, drafts: Sequence[LineDraft], quantities: Mapping[str, Decimal], now: datetime
) -> tuple[tuple[Line, ...], list[ReportedIssue]]:
    ids = [pending.id for pending in pool.lines]
    try:
        return calculated_lines(drafts, ids, pool.gathering.currency, pool.resolved.workflow, quantities), []
    except InvalidInput as error:
        return (), [
            _not_calculable(pool, problem.code, problem.message, problem.path, now) for problem in error.problems
        ]


def _usage_unknown(draft: LineDraft, now: datetime) -> ReportedIssue:
    return ReportedIssue(
        id=child_ulid(str(draft.id), "usage"),
        created_at=now,
        severity=Severity.WARNING,
        code="usage_unknown",
        message=f"Nobody knows the usage of the line {draft.name!r} now, so it is shown without any.",
        component=METERING,
    )


def _not_calculable(pool: Pool, code: str, message: str, path: str, now: datetime) -> ReportedIssue:
    return ReportedIssue(
        id=child_ulid(pool.gathering.id, f"{code}{path}"),
        created_at=now,
        severity=Severity.CRITICAL,
        code=code,
        message=message,
        path=path,
    )


def live(view: LiveView, pools: Iterable[Pool]) -> dict[str, GatheringInvoice]:
    """Pools as invoices, by id."""
    return {pool.gathering.id: view.of(pool) for pool in pools}
