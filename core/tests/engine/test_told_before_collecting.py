"""An app that keeps the books and collects is told first what was paid or credited another way: it takes what is open in its books."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from engine_kit import FaultsAt, Shop, a_provider, careful_draft, look_up, lost_after, lost_before, put, repeat
from money_kit import PENDING, a_draft_to_be_approved, collect_payment, money, paths

from billhook.contract import Batch, DocumentResult, Done, PaymentResult, PaymentStatus, Rejected
from billhook.store import schema
from billhook.testing.invariants import problems_of

OpenShop = Callable[..., Shop]


class Ledger:
    """The books of an invoice over 10.00: what stands against it there, and what was taken by card."""

    def __init__(self) -> None:
        self.settled = Decimal(0)
        self.taken: list[Decimal] = []
        self.declines = 0
        self.is_locked = False


def books_that_collect(ledger: Ledger) -> Any:
    """Books that take all that is open in them, and so refuse to take less."""

    def note(self: Any, batch: Batch[Any, Any]) -> Any:
        item = batch.only
        yield put("note", batch, "notes", recover=(repeat(),))
        if ledger.is_locked:
            return {item.id: Rejected.because("date_locked", "The date is locked.")}
        ledger.settled += item.amount
        return {item.id: Done(PaymentResult(PaymentStatus.SUCCEEDED, item.amount, f"noted-{item.id}"))}

    def credit(self: Any, batch: Batch[Any, Any]) -> Any:
        reply = yield put("credit", batch, "credits", recover=(repeat(), look_up(self, batch)))
        if ledger.is_locked:
            return {batch.only.id: Rejected.because("date_locked", "The date is locked.")}
        ledger.settled += batch.only.credit_note.content.totals.total
        return {batch.only.id: Done(DocumentResult(external_id=reply.json()["items"][0]["id"]))}

    def collect(self: Any, batch: Batch[Any, Any]) -> Any:
        item = batch.only
        yield put("collect", batch, "collect", recover=(repeat(),))
        if ledger.settled + item.amount != 10:
            return {item.id: Rejected.because("open_amount_differs", "Another amount is open here.")}
        if ledger.declines:
            ledger.declines -= 1
            return {item.id: Done(PaymentResult(PaymentStatus.FAILED, Decimal(0), f"pay-{item.id}"))}
        ledger.taken.append(item.amount)
        ledger.settled += item.amount
        return {item.id: Done(PaymentResult(PaymentStatus.SUCCEEDED, item.amount, f"pay-{item.id}"))}

    return a_provider(sync_draft=careful_draft, record_payment=note, collect_payment=collect, credit=credit)


def approved(shop: Shop, id: str) -> str:
    shop.ns.invoices.approve(id)
    shop.run()
    return shop.status(id)


def a_credit_note(shop: Shop, amount: str, invoice_id: str) -> str:
    line = {"name": "Back", "item_code": "W", "quantity": "1", "price": {"type": "unit", "amount": amount}}
    draft = shop.draft(type="credit_note", lines=[line], credited_invoice_id=invoice_id)
    return shop.ns.credit_notes.submit(draft).id


def test_what_was_paid_before_the_issue_is_noted_before_the_rest_is_collected(a_shop_anywhere: OpenShop):
    ledger = Ledger()
    shop, id = a_draft_to_be_approved(a_shop_anywhere, books_that_collect(ledger))
    shop.ns.invoices.record_payment(id, "4")
    assert approved(shop, id) == "paid"
    assert (ledger.taken, shop.issue_codes(id), paths(shop)) == ([6], [], ["drafts", "notes", "collect"])
    assert problems_of(shop.engine) == []


def test_what_was_paid_after_a_declined_attempt_is_noted_before_the_next(a_shop_anywhere: OpenShop):
    ledger = Ledger()
    ledger.declines = 1
    shop, id = a_draft_to_be_approved(a_shop_anywhere, books_that_collect(ledger))
    assert approved(shop, id) == "payment_processing.failed"
    shop.ns.invoices.record_payment(id, "4")
    shop.ns.invoices.retry(id)
    shop.run()
    assert (shop.status(id), ledger.taken, shop.issue_codes(id)) == ("paid", [6], [])


def test_every_part_that_was_paid_before_is_noted_first(a_shop: OpenShop):
    ledger = Ledger()
    shop, id = a_draft_to_be_approved(a_shop, books_that_collect(ledger))
    for amount in ("1", "2", "3"):
        shop.ns.invoices.record_payment(id, amount)
    assert approved(shop, id) == "paid"
    assert (ledger.taken, paths(shop)) == ([4], ["drafts", "notes", "notes", "notes", "collect"])


def test_a_note_that_is_refused_holds_the_collection_up_no_longer(a_shop_anywhere: OpenShop):
    ledger = Ledger()
    ledger.is_locked = True
    shop, id = a_draft_to_be_approved(a_shop_anywhere, books_that_collect(ledger))
    shop.ns.invoices.record_payment(id, "4")
    assert approved(shop, id) == "payment_processing.failed"
    assert sorted(map(str, shop.issue_codes(id))) == ["date_locked", "open_amount_differs"]
    ledger.is_locked = False
    shop.ns.invoices.retry(id)
    shop.run()
    assert (shop.status(id), ledger.taken, shop.issue_codes(id)) == ("paid", [6], [])


def test_nothing_is_collected_while_nobody_knows_whether_a_part_was_noted(a_shop_anywhere: OpenShop):
    ledger = Ledger()
    shop, id = a_draft_to_be_approved(a_shop_anywhere, books_that_collect(ledger))
    shop.ns.invoices.record_payment(id, "4")
    shop.wire.plan(*[lost_after] * 50, to="notes")
    shop.ns.invoices.approve(id)
    shop.run_for(7200)
    (doubt,) = shop.ns.doubts.list()
    assert (shop.status(id), doubt.operation, "collect" in paths(shop)) == (PENDING, "record_payment", False)
    ledger.settled += 4
    shop.ns.doubts.resolve(id, found="noted-1")
    shop.run()
    assert (shop.status(id), ledger.taken, shop.issue_codes(id)) == ("paid", [6], [])


@pytest.mark.parametrize("amounts", [["4"], ["1", "3"]])
def test_a_part_that_comes_before_a_collection_is_sent_makes_it_smaller(a_shop_anywhere: OpenShop, amounts: list[str]):
    ledger = Ledger()
    shop, id = a_draft_to_be_approved(a_shop_anywhere, books_that_collect(ledger))
    assert shop.ns.invoices.approve(id).status == PENDING
    for amount in amounts:
        shop.ns.invoices.record_payment(id, amount)
    shop.run()
    assert (shop.status(id), ledger.taken, money(shop, id)) == ("paid", [6], (Decimal(10), Decimal(0)))
    assert problems_of(shop.engine) == []


def test_a_collection_that_a_payment_makes_needless_is_not_sent(a_shop: OpenShop):
    ledger = Ledger()
    shop, id = a_draft_to_be_approved(a_shop, books_that_collect(ledger))
    shop.ns.invoices.record_payment(id, "4")
    shop.ns.invoices.approve(id)
    shop.ns.invoices.record_payment(id, "6")
    shop.run()
    assert (shop.status(id), ledger.taken, ledger.settled) == ("paid", [], 10)


def test_a_credit_note_stands_in_the_books_before_the_rest_is_collected(a_shop_anywhere: OpenShop):
    ledger = Ledger()
    shop, id = a_draft_to_be_approved(a_shop_anywhere, books_that_collect(ledger))
    note = a_credit_note(shop, "3", id)
    assert approved(shop, id) == "paid"
    assert (ledger.taken, shop.ns.credit_notes.get(note).status) == ([7], "issued")
    assert problems_of(shop.engine) == []


def test_an_invoice_says_that_the_rest_is_collected_after_its_credit_note(a_shop_anywhere: OpenShop):
    shop, id = a_draft_to_be_approved(a_shop_anywhere, books_that_collect(Ledger()))
    note = a_credit_note(shop, "3", id)
    shop.wire.plan(*[lost_after] * 50, to="credits")
    shop.wire.plan(*[lost_before] * 50, to="found")
    shop.ns.invoices.approve(id)
    shop.run()
    assert shop.ns.invoices.get(id).waiting_for == (
        "the rest is collected once Books is told of what was paid or credited otherwise"
    )
    shop.run_for(20_000)
    (doubt,) = shop.ns.doubts.list()
    details = shop.ns.invoices.get(id)
    assert (doubt.operation, details.status, details.in_doubt) == ("credit", PENDING, None)
    assert details.waiting_for == (
        f"it is not known whether Books has the credit note {note}, and the rest is collected after it. "
        "See billhook invoices doubts"
    )
    shop.ns.doubts.resolve(note, found="cn-1")
    shop.run_for(60)
    assert shop.ns.invoices.get(id).waiting_for is None


def test_where_a_credit_note_is_refused_everything_is_collected(a_shop_anywhere: OpenShop):
    ledger = Ledger()
    ledger.is_locked = True
    shop, id = a_draft_to_be_approved(a_shop_anywhere, books_that_collect(ledger))
    note = a_credit_note(shop, "3", id)
    assert approved(shop, id) == "paid"
    assert (ledger.taken, shop.ns.credit_notes.get(note).status) == ([10], "failed")


def a_bank_beside_the_books(open_shop: OpenShop) -> tuple[Shop, str, str]:
    """A draft to be approved, of which the money comes from another app than the one that keeps the books."""
    books = books_that_collect(Ledger())
    shop = open_shop(books, a_provider("bank", collect_payment=collect_payment))
    shop.a_profile(shop.app, payment_app_id=shop.an_app("bank").id, workflow={"auto_advance": False})
    id = shop.submit()
    shop.run()
    return shop, id, shop.rows(schema.app, type="books")[0]["id"]


def collected(shop: Shop) -> list[str]:
    return [row["amount_received"] for row in shop.rows(schema.payment, origin="collected")]


def test_an_app_that_only_collects_waits_for_no_books(a_shop: OpenShop):
    shop, id, books_id = a_bank_beside_the_books(a_shop)
    shop.ns.invoices.record_payment(id, "4")
    shop.ns.invoices.approve(id)
    shop.ns.apps.disable(books_id)
    shop.run()
    assert (shop.status(id), money(shop, id), collected(shop)) == ("paid", (Decimal(10), Decimal(0)), ["6.00"])
    assert "notes" not in paths(shop)


def a_part_comes(shop: Shop, id: str) -> None:
    shop.ns.invoices.record_payment(id, "4")


def a_part_is_credited(shop: Shop, id: str) -> None:
    a_credit_note(shop, "4", id)


@pytest.mark.parametrize("happens", [a_part_comes, a_part_is_credited])
def test_what_is_about_to_be_sent_is_prepared_anew_over_what_is_due_now(
    a_shop_anywhere: OpenShop, happens: Callable[[Shop, str], None]
):
    shop, id, _ = a_bank_beside_the_books(a_shop_anywhere)
    shop.ns.invoices.approve(id)
    faults = FaultsAt()
    shop.restart(faults=faults)

    def meanwhile() -> None:
        del faults.acts["round.before"]
        happens(shop, id)

    faults.acts["round.before"] = meanwhile
    shop.run()
    assert (shop.status(id), collected(shop), faults.acts) == ("paid", ["6.00"], {})
    assert problems_of(shop.engine) == []
