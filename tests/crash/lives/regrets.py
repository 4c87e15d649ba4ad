"""What people think better of: money that is counted no more, refunds that were none, warnings that somebody has dealt with, and what an office
takes out of its books, or puts back.

Whoever slips in the books is remembered, so that it can be undone: that is no new money.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from elsewhere import BOOKS, ENTER, LEFT, OPEN
from ledgers import UNDER_WAY
from life import Dismissed, Life, Moved, Slip
from town import Place

from billhook.domain.issue import Severity
from billhook.engine.queries import InvoiceDetails

ONE = Decimal(1)
COLLECTED = "collected"


class Standing(NamedTuple):
    """What a payment in the books brings to an invoice there."""

    place: Place
    payment: str
    reference: str
    document: Any
    amount: Decimal


# What the host takes back.


def take_a_refund_back(life: Life) -> str:
    """One that was noted as paid another way."""
    noted = [each for id in life.invoices for each in life.space.refunds.list(id) if each.origin == "recorded"]
    standing = [each for each in noted if each.status == "succeeded"]
    if not standing:
        return "there is none"
    refund = life.chance.choice(standing)
    life.space.refunds.take_back(refund.id, reason="nothing went back")
    return f"{refund.amount} of {refund.payment_id}, refund {refund.id}"


def owe_again_while_it_is_collected(life: Life) -> str:
    """What was noted before is taken back, or paid back, while the rest is being taken."""
    prepaid = [
        (details, payment)
        for details in map(life.space.invoices.get, life.invoices)
        if any(each.status in UNDER_WAY for each in details.payments)
        for payment in details.payments
        if payment.status == "succeeded" and payment.origin != COLLECTED
    ]
    if not prepaid:
        return _prepay(life)
    details, payment = life.chance.choice(prepaid)
    if life.chance.random() < 0.5:
        life.space.invoices.take_back_payment(details.id, payment.id, reason="noted by mistake")
        return f"{payment.id} of {details.id} is taken back"
    life.space.refunds.record(payment.id, f"{payment.amount_received:f}", key=life.key)
    return f"{payment.id} of {details.id} is paid back"


def _prepay(life: Life) -> str:
    """So that there is something to be taken back meanwhile."""
    open_ones = [each for each in map(life.space.invoices.get, life.invoices) if each.invoice.amount_due > ONE]
    if not open_ones:
        return "nothing is owed"
    chosen = life.chance.choice(open_ones).id
    life.space.invoices.record_payment(chosen, "1", key=life.key)
    return f"1 of {chosen} is noted first"


def dismiss_a_warning(life: Life) -> str:
    """Whether or not anything was done about it."""
    warned = [
        (details, issue)
        for details in map(life.space.invoices.get, life.invoices)
        for issue in details.issues
        if issue.severity is Severity.WARNING
    ]
    if not warned:
        return "nobody is warned"
    details, chosen = life.chance.choice(warned)
    life.space.invoices.dismiss(details.id, chosen.code, reason="it is dealt with")
    life.dismissed.update(
        Dismissed(details.id, each.component, each.severity, each.code, each.path, each.message)
        for each in details.issues
        if each.code == chosen.code
    )
    return f"{chosen.code} of {details.id}: {chosen.message}"


# What the office corrects in the books.


def the_office_enters_a_refund(life: Life) -> str:
    """As a warning asks for: the payment is made less there; sometimes by a part of it, or by more, which is a slip."""
    asked = [(standing, missing) for standing, missing in _refunds_to_enter(life) if standing.amount > 0]
    if not asked:
        return "none is to be entered"
    standing, missing = life.chance.choice(asked)
    amount = min(life.chance.choice([missing] * 3 + [ONE]), standing.amount)
    _make_less(life, standing, amount)
    if amount > missing:
        beyond = amount - missing
        life.slips.append(Slip(standing.place.name, standing.document.id, standing.document.reference, beyond))
    return f"{amount} of {missing} out of {standing.payment} for {standing.document.reference} at {standing.place.name}"


def the_office_takes_out_what_was_taken_back(life: Life) -> str:
    """As a warning asks for."""
    told = {
        (details.id, issue.component.removeprefix("payment."))
        for details in map(life.space.invoices.get, life.invoices)
        for issue in details.issues
        if issue.code == "recorded_payment_taken_back"
    }
    back = [each for each in _standing(life) if (each.document.reference, each.reference) in told]
    if not back:
        return "nothing is to be taken out"
    standing = life.chance.choice(back)
    _make_less(life, standing, standing.amount)
    return f"{standing.amount} for {standing.document.reference} at {standing.place.name}"


def the_office_slips(life: Life) -> str:
    """It makes a payment less, or takes it out, that is right as it stands."""
    standing = list(_standing(life))
    if not standing:
        return "there is nothing"
    chosen = life.chance.choice(standing)
    amount = life.chance.choice([chosen.amount, min(ONE, chosen.amount)])
    _make_less(life, chosen, amount)
    life.slips.append(Slip(chosen.place.name, chosen.document.id, chosen.document.reference, amount))
    return f"{amount} out of {chosen.payment} for {chosen.document.reference} at {chosen.place.name}"


def the_office_undoes_a_slip(life: Life) -> str:
    """What it took out stands there again, where there is room for it still."""
    if not life.slips:
        return "there was none"
    slip = life.slips.pop(life.chance.randrange(len(life.slips)))
    return undo(life, slip)


def undo(life: Life, slip: Slip) -> str:
    """Enter it again."""
    place = life.town[slip.place]
    (document,) = [each for each in place.books.documents() if each.id == slip.document]
    if document.status not in OPEN or LEFT[place.name](place, document) < slip.amount:
        return f"there is no room for {slip}"
    ENTER[place.name](place, document, slip.amount)
    return f"{slip}"


def _refunds_to_enter(life: Life) -> Iterator[tuple[Standing, Decimal]]:
    missing: dict[str, Decimal] = {}
    for details in map(life.space.invoices.get, life.invoices):
        missing.update(_missing(details))
    return ((each, missing[each.document.reference]) for each in _standing(life) if each.document.reference in missing)


def _missing(details: InvoiceDetails) -> Iterator[tuple[str, Decimal]]:
    for issue in details.issues:
        told = re.search(r"of which (\S+) went back", issue.message)
        if issue.code == "refund_not_in_books" and told:
            yield details.id, Decimal(told[1])


def _standing(life: Life) -> Iterator[Standing]:
    for name in BOOKS:
        place = life.town[name]
        documents = {each.id: each for each in place.books.documents() if each.is_issued}
        for payment in place.books.payments():
            for id, amount in _applied(place, payment):
                if id in documents and amount > 0:
                    yield Standing(place, payment.id, payment.reference, documents[id], amount)


def _applied(place: Place, payment: Any) -> Iterator[tuple[str, Decimal]]:
    if place.name == "quickbooks":
        yield from payment.applied if payment.amount else ()
    elif payment.status != "DELETED":
        yield payment.invoice, payment.amount


def _make_less(life: Life, standing: Standing, amount: Decimal) -> None:
    LESS[standing.place.name](standing, amount)
    life.taken_out.append(Moved(standing.place.name, standing.document.reference, amount))


def _less_at_xero(standing: Standing, amount: Decimal) -> None:
    """Xero changes no payment: it is deleted, and what is left of it is entered anew."""
    books = standing.place.books
    books.do("POST", f"/Payments/{standing.payment}", {"Payments": [{"Status": "DELETED"}]})
    left = standing.amount - amount
    if left:
        told = {"Invoice": {"InvoiceID": standing.document.id}, "Account": {"Code": "090"}, "Amount": left}
        books.do("PUT", "/Payments", told)


def _less_at_quickbooks(standing: Standing, amount: Decimal) -> None:
    books = standing.place.books
    old = books.ledger.entity("Payment", standing.payment)
    known = {"Id": old["Id"], "SyncToken": old["SyncToken"]}
    left = Decimal(old["TotalAmt"]) - amount
    if not left:
        books.do("Payment", "delete", known)
        return
    kept = [line for line in old["Line"] if line["LinkedTxn"][0]["TxnId"] != standing.document.id]
    link = [{"TxnId": standing.document.id, "TxnType": "Invoice"}]
    rest = standing.amount - amount
    lines = [*kept, {"Amount": f"{rest}", "LinkedTxn": link}] if rest else kept
    books.do("Payment", "update", {**known, "TotalAmt": f"{left}", "Line": lines})


LESS: Mapping[str, Callable[[Standing, Decimal], None]] = {"xero": _less_at_xero, "quickbooks": _less_at_quickbooks}
