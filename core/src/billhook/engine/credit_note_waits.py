"""Why a credit note is not issued yet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from billhook.engine.money_changes import OPEN_CREDIT_STATES
from billhook.engine.waits import OPEN, doubted_customers, held_by_apps, reasons
from billhook.engine.work import until_issued
from billhook.store import schema
from billhook.store.transaction import Transaction

_work, _invoice = schema.work, schema.invoice


def reason(tx: Transaction, note: Mapping[str, Any]) -> str | None:
    """Why this credit note does not go on; None where nothing holds it, or it has come to its end."""
    if note["state"] not in OPEN_CREDIT_STATES:
        return None
    id = note["id"]
    return (
        held_by_apps(tx, [id]).get(id)
        or reasons(tx, [id]).get((id, OPEN))
        or doubted_customers(tx, [id]).get(id)
        or _invoice_first(tx, note)
    )


def _invoice_first(tx: Transaction, note: Mapping[str, Any]) -> str | None:
    invoice_id = note["invoice_id"]
    waits_for = tx.scalar(sa.select(_work.c.waits_for).where(_work.c.item_id == note["id"]))
    if invoice_id is None or waits_for != until_issued(invoice_id, note["app_id"]):
        return None
    state = tx.scalar(sa.select(_invoice.c.state).where(_invoice.c.id == invoice_id))
    return f"the invoice {invoice_id} is {state}, and is credited once it is issued"
