"""Having an app asked what it shows of an invoice, without anybody having told that something changed there."""

from __future__ import annotations

from datetime import datetime, timedelta

from billhook.contract.declaration import Capability
from billhook.domain.lifecycle import State
from billhook.engine.apps import AppHandle
from billhook.engine.invoice_row import InvoiceRow
from billhook.engine.moments import from_micros, to_micros
from billhook.engine.unit import Unit
from billhook.engine.work import WorkRow

_SHOWN_BY_THEN = timedelta(hours=1)
"""When books are looked at once more that showed something odd: what changed a moment ago some show only later."""
ISSUED = frozenset({"issued", "payment_processing", "overdue", "paid", "uncollectible"})
"""The states, before their dot, in which an invoice stands in the books of its app and is not void."""
_OWED = frozenset({State.PAYMENT_PENDING, State.PAYMENT_FAILED, State.PAYMENT_ACTION_REQUIRED, State.OVERDUE})


def can_be_read(app: AppHandle) -> bool:
    """Whether the app keeps books that can be looked at. One that answers by itself asks nobody outside, and knows no more than we do."""
    declaration = app.handle.declaration
    return declaration.can(Capability.FETCH) and not declaration.rules(Capability.FETCH).local


def look_while_owed(unit: Unit, row: InvoiceRow) -> None:
    """A webhook tells that the customer paid. What none told is found by a look, each after twice the time, up to the policy's longest."""
    if row.state not in _OWED or _is_being_collected(unit, row):
        return
    app = unit.app_if_loaded(row.values["invoicing_app_id"])
    if app is not None and not app.deleted and can_be_read(app):
        after = _until_next_look(unit, row)
        unit.work.want_unasked_look(row.id, app.id, to_micros(unit.now + after))


def look_after_credit(unit: Unit, row: InvoiceRow, app: AppHandle) -> None:
    """A credit note of it came to its end at the app, and nobody tells whether it was put against the invoice there: a look does, paid or not."""
    if row.state.short in ISSUED and app.id == row.values["invoicing_app_id"] and can_be_read(app):
        unit.work.want_unasked_look(row.id, app.id, to_micros(unit.now + unit.context.policy.first_look))


def _is_being_collected(unit: Unit, row: InvoiceRow) -> bool:
    """Whether an app takes the money by itself: it says how that ended, or is asked."""
    if row.state is not State.PAYMENT_PENDING or not row.is_charged:
        return False
    collector = unit.app_if_loaded(row.values["payment_app_id"])
    return collector is None or collector.handle.declaration.can(Capability.COLLECT_PAYMENT)


def _until_next_look(unit: Unit, row: InvoiceRow) -> timedelta:
    policy, since_issued = unit.context.policy, unit.now - from_micros(row.values["issued_at"])
    return max(policy.first_look, min(since_issued, policy.longest_unseen))


def look(unit: Unit, row: InvoiceRow, app: AppHandle) -> None:
    """Look at the books now."""
    look_at(unit, row, app, unit.now)


def look_once_more(unit: Unit, row: InvoiceRow, app: AppHandle) -> None:
    """What the books show is odd: look at them again later."""
    look_at(unit, row, app, unit.now + _SHOWN_BY_THEN)


def look_at(unit: Unit, row: InvoiceRow, app: AppHandle, at: datetime) -> None:
    """Look at the books then, unless that is to be done anyhow."""
    work = WorkRow(row.id, Capability.FETCH, app.id, row.id, lane=unit.lane, due=to_micros(at))
    if not app.deleted and unit.work.pending(*work.key) is None:
        unit.work.want_if_free(work)
