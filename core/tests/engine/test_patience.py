"""Tokens that expire, providers that throttle or fail: what is tried again, when, and what is left alone."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from engine_kit import (
    NOON,
    Shop,
    a_provider,
    answers,
    bearer,
    careful_draft,
    documents,
    done_then,
    fresh_token,
    look_up,
    lost_before,
    not_sent,
    put,
    repeat,
    stored_error,
)

from billhook.contract import Batch, OperationRules, Reply, hookimpl
from billhook.contract.requests import Outgoing
from billhook.engine.context import Policy
from billhook.engine.effects import Arrived

OpenShop = Callable[..., Shop]
FOUR_AT_ONCE = {"sync_draft": OperationRules(concurrency=4)}


def tokened(**hooks: Any) -> Any:
    return a_provider(
        credentials=True,
        members={"authenticate": hookimpl(bearer)},
        rules=FOUR_AT_ONCE,
        **{"sync_draft": careful_draft, "refresh_credentials": fresh_token, **hooks},
    )


def accepts_only(token: str) -> Any:
    """The books ask for that token; the token endpoint hands it out."""

    def answer(wire: Any, request: Outgoing) -> Any:
        if request.url.endswith("/token"):
            return Arrived(Reply.of({"token": token}))
        if dict(request.headers).get("authorization") != f"Bearer {token}":
            return Arrived(Reply(401, (), b""))
        return Arrived(wire.books.serve(request))

    return answer


# Credentials.


def test_four_requests_that_meet_an_expired_token_refresh_it_once_and_go_on(a_shop: OpenShop):
    shop = a_shop(tokened())
    shop.wire.otherwise = accepts_only("fresh")
    ids = shop.ns.invoices.submit_many([shop.draft() for _ in range(4)])
    shop.run()
    assert shop.app.status == "ready"
    assert [shop.status(id) for id in ids] == ["payment_processing.pending"] * 4
    assert len(shop.wire.to("token")) == 1
    assert sorted(shop.books.references) == sorted(ids)


def test_a_token_that_another_process_refreshed_is_used_without_refreshing_again(a_shop: OpenShop):
    shop = a_shop(tokened())
    shop.wire.otherwise = accepts_only("fresh")

    def refreshed_elsewhere(request: Outgoing) -> None:
        shop.wire.before_each = None
        credential_id = shop.rows(_app_table())[0]["credential_id"]
        shop.engine.database.write(lambda tx: shop.engine.credentials.swap(tx, credential_id, 1, {"token": "fresh"}))

    shop.wire.before_each = refreshed_elsewhere
    id = shop.submit()
    shop.run()
    assert shop.status(id) == "payment_processing.pending"
    assert shop.wire.to("token") == []


def _app_table() -> Any:
    from billhook.store import schema

    return schema.app


def two_steps(self: Any, batch: Batch[Any, Any]) -> Any:
    yield put("one", batch, "one", key=None)
    reply = yield put("two", batch, "two", key=None)
    return documents(batch, reply)


def test_a_refused_token_loses_no_answer_that_was_under_way(a_shop: OpenShop):
    shop = a_shop(tokened(sync_draft=two_steps))
    shop.wire.plan(answers(401), to="one")
    shop.wire.plan(answers(400, {}), to="token")
    ids = shop.ns.invoices.submit_many([shop.draft() for _ in range(4)])
    shop.run()
    assert shop.app.status == "unauthorized"
    shop.ns.apps.set_credentials(shop.app.id, {"token": "by hand"})
    shop.run_for(600)
    assert [shop.get(id).in_doubt for id in ids] == [None] * 4
    assert [shop.status(id) for id in ids] == ["payment_processing.pending"] * 4
    assert sorted(shop.books.references) == sorted([*ids, *ids])


def test_an_app_without_a_way_to_refresh_waits_for_new_credentials(a_shop: OpenShop):
    told: list[Any] = []

    class Watcher:
        @hookimpl
        def app_status_changed(self, event: Any) -> None:
            told.append((event.status, event.enabled))

    from billhook.plugins.observers import Observers

    provider = a_provider(credentials=True, members={"authenticate": hookimpl(bearer)}, sync_draft=careful_draft)
    shop = a_shop(provider, observers=Observers([Watcher()]))
    shop.wire.plan(answers(401))
    id = shop.submit()
    shop.run_for(3600)
    assert shop.app.status == "unauthorized"
    assert told == [("unauthorized", True)]
    assert len(shop.wire.sent) == 1
    later = shop.submit()
    shop.run_for(3600)
    assert len(shop.wire.sent) == 1
    shop.ns.apps.set_credentials(shop.app.id, {"token": "new"})
    shop.run()
    assert {shop.status(id), shop.status(later)} == {"payment_processing.pending"}
    assert told[-1] == ("ready", True)


def test_a_disabled_app_sends_nothing_and_goes_on_where_it_stopped(a_shop_anywhere: OpenShop):
    shop = a_shop_anywhere()
    shop.wire.plan(answers(429, retry_after="60"))
    id = shop.submit()
    shop.run()
    shop.ns.apps.disable(shop.app.id)
    shop.run_for(3600)
    assert len(shop.wire.sent) == 1
    shop.ns.apps.enable(shop.app.id)
    shop.run()
    assert shop.status(id) == "payment_processing.pending"
    assert len(set(shop.wire.keys())) == 1


def test_a_plugin_that_can_not_sign_has_sent_nothing(a_shop: OpenShop):
    broken = [True]

    def authenticate(self: Any, request: Outgoing, credentials: Any, now: Any) -> Outgoing:
        if broken:
            raise RuntimeError("no clock")
        return request

    shop = a_shop(a_provider(sync_draft=two_steps, members={"authenticate": hookimpl(authenticate)}))
    id = shop.submit()
    shop.run()
    assert shop.issue_codes(id) == ["request_unsendable"]
    broken.clear()
    shop.ns.invoices.retry(id)
    shop.run()
    assert shop.get(id).in_doubt is None
    assert shop.status(id) == "payment_processing.pending"
    assert len(shop.books.documents) == 2


# Throttling.


def test_a_throttled_app_is_left_alone_for_as_long_as_it_asked(a_shop: OpenShop):
    shop = a_shop()
    shop.wire.plan(answers(429, retry_after="90"))
    first = shop.submit()
    shop.run()
    second = shop.submit()
    shop.run_for(89)
    assert len(shop.wire.sent) == 1
    shop.turn(1)
    assert {shop.status(first), shop.status(second)} == {"payment_processing.pending"}
    assert len(shop.books.documents) == 2


def test_a_throttled_app_stays_alone_after_a_restart(a_shop: OpenShop):
    shop = a_shop()
    shop.wire.plan(answers(429, retry_after="90"))
    shop.submit()
    shop.run()
    shop.restart()
    shop.run_for(89)
    assert len(shop.wire.sent) == 1


def test_throttling_without_a_time_waits_a_minute(a_shop: OpenShop):
    shop = a_shop()
    shop.wire.plan(answers(429))
    shop.submit()
    shop.run_for(3600)
    assert shop.wire.sent_at == [NOON, NOON + timedelta(seconds=60)]


def test_a_look_up_that_is_throttled_proves_nothing_and_costs_no_patience(a_shop: OpenShop):
    def sync_draft(self: Any, batch: Batch[Any, Any]) -> Any:
        reply = yield put("put", batch, key=None, recover=(look_up(self, batch),))
        return documents(batch, reply)

    shop = a_shop(a_provider(sync_draft=sync_draft), policy=Policy(look_ups=1))
    shop.wire.plan(done_then(502), to="drafts")
    shop.wire.plan(*[answers(429, retry_after="30")] * 5, to="found")
    id = shop.submit()
    shop.run_for(3600)
    assert shop.status(id) == "payment_processing.pending"
    assert len(shop.books.documents) == 1


def test_a_look_up_that_fails_too_often_ends_in_doubt(a_shop: OpenShop):
    def sync_draft(self: Any, batch: Batch[Any, Any]) -> Any:
        reply = yield put("put", batch, key=None, recover=(look_up(self, batch),))
        return documents(batch, reply)

    shop = a_shop(a_provider(sync_draft=sync_draft), policy=Policy(look_ups=3, circuit_failures=99))
    shop.wire.plan(done_then(502), to="drafts")
    shop.wire.plan(*[answers(500)] * 9, to="found")
    id = shop.submit()
    shop.run_for(86_400)
    assert "the look-up failed, 3 times" in (shop.get(id).in_doubt or "")
    assert len(shop.wire.to("found")) == 3


# Back-off and circuit.


@pytest.mark.parametrize("behaviour", [not_sent, answers(503), lost_before])
def test_pauses_between_tries_grow_and_stay_bounded(a_shop: OpenShop, behaviour: Any):
    def sync_draft(self: Any, batch: Batch[Any, Any]) -> Any:
        reply = yield put("put", batch, recover=(repeat(86_400),))
        return documents(batch, reply)

    policy = Policy(circuit_failures=99, longest_backoff=timedelta(seconds=60))
    shop = a_shop(a_provider(sync_draft=sync_draft), policy=policy)
    shop.wire.plan(*[behaviour] * 12)
    id = shop.submit()
    shop.run_for(3600)
    assert shop.status(id) == "payment_processing.pending"
    pauses = [(after - before).total_seconds() for before, after in zip(shop.wire.sent_at, shop.wire.sent_at[1:])]  # noqa: B905
    assert pauses == sorted(pauses)
    assert max(pauses) == 60
    assert len(set(shop.wire.keys())) == 1


def test_five_failures_in_a_row_open_the_circuit_of_that_app_alone(a_shop: OpenShop):
    providers = [a_provider(sync_draft=careful_draft), a_provider("ledger", sync_draft=careful_draft)]
    shop = a_shop(*providers)
    other = shop.a_profile(shop.an_app("ledger"), name="Other", is_default=False)
    shop.ns.customers.create("Ann", key="ann")
    shop.ns.overrides.set(shop.ns.customers.get("ann").id, profile_id=other.id)
    shop.wire.plan(*[answers(503)] * 5)
    ids = [shop.submit(), shop.submit()]
    shop.run_for(120)
    before = len(shop.wire.sent)
    assert before >= 5
    healthy = shop.submit(customer_key="ann")
    shop.run()
    assert shop.status(healthy) == "payment_processing.pending"
    shop.run_for(7200)
    assert [shop.status(id) for id in ids] == ["payment_processing.pending"] * 2
    assert len(shop.books.documents) == 3


def test_while_the_circuit_is_open_nothing_new_is_tried(a_shop: OpenShop):
    shop = a_shop(policy=Policy(circuit_failures=2))
    shop.wire.plan(*[not_sent] * 2)
    first = shop.submit()
    shop.run_for(2)
    assert len(shop.wire.sent) == 2
    second = shop.submit()
    shop.run_for(7)
    assert len(shop.wire.sent) == 2
    shop.run_for(60)
    assert {shop.status(first), shop.status(second)} == {"payment_processing.pending"}


def test_a_provider_that_is_down_for_hours_costs_few_calls_and_no_invoice(a_shop: OpenShop):
    shop = a_shop()
    back = NOON + timedelta(hours=4)
    shop.wire.otherwise = lambda wire, request: (
        not_sent(wire, request) if shop.clock.now() < back else Arrived(wire.books.serve(request))
    )
    ids = shop.ns.invoices.submit_many([shop.draft() for _ in range(3)])
    shop.run_for(4 * 3600 + 1200)
    assert [shop.status(id) for id in ids] == ["payment_processing.pending"] * 3
    assert len(shop.wire.sent) < 100


def test_a_stored_error_is_not_repeated_for_ever(a_shop: OpenShop):
    def sync_draft(self: Any, batch: Batch[Any, Any]) -> Any:
        reply = yield put("put", batch, recover=(repeat(3600),))
        return documents(batch, reply)

    shop = a_shop(a_provider(sync_draft=sync_draft))
    shop.wire.plan(stored_error(500))
    id = shop.submit()
    shop.run_for(86_400)
    assert shop.get(id).in_doubt is not None
    assert shop.books.documents == []
    sent = len(shop.wire.sent)
    shop.run_for(86_400)
    assert len(shop.wire.sent) == sent
