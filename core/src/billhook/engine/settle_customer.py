"""What outcomes mean for a customer, and for everything that waits until the customer stands at the provider."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from billhook.contract.declaration import Capability
from billhook.contract.outcomes import Pending, Rejected
from billhook.contract.results import CustomerResult
from billhook.domain.issue import ValidationIssue
from billhook.engine.settled import Settled
from billhook.engine.unit import Row, Unit
from billhook.engine.work import READY, until_customer


def remembered(before: Mapping[str, str], result: CustomerResult) -> dict[str, str]:
    """What an app keeps of a customer besides: an empty text takes an entry away."""
    return {name: text for name, text in {**before, **result.app_data}.items() if text}


class CustomerOutcomes:
    """Outcomes of bringing customers to a provider. ``settle`` applies the outcome of what waited for a refused one."""

    def __init__(self, settle: Callable[[Unit, Settled], None]) -> None:
        self._settle = settle

    def done(self, unit: Unit, settled: Settled, result: CustomerResult) -> None:
        """The customer stands at the provider; whatever waited for it goes on, unless it was edited while it was under way."""
        link = _link(unit, settled)
        link |= {
            "synced_revision": settled.item.revision,
            "external_id": result.external_id,
            "payment_method": result.payment_method or link["payment_method"],
            "app_data": remembered(link["app_data"], result),
            "leftovers": {},
            "failure": None,
        }
        unit.customer_links.save(link)
        if unit.customer_links.revision_of(settled.work.item_id) > settled.item.revision:
            unit.work.want(settled.work._replace(state=READY, due=unit.now_micros, operation_id=None))
        else:
            unit.work.release(until_customer(settled.work.item_id, settled.app.id), settled.app.id)

    def pending(self, unit: Unit, settled: Settled, outcome: Pending) -> None:
        """The customer waits at the provider; so does everything that needs it."""
        settled.remember(unit, outcome.external_id)

    def rejected(
        self, unit: Unit, settled: Settled, issues: Sequence[ValidationIssue], external_id: str | None
    ) -> None:
        """The provider refuses the customer; every invoice that waits for it stops, and says why."""
        settled.remember(unit, external_id)
        link = _link(unit, settled)
        link["failure"] = [issue.model_dump(mode="json") for issue in issues]
        unit.customer_links.save(link)
        reason = issues[0].message if issues else "the provider gave no reason"
        outcome = Rejected.because(
            "customer_rejected", f"{settled.app.name} refuses the customer: {reason} Mend the customer, then retry."
        )
        for work in unit.work.waiting_for(until_customer(settled.work.item_id, settled.app.id)):
            self._settle(unit, Settled(settled.app, Capability(work.operation), work, None, outcome))

    def doubted(self, unit: Unit, settled: Settled, reason: str) -> None:
        """Nobody knows. The work is held, and so is everything that needs the customer."""


def _link(unit: Unit, settled: Settled) -> Row:
    return unit.customer_links.to_change(settled.app.namespace, settled.work.item_id, settled.app.id)
