"""Running an operation that does no I/O, inside the transaction that wants it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from billhook.contract.declaration import Capability
from billhook.contract.items import Batch
from billhook.contract.outcomes import Done, Pending, Rejected, Retry
from billhook.engine.apps import AppHandle
from billhook.engine.local_items import item_of
from billhook.engine.unit import Unit
from billhook.engine.validating import provider_fault
from billhook.engine.work import WorkRow
from billhook.errors import ContractViolation


def local_outcome_of(unit: Unit, app: AppHandle, capability: Capability, work: WorkRow) -> tuple[Any, Any, str]:
    """The item that a local operation is given, what it returns, and the id it went under. Changes nothing."""
    item = item_of(unit, capability, work)
    operation_id = unit.context.new_id(unit.now)
    batch = Batch(operation_id, (item,), app.settings, unit.now, app.id, app.namespace)
    return item, _local_outcome(app, capability, batch), operation_id


def _local_outcome(app: AppHandle, capability: Capability, batch: Batch[Any, Any]) -> Any:
    try:
        returned = app.handle.start(capability, batch)
    except (Exception, SystemExit, GeneratorExit) as error:  # noqa: BLE001 - the plugin's fault stops this invoice alone
        return Rejected((provider_fault(app, error),))
    outcome = returned.get(batch.only.id) if isinstance(returned, Mapping) else None
    if not isinstance(outcome, Done | Pending | Rejected | Retry):
        fault = ContractViolation(f"the local operation {capability} returned no outcome for its item")
        return Rejected((provider_fault(app, fault),))
    return outcome
