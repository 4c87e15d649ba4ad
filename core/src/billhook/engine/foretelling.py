"""Where an action would lead: through everything that is done at once, up to what somebody else has to do."""

from __future__ import annotations

from collections.abc import Mapping

from billhook.contract.declaration import Capability
from billhook.contract.outcomes import Done
from billhook.domain.lifecycle import Action, State, WorkNeeded, available_actions
from billhook.engine.invoice_row import InvoiceRow
from billhook.engine.local_outcomes import local_outcome_of
from billhook.engine.unit import Unit
from billhook.engine.work import WorkRow


class Foretelling:
    """Foretells for the invoices of one transaction. An app that works locally is asked once about each operation."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit
        self._known: dict[tuple[str, str], bool] = {}

    def actions(self, row: InvoiceRow) -> Mapping[Action, State]:
        """What can be done with that invoice now, and where it would rest then."""
        return available_actions(row.facts, self._unit.now, lambda need: self._passes(row, need))

    def _passes(self, row: InvoiceRow, need: WorkNeeded) -> bool:
        if need.operation == "validate":
            return True
        key = (row.values["invoicing_app_id"], need.operation)
        if key not in self._known:
            self._known[key] = self._is_done_at_once(row, Capability(need.operation))
        return self._known[key]

    def _is_done_at_once(self, row: InvoiceRow, capability: Capability) -> bool:
        app = self._unit.app_if_loaded(row.values["invoicing_app_id"])
        if app is None:
            return False
        if not app.handle.declaration.can(capability):
            return True
        if not app.handle.declaration.rules(capability).local:
            return False
        work = WorkRow(row.id, capability, app.id, row.id, version=row.values["version"])
        return isinstance(local_outcome_of(self._unit, app, capability, work)[1], Done)
