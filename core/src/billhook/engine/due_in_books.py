"""Books that ask another amount of the customer than is owed here: something was credited or written off there that is not known here, or a credit
note of here is put against nothing there. A person is told, until they ask for the same."""

from __future__ import annotations

from decimal import Decimal

from billhook.contract.results import Snapshot
from billhook.domain.issue import Severity, ValidationIssue
from billhook.domain.money import plain
from billhook.engine import agreeing_looks, less_in_books, looking_at_books, payments
from billhook.engine.apps import AppHandle
from billhook.engine.invoice_row import InvoiceRow
from billhook.engine.not_in_books import LESS_DUE, MORE_DUE
from billhook.engine.unit import Unit

_NOTHING = Decimal(0)
_ASKED = frozenset({"issued", "payment_processing", "overdue", "paid"})
"""The states, before their dot, in which books ask for what is owed here. What is uncollectible they may have written off."""
_COMPONENT = "books.due"
_DUE = "due"


def tell(unit: Unit, row: InvoiceRow, app: AppHandle, seen: Snapshot) -> None:
    """Say by how much the books ask for less or more, once two looks agree, or that they no longer do."""
    if seen.amount_due is None or seen.amount_paid is None or not _is_asked_for(row, app, seen):
        return
    found = _finding(row, app, seen, seen.amount_due, seen.amount_paid)
    if found is None:
        end(unit, row)
    elif not _is_in_motion(unit, row, app):
        _tell_when_sure(unit, row, app, plain(seen.amount_due), found)


def end(unit: Unit, row: InvoiceRow) -> None:
    """The books ask for what is owed, or nothing is owed here either."""
    if agreeing_looks.forget(unit, row.id, row.values["invoicing_app_id"], _DUE):
        unit.issues.report(row.id, _COMPONENT, [])


def _is_asked_for(row: InvoiceRow, app: AppHandle, seen: Snapshot) -> bool:
    return row.state.short in _ASKED and app.id == row.values["invoicing_app_id"] and seen.found and not seen.voided


def _is_in_motion(unit: Unit, row: InvoiceRow, app: AppHandle) -> bool:
    """Whether something is on its way to the books, or they show less money than is known of them and were told of for that."""
    under_way = payments.is_under_way_to(unit, row, app.id) or unit.money.open_credits(row.id)
    return bool(under_way) or less_in_books.is_told(unit, row, app)


def _tell_when_sure(unit: Unit, row: InvoiceRow, app: AppHandle, asked: str, found: ValidationIssue) -> None:
    sure_at = agreeing_looks.sure_at(unit, row.id, app.id, _DUE, asked)
    if unit.now < sure_at:
        looking_at_books.look_at(unit, row, app, sure_at)
    else:
        unit.issues.report(row.id, _COMPONENT, [found])


def _finding(row: InvoiceRow, app: AppHandle, seen: Snapshot, asked: Decimal, paid: Decimal) -> ValidationIssue | None:
    total = row.total if seen.totals is None or seen.totals.total is None else seen.totals.total
    owed = total - Decimal(row.values["amount_credited"]) - paid
    # Some books ask again for what went back to the customer, others do not.
    went_back = max(Decimal(row.values["amount_refunded"]), sum((each.refunded for each in seen.receipts), _NOTHING))
    least, most = max(owed - went_back, _NOTHING), max(owed, _NOTHING)
    currency = row.values["currency"]
    there = f"{app.name} asks {plain(asked)} {currency} of the customer for {seen.external_id or 'it'}"
    if asked < least:
        return _less(row, there, plain(least - asked))
    if asked > most:
        return _more(row, there, plain(asked - most))
    return None


def _less(row: InvoiceRow, there: str, amount: str) -> ValidationIssue:
    message = (
        f"{there}, {amount} less than is owed: somebody credited that there or wrote it off, and nobody asked for that here. Have that credit "
        "note count here too: billhook credit-notes create FILE, with its external_id. Or undo it there, and give the credit from here. Where it "
        f"is right as it is: billhook invoices dismiss {row.id} {LESS_DUE} --reason WHY"
    )
    return ValidationIssue(severity=Severity.WARNING, code=LESS_DUE, message=message)


def _more(row: InvoiceRow, there: str, amount: str) -> ValidationIssue:
    message = (
        f"{there}, {amount} more than is owed: a credit note that counts here is not put against it there. Put it against it there. Where it is "
        f"right as it is: billhook invoices dismiss {row.id} {MORE_DUE} --reason WHY"
    )
    return ValidationIssue(severity=Severity.WARNING, code=MORE_DUE, message=message)
