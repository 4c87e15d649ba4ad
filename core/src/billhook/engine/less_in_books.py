"""Books that show less money of an invoice than is known here: a person is told, until they show it or something explains it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal

from billhook.domain.issue import Severity, ValidationIssue
from billhook.domain.money import plain
from billhook.domain.payment import PaymentStatus
from billhook.engine import payments
from billhook.engine.apps import AppHandle
from billhook.engine.invoice_row import InvoiceRow
from billhook.engine.looking_at_books import look, look_once_more
from billhook.engine.not_in_books import MISSING
from billhook.engine.unit import Row, Unit

_COMPONENT = "books.less"
_LESS = "less"


def tell(unit: Unit, row: InvoiceRow, app: AppHandle, seen: Decimal, known: Decimal) -> None:
    """Say by how much the books show less than is known of them, or that they no longer do."""
    was_told = is_told(unit, row, app)
    if seen >= known and not was_told:
        return
    unit.links.remember(row.id, app.id, _LESS, plain(known - seen) if seen < known else None)
    unit.issues.report(row.id, _COMPONENT, [_warning(unit, row, app, seen, known)] if seen < known else [])
    if not was_told:
        look_once_more(unit, row, app)


def look_again(unit: Unit, row: InvoiceRow) -> None:
    """What was taken or given back may explain why the books show less: they are looked at now."""
    app = unit.app(row.values["invoicing_app_id"])
    if is_told(unit, row, app):
        look(unit, row, app)


def is_told(unit: Unit, row: InvoiceRow, app: AppHandle) -> bool:
    """Whether a person was told, and nothing explains it yet."""
    return unit.links.remembered(row.id, app.id, _LESS) is not None


def _warning(unit: Unit, row: InvoiceRow, app: AppHandle, seen: Decimal, known: Decimal) -> ValidationIssue:
    message = (
        f"{app.name} shows {plain(seen)} {row.values['currency']} as paid, and {plain(known)} are known of it: {plain(known - seen)} less. What was "
        f"taken out there by mistake is entered there again. {' '.join(_ways_out(unit, row, known - seen))} Where it is right as it is: "
        f"billhook invoices dismiss {row.id} {MISSING} --reason WHY"
    )
    return ValidationIssue(severity=Severity.WARNING, code=MISSING, message=message)


def _ways_out(unit: Unit, row: InvoiceRow, less: Decimal) -> Iterator[str]:
    came = sorted(_came(unit, row), key=lambda each: str(each["id"]))
    # What went back to the customer did come, and is not taken back.
    noted = [
        each
        for each in came
        if each["origin"] != "collected" and not payments.spoken_for(unit.money.refunds_of(each["id"]))
    ]
    if noted:
        back = f"billhook invoices take-back {row.id} {_only(noted)} --reason WHY"
        yield f"What never came is taken back here, each payment whole: {back}."
    if noted and all(Decimal(each["amount_received"]) > less for each in noted):
        yield (
            "Where only a part of it came, take out there first what stands in its place, and note here in the end what came: "
            f"billhook invoices pay {row.id} AMOUNT."
        )
    if came:
        yield f"What was paid back is noted here: billhook invoices refund {_only(came)} AMOUNT --paid-elsewhere."
    else:
        yield "What was taken back here is taken out there too, all of it."


def _came(unit: Unit, row: InvoiceRow) -> Iterator[Row]:
    return (each for each in unit.money.payments_of(row.id) if each["state"] == PaymentStatus.SUCCEEDED)


def _only(known: Sequence[Row]) -> str:
    """The payment where there is one alone; whoever has several finds their ids where the invoice is shown."""
    return str(known[0]["id"]) if len(known) == 1 else "PAYMENT"
