"""What is told of an invoice, when, and as what it was then."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from engine_kit import a_provider, answers, careful_draft

from billhook.contract import DocumentResult
from billhook.store import schema

OpenTelling = Callable[..., Any]
CREATED, UPDATED = "invoice.created", "invoice.updated"


def test_an_invoice_with_both_pauses_is_told_step_by_step(telling_anywhere: OpenTelling):
    telling = telling_anywhere()
    id = telling.shop.submit()
    telling.send()
    assert telling.receiver.told == [
        (UPDATED, "draft.waiting_for_collection"),
        (UPDATED, "draft.collecting"),
        (UPDATED, "draft.validating"),
        (UPDATED, "draft.syncing"),
        (CREATED, "draft.syncing"),
    ]
    telling.receiver.received.clear()
    telling.shop.clock.advance(timedelta(minutes=1))
    telling.shop.ns.invoices.draft_synchronized(id, DocumentResult(number="ACME-1"))
    telling.send()
    assert telling.receiver.told == [
        (UPDATED, "draft.waiting_auto_approval"),
        (UPDATED, "draft.ready_to_issue"),
        (UPDATED, "issuing.line_finalization"),
        (UPDATED, "issuing.syncing"),
    ]
    telling.receiver.received.clear()
    telling.shop.clock.advance(timedelta(minutes=1))
    telling.shop.ns.invoices.issuing_synchronized(id)
    telling.send()
    assert telling.receiver.told == [
        (UPDATED, "issuing.charge_booking"),
        (UPDATED, "issued"),
        (UPDATED, "payment_processing.pending"),
    ]
    telling.receiver.received.clear()
    telling.shop.clock.advance(timedelta(minutes=1))
    telling.shop.ns.invoices.payment_status(id, "paid")
    telling.send()
    assert telling.receiver.told == [
        (UPDATED, "payment_processing.booking_authorized_and_settled"),
        (UPDATED, "paid"),
    ]


def test_without_pauses_the_creation_is_told_where_the_invoice_rests(telling: OpenTelling):
    told = telling(draft=False, issuing=False)
    told.shop.submit()
    told.send()
    assert told.receiver.told[0] == (UPDATED, "draft.waiting_for_collection")
    assert told.receiver.told[-2:] == [(UPDATED, "payment_processing.pending"), (CREATED, "payment_processing.pending")]
    assert [type for type, _ in told.receiver.told].count(CREATED) == 1


def test_an_invoice_is_told_as_it_was_and_not_as_it_is(telling_anywhere: OpenTelling):
    told = telling_anywhere()
    id = told.shop.submit(description="First")
    line_id = told.shop.get(id).invoice.lines[0].id
    told.shop.clock.advance(timedelta(minutes=1))
    result = DocumentResult(external_id="ext-1", number="ACME-1", line_ids={line_id: "line-1"})
    told.shop.ns.invoices.draft_synchronized(id, result)
    told.shop.clock.advance(timedelta(minutes=1))
    told.shop.ns.invoices.issuing_synchronized(id, DocumentResult(external_id="ext-2"))
    told.send()
    shown = {each.json["data"]["status"]: each.json["data"] for each in told.receiver.received}
    assert shown["draft.syncing"]["number"] == "DRAFT-JADO-1"
    assert (shown["draft.syncing"]["external_ids"], shown["draft.syncing"]["line_ids"]) == ({}, {})
    assert shown["draft.syncing"]["actions"] == {"delete": "deleted"}
    assert shown["draft.waiting_auto_approval"]["number"] == "ACME-1"
    assert shown["draft.waiting_auto_approval"]["line_ids"] == {line_id: "line-1"}
    assert shown["draft.ready_to_issue"]["issued_at"] is None
    assert shown["issuing.syncing"]["issued_at"] == "2026-05-01T12:01:00+00:00"
    assert shown["issuing.syncing"]["external_ids"] == {"invoicing": "ext-1"}
    assert shown["payment_processing.pending"]["external_ids"] == {"invoicing": "ext-2"}


def test_an_edit_is_told_by_where_it_leads_with_the_content_that_it_made(telling: OpenTelling):
    told = telling(draft=False, issuing=False, workflow={"auto_advance": False})
    id = told.shop.submit(description="First")
    told.shop.clock.advance(timedelta(minutes=1))
    told.shop.ns.invoices.update(id, {"description": "Second"})
    told.send()
    updates = [each.json["data"] for each in told.receiver.received if each.told[0] == UPDATED]
    assert [(each["status"], each["description"]) for each in updates] == [
        ("draft.waiting_for_collection", "First"),
        ("draft.collecting", "First"),
        ("draft.validating", "First"),
        ("draft.syncing", "First"),
        ("draft.manual_approval_needed", "First"),
        ("draft.waiting_for_collection", "Second"),
        ("draft.collecting", "Second"),
        ("draft.validating", "Second"),
        ("draft.syncing", "Second"),
        ("draft.manual_approval_needed", "Second"),
    ]


def test_what_a_user_asks_for_is_told_by_where_it_leads(telling: OpenTelling):
    told = telling(draft=False, issuing=False, workflow={"auto_advance": False})
    approved, deleted = told.shop.submit(), told.shop.submit()
    told.send()
    told.receiver.received.clear()
    told.shop.clock.advance(timedelta(minutes=1))
    told.shop.ns.invoices.approve(approved)
    told.send()
    assert told.receiver.told[0] == (UPDATED, "issuing.line_finalization")
    told.receiver.received.clear()
    told.shop.ns.invoices.delete(deleted)
    told.send()
    assert told.receiver.told == [(UPDATED, "delete.syncing"), (UPDATED, "deleted")]


def test_a_failure_is_told_with_its_reason_and_so_is_the_retry_where_it_rests(telling: OpenTelling):
    told = telling(a_provider(sync_draft=careful_draft))
    shop = told.shop
    shop.wire.plan(answers(200, {"items": []}))
    id = shop.submit()
    shop.books.refuses.add(id)
    shop.wire.plan()
    shop.run()
    told.send()
    assert (UPDATED, "draft.sync_failed") in told.receiver.told
    failed = next(each.json["data"] for each in told.receiver.received if each.told[1] == "draft.sync_failed")
    assert failed["failed"] is True
    assert failed["issues"] == ["refused"]


def test_a_retry_of_a_payment_is_told_although_a_user_asked_for_it(telling: OpenTelling):
    told = telling(draft=False, issuing=False)
    id = told.shop.submit()
    told.shop.clock.advance(timedelta(minutes=1))
    told.shop.ns.invoices.payment_status(id, "payment_failed")
    told.shop.clock.advance(timedelta(minutes=1))
    told.shop.ns.invoices.retry(id)
    told.send()
    assert told.receiver.told[-2:] == [
        (UPDATED, "payment_processing.failed"),
        (UPDATED, "payment_processing.pending"),
    ]


def test_the_creation_is_told_once_however_often_the_draft_is_submitted(telling: OpenTelling):
    told = telling()
    draft = told.shop.draft()
    for _ in range(3):
        told.shop.ns.invoices.submit(draft)
    told.send()
    assert [type for type, _ in told.receiver.told].count(CREATED) == 1


def test_what_is_rolled_back_is_not_told(telling: OpenTelling):
    told = telling()
    good, bad = told.shop.draft(), told.shop.draft(customer_key="nobody")
    with pytest.raises(Exception, match="nobody"):
        told.shop.ns.invoices.submit_many([good, bad])
    assert told.shop.rows(schema.notification_event) == []
    told.send()
    assert told.receiver.received == []


def test_what_a_host_submits_in_its_own_transaction_is_told_with_it(telling_anywhere: OpenTelling):
    told = telling_anywhere()
    engine = told.shop.engine
    with engine.database.backend.engine.connect() as connection:
        begin = "BEGIN IMMEDIATE" if engine.database.dialect == "sqlite" else "BEGIN"
        connection.exec_driver_sql(begin) if engine.database.dialect == "sqlite" else connection.begin()
        with engine.bind(connection, told.shop.namespace) as bound:
            bound.invoices.submit(told.shop.draft())
        connection.rollback()
        assert told.shop.rows(schema.notification_event) == []
        connection.exec_driver_sql(begin) if engine.database.dialect == "sqlite" else connection.begin()
        with engine.bind(connection, told.shop.namespace) as bound:
            bound.invoices.submit(told.shop.draft())
        connection.commit()
    told.send()
    assert told.receiver.told[-1] == (CREATED, "draft.syncing")


def test_a_rule_that_is_not_in_force_tells_nothing(telling: OpenTelling):
    told = telling()
    created, updated = told.rules
    told.notifications.rules.update(created.id, disabled=True)
    told.notifications.rules.delete(updated.id)
    told.shop.submit()
    told.send()
    assert told.receiver.received == []


def test_each_rule_tells_its_own_event(telling: OpenTelling):
    told = telling()
    told.a_rule(CREATED)
    told.shop.submit()
    told.send()
    creations = [each for each in told.receiver.received if each.told[0] == CREATED]
    assert len(creations) == len({each.id for each in creations}) == 2
    assert all(each.json["id"] == each.id for each in creations)


def test_another_namespace_hears_nothing(telling: OpenTelling):
    told = telling()
    other = told.shop.engine.namespace("other")
    assert other.notifications.channels.list().items == ()
    assert other.notifications.events.list().items == ()
    told.shop.submit()
    assert other.notifications.events.list().total_count == 0


def test_erasing_a_customer_erases_what_is_told_later(telling: OpenTelling):
    told = telling(draft=False, issuing=False)
    id = told.shop.submit()
    told.shop.ns.invoices.payment_status(id, "paid")
    customer_id = told.shop.get(id).invoice.customer_id
    told.shop.ns.erase_customer(customer_id)
    snapshot = told.notifications.events.list().items[0].snapshot
    assert "Jane" not in snapshot.details.invoice.content.customer.name
