"""Notes of money in an app's books: refused, asked for again, or entered there by hand meanwhile."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from billhook.contract.declaration import Capability
from billhook.contract.operations import OPERATIONS
from billhook.domain.issue import Severity, ValidationIssue
from billhook.domain.money import plain
from billhook.engine import less_in_books
from billhook.engine.apps import AppHandle
from billhook.engine.invoice_row import InvoiceRow
from billhook.engine.not_in_books import TAKEN_BACK
from billhook.engine.unit import Unit
from billhook.engine.work import WorkRow

if TYPE_CHECKING:
    from billhook.engine.advance import Advancer

Row = dict[str, Any]

_NOTHING = Decimal(0)
MOST_COMBINED = 12
"""Every sum of so many payments is tried. Each more of them doubles the sums."""


def component(app: AppHandle, payment: Row) -> str:
    """The component that tells why an app's books do not take the note of one payment."""
    return f"{_any_of(app)}{payment['id']}"


def refused(unit: Unit, row: InvoiceRow, app: AppHandle) -> list[Row]:
    """The payments of the invoice that these books refused to note and don't show, oldest first. That a person has dealt with the warning does
    not say that they show it."""
    known = sorted(unit.money.payments_of(row.id), key=lambda each: str(each["id"]))
    if not known:
        return []
    components = unit.issues.open_components(row.id, _any_of(app))
    dismissed = unit.issues.dismissed_components(row.id, _any_of(app))
    return [
        each
        for each in known
        if component(app, each) in components or (component(app, each) in dismissed and _is_missing(unit, each, app.id))
    ]


def note_again(advancer: Advancer, unit: Unit, row: InvoiceRow) -> bool:
    """Have the books asked again for what they refused to note, and nobody has dealt with. Returns whether there is such; its issue ends with
    the answer."""
    app = unit.app(row.values["invoicing_app_id"])
    components = unit.issues.open_components(row.id, _any_of(app))
    waiting = [each for each in refused(unit, row, app) if component(app, each) in components]
    for payment in waiting:
        work = WorkRow(payment["id"], Capability.RECORD_PAYMENT, app.id, row.id, version=row.values["version"])
        advancer.want_after_issue(unit, app, Capability.RECORD_PAYMENT, work, row)
    return bool(waiting)


def _is_missing(unit: Unit, payment: Row, app_id: str) -> bool:
    """Whether the payment counts here, and was never seen in that app's books."""
    return payment["state"] == "succeeded" and "noted" not in (unit.links.of(payment["id"], app_id)["evidence"] or {})


def name_at(unit: Unit, payment: Row, app_id: str) -> str | None:
    """What the payment is called in that app's books, where that is not known as here; None where it was not noted there."""
    link = unit.links.of(payment["id"], app_id)
    return link["external_id"] or (payment["id"] if "noted" in (link["evidence"] or {}) else None)


def noted_at(unit: Unit, payment: Row, app_id: str) -> Decimal:
    """How much of the payment that app's books show, as far as it was noted there."""
    told = (unit.links.of(payment["id"], app_id)["evidence"] or {}).get("noted")
    if told is not None:
        return Decimal(told) - given_back_at(unit, payment, app_id)
    return Decimal(0 if name_at(unit, payment, app_id) is None else payment["amount"])


def shown_of(unit: Unit, payment: Row, app_id: str) -> Decimal:
    """How much of the payment that app's books show, where they show it at all: as it was noted there, or as they told it."""
    is_noted = name_at(unit, payment, app_id) is not None
    return noted_at(unit, payment, app_id) if is_noted else Decimal(payment["amount_received"])


def not_taken_at(unit: Unit, payment: Row, app_id: str) -> Decimal:
    """How much of a payment that is noted there that app's books took neither on the invoice nor on account."""
    evidence = unit.links.of(payment["id"], app_id)["evidence"] or {}
    if "noted" not in evidence:
        return _NOTHING
    return max(Decimal(payment["amount_received"]) - Decimal(evidence["noted"]) - _on_account(evidence), _NOTHING)


def given_back_at(unit: Unit, payment: Row, app_id: str) -> Decimal:
    """How much of the payment somebody took out of that app's books, because it went back to the customer."""
    return Decimal((unit.links.of(payment["id"], app_id)["evidence"] or {}).get("given_back", 0))


def keep_given_back(unit: Unit, app: AppHandle, payment: Row, amount: Decimal) -> None:
    """So much of the payment stands in the books no more, because it went back to the customer."""
    link = unit.links.of(payment["id"], app.id)
    evidence, noted = link["evidence"] or {}, shown_of(unit, payment, app.id) + given_back_at(unit, payment, app.id)
    from_account = max(amount - noted, _NOTHING)
    evidence = {
        **evidence,
        "given_back": plain(amount),
        **_noted(noted + from_account, _on_account(evidence) - from_account),
    }
    link |= {"kind": "payment", "evidence": evidence}
    unit.links.save(link)


def take_as_entered(unit: Unit, row: InvoiceRow, app: AppHandle, more: Decimal, takes: Decimal) -> bool:
    """Refused notes stand in the books where those show exactly so much ``more``: somebody entered them. Returns whether it is so.

    Money that really came again in just that amount can't be told from it, and is not counted; whoever knows of it records it. Of more than
    the books take, they show what they ``take``.
    """
    entered = _matching(refused(unit, row, app), more, takes)
    rest = more
    for payment in entered:
        amount = min(Decimal(payment["amount"]), rest)
        rest -= amount
        keep(unit, app, payment, None, amount)
        unit.issues.report(row.id, component(app, payment), [])
        note = f"{app.name} shows payment {payment['id']}, of which it had refused the note: {plain(amount)} {payment['currency']}."
        unit.record(row, "record_payment.entered", note=note)
    return bool(entered)


def still_shown(unit: Unit, row: InvoiceRow, app: AppHandle) -> list[Row]:
    """The payments that were taken back and that app's books show as far as is known, with what they show of each as its amount."""
    back = [
        each for each in unit.money.payments_of(row.id) if each["state"] != "succeeded" and name_at(unit, each, app.id)
    ]
    return [each | {"amount": plain(noted_at(unit, each, app.id))} for each in back]


def taken_back(payment: Row) -> str:
    """The component that tells of a payment in the books whose money was taken back."""
    return f"payment.{payment['id']}"


def tell_taken_back(unit: Unit, row: InvoiceRow, payment: Row) -> None:
    """A payment was taken back: it is noted no more, and where the books show it, a person has to take it out of them."""
    app = unit.app(row.values["invoicing_app_id"])
    unit.work.drop_if_free(payment["id"], Capability.RECORD_PAYMENT, app.id)
    unit.issues.report(row.id, component(app, payment), [])
    less_in_books.look_again(unit, row)
    recorded = name_at(unit, payment, app.id)
    if recorded is None:
        return
    message = (
        f"{app.name} still shows payment {recorded} over {payment['amount']}, which was taken back. Undo it there."
    )
    issue = ValidationIssue(severity=Severity.WARNING, code=TAKEN_BACK, message=message)
    unit.issues.report(row.id, taken_back(payment), [issue])


def keep(
    unit: Unit, app: AppHandle, payment: Row, external_id: str | None, amount: Decimal, on_account: Decimal = _NOTHING
) -> None:
    """So much of the payment stands in the books on its invoice, and so much beside it on account."""
    link = unit.links.of(payment["id"], app.id)
    link |= {"kind": "payment", "external_id": external_id, "leftovers": {}, "evidence": _noted(amount, on_account)}
    unit.links.save(link)


def of_name(unit: Unit, row: InvoiceRow, app_id: str, external_id: str) -> Row | None:
    """The payment that is noted in that app's books under this id, whatever became of it since."""
    known = unit.money.payments_of(row.id)
    unit.links.load((each["id"], app_id) for each in known)
    named = (each for each in known if unit.links.of(each["id"], app_id)["external_id"] == external_id)
    return next(named, None)


def take_shown(unit: Unit, app_id: str, payment: Row, amount: Decimal) -> None:
    """The books show so much of a payment that is noted there: of what stood on account something was put against the invoice since."""
    link = unit.links.of(payment["id"], app_id)
    evidence = link["evidence"] or {}
    more = amount - noted_at(unit, payment, app_id)
    if 0 < more <= _on_account(evidence):
        link["evidence"] = evidence | _noted(Decimal(evidence["noted"]) + more, _on_account(evidence) - more)
        unit.links.save(link)


def forget(unit: Unit, app: AppHandle, payment: Row) -> None:
    """It no longer stands in the books: the same amount that they show later is another payment."""
    link = unit.links.of(payment["id"], app.id)
    link |= {"external_id": None, "evidence": None}
    unit.links.save(link)


def _noted(on_invoice: Decimal, on_account: Decimal) -> Row:
    """What is remembered of a note."""
    return {"noted": plain(on_invoice), "on_account": plain(on_account)}


def _on_account(evidence: Mapping[str, Any]) -> Decimal:
    return Decimal(evidence.get("on_account", 0))


def _any_of(app: AppHandle) -> str:
    return f"{OPERATIONS[Capability.RECORD_PAYMENT].component(app.type)}."


def _matching(waiting: list[Row], more: Decimal, takes: Decimal) -> list[Row]:
    """The payments that make up the amount, or all where they make up more than the books take and those are full."""
    if more == takes < sum(_amounts(waiting)):
        return waiting
    return making_up(waiting, more)


def making_up(payments: list[Row], wanted: Decimal) -> list[Row]:
    """Some of the payments, that are so much together; of very many each alone, or all."""
    if len(payments) > MOST_COMBINED:
        tried = [payments, *([each] for each in payments)]
        return next((some for some in tried if sum(_amounts(some)) == wanted), [])
    sums: dict[Decimal, list[Row]] = {Decimal(0): []}
    for payment in payments:
        for total, parts in list(sums.items()):
            reached = total + Decimal(payment["amount"])
            if reached <= wanted:
                sums.setdefault(reached, [*parts, payment])
    return sums.get(wanted, [])


def _amounts(payments: Iterable[Row]) -> Iterable[Decimal]:
    return (Decimal(each["amount"]) for each in payments)
