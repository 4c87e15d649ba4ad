"""What a look at the books could not tell while money was on its way to them: they are asked again once that has come to an end."""

from __future__ import annotations

from billhook.contract.declaration import Capability
from billhook.engine import payments
from billhook.engine.advance import Advancer
from billhook.engine.apps import AppHandle
from billhook.engine.invoice_row import InvoiceRow
from billhook.engine.unit import Unit
from billhook.engine.work import WorkRow

_UNSURE = "unsure"


def once_it_is_sure(unit: Unit, row: InvoiceRow, app: AppHandle) -> None:
    """The app shows money that may be what is on its way to it, or may be somebody else's."""
    link = unit.links.of(row.id, app.id)
    link["evidence"] = (link["evidence"] or {}) | {_UNSURE: True}
    unit.links.save(link)


def if_it_is_sure(advancer: Advancer, unit: Unit, row: InvoiceRow) -> None:
    """Money that was on its way to the books is there, or never will be: what else they show can be told now."""
    app = unit.app(row.values["invoicing_app_id"])
    link = unit.links.of(row.id, app.id)
    evidence = dict(link["evidence"] or {})
    if app.deleted or evidence.pop(_UNSURE, None) is None or payments.is_under_way_to(unit, row, app.id):
        return
    link["evidence"] = evidence or None
    unit.links.save(link)
    work = WorkRow(row.id, Capability.FETCH, app.id, row.id, version=row.values["version"])
    advancer.want(unit, app, Capability.FETCH, work, row.values["customer_id"])
