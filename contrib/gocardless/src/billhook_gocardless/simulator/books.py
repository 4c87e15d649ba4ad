"""Reading the books as values: what stands there, what stands there twice, and what it comes to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from decimal import Decimal

from billhook.testing.simulator.books import Duplicate
from billhook_gocardless.simulator.ledger import Ledger, Thing
from billhook_gocardless.simulator.records import Customer, Mandate, Payment, Refund, major

_NO_MONEY = frozenset({"failed", "cancelled", "customer_approval_denied"})
_COLLECTED = frozenset({"confirmed", "paid_out"})
_NOT_REFUNDED = frozenset({"bounced", "refund_returned"})


class Books:
    """Typed views of a ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def customers(self) -> tuple[Customer, ...]:
        return tuple(_customer(thing) for thing in self._ledger.all("customers"))

    def mandates(self) -> tuple[Mandate, ...]:
        bodies = (thing.body for thing in self._ledger.all("mandates"))
        return tuple(Mandate(body["id"], body["links"]["customer"], body["scheme"], body["status"]) for body in bodies)

    def payments(self) -> tuple[Payment, ...]:
        return tuple(_payment(thing) for thing in self._ledger.all("payments"))

    def refunds(self) -> tuple[Refund, ...]:
        return tuple(_refund(thing) for thing in self._ledger.all("refunds"))

    def duplicates(self) -> tuple[Duplicate, ...]:
        """A payment that moved no money does not count: the next one is another try."""
        moving = [payment for payment in self.payments() if payment.status not in _NO_MONEY]
        kinds: dict[str, Iterable[Customer | Payment | Refund]] = {
            "customer": self.customers(),
            "payment": moving,
            "refund": self.refunds(),
        }
        return tuple(duplicate for kind, things in kinds.items() for duplicate in _repeated(kind, things))

    def totals(self) -> dict[str, Decimal]:
        sums: dict[str, Decimal] = defaultdict(Decimal)
        for payment in self.payments():
            if payment.status in _COLLECTED:
                sums[payment.currency] += payment.amount
        for refund in self.refunds():
            if refund.status not in _NOT_REFUNDED:
                sums[refund.currency] -= refund.amount
        return dict(sums)


def _repeated(kind: str, things: Iterable[Customer | Payment | Refund]) -> Iterable[Duplicate]:
    by_reference: dict[str, list[str]] = defaultdict(list)
    for thing in things:
        if thing.reference is not None:
            by_reference[thing.reference].append(thing.id)
    return (Duplicate(kind, reference, tuple(ids)) for reference, ids in by_reference.items() if len(ids) > 1)


def _customer(thing: Thing) -> Customer:
    body = thing.body
    name = body["company_name"] or f"{body['given_name']} {body['family_name']}"
    return Customer(thing.id, thing.reference, name, body["email"], body["metadata"])


def _payment(thing: Thing) -> Payment:
    body = thing.body
    return Payment(
        thing.id,
        thing.reference,
        body["status"],
        major(body["amount"]),
        major(body["amount_refunded"]),
        body["currency"],
        body["links"]["mandate"],
        body["description"],
        body["metadata"],
    )


def _refund(thing: Thing) -> Refund:
    body = thing.body
    return Refund(
        thing.id, thing.reference, body["status"], major(body["amount"]), body["currency"], body["links"]["payment"]
    )
