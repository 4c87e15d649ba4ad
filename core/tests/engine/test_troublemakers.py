"""One bad invoice, one bad plugin, one bad app: everybody else goes on."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from email.utils import format_datetime
from typing import Any

import pytest
from engine_kit import (
    Shop,
    a_provider,
    answers,
    arrives,
    careful_draft,
    documents,
    issue_at_once,
    look_up,
    put,
)
from ledger_kit import Ledger, a_shop_with
from money_kit import a_note, an_issued_invoice, credit

from billhook.contract import Batch, OperationRules, Rejected, Request, hookimpl
from billhook.engine.standing import standing_of

OpenShop = Callable[..., Shop]
FIFTY = {"sync_draft": OperationRules(batch=50, atomic=False)}


def fails_on_odd_names(self: Any, batch: Batch[Any, Any]) -> Any:
    for item in batch.items:
        if item.invoice.content.description == "poison":
            raise UnicodeEncodeError("ascii", "ü", 0, 1, "can't encode")
    reply = yield put("put", batch, recover=(look_up(self, batch),))
    return documents(batch, reply)


def test_one_poisoned_invoice_of_fifty_stops_alone(a_shop_anywhere: OpenShop):
    shop = a_shop_anywhere(a_provider(sync_draft=fails_on_odd_names, rules=FIFTY))
    drafts = [shop.draft(description="poison" if number == 17 else None) for number in range(50)]
    ids = shop.ns.invoices.submit_many(drafts)
    shop.run()
    assert shop.status(ids[17]) == "draft.sync_failed"
    assert shop.issue_codes(ids[17]) == ["provider_fault"]
    assert {shop.status(id) for id in ids if id != ids[17]} == {"payment_processing.pending"}
    assert sorted(shop.books.references) == sorted(set(ids) - {ids[17]})


def test_an_invoice_that_the_provider_refuses_stops_alone(a_shop: OpenShop):
    shop = a_shop(a_provider(sync_draft=fails_on_odd_names, rules=FIFTY))
    ids = shop.ns.invoices.submit_many([shop.draft() for _ in range(5)])
    shop.books.refuses = {ids[2]}
    shop.run()
    assert [shop.status(id) for id in ids].count("draft.sync_failed") == 1
    assert shop.issue_codes(ids[2]) == ["refused"]
    assert len(shop.wire.sent) == 1
    shop.books.refuses = set()
    shop.ns.invoices.retry(ids[2])
    shop.run()
    assert shop.status(ids[2]) == "payment_processing.pending"


def test_a_mended_plugin_goes_on_with_what_it_spoilt(a_shop: OpenShop):
    shop = a_shop(a_provider(sync_draft=fails_on_odd_names, rules=FIFTY))
    id = shop.submit(description="poison")
    shop.run()
    shop.restart([a_provider(sync_draft=careful_draft)])
    shop.ns.invoices.retry(id)
    shop.run()
    assert shop.status(id) == "payment_processing.pending"


def two_customers(shop: Shop, other_type: str) -> None:
    other = shop.a_profile(shop.an_app(other_type), name="Other", is_default=False)
    ann = shop.ns.customers.create("Ann", key="ann")
    shop.ns.overrides.set(ann.id, profile_id=other.id)


def test_an_app_whose_plugin_is_gone_hinders_no_other(a_shop: OpenShop):
    healthy, doomed = a_provider(sync_draft=careful_draft), a_provider("ledger", sync_draft=careful_draft)
    shop = a_shop(healthy, doomed)
    two_customers(shop, "ledger")
    waiting, running = shop.submit(customer_key="ann"), shop.submit()
    shop.restart([healthy])
    shop.run()
    assert shop.status(running) == "payment_processing.pending"
    shop.run_for(3600)
    shop.restart([healthy, doomed])
    shop.run_for(3600)
    assert shop.status(waiting) == "payment_processing.pending"


def test_an_app_whose_settings_an_upgrade_no_longer_takes_hinders_no_other(a_shop: OpenShop):
    from pydantic import BaseModel, ConfigDict

    class Stricter(BaseModel):
        model_config = ConfigDict(frozen=True, extra="forbid")

        ledger: int

    healthy, other = a_provider(sync_draft=careful_draft), a_provider("ledger", sync_draft=careful_draft)
    shop = a_shop(healthy, other)
    two_customers(shop, "ledger")
    shop.ns.apps.update(shop.ns.apps.list().items[1].id, settings={"ledger": "main"})
    shop.submit(customer_key="ann")
    running = shop.submit()
    shop.restart([healthy, a_provider("ledger", sync_draft=careful_draft, settings=Stricter)])
    shop.run_for(600)
    assert shop.status(running) == "payment_processing.pending"


def test_a_validation_that_raises_stops_that_invoice_and_not_the_worker(a_shop: OpenShop):
    def validate_invoice(self: Any, invoice: Any, lines: Any, settings: Any) -> Any:
        if invoice.content.description == "poison":
            raise ZeroDivisionError
        return []

    def usage(shop: Shop, description: str | None) -> str:
        line = {"name": "Use", "quantity": "1", "price": {"type": "unit", "amount": "1"}}
        return shop.submit(description=description, lines=[line])

    shop = a_shop(a_provider(sync_draft=careful_draft, validate_invoice=validate_invoice))
    bad, good = usage(shop, "poison"), usage(shop, None)
    shop.run()
    assert shop.status(bad) == "draft.invalid"
    assert shop.issue_codes(bad) == ["provider_fault"]
    assert shop.status(good) == "payment_processing.pending"


def test_a_local_operation_that_raises_stops_that_invoice_and_not_the_worker(a_shop: OpenShop):
    def issue(self: Any, batch: Batch[Any, Any]) -> Any:
        if batch.only.invoice.content.description == "poison":
            raise ZeroDivisionError
        return issue_at_once(self, batch)

    local = {"issue": OperationRules(local=True)}
    shop = a_shop(a_provider(sync_draft=careful_draft, issue=issue, rules=local))
    bad, good = shop.submit(description="poison"), shop.submit()
    shop.run()
    assert shop.status(bad) == "issuing.failed"
    assert shop.issue_codes(bad) == ["provider_fault"]
    assert shop.status(good) == "payment_processing.pending"


def test_a_local_operation_that_forgets_its_item_stops_that_invoice(a_shop: OpenShop):
    local = {"issue": OperationRules(local=True)}
    shop = a_shop(a_provider(sync_draft=careful_draft, issue=lambda self, batch: {}, rules=local))
    id = shop.submit()
    shop.run()
    assert shop.status(id) == "issuing.failed"


def issue_by_request(self: Any, batch: Batch[Any, Any]) -> Any:
    reply = yield put("issue", batch, "issue")
    return documents(batch, reply)


def test_a_number_that_the_provider_does_not_take_stops_that_invoice_alone(a_shop: OpenShop):
    from billhook.contract import NumberRules

    def assign_number(self: Any, number: Any, settings: Any) -> str:
        return "X" * 40 if number.customer_key == "ann" else number.suggested

    provider = a_provider(
        sync_draft=careful_draft,
        issue=issue_by_request,
        assign_number=assign_number,
        numbers=NumberRules(max_length=20),
    )
    shop = a_shop(provider)
    shop.ns.customers.create("Ann", key="ann")
    bad, good = shop.submit(customer_key="ann"), shop.submit()
    shop.run()
    assert shop.status(bad) == "issuing.failed"
    assert "40 characters" in shop.get(bad).issues[0].message
    assert shop.status(good) == "payment_processing.pending"
    audit = shop.engine.numbers.audit("acme", "invoice")
    assert all(counter.is_whole for counter in audit.values())


def test_an_edit_does_not_wait_for_an_operation_that_only_looked(a_shop: OpenShop):
    def sync_draft(self: Any, batch: Batch[Any, Any]) -> Any:
        yield Request("look", "GET", "http://books/found?refs=x")
        if batch.only.invoice.content.description != "mended":
            raise ValueError("no description")
        reply = yield put("put", batch)
        return documents(batch, reply)

    shop = a_shop(a_provider(sync_draft=sync_draft))
    id = shop.submit()

    def edit(request: Any) -> None:
        shop.wire.before_each = None
        assert shop.ns.invoices.update(id, {"description": "mended"}).pending_command is None

    shop.wire.before_each = edit
    shop.run()
    assert shop.get(id).pending_command is None
    assert shop.status(id) == "payment_processing.pending"


def test_an_observer_that_raises_stops_nothing(a_shop: OpenShop):
    from billhook.plugins.observers import Observers

    told: list[str] = []

    class Spoilsport:
        @hookimpl
        def invoice_transitioned(self, event: Any) -> None:
            raise RuntimeError

        @hookimpl
        def operation_settled(self, event: Any) -> None:
            raise RuntimeError

    class Listener:
        @hookimpl
        def invoice_transitioned(self, event: Any) -> None:
            told.append(event.state)

        @hookimpl
        def operation_settled(self, event: Any) -> None:
            told.append(f"{event.operation} {event.outcome}")

    shop = a_shop(observers=Observers([Spoilsport(), Listener()]))
    id = shop.submit()
    shop.run()
    assert shop.status(id) == "payment_processing.pending"
    assert [each for each in told if " " not in each] == [
        "draft.validating",
        "draft.syncing",
        "issuing.syncing",
        "payment_processing.pending",
    ]
    assert sorted(each for each in told if " " in each) == ["issue done", "sync_draft done"]


def test_nobody_is_told_of_what_was_rolled_back(a_shop: OpenShop):
    from billhook.errors import InvalidInput
    from billhook.plugins.observers import Observers

    told: list[str] = []

    class Listener:
        @hookimpl
        def invoice_transitioned(self, event: Any) -> None:
            told.append(event.invoice_id)

    shop = a_shop(observers=Observers([Listener()]))
    with pytest.raises(InvalidInput):
        shop.ns.invoices.submit_many([shop.draft(), shop.draft(issued_at="2099-01-01T00:00:00Z")])
    assert told == []


def test_a_customer_whom_the_provider_refuses_stops_every_invoice_that_waits_for_it(a_shop: OpenShop):
    def sync_customer(self: Any, batch: Batch[Any, Any]) -> Any:
        reply = yield put("customer", batch, "customers")
        from billhook.contract import CustomerResult, Done

        return {
            item["ref"]: Rejected.because("name_taken", "The name is taken.")
            if "error" in item
            else Done(CustomerResult(item["id"]))
            for item in reply.json()["items"]
        }

    shop = a_shop(a_provider(sync_draft=careful_draft, sync_customer=sync_customer))
    jane = shop.ns.customers.get("jane").id
    shop.books.refuses = {jane}
    ids = [shop.submit(), shop.submit()]
    shop.run()
    assert [shop.status(id) for id in ids] == ["draft.sync_failed"] * 2
    assert "The name is taken." in shop.get(ids[0]).issues[0].message
    shop.books.refuses = set()
    for id in ids:
        shop.ns.invoices.retry(id)
    shop.run()
    assert [shop.status(id) for id in ids] == ["payment_processing.pending"] * 2
    assert shop.books.references.count(jane) == 1


def test_a_retry_after_that_is_a_date_is_waited_for(a_shop: OpenShop):
    shop = a_shop(a_provider(sync_draft=careful_draft))
    until = format_datetime(shop.clock.now() + timedelta(seconds=90), usegmt=True)
    shop.wire.plan(answers(429, retry_after=until), arrives)
    id = shop.submit()
    shop.run()
    shop.clock.advance(timedelta(seconds=88))
    shop.run()
    assert (shop.status(id), len(shop.wire.sent)) == ("draft.syncing", 1)
    shop.clock.advance(timedelta(seconds=3))
    shop.run()
    assert shop.status(id) == "payment_processing.pending"


@pytest.mark.parametrize(
    "until",
    [*("soon", "Mon, 99 Nov 2026 02:00:00 GMT", "GMT", "Mon, 23 Nov 2026"), f"Mon, 1 Jan {10**20} 00:00:00 GMT"],
)
def test_a_retry_after_that_nobody_can_read_is_a_minute(a_shop: OpenShop, until: str):
    shop = a_shop(a_provider(sync_draft=careful_draft))
    shop.wire.plan(answers(429, retry_after=until), arrives)
    id = shop.submit()
    shop.run()
    shop.clock.advance(timedelta(minutes=1))
    shop.run()
    assert shop.status(id) == "payment_processing.pending"


@pytest.mark.parametrize("told", ["0", "Sun, 06 Nov 1994 08:49:37 GMT"])
def test_a_retry_after_of_the_past_does_not_make_a_hammer_of_us(a_shop: OpenShop, told: str):
    shop = a_shop(a_provider(sync_draft=careful_draft))
    shop.wire.plan(answers(429, retry_after=told), answers(429, retry_after=told), arrives)
    shop.submit()
    for sent in (1, 2, 3):
        shop.run()
        assert len(shop.wire.sent) == sent
        shop.clock.advance(timedelta(seconds=1))


@pytest.mark.parametrize("seconds", [0, 1, 3600])
def test_a_bad_minute_of_one_app_leaves_the_other_its_pace(a_shop: OpenShop, seconds: int):
    shop = a_shop(a_provider(sync_draft=careful_draft), a_provider("ledger", sync_draft=careful_draft))
    two_customers(shop, "ledger")
    shop.wire.plan(answers(429, retry_after=str(seconds)), arrives)
    shop.submit()
    healthy = shop.submit(customer_key="ann")
    shop.run()
    assert shop.status(healthy) == "payment_processing.pending"
    shop.clock.advance(timedelta(seconds=seconds))


@pytest.mark.parametrize(
    "code, words", [("Card-Declined", "No."), ("x" * 200, "y" * 5000), ("refused", "a\x00b"), ("", "")]
)
def test_a_refusal_is_told_whatever_its_code_and_words_look_like(a_shop_anywhere: OpenShop, code: str, words: str):
    def sync_draft(self: Any, batch: Batch[Any, Any]) -> Any:
        yield put("draft", batch, "drafts")
        return {item.id: Rejected.because(code, words) for item in batch.items}

    shop = a_shop_anywhere(a_provider(sync_draft=sync_draft))
    id = shop.submit()
    shop.run()
    (issue,) = shop.get(id).issues
    assert (shop.status(id), issue.code, "\x00" in issue.message) == ("draft.sync_failed", "refused", False)
    said = words.replace("\x00", "")[:4096]
    assert issue.message == (said or "No reason was given beyond the code ''.")


def test_what_another_version_of_a_provider_can_not_do_waits_for_one_that_can_and_is_told_of(a_shop_anywhere: OpenShop):
    able, unable = a_provider(sync_draft=careful_draft, credit=credit), a_provider(sync_draft=careful_draft)
    shop = a_shop_anywhere(able)
    note = shop.ns.credit_notes.submit(a_note(shop, "3", an_issued_invoice(shop)))
    shop.restart([unable])
    an_issued_invoice(shop)
    shop.run_for(3600)
    standing = standing_of(shop.engine.context, shop.namespace)
    assert (standing.held, standing.left) == (1, ())
    reason = "Its provider books can't credit: Books does not declare credit. It goes on with a version of the provider"
    assert [each.reason.startswith(reason) for each in (*standing.held_work, *shop.ns.credit_notes.held())] == [
        True
    ] * 2
    assert shop.ns.invoices.held() == ()
    shop.restart([able])
    shop.run_for(3600)
    assert shop.ns.credit_notes.get(note.id).status == "issued"


def test_books_that_another_version_of_a_provider_can_not_read_are_looked_at_once_one_can(a_shop: OpenShop):
    ledger = Ledger()
    shop, id = a_shop_with(a_shop, ledger, bank=False)
    able, bank = shop.providers
    shop.restart([a_provider(sync_draft=careful_draft), bank])
    ledger.paid = Decimal(10)
    shop.turn(timedelta(days=2).total_seconds())
    assert not standing_of(shop.engine.context, shop.namespace).needs_a_person
    shop.restart([able, bank])
    shop.turn(timedelta(hours=1).total_seconds())
    assert shop.status(id) == "paid"
