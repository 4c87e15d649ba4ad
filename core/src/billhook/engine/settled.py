"""One item's outcome on its way into the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Protocol

from billhook.contract.declaration import Capability
from billhook.contract.items import CreditNoteItem, InvoiceItem, PaymentItem, RefundItem
from billhook.contract.operations import OPERATIONS
from billhook.contract.outcomes import Pending
from billhook.domain.issue import ValidationIssue
from billhook.engine.apps import AppHandle
from billhook.engine.effects import Settlement
from billhook.engine.unit import Unit
from billhook.engine.work import WorkRow

GAVE_UP = "gave_up_waiting"
"""The code of an item that was waited for as long as anybody allowed."""


@dataclass(frozen=True, slots=True)
class Settled:
    """One item's outcome and where it came from. ``item`` is what the operation was given."""

    app: AppHandle
    capability: Capability
    work: WorkRow
    item: Any
    outcome: Settlement
    leftovers: Mapping[str, str] = field(default_factory=dict)

    @property
    def component(self) -> str:
        """Whose findings these are."""
        return _component(self.capability, self.app.type)

    def remember(self, unit: Unit, external_id: str | None) -> None:
        """Keep what was left behind at the provider: the next operation starts from it."""
        if not self.leftovers and external_id is None:
            return
        kind = _KINDS.get(OPERATIONS[self.capability].item)
        if kind is None:
            self._remember_customer(unit, external_id)
            return
        link = unit.links.of(self.work.item_id, self.app.id)
        link["kind"] = kind
        link["leftovers"] = {**link["leftovers"], **self.leftovers}
        link["external_id"] = external_id or link["external_id"]
        unit.links.save(link)

    def _remember_customer(self, unit: Unit, external_id: str | None) -> None:
        link = unit.customer_links.to_change(self.app.namespace, self.work.item_id, self.app.id)
        link["leftovers"] = {**link["leftovers"], **self.leftovers}
        link["external_id"] = external_id or link["external_id"]
        unit.customer_links.save(link)


_KINDS: Mapping[type, str] = {
    InvoiceItem: "invoice",
    CreditNoteItem: "credit_note",
    PaymentItem: "payment",
    RefundItem: "refund",
}
"""What a link is about. Only an invoice is looked at when its provider tells of it."""


@cache
def _component(capability: Capability, app_type: str) -> str:
    return OPERATIONS[capability].component(app_type)


class Outcomes(Protocol):
    """What outcomes mean for one kind of item."""

    def done(self, unit: Unit, settled: Settled, result: Any) -> None:
        """It is done, with that result."""

    def pending(self, unit: Unit, settled: Settled, outcome: Pending) -> None:
        """The provider has not finished, or the outside must speak first."""

    def rejected(
        self, unit: Unit, settled: Settled, issues: Sequence[ValidationIssue], external_id: str | None
    ) -> None:
        """The provider refuses it."""

    def doubted(self, unit: Unit, settled: Settled, reason: str) -> None:
        """Nobody knows. The work is held; nothing else changes."""
