"""Webhooks from a provider: verified before anything is stored, each event once, always a reason to look and never a fact."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from engine_kit import Shop, a_provider, answers, bearer, careful_draft, put, repeat

from billhook.contract import (
    Batch,
    Done,
    PaymentResult,
    PaymentStatus,
    Pending,
    Refusal,
    Rejected,
    Request,
    Snapshot,
    WebhookEvent,
    hookimpl,
)
from billhook.engine.telling import secret_values
from billhook.engine.work import Lane
from billhook.errors import NotFound, Unsupported, WebhookRefused
from billhook.store import schema

OpenShop = Callable[..., Shop]
PENDING = "payment_processing.pending"


def signature(body: bytes, secret: str = "old") -> dict[str, str]:
    return {"X-Signature": hmac.new(secret.encode(), body, "sha256").hexdigest()}


def read_webhook(self: Any, headers: Any, body: bytes, secrets: Any, now: Any) -> Any:
    if secrets is None:
        return Refusal("there is no secret")
    wanted = hmac.new(secrets.token.get_secret_value().encode(), body, "sha256").hexdigest()
    if not hmac.compare_digest(headers.get("x-signature", ""), wanted):
        return Refusal("the signature is wrong")
    return [WebhookEvent(*line.split(":")) for line in body.decode().split()]


def fetch(self: Any, batch: Batch[Any, Any]) -> Any:
    reply = yield Request("fetch", "GET", f"http://books/found?refs={batch.only.id}")
    found = reply.json()["items"]
    paid = Decimal(str(reply.json().get("paid", "0")))
    return {batch.only.id: Done(Snapshot(bool(found), found[0]["id"] if found else None, amount_paid=paid))}


def a_signed_provider(**hooks: Any) -> Any:
    usual = {"sync_draft": careful_draft, "fetch": fetch, "read_webhook": read_webhook}
    return a_provider(credentials=True, members={"authenticate": hookimpl(bearer)}, **{**usual, **hooks})


def deliver(shop: Shop, *events: str) -> int:
    body = " ".join(events).encode()
    return shop.engine.receive_webhook(shop.app.id, signature(body), body)


def test_a_bad_signature_stores_nothing_and_asks_nothing(a_shop_anywhere: OpenShop):
    shop = a_shop_anywhere(a_signed_provider())
    shop.submit()
    shop.run()
    before, sent = shop.counts(), len(shop.wire.sent)
    body = b"e1:document:drafts-1:paid"
    for headers in ({}, {"X-Signature": "0" * 64}, signature(body, "guess"), signature(body + b" ")):
        with pytest.raises(WebhookRefused):
            shop.engine.receive_webhook(shop.app.id, headers, body)
    shop.run()
    assert (shop.counts(), len(shop.wire.sent)) == (before, sent)


def test_a_refusal_that_quotes_the_secret_is_told_without_it(a_shop: OpenShop):
    def quotes(self: Any, headers: Any, body: bytes, secrets: Any, now: Any) -> Any:
        (secret,) = secret_values(secrets)
        return Refusal(f"not signed with {secret}")

    shop = a_shop(a_signed_provider(read_webhook=quotes))
    app = shop.an_app(credentials={"token": "long-enough"})
    with pytest.raises(WebhookRefused, match=r"is refused: not signed with \[secret\]\."):
        shop.engine.receive_webhook(app.id, {}, b"junk")


def test_an_app_without_a_secret_refuses_every_webhook(a_shop: OpenShop):
    shop = a_shop(a_signed_provider())
    other = shop.an_app(credentials=None)
    with pytest.raises(WebhookRefused):
        shop.engine.receive_webhook(other.id, signature(b"e1:document:x:y"), b"e1:document:x:y")
    assert shop.rows(schema.inbox) == []


def test_an_event_that_comes_three_times_is_kept_and_worked_once(a_shop_anywhere: OpenShop):
    shop = a_shop_anywhere(a_signed_provider())
    shop.submit()
    shop.run()
    assert [deliver(shop, "e1:document:drafts-1:updated") for _ in range(2)] == [1, 0]
    assert deliver(shop, "e1:document:drafts-1:updated", "e1:document:drafts-1:updated") == 0
    shop.run()
    assert len(shop.rows(schema.inbox)) == 1
    assert len(shop.wire.to("found")) == 1


def test_ten_events_about_one_document_lead_to_one_look(a_shop: OpenShop):
    shop = a_shop(a_signed_provider())
    shop.submit()
    shop.run()
    assert deliver(shop, *[f"e{number}:document:drafts-1:updated" for number in range(10)]) == 10
    shop.run()
    assert len(shop.wire.to("found")) == 1


def test_the_same_event_id_of_two_apps_is_two_events(a_shop: OpenShop):
    shop = a_shop(a_signed_provider())
    other = shop.an_app(name="Second")
    body = b"e1:document:drafts-1:updated"
    for app_id in (shop.app.id, other.id):
        assert shop.engine.receive_webhook(app_id, signature(body), body) == 1


def test_what_a_webhook_says_is_never_believed_without_a_look(a_shop: OpenShop):
    shop = a_shop(a_signed_provider())
    id = shop.submit()
    shop.run()
    deliver(shop, "e1:document:drafts-1:paid_in_full")
    shop.run()
    assert shop.status(id) == PENDING


def test_money_that_came_at_the_provider_counts_once_it_was_seen_there(a_shop_anywhere: OpenShop):
    shop = a_shop_anywhere(a_signed_provider())
    id = shop.submit()
    shop.run()
    shows = answers(200, {"items": [{"ref": id, "id": "drafts-1"}], "paid": "10.00"})
    shop.wire.plan(shows, shows, to="found")
    deliver(shop, "e1:document:drafts-1:paid")
    shop.run()
    assert shop.status(id) == "paid"
    deliver(shop, "e2:document:drafts-1:paid")
    shop.run()
    assert shop.get(id).invoice.amount_paid == Decimal(10)
    assert len(shop.get(id).payments) == 1


def test_money_that_is_under_way_at_the_same_provider_is_not_counted_as_other_money(a_shop_anywhere: OpenShop):
    def collect(self: Any, batch: Batch[Any, Any]) -> Any:
        yield put("collect", batch, "collect", recover=(repeat(),))
        return {batch.only.id: Pending("the bank takes a day", "pay-1", check_after=timedelta(days=1))}

    def check(self: Any, batch: Batch[Any, Any]) -> Any:
        yield Request("check", "GET", "http://books/check")
        return {batch.only.id: Done(PaymentResult(PaymentStatus.SUCCEEDED, batch.only.amount, "pay-1"))}

    shop = a_shop_anywhere(a_signed_provider(collect_payment=collect, check_payment=check))
    id = shop.submit()
    shop.run()
    shop.wire.plan(answers(200, {"items": [{"id": "drafts-1"}], "paid": "10.00"}), to="found")
    deliver(shop, "e1:document:drafts-1:payment.processing")
    shop.run()
    assert (shop.status(id), len(shop.wire.to("found"))) == (PENDING, 1)
    shop.run_for(2 * 24 * 3600)
    assert (shop.status(id), shop.get(id).invoice.amount_paid) == ("paid", Decimal(10))


def test_an_event_that_overtakes_our_own_answer_is_matched_when_it_comes(a_shop_anywhere: OpenShop):
    shop = a_shop_anywhere(a_signed_provider())
    id = shop.submit()

    def overtake(request: Any) -> None:
        shop.wire.before_each = None
        assert deliver(shop, "e1:document:drafts-1:created") == 1
        assert shop.rows(schema.inbox)[0]["state"] == "unmatched"

    shop.wire.before_each = overtake
    shop.run()
    assert [(row["state"], row["matched_id"]) for row in shop.rows(schema.inbox)] == [("worked", id)]
    assert len(shop.wire.to("found")) == 1
    assert shop.status(id) == PENDING


def test_an_event_about_a_payment_is_matched_by_the_payments_id(a_shop: OpenShop):
    def collect_payment(self: Any, batch: Batch[Any, Any]) -> Any:
        yield put("collect", batch, "collect", recover=(repeat(),))
        return {batch.only.id: Pending("clearing", "pay-1")}

    def check_payment(self: Any, batch: Batch[Any, Any]) -> Any:
        yield put("check", batch, "check", safe=True, key=None)
        return {batch.only.id: Done(PaymentResult(PaymentStatus.SUCCEEDED, batch.only.amount, batch.only.external_id))}

    shop = a_shop(a_signed_provider(collect_payment=collect_payment, check_payment=check_payment))
    id = shop.submit()
    deliver(shop, "e1:payment:pay-1:succeeded")
    shop.run()
    assert shop.status(id) == "paid"
    assert len(shop.wire.to("check")) == 1
    deliver(shop, "e2:payment:pay-1:succeeded")
    shop.run()
    assert shop.get(id).invoice.amount_paid == Decimal(10)


@pytest.mark.parametrize("comes_first", [True, False], ids=["event first", "refusal first"])
def test_an_event_about_a_credit_note_that_was_refused_halfway_makes_no_work(
    a_shop_anywhere: OpenShop, comes_first: bool
):
    def credit(self: Any, batch: Batch[Any, Any]) -> Any:
        yield put("credit", batch, "credits", recover=(repeat(),))
        return {batch.only.id: Rejected.because("not_allocated", "It stands alone there.", external_id="cn-1")}

    shop = a_shop_anywhere(a_signed_provider(credit=credit))
    if comes_first:
        assert deliver(shop, "e1:document:cn-1:note.made") == 1
    note = shop.ns.credit_notes.submit(shop.draft(type="credit_note"))
    shop.run()
    if not comes_first:
        assert deliver(shop, "e1:document:cn-1:note.made") == 1
    shop.run()
    assert (shop.ns.credit_notes.get(note.id).status, shop.rows(schema.work)) == ("failed", [])


def test_an_event_about_a_payment_never_leads_to_a_look_at_a_document_of_the_same_id(a_shop_anywhere: OpenShop):
    shop = a_shop_anywhere(a_signed_provider(check_payment=fetch))
    assert deliver(shop, "e1:payment:drafts-1:paid") == 1
    id = shop.submit()
    shop.run()
    assert shop.status(id) == PENDING
    assert [row["lane"] for row in shop.rows(schema.work)] == [Lane.UNASKED]


def test_an_event_that_nobody_knows_is_shown_as_an_orphan_after_a_day(a_shop_anywhere: OpenShop):
    shop = a_shop_anywhere(a_signed_provider())
    deliver(shop, "e1:document:somebody-elses:updated")
    assert shop.engine.orphaned_events("acme") == ()
    shop.clock.advance(timedelta(hours=23))
    assert shop.engine.orphaned_events("acme") == ()
    shop.clock.advance(timedelta(hours=1))
    orphans = shop.engine.orphaned_events("acme")
    assert [(event["event_id"], event["external_id"]) for event in orphans] == [("e1", "somebody-elses")]
    assert shop.engine.orphaned_events("other") == ()


def test_an_event_while_a_new_revision_waits_to_be_sent_does_not_confirm_it(a_shop: OpenShop):
    shop = a_shop(a_signed_provider(), workflow={"auto_advance": False})
    id = shop.submit()
    shop.run()
    shop.wire.plan(answers(429, retry_after="60"), to="drafts")
    shop.ns.invoices.update(id, {"description": "second"})
    shop.run()
    deliver(shop, "e1:document:drafts-1:updated")
    shop.run_for(59)
    assert shop.status(id) == "draft.syncing"
    shop.run_for(60)
    assert shop.status(id) == "draft.manual_approval_needed"
    assert len(shop.books.documents) == 2


def test_an_event_does_not_shorten_how_long_a_pending_document_is_waited_for(a_shop: OpenShop):
    def sync_draft(self: Any, batch: Batch[Any, Any]) -> Any:
        yield put("put", batch, recover=(repeat(),))
        return {batch.only.id: Pending("being approved", "drafts-1", None, batch.now + timedelta(hours=1))}

    def still(self: Any, batch: Batch[Any, Any]) -> Any:
        yield Request("fetch", "GET", f"http://books/found?refs={batch.only.id}")
        return {batch.only.id: Pending("being approved")}

    shop = a_shop(a_signed_provider(sync_draft=sync_draft, fetch=still))
    id = shop.submit()
    shop.run_for(60)
    deliver(shop, "e1:document:drafts-1:seen")
    shop.run_for(3000)
    assert shop.status(id) == "draft.syncing"
    shop.run_for(600)
    assert shop.status(id) == "draft.sync_failed"


def test_an_event_for_a_disabled_app_is_kept_and_worked_later(a_shop: OpenShop):
    shop = a_shop(a_signed_provider())
    shop.submit()
    shop.run()
    shop.ns.apps.disable(shop.app.id)
    assert deliver(shop, "e1:document:drafts-1:updated") == 1
    shop.run()
    assert shop.wire.to("found") == []
    shop.ns.apps.enable(shop.app.id)
    shop.run()
    assert len(shop.wire.to("found")) == 1


def test_a_webhook_for_nobody_is_not_found(a_shop: OpenShop):
    shop = a_shop(a_signed_provider())
    with pytest.raises(NotFound):
        shop.engine.receive_webhook("01ARZ3NDEKTSV4RRFFQ69G5FAV", {}, b"")


def test_a_provider_that_reads_no_webhooks_says_so(a_shop: OpenShop):
    shop = a_shop()
    with pytest.raises(Unsupported):
        shop.engine.receive_webhook(shop.app.id, {}, b"")


def test_a_webhook_that_the_plugin_can_not_read_is_not_taken_for_received(a_shop: OpenShop):
    def breaks(self: Any, headers: Any, body: bytes, secrets: Any, now: Any) -> Any:
        raise ValueError(body)

    shop = a_shop(a_signed_provider(read_webhook=breaks))
    with pytest.raises(WebhookRefused, match="junk"):
        shop.engine.receive_webhook(shop.app.id, {}, b"junk")
    assert shop.rows(schema.inbox) == []


def while_it_is_looked_at(shop: Shop, part: str, *events: str) -> None:
    """These events come when the next look is under way."""

    def tell(request: Any) -> None:
        if part in request.url:
            shop.wire.before_each = None
            deliver(shop, *events)

    shop.wire.before_each = tell


def test_an_event_that_comes_while_its_document_is_looked_at_leads_to_another_look(a_shop_anywhere: OpenShop):
    shop = a_shop_anywhere(a_signed_provider())
    id = shop.submit()
    shop.run()
    shows = {"items": [{"ref": id, "id": "drafts-1"}]}
    shop.wire.plan(answers(200, shows), answers(200, {**shows, "paid": "10.00"}), to="found")
    while_it_is_looked_at(shop, "found", "e2:document:drafts-1:paid", "e3:document:drafts-1:seen")
    deliver(shop, "e1:document:drafts-1:seen")
    shop.run()
    assert shop.status(id) == "paid"
    assert len(shop.wire.to("found")) == 2
    assert {row["state"] for row in shop.rows(schema.inbox)} == {"worked"}


@pytest.mark.parametrize("first", [PaymentStatus.ACTION_REQUIRED, PaymentStatus.PROCESSING, None])
def test_a_payer_who_pays_while_it_is_looked_is_found_at_once(a_shop_anywhere: OpenShop, first: PaymentStatus | None):
    told = [first, PaymentStatus.SUCCEEDED]

    def collect_payment(self: Any, batch: Batch[Any, Any]) -> Any:
        yield put("collect", batch, "collect", recover=(repeat(),))
        waiting = PaymentResult(PaymentStatus.ACTION_REQUIRED, Decimal(0), "pay-1", action_url="https://pay.test/1")
        return {batch.only.id: Done(waiting)}

    def check_payment(self: Any, batch: Batch[Any, Any]) -> Any:
        yield put("check", batch, "check", safe=True, key=None)
        status = told.pop(0)
        if status is None:
            return {batch.only.id: Pending("clearing", "pay-1", check_after=timedelta(days=1))}
        return {batch.only.id: Done(PaymentResult(status, batch.only.amount, "pay-1"))}

    shop = a_shop_anywhere(a_signed_provider(collect_payment=collect_payment, check_payment=check_payment))
    id = shop.submit()
    shop.run()
    while_it_is_looked_at(shop, "check", "e1:payment:pay-1:paid")
    shop.run_for(int(timedelta(hours=1).total_seconds()))
    assert (shop.status(id), shop.get(id).invoice.amount_paid) == ("paid", Decimal(10))
    assert len(shop.wire.to("check")) == 2


def test_a_look_that_is_under_way_when_a_capture_ends_is_the_only_one(a_shop_anywhere: OpenShop):
    here = PaymentStatus.AUTHORIZED

    def authorized(self: Any, batch: Batch[Any, Any]) -> Any:
        yield put("collect", batch, batch.only.id, recover=(repeat(),))
        return {batch.only.id: Done(PaymentResult(here, Decimal(0), "pay-1"))}

    def check_payment(self: Any, batch: Batch[Any, Any]) -> Any:
        yield put("check", batch, "check", safe=True, key=None)
        return {batch.only.id: Done(PaymentResult(PaymentStatus.SUCCEEDED, batch.only.amount, "pay-1"))}

    shop = a_shop_anywhere(
        a_signed_provider(collect_payment=authorized, capture_payment=authorized, check_payment=check_payment)
    )
    id = shop.submit()
    shop.run()
    while_it_is_looked_at(shop, "", "e1:payment:pay-1:captured")
    shop.wire.plan(answers(429, retry_after="7200"), to="check")
    shop.ns.invoices.capture(id)
    shop.run_for(3 * 3600)
    assert (shop.status(id), len(shop.wire.to("check"))) == ("paid", 2)
