"""What a person can do about an invoice of which the payment failed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from billhook.contract.declaration import Capability
from billhook.domain.lifecycle import State
from billhook.engine import notes
from billhook.engine.apps import AppHandle
from billhook.engine.invoice_row import InvoiceRow
from billhook.engine.looking_at_books import can_be_read
from billhook.engine.open_issues import OpenIssue
from billhook.engine.unit import Row, Unit


def way_out(unit: Unit, row: InvoiceRow) -> str | None:
    """How the money still comes: what failed is collected again, or was paid another way. None where no payment failed."""
    if row.state is not State.PAYMENT_FAILED:
        return None
    noted = f"Money that came another way is noted: billhook invoices pay {row.id} AMOUNT"
    app = unit.app_if_loaded(row.values["payment_app_id"])
    if app is None or not row.is_charged or not app.handle.declaration.can(Capability.COLLECT_PAYMENT):
        return noted
    shown = notes.still_shown(unit, row, app) if _may_still_show(unit, row, app) else []
    if shown:
        return f"{_once_undone(unit, row, app, shown)} {noted}"
    named = f"Have another way to pay named at {app.name}, then collect it again"
    again = named if _was_declined(unit, row) else "To collect it again"
    return f"{again}: billhook invoices retry {row.id}. {noted}"


def _may_still_show(unit: Unit, row: InvoiceRow, app: AppHandle) -> bool:
    """Whether the app keeps the books as well, and money was noted that counts no more: only then are its books asked after."""
    gone = (each for each in unit.money.payments_of(row.id) if each["state"] != "succeeded")
    return bool(app.id == row.values["invoicing_app_id"]) and any(each["origin"] != "collected" for each in gone)


def _once_undone(unit: Unit, row: InvoiceRow, app: AppHandle, shown: Sequence[Row]) -> str:
    """A retry is refused as long as the app that collects shows what was taken back: it would count that as paid again."""
    names = ", ".join(str(notes.name_at(unit, payment, app.id)) for payment in shown)
    told = f"{app.name} still shows payment {names}, which was taken back here; until that is undone, nothing is collected."
    if can_be_read(app):
        told += f" Undo it there, then collect it again: billhook invoices retry {row.id}."
    return f"{told} Where it can't be undone, credit the invoice with a credit note and bill it anew."


def _was_declined(unit: Unit, row: InvoiceRow) -> bool:
    """Whether the last collection failed. Of money that was noted since, the rest would be declined again."""
    collections = (each for each in unit.money.payments_of(row.id) if each["origin"] == "collected")
    last = max(collections, key=lambda payment: str(payment["id"]), default=None)
    return last is not None and last["state"] == "failed"


def with_ways_out(unit: Unit, causes: Iterable[OpenIssue]) -> tuple[OpenIssue, ...]:
    """The causes; payments that failed with what can be done, for the invoice that each names."""
    return tuple(_with_way_out(unit, one) if _is_of_collecting(one) else one for one in causes)


def _with_way_out(unit: Unit, cause: OpenIssue) -> OpenIssue:
    return replace(cause, way_out=way_out(unit, unit.invoice(cause.example)))


def _is_of_collecting(cause: OpenIssue) -> bool:
    return cause.component.endswith(f".{Capability.COLLECT_PAYMENT}")
