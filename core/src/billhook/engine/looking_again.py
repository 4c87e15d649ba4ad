"""What a look at the books could not tell while money was on its way to them: they are asked again once that has come to an end.

A look that was under way when money arrived there may have been answered before: what it does not show is not missing.
"""

from __future__ import annotations

from billhook.contract.declaration import Capability
from billhook.engine import payments
from billhook.engine.advance import Advancer
from billhook.engine.apps import AppHandle
from billhook.engine.invoice_row import InvoiceRow
from billhook.engine.unit import Unit
from billhook.engine.work import WorkRow

_UNSURE, _CROSSED = "unsure", "crossed"


def crossed_by(unit: Unit, row: InvoiceRow, app: AppHandle) -> None:
    """What the app shows of the invoice changed just now. A look that is under way may not have seen that."""
    if unit.work.is_claimed(_look(row, app)):
        link = unit.links.of(row.id, app.id)
        link["evidence"] = (link["evidence"] or {}) | {_CROSSED: True}
        unit.links.save(link)


def was_crossed(unit: Unit, row: InvoiceRow, app: AppHandle) -> bool:
    """Whether the look that ends now may be older than what is known. Then another one is made."""
    link = unit.links.of(row.id, app.id)
    evidence = dict(link["evidence"] or {})
    if evidence.pop(_CROSSED, None) is None:
        return False
    link["evidence"] = evidence or None
    unit.links.save(link)
    unit.work.want(_look(row, app)._replace(due=unit.now_micros))
    return True


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
    advancer.want(unit, app, Capability.FETCH, _look(row, app), row.values["customer_id"])


def _look(row: InvoiceRow, app: AppHandle) -> WorkRow:
    return WorkRow(row.id, Capability.FETCH, app.id, row.id, version=row.values["version"])
