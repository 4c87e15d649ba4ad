"""Confirmations of a sync pause by a caller. Each is bound to the invoice's revision; nothing that a caller stores elsewhere can pass a pause."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from billhook.contract import wire
from billhook.contract.declaration import Capability
from billhook.contract.operations import OPERATIONS
from billhook.contract.outcomes import Done
from billhook.contract.results import DocumentResult
from billhook.domain.lifecycle import State
from billhook.engine.freeze import Freezer, Thawer
from billhook.engine.invoice_row import InvoiceRow
from billhook.engine.settle import Settler
from billhook.engine.settle_invoice import unknown_ids
from billhook.engine.settled import Settled
from billhook.engine.unit import Unit
from billhook.engine.work import WorkRow
from billhook.errors import Conflict, InvalidInput, NotAllowed
from billhook.store import schema
from billhook.store.statements import Upsert

PAUSES: dict[Capability, State] = {
    Capability.SYNC_DRAFT: State.DRAFT_SYNCING,
    Capability.ISSUE: State.ISSUING_SYNCING,
}
_PASSES: dict[Capability, str] = {
    Capability.SYNC_DRAFT: "synced_revision",
    Capability.ISSUE: "issued_revision",
}
_confirmation = schema.confirmation
_KEY = ("invoice_id", "stage", "revision")
_KEEP = Upsert(_confirmation, key=_KEY, columns=(*_KEY, "content", "at"))


def confirm(
    unit: Unit, settler: Settler, row: InvoiceRow, capability: Capability, outcome: Done[DocumentResult]
) -> None:
    """Pass the pause that the invoice waits in.

    The same confirmation again changes nothing. Raises Conflict for one with other content, NotAllowed in any other state, InvalidInput
    for line or discount ids that the invoice does not have.
    """
    content = wire.dump(outcome.result, DocumentResult).decode()
    known = _known(unit, row, capability)
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
    unit.tx.upsert_many(_KEEP, [(row.id, capability.value, row.revision, content, unit.now_micros)])
    settler.settle(unit, Settled(unit.app(work.app_id), capability, work, item, outcome))


def item_of(unit: Unit, capability: Capability, work: WorkRow) -> Any:
    """What an operation would be given for that work."""
    spec = OPERATIONS[capability]
    unit.flush_midway()
    frozen = Freezer(unit.context, unit.tx, work.app_id).freeze(spec, [work], {})
    return Thawer(unit.context, unit.tx, work.app_id).items(spec, frozen)[0]


def _known(unit: Unit, row: InvoiceRow, capability: Capability) -> str | None:
    content = unit.tx.scalar(
        sa.select(_confirmation.c.content).where(
            _confirmation.c.invoice_id == row.id,
            _confirmation.c.stage == capability.value,
            _confirmation.c.revision == row.revision,
        )
    )
    return None if content is None else str(content)


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
