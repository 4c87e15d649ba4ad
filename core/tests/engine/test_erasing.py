from __future__ import annotations

import pytest
import sqlalchemy as sa
from engine_kit import a_provider, careful_draft, lost_after, plain_draft
from money_kit import a_look_at_a_payment, an_undecided_payment, paths
from sandbox_shop import open_sandbox_shop

from billhook.domain.party import Address
from billhook.engine.scrub import MARKER
from billhook.engine.timeline import rebuilt_state
from billhook.errors import InUse, NotFound
from billhook.store import schema

SECRETS = ("Jane Doe", "jane@doe.example", "DE123456789", "Elm Street", "jane-2")
NOT_IN_EVENTS = {"id", "namespace", "version"}


@pytest.fixture
def here(a_shop_anywhere):
    here = open_sandbox_shop(a_shop_anywhere)
    address = Address(country="DE", city="Berlin", line1="Elm Street 13")
    here.shop.ns.customers.update(
        "jane", addresses=[address], description="Sells in Elm Street", metadata={"ref": "jane-2"}, key="jane-2"
    )
    return here


def draft(**changes):
    return {"customer_key": "jane-2", **changes}


def everything(shop) -> str:
    """Every text and every body in the database."""
    with shop.engine.database.read() as tx:
        rows = [row for table in schema.metadata.sorted_tables for row in tx.all(sa.select(table))]
    return "\n".join(
        value.decode("utf-8", "replace") if isinstance(value, bytes) else value
        for row in rows
        for value in row
        if isinstance(value, str | bytes)
    )


def test_nothing_names_the_customer_any_more(here):
    shop = here.shop
    invoice = shop.submit(**draft())
    shop.run()
    credit = {"type": "credit_note", "credited_invoice_id": invoice, "key": "credit", "customer_key": "jane-2"}
    shop.ns.credit_notes.submit(shop.draft(**credit))
    shop.run()
    assert all(secret in everything(shop) for secret in SECRETS)
    result = shop.ns.erase_customer(here.customer_id)
    assert (result.invoices, result.credit_notes) == (1, 1)
    assert result.operations > 0
    assert [secret for secret in SECRETS if secret in everything(shop)] == []


def test_amounts_lines_and_numbers_stay(here):
    shop = here.shop
    invoice = shop.submit(**draft())
    shop.run()
    before = shop.get(invoice).invoice
    shop.ns.erase_customer(here.customer_id)
    after = shop.get(invoice).invoice
    assert after.customer.name == MARKER
    assert (after.number, after.totals, after.lines) == (before.number, before.totals, before.lines)
    assert (after.status, after.amount_paid) == (before.status, before.amount_paid)


def test_the_erasure_is_in_the_timeline_and_the_events_still_rebuild_the_row(here):
    shop = here.shop
    invoice = shop.submit(**draft())
    shop.run()
    shop.turn(60)
    shop.ns.erase_customer(here.customer_id)
    assert shop.causes(invoice)[-1] == "erased"
    assert shop.ns.invoices.timeline(invoice)[-1].summary == "Personal data of the customer were erased."
    with shop.engine.database.read() as tx:
        rebuilt = rebuilt_state(shop.engine.context, tx, shop.namespace, invoice)
    (row,) = shop.rows(schema.invoice, id=invoice)
    stored = {name: value for name, value in row.items() if value is not None and name not in NOT_IN_EVENTS}
    assert {name: value for name, value in rebuilt.items() if value is not None} == stored


def test_it_is_refused_while_an_invoice_is_open(here):
    shop = here.shop
    invoice = shop.submit(**draft(workflow={"auto_advance": False}))
    shop.run()
    with pytest.raises(InUse, match=invoice):
        shop.ns.erase_customer(here.customer_id)
    assert "Jane Doe" in everything(shop)
    assert shop.ns.customers.get(here.customer_id).name == "Jane Doe"


def test_it_is_refused_while_something_is_being_done_for_a_finished_invoice(here):
    shop = here.shop
    invoice = shop.submit(**draft(workflow={"collection_method": "send_invoice"}))
    shop.run()
    shop.ns.invoices.record_payment(invoice, "10.00")
    with pytest.raises(InUse, match="record_payment"):
        shop.ns.erase_customer(here.customer_id)
    shop.run()
    shop.ns.erase_customer(here.customer_id)


def test_it_is_refused_while_an_outcome_is_in_doubt(a_shop_anywhere):
    shop = a_shop_anywhere(a_provider(sync_draft=plain_draft))
    shop.submit()
    shop.wire.plan(lost_after)
    shop.run()
    with pytest.raises(InUse):
        shop.ns.erase_customer(shop.ns.customers.get("jane").id)


def test_the_journal_keeps_digests_and_statuses(here):
    shop = here.shop
    shop.submit(**draft())
    shop.run()
    kept = ("id", "digest", "status", "verdict", "reply_status")
    before = [{name: attempt[name] for name in kept} for attempt in shop.attempts()]
    shop.ns.erase_customer(here.customer_id)
    assert [{name: attempt[name] for name in kept} for attempt in shop.attempts()] == before
    assert not any(attempt["body"] for attempt in shop.attempts())


def test_the_customer_is_gone_but_readable_by_its_id(here):
    shop = here.shop
    shop.submit(**draft())
    shop.run()
    result = shop.ns.erase_customer(here.customer_id)
    customer = shop.ns.customers.get(here.customer_id)
    assert (customer.name, customer.key, customer.party.email, dict(customer.metadata)) == (MARKER, None, None, {})
    assert customer.deleted_at is not None
    assert result.remote_customers[here.app_id] == here.sandbox.customers()[0].id
    with pytest.raises(NotFound):
        shop.ns.customers.get("jane-2")


def test_erasing_again_changes_nothing(here):
    shop = here.shop
    invoice = shop.submit(**draft())
    shop.run()
    shop.ns.erase_customer(here.customer_id)
    events = shop.causes(invoice)
    again = shop.ns.erase_customer(here.customer_id)
    assert (again.invoices, again.operations) == (0, 0)
    assert shop.causes(invoice) == events


def test_an_erasure_that_was_interrupted_is_finished_the_next_time(here, monkeypatch):
    shop = here.shop
    invoices = [shop.submit(**draft()) for _ in range(3)]
    shop.run()
    monkeypatch.setattr("billhook.engine.erase.CHUNK", 1)
    write, left = shop.engine.database.write, iter(range(6))

    def dies_midway(job):
        if next(left, None) is None:
            raise KeyboardInterrupt
        return write(job)

    monkeypatch.setattr(shop.engine.database, "write", dies_midway)
    with pytest.raises(KeyboardInterrupt):
        shop.ns.erase_customer(here.customer_id)
    monkeypatch.setattr(shop.engine.database, "write", write)
    shop.ns.erase_customer(here.customer_id)
    assert [secret for secret in SECRETS if secret in everything(shop)] == []
    assert all(shop.causes(invoice).count("erased") == 1 for invoice in invoices)


def test_notes_and_messages_lose_the_name_too(here):
    shop = here.shop
    invoice = shop.submit(**draft())
    shop.run()
    (payment,) = shop.get(invoice).payments
    shop.ns.refunds.refund(payment.id, "4.00", reason="jane doe, Elm Street 13, asked for it")
    shop.run()
    shop.ns.erase_customer(here.customer_id)
    assert [refund["reason"] for refund in shop.rows(schema.refund)] == [f"{MARKER}, {MARKER}, asked for it"]
    assert "jane doe" not in everything(shop).lower()


def test_an_older_name_is_found_in_the_documents_that_show_it(here):
    shop = here.shop
    invoice = shop.submit(**draft())
    shop.run()
    (payment,) = shop.get(invoice).payments
    shop.ns.refunds.refund(payment.id, "4.00", reason="Jane Doe asked for it")
    shop.ns.customers.update("jane-2", name="Jane Roe")
    shop.run()
    shop.ns.erase_customer(here.customer_id)
    assert "Jane Doe" not in everything(shop)


def test_descriptions_that_carry_the_name_lose_it(a_shop_anywhere):
    shop = a_shop_anywhere()
    rule = {"name": "all", "then": {"account": "4000", "description": "{name} for {customer_name}"}}
    shop.ns.apps.update(shop.app.id, mapping={"rules": [rule]})
    invoice = shop.submit()
    shop.run()
    shop.ns.invoices.record_payment(invoice, "10.00")
    shop.ns.erase_customer(shop.ns.customers.get("jane").id)
    (mapping,) = shop.rows(schema.document_mapping, document_id=invoice)
    assert f"Work for {MARKER}" in mapping["lines"].decode()


def test_what_webhooks_told_of_it_goes(here):
    shop = here.shop
    invoice = shop.submit(**draft())
    shop.run()
    (payment,) = shop.get(invoice).payments
    told = {"app_id": here.app_id, "kind": "payment", "external_id": "x", "type": "paid", "received_at": 0}
    about = {**told, "event_id": "1", "state": "worked", "matched_id": payment.id, "details": '{"payer":"Jane Doe"}'}
    shop.engine.database.write(lambda tx: tx.execute(schema.inbox.insert().values(**about)))
    shop.ns.erase_customer(here.customer_id)
    assert [event["details"] for event in shop.rows(schema.inbox)] == ["{}"]


def test_others_keep_their_names(here):
    shop = here.shop
    other = shop.ns.customers.create("Ada Lovelace", key="ada")
    theirs = shop.submit(customer_key="ada")
    shop.submit(**draft())
    shop.run()
    shop.ns.erase_customer(here.customer_id)
    assert shop.get(theirs).invoice.customer.name == "Ada Lovelace"
    assert shop.ns.customers.get(other.id).name == "Ada Lovelace"
    assert "erased" not in shop.causes(theirs)


def test_no_erasure_crosses_a_namespace(here):
    with pytest.raises(NotFound):
        here.shop.engine.namespace("other").erase_customer(here.customer_id)


def test_a_payer_who_is_waited_for_no_more_is_erased_and_not_looked_for_again(a_shop_anywhere):
    hooks = {"collect_payment": an_undecided_payment, "check_payment": a_look_at_a_payment(["action_required"] * 9)}
    shop = a_shop_anywhere(a_provider(sync_draft=careful_draft, **hooks))
    id, jane = shop.submit(), shop.ns.customers.get("jane").id
    shop.run()
    with pytest.raises(InUse, match="invoice"):
        shop.ns.erase_customer(jane)
    shop.run_for(3600)
    assert paths(shop).count("check") == 1
    shop.ns.invoices.record_payment(id, "10.00", key="by-bank")
    shop.ns.erase_customer(jane)
    shop.run_for(40 * 24 * 3600)
    assert (shop.status(id), paths(shop).count("check")) == ("paid", 1)
