"""Books that ask another amount of the customer than is owed here: something was credited or written off there that is not known here, or a credit
note of here is put against nothing there. A person is told, until they ask for the same."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from billhook.contract.results import Snapshot
from billhook.domain.issue import Severity, ValidationIssue
from billhook.domain.money import plain
from billhook.engine import agreeing_looks, credit_notes, less_in_books, looking_again, looking_at_books, payments
from billhook.engine.apps import AppHandle
from billhook.engine.invoice_row import InvoiceRow
from billhook.engine.not_in_books import LESS_DUE, MORE_DUE
from billhook.engine.unit import Row, Unit

_NOTHING = Decimal(0)
_ASKED = frozenset({"issued", "payment_processing", "overdue", "paid"})
"""The states, before their dot, in which books ask for what is owed here. What is uncollectible they may have written off."""
_COMPONENT = "books.due"
_DUE = "due"


class _Difference(NamedTuple):
    """By how much the books ask for less or for more than is owed. Not how much they ask for: that moves with every payment."""

    code: str
    amount: str


def tell(unit: Unit, row: InvoiceRow, app: AppHandle, seen: Snapshot) -> None:
    """Say by how much the books ask for less or more, once two looks agree, or that they no longer do."""
    if app.id != row.values["invoicing_app_id"]:
        return
    if row.state.short not in _ASKED or seen.voided or not seen.found:
        end(unit, row)
    elif seen.amount_due is not None and seen.amount_paid is not None:
        found = _difference(unit, row, app, seen, seen.amount_due, seen.amount_paid)
        _tell(unit, row, app, seen, found)


def _tell(unit: Unit, row: InvoiceRow, app: AppHandle, seen: Snapshot, found: _Difference | None) -> None:
    if found is None:
        end(unit, row)
    elif payments.is_under_way_to(unit, row, app.id):
        looking_again.once_it_is_sure(unit, row, app)
    elif not (unit.money.open_credits(row.id) or less_in_books.is_told(unit, row, app)):
        _tell_when_sure(unit, row, app, seen, found)


def end(unit: Unit, row: InvoiceRow) -> None:
    """The books ask for what is owed, or nothing is owed there or here."""
    if agreeing_looks.forget(unit, row.id, row.values["invoicing_app_id"], _DUE):
        unit.issues.report(row.id, _COMPONENT, [])


def _tell_when_sure(unit: Unit, row: InvoiceRow, app: AppHandle, seen: Snapshot, found: _Difference) -> None:
    sure_at = agreeing_looks.sure_at(unit, row.id, app.id, _DUE, " ".join(found))
    if unit.now < sure_at:
        looking_at_books.look_at(unit, row, app, sure_at)
    else:
        unit.issues.report(row.id, _COMPONENT, [_WORDS[found.code](unit, row, app, seen, found.amount)])


def _difference(
    unit: Unit, row: InvoiceRow, app: AppHandle, seen: Snapshot, asked: Decimal, paid: Decimal
) -> _Difference | None:
    total = row.total if seen.totals is None or seen.totals.total is None else seen.totals.total
    owed = total - Decimal(row.values["amount_credited"]) - paid
    # Some books ask again for what went back to the customer, others do not.
    went_back = max(Decimal(row.values["amount_refunded"]), sum((each.refunded for each in seen.receipts), _NOTHING))
    least, most = max(owed - went_back, _NOTHING), max(owed, _NOTHING)
    if asked < least:
        least = max(least - _rest_with_room_there(unit, row, app, paid), asked)
    if asked < least:
        return _Difference(LESS_DUE, plain(least - asked))
    if asked > most:
        return _Difference(MORE_DUE, plain(asked - most))
    return None


def _rest_with_room_there(unit: Unit, row: InvoiceRow, app: AppHandle, paid: Decimal) -> Decimal:
    """What is left of credit notes of here, where money that is known here left no room for it; books that lack that money have the room."""
    lacking = Decimal(row.values["amount_paid"]) - Decimal(row.values["amount_refunded"]) - paid
    rest = sum(map(credit_notes.rest_of, credit_notes.with_rest_at(unit, row, app.id)), _NOTHING)
    return max(min(rest, lacking), _NOTHING)


def _less(unit: Unit, row: InvoiceRow, app: AppHandle, seen: Snapshot, amount: str) -> ValidationIssue:
    notes = credit_notes.with_rest_at(unit, row, app.id)
    message = (
        f"{app.name} asks {amount} {row.values['currency']} less of the customer for {seen.external_id or 'it'} than is owed: somebody credited that "
        f"there or wrote it off, and nobody asked for that here.{''.join(map(_have_the_rest_count, notes))} Have a credit note that was made there "
        "count here too: billhook credit-notes create FILE, with its external_id, its number and "
        f"credited_invoice_id {row.id}. Or undo it there, and give the credit from here. Where it is right as it is: "
        f"billhook invoices dismiss {row.id} {LESS_DUE} --reason WHY"
    )
    return ValidationIssue(severity=Severity.WARNING, code=LESS_DUE, message=message)


def _have_the_rest_count(note: Row) -> str:
    return (
        f" Where what is left of credit note {note['number']} was put against it there, have that count here: "
        f"billhook credit-notes allocate {note['id']}."
    )


def _more(unit: Unit, row: InvoiceRow, app: AppHandle, seen: Snapshot, amount: str) -> ValidationIssue:
    message = (
        f"{app.name} asks {amount} {row.values['currency']} more of the customer for {seen.external_id or 'it'} than is owed: a credit note that "
        "counts here is not put against it there. Put it against it there. Where it is right as it is: "
        f"billhook invoices dismiss {row.id} {MORE_DUE} --reason WHY"
    )
    return ValidationIssue(severity=Severity.WARNING, code=MORE_DUE, message=message)


_WORDS = {LESS_DUE: _less, MORE_DUE: _more}
