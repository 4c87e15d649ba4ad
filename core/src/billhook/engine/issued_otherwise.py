"""An invoice that its app issued with other amounts than ours: a retry looks at what stands there before anything is issued again."""

from __future__ import annotations

from billhook.contract.declaration import Capability
from billhook.contract.results import Snapshot
from billhook.engine.apps import AppHandle
from billhook.engine.invoice_row import InvoiceRow
from billhook.engine.looking_at_books import can_be_read
from billhook.engine.unit import Unit

_OTHERWISE = "issued_otherwise"


def remember(unit: Unit, row: InvoiceRow, app: AppHandle) -> None:
    """The invoice stands issued there. That holds whatever becomes of it here meanwhile."""
    unit.links.remember(row.id, app.id, _OTHERWISE, True)


def end(unit: Unit, row: InvoiceRow, app: AppHandle) -> None:
    """What stands there is right: a draft, or issued as it is here."""
    unit.links.remember(row.id, app.id, _OTHERWISE, None)


def is_to_be_looked_at(unit: Unit, row: InvoiceRow, app: AppHandle) -> bool:
    """Whether the invoice stands issued there already, as far as is known, and the app can be looked at."""
    return can_be_read(app) and unit.links.remembered(row.id, app.id, _OTHERWISE) is not None


def is_gone(unit: Unit, row: InvoiceRow, app: AppHandle, seen: Snapshot) -> bool:
    """Whether it stood there issued, and does no more."""
    stood = unit.links.remembered(row.id, app.id, _OTHERWISE) is not None
    return stood and (seen.voided or not seen.found)


def forget(unit: Unit, row: InvoiceRow, app: AppHandle, operation: Capability = Capability.ISSUE) -> None:
    """It is to be done anew. Where drafts are issued the id stays: it is the draft's, and its app says what becomes of one that is gone."""
    link = unit.links.of(row.id, app.id)
    issues_a_draft = operation is Capability.ISSUE and app.handle.declaration.can(Capability.SYNC_DRAFT)
    link |= {"leftovers": {}, "external_id": link["external_id"] if issues_a_draft else None}
    unit.links.save(link)
    end(unit, row, app)
