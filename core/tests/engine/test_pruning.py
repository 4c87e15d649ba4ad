from __future__ import annotations

from datetime import timedelta

import pytest
from engine_kit import a_provider, lost_after, plain_draft
from sandbox_shop import open_sandbox_shop

from billhook.engine import prune
from billhook.engine.journal import read_attempts
from billhook.store import schema

MONTH, WEEK = timedelta(days=30), timedelta(days=7)
BODIES = ("request", "body", "reply_body")
KEPT = ("id", "digest", "status", "verdict", "reply_status", "key", "sends")


@pytest.fixture
def here(a_shop_anywhere):
    return open_sandbox_shop(a_shop_anywhere)


def bodies(shop):
    return [{name: attempt[name] for name in BODIES} for attempt in shop.attempts()]


def kept(shop):
    return [{name: attempt[name] for name in KEPT} for attempt in shop.attempts()]


def read_again(shop):
    """Every attempt as the engine reads it."""
    with shop.engine.database.read() as tx:
        journals = read_attempts(tx, [operation["id"] for operation in shop.operations()])
    return [(one.step, one.reply) for id in sorted(journals) for one in journals[id]]


def test_bodies_of_what_is_settled_are_compressed_and_read_as_before(here):
    shop = here.shop
    shop.submit(
        lines=[{"name": f"Work {n}", "quantity": "1", "price": {"type": "unit", "amount": "1"}} for n in range(50)]
    )
    shop.run()
    before = read_again(shop)
    shop.clock.advance(timedelta(days=2))
    result = shop.engine.prune(MONTH)
    assert result.attempts_compressed == len(before) > 0
    assert result.bytes_after < result.bytes_before
    assert read_again(shop) == before


def test_old_bodies_are_dropped_and_what_says_how_it_ended_stays(here):
    shop = here.shop
    shop.submit()
    shop.run()
    before = kept(shop)
    shop.clock.advance(MONTH + timedelta(days=1))
    result = shop.engine.prune(MONTH)
    assert result.attempts_pruned == len(before) > 0
    assert result.operations_pruned == len(shop.operations())
    assert kept(shop) == before
    assert not any(body for attempt in bodies(shop) for body in attempt.values())


def test_a_pruned_invoice_keeps_its_timeline(here):
    shop = here.shop
    invoice = shop.submit()
    shop.run()
    before = [entry.summary for entry in shop.ns.invoices.timeline(invoice)]
    shop.clock.advance(timedelta(days=2))
    shop.engine.prune(MONTH)
    assert [entry.summary for entry in shop.ns.invoices.timeline(invoice)] == before
    shop.clock.advance(MONTH)
    shop.engine.prune(MONTH)
    assert [entry.summary for entry in shop.ns.invoices.timeline(invoice)] == before


def test_pruning_twice_changes_nothing_more(here):
    shop = here.shop
    shop.submit()
    shop.run()
    shop.clock.advance(timedelta(days=2))
    shop.engine.prune(MONTH)
    assert shop.engine.prune(MONTH) == prune.PruneResult()
    shop.clock.advance(MONTH)
    shop.engine.prune(MONTH)
    assert shop.engine.prune(MONTH) == prune.PruneResult()


def test_what_is_in_doubt_or_open_is_never_touched(a_shop_anywhere):
    shop = a_shop_anywhere(a_provider(sync_draft=plain_draft))
    doubted = shop.submit()
    shop.wire.plan(lost_after)
    shop.run()
    assert shop.issue_codes(doubted) == ["outcome_unknown"]
    before = bodies(shop)
    shop.clock.advance(MONTH * 12)
    assert shop.engine.prune(MONTH) == prune.PruneResult()
    assert bodies(shop) == before


def test_a_big_journal_is_pruned_in_small_transactions(here, monkeypatch):
    shop = here.shop
    for _ in range(3):
        shop.submit()
        shop.run()
    monkeypatch.setattr(prune, "CHUNK", 2)
    shop.clock.advance(MONTH + timedelta(days=1))
    result = shop.engine.prune(MONTH)
    assert result.attempts_pruned == len(shop.attempts()) > 4
    assert not any(body for attempt in bodies(shop) for body in attempt.values())


def test_pruning_one_namespace_leaves_the_others(here):
    shop = here.shop
    shop.submit()
    shop.run()
    shop.clock.advance(MONTH * 2)
    assert prune.Pruner(shop.engine.context).prune(MONTH, "other") == prune.PruneResult()
    assert prune.Pruner(shop.engine.context).prune(MONTH, shop.namespace).attempts_pruned


def test_worked_webhooks_and_late_answers_go_with_the_bodies(here):
    shop = here.shop
    shop.submit()
    shop.run()
    here.sandbox.deliver_webhooks(
        lambda headers, body: shop.engine.receive_webhook(here.app_id, dict(headers), body) * 0 + 200
    )
    shop.run()
    worked = len(shop.rows(schema.inbox, state="worked"))
    unmatched = len(shop.rows(schema.inbox, state="unmatched"))
    attempt = shop.attempts()[0]
    late = {"id": "LATE", "attempt_id": attempt["id"], "received_at": attempt["deadline"], "status": 200, "body": b"{}"}
    shop.engine.database.write(lambda tx: tx.execute(schema.late_reply.insert().values(**late)))
    shop.clock.advance(MONTH * 2)
    result = shop.engine.prune(MONTH)
    assert (result.inbox_rows, result.late_replies) == (worked, 1)
    assert worked > 0
    assert len(shop.rows(schema.inbox)) == unmatched
