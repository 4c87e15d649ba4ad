"""Why credit notes are not issued yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from billhook.engine.money_changes import OPEN_CREDIT_STATES
from billhook.engine.waits import OPEN, doubted_customers, held_by_apps, reasons
from billhook.engine.work import until_issued
from billhook.store import schema
from billhook.store.transaction import Transaction

_work, _invoice, _note = schema.work, schema.invoice, schema.credit_note


def reason(tx: Transaction, note: Mapping[str, Any]) -> str | None:
    """Why this credit note does not go on; None where nothing holds it, or it has come to its end."""
    return reasons_of(tx, [note])[note["id"]]


def reasons_of(tx: Transaction, notes: Sequence[Mapping[str, Any]]) -> dict[str, str | None]:
    """Why each of these credit notes does not go on. Each cause is read in one statement for all of them."""
    still_open = {note["id"]: note for note in notes if note["state"] in OPEN_CREDIT_STATES}
    ids = list(still_open)
    held, stopped, doubted = held_by_apps(tx, ids), reasons(tx, ids), doubted_customers(tx, ids)
    first = _invoices_first(tx, still_open)
    return {
        note["id"]: held.get(note["id"])
        or stopped.get((note["id"], OPEN))
        or doubted.get(note["id"])
        or first.get(note["id"])
        for note in notes
    }


def _invoices_first(tx: Transaction, notes: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Those that wait until their invoice is issued."""
    rows = tx.all(
        sa.select(_work.c.item_id, _work.c.waits_for, _invoice.c.id, _invoice.c.state)
        .join(_note, _note.c.id == _work.c.item_id)
        .join(_invoice, _invoice.c.id == _note.c.invoice_id)
        .where(_work.c.item_id.in_(list(notes)))
    )
    return {
        row.item_id: f"the invoice {row.id} is {row.state}, and is credited once it is issued"
        for row in rows
        if row.waits_for == until_issued(row.id, notes[row.item_id]["app_id"])
    }
