from __future__ import annotations

from datetime import timedelta

import pytest
from engine_kit import answers, lost_after
from sandbox_shop import open_sandbox_shop

from billhook.clock import TurnedClock
from billhook.engine.invoice_row import COLUMNS
from billhook.engine.timeline import rebuilt_state
from billhook.errors import NotFound
from billhook.store import schema

NOT_IN_EVENTS = {"id", "namespace", "version"}


@pytest.fixture
def here(a_shop_anywhere):
    return open_sandbox_shop(a_shop_anywhere)


def stored(shop, invoice_id):
    (row,) = shop.rows(schema.invoice, id=invoice_id)
    return {name: value for name, value in row.items() if value is not None and name not in NOT_IN_EVENTS}


def rebuilt(shop, invoice_id):
    with shop.engine.database.read() as tx:
        state = rebuilt_state(shop.engine.context, tx, shop.namespace, invoice_id)
    return {name: value for name, value in state.items() if value is not None}


def test_the_timeline_tells_the_whole_way_of_an_invoice_in_order(here):
    invoice = here.shop.submit()
    here.shop.run()
    entries = here.shop.ns.invoices.timeline(invoice)
    requests = [entry.details["operation"] for entry in entries if entry.kind == "request"]
    assert requests[:2] == ["sync_draft", "issue"]
    assert [entry.at for entry in entries] == sorted(entry.at for entry in entries)
    assert entries[0].summary.startswith("The invoice was created; now draft.validating")
    assert "now paid" in " ".join(entry.summary for entry in entries)
    assert {"transition", "request", "payment"} <= {entry.kind for entry in entries}


def test_what_came_later_stands_later_though_the_clock_was_turned_back(here):
    shop = here.shop
    invoice = shop.submit()
    shop.clock = TurnedClock(shop.clock.now() - timedelta(hours=1))
    shop.restart()
    shop.ns.invoices.update(invoice, {"description": "Thank you."})
    created, edited = [entry for entry in shop.ns.invoices.timeline(invoice) if "version" in entry.details]
    assert (created.details["version"], edited.details["version"]) == ("1", "2")
    assert edited.at == created.at - timedelta(hours=1)


def test_a_request_stands_before_what_it_led_to(here):
    invoice = here.shop.submit()
    here.shop.run()
    entries = here.shop.ns.invoices.timeline(invoice)
    for operation_id in {entry.operation_id for entry in entries if entry.kind == "request"}:
        kinds = [entry.kind for entry in entries if entry.operation_id == operation_id]
        assert kinds.index("request") == 0


def test_a_request_shows_its_key_and_how_it_was_answered(here):
    here.sandbox.fault("lost_response", matching="invoices/issue")
    invoice = here.shop.submit()
    here.shop.run_for(600)
    entries = here.shop.ns.invoices.timeline(invoice)
    (issue,) = [entry for entry in entries if entry.kind == "request" and entry.details["operation"] == "issue"]
    assert issue.details["key"]
    assert issue.details["reply_source"] == "found"
    assert "found by a look-up" in issue.summary


def test_money_and_refunds_are_in_the_timeline(here):
    invoice = here.shop.submit()
    here.shop.run()
    (payment,) = here.shop.get(invoice).payments
    here.shop.ns.refunds.refund(payment.id, "4.00", reason="too late")
    here.shop.run()
    entries = here.shop.ns.invoices.timeline(invoice)
    assert [entry.summary for entry in entries if entry.kind == "payment"] == [
        "A payment of 10.00 EUR was opened; it is succeeded now.",
        "10.00 EUR came in.",
    ]
    (refund,) = [entry for entry in entries if entry.kind == "refund"]
    assert refund.details["reason"] == "too late"
    assert refund.summary.endswith("it is succeeded.")


def test_a_request_that_is_still_under_way_is_shown(a_shop_anywhere):
    shop = a_shop_anywhere()
    invoice = shop.submit()
    shop.wire.plan(answers(429, retry_after="60"))
    shop.run()
    (request,) = [entry for entry in shop.ns.invoices.timeline(invoice) if entry.kind == "request"]
    assert request.summary == "sync_draft, step put: sent once, not done (throttled)."


def test_an_answer_that_comes_too_late_is_shown(here):
    invoice = here.shop.submit()
    here.shop.run()
    (drafting,) = here.shop.operations("sync_draft")
    (attempt,) = here.shop.rows(schema.attempt, operation_id=drafting["id"])
    late = {"id": "LATE", "attempt_id": attempt["id"], "received_at": attempt["deadline"], "status": 200, "body": b"{}"}
    here.shop.engine.database.write(lambda tx: tx.execute(schema.late_reply.insert().values(**late)))
    last = here.shop.ns.invoices.timeline(invoice)[-1]
    assert (last.kind, last.operation_id) == ("late_reply", drafting["id"])
    assert last.summary == "An answer to step drafts came too late (200) and changed nothing."


def test_the_events_alone_rebuild_the_row(here):
    shop = here.shop
    plain = shop.submit()
    edited = shop.submit(workflow={"auto_advance": False})
    shop.run()
    shop.ns.invoices.update(edited, {"description": "as agreed"})
    shop.run()
    shop.ns.invoices.approve(edited)
    shop.run_for(3600)
    for invoice in (plain, edited):
        assert rebuilt(shop, invoice) == stored(shop, invoice)
        assert set(rebuilt(shop, invoice)) <= set(COLUMNS)


def test_the_events_rebuild_an_invoice_that_failed_and_was_retried(a_shop_anywhere):
    shop = a_shop_anywhere()
    invoice = shop.submit()
    shop.wire.plan(lost_after)
    shop.books.refuses.add(invoice)
    shop.run_for(3600)
    assert shop.status(invoice) == "draft.sync_failed"
    shop.books.refuses.clear()
    shop.clock.advance(timedelta(days=2))
    shop.ns.invoices.retry(invoice)
    shop.run_for(3600)
    assert rebuilt(shop, invoice) == stored(shop, invoice)


def test_no_timeline_crosses_a_namespace(here):
    invoice = here.shop.submit()
    with pytest.raises(NotFound):
        here.shop.engine.namespace("other").invoices.timeline(invoice)
