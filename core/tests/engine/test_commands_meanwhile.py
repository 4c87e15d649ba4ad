"""Commands that meet an operation under way: recorded, answered at once, applied when it ends, in order."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from engine_kit import (
    Shop,
    a_provider,
    answers,
    careful_draft,
    documents,
    issue_at_once,
    lost_after,
    lost_before,
    open_shop,
    put,
    repeat,
)

from billhook.contract import Batch, Done, OperationRules, PaymentResult, PaymentStatus, Rejected, RemovalResult
from billhook.engine.invoice_filter import InvoiceFilter
from billhook.engine.standing import standing_of
from billhook.errors import NotAllowed
from billhook.store import schema

OpenShop = Callable[..., Shop]
PENDING = "payment_processing.pending"


def remove(self: Any, batch: Batch[Any, Any]) -> Any:
    yield put("remove", batch, "removed", recover=(repeat(),))
    return {batch.only.id: Done(RemovalResult())}


def a_removing_provider(**hooks: Any) -> Any:
    return a_provider(**{"sync_draft": careful_draft, "delete": remove, "void": remove, **hooks})


def while_sending(shop: Shop, act: Callable[[], Any], to: str = "") -> list[Any]:
    """Do this while the next request to that address is under way; what it gave is in the list afterwards."""
    given: list[Any] = []

    def meanwhile(request: Any) -> None:
        if to in request.url:
            shop.wire.before_each = None
            given.append(act())

    shop.wire.before_each = meanwhile
    return given


def test_a_delete_during_the_sync_waits_for_it_and_then_removes_what_was_made(a_shop_anywhere: OpenShop):
    shop = a_shop_anywhere(a_removing_provider())
    id = shop.submit()
    given = while_sending(shop, lambda: shop.ns.invoices.delete(id))
    shop.run()
    assert (given[0].status, given[0].pending_command) == ("draft.syncing", "delete")
    details = shop.get(id)
    assert (details.status, details.pending_command) == ("deleted", None)
    assert [request.url.rpartition("/")[2] for request in shop.wire.sent] == ["drafts", "removed"]


def test_a_deletion_that_its_app_refuses_is_counted_and_listed_until_it_is_done(a_shop_anywhere: OpenShop):
    refusals = [Rejected.because("document_state", "It is approved there.")]

    def remove_or_refuse(self: Any, batch: Batch[Any, Any]) -> Any:
        outcomes = yield from remove(self, batch)
        return {batch.only.id: refusals.pop()} if refusals else outcomes

    shop = a_shop_anywhere(a_removing_provider(delete=remove_or_refuse), workflow={"auto_advance": False})
    id = shop.submit()
    shop.run()
    shop.ns.invoices.delete(id)
    shop.run()
    assert shop.status(id) == "delete.failed"
    assert standing_of(shop.engine.context, shop.namespace).failed == 1
    assert [view.id for view in shop.ns.invoices.list(InvoiceFilter(("delete.failed",))).items] == [id]
    shop.ns.invoices.delete(id)
    shop.run()
    assert standing_of(shop.engine.context, shop.namespace).failed == 0
    assert shop.ns.invoices.list().items == ()


def test_a_delete_whose_sync_was_lost_waits_until_that_is_known(a_shop: OpenShop):
    shop = a_shop(a_removing_provider())
    id = shop.submit()
    shop.wire.plan(lost_after, lost_before)
    while_sending(shop, lambda: shop.ns.invoices.delete(id))
    shop.run_for(600)
    assert shop.status(id) == "deleted"
    assert len([made for _, made in shop.books.documents if made.startswith("drafts")]) == 1
    assert len(shop.wire.to("removed")) == 1


def test_a_delete_of_what_never_reached_the_provider_asks_it_nothing(a_shop: OpenShop):
    shop = a_shop(a_removing_provider())
    id = shop.submit()
    assert shop.ns.invoices.delete(id).status == "deleted"
    shop.run()
    assert shop.wire.sent == []


def test_a_void_during_the_issue_waits_for_it(a_shop_anywhere: OpenShop):
    def issue(self: Any, batch: Batch[Any, Any]) -> Any:
        reply = yield put("issue", batch, "issue", recover=(repeat(),))
        return documents(batch, reply)

    shop = a_shop_anywhere(a_removing_provider(issue=issue))
    id = shop.submit()
    while_sending(shop, lambda: shop.ns.invoices.void(id), to="issue")
    shop.run()
    assert shop.status(id) == "voided"
    assert len(shop.wire.to("removed")) == 1


def test_a_payment_trigger_during_a_collection_waits_for_it(a_shop: OpenShop):
    def collect_payment(self: Any, batch: Batch[Any, Any]) -> Any:
        yield put("collect", batch, "collect", recover=(repeat(),))
        paid = PaymentResult(PaymentStatus.SUCCEEDED, batch.only.amount, "pay-1")
        return {batch.only.id: Done(paid)}

    shop = a_shop(a_provider(sync_draft=careful_draft, collect_payment=collect_payment))
    id = shop.submit()
    given = while_sending(shop, lambda: shop.ns.invoices.payment_status(id, "paid"), to="collect")
    shop.run()
    assert given[0].pending_command == "payment_status"
    details = shop.get(id)
    assert (details.status, details.invoice.amount_paid) == ("paid", Decimal(10))
    assert len(details.payments) == 1


def issue_by_request(self: Any, batch: Batch[Any, Any]) -> Any:
    reply = yield put("issue", batch, "issue", recover=(repeat(),))
    return documents(batch, reply)


def test_a_command_that_is_not_possible_is_noted_and_changes_nothing(a_shop_anywhere: OpenShop):
    shop = a_shop_anywhere(a_provider(sync_draft=careful_draft, issue=issue_by_request))
    id = shop.submit()
    given = while_sending(shop, lambda: shop.ns.invoices.update(id, {"description": "too late"}), to="issue")
    shop.run()
    assert given[0].pending_command == "update"
    details = shop.get(id)
    assert (details.status, details.invoice.revision, details.pending_command) == (PENDING, 1, None)
    causes = shop.causes(id)
    assert causes.index("issue.done") < causes.index("update.refused") < causes.index("commands_heard")
    refused = [row for row in shop.rows(schema.event, document_id=id) if row["cause"] == "update.refused"]
    assert "issuing.syncing" in refused[0]["note"]
    assert len(shop.books.documents) == 2


def test_an_edit_during_the_sync_of_an_invoice_that_would_be_issued_at_once_is_still_taken(a_shop: OpenShop):
    shop = a_shop()
    id = shop.submit()
    while_sending(shop, lambda: shop.ns.invoices.update(id, {"description": "in time"}))
    shop.run()
    details = shop.get(id)
    assert (details.status, details.invoice.revision) == (PENDING, 2)
    assert details.invoice.content.description == "in time"
    assert len(shop.books.documents) == 2
    assert details.invoice.number == "INV-JADO-1"


def test_several_commands_are_applied_in_the_order_in_which_they_were_given(a_shop: OpenShop):
    shop = a_shop(a_removing_provider(), workflow={"auto_advance": False})
    id = shop.submit()

    def three() -> None:
        shop.ns.invoices.update(id, {"description": "first"})
        shop.ns.invoices.update(id, {"description": "second"})

    while_sending(shop, three)
    shop.run()
    details = shop.get(id)
    assert (details.invoice.content.description, details.invoice.revision) == ("second", 3)
    assert details.status == "draft.manual_approval_needed"
    assert details.pending_command is None


def test_an_edit_and_then_a_delete_leave_nothing_behind(a_shop: OpenShop):
    shop = a_shop(a_removing_provider())
    id = shop.submit()

    def both() -> None:
        shop.ns.invoices.update(id, {"description": "first"})
        shop.ns.invoices.delete(id)

    while_sending(shop, both)
    shop.run()
    assert shop.status(id) == "deleted"
    assert shop.rows(schema.pending_command) == []
    assert shop.rows(schema.work) == []


def test_a_recorded_command_survives_a_crash(a_shop_anywhere: OpenShop):
    shop = a_shop_anywhere(a_removing_provider(), workflow={"auto_advance": False})
    id = shop.submit()
    other = open_shop(shop.url, *shop.providers, ready=False)

    def edit(request: Any) -> None:
        shop.wire.before_each = None
        other.ns.invoices.update(id, {"description": "meanwhile"})

    shop.wire.before_each = edit
    try:
        shop.crash("reply.received")
    finally:
        other.close()
    assert shop.get(id).pending_command == "update"
    shop.run_for(600)
    assert shop.get(id).invoice.content.description == "meanwhile"
    assert shop.get(id).pending_command is None


def test_a_command_on_an_invoice_in_doubt_waits_for_the_operator(a_shop: OpenShop):
    def sync_draft(self: Any, batch: Batch[Any, Any]) -> Any:
        reply = yield put("put", batch, key=None)
        return documents(batch, reply)

    shop = a_shop(a_removing_provider(sync_draft=sync_draft))
    id = shop.submit()
    shop.wire.plan(lost_after)
    shop.run()
    assert shop.get(id).in_doubt is not None
    assert shop.ns.invoices.delete(id).pending_command == "delete"
    shop.ns.doubts.resolve(id, found="drafts-1")
    shop.run()
    assert shop.status(id) == "deleted"
    assert len(shop.wire.to("removed")) == 1


def test_an_edit_before_anything_was_sent_makes_one_document_of_the_new_revision(a_shop: OpenShop):
    seen: list[int] = []

    def sync_draft(self: Any, batch: Batch[Any, Any]) -> Any:
        seen.append(batch.only.invoice.revision)
        reply = yield put("put", batch)
        return documents(batch, reply)

    shop = a_shop(a_provider(sync_draft=sync_draft))
    id = shop.submit()
    shop.ns.invoices.update(id, {"description": "better"})
    shop.run()
    assert seen == [2]
    assert len(shop.books.documents) == 1


def test_an_edit_that_falls_between_preparing_and_committing_wins(a_shop: OpenShop):
    seen: list[int] = []
    shop: Any = None

    def sync_draft(self: Any, batch: Batch[Any, Any]) -> Any:
        seen.append(batch.only.invoice.revision)
        if len(seen) == 1:
            shop.ns.invoices.update(batch.only.id, {"description": "in between"})
        reply = yield put("put", batch)
        return documents(batch, reply)

    shop = a_shop(a_provider(sync_draft=sync_draft))
    id = shop.submit()
    shop.run()
    assert seen == [1, 2]
    assert len(shop.wire.sent) == len(shop.books.documents) == 1
    assert shop.get(id).invoice.content.description == "in between"


def test_a_retry_while_the_app_is_throttled_does_not_send_twice(a_shop: OpenShop):
    shop = a_shop()
    shop.wire.plan(answers(429, retry_after="60"))
    id = shop.submit()
    shop.run()
    retried = shop.ns.invoices.retry(id)
    assert retried.pending_command is None
    shop.run_for(120)
    assert shop.status(id) == PENDING
    assert len(shop.books.documents) == 1


def test_reading_never_waits_for_an_operation(a_shop: OpenShop):
    shop = a_shop()
    id = shop.submit()
    given = while_sending(shop, lambda: (shop.get(id).status, len(shop.ns.invoices.list().items)))
    shop.run()
    assert given == [("draft.syncing", 1)]


def test_a_command_given_twice_while_it_waits_is_refused_the_second_time_when_it_is_applied(a_shop: OpenShop):
    shop = a_shop(a_removing_provider(issue=issue_at_once, rules={"issue": OperationRules(local=True)}))
    id = shop.submit()

    def twice() -> None:
        shop.ns.invoices.delete(id)
        shop.ns.invoices.delete(id)

    while_sending(shop, twice)
    shop.run()
    assert shop.status(id) == "deleted"
    assert len(shop.wire.to("removed")) == 1
    with pytest.raises(NotAllowed):
        shop.ns.invoices.delete(id)
