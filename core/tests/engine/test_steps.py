"""One operation's steps: what a generator may yield and return, and what becomes of it when it does not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from engine_kit import (
    Shop,
    a_provider,
    answers,
    careful_draft,
    documents,
    look_up,
    lost_after,
    lost_before,
    not_sent,
    plain_draft,
    put,
    repeat,
)

from billhook.contract import (
    Absent,
    Batch,
    Call,
    CustomerResult,
    DocumentResult,
    Done,
    Find,
    Found,
    Function,
    Key,
    OperationRules,
    Reply,
    Request,
    Retry,
    registered,
)
from billhook.store import schema

OpenShop = Callable[..., Shop]


# What is returned.


def returning(outcomes: Callable[[Batch[Any, Any]], Any]) -> Any:
    def sync_draft(self: Any, batch: Batch[Any, Any]) -> Any:
        yield Request("look", "GET", "http://books/found?refs=x")
        return outcomes(batch)

    return sync_draft


@pytest.mark.parametrize(
    "outcomes, words",
    [
        (lambda batch: None, "returned NoneType. It must return a mapping"),
        (lambda batch: [Done(DocumentResult())], "returned list. It must return a mapping"),
        (lambda batch: {"stranger": Done(DocumentResult())}, "outcomes for stranger, which are not in its batch"),
        (lambda batch: {batch.only.id: "done"}, "Return Done, Pending, Rejected or Retry"),
        (lambda batch: {batch.only.id: Done(CustomerResult("c1"))}, "must be DocumentResult"),
        (lambda batch: {batch.only.id: Done(None)}, "must be DocumentResult"),
        (lambda batch: 1 // 0, "ZeroDivisionError"),
    ],
    ids=["none", "a list", "a stranger", "a string", "another result", "no result", "it raises"],
)
def test_what_a_provider_must_not_return_stops_the_invoice_with_the_reason(a_shop: OpenShop, outcomes: Any, words: str):
    shop = a_shop(a_provider(sync_draft=returning(outcomes)))
    id = shop.submit()
    shop.run()
    assert shop.status(id) == "draft.sync_failed"
    assert shop.issue_codes(id) == ["provider_fault"]
    assert words in shop.get(id).issues[0].message
    shop.run_for(3600)
    assert len(shop.wire.sent) == 1


def test_a_wrong_outcome_after_something_was_done_keeps_what_was_answered_until_the_plugin_is_mended(a_shop: OpenShop):
    def breaks(self: Any, batch: Batch[Any, Any]) -> Any:
        yield put("put", batch)
        raise KeyError("total")

    shop = a_shop(a_provider(sync_draft=breaks))
    id = shop.submit()
    shop.run_for(3600)
    assert len(shop.wire.sent) == 1
    assert "KeyError" in (shop.get(id).waiting_for or "")
    shop.restart([a_provider(sync_draft=plain_draft)])
    shop.run_for(3600)
    assert shop.status(id) == "payment_processing.pending"
    assert len(shop.wire.sent) == 1


def test_a_provider_that_fails_again_and_again_is_asked_less_and_less_often(a_shop: OpenShop):
    runs: list[Any] = []

    def breaks(self: Any, batch: Batch[Any, Any]) -> Any:
        yield put("put", batch)
        runs.append(shop.clock.now())
        raise KeyError("total")

    shop = a_shop(a_provider(sync_draft=breaks))
    shop.submit()
    shop.run_for(7200)
    pauses = [after - before for before, after in pairwise(runs)]
    assert pauses == sorted(pauses)
    assert 5 < len(runs) < 30


# What is yielded.


@pytest.mark.parametrize("thing", [None, "POST /drafts", {"step": "put"}, Done(DocumentResult())])
def test_only_requests_and_calls_can_be_yielded(a_shop: OpenShop, thing: Any):
    def sync_draft(self: Any, batch: Batch[Any, Any]) -> Any:
        yield thing

    shop = a_shop(a_provider(sync_draft=sync_draft))
    id = shop.submit()
    shop.run()
    assert "Yield a Request or a Call" in shop.get(id).issues[0].message


def test_two_steps_of_one_name_are_refused_before_the_second_is_sent(a_shop: OpenShop):
    def sync_draft(self: Any, batch: Batch[Any, Any]) -> Any:
        yield put("put", batch, "first")
        yield put("put", batch, "second")

    shop = a_shop(a_provider(sync_draft=sync_draft))
    id = shop.submit()
    shop.run_for(60)
    assert [request.url for request in shop.wire.sent] == ["http://books/first"]
    assert "Two steps of sync_draft are named 'put'" in (shop.get(id).waiting_for or "")


def test_a_provider_that_raises_before_its_first_step_sends_nothing(a_shop: OpenShop):
    def sync_draft(self: Any, batch: Batch[Any, Any]) -> Any:
        if batch.only.invoice.currency == "EUR":
            raise ValueError("no euros here")
        yield put("put", batch)

    shop = a_shop(a_provider(sync_draft=sync_draft))
    id = shop.submit()
    shop.run()
    assert shop.wire.sent == []
    assert shop.status(id) == "draft.sync_failed"
    assert "no euros here" in shop.get(id).issues[0].message


def test_a_step_that_can_not_be_stored_is_refused_before_it_is_sent(a_shop: OpenShop):
    def sync_draft(self: Any, batch: Batch[Any, Any]) -> Any:
        yield Call("draw", Function("draw", {"amount": object()}))

    shop = a_shop(a_provider(sync_draft=sync_draft, members={"draw": registered(lambda self, credentials, **_: {})}))
    id = shop.submit()
    shop.run()
    assert shop.status(id) == "draft.sync_failed"
    assert "can't be stored as JSON" in shop.get(id).issues[0].message


def test_what_could_not_even_be_classified_counts_as_unknown(a_shop: OpenShop):
    from billhook.contract import hookimpl

    broken = [True]

    def classify(self: Any, request: Any, reply: Reply) -> Any:
        if broken and request.method == "POST":
            raise RuntimeError("can't read this")
        return None

    shop = a_shop(a_provider(sync_draft=careful_draft, members={"classify": hookimpl(classify)}))
    id = shop.submit()
    shop.run_for(30)
    assert shop.status(id) == "draft.syncing"
    broken.clear()
    shop.run_for(3600)
    assert shop.status(id) == "payment_processing.pending"
    assert len(shop.books.documents) == 1


# Several steps.


def in_three_steps(self: Any, batch: Batch[Any, Any]) -> Any:
    yield put("one", batch, "one", recover=(repeat(),))
    yield Request("check", "GET", f"http://books/found?refs={batch.only.id}")
    reply = yield put("two", batch, "two", recover=(repeat(),))
    return documents(batch, reply)


@pytest.mark.parametrize("point", ["send.before", "send.after", "reply.received", "round.before", "round.after"])
@pytest.mark.parametrize("visit", [1, 2, 3])
def test_a_crash_between_steps_neither_repeats_nor_skips_one(a_shop: OpenShop, point: str, visit: int):
    shop = a_shop(a_provider(sync_draft=in_three_steps))
    id = shop.submit()
    shop.crash(point, visit)
    shop.run_for(600)
    assert shop.status(id) == "payment_processing.pending"
    assert [made.partition("-")[0] for _, made in shop.books.documents] == ["one", "two"]
    assert len(set(shop.wire.keys("one"))) == len(set(shop.wire.keys("two"))) == 1


def test_a_safe_step_is_simply_asked_again(a_shop: OpenShop):
    shop = a_shop(a_provider(sync_draft=in_three_steps))
    shop.wire.plan(lost_before, answers(500), not_sent, to="found")
    id = shop.submit()
    shop.run_for(600)
    assert shop.status(id) == "payment_processing.pending"
    assert len(shop.wire.to("found")) == 4
    assert shop.get(id).in_doubt is None


def test_an_invoice_that_waits_says_what_for(a_shop: OpenShop):
    shop = a_shop()
    shop.wire.plan(answers(503), answers(503))
    id = shop.submit()
    shop.run()
    assert shop.get(id).waiting_for == "the provider answered 503"


# Keys.


def test_a_key_goes_where_the_provider_wants_it_and_is_no_longer_than_it_takes(a_shop: OpenShop):
    def sync_draft(self: Any, batch: Batch[Any, Any]) -> Any:
        reply = yield put("put", batch, "drafts?v=1", key=Key("requestid", place="query", max_length=24))
        return documents(batch, reply)

    shop = a_shop(a_provider(sync_draft=sync_draft))
    id = shop.submit()
    shop.run()
    assert shop.status(id) == "payment_processing.pending"
    url = shop.wire.sent[0].url
    assert url.startswith("http://books/drafts?v=1&requestid=")
    assert len(url.partition("requestid=")[2]) <= 24


def test_a_look_up_carries_no_key(a_shop: OpenShop):
    shop = a_shop(a_provider(sync_draft=in_three_steps))
    shop.submit()
    shop.run()
    assert shop.wire.keys("found") == [None]


# Calls, for an SDK that can't be parted from its I/O.


class Sdk:
    """An SDK with a ledger of its own."""

    def __init__(self) -> None:
        self.drawn: list[str] = []
        self.fails: list[Exception] = []

    def draw(self, credentials: Any, ref: str) -> Any:
        self.drawn.append(ref)
        if self.fails:
            raise self.fails.pop()
        return {"id": f"call-{len(self.drawn)}"}


def by_call(sdk: Sdk, *, findable: bool = True, result: Any = None) -> Any:
    def draw(self: Any, credentials: Any, ref: str) -> Any:
        drawn = sdk.draw(credentials, ref)
        return drawn if result is None else result

    def seen(self: Any, reply: Reply, ref: str) -> Any:
        return {ref: Found(Reply.of({"id": "call-1"})) if ref in sdk.drawn else Absent()}

    def sync_draft(self: Any, batch: Batch[Any, Any]) -> Any:
        ref = batch.only.id
        look = Find(
            Request("look", "GET", "http://books/found?refs=x"), self.function("seen", ref=ref), authoritative=True
        )
        reply = yield Call("draw", self.function("draw", ref=ref), recover=(look,) if findable else ())
        return {ref: Done(DocumentResult(external_id=reply.json()["id"]))}

    return a_provider(sync_draft=sync_draft, members={"draw": registered(draw), "seen": registered(seen)})


def test_a_call_is_journalled_like_a_request(a_shop: OpenShop):
    sdk = Sdk()
    shop = a_shop(by_call(sdk))
    id = shop.submit()
    shop.crash("reply.received")
    shop.run_for(600)
    assert shop.status(id) == "payment_processing.pending"
    assert sdk.drawn == [id]
    assert shop.attempts()[0]["reply_source"] == "found"


def test_a_call_that_fails_may_have_done_it(a_shop: OpenShop):
    sdk = Sdk()
    sdk.fails = [ConnectionError("reset")]
    shop = a_shop(by_call(sdk, findable=False))
    id = shop.submit()
    shop.run_for(3600)
    assert sdk.drawn == [id]
    assert shop.get(id).in_doubt is not None


def test_a_call_whose_answer_is_no_json_was_done_and_is_looked_up(a_shop: OpenShop):
    sdk = Sdk()
    shop = a_shop(by_call(sdk, result=object()))
    id = shop.submit()
    shop.run_for(600)
    assert sdk.drawn == [id]
    assert shop.status(id) == "payment_processing.pending"


def test_a_decimal_in_the_answer_of_a_call_keeps_every_digit(a_shop: OpenShop):
    sdk = Sdk()
    shop = a_shop(by_call(sdk, result={"id": Decimal("1.10")}))
    id = shop.submit()
    shop.run()
    assert shop.get(id).invoice.external_ids == {"invoicing": "1.10"}


def test_a_call_tells_with_a_reply_that_its_sdk_was_refused_for_now(a_shop: OpenShop):
    answers = [Reply(429, (("Retry-After", "5"),)), Reply.of({"id": "call-9"}, status=201)]

    def draw(credentials: Any, ref: str) -> Any:
        sdk.drawn.append(ref)
        return answers.pop(0)

    sdk = Sdk()
    sdk.draw = draw  # type: ignore[method-assign]
    shop = a_shop(by_call(sdk))
    id = shop.submit()
    shop.run_for(600)
    assert sdk.drawn == [id] * 2
    assert shop.get(id).invoice.external_ids == {"invoicing": "call-9"}


# Retry.


def test_an_item_that_is_busy_is_tried_again_later_and_hinders_nobody(a_shop: OpenShop):
    busy: set[str] = set()

    def sync_draft(self: Any, batch: Batch[Any, Any]) -> Any:
        reply = yield put("put", batch, recover=(look_up(self, batch),))
        waits = {item.id: Retry(timedelta(seconds=90), "locked") for item in batch.items if item.id in busy}
        return documents(batch, reply) | waits

    shop = a_shop(a_provider(sync_draft=sync_draft, rules={"sync_draft": OperationRules(batch=10, atomic=False)}))
    ids = shop.ns.invoices.submit_many([shop.draft() for _ in range(3)])
    busy.add(ids[1])
    shop.run()
    assert [shop.status(id) for id in ids] == [
        "payment_processing.pending",
        "draft.syncing",
        "payment_processing.pending",
    ]
    shop.run_for(89)
    assert len(shop.wire.sent) == 1
    busy.clear()
    shop.turn(1)
    assert shop.status(ids[1]) == "payment_processing.pending"


@pytest.mark.parametrize("kind", ["customer", "draft"])
def test_what_was_made_before_an_item_was_busy_is_not_made_again(a_shop_anywhere: OpenShop, kind: str):
    operations: set[str] = set()

    def in_two_steps(result: Any) -> Any:
        def operation(self: Any, batch: Batch[Any, Any]) -> Any:
            item = batch.only
            operations.add(batch.operation_id)
            known = item.leftovers.get("make")
            if known is None:
                reply = yield put("make", batch, f"{kind}s-made", identify=self.function("made"), recover=(repeat(),))
                known = reply.json()["items"][0]["id"]
            if len(operations) < 3:
                return {item.id: Retry(timedelta(seconds=90), "locked")}
            yield put("finish", batch, "finished", key=None)
            return {item.id: Done(result(known))}

        return operation

    hooks = {"sync_draft": careful_draft} | (
        {"sync_customer": in_two_steps(CustomerResult)}
        if kind == "customer"
        else {"sync_draft": in_two_steps(DocumentResult)}
    )

    shop = a_shop_anywhere(a_provider(**hooks))
    shop.submit()
    shop.run_for(600)
    assert (len(operations), len(shop.wire.to(f"{kind}s-made")), len(shop.wire.to("finished"))) == (3, 1, 1)


def test_an_item_that_is_always_busy_fails_for_everybody_to_see(a_shop: OpenShop):
    from billhook.engine.context import Policy

    def sync_draft(self: Any, batch: Batch[Any, Any]) -> Any:
        yield Request("look", "GET", "http://books/found?refs=x")
        return {item.id: Retry(timedelta(seconds=10), "locked") for item in batch.items}

    shop = a_shop(a_provider(sync_draft=sync_draft), policy=Policy(retries=5))
    id = shop.submit()
    shop.run_for(3600)
    assert shop.status(id) == "draft.sync_failed"
    assert shop.issue_codes(id) == ["retries_exhausted"]
    assert len(shop.wire.sent) == 6


def test_a_lost_answer_does_not_make_two_documents(a_shop_anywhere: OpenShop):
    shop = a_shop_anywhere()
    shop.wire.plan(lost_after, lost_after, lost_before)
    id = shop.submit()
    shop.run_for(600)
    assert shop.status(id) == "payment_processing.pending"
    assert shop.books.references == [id]
    assert [row["status"] for row in shop.rows(schema.attempt)] == ["answered"]
