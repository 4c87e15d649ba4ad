"""The scenes: one operation each, with what has to stand at the provider before it. A provider plays those that it can."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

from billhook.contract import Capability, ConnectionItem, Done, InvoiceItem, PaymentItem, PaymentStatus
from billhook.domain.invoice import InvoiceDraft
from billhook.testing.builders import an_invoice
from billhook.testing.kit.bench import MOST_LOOKS, NOTHING_AUTHORIZES, Bench, Stuck
from billhook.testing.kit.subject import Authorizing, SimulatorProtocol, Subject

FIRST, SECOND = 1, 2
REFUNDED = "1.00"
CAPTURED = Decimal("1.00")
ONE_AT_A_TIME = "its operations take one item at a time"
LONGEST_LOOK = timedelta(days=2)

Items = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Scene:
    """One operation. ``prepare`` brings about what it begins with, and gives its items. ``authorizes``: it begins with a payment that is
    only authorized. ``of_elsewhere``: its invoice lives elsewhere."""

    name: str
    capability: Capability
    prepare: Callable[[Bench], Items]
    needs: tuple[Capability, ...] = ()
    authorizes: bool = False
    of_elsewhere: bool = False

    def hindrance(self, subject: Subject, books: SimulatorProtocol) -> str | None:
        """Why the provider can't play it, though it has the operation; None where it can."""
        missing = [need for need in self.needs if not subject.can(need)]
        if missing:
            return f"it is tried on what {', '.join(missing)} brought about, which {subject.name} does not do"
        return NOTHING_AUTHORIZES if self.authorizes and not isinstance(books, Authorizing) else None


def _edited(item: Any, bench: Bench) -> InvoiceItem:
    """The same draft, with one line instead of three."""
    shorter = an_invoice(lines=1, currency=bench.currency)
    return replace(bench.invoice_item(FIRST, shorter), external_id=item.external_id)


def a_draft(bench: Bench) -> Items:
    """A new invoice, of a customer who stands there."""
    return (bench.invoice_item(FIRST),)


def an_edited_draft(bench: Bench) -> Items:
    """A draft that stands there, edited."""
    return (_edited(bench.drafted(FIRST), bench),)


def to_be_issued(bench: Bench) -> Items:
    """A draft that stands there, or a new invoice where there are no drafts."""
    if bench.can(Capability.SYNC_DRAFT):
        return (bench.drafted(FIRST),)
    return (replace(bench.invoice_item(FIRST), number=f"INV-{FIRST}"),)


def issued(bench: Bench) -> Items:
    """An invoice that is final there."""
    return (bench.issued(FIRST),)


def removable(bench: Bench) -> Items:
    """A draft that stands there; an issued invoice where there are no drafts."""
    return (bench.drafted(FIRST),) if bench.can(Capability.SYNC_DRAFT) else issued(bench)


def a_customer_alone(bench: Bench) -> Items:
    """A new customer."""
    return (bench.customer_item(FIRST),)


def an_edited_customer(bench: Bench) -> Items:
    """A customer who stands there under an older name."""
    item = bench.customer_item(FIRST)
    renamed = item.customer.model_copy(update={"name": "Customer Renamed"})
    return (replace(item, customer=renamed, revision=2, external_id=bench.link(FIRST).external_id),)


def a_credit_note(bench: Bench) -> Items:
    """A credit note on an invoice that is final there."""
    invoice = bench.issued(FIRST)
    return (bench.credit_item(50, applies_to=invoice.external_id),)


def to_be_paid(bench: Bench, draft: InvoiceDraft | None = None) -> PaymentItem:
    """The payment of an invoice that is final there, or lives elsewhere where the provider issues none."""
    issues = bench.can(Capability.ISSUE) and Capability.ISSUE in bench.subject.remote_operations
    place = bench.issued if issues else bench.invoice_item
    return bench.payment_item(place(FIRST, draft=draft))


def a_payment(bench: Bench) -> Items:
    """A payment to collect or to note."""
    return (to_be_paid(bench),)


def a_payment_beside_another(bench: Bench) -> Items:
    """A payment to collect, where another invoice of the same customer was collected with the same amount."""
    issues = bench.can(Capability.ISSUE) and Capability.ISSUE in bench.subject.remote_operations
    other = bench.issued(SECOND) if issues else bench.invoice_item(SECOND)
    bench.run(Capability.COLLECT_PAYMENT, bench.payment_item(other, 500 + SECOND))
    return a_payment(bench)


def a_payment_that_is_there(bench: Bench) -> Items:
    """A payment that was collected."""
    return (collected(bench),)


def a_payment_of_elsewhere(bench: Bench) -> Items:
    """A payment to collect of an invoice that lives elsewhere."""
    return (bench.payment_item(bench.invoice_item(FIRST)),)


def collected(bench: Bench) -> PaymentItem:
    """Collect it: the payment as the engine knows it afterwards."""
    item = to_be_paid(bench)
    return replace(item, external_id=_known(bench.run(Capability.COLLECT_PAYMENT, item).outcome))


def _known(outcome: Any) -> str | None:
    known: str | None = outcome.result.external_id if isinstance(outcome, Done) else outcome.external_id
    return known


def authorized(bench: Bench) -> PaymentItem:
    """A payment that is authorized and not taken. Raises Stuck when it ends another way."""
    bench.authorize_first()
    item = bench.payment_item(bench.invoice_item(FIRST))
    outcome = bench.run(Capability.COLLECT_PAYMENT, item).outcome
    if not isinstance(outcome, Done) or outcome.result.status is not PaymentStatus.AUTHORIZED:
        raise Stuck(f"of a payment that is only to be authorized comes {outcome}")
    return replace(item, external_id=outcome.result.external_id)


def to_be_captured(bench: Bench) -> Items:
    """A part of a payment that is authorized."""
    return (replace(authorized(bench), amount=CAPTURED),)


def to_be_canceled(bench: Bench) -> Items:
    """A payment that is authorized, or where there are none one that was begun."""
    return (authorized(bench) if isinstance(bench.books, Authorizing) else collected(bench),)


def settled_payment(bench: Bench) -> PaymentItem:
    """Collect it, and look until the money is there. Raises Stuck when it never comes."""
    item = to_be_paid(bench)
    outcome = bench.run(Capability.COLLECT_PAYMENT, item).outcome
    for _ in range(MOST_LOOKS):
        if isinstance(outcome, Done) and outcome.result.status is PaymentStatus.SUCCEEDED:
            return replace(item, external_id=outcome.result.external_id)
        item = replace(item, external_id=_known(outcome) or item.external_id)
        bench.let_the_payer_act(outcome)
        bench.turned.advance(getattr(outcome, "check_after", None) or timedelta(hours=12))
        outcome = bench.run(Capability.CHECK_PAYMENT, item).outcome
    raise Stuck(f"the money does not come: {outcome}")


def a_refund(bench: Bench) -> Items:
    """A part of a payment that came in."""
    payment = settled_payment(bench)
    assert payment.external_id is not None
    return (bench.refund_item(payment.external_id, REFUNDED),)


def a_refund_beside_another(bench: Bench) -> Items:
    """A part of a payment of which as much was given back before."""
    (item,) = a_refund(bench)
    bench.run(Capability.REFUND, bench.refund_item(item.payment_external_id, REFUNDED, 700 + SECOND))
    return (item,)


def a_refund_that_is_there(bench: Bench) -> Items:
    """A refund that was asked for."""
    (item,) = a_refund(bench)
    return (replace(item, external_id=_known(bench.run(Capability.REFUND, item).outcome)),)


def the_app(bench: Bench) -> Items:
    """The app itself."""
    return (ConnectionItem("app"),)


_PAYING = (Capability.COLLECT_PAYMENT, Capability.CHECK_PAYMENT)
_REFUNDING = (*_PAYING, Capability.REFUND)

SCENES: tuple[Scene, ...] = (
    Scene("sync_customer", Capability.SYNC_CUSTOMER, a_customer_alone),
    Scene("sync_customer.edited", Capability.SYNC_CUSTOMER, an_edited_customer),
    Scene("sync_draft", Capability.SYNC_DRAFT, a_draft),
    Scene("sync_draft.edited", Capability.SYNC_DRAFT, an_edited_draft),
    Scene("issue", Capability.ISSUE, to_be_issued),
    Scene("send", Capability.SEND, issued, (Capability.ISSUE,)),
    Scene("void", Capability.VOID, issued, (Capability.ISSUE,)),
    Scene("mark_uncollectible", Capability.MARK_UNCOLLECTIBLE, issued, (Capability.ISSUE,)),
    Scene("delete", Capability.DELETE, removable, (Capability.ISSUE,)),
    Scene("credit", Capability.CREDIT, a_credit_note, (Capability.ISSUE,)),
    Scene("calculate_tax", Capability.CALCULATE_TAX, a_draft),
    Scene("collect_payment", Capability.COLLECT_PAYMENT, a_payment_beside_another),
    Scene(
        "collect_payment.elsewhere",
        Capability.COLLECT_PAYMENT,
        a_payment_of_elsewhere,
        (Capability.ISSUE,),
        of_elsewhere=True,
    ),
    Scene(
        "capture_payment", Capability.CAPTURE_PAYMENT, to_be_captured, (Capability.COLLECT_PAYMENT,), authorizes=True
    ),
    Scene("cancel_payment", Capability.CANCEL_PAYMENT, to_be_canceled, (Capability.COLLECT_PAYMENT,)),
    Scene("check_payment", Capability.CHECK_PAYMENT, a_payment_that_is_there, (Capability.COLLECT_PAYMENT,)),
    Scene("record_payment", Capability.RECORD_PAYMENT, a_payment, (Capability.ISSUE,)),
    Scene("refund", Capability.REFUND, a_refund_beside_another, _PAYING),
    Scene("check_refund", Capability.CHECK_REFUND, a_refund_that_is_there, _REFUNDING),
    Scene("fetch", Capability.FETCH, issued, (Capability.ISSUE,)),
    Scene("check_connection", Capability.CHECK_CONNECTION, the_app),
    Scene("list_accounts", Capability.LIST_ACCOUNTS, the_app),
)

_SECRET = "what goes and comes holds secrets and is never journalled, so it is begun anew instead of gone on with:"
UNSTAGED: Mapping[Capability, str] = {
    Capability.AUTHORIZE_URL: "it changes nothing there: it makes the address at which a person grants access",
    Capability.EXCHANGE_CODE: f"{_SECRET} after a lost answer the person grants access again",
    Capability.REFRESH_CREDENTIALS: f"{_SECRET} after a lost answer it is asked again with the credentials that are stored by then",
}
"""The operations that have no scene, and why."""


def several_of(scene: Scene, bench: Bench, count: int = 2) -> Items:
    """So many items of one operation that takes several; empty where there is no second."""
    another = _OTHERS.get(scene.name)
    if another is None:
        return ()
    return (*scene.prepare(bench), *(another(bench, number) for number in range(SECOND, count + 1)))


def _another_to_be_issued(bench: Bench, number: int) -> Any:
    if bench.can(Capability.SYNC_DRAFT):
        return bench.drafted(number)
    return replace(bench.invoice_item(number), number=f"INV-{number}")


_OTHERS: Mapping[str, Callable[[Bench, int], Any]] = {
    "sync_customer": lambda bench, number: bench.customer_item(number),
    "sync_draft": lambda bench, number: bench.invoice_item(number),
    "issue": _another_to_be_issued,
    "credit": lambda bench, number: bench.credit_item(100 + number, applies_to=bench.issued(number).external_id),
    "record_payment": lambda bench, number: bench.payment_item(bench.issued(number), 500 + number),
}
