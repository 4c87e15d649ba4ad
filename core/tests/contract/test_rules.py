"""The rules of the plugin contract, each shown by what it protects. ``test_rules_bite`` takes each rule out and sees its test fail."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import wraps
from typing import Any

import pytest
from engine_kit import (
    Shop,
    a_provider,
    answers,
    bearer,
    careful_draft,
    documents,
    done_then,
    fresh_token,
    late,
    look_up,
    lost_after,
    lost_before,
    open_shop,
    plain_draft,
    put,
    repeat,
    stored_error,
)

from billhook.contract import (
    Batch,
    Capability,
    Done,
    Full,
    OperationRules,
    Pending,
    Rejected,
    Reply,
    Request,
    Snapshot,
    WebhookEvent,
    encode_json,
    hookimpl,
)
from billhook.contract.requests import Outgoing
from billhook.engine.context import Policy
from billhook.errors import ContractViolation
from billhook.plugins.catalog import ProviderCatalog
from billhook.plugins.handle import ProviderHandle
from billhook.plugins.imports import check_imports
from billhook.store import schema

OpenShop = Callable[..., Shop]
LOST = timedelta(seconds=31)


def rule(number: int) -> Callable[[Any], Any]:
    """Which rule of the contract a test protects."""

    def mark(test: Any) -> Any:
        test.rule = number
        return test

    return mark


# 1. Freeze.


def two_steps(self: Any, batch: Batch[Any, Any]) -> Any:
    body = encode_json(
        {
            "refs": [batch.only.id],
            "ledger": batch.settings.ledger,
            "now": batch.now.isoformat(),
            "uuid": str(batch.uuid("line")),
            "total": str(batch.only.invoice.total),
            "account": [line.account for line in batch.only.lines],
        }
    )
    yield put("first", batch, "first", body=body, recover=(repeat(),))
    reply = yield put("second", batch, "second", body=body, recover=(repeat(),))
    return documents(batch, reply)


TO_SALES = {"rules": [{"name": "all", "then": {"account": "200"}}]}
TO_OTHER = {"rules": [{"name": "all", "then": {"account": "299"}}]}


@rule(1)
def test_a_replay_reads_what_was_frozen_and_nothing_that_changed_since(a_shop: OpenShop):
    shop = a_shop(a_provider(sync_draft=two_steps))
    shop.ns.apps.update(shop.app.id, settings={"ledger": "before"}, mapping=TO_SALES)
    id = shop.submit()
    shop.crash("send.before", visit=2)
    shop.ns.apps.update(shop.app.id, settings={"ledger": "after"}, mapping=TO_OTHER)
    shop.clock.advance(timedelta(minutes=5))
    shop.run_for(600)
    assert shop.get(id).in_doubt is None
    assert shop.status(id) == "payment_processing.pending"
    assert len({request.body for request in shop.wire.to("second")}) == 1
    assert b'"before"' in shop.wire.to("second")[0].body
    assert b'"200"' in shop.wire.to("second")[0].body


def spaced_draft(spaces: int, seconds: int) -> Any:
    def sync_draft(self: Any, batch: Batch[Any, Any]) -> Any:
        body = encode_json({"refs": [batch.only.id]}).replace(b":", b":" + b" " * spaces)
        reply = yield put("put", batch, body=body, recover=(repeat(seconds),))
        return documents(batch, reply)

    return sync_draft


@rule(1)
def test_what_is_sent_again_are_the_stored_bytes_with_the_stored_recovery(a_shop: OpenShop):
    shop = a_shop(a_provider(sync_draft=spaced_draft(1, 3600)))
    shop.submit()
    shop.wire.plan(lost_before)
    shop.crash("reply.received")
    shop.restart([a_provider(sync_draft=spaced_draft(4, 1))])
    shop.clock.advance(timedelta(seconds=60))
    shop.run_for(600)
    assert len(shop.wire.sent) == 2
    assert len({request.body for request in shop.wire.sent}) == 1
    assert len(shop.books.documents) == 1


# 2. No credentials in a request.


@rule(2)
def test_a_request_with_credentials_is_refused():
    for headers in ((("Authorization", "Bearer x"),), (("X-API-Key", "x"),), (("cookie", "session=x"),)):
        with pytest.raises(ContractViolation, match="add credentials in authenticate"):
            Request("put", "POST", "http://books/drafts", headers=headers)
    with pytest.raises(ContractViolation, match="credentials in its URL"):
        Request("put", "POST", "http://jane:secret@books/drafts")


def stored_text(shop: Shop, *but: str) -> str:
    tables = [table for table in schema.metadata.sorted_tables if table.name.removeprefix("billhook_") not in but]
    return "\n".join(str(row) for table in tables for row in shop.rows(table))


def tokened(**hooks: Any) -> Any:
    return a_provider(
        credentials=True, members={"authenticate": hookimpl(bearer)}, **{"sync_draft": careful_draft, **hooks}
    )


@rule(2)
def test_credentials_are_added_when_sending_and_stored_nowhere_else(a_shop: OpenShop):
    shop = a_shop(tokened(refresh_credentials=fresh_token))
    shop.wire.plan(answers(401), to="drafts")
    shop.wire.plan(answers(200, {"token": "fresh-secret"}), to="token")
    id = shop.submit()
    shop.run()
    assert shop.status(id) == "payment_processing.pending"
    used = [dict(request.headers)["authorization"] for request in shop.wire.to("drafts")]
    assert used == ["Bearer old", "Bearer fresh-secret"]
    text = stored_text(shop, "credential")
    assert "Bearer" not in text
    assert "fresh-secret" not in text


@rule(2)
def test_a_refused_token_is_refreshed_once_and_a_second_refusal_holds_the_app(a_shop: OpenShop):
    shop = a_shop(tokened(refresh_credentials=fresh_token))
    shop.wire.plan(answers(401), answers(401), to="drafts")
    shop.wire.plan(*[answers(200, {"token": f"token-{number}"}) for number in range(9)], to="token")
    id = shop.submit()
    shop.run()
    assert shop.app.status == "unauthorized"
    assert len(shop.wire.to("token")) == 1
    assert len(shop.wire.to("drafts")) == 2
    shop.run_for(3600)
    assert len(shop.wire.sent) == 3
    shop.ns.apps.set_credentials(shop.app.id, {"token": "by hand"})
    shop.run()
    assert shop.status(id) == "payment_processing.pending"
    assert len(set(shop.wire.keys("drafts"))) == 1
    assert len(shop.books.documents) == 1


# 3. Classify before believing.


@rule(3)
def test_only_an_answer_reaches_the_operation(a_shop: OpenShop):
    read: list[Reply] = []

    def sync_draft(self: Any, batch: Batch[Any, Any]) -> Any:
        reply = yield put("put", batch, recover=(repeat(), look_up(self, batch)))
        read.append(reply)
        return documents(batch, reply) if reply.status == 200 else {batch.only.id: Rejected.because("odd", "Odd.")}

    shop = a_shop(a_provider(sync_draft=sync_draft))
    for status in (500, 503, 408, 409, 425, 429):
        shop.wire.plan(answers(status, retry_after="1"))
    shop.wire.plan(answers(200, b'{"items": ['), lost_before)
    id = shop.submit()
    shop.run_for(7200)
    assert shop.status(id) == "payment_processing.pending"
    assert [reply.status for reply in read] == [200]
    assert len(shop.books.documents) == 1


@rule(3)
def test_a_429_on_a_repeat_says_nothing_about_the_first_send(a_shop: OpenShop):
    def sync_draft(self: Any, batch: Batch[Any, Any]) -> Any:
        reply = yield put("put", batch, recover=(repeat(60),))
        return documents(batch, reply)

    shop = a_shop(a_provider(sync_draft=sync_draft))
    shop.books.honours_keys_for = timedelta(seconds=60)
    shop.wire.plan(lost_after, answers(429, retry_after="120"))
    id = shop.submit()
    shop.run_for(7200)
    assert len(shop.books.documents) == 1
    assert shop.get(id).in_doubt is not None


# 4. The engine owns keys.


@rule(4)
def test_a_step_keeps_its_key_however_often_it_is_sent(a_shop: OpenShop):
    shop = a_shop(a_provider(sync_draft=two_steps))
    shop.wire.plan(answers(429), lost_after, answers(503), to="first")
    shop.wire.plan(answers(429), to="second")
    shop.submit()
    shop.run_for(7200)
    firsts, seconds = set(shop.wire.keys("first")), set(shop.wire.keys("second"))
    assert len(shop.wire.to("first")) > 2
    assert len(firsts) == len(seconds) == 1
    assert firsts != seconds
    assert len(shop.books.documents) == 2


@rule(4)
def test_a_burnt_key_is_exchanged_once_a_look_up_proved_that_nothing_was_done(a_shop: OpenShop):
    shop = a_shop()
    shop.wire.plan(stored_error(500))
    id = shop.submit()
    shop.run_for(1800)
    assert shop.status(id) == "payment_processing.pending"
    assert len(shop.books.documents) == 1
    assert len(set(shop.wire.keys("drafts"))) == 2


def found_only(self: Any, batch: Batch[Any, Any]) -> Any:
    reply = yield put("put", batch, recover=(look_up(self, batch),))
    return documents(batch, reply)


@rule(4)
def test_after_a_proof_of_absence_a_late_first_request_meets_the_same_key(a_shop: OpenShop):
    shop = a_shop(a_provider(sync_draft=found_only))
    shop.wire.plan(late)
    id = shop.submit()
    shop.run_for(60)
    assert shop.status(id) == "payment_processing.pending"
    shop.wire.let_land()
    assert len(shop.wire.to("drafts")) == 2
    assert len(shop.books.documents) == 1


# 5. Recovery in the declared order.


@rule(5)
def test_ways_are_tried_in_the_order_in_which_they_are_declared(a_shop: OpenShop):
    def looks_first(self: Any, batch: Batch[Any, Any]) -> Any:
        reply = yield put("put", batch, recover=(look_up(self, batch), repeat()))
        return documents(batch, reply)

    shop = a_shop(a_provider(sync_draft=looks_first))
    shop.wire.plan(lost_after)
    id = shop.submit()
    shop.run_for(120)
    assert [request.method for request in shop.wire.sent] == ["POST", "GET"]
    assert shop.status(id) == "payment_processing.pending"


def without_a_way(self: Any, batch: Batch[Any, Any]) -> Any:
    reply = yield put("put", batch, key=None)
    return documents(batch, reply)


@rule(5)
def test_where_no_way_is_left_the_item_stops_in_doubt_for_everybody_to_see(a_shop: OpenShop):
    shop = a_shop(a_provider(sync_draft=without_a_way))
    shop.wire.plan(lost_after)
    id = shop.submit()
    shop.run_for(86_400)
    assert len(shop.books.documents) == 1
    details = shop.get(id)
    assert "declares no way" in (details.in_doubt or "")
    assert [issue.code for issue in details.issues] == ["outcome_unknown"]
    assert [doubt.document_id for doubt in shop.ns.doubts.list()] == [id]


def keyless_with_a_look_up(after: int = 0) -> Any:
    def sync_draft(self: Any, batch: Batch[Any, Any]) -> Any:
        reply = yield put("put", batch, key=None, recover=(look_up(self, batch, after=after),))
        return documents(batch, reply)

    return sync_draft


@rule(5)
def test_a_look_up_waits_until_the_provider_can_no_longer_be_at_work(a_shop: OpenShop):
    shop = a_shop(a_provider(sync_draft=keyless_with_a_look_up(after=60)))
    shop.wire.plan(late)
    id = shop.submit()
    shop.run_for(85)
    assert shop.wire.to("found") == []
    shop.wire.let_land()
    shop.run_for(60)
    assert shop.status(id) == "payment_processing.pending"
    assert len(shop.books.documents) == 1


@rule(5)
def test_a_failed_look_up_proves_nothing(a_shop: OpenShop):
    shop = a_shop(a_provider(sync_draft=keyless_with_a_look_up()))
    shop.wire.plan(lost_after, to="drafts")
    shop.wire.plan(answers(500), answers(200, b"{"), lost_before, to="found")
    id = shop.submit()
    shop.run_for(3600)
    assert shop.status(id) == "payment_processing.pending"
    assert len(shop.wire.to("found")) == 4
    assert len(shop.books.documents) == 1


@rule(5)
def test_every_send_stands_in_the_journal_before_it_leaves(a_shop: OpenShop):
    shop = a_shop()
    seen: list[list[tuple[str, int]]] = []

    def look(request: Outgoing) -> None:
        seen.append([(row["status"], row["sends"]) for row in shop.attempts()])

    shop.wire.before_each = look
    shop.wire.plan(lost_before, lost_before, answers(429, retry_after="1"))
    shop.submit()
    shop.run_for(600)
    assert seen == [[("sending", number)] for number in (1, 2, 3, 4)]


# 6. Batches.

FIVE = {"sync_draft": OperationRules(batch=5, atomic=False)}


def draft_each(self: Any, batch: Batch[Any, Any]) -> Any:
    reply = yield put("put", batch, recover=(look_up(self, batch),))
    return documents(batch, reply)


def submit_five(shop: Shop, number: int = 5) -> list[str]:
    return shop.ns.invoices.submit_many([shop.draft() for _ in range(number)])


@rule(6)
def test_a_batch_makes_one_request_that_changes_something_and_no_second(a_shop: OpenShop):
    def sync_draft(self: Any, batch: Batch[Any, Any]) -> Any:
        yield put("first", batch, "first", recover=(look_up(self, batch),))
        reply = yield put("second", batch, "second", recover=(look_up(self, batch),))
        return documents(batch, reply)

    shop = a_shop(a_provider(sync_draft=sync_draft, rules=FIVE))
    submit_five(shop)
    shop.run_for(60)
    assert len(shop.wire.to("first")) == 1
    assert shop.wire.to("second") == []
    assert "second request that changes something" in (shop.operations("sync_draft")[0]["reason"] or "")


@rule(6)
def test_outcomes_go_by_item_never_by_position(a_shop: OpenShop):
    shop = a_shop(a_provider(sync_draft=draft_each, rules=FIVE))
    ids = submit_five(shop)
    shop.run()
    there = dict(shop.books.documents)
    assert {id: shop.get(id).invoice.external_ids["invoicing"] for id in ids} == there


def half_lost(wire: Any, request: Outgoing) -> Any:
    asked = Reply(200, (), request.body).json()["refs"]
    wire.books.serve(Outgoing(request.method, request.url, (), encode_json({"refs": asked[:2]})))
    return lost_before(wire, request)


@rule(6)
def test_of_a_batch_that_was_partly_done_only_the_rest_is_sent_again(a_shop: OpenShop):
    shop = a_shop(a_provider(sync_draft=draft_each, rules=FIVE))
    shop.wire.plan(half_lost)
    ids = submit_five(shop)
    shop.run_for(120)
    assert sorted(shop.books.references) == sorted(ids)
    assert {shop.status(id) for id in ids} == {"payment_processing.pending"}
    assert len(set(shop.wire.keys("drafts"))) == 2


@rule(6)
def test_an_item_that_the_answer_does_not_mention_is_looked_up(a_shop: OpenShop):
    shop = a_shop(a_provider(sync_draft=draft_each, rules=FIVE))
    ids = submit_five(shop)
    shop.books.omits = {ids[1], ids[3]}
    shop.run_for(120)
    assert sorted(shop.books.references) == sorted(ids)
    assert {shop.status(id) for id in ids} == {"payment_processing.pending"}
    assert len(shop.wire.to("found")) == 1


@rule(6)
def test_a_refusal_after_an_unknown_send_may_be_our_own_success(a_shop: OpenShop):
    shop = a_shop()
    id = shop.submit()
    shop.wire.plan(
        lost_after, done_then(400, encode_json({"items": [{"ref": id, "error": "number exists"}]})), to="drafts"
    )
    shop.run_for(120)
    assert shop.status(id) == "payment_processing.pending"
    assert shop.books.references == [id]


@rule(6)
def test_a_batch_that_may_be_partly_done_must_not_be_repeated_blindly(a_shop: OpenShop):
    shop = a_shop(a_provider(sync_draft=careful_draft, rules=FIVE))
    ids = submit_five(shop)
    shop.run_for(60)
    assert [len(Reply(200, (), request.body).json()["refs"]) for request in shop.wire.to("drafts")] == [1] * 5
    assert {shop.status(id) for id in ids} == {"payment_processing.pending"}
    assert "List Find before Repeat" in shop.operations("sync_draft")[0]["reason"]


# 7. Replay is strict.


def chunked_draft(chunks: Sequence[str]) -> Any:
    def sync_draft(self: Any, batch: Batch[Any, Any]) -> Any:
        for chunk in chunks:
            body = encode_json({"refs": [batch.only.id], "lines": chunk})
            reply = yield put(f"put.{chunk}", batch, body=body, recover=(repeat(),))
        return documents(batch, reply)

    return sync_draft


@rule(7)
def test_an_upgrade_that_would_send_something_else_stops_in_doubt(a_shop: OpenShop):
    def other_bytes(self: Any, batch: Batch[Any, Any]) -> Any:
        reply = yield put("put.one", batch, body=encode_json({"refs": [batch.only.id], "v": 2}), recover=(repeat(),))
        return documents(batch, reply)

    shop = a_shop(a_provider(sync_draft=chunked_draft(["one"])))
    id = shop.submit()
    shop.wire.plan(lost_after)
    shop.crash("reply.received")
    shop.restart([a_provider(sync_draft=other_bytes)])
    shop.run_for(7200)
    assert "diverged: the body" in (shop.get(id).in_doubt or "")
    assert len(shop.wire.sent) == len(shop.books.documents) == 1


@rule(7)
def test_an_upgrade_that_leaves_a_journalled_step_out_stops_in_doubt(a_shop: OpenShop):
    shop = a_shop(a_provider(sync_draft=chunked_draft(["one", "two"])))
    id = shop.submit()
    shop.crash("send.before", visit=2)
    shop.restart([a_provider(sync_draft=chunked_draft(["one"]))])
    shop.run_for(7200)
    assert "the code now ends before it" in (shop.get(id).in_doubt or "")
    assert len(shop.wire.sent) == 1


@rule(7)
def test_where_every_send_was_refused_the_new_request_is_simply_sent(a_shop: OpenShop):
    shop = a_shop(a_provider(sync_draft=chunked_draft(["one"])))
    shop.wire.plan(answers(429, retry_after="60"))
    id = shop.submit()
    shop.run()
    shop.restart([a_provider(sync_draft=chunked_draft(["other"]))])
    shop.run_for(600)
    assert shop.status(id) == "payment_processing.pending"
    assert b"other" in shop.wire.sent[-1].body
    assert len(shop.books.documents) == 1
    assert len(set(shop.wire.keys())) == 2


# 8. Leftovers are remembered.


def resuming_draft(self: Any, batch: Batch[Any, Any]) -> Any:
    item = batch.only
    if "create" not in item.leftovers:
        yield put("create", batch, "create", identify=self.function("made"), recover=(repeat(),))
    reply = yield put("fill", batch, "fill", key=None)
    return documents(batch, reply)


@rule(8)
def test_what_a_refused_operation_left_behind_is_where_the_next_one_starts(a_shop: OpenShop):
    shop = a_shop(a_provider(sync_draft=resuming_draft))
    id = shop.submit()
    shop.wire.plan(answers(422, {"items": [{"ref": id, "error": "bad line"}]}), to="fill")
    shop.run()
    assert shop.status(id) == "draft.sync_failed"
    shop.ns.invoices.retry(id)
    shop.run()
    assert shop.status(id) == "payment_processing.pending"
    assert len(shop.wire.to("create")) == 1


@rule(8)
def test_what_is_in_doubt_leaves_its_remote_ids_too(a_shop: OpenShop):
    shop = a_shop(a_provider(sync_draft=resuming_draft))
    id = shop.submit()
    shop.wire.plan(lost_before, to="fill")
    shop.run_for(60)
    assert shop.get(id).in_doubt is not None
    shop.ns.doubts.resolve(id, absent=True)
    shop.run_for(60)
    assert shop.status(id) == "payment_processing.pending"
    assert len(shop.wire.to("create")) == 1


# 9. Parking closes generators.


@rule(9)
def test_an_operation_that_waits_holds_no_generator(a_shop: OpenShop):
    left: list[str] = []

    def sync_draft(self: Any, batch: Batch[Any, Any]) -> Any:
        try:
            reply = yield put("put", batch, recover=(repeat(),))
        finally:
            left.append("left")
        return documents(batch, reply)

    shop = a_shop(a_provider(sync_draft=sync_draft))
    shop.wire.plan(answers(429, retry_after="60"), answers(503), answers(503))
    shop.submit()
    worker = shop.engine.new_worker(InlineSendersForTest())
    with shop.engine.database.liveness.claim(worker.owner):
        worker.tick()
        assert left == []
        worker.tick()
        assert left == ["left"]
        worker.give_back()


class InlineSendersForTest:
    """Sends at once, as the engine's own inline senders do."""

    def __init__(self) -> None:
        self._landed: list[Any] = []

    def submit(self, task: Any) -> None:
        self._landed.append(task())

    def landed(self, timeout_seconds: float | None) -> list[Any]:
        landed, self._landed = self._landed, []
        return landed

    def close(self) -> None:
        """Nothing is in flight."""


@rule(9)
def test_a_provider_that_would_not_let_itself_be_closed_is_not_loaded():
    def holds_on(self: Any, batch: Batch[Any, Any]) -> Any:
        try:
            reply = yield put("put", batch)
        finally:
            yield put("clean up", batch)
        return documents(batch, reply)

    def swallows(self: Any, batch: Batch[Any, Any]) -> Any:
        try:
            reply = yield put("put", batch)
        except BaseException:  # noqa: BLE001 - this is what is refused
            return {}
        return documents(batch, reply)

    for hook in (holds_on, swallows):
        with pytest.raises(ContractViolation, match=r"closing|closes"):
            ProviderCatalog.from_objects([a_provider(sync_draft=hook)])


# 10. Stalled workers.


class Stall:
    """The process sleeps for so long, once, when it reaches that point."""

    def __init__(self, point: str, seconds: int) -> None:
        self.point, self.seconds, self.clock = point, seconds, None

    def reach(self, point: str) -> None:
        if point == self.point and self.clock is not None:
            clock, self.clock = self.clock, None
            clock.advance(timedelta(seconds=self.seconds))


@rule(10)
def test_a_worker_that_slept_past_the_deadline_does_not_send(a_shop: OpenShop):
    stall = Stall("round.after", 40)
    shop = a_shop(a_provider(sync_draft=keyless_with_a_look_up()), faults=stall)
    id = shop.submit()
    stall.clock = shop.clock
    asleep_until = shop.clock.now() + timedelta(seconds=40)
    shop.run()
    assert shop.wire.sent_at == []
    shop.run_for(60)
    assert shop.status(id) == "payment_processing.pending"
    assert shop.wire.sent_at[0] > asleep_until
    assert len(shop.books.documents) == 1


@rule(10)
def test_an_answer_that_comes_after_somebody_else_settled_is_kept_but_changes_nothing(a_shop: OpenShop):
    shop = a_shop(a_provider(sync_draft=two_steps), policy=Policy(lease=timedelta(seconds=20)))
    id = shop.submit()
    others: list[Shop] = []

    def another_takes_over(request: Outgoing) -> None:
        shop.wire.before_each = None
        shop.clock.advance(timedelta(seconds=25))
        other = open_shop(shop.url, *shop.providers, ready=False)
        other.engine.close()
        other.clock, other.books, other.wire = shop.clock, shop.books, shop.wire
        other.restart()
        others.append(other)
        other.run_for(120)

    shop.wire.before_each = another_takes_over
    try:
        shop.run()
    finally:
        for other in others:
            other.close()
    assert shop.status(id) == "payment_processing.pending"
    assert shop.causes(id).count("sync_draft.done") == 1
    assert len(shop.books.documents) == 2
    assert len(shop.rows(schema.late_reply)) == 1
    assert len(shop.wire.to("second")) == 1


# 11. Races.


@rule(11)
def test_a_command_that_meets_an_open_attempt_is_recorded_and_applied_after_it(a_shop: OpenShop):
    shop = a_shop()
    id = shop.submit(workflow={"auto_advance": False})
    answered: list[Any] = []

    def edit(request: Outgoing) -> None:
        shop.wire.before_each = None
        answered.append(shop.ns.invoices.update(id, {"description": "Changed meanwhile"}))

    shop.wire.before_each = edit
    shop.run()
    assert (answered[0].status, answered[0].pending_command) == ("draft.syncing", "update")
    assert answered[0].invoice.content.description is None
    details = shop.get(id)
    assert details.pending_command is None
    assert details.invoice.content.description == "Changed meanwhile"
    assert (details.status, details.invoice.revision) == ("draft.manual_approval_needed", 2)
    causes = shop.causes(id)
    assert causes.index("update.recorded") < causes.index("sync_draft.done") < causes.index("update")
    assert len(shop.books.documents) == 2


def hint(kind: str = "document") -> Any:
    def read_webhook(self: Any, headers: Any, body: bytes, secrets: Any, now: Any) -> Any:
        return [WebhookEvent(part, kind, part, "changed") for part in body.decode().split()]

    return read_webhook


def fetched(self: Any, batch: Batch[Any, Any]) -> Any:
    reply = yield Request("fetch", "GET", f"http://books/found?refs={batch.only.id}")
    found = reply.json()["items"]
    return {batch.only.id: Done(Snapshot(bool(found), found[0]["id"] if found else None, status="there"))}


@rule(11)
def test_an_event_about_something_not_yet_known_is_kept_and_matched_when_its_id_arrives(a_shop: OpenShop):
    shop = a_shop(a_provider(sync_draft=careful_draft, fetch=fetched, read_webhook=hint()))
    assert shop.engine.receive_webhook(shop.app.id, {}, b"drafts-1 nobody-7") == 2
    shop.run()
    assert shop.wire.sent == []
    id = shop.submit()
    shop.run()
    assert [row["state"] for row in shop.rows(schema.inbox, external_id="drafts-1")] == ["worked"]
    assert len(shop.wire.to("found")) == 1
    assert "fetch.done" in shop.causes(id) or shop.rows(schema.document_link)[0]["evidence"]
    assert shop.engine.orphaned_events("acme") == ()
    shop.clock.advance(timedelta(days=2))
    assert [event["external_id"] for event in shop.engine.orphaned_events("acme")] == ["nobody-7"]


# 13. Wake-ups.


def waiting_draft(check_after: int | None, give_up_after: int | None) -> Any:
    def sync_draft(self: Any, batch: Batch[Any, Any]) -> Any:
        reply = yield put("put", batch, recover=(repeat(),))
        after = None if check_after is None else timedelta(seconds=check_after)
        until = None if give_up_after is None else batch.now + timedelta(seconds=give_up_after)
        return {batch.only.id: Pending("being approved", reply.json()["items"][0]["id"], after, until)}

    return sync_draft


def still_waiting(self: Any, batch: Batch[Any, Any]) -> Any:
    yield Request("fetch", "GET", f"http://books/found?refs={batch.only.id}")
    return {batch.only.id: Pending("being approved", check_after=timedelta(seconds=60))}


@rule(13)
def test_what_is_pending_is_looked_at_when_it_said_and_holds_nothing_meanwhile(a_shop: OpenShop):
    shop = a_shop(a_provider(sync_draft=waiting_draft(60, None), fetch=fetched))
    id = shop.submit()
    shop.run()
    assert shop.status(id) == "draft.syncing"
    assert [row["status"] for row in shop.operations("sync_draft")] == ["settled"]
    shop.run_for(59)
    assert shop.wire.to("found") == []
    shop.turn(1)
    assert len(shop.wire.to("found")) == 1
    assert shop.status(id) == "payment_processing.pending"


@rule(13)
def test_what_is_pending_for_too_long_stops_for_everybody_to_see(a_shop: OpenShop):
    shop = a_shop(a_provider(sync_draft=waiting_draft(60, 300), fetch=still_waiting))
    id = shop.submit()
    shop.run_for(290)
    assert shop.status(id) == "draft.syncing"
    assert len(shop.wire.to("found")) == 4
    shop.run_for(20)
    assert shop.status(id) == "draft.sync_failed"
    assert shop.issue_codes(id) == ["gave_up_waiting"]
    shop.run_for(3600)
    assert len(shop.wire.to("found")) == 5


# 14. Load checks.


def never_yields(self: Any, batch: Batch[Any, Any]) -> Any:
    return {}


async def is_async(self: Any, batch: Batch[Any, Any]) -> Any:
    return {}


def has_a_default(self: Any, batch: Batch[Any, Any] | None = None) -> Any:
    yield put("put", batch)  # type: ignore[arg-type]


def misspelt(self: Any, batchh: Any) -> Any:
    yield put("put", batchh)


def never_marked(self: Any, batch: Batch[Any, Any]) -> Any:
    yield put("put", batch)


@rule(14)
def test_a_provider_that_breaks_the_contract_is_not_loaded():
    undeclared = a_provider(sync_draft=plain_draft)
    undeclared.void = hookimpl(plain_draft)
    missing = a_provider(sync_draft=plain_draft)
    promised = {**missing.declaration.capabilities, Capability.VOID: Full()}
    missing.declaration = missing.declaration.model_copy(update={"capabilities": promised})
    newer = a_provider(sync_draft=plain_draft)
    newer.declaration = newer.declaration.model_copy(update={"contract": "2.0"})
    no_hook = a_provider(sync_draft=plain_draft, members={"sync_drafts": hookimpl(plain_draft)})
    unmarked = a_provider(sync_draft=plain_draft)
    unmarked.sync_draft = never_marked
    faulty = [a_provider(sync_draft=hook) for hook in (never_yields, is_async, has_a_default, misspelt)]
    for provider in (undeclared, missing, newer, no_hook, unmarked, *faulty):
        with pytest.raises(ContractViolation):
            ProviderCatalog.from_objects([provider])


@rule(14)
def test_what_a_decorated_hook_returns_is_looked_at_too(a_shop: OpenShop):
    def spoils(hook: Any) -> Any:
        @wraps(hook)
        def spoilt(self: Any, batch: Batch[Any, Any]) -> Any:
            return (hook(self, batch),)

        return spoilt

    handle = ProviderHandle(ProviderCatalog.from_objects([a_provider(sync_draft=spoils(plain_draft))]).load("books"))
    shop = a_shop()
    batch: Batch[Any, Any] = Batch("op", (), None, shop.clock.now(), shop.app.id, "acme")
    with pytest.raises(ContractViolation, match="generator function"):
        handle.start(Capability.SYNC_DRAFT, batch)


@rule(14)
def test_a_provider_is_loaded_without_anybody_elses_package():
    check_imports("billhook.providers.custom_invoicing:provider")
    with pytest.raises(ContractViolation, match="import it inside the functions"):
        check_imports("hypothesis:given")


# 15. Preview.


def sampled(self: Any, batch: Batch[Any, Any]) -> Any:
    item = batch.only
    body = {"refs": [item.id], "total": str(item.invoice.total), "accounts": [line.account for line in item.lines]}
    sample = Reply.of({"items": [{"ref": item.id, "id": "sample-1"}]}, source="sample")
    reply = yield put("put", batch, body=encode_json(body), sample=sample)
    made = reply.json()["items"][0]["id"]
    reply = yield put("fill", batch, "fill", body=encode_json({"refs": [item.id], "id": made}))
    return documents(batch, reply)


@rule(15)
def test_a_preview_shows_the_bytes_of_the_later_send_and_writes_nothing(a_shop: OpenShop):
    shop = a_shop(a_provider(sync_draft=sampled))
    shop.ns.apps.update(shop.app.id, mapping=TO_SALES)
    id = shop.submit()
    before = {table.name: shop.rows(table) for table in schema.metadata.sorted_tables}
    preview = shop.ns.invoices.preview(id)
    assert shop.wire.sent == []
    assert {table.name: shop.rows(table) for table in schema.metadata.sorted_tables} == before
    shop.run()
    assert preview.steps[0].body == shop.wire.sent[0].body
    assert b'"200"' in preview.steps[0].body
    assert b"sample-1" in preview.steps[1].body
    assert [step.step for step in preview.steps] == ["put", "fill"]
    assert "has no sample" in preview.notes[-1]
