"""What a provider leaves pending is seen, and is not waited for without end."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from engine_kit import NOON, Shop, a_provider, careful_draft, documents, put, repeat

from billhook.contract import Batch, Done, OperationRules, PaymentResult, PaymentStatus, Pending, Rejected, Request
from billhook.contract.results import Snapshot
from billhook.engine.context import Policy
from billhook.engine.standing import standing_of
from billhook.store import schema

OpenShop = Callable[..., Shop]
A_MONTH = Policy().longest_wait


def left_pending(self: Any, batch: Batch[Any, Any]) -> Any:
    yield put("put", batch)
    return {item.id: Pending("being approved") for item in batch.items}


def still_pending(self: Any, batch: Batch[Any, Any]) -> Any:
    yield Request("fetch", "GET", f"http://books/found?refs={batch.only.id}")
    return {batch.only.id: Pending("still being approved")}


def not_shown(self: Any, batch: Batch[Any, Any]) -> Any:
    yield Request("fetch", "GET", f"http://books/found?refs={batch.only.id}")
    return {batch.only.id: Done(Snapshot(found=False))}


def test_an_invoice_that_waits_says_since_when_and_for_how_long(a_shop_anywhere: OpenShop):
    shop = a_shop_anywhere(a_provider(sync_draft=left_pending))
    id = shop.submit()
    shop.run()
    shop.clock.advance(timedelta(hours=1))
    waiting = shop.get(id)
    assert waiting.waiting_for == "being approved"
    assert waiting.waiting_since == NOON
    assert waiting.gives_up_at == NOON + A_MONTH
    standing = standing_of(shop.engine.context, shop.namespace)
    assert (standing.waiting, standing.waiting_since) == (1, NOON)
    assert not standing.needs_a_person


def test_an_invoice_that_is_about_to_be_sent_is_not_counted_as_waiting(a_shop: OpenShop):
    shop = a_shop(a_provider(sync_draft=left_pending))
    shop.submit()
    assert standing_of(shop.engine.context, shop.namespace).waiting == 0


def test_what_is_left_pending_and_cant_be_looked_at_is_given_up_and_not_done_a_second_time(a_shop: OpenShop):
    shop = a_shop(a_provider(sync_draft=left_pending))
    id = shop.submit()
    shop.run_for(A_MONTH.total_seconds() - 1)
    assert shop.status(id) == "draft.syncing"
    shop.turn(2)
    assert shop.status(id) == "draft.sync_failed"
    assert shop.issue_codes(id) == ["gave_up_waiting"]
    assert len(shop.wire.sent) == 1


def test_what_is_left_pending_is_looked_at_once_more_before_it_is_given_up(a_shop: OpenShop):
    shop = a_shop(a_provider(sync_draft=left_pending, fetch=still_pending))
    id = shop.submit()
    shop.run_for(A_MONTH.total_seconds() + 1)
    assert shop.issue_codes(id) == ["gave_up_waiting"]
    assert len(shop.wire.to("found")) == 1


def test_a_document_that_a_look_does_not_show_is_looked_for_again(a_shop: OpenShop):
    def approved_soon(self: Any, batch: Batch[Any, Any]) -> Any:
        yield put("put", batch)
        return {item.id: Pending("being approved", check_after=timedelta(minutes=1)) for item in batch.items}

    shop = a_shop(a_provider(sync_draft=approved_soon, fetch=not_shown))
    id = shop.submit()
    shop.run_for(60)
    assert len(shop.wire.to("found")) == 1
    shop.run_for(3600)
    assert len(shop.wire.to("found")) == 2
    assert shop.get(id).gives_up_at == NOON + A_MONTH


def test_the_host_says_how_long_a_provider_may_take(a_shop: OpenShop):
    shop = a_shop(a_provider(sync_draft=left_pending), policy=Policy(longest_wait=timedelta(days=1)))
    id = shop.submit()
    shop.run_for(86401)
    assert shop.status(id) == "draft.sync_failed"


def test_a_retry_of_what_was_given_up_starts_a_new_wait(a_shop: OpenShop):
    shop = a_shop(a_provider(sync_draft=left_pending))
    id = shop.submit()
    shop.run_for(A_MONTH.total_seconds() + 1)
    shop.ns.invoices.retry(id)
    shop.run_for(A_MONTH.total_seconds() - 1)
    assert shop.status(id) == "draft.syncing"
    assert len(shop.wire.sent) == 2


def test_money_is_waited_for_without_end(a_shop: OpenShop):
    def put_up(self: Any, batch: Batch[Any, Any]) -> Any:
        reply = yield put("put", batch)
        return documents(batch, reply)

    def collect(self: Any, batch: Batch[Any, Any]) -> Any:
        yield put("collect", batch, "payments")
        return {batch.only.id: Pending("the customer has not paid yet")}

    shop = a_shop(a_provider(sync_draft=put_up, collect_payment=collect))
    id = shop.submit()
    shop.run_for(3 * A_MONTH.total_seconds())
    assert shop.status(id) == "payment_processing.pending"
    assert shop.get(id).gives_up_at is None


def test_a_caller_who_confirms_is_waited_for_without_end(a_shop: OpenShop):
    def wait(self: Any, batch: Batch[Any, Any]) -> Any:
        return {item.id: Pending("waiting for a caller") for item in batch.items}

    shop = a_shop(a_provider(sync_draft=wait, rules={"sync_draft": OperationRules(local=True)}))
    id = shop.submit()
    shop.run_for(3 * A_MONTH.total_seconds())
    assert shop.status(id) == "draft.syncing"
    assert shop.get(id).gives_up_at is None
    assert standing_of(shop.engine.context, shop.namespace).waiting == 1


def test_a_refund_that_is_left_pending_is_neither_given_up_nor_paid_out_again(a_shop: OpenShop):
    def put_up(self: Any, batch: Batch[Any, Any]) -> Any:
        reply = yield put("put", batch)
        return documents(batch, reply)

    def collect(self: Any, batch: Batch[Any, Any]) -> Any:
        yield put("collect", batch, "payments")
        paid = PaymentResult(PaymentStatus.SUCCEEDED, batch.only.amount, external_id="pay-1")
        return {batch.only.id: Done(paid)}

    def refund(self: Any, batch: Batch[Any, Any]) -> Any:
        yield put("refund", batch, "refunds")
        return {batch.only.id: Pending("the bank is slow")}

    shop = a_shop(a_provider(sync_draft=put_up, collect_payment=collect, refund=refund))
    id = shop.submit()
    shop.run()
    [payment] = shop.get(id).payments
    shop.ns.refunds.refund(payment.id, "1.00")
    shop.run_for(A_MONTH.total_seconds() + 1)
    assert len(shop.wire.to("refunds")) == 1
    [refund_row] = shop.rows(schema.refund)
    assert refund_row["state"] == "processing"


# Money that the books don't take.


def test_a_payment_that_the_books_refuse_needs_a_person(a_shop: OpenShop):
    def note(self: Any, batch: Any) -> Any:
        yield put("note", batch, "notes", recover=(repeat(),))
        return {batch.only.id: Rejected.because("amount_exceeds_due", "It is more than is due.")}

    shop = a_shop(a_provider(sync_draft=careful_draft, record_payment=note))
    id = shop.submit()
    shop.run()
    assert not standing_of(shop.engine.context, shop.namespace).needs_a_person
    shop.ns.invoices.record_payment(id, "12")
    shop.run()
    standing = standing_of(shop.engine.context, shop.namespace)
    assert (standing.unrecorded, standing.failed, standing.needs_a_person) == (1, 0, True)
    assert standing_of(shop.engine.context, "another").unrecorded == 0
