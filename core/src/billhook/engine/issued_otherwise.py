"""An invoice that its app issued with other amounts than ours: a retry looks at what stands there before anything is issued again."""

from __future__ import annotations

from billhook.contract.declaration import Capability
from billhook.contract.items import InvoiceItem
from billhook.contract.results import Snapshot
from billhook.engine.apps import AppHandle
from billhook.engine.invoice_row import InvoiceRow
from billhook.engine.unit import Row, Unit

_OTHERWISE = "issued_otherwise"


def remember(link: Row, item: InvoiceItem) -> str | None:
    """That revision of the invoice stands issued there. Returns as what."""
    link["evidence"] = (link["evidence"] or {}) | {_OTHERWISE: item.invoice.revision}
    issued_as: str | None = link["external_id"]
    return issued_as


def is_to_be_looked_at(unit: Unit, row: InvoiceRow, app: AppHandle) -> bool:
    """Whether this revision stands issued there already, as far as is known, and the app can be looked at."""
    declaration = app.handle.declaration
    stands = (unit.links.of(row.id, app.id)["evidence"] or {}).get(_OTHERWISE) == row.revision
    return stands and declaration.can(Capability.FETCH) and not declaration.rules(Capability.FETCH).local


def is_gone(link: Row, app: AppHandle, seen: Snapshot) -> bool:
    """Whether it stood there issued and does no more, so that it is to be issued anew. What was known of it is forgotten then, but for the
    id where drafts are issued: that is the draft's, and its app says what becomes of one that is gone.
    """
    evidence = dict(link["evidence"] or {})
    if evidence.pop(_OTHERWISE, None) is None or (seen.found and not seen.voided):
        return False
    link |= {"leftovers": {}, "evidence": evidence or None}
    if not app.handle.declaration.can(Capability.SYNC_DRAFT):
        link["external_id"] = None
    return True
