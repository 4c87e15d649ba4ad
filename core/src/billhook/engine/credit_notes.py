"""A credit note's small lifecycle: issuing, issued or failed, and the part of it that is put against its invoice."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from billhook.domain.issue import ValidationIssue
from billhook.domain.money import plain
from billhook.domain.payment import CREDIT_NOTE_TRANSITIONS, CreditNoteStatus, CreditNoteTrigger, advance
from billhook.engine import tables
from billhook.engine.invoice_row import InvoiceRow
from billhook.engine.unit import Unit

Row = dict[str, Any]


def move(
    unit: Unit,
    record: Row,
    trigger: CreditNoteTrigger,
    cause: str,
    changes: Row,
    *,
    operation_id: str | None = None,
    note: str | None = None,
) -> None:
    """One step of the credit note's table, with its event. Raises NotAllowed where there is no such step."""
    state = advance(CREDIT_NOTE_TRANSITIONS, CreditNoteStatus(record["state"]), trigger)
    changed = {**changes, "state": state.value}
    record |= changed
    unit.money.save("credit_note", record)
    unit.record_document(record, cause, changed, operation_id=operation_id, note=note)


def issued(
    unit: Unit, record: Row, number: str, operation_id: str | None, *, cause: str = "credit.done"
) -> InvoiceRow | None:
    """The credit note stands. Returns its invoice when some of it was put against one."""
    invoice = unit.invoice(record["invoice_id"]) if record["invoice_id"] else None
    amount = min(Decimal(record["total"]), invoice.amount_due) if invoice is not None else Decimal(0)
    changes = {
        "number": number,
        "number_final": 1,
        "issued_at": record["issued_at"] or unit.now_micros,
        "amount_allocated": plain(amount),
    }
    move(unit, record, CreditNoteTrigger.CONFIRM, cause, changes, operation_id=operation_id)
    if invoice is None or not amount:
        return None
    _allocate(unit, record, invoice, amount)
    return invoice


def fail(unit: Unit, record: Row, component: str, issues: Sequence[ValidationIssue]) -> None:
    """The credit note could not be issued, and says why."""
    unit.issues.report(record["id"], component, issues)
    move(unit, record, CreditNoteTrigger.FAIL, "credit.rejected", {}, note=issues[0].message if issues else None)


def _allocate(unit: Unit, record: Row, invoice: InvoiceRow, amount: Decimal) -> None:
    unit.tx.insert_many(
        tables.INSERT_ALLOCATION,
        [
            (
                unit.context.new_id(unit.now),
                record["namespace"],
                record["id"],
                invoice.id,
                plain(amount),
                unit.now_micros,
            )
        ],
    )
    invoice.values["amount_credited"] = plain(Decimal(invoice.values["amount_credited"]) + amount)
