"""Customers at apps: there once before any invoice needs them, kept up to date, and never two of one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from engine_kit import Shop, a_provider, careful_draft, look_up, lost_after, lost_before, plain_draft, put, repeat

from billhook.contract import Batch, CustomerResult, Done, OperationRules, PaymentResult, PaymentStatus, Rejected

OpenShop = Callable[..., Shop]
PENDING = "payment_processing.pending"


def test_two_invoices_of_a_new_customer_make_one_contact(a_shop_anywhere: OpenShop):
    def sync_customer(self: Any, batch: Batch[Any, Any]) -> Any:
        reply = yield put("customer", batch, "customers", recover=(repeat(),))
        return {item["ref"]: Done(CustomerResult(item["id"])) for item in reply.json()["items"]}

    rules = {"sync_draft": OperationRules(concurrency=4), "sync_customer": OperationRules(concurrency=4)}
    shop = a_shop_anywhere(a_provider(sync_draft=careful_draft, sync_customer=sync_customer, rules=rules))
    ids = [shop.submit(), shop.submit(), *shop.ns.invoices.submit_many([shop.draft(), shop.draft()])]
    shop.run()
    assert len(shop.wire.to("customers")) == 1
    assert {shop.status(id) for id in ids} == {"payment_processing.pending"}
    later = shop.submit()
    shop.run()
    assert shop.status(later) == "payment_processing.pending"
    assert len(shop.wire.to("customers")) == 1


def test_an_edited_customer_is_brought_to_the_app_that_knows_it(a_shop: OpenShop):
    seen: list[tuple[str, str | None]] = []

    def sync_customer(self: Any, batch: Batch[Any, Any]) -> Any:
        seen.append((batch.only.customer.name, batch.only.external_id))
        reply = yield put("customer", batch, "customers", recover=(repeat(),))
        known = batch.only.external_id or reply.json()["items"][0]["id"]
        return {batch.only.id: Done(CustomerResult(known))}

    shop = a_shop(a_provider(sync_draft=careful_draft, sync_customer=sync_customer))
    shop.submit()
    shop.run()
    shop.ns.customers.update("jane", name="Jane Smith")
    shop.run()
    assert seen == [("Jane Doe", None), ("Jane Smith", "customers-1")]


def test_a_customer_that_is_edited_while_it_is_under_way_is_brought_again(a_shop: OpenShop):
    seen: list[str] = []

    def sync_customer(self: Any, batch: Batch[Any, Any]) -> Any:
        seen.append(batch.only.customer.name)
        yield put("customer", batch, "customers", recover=(repeat(),))
        return {batch.only.id: Done(CustomerResult("c1"))}

    shop = a_shop(a_provider(sync_draft=careful_draft, sync_customer=sync_customer))

    def edit(request: Any) -> None:
        shop.wire.before_each = None
        shop.ns.customers.update("jane", name="Jane Smith")

    shop.wire.before_each = edit
    shop.submit()
    shop.run()
    assert seen == ["Jane Doe", "Jane Smith"]


def in_two_steps(self: Any, batch: Batch[Any, Any]) -> Any:
    item = batch.only
    known = item.leftovers.get("create") or item.external_id
    if known is None:
        reply = yield put("create", batch, "created", identify=self.function("made"), recover=(repeat(),))
        known = reply.json()["items"][0]["id"]
    yield put("address", batch, "addressed", key=None)
    return {item.id: Done(CustomerResult(known))}


def test_a_customer_in_doubt_is_shown_and_its_invoices_wait_for_the_operator(a_shop_anywhere: OpenShop):
    shop = a_shop_anywhere(a_provider(sync_draft=careful_draft, sync_customer=in_two_steps))
    id = shop.submit()
    shop.wire.plan(lost_before, to="addressed")
    shop.run_for(3600)
    jane = shop.ns.customers.get("jane").id
    assert [doubt.document_id for doubt in shop.ns.doubts.list()] == [jane]
    assert shop.status(id) == "draft.syncing"
    assert shop.wire.to("drafts") == []


@pytest.mark.parametrize("answer", ["absent", "found"])
def test_a_customer_in_doubt_is_not_made_twice(a_shop: OpenShop, answer: str):
    shop = a_shop(a_provider(sync_draft=careful_draft, sync_customer=in_two_steps))
    id = shop.submit()
    shop.wire.plan(lost_before, to="addressed")
    shop.run_for(60)
    jane = shop.ns.customers.get("jane").id
    how = {"absent": True} if answer == "absent" else {"found": "created-1"}
    shop.ns.doubts.resolve(jane, **how)
    shop.run_for(60)
    assert shop.status(id) == PENDING
    assert len(shop.wire.to("created")) == 1


def test_a_lost_answer_does_not_make_two_contacts(a_shop_anywhere: OpenShop):
    def sync_customer(self: Any, batch: Batch[Any, Any]) -> Any:
        reply = yield put("customer", batch, "customers", recover=(look_up(self, batch, "customers"),))
        return {item["ref"]: Done(CustomerResult(item["id"])) for item in reply.json()["items"]}

    rules = {"sync_customer": OperationRules(batch=10, atomic=False)}
    shop = a_shop_anywhere(a_provider(sync_draft=careful_draft, sync_customer=sync_customer, rules=rules))
    for key in ("ann", "eve"):
        shop.ns.customers.create(key.title(), key=key)
    shop.wire.plan(lost_after, to="customers")
    ids = [shop.submit(customer_key=key) for key in ("jane", "ann", "eve")]
    shop.run_for(600)
    assert len([made for _, made in shop.books.documents if made.startswith("customers")]) == 3
    assert {shop.status(id) for id in ids} == {PENDING}


def test_a_customer_that_is_brought_to_one_app_is_brought_to_another_by_itself(a_shop: OpenShop):
    def sync_customer(self: Any, batch: Batch[Any, Any]) -> Any:
        reply = yield put("customer", batch, f"customers-{self.declaration.type}", recover=(repeat(),))
        return {item["ref"]: Done(CustomerResult(item["id"])) for item in reply.json()["items"]}

    shop = a_shop(
        *[a_provider(type, sync_draft=careful_draft, sync_customer=sync_customer) for type in ("books", "other")]
    )
    shop.submit()
    shop.run()
    shop.a_profile(shop.an_app("other"), name="Other", is_default=True)
    shop.submit()
    shop.run()
    assert [request.url.rpartition("/")[2] for request in shop.wire.to("customers")] == [
        "customers-books",
        "customers-other",
    ]


@pytest.mark.parametrize("meanwhile", ["nothing", "another edit"])
def test_a_retried_payment_waits_until_its_app_knows_what_was_edited_of_the_customer(
    a_shop_anywhere: OpenShop, meanwhile: str
):
    asked: list[str] = []

    def sync_customer(self: Any, batch: Batch[Any, Any]) -> Any:
        reply = yield put("customer", batch, "customers", recover=(repeat(),))
        cards = {item.id: item.metadata["card"] for item in batch.items}
        return {
            item["ref"]: Done(CustomerResult(item["id"], payment_method=cards[item["ref"]]))
            for item in reply.json()["items"]
        }

    def collect_payment(self: Any, batch: Batch[Any, Any]) -> Any:
        asked.append(batch.only.customer.payment_method)
        if asked[-1] == "expired":
            return {batch.only.id: Rejected.because("card_declined", "It has expired.")}
        yield put("collect", batch, "charges", recover=(repeat(),))
        return {batch.only.id: Done(PaymentResult(PaymentStatus.SUCCEEDED, batch.only.amount, "pay-1"))}

    bank = a_provider("bank", sync_customer=sync_customer, collect_payment=collect_payment)
    shop = a_shop_anywhere(a_provider(sync_draft=careful_draft), bank)
    shop.a_profile(shop.app, payment_app_id=shop.an_app("bank").id)
    shop.ns.customers.update("jane", metadata={"card": "expired"})
    id = shop.submit()
    shop.run()
    assert shop.status(id) == "payment_processing.failed"

    def edit(request: Any) -> None:
        shop.wire.before_each = None
        shop.ns.customers.update("jane", metadata={"card": "new"})

    if meanwhile == "another edit":
        shop.ns.customers.update("jane", metadata={"card": "mistyped"})
        shop.wire.before_each = edit
    else:
        shop.ns.customers.update("jane", metadata={"card": "new"})
    shop.ns.invoices.retry(id)
    shop.run()
    assert (shop.status(id), {*asked}) == ("paid", {"expired", "new"})
    assert len(shop.wire.to("charges")) == 1


def a_shop_that_loses_the_draft(open_one: OpenShop, sync_customer: Any) -> tuple[Shop, str]:
    """The first invoice of a new customer: the draft waits for the customer, is sent, and its answer is lost."""
    shop = open_one(a_provider(sync_draft=plain_draft, sync_customer=sync_customer))
    shop.wire.plan(lost_after, to="drafts")
    id = shop.submit()
    shop.run()
    assert shop.get(id).in_doubt
    return shop, id


def test_a_customer_that_is_brought_again_begins_nothing_anew_whose_end_nobody_knows(a_shop_anywhere: OpenShop):
    def sync_customer(self: Any, batch: Batch[Any, Any]) -> Any:
        yield put("customer", batch, "customers", recover=(repeat(),))
        return {batch.only.id: Done(CustomerResult("c1"))}

    shop, id = a_shop_that_loses_the_draft(a_shop_anywhere, sync_customer)
    shop.ns.customers.update("jane", name="Jane Smith")
    shop.run()
    assert len(shop.wire.to("customers")) == 2
    assert shop.get(id).in_doubt
    assert len(shop.wire.to("drafts")) == 1


def test_a_customer_that_is_refused_later_ends_nothing_that_an_operation_holds(a_shop_anywhere: OpenShop):
    def sync_customer(self: Any, batch: Batch[Any, Any]) -> Any:
        yield put("customer", batch, "customers", recover=(repeat(),))
        if batch.only.external_id:
            return {batch.only.id: Rejected.because("name_taken", "Somebody else has that name.")}
        return {batch.only.id: Done(CustomerResult("c1"))}

    shop, id = a_shop_that_loses_the_draft(a_shop_anywhere, sync_customer)
    shop.ns.customers.update("jane", name="Jane Smith")
    shop.run()
    assert len(shop.wire.to("customers")) == 2
    assert (shop.status(id), shop.get(id).in_doubt is None) == ("draft.syncing", False)


def test_a_charge_whose_end_nobody_knows_is_not_made_again_when_its_customer_is_edited(a_shop_anywhere: OpenShop):
    def sync_customer(self: Any, batch: Batch[Any, Any]) -> Any:
        yield put("customer", batch, "customers", recover=(repeat(),))
        return {batch.only.id: Done(CustomerResult("c1"))}

    def collect(self: Any, batch: Batch[Any, Any]) -> Any:
        yield put("collect", batch, "charges")
        return {batch.only.id: Done(PaymentResult(PaymentStatus.SUCCEEDED, batch.only.amount, "pay-1"))}

    bank = a_provider("bank", sync_customer=sync_customer, collect_payment=collect)
    shop = a_shop_anywhere(a_provider(sync_draft=careful_draft), bank)
    shop.a_profile(shop.app, payment_app_id=shop.an_app("bank").id)
    shop.wire.plan(lost_after, to="charges")
    id = shop.submit()
    shop.run()
    assert shop.get(id).in_doubt
    shop.ns.customers.update("jane", name="Jane Smith")
    shop.run()
    assert shop.get(id).in_doubt
    assert len(shop.wire.to("charges")) == 1
