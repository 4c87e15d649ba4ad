"""What tests of money share: invoices that wait for it, and providers that take it and give it back."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from engine_kit import Shop, a_provider, careful_draft, documents, put, repeat

from billhook.contract import (
    Batch,
    Done,
    PaymentResult,
    PaymentStatus,
    Pending,
    RefundResult,
    RefundStatus,
    Rejected,
)

OpenShop = Callable[..., Shop]
PENDING = "payment_processing.pending"


def an_issued_invoice(shop: Shop, **changes: Any) -> str:
    id = shop.submit(**changes)
    shop.run()
    assert shop.status(id) == PENDING
    return id


def money(shop: Shop, id: str) -> tuple[Decimal, Decimal]:
    invoice = shop.get(id).invoice
    return invoice.amount_paid, invoice.amount_due


def a_draft_to_be_approved(open_one: OpenShop, *providers: Any) -> tuple[Shop, str]:
    shop = open_one(*providers, workflow={"auto_advance": False})
    id = shop.submit()
    shop.run()
    assert shop.status(id) == "draft.manual_approval_needed"
    return shop, id


def collect_payment(self: Any, batch: Batch[Any, Any]) -> Any:
    yield put("collect", batch, "collect", recover=(repeat(),))
    paid = PaymentResult(PaymentStatus.SUCCEEDED, batch.only.amount, f"pay-{batch.only.id}")
    return {batch.only.id: Done(paid)}


def an_undecided_payment(self: Any, batch: Batch[Any, Any]) -> Any:
    yield put("collect", batch, "collect", recover=(repeat(),))
    waiting = PaymentResult(PaymentStatus.ACTION_REQUIRED, Decimal(0), "pay-1", action_url="https://pay.test/1")
    return {batch.only.id: Done(waiting)}


def a_look_at_a_payment(statuses: list[Any]) -> Any:
    """Tells these, one after the other; None is a look that is not let in."""

    def check(self: Any, batch: Batch[Any, Any]) -> Any:
        yield put("check", batch, "check", safe=True, key=None)
        if statuses[0] is None:
            statuses.pop(0)
            return {batch.only.id: Rejected.because("forbidden", "The key may not read.")}
        paid = PaymentResult(PaymentStatus(statuses.pop(0)), batch.only.amount, f"pay-{batch.only.id}")
        return {batch.only.id: Done(paid)}

    return check


def refund(self: Any, batch: Batch[Any, Any]) -> Any:
    reply = yield put("refund", batch, "refund", recover=(repeat(),))
    item = reply.json()["items"][0]
    if "error" in item:
        return {batch.only.id: Rejected.because("too_old", "The payment is too old.")}
    return {batch.only.id: Done(RefundResult(RefundStatus.SUCCEEDED, batch.only.amount, item["id"]))}


def refund_by_reason(self: Any, batch: Batch[Any, Any]) -> Any:
    """Done, under way or refused, as the refund's reason says."""
    item = batch.only
    yield put("refund", batch, "refund", recover=(repeat(),))
    match item.reason:
        case "refused":
            return {item.id: Rejected.because("refunded_already", "It was given back already.")}
        case "slow":
            return {item.id: Pending("The bank takes days.", f"re-{item.id}")}
    return {item.id: Done(RefundResult(RefundStatus.SUCCEEDED, item.amount, f"re-{item.id}"))}


def a_refunding_shop(open_one: OpenShop) -> tuple[Shop, str, str]:
    shop = open_one(a_provider(sync_draft=careful_draft, collect_payment=collect_payment, refund=refund))
    id = shop.submit()
    shop.run()
    assert shop.status(id) == "paid"
    return shop, id, shop.get(id).payments[0].id


def note_payment(self: Any, batch: Batch[Any, Any]) -> Any:
    yield put("note", batch, "notes", recover=(repeat(),))
    return {
        item.id: Done(PaymentResult(PaymentStatus.SUCCEEDED, item.amount, f"noted-{item.id}")) for item in batch.items
    }


def paths(shop: Shop) -> list[str]:
    return [request.url.rpartition("/")[2].partition("?")[0] for request in shop.wire.sent]


def credit(self: Any, batch: Batch[Any, Any]) -> Any:
    reply = yield put("credit", batch, "credits", recover=(repeat(),))
    return documents(batch, reply)


def a_note(shop: Shop, amount: str, invoice_id: str | None = None, **changes: Any) -> dict[str, Any]:
    line = {"name": "Back", "quantity": "1", "price": {"type": "unit", "amount": amount}}
    return shop.draft(type="credit_note", lines=[line], credited_invoice_id=invoice_id, **changes)
