"""A host that submits invoices in a transaction of its own."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import psycopg
import pytest
import sqlalchemy as sa
from engine_kit import Shop, a_provider, careful_draft, copy_of

from billhook.engine.engine import Engine
from billhook.errors import InvalidInput, KeyReused, NotFound, StaleWrite, StoreError
from billhook.providers.custom_invoicing import provider as custom_invoicing

OpenShop = Callable[..., Shop]
READY = "draft.ready_to_issue"
PENDING = "payment_processing.pending"


@contextmanager
def host(shop: Shop) -> Iterator[Any]:
    """A connection of the host's own, in a transaction of the host's own."""
    connection = psycopg.connect(shop.url) if "://" in shop.url else sqlite3.connect(shop.url)
    with closing(connection):
        yield connection


def test_what_the_host_commits_goes_on_after_the_commit(a_shop_anywhere: OpenShop):
    shop = a_shop_anywhere(custom_invoicing)
    with host(shop) as connection:
        with shop.engine.bind(connection, "acme") as bound:
            view = bound.invoices.submit(shop.draft())
        assert (view.status, view.number) == (READY, "DRAFT-JADO-1")
        assert shop.ns.invoices.list().items == ()
        connection.commit()
    assert shop.status(view.id) == READY
    shop.engine.wake()
    shop.run()
    details = shop.get(view.id)
    assert (details.status, details.invoice.number) == (PENDING, "INV-JADO-1")


def test_what_the_host_rolls_back_never_was(a_shop_anywhere: OpenShop):
    shop = a_shop_anywhere()
    before = shop.counts()
    with host(shop) as connection:
        with shop.engine.bind(connection, "acme") as bound:
            bound.invoices.submit(shop.draft())
            bound.invoices.submit(shop.draft())
        connection.rollback()
    shop.run()
    after = {table: count for table, count in shop.counts().items() if table != "billhook_sequence"}
    assert after == {table: count for table, count in before.items() if table != "billhook_sequence"}
    assert shop.wire.sent == []


def test_a_rolled_back_submission_leaves_no_gap_in_the_final_numbers(a_shop_anywhere: OpenShop):
    shop = a_shop_anywhere(custom_invoicing)
    with host(shop) as connection:
        with shop.engine.bind(connection, "acme") as bound:
            bound.invoices.submit(shop.draft())
        connection.rollback()
    numbers = [shop.ns.invoices.submit(shop.draft()).number for _ in range(2)]
    assert numbers == ["INV-JADO-1", "INV-JADO-2"]


def test_nothing_is_sent_before_the_host_commits(a_shop: OpenShop):
    shop = a_shop()
    with host(shop) as connection:
        with shop.engine.bind(connection, "acme") as bound:
            view = bound.invoices.submit(shop.draft())
            assert bound.invoices.get(view.id).status == "draft.syncing"
        assert shop.wire.sent == []
        connection.commit()
    shop.run()
    assert shop.status(view.id) == PENDING
    assert shop.books.references == [view.id]


def test_without_a_wake_the_sweep_finds_what_was_committed(a_shop: OpenShop):
    shop = a_shop()
    with host(shop) as connection:
        with shop.engine.bind(connection, "acme") as bound:
            view = bound.invoices.submit(shop.draft())
        connection.commit()
    shop.restart()
    shop.run()
    assert shop.status(view.id) == PENDING


def test_a_connection_to_another_database_is_refused_before_anything_is_written(
    a_shop: OpenShop, file_template: Path, tmp_path: Path
):
    shop = a_shop()
    other = copy_of(file_template, tmp_path / "other.db")
    before = shop.counts()
    with (
        closing(sqlite3.connect(other)) as connection,
        pytest.raises(StoreError),
        shop.engine.bind(connection, "acme") as bound,
    ):
        bound.invoices.submit(shop.draft())
    assert shop.counts() == before


def test_a_refused_draft_leaves_the_hosts_transaction_as_it_was(a_shop_anywhere: OpenShop):
    shop = a_shop_anywhere()
    with host(shop) as connection:
        with shop.engine.bind(connection, "acme") as bound:
            with pytest.raises(InvalidInput):
                bound.invoices.submit(shop.draft(currency="XXY"))
            with pytest.raises(NotFound):
                bound.invoices.submit(shop.draft(customer_key="nobody"))
            kept = bound.invoices.submit(shop.draft())
        connection.commit()
    assert [view.id for view in shop.ns.invoices.list().items] == [kept.id]


def test_keys_count_in_the_hosts_transaction_too(a_shop_anywhere: OpenShop):
    shop = a_shop_anywhere()
    draft = shop.draft()
    before = shop.ns.invoices.submit(draft)
    with host(shop) as connection:
        with shop.engine.bind(connection, "acme") as bound:
            assert bound.invoices.submit(draft).id == before.id
            with pytest.raises(KeyReused):
                bound.invoices.submit({**draft, "description": "other"})
        connection.commit()
    assert len(shop.ns.invoices.list().items) == 1


def test_a_namespace_is_as_closed_in_the_hosts_transaction(a_shop: OpenShop):
    shop = a_shop()
    id = shop.submit()
    with host(shop) as connection, shop.engine.bind(connection, "other") as bound, pytest.raises(NotFound):
        bound.invoices.get(id)


def test_an_invoice_can_be_approved_in_the_hosts_transaction_and_is_issued_after_it(a_shop_anywhere: OpenShop):
    shop = a_shop_anywhere(workflow={"auto_advance": False})
    id = shop.submit()
    shop.run()
    with host(shop) as connection:
        with shop.engine.bind(connection, "acme") as bound:
            assert bound.invoices.approve(id).status == READY
        connection.commit()
    shop.engine.wake()
    shop.run()
    assert shop.status(id) == PENDING


def test_a_draft_that_waits_for_its_host_can_be_edited(a_shop: OpenShop):
    shop = a_shop(custom_invoicing)
    with host(shop) as connection:
        with shop.engine.bind(connection, "acme") as bound:
            view = bound.invoices.submit(shop.draft())
            bound.invoices.update(view.id, {"description": "second thoughts"})
            assert bound.invoices.get(view.id).status == READY
        connection.commit()
    shop.run()
    details = shop.get(view.id)
    assert (details.status, details.invoice.revision) == (PENDING, 2)


def test_many_invoices_of_one_host_transaction_are_all_there(a_shop_anywhere: OpenShop):
    shop = a_shop_anywhere(a_provider(sync_draft=careful_draft))
    with host(shop) as connection:
        with shop.engine.bind(connection, "acme") as bound:
            ids = bound.invoices.submit_many([shop.draft() for _ in range(20)])
        connection.commit()
    shop.engine.wake()
    shop.run()
    assert {shop.status(id) for id in ids} == {PENDING}
    numbers = {shop.get(id).invoice.number for id in ids}
    assert numbers == {f"INV-JADO-{number}" for number in range(1, 21)}


@pytest.mark.parametrize("isolation", psycopg.IsolationLevel)
def test_two_hosts_that_submit_under_one_key_at_once_make_one_invoice(
    shop_on: OpenShop, postgres_server, database_template: str, isolation: psycopg.IsolationLevel
):
    shop = shop_on(postgres_server.create(database_template), custom_invoicing)
    draft = shop.draft()

    def submit(connection: psycopg.Connection) -> str:
        with shop.engine.bind(connection, "acme") as bound:
            return bound.invoices.submit(draft).id

    with closing(psycopg.connect(shop.url)) as first, closing(psycopg.connect(shop.url)) as second:
        second.isolation_level = isolation
        second.execute("SELECT 1 FROM billhook_invoice").fetchall()
        id = submit(first)
        with ThreadPoolExecutor(1) as thread:
            waiting = thread.submit(submit, second)
            with pytest.raises(TimeoutError):
                waiting.result(0.5)
            first.commit()
            if isolation <= psycopg.IsolationLevel.READ_COMMITTED:
                assert waiting.result(10) == id
            else:
                with pytest.raises(StaleWrite, match="Roll it back and run it again"):
                    waiting.result(10)
    assert [view.id for view in shop.ns.invoices.list().items] == [id]


def test_an_edit_that_the_host_rolls_back_is_forgotten(a_shop_anywhere: OpenShop):
    shop = a_shop_anywhere(custom_invoicing, workflow={"auto_advance": False})
    id = shop.submit()
    with host(shop) as connection:
        with shop.engine.bind(connection, "acme") as bound:
            bound.invoices.update(id, {"lines": [priced("99.00")]})
            assert bound.invoices.get(id).invoice.content.totals.total == Decimal("99.00")
        connection.rollback()
    shop.ns.invoices.update(id, {"lines": [priced("5.00")]})
    shop.ns.invoices.approve(id)
    shop.run()
    invoice = shop.get(id).invoice
    assert (invoice.content.totals.total, invoice.amount_due) == (Decimal("5.00"), Decimal("5.00"))


def test_what_the_host_takes_back_to_a_savepoint_is_forgotten(a_shop_anywhere: OpenShop):
    shop = a_shop_anywhere(custom_invoicing, workflow={"auto_advance": False})
    id = shop.submit()
    with host(shop) as connection:
        with shop.engine.bind(connection, "acme") as bound:
            connection.execute("SAVEPOINT nested")
            bound.invoices.update(id, {"lines": [priced("99.00")]})
            connection.execute("ROLLBACK TO SAVEPOINT nested")
        connection.commit()
    shop.engine.wake(bound)
    with Engine.open(shop.url, catalog=shop.engine.catalog, clock=shop.clock) as elsewhere:
        elsewhere.namespace("acme").invoices.update(id, {"lines": [priced("5.00")]})
    assert shop.get(id).invoice.amount_due == Decimal("5.00")


@pytest.mark.parametrize("wakes", [True, False])
def test_no_draft_number_is_given_twice_after_a_savepoint(a_shop_anywhere: OpenShop, wakes: bool):
    shop = a_shop_anywhere(custom_invoicing, workflow={"auto_advance": False})
    with host(shop) as connection:
        with shop.engine.bind(connection, "acme") as bound:
            connection.execute("SAVEPOINT nested")
            bound.invoices.submit(shop.draft())
            connection.execute("ROLLBACK TO SAVEPOINT nested")
            numbers = [bound.invoices.submit(shop.draft()).number]
        connection.commit()
    if wakes:
        shop.engine.wake(bound)
    numbers += [shop.ns.invoices.submit(shop.draft()).number for _ in range(4)]
    shop.restart()
    numbers += [shop.ns.invoices.submit(shop.draft()).number for _ in range(4)]
    assert len({*numbers}) == len(numbers)


def test_what_was_bound_is_refused_once_the_block_is_over(a_shop_anywhere: OpenShop):
    shop = a_shop_anywhere(custom_invoicing)
    with sqlalchemy_host(shop) as connection:
        with connection.begin(), shop.engine.bind(connection, "acme") as bound:
            kept = bound.invoices.submit(shop.draft())
        for ask in (lambda: bound.invoices.submit(shop.draft()), lambda: bound.invoices.get(kept.id)):
            with pytest.raises(StoreError, match="is over"):
                ask()
    assert [view.id for view in shop.ns.invoices.list().items] == [kept.id]


def test_what_is_asked_after_the_hosts_commit_is_refused(a_shop_anywhere: OpenShop):
    shop = a_shop_anywhere(custom_invoicing)
    with host(shop) as connection, shop.engine.bind(connection, "acme") as bound:
        kept = bound.invoices.submit(shop.draft())
        connection.commit()
        with pytest.raises(StoreError, match="in no transaction"):
            bound.invoices.submit(shop.draft())
        connection.commit()
    assert [view.id for view in shop.ns.invoices.list().items] == [kept.id]


def test_a_tenants_number_is_no_name(a_shop_anywhere: OpenShop):
    shop, number = a_shop_anywhere(), cast("str", 7)
    with pytest.raises(InvalidInput, match="has to be str"):
        shop.engine.namespace(number)
    with (
        host(shop) as connection,
        pytest.raises(InvalidInput, match="has to be str"),
        shop.engine.bind(connection, number),
    ):
        pass


@contextmanager
def sqlalchemy_host(shop: Shop) -> Iterator[sa.Connection]:
    address = (
        f"sqlite:///{shop.url}" if "://" not in shop.url else shop.url.replace("postgresql:", "postgresql+psycopg:")
    )
    with closing_engine(sa.create_engine(address)) as engine, engine.connect() as connection:
        yield connection


@contextmanager
def closing_engine(engine: sa.Engine) -> Iterator[sa.Engine]:
    yield engine
    engine.dispose()


def priced(amount: str) -> dict[str, Any]:
    return {"name": "Order", "price": {"type": "flat", "amount": amount}}
