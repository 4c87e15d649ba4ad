"""What a look at the books could not tell while money was on its way to them: they are asked again once that has come to an end.

A look that was under way when money arrived there may have been answered before: what it does not show is not missing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from billhook.contract.declaration import Capability
from billhook.engine import payments
from billhook.engine.apps import AppHandle
from billhook.engine.invoice_row import InvoiceRow
from billhook.engine.unit import Unit
from billhook.engine.work import WorkRow

if TYPE_CHECKING:
    from billhook.engine.advance import Advancer

_UNSURE, _CROSSED = "unsure", "crossed"


def crossed_by(unit: Unit, row: InvoiceRow, app: AppHandle) -> None:
    """What the app shows of the invoice changed just now. A look that is under way may not have seen that."""
    if unit.work.is_claimed(_look(row, app)):
        unit.links.remember(row.id, app.id, _CROSSED, True)


def was_crossed(unit: Unit, row: InvoiceRow, app: AppHandle) -> bool:
    """Whether the look that ends now may be older than what is known. Then another one is made."""
    if unit.links.remembered(row.id, app.id, _CROSSED) is None:
        return False
    unit.links.remember(row.id, app.id, _CROSSED, None)
    unit.work.want(_look(row, app)._replace(due=unit.now_micros))
    return True


def once_it_is_sure(unit: Unit, row: InvoiceRow, app: AppHandle) -> None:
    """The app shows money that may be what is on its way to it, or may be somebody else's."""
    unit.links.remember(row.id, app.id, _UNSURE, True)


def if_it_is_sure(advancer: Advancer, unit: Unit, row: InvoiceRow) -> None:
    """Money that was on its way to the books is there, or never will be: what else they show can be told now."""
    app = unit.app(row.values["invoicing_app_id"])
    is_unsure = unit.links.remembered(row.id, app.id, _UNSURE) is not None
    if app.deleted or not is_unsure or payments.is_under_way_to(unit, row, app.id):
        return
    unit.links.remember(row.id, app.id, _UNSURE, None)
    advancer.want(unit, app, Capability.FETCH, _look(row, app), row.values["customer_id"])


def _look(row: InvoiceRow, app: AppHandle) -> WorkRow:
    return WorkRow(row.id, Capability.FETCH, app.id, row.id, version=row.values["version"])
