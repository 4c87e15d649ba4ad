"""Money that a customer has twice: as credit of a credit note, and by a refund that came after it."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import NamedTuple

from billhook.domain.issue import Severity, ValidationIssue
from billhook.domain.money import plain
from billhook.engine.apps import AppHandle
from billhook.engine.failed_refunds import CREDITED_TOO
from billhook.engine.invoice_row import InvoiceRow
from billhook.engine.unit import Row, Unit

_COMPONENT = "refunds.credited"


class _Credit(NamedTuple):
    """A credit note of which the customer keeps something: ``settled`` is what refunds gave of it that were there before."""

    note: Row
    kept: Decimal
    settled: Decimal
    refunded_before: Decimal


def keep(unit: Unit, app: AppHandle, note: Row, invoice: InvoiceRow, kept_as_credit: Decimal | None) -> None:
    """Remember what the customer keeps of the note as credit at its app, and what had been given back by then."""
    if kept_as_credit is None:
        return
    link = unit.links.of(note["id"], app.id)
    told = {"kept_as_credit": plain(kept_as_credit), "refunded_before": invoice.values["amount_refunded"]}
    link |= {"evidence": {**(link["evidence"] or {}), **told}}
    unit.links.save(link)


def put_against(unit: Unit, note: Row, amount: Decimal) -> None:
    """So much of the note went to its invoice: the customer keeps that as credit no more."""
    link = unit.links.of(note["id"], note["app_id"])
    told = link["evidence"] or {}
    if "kept_as_credit" in told:
        kept = max(Decimal(told["kept_as_credit"]) - amount, Decimal(0))
        link |= {"evidence": {**told, "kept_as_credit": plain(kept)}}
        unit.links.save(link)


def tell(unit: Unit, row: InvoiceRow) -> None:
    """Say how much the customer has twice, or that it is so no longer."""
    credits = list(_credits(unit, row))
    if not credits:
        return
    kept = sum((each.kept for each in credits), Decimal(0))
    refunded = Decimal(row.values["amount_refunded"])
    after = refunded - min((each.refunded_before for each in credits if each.kept), default=refunded)
    without_note = refunded - sum(each.settled for each in credits)
    twice = min(kept, after, without_note)
    unit.issues.report(row.id, _COMPONENT, [_issue(unit, row, credits, twice)] if twice > 0 else [])


def _credits(unit: Unit, row: InvoiceRow) -> Iterator[_Credit]:
    for note in unit.money.credit_notes_of(row.id):
        told = unit.links.of(note["id"], note["app_id"])["evidence"] or {}
        if note["state"] == "issued" and "kept_as_credit" in told:
            kept = Decimal(told["kept_as_credit"])
            settled = Decimal(note["total"]) - Decimal(note["amount_allocated"]) - kept
            yield _Credit(note, kept, settled, Decimal(told["refunded_before"]))


def _issue(unit: Unit, row: InvoiceRow, credits: list[_Credit], twice: Decimal) -> ValidationIssue:
    notes = [each.note for each in credits if each.kept]
    numbers, currency = ", ".join(sorted(note["number"] for note in notes)), row.values["currency"]
    message = (
        f"Credit note {numbers} gave the customer credit at {unit.app(notes[0]['app_id']).name}, and money of the invoice was given back after it: "
        f"the customer has {plain(twice)} {currency} twice. Take so much credit back there where that was not meant, then: billhook invoices "
        f"dismiss {row.id} {CREDITED_TOO} --reason WHY"
    )
    return ValidationIssue(severity=Severity.WARNING, code=CREDITED_TOO, message=message)
