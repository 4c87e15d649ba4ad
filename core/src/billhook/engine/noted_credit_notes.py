"""Credit notes that stand at an app already, because somebody made them or put them against their invoice there: they count, and nothing is sent."""

from __future__ import annotations

from billhook.domain.issue import Severity, ValidationIssue
from billhook.domain.lifecycle import Trigger
from billhook.domain.payment import CreditNoteStatus
from billhook.engine import credit_notes, given_twice, looking_at_books, unsent_payments
from billhook.engine.apps import AppHandle
from billhook.engine.invoice_row import InvoiceRow
from billhook.engine.money import Money
from billhook.engine.unit import Row, Unit
from billhook.errors import Conflict, NotAllowed

_KIND = "credit_note"


def turn(external_id: str) -> str:
    """The subject to hold while a credit note of that id is noted: two notes of it at once would both find that it is not known."""
    return f"noted_credit_note/{external_id}"


def note(unit: Unit, money: Money, record: Row, external_id: str) -> None:
    """Count the credit note under its id there. Raises NotAllowed where its invoice does not stand there, Conflict for one that is known."""
    app, invoice = unit.app(record["app_id"]), unit.invoice(record["invoice_id"])
    _check_stands(app, invoice)
    _check_is_unknown(unit, app, external_id)
    link = unit.links.of(record["id"], app.id)
    link |= {"kind": _KIND, "external_id": external_id, "number": record["number"]}
    unit.links.save(link)
    credited = credit_notes.issued(unit, record, str(record["number"]), None, cause="credit.noted")
    _goes_on(unit, money, app, invoice, is_credited=credited is not None)


def counted_as(unit: Unit, app: AppHandle, record: Row, external_id: str | None) -> ValidationIssue | None:
    """Why a credit note does not count though it stands at its app: it was noted as another one while nobody knew here how it had ended. None
    where it was not.
    """
    known = None if external_id is None else unit.links.bearer(app.id, _KIND, external_id)
    if known is None or known == record["id"] or unit.money.get(_KIND, known)["state"] != CreditNoteStatus.ISSUED:
        return None
    message = (
        f"{external_id} at {app.name} is credit note {known}, and counts already: it was noted while this one was under way. Give this one up: "
        f"billhook credit-notes void {record['id']}"
    )
    return ValidationIssue(severity=Severity.CRITICAL, code="credit_note_known", message=message)


def allocate(unit: Unit, money: Money, record: Row) -> None:
    """Count what is left of an issued credit note against its invoice: somebody put it against that at the app. What counts already is not
    counted again.

    Raises NotAllowed for one that is not issued, stands on no invoice, or whose invoice owes nothing or is void.
    """
    invoice = _allocatable_to(unit, record)
    if not credit_notes.rest_of(record):
        return
    if invoice.state.short not in looking_at_books.ISSUED:
        raise NotAllowed(
            f"Invoice {invoice.id} is {invoice.state}, so nothing more of credit note {record['id']} can be put against it.",
            "invoice_not_creditable",
        )
    if invoice.amount_due <= 0:
        raise NotAllowed(
            f"Invoice {invoice.id} owes nothing, so nothing more of credit note {record['id']} can be put against it.",
            "invoice_owes_nothing",
        )
    given_twice.put_against(unit, record, credit_notes.put_rest(unit, record, invoice))
    given_twice.tell(unit, invoice)
    _goes_on(unit, money, unit.app(record["app_id"]), invoice, is_credited=True)


def _allocatable_to(unit: Unit, record: Row) -> InvoiceRow:
    if record["invoice_id"] is None:
        raise NotAllowed(
            f"Credit note {record['id']} stands on no invoice, so there is none to put it against.",
            "credit_note_stands_alone",
        )
    if record["state"] != CreditNoteStatus.ISSUED:
        raise NotAllowed(
            f"Credit note {record['id']} is {record['state']}; only one that is issued is put against its invoice.",
            "credit_note_not_issued",
        )
    return unit.invoice(record["invoice_id"])


def _goes_on(unit: Unit, money: Money, app: AppHandle, invoice: InvoiceRow, *, is_credited: bool) -> None:
    if is_credited:
        trigger = Trigger.PAID if invoice.facts.fully_paid else None
        money.after(unit, invoice, trigger, "credit_note.allocated", None)
    unsent_payments.refit(money.advancer, unit, invoice)
    if looking_at_books.can_be_read(app):
        looking_at_books.look(unit, invoice, app)


def _check_stands(app: AppHandle, invoice: InvoiceRow) -> None:
    if invoice.state.short not in looking_at_books.ISSUED:
        raise NotAllowed(
            f"Invoice {invoice.id} is {invoice.state} and does not stand at {app.name}, so no credit note stands against it there. Leave out "
            "external_id to have this one issued.",
            "invoice_not_creditable",
        )


def _check_is_unknown(unit: Unit, app: AppHandle, external_id: str) -> None:
    known = unit.links.bearer(app.id, _KIND, external_id)
    if known is None:
        return
    status = CreditNoteStatus(unit.money.get(_KIND, known)["state"])
    if status is CreditNoteStatus.VOIDED:
        _take_id_from(unit, app, known)
        return
    if status is CreditNoteStatus.FAILED:
        raise Conflict(
            f"{external_id} at {app.name} is credit note {known}, which failed. Give that one up first: billhook credit-notes void {known}",
            "credit_note_failed",
        )
    raise Conflict(f"{external_id} at {app.name} is credit note {known}, and counts already.", "credit_note_known")


def _take_id_from(unit: Unit, app: AppHandle, void_note_id: str) -> None:
    """A credit note that is void here is nothing at its app: what bears its id there is the one that is noted."""
    link = unit.links.of(void_note_id, app.id)
    link["external_id"] = None
    unit.links.save(link)
