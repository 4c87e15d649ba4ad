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


def rest_of(record: Row) -> Decimal:
    """What of an issued credit note is put against no invoice: its invoice had no room for that."""
    is_issued = record["state"] == CreditNoteStatus.ISSUED and record["invoice_id"] is not None
    return Decimal(record["total"]) - Decimal(record["amount_allocated"]) if is_issued else Decimal(0)


def with_rest_at(unit: Unit, invoice: InvoiceRow, app_id: str) -> list[Row]:
    """The credit notes of the invoice at that app of which something is put against nothing."""
    return [note for note in unit.money.credit_notes_of(invoice.id) if note["app_id"] == app_id and rest_of(note)]


def put_rest(unit: Unit, record: Row, invoice: InvoiceRow) -> Decimal:
    """Put what is left of the credit note against its invoice, as far as that is unpaid. Returns how much that was."""
    amount = min(rest_of(record), invoice.amount_due)
    record["amount_allocated"] = plain(Decimal(record["amount_allocated"]) + amount)
    changed = {"amount_allocated": record["amount_allocated"]}
    unit.record_document(unit.money.save("credit_note", record), "credit.allocated", changed)
    _allocate(unit, record, invoice, amount)
    return amount


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
