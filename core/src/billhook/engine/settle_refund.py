"""What outcomes mean for refunds: money that went back, or that came back because the payer's bank did not take it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from billhook.contract.declaration import Capability
from billhook.contract.outcomes import Pending
from billhook.contract.results import RefundResult
from billhook.domain.issue import ValidationIssue
from billhook.engine import payments
from billhook.engine.asking_what_went_back import look
from billhook.engine.failed_refunds import bounced, refused, told_of
from billhook.engine.given_back import end_made_up_for, tell_of_refunds
from billhook.engine.moments import to_micros
from billhook.engine.money import Money
from billhook.engine.settled import GAVE_UP, Settled
from billhook.engine.unit import Unit
from billhook.engine.work import READY

REFUSED_LOOK_AGAIN = timedelta(hours=1)
_UNDER_WAY = frozenset({"pending", "processing"})


class RefundOutcomes:
    """Outcomes of giving money back, and of looking how that stands."""

    def __init__(self, money: Money) -> None:
        self._money = money

    def done(self, unit: Unit, settled: Settled, result: RefundResult) -> None:
        """The provider says how a refund stands."""
        row = unit.invoice(settled.work.subject_id)
        refund = unit.money.get("refund", settled.work.item_id)
        before = refund["state"]
        is_news = payments.take_refund(unit, row, refund, result)
        unit.record(row, f"{settled.capability}.{result.status}", operation_id=settled.work.operation_id)
        if not is_news:
            return
        payment = unit.money.get("payment", refund["payment_id"])
        failed = bounced if before == "succeeded" else refused
        findings = [failed(settled.app.name, refund)] if refund["state"] == "failed" else []
        unit.issues.report(row.id, told_of(refund), findings)
        end_made_up_for(unit, row, payment)
        tell_of_refunds(unit, row, payment)
        self._money.owed_otherwise(unit, row, settled.work.operation_id)

    def pending(self, unit: Unit, settled: Settled, outcome: Pending) -> None:
        """The refund is under way."""
        refund = unit.money.get("refund", settled.work.item_id)
        refund["state"] = "processing" if refund["state"] in _UNDER_WAY else refund["state"]
        refund["external_id"] = outcome.external_id or refund["external_id"]
        unit.money.save("refund", refund)
        self._record(unit, settled, "pending", outcome.reason)

    def rejected(
        self, unit: Unit, settled: Settled, issues: Sequence[ValidationIssue], external_id: str | None
    ) -> None:
        """The provider refuses the refund, or lets nobody look at it, which says nothing of the money."""
        note = issues[0].message if issues else None
        self._record(unit, settled, "rejected", note)
        refund = unit.money.get("refund", settled.work.item_id)
        if settled.capability is Capability.CHECK_REFUND:
            if refund["state"] in _UNDER_WAY and not any(issue.code == GAVE_UP for issue in issues):
                due = to_micros(unit.now + REFUSED_LOOK_AGAIN)
                unit.work.want(settled.work._replace(state=READY, due=due, operation_id=None))
            return
        refund |= {"state": "failed", "message": note}
        unit.money.save("refund", refund)
        row = unit.invoice(settled.work.subject_id)
        unit.issues.report(row.id, told_of(refund), [refused(settled.app.name, refund)])
        # Where there is nothing left to give back, somebody may have done it there.
        look(unit, unit.money.get("payment", refund["payment_id"]))

    def doubted(self, unit: Unit, settled: Settled, reason: str) -> None:
        """Nobody knows. The work is held; nothing else changes."""
        self._record(unit, settled, "in_doubt", reason)

    def _record(self, unit: Unit, settled: Settled, ending: str, note: str | None) -> None:
        row = unit.invoice(settled.work.subject_id)
        unit.record(row, f"{settled.capability}.{ending}", operation_id=settled.work.operation_id, note=note)
