"""Two processes on one PostgreSQL database, met at the worst moment: one commits between another's look and its own commit."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa
from engine_kit import Shop, a_provider, answers, careful_draft, documents, open_shop, put, repeat
from money_kit import a_refunding_shop, an_issued_invoice

from billhook.contract import Batch, CustomerResult, Done, MappedLine, RemovalResult
from billhook.engine import leases, open_payments, refund_commands, round as round_
from billhook.errors import InvalidInput, NotAllowed
from billhook.store import schema
from billhook.store.transaction import Transaction
from billhook.testing.invariants import problems_of
from billhook.testing.postgres import PostgresServer

PENDING = "payment_processing.pending"
PATIENCE_SECONDS = 5


@pytest.fixture
def shared_url(postgres_server: PostgresServer, database_template: str) -> Iterator[str]:
    """A PostgreSQL database that several processes may open."""
    url = postgres_server.create(database_template)
    yield url
    postgres_server.drop(url)


class Second:
    """Another process on the shop's database: its own engine, writer and caches."""

    def __init__(self, shop: Shop) -> None:
        self.shop = open_shop(shop.url, *shop.providers, ready=False)
        self.shop.engine.close()
        self.shop.clock, self.shop.books, self.shop.wire = shop.clock, shop.books, shop.wire
        self.shop.restart()
        self.thread: threading.Thread | None = None

    def begin(self, act: Callable[[], Any]) -> None:
        """Do it in a thread, and wait until it is done or stands in line for a lock."""
        self.thread = threading.Thread(target=act)
        self.thread.start()
        until = time.monotonic() + PATIENCE_SECONDS
        while self.thread.is_alive() and not self._stands_in_line() and time.monotonic() < until:
            time.sleep(0.005)

    def _stands_in_line(self) -> bool:
        with self.shop.engine.database.read() as tx:
            waiting = (
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            return bool(tx.scalar(sa.text(waiting)))

    def close(self) -> None:
        if self.thread is not None:
            self.thread.join(PATIENCE_SECONDS)
        self.shop.close()


@pytest.fixture
def meeting(shared_url: str, shop_on: Callable[..., Shop], monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Opens a shop and a second process, and lets the second act once inside the first one's commit, at that place."""
    opened: list[Second] = []

    def meet(provider: Any, place: str, act: Callable[[Shop, Shop], Any], *, prepare: Callable[[Shop], Any]) -> Shop:
        shop = shop_on(shared_url, provider)
        prepare(shop)
        second = Second(shop)
        opened.append(second)
        whole = getattr(round_.Round, place)

        def interrupted(self: Any, *arguments: Any) -> Any:
            given = whole(self, *arguments)
            if second.thread is None:
                second.begin(lambda: act(shop, second.shop))
            return given

        monkeypatch.setattr(round_.Round, place, interrupted)
        # Whoever stood in line has its turn before anything is sent.
        shop.wire.before_each = lambda request: second.thread and second.thread.join(PATIENCE_SECONDS)
        shop.run()
        second.thread.join(PATIENCE_SECONDS)
        shop.run_for(600)
        return shop

    yield meet
    for second in opened:
        second.close()


def steal(shop: Shop, other: Shop) -> None:
    lease = schema.app_lease
    other.engine.database.write(
        lambda tx: tx.execute(
            sa.update(lease).values(owner="somebody", fence=lease.c.fence + 1, expires_at=2**62, next_due=2**62)
        )
    )


def test_a_lease_that_is_stolen_before_the_commit_lets_nothing_of_it_be_sent(meeting: Any):
    shop = meeting(a_provider(sync_draft=careful_draft), "_stale", steal, prepare=lambda shop: shop.submit())
    assert [row["fence"] for row in shop.rows(schema.app_lease)] >= [3]
    assert len(shop.wire.sent) == len(shop.books.documents) == 1
    assert [row["sends"] for row in shop.rows(schema.attempt)] == [1]


def test_work_that_comes_while_an_app_is_given_back_is_not_forgotten(
    shared_url: str, shop_on: Callable[..., Shop], monkeypatch: pytest.MonkeyPatch
):
    shop = shop_on(shared_url, a_provider(sync_draft=careful_draft))
    shop.submit()
    second = Second(shop)
    whole = leases.next_due

    def interrupted(tx: Transaction, app_id: str, shut: Iterable[str]) -> leases.NextDue:
        given = whole(tx, app_id, shut)
        if not any(given) and second.thread is None:
            second.begin(lambda: second.shop.submit(key="later"))
        return given

    monkeypatch.setattr(leases, "next_due", interrupted)
    shop.run()
    assert second.thread is not None
    second.close()
    shop.run()
    assert [row["state"] for row in shop.rows(schema.invoice)] == [PENDING, PENDING]


def test_what_another_process_changes_while_everything_is_retried_is_looked_at_again(
    shared_url: str, shop_on: Callable[..., Shop]
):
    meanwhile: list[Callable[[], Any]] = []

    def map_line(self: Any, line: Any, invoice: Any, settings: Any) -> MappedLine:
        if meanwhile:
            meanwhile.pop()()  # between the look at an invoice and the writing of its retry
        return MappedLine(line_id=line.id, description=line.name, rule="usual", account="sales")

    shop = shop_on(shared_url, a_provider(sync_draft=careful_draft, map_line=map_line))
    ids = [shop.submit(), shop.submit()]
    shop.books.refuses.update(ids)
    shop.run()
    shop.books.refuses.clear()
    second = Second(shop)
    # A retry maps twice. It is changed while it is tried together with the other, and again while it is tried by itself.
    meanwhile += [lambda: second.shop.ns.invoices.record_payment(ids[0], "1")] * 4
    retried = shop.ns.retry_failed()
    second.close()
    assert [(each.id, each.status, each.is_left) for each in retried] == [(id, "draft.syncing", False) for id in ids]
    assert [shop.causes(id).count("retry") for id in ids] == [1, 1]
    assert (meanwhile, shop.causes(ids[0]).count("payment.recorded")) == ([], 4)
    assert problems_of(shop.engine) == []


@pytest.fixture
def refunded_meanwhile(
    shared_url: str, shop_on: Callable[..., Shop], monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Shop, str, Callable[[str], list[str]]]]:
    """A shop with a payment over 10.00, and how another process refunds 6.00 of it while this one is about to refund some."""
    shop, _, payment_id = a_refunding_shop(partial(shop_on, shared_url))
    second, whole, given = Second(shop), refund_commands._opened, list[str]()

    def begin(key: str) -> list[str]:
        def interrupted(*arguments: Any) -> Any:
            opened = whole(*arguments)
            if second.thread is None:
                second.begin(lambda: given.append(second.shop.ns.refunds.refund(payment_id, "6", key=key)))
            return opened

        monkeypatch.setattr(refund_commands, "_opened", interrupted)
        return given

    yield shop, payment_id, begin
    second.close()


def test_a_refund_that_two_processes_are_asked_for_at_once_is_one_refund(refunded_meanwhile: Any):
    shop, payment_id, begin = refunded_meanwhile
    given = begin("once")
    assert [shop.ns.refunds.refund(payment_id, "6", key="once")] == given
    assert [row["amount"] for row in shop.rows(schema.refund)] == ["6"]


def test_of_two_refunds_at_once_that_are_more_than_was_paid_one_is_refused(refunded_meanwhile: Any):
    shop, payment_id, begin = refunded_meanwhile
    given = begin("theirs")
    with pytest.raises(InvalidInput, match=r"4\.00 of the payment is left"):
        shop.ns.refunds.refund(payment_id, "6", key="ours")
    assert [row["id"] for row in shop.rows(schema.refund)] == given


def test_an_invoice_of_which_somebody_begins_a_credit_note_is_not_made_void_at_that_moment(
    shared_url: str, shop_on: Callable[..., Shop], monkeypatch: pytest.MonkeyPatch
):
    def credit(self: Any, batch: Batch[Any, Any]) -> Any:
        reply = yield put("credit", batch, "credits", recover=(repeat(),))
        return documents(batch, reply)

    shop = shop_on(shared_url, a_provider(sync_draft=careful_draft, credit=credit))
    id = an_issued_invoice(shop)
    second, whole = Second(shop), open_payments.make_way
    line = {"name": "Back", "quantity": "1", "price": {"type": "unit", "amount": "3"}}
    note = shop.draft(type="credit_note", lines=[line], credited_invoice_id=id)

    def interrupted(*arguments: Any) -> Any:
        if second.thread is None:
            second.begin(lambda: second.shop.ns.credit_notes.submit(note))
        return whole(*arguments)

    monkeypatch.setattr(open_payments, "make_way", interrupted)
    with pytest.raises(NotAllowed) as refused:
        shop.ns.invoices.void(id)
    second.close()
    assert (refused.value.code, shop.status(id)) == ("credit_note_under_way", PENDING)
    assert [row["state"] for row in shop.rows(schema.credit_note)] == ["issuing"]


@pytest.mark.parametrize("place", ["_stale", "_write_attempts"])
def test_a_draft_that_is_deleted_while_its_sync_is_being_prepared_leaves_nothing_behind(meeting: Any, place: str):
    given: list[Any] = []

    def delete(shop: Shop, other: Shop) -> None:
        given.append(other.ns.invoices.delete(other.ns.invoices.list().items[0].id))

    def remove(self: Any, batch: Batch[Any, Any]) -> Any:
        yield put("remove", batch, "removed")
        return {batch.only.id: Done(RemovalResult())}

    provider = a_provider(sync_draft=careful_draft, delete=remove)
    shop = meeting(provider, place, delete, prepare=lambda shop: shop.submit())
    assert len(given) == 1
    (row,) = shop.rows(schema.invoice)
    assert row["state"] == "deleted"
    assert len(shop.wire.to("drafts")) == len(shop.wire.to("removed"))
    assert shop.rows(schema.work) == []


@pytest.mark.parametrize("place", ["_stale", "_write_attempts"])
def test_an_edit_while_its_sync_is_being_prepared_is_what_is_sent_in_the_end(meeting: Any, place: str):
    def edit(shop: Shop, other: Shop) -> None:
        other.ns.invoices.update(other.ns.invoices.list().items[0].id, {"description": "better"})

    shop = meeting(a_provider(sync_draft=careful_draft), place, edit, prepare=lambda shop: shop.submit())
    (row,) = shop.rows(schema.invoice)
    assert (row["state"], row["revision"], row["synced_revision"]) == (PENDING, 2, 2)


@pytest.mark.parametrize("place", ["_stale", "_write_attempts"])
def test_an_invoice_submitted_while_its_customer_is_being_brought_makes_no_second_contact(meeting: Any, place: str):
    def sync_customer(self: Any, batch: Batch[Any, Any]) -> Any:
        reply = yield put("customer", batch, "customers", recover=(repeat(),))
        return {item["ref"]: Done(CustomerResult(item["id"])) for item in reply.json()["items"]}

    def submit(shop: Shop, other: Shop) -> None:
        other.submit(key="second")

    provider = a_provider(sync_draft=careful_draft, sync_customer=sync_customer)
    shop = meeting(provider, place, submit, prepare=lambda shop: shop.submit())
    assert len(shop.wire.to("customers")) == 1
    assert [row["state"] for row in shop.rows(schema.invoice)] == [PENDING, PENDING]


@pytest.mark.parametrize("place", ["_stale", "_write_attempts"])
def test_a_customer_edited_while_it_is_being_brought_is_not_made_twice(meeting: Any, place: str):
    def sync_customer(self: Any, batch: Batch[Any, Any]) -> Any:
        if batch.only.external_id is not None:
            yield put("change", batch, "changes", recover=(repeat(),))
            return {batch.only.id: Done(CustomerResult(batch.only.external_id))}
        reply = yield put("customer", batch, "customers", recover=(repeat(),))
        return {item["ref"]: Done(CustomerResult(item["id"])) for item in reply.json()["items"]}

    def rename(shop: Shop, other: Shop) -> None:
        other.ns.customers.update("jane", name="Jane Smith")

    provider = a_provider(sync_draft=careful_draft, sync_customer=sync_customer)
    shop = meeting(provider, place, rename, prepare=lambda shop: shop.submit())
    assert len(shop.wire.to("customers")) == 1


@pytest.mark.parametrize("place", ["_given_up", "_write_attempts"])
def test_an_edit_of_what_is_being_sent_again_does_not_set_it_free(meeting: Any, place: str):
    def edit(shop: Shop, other: Shop) -> None:
        other.ns.invoices.update(other.ns.invoices.list().items[0].id, {"description": "better"})

    def refuse_once(shop: Shop) -> None:
        shop.submit()
        shop.wire.plan(answers(429, retry_after="1"))
        shop.run()
        shop.turn(0.5)
        shop.clock.advance(timedelta(seconds=1))

    shop = meeting(a_provider(sync_draft=careful_draft), place, edit, prepare=refuse_once)
    (row,) = shop.rows(schema.invoice)
    assert (row["state"], row["revision"], row["synced_revision"]) == (PENDING, 2, 2)
    assert len(shop.books.documents) <= 2
    claimed = [work for work in shop.rows(schema.work) if work["state"] == 1]
    assert claimed == []
