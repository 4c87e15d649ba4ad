"""What people do at the providers, past us: payers on the provider's page, the office in the books, support in the dashboard.

Each step notes what money it moved, and whether anybody will ever tell of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from life import Life
from town import Place

from billhook_stripe.simulator.desk import Refused
from billhook_stripe.simulator.units import exponent

PAGES = ("stripe", "cards")
BOOKS = ("xero", "quickbooks")
OPEN = frozenset({"open", "issued", "AUTHORISED"})


def a_payer_pays_on_the_page(life: Life) -> str:
    """Whoever is to collect, and however that stands: Stripe's page takes what is open there."""
    payable = [(place, each) for place, each in _open_at(life, PAGES) if each.amount_remaining > 0]
    if not payable:
        return "nothing is open"
    place, document = life.chance.choice(payable)
    try:
        place.books.pay_on_page(document.id)
    except Refused as refused:
        return f"{document.id} can't be paid now: {refused}"
    life.note_moved(place, document.reference, document.amount_remaining)
    return f"{document.amount_remaining} for {document.reference} at {place.name}"


def the_office_enters_a_payment(life: Life) -> str:
    """By hand in the books, the whole or a part."""
    left = [(place, each, LEFT[place.name](place, each)) for place, each in _open_at(life, BOOKS)]
    owed = [(place, each, amount) for place, each, amount in left if amount > 0]
    if not owed:
        return "nothing is owed"
    place, document, whole = life.chance.choice(owed)
    amount = life.chance.choice([whole, whole, min(Decimal(1), whole)])
    ENTER[place.name](place, document, amount)
    life.note_moved(place, document.reference, amount)
    return f"{amount} for {document.reference} at {place.name}"


def support_refunds_in_the_dashboard(life: Life) -> str:
    place = life.town[life.chance.choice(PAGES)]
    back: dict[str, Decimal] = {}
    for refund in place.books.refunds():
        if refund.status == "succeeded":
            back[refund.payment] = back.get(refund.payment, Decimal(0)) + refund.amount
    left = {
        each.id: each.amount - back.get(each.id, Decimal(0))
        for each in place.books.payments()
        if each.origin == "charged" and each.status == "succeeded"
    }
    refundable = [each for each in place.books.payments() if left.get(each.id, 0) > 0]
    if not refundable:
        return "there is nothing"
    payment = life.chance.choice(refundable)
    amount = life.chance.choice([left[payment.id], min(Decimal(1), left[payment.id])])
    place.books.refund_in_dashboard(payment.id, int(amount.scaleb(exponent(payment.currency.lower()))))
    life.note_moved(place, life.owner(payment.reference), -amount)
    return f"{amount} of {payment.id} at {place.name}"


def webhooks_are_lost(life: Life) -> str:
    """The provider told, and somebody answered in our place: what was told comes never again."""
    place = life.town[life.chance.choice([*PAGES, *BOOKS])]
    lost = place.books.deliver_webhooks(lambda _headers, _body: 200)
    life.lose_what_was_told(place)
    return f"{lost} of {place.name}"


def _open_at(life: Life, names: Sequence[str]) -> list[tuple[Place, Any]]:
    places = [life.town[name] for name in names]
    documents = [(place, each) for place in places for each in place.books.documents()]
    return [(place, each) for place, each in documents if each.kind == "invoice" and each.status in OPEN]


def _left_at_xero(_place: Place, document: Any) -> Decimal:
    return Decimal(document.amount_due)


def _left_at_quickbooks(place: Place, document: Any) -> Decimal:
    return Decimal(place.books.ledger.entity("Invoice", document.id)["Balance"])


def _enter_at_xero(place: Place, document: Any, amount: Decimal) -> None:
    told = {"Invoice": {"InvoiceID": document.id}, "Account": {"Code": "090"}, "Amount": amount}
    place.books.do("PUT", "/Payments", told)


def _enter_at_quickbooks(place: Place, document: Any, amount: Decimal) -> None:
    link = [{"TxnId": document.id, "TxnType": "Invoice"}]
    lines = [{"Amount": f"{amount}", "LinkedTxn": link}]
    place.books.do(
        "Payment", "create", {"CustomerRef": {"value": document.customer}, "TotalAmt": f"{amount}", "Line": lines}
    )


LEFT: Mapping[str, Callable[[Place, Any], Decimal]] = {"xero": _left_at_xero, "quickbooks": _left_at_quickbooks}
ENTER: Mapping[str, Callable[[Place, Any, Decimal], None]] = {
    "xero": _enter_at_xero,
    "quickbooks": _enter_at_quickbooks,
}
