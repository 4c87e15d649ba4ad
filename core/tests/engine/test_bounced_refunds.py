"""Refunds that come back after they were paid, and books of another app that still show money which went back."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from engine_kit import Shop, a_provider, careful_draft, lost_before, put, repeat
from money_kit import a_draft_to_be_approved
from sandbox_shop import SandboxShop, open_sandbox_shop

from billhook.contract import Batch, Done, PaymentResult, PaymentStatus, Pending, RefundResult, RefundStatus, Rejected
from billhook.engine.asking_what_went_back import look_at_refund
from billhook.engine.unit import Unit
from billhook.store import schema
from billhook.store.transaction import Transaction
from billhook.testing.invariants import problems_of

OpenShop = Callable[..., Shop]


def refunded(scene: SandboxShop, amount: str = "4.00") -> tuple[str, str]:
    """A paid invoice of which so much was given back: the ids of the invoice and of the refund."""
    id = scene.shop.submit()
    scene.shop.run()
    refund_id = scene.shop.ns.refunds.refund(scene.shop.get(id).payments[0].id, amount)
    scene.shop.run()
    assert scene.shop.get(id).invoice.amount_refunded == Decimal(amount)
    return id, refund_id


def tell(scene: SandboxShop) -> None:
    scene.sandbox.deliver_webhooks(
        lambda headers, body: 200 + 0 * scene.shop.engine.receive_webhook(scene.app_id, dict(headers), body)
    )
    scene.shop.run()


def codes(shop: Shop, id: str) -> list[str]:
    return [issue.code for issue in shop.get(id).issues]


def test_a_refund_that_bounces_is_taken_over_and_shown(a_shop_anywhere: OpenShop):
    scene = open_sandbox_shop(a_shop_anywhere)
    id, _ = refunded(scene)
    tell(scene)
    scene.sandbox.bounce_refund(scene.sandbox.refunds()[0].id)
    tell(scene)
    details = scene.shop.get(id)
    assert (details.status, details.invoice.amount_paid, details.invoice.amount_refunded) == ("paid", 10, 0)
    (issue,) = details.issues
    assert (issue.code, issue.severity.value) == ("refund_bounced", "warning")
    assert "sent the money back" in issue.message
    assert problems_of(scene.shop.engine) == []


def test_what_bounced_can_be_refunded_again(a_shop: OpenShop):
    scene = open_sandbox_shop(a_shop)
    id, _ = refunded(scene, "10.00")
    scene.sandbox.bounce_refund(scene.sandbox.refunds()[0].id)
    tell(scene)
    again = scene.shop.ns.refunds.refund(scene.shop.get(id).payments[0].id, "10.00")
    scene.shop.run()
    assert again
    assert [refund.status for refund in scene.sandbox.refunds()] == ["bounced", "succeeded"]
    assert scene.shop.get(id).invoice.amount_refunded == 10


def test_a_refund_that_bounced_is_told_of_until_as_much_was_given_back_after_it(a_shop: OpenShop):
    scene = open_sandbox_shop(a_shop)
    id, _ = refunded(scene)
    scene.sandbox.bounce_refund(scene.sandbox.refunds()[0].id)
    tell(scene)
    payment = scene.shop.get(id).payments[0].id
    for amount, told in (("3.00", ["refund_bounced"]), ("1.00", [])):
        scene.shop.ns.refunds.refund(payment, amount)
        scene.shop.run()
        assert codes(scene.shop, id) == told
    assert problems_of(scene.shop.engine) == []


def test_an_event_of_a_refund_leads_to_one_look_and_changes_nothing_that_is_so_already(a_shop: OpenShop):
    scene = open_sandbox_shop(a_shop)
    id, _ = refunded(scene)
    before = scene.shop.get(id)
    tell(scene)
    assert len(scene.shop.wire.to("/v1/refunds?")) == 1
    assert scene.shop.get(id).invoice.amount_refunded == before.invoice.amount_refunded
    assert codes(scene.shop, id) == []


# With providers that behave in other ways.


def collect(self: Any, batch: Batch[Any, Any]) -> Any:
    reply = yield put("collect", batch, "collect", recover=(repeat(),))
    paid = PaymentResult(PaymentStatus.SUCCEEDED, batch.only.amount, reply.json()["items"][0]["id"])
    return {batch.only.id: Done(paid)}


def slow_refund(self: Any, batch: Batch[Any, Any]) -> Any:
    from datetime import timedelta

    reply = yield put("refund", batch, "refund", recover=(repeat(),))
    return {batch.only.id: Pending("the bank takes days", reply.json()["items"][0]["id"], timedelta(minutes=5))}


def quick_refund(self: Any, batch: Batch[Any, Any]) -> Any:
    reply = yield put("refund", batch, "refund", recover=())
    made = RefundResult(RefundStatus.SUCCEEDED, batch.only.amount, reply.json()["items"][0]["id"])
    return {batch.only.id: Done(made)}


def check_refund(statuses: list[RefundStatus | None]) -> Any:
    """Tells these, one after the other; None is a look that is not let in."""

    def check(self: Any, batch: Batch[Any, Any]) -> Any:
        yield put("check", batch, "check", safe=True, key=None)
        status = statuses.pop(0)
        if status is None:
            return {batch.only.id: Rejected.because("forbidden", "The key may not read.")}
        return {batch.only.id: Done(RefundResult(status, batch.only.amount, batch.only.external_id))}

    return check


def a_refunding_shop(open_one: OpenShop, **hooks: Any) -> tuple[Shop, str]:
    usual = {"sync_draft": careful_draft, "collect_payment": collect, "refund": quick_refund}
    shop = open_one(a_provider(**{**usual, **hooks}))
    id = shop.submit()
    shop.run()
    shop.ns.refunds.refund(shop.get(id).payments[0].id, "4")
    return shop, id


def test_a_refund_under_way_is_looked_at_and_not_made_again(a_shop: OpenShop):
    looks = check_refund([RefundStatus.PROCESSING, RefundStatus.SUCCEEDED])
    shop, id = a_refunding_shop(a_shop, refund=slow_refund, check_refund=looks)
    shop.run_for(60)
    assert shop.get(id).invoice.amount_refunded == 0
    shop.run_for(3600)
    assert (len(shop.wire.to("refund")), len(shop.wire.to("check"))) == (1, 1)
    assert [row["state"] for row in shop.rows(schema.refund)] == ["processing"]


def test_a_look_that_is_not_let_in_fails_no_refund_and_is_repeated(a_shop: OpenShop):
    shop, id = a_refunding_shop(a_shop, refund=slow_refund, check_refund=check_refund([None, RefundStatus.SUCCEEDED]))
    shop.run_for(400)
    assert [row["state"] for row in shop.rows(schema.refund)] == ["processing"]
    shop.run_for(4000)
    assert shop.get(id).invoice.amount_refunded == 4


def test_a_refund_of_which_nobody_knows_is_read_where_the_app_can_be_asked(a_shop: OpenShop):
    shop, id = a_refunding_shop(a_shop, check_refund=check_refund([RefundStatus.SUCCEEDED]))
    shop.wire.plan(lost_before, to="refund")
    shop.run_for(600)
    (doubt,) = shop.ns.doubts.list()
    shop.ns.doubts.resolve(doubt.document_id, found="refund-9")
    shop.run()
    assert shop.get(id).invoice.amount_refunded == 4
    assert len(shop.wire.to("check")) == 1


def test_an_invoice_that_owes_nothing_once_a_refund_bounced_is_paid(a_shop_anywhere: OpenShop):
    """Of 4 that were noted none had come, and 2 of the 6 that were collected went back."""
    bank = a_provider(
        sync_draft=careful_draft,
        collect_payment=collect,
        refund=quick_refund,
        check_refund=check_refund([RefundStatus.FAILED]),
    )
    shop, id = a_draft_to_be_approved(a_shop_anywhere, bank)
    invoices = shop.ns.invoices
    invoices.record_payment(id, "4")
    invoices.approve(id)
    shop.run()
    noted, collected = (each.id for each in shop.get(id).payments)
    shop.ns.refunds.refund(collected, "2.00")
    shop.run()
    invoices.take_back_payment(id, noted, reason="It was for another customer.")
    invoices.record_payment(id, "4")
    assert (shop.status(id), shop.get(id).invoice.amount_due) == ("payment_processing.failed", 2)
    look_at_the_refund(shop)
    shop.run()
    assert (shop.status(id), shop.get(id).invoice.amount_due) == ("paid", 0)
    assert problems_of(shop.engine) == []


def look_at_the_refund(shop: Shop) -> None:
    """As a webhook has it done."""
    (refund,) = shop.rows(schema.refund)

    def ask(tx: Transaction) -> None:
        unit = Unit(shop.engine.context, tx)
        look_at_refund(unit, refund)
        unit.flush()

    shop.engine.database.write(ask)


# Books of another app.


def note(self: Any, batch: Batch[Any, Any]) -> Any:
    yield put("note", batch, "notes", recover=(repeat(),))
    return {
        item.id: Done(PaymentResult(PaymentStatus.SUCCEEDED, item.amount, f"noted-{item.id}")) for item in batch.items
    }


@pytest.fixture
def books_and_bank(a_shop: OpenShop) -> Callable[..., Shop]:
    def make(**hooks: Any) -> Shop:
        books = a_provider(sync_draft=careful_draft, record_payment=note)
        bank = a_provider("bank", **{"collect_payment": collect, "refund": quick_refund, **hooks})
        shop = a_shop(books, bank)
        shop.a_profile(shop.app, payment_app_id=shop.an_app("bank").id)
        return shop

    return make


def test_books_that_still_show_what_was_refunded_elsewhere_are_named_with_the_amount(
    books_and_bank: Callable[..., Shop],
):
    shop = books_and_bank(check_refund=check_refund([RefundStatus.FAILED]))
    id = shop.submit()
    shop.run()
    (payment,) = shop.get(id).payments
    for amount in ("4", "1.50"):
        shop.ns.refunds.refund(payment.id, amount)
        shop.run()
    (issue,) = shop.get(id).issues
    assert (issue.code, issue.severity.value) == ("refund_not_in_books", "warning")
    assert issue.message == (
        f"Books still shows payment noted-{payment.id} over 10.00 EUR, of which 5.50 went back to the customer. "
        "Enter the refund there."
    )


def test_a_refund_within_the_app_that_has_the_books_needs_no_note(a_shop: OpenShop):
    scene = open_sandbox_shop(a_shop)
    id, _ = refunded(scene)
    assert codes(scene.shop, id) == []
