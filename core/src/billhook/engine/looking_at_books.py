"""Having an app asked what it shows of an invoice, without anybody having told that something changed there."""

from __future__ import annotations

from datetime import datetime, timedelta

from billhook.contract.declaration import Capability
from billhook.engine.apps import AppHandle
from billhook.engine.invoice_row import InvoiceRow
from billhook.engine.moments import to_micros
from billhook.engine.unit import Unit
from billhook.engine.work import WorkRow

_SHOWN_BY_THEN = timedelta(hours=1)
"""When books are looked at once more that showed something odd: what changed a moment ago some show only later."""


def can_be_read(app: AppHandle) -> bool:
    """Whether the app keeps books that can be looked at. One that answers by itself asks nobody outside, and knows no more than we do."""
    declaration = app.handle.declaration
    return declaration.can(Capability.FETCH) and not declaration.rules(Capability.FETCH).local


def look(unit: Unit, row: InvoiceRow, app: AppHandle) -> None:
    """Look at the books now."""
    _look_at(unit, row, app, unit.now)


def look_once_more(unit: Unit, row: InvoiceRow, app: AppHandle) -> None:
    """What the books show is odd: look at them again later."""
    _look_at(unit, row, app, unit.now + _SHOWN_BY_THEN)


def _look_at(unit: Unit, row: InvoiceRow, app: AppHandle, at: datetime) -> None:
    work = WorkRow(row.id, Capability.FETCH, app.id, row.id, due=to_micros(at))
    if not app.deleted and unit.work.pending(*work.key) is None:
        unit.work.want_if_free(work)
