"""Confirmations of a sync pause by a caller. Each is bound to the invoice's revision; nothing that a caller stores elsewhere can pass a pause."""

from __future__ import annotations

from billhook.contract import wire
from billhook.contract.declaration import Capability
from billhook.contract.outcomes import Done
from billhook.contract.results import DocumentResult
from billhook.domain.lifecycle import State
from billhook.engine.invoice_row import InvoiceRow
from billhook.engine.local_items import item_of
from billhook.engine.settle import Settler
from billhook.engine.settle_invoice import unknown_ids
from billhook.engine.settled import Settled
from billhook.engine.unit import Unit
from billhook.engine.work import WorkRow
from billhook.errors import Conflict, InvalidInput, NotAllowed

PAUSES: dict[Capability, State] = {
    Capability.SYNC_DRAFT: State.DRAFT_SYNCING,
    Capability.ISSUE: State.ISSUING_SYNCING,
}
_PASSES: dict[Capability, str] = {
    Capability.SYNC_DRAFT: "synced_revision",
    Capability.ISSUE: "issued_revision",
}


def confirm(
    unit: Unit, settler: Settler, row: InvoiceRow, capability: Capability, outcome: Done[DocumentResult]
) -> None:
    """Pass the pause that the invoice waits in.

    The same confirmation again changes nothing. Raises Conflict for one with other content, NotAllowed in any other state, InvalidInput
    for line or discount ids that the invoice does not have.
    """
    content = wire.dump(outcome.result, DocumentResult).decode()
    key = (row.id, capability.value, row.revision)
    known = unit.confirmations.of(key)
    if known is not None and row.values[_PASSES[capability]] == row.revision:
        _accept_repeat(row, capability, known, content)
        return
    _check_state(unit, row, capability)
    work = WorkRow(row.id, capability, row.values["invoicing_app_id"], row.id, version=row.values["version"])
    item = item_of(unit, capability, work)
    strangers = unknown_ids(item.invoice, outcome.result)
    if strangers:
        raise InvalidInput(
            "line_unknown",
            f"Invoice {row.id} has no line or discount {', '.join(sorted(strangers))}. Nothing was stored.",
        )
    # One that did not pass the pause, because its totals differed, makes room for a better one.
    unit.confirmations.keep(key, content)
    settler.settle(unit, Settled(unit.app(work.app_id), capability, work, item, outcome))


def _accept_repeat(row: InvoiceRow, capability: Capability, known: str, content: str) -> None:
    if known != content:
        raise Conflict(
            f"Invoice {row.id} was already confirmed for {capability} with other content. It stays as it was confirmed.",
            "confirmation_differs",
        )


def _check_state(unit: Unit, row: InvoiceRow, capability: Capability) -> None:
    app = unit.app(row.values["invoicing_app_id"])
    if not app.handle.declaration.rules(capability).local:
        raise NotAllowed(
            f"Invoice {row.id} belongs to app {app.name}, which confirms {capability} itself.",
            "confirmation_not_awaited",
        )
    if row.state is not PAUSES[capability]:
        raise NotAllowed(
            f"Invoice {row.id} is not in {PAUSES[capability]} state but in {row.state}; there is nothing to confirm.",
            "confirmation_not_awaited",
        )
