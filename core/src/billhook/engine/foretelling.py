"""Where an action would lead: through everything that is done at once, up to what somebody else has to do."""

from __future__ import annotations

from collections.abc import Mapping

from billhook.contract.declaration import Capability
from billhook.contract.outcomes import Done
from billhook.domain.lifecycle import Action, State, Trigger, WorkNeeded, available_actions
from billhook.engine import payments
from billhook.engine.invoice_row import InvoiceRow
from billhook.engine.local_outcomes import local_outcome_of
from billhook.engine.unit import Unit
from billhook.engine.work import WorkRow

_STANDS_AT = {
    Trigger.AUTHORIZED: State.PAYMENT_AUTHORIZED,
    Trigger.ACTION_REQUIRED: State.PAYMENT_ACTION_REQUIRED,
}


class Foretelling:
    """Foretells for the invoices of one transaction. An app that works locally is asked once about each operation."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit
        self._known: dict[tuple[str, str], bool] = {}

    def actions(self, row: InvoiceRow) -> Mapping[Action, State]:
        """What can be done with that invoice now, and where it would rest then."""
        actions = available_actions(row.facts, self._unit.now, lambda need: self._passes(row, need))
        return {action: self._rest(row, state) for action, state in actions.items()}

    def _rest(self, row: InvoiceRow, state: State) -> State:
        """Nothing is collected while a payment is under way: the invoice goes where that stands."""
        if state is not State.PAYMENT_PENDING:
            return state
        trigger = payments.where_it_stands(self._unit, row)
        return state if trigger is None else _STANDS_AT[trigger]

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
