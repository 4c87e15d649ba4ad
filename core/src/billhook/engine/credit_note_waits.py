"""Why a credit note is not issued yet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from billhook.engine.unit import OPEN_CREDIT_STATES
from billhook.engine.waits import doubted_customer, held_by_apps, open_reasons
from billhook.engine.work import until_customer, until_issued
from billhook.store import schema
from billhook.store.transaction import Transaction

_work, _invoice = schema.work, schema.invoice


def reason(tx: Transaction, note: Mapping[str, Any]) -> str | None:
    """Why this credit note does not go on; None where nothing holds it, or it has come to its end."""
    if note["state"] not in OPEN_CREDIT_STATES:
        return None
    id = note["id"]
    return held_by_apps(tx, [id]).get(id) or open_reasons(tx, [id]).get(id) or _before_it(tx, note)


def _before_it(tx: Transaction, note: Mapping[str, Any]) -> str | None:
    """What comes first: the invoice that it credits, or its customer."""
    waits_for = tx.scalar(sa.select(_work.c.waits_for).where(_work.c.item_id == note["id"]))
    if note["invoice_id"] is not None and waits_for == until_issued(note["invoice_id"], note["app_id"]):
        state = tx.scalar(sa.select(_invoice.c.state).where(_invoice.c.id == note["invoice_id"]))
        return f"the invoice {note['invoice_id']} is {state}, and is credited once it is issued"
    if waits_for == until_customer(note["customer_id"], note["app_id"]):
        return doubted_customer(tx, note["customer_id"], note["app_id"])
    return None
