"""What a look at an app could not tell while money was on its way to it: the app is asked again once that has come to an end."""

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
    """Money that was on its way to an app is there, or never will be: what else it shows can be told now."""
    for app_id in dict.fromkeys((row.values["invoicing_app_id"], row.values["payment_app_id"])):
        link = unit.links.of(row.id, app_id)
        evidence = dict(link["evidence"] or {})
        if evidence.pop(_UNSURE, None) is None or payments.is_under_way_to(unit, row, app_id):
            continue
        link["evidence"] = evidence or None
        unit.links.save(link)
        work = WorkRow(row.id, Capability.FETCH, app_id, row.id, version=row.values["version"])
        advancer.want(unit, unit.app(app_id), Capability.FETCH, work, row.values["customer_id"])
