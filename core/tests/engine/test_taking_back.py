"""Money that was noted by mistake is taken back: on drafts, on issued and on paid invoices, whether the books know of it or not."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from engine_kit import Shop, a_provider, arrives, careful_draft, lost_after, put, repeat
from ledger_kit import Ledger, a_shop_with, enter, pay, unrecorded
from money_kit import (
    PENDING,
    a_draft_to_be_approved,
    an_issued_invoice,
    collect_payment,
    money,
    note_payment,
    paths,
)

from billhook.contract import Batch, Done, RemovalResult, Snapshot
from billhook.engine.invoice_filter import InvoiceFilter
from billhook.engine.standing import standing_of
from billhook.errors import InvalidInput, NotAllowed, NotFound
from billhook.store import schema
from billhook.testing.invariants import problems_of

OpenShop = Callable[..., Shop]
CHARGED = {"collection_method": "charge_automatically"}
SENT = {"collection_method": "send_invoice"}
NOTHING = Decimal(0)


def noted(shop: Shop, id: str) -> list[str]:
    """The payments that were noted and count."""
    return [each.id for each in shop.get(id).payments if each.origin == "recorded" and each.status == "succeeded"]


def take_back(shop: Shop, id: str, payment_id: str | None = None) -> str:
    given = payment_id or noted(shop, id)[-1]
    return shop.ns.invoices.take_back_payment(id, given, reason="It was for another customer.").status


def remove(self: Any, batch: Batch[Any, Any]) -> Any:
    yield put("remove", batch, "removed", recover=(repeat(),))
    return {batch.only.id: Done(RemovalResult())}


def test_what_was_noted_on_a_draft_is_taken_back_before_anybody_heard_of_it(a_shop_anywhere: OpenShop):
    books = a_provider(sync_draft=careful_draft, record_payment=note_payment, collect_payment=collect_payment)
    shop, id = a_draft_to_be_approved(a_shop_anywhere, books)
    shop.ns.invoices.record_payment(id, "4")
    assert take_back(shop, id) == "draft.manual_approval_needed"
    assert (money(shop, id), shop.issue_codes(id)) == ((NOTHING, Decimal(10)), [])
    shop.ns.invoices.approve(id)
    shop.run()
    assert (shop.status(id), paths(shop)) == ("paid", ["drafts", "collect"])
    assert [row["amount"] for row in shop.rows(schema.payment, origin="collected")] == ["10.00"]
    assert problems_of(shop.engine) == []


def test_a_draft_can_be_deleted_once_its_money_was_taken_back(a_shop: OpenShop):
    shop, id = a_draft_to_be_approved(a_shop, a_provider(sync_draft=careful_draft, delete=remove))
    shop.ns.invoices.record_payment(id, "1")
    take_back(shop, id)
    shop.ns.invoices.delete(id)
    shop.run()
    assert shop.status(id) == "deleted"


def test_what_was_noted_on_an_issued_invoice_is_owed_again(a_shop_anywhere: OpenShop):
    shop = a_shop_anywhere()
    id = an_issued_invoice(shop)
    for amount in ("4", "3"):
        shop.ns.invoices.record_payment(id, amount)
    assert take_back(shop, id, noted(shop, id)[0]) == PENDING
    assert money(shop, id) == (Decimal(3), Decimal(7))
    taken_back, stays = shop.get(id).payments
    assert (taken_back.status, taken_back.amount, taken_back.amount_received) == ("canceled", Decimal(4), NOTHING)
    assert (taken_back.code, taken_back.message) == ("taken_back", "It was for another customer.")
    assert (stays.status, stays.amount_received) == ("succeeded", Decimal(3))


def test_an_invoice_that_is_sent_waits_for_its_money_again(a_shop_anywhere: OpenShop):
    shop = a_shop_anywhere()
    id = an_issued_invoice(shop, workflow=SENT)
    assert shop.ns.invoices.record_payment(id, "10").status == "paid"
    assert take_back(shop, id) == PENDING
    assert not standing_of(shop.engine.context, shop.namespace).needs_a_person
    assert shop.ns.invoices.record_payment(id, "10").status == "paid"
    assert problems_of(shop.engine) == []


def test_an_invoice_that_is_charged_is_charged_again_only_by_a_retry(a_shop_anywhere: OpenShop):
    books = a_provider(sync_draft=careful_draft, collect_payment=collect_payment)
    shop = a_shop_anywhere(books, workflow={**CHARGED, "auto_advance": False})
    id = shop.submit()
    shop.run()
    shop.ns.invoices.record_payment(id, "10")
    shop.ns.invoices.approve(id)
    assert shop.status(id) == "paid"
    assert take_back(shop, id) == "payment_processing.failed"
    shop.run()
    assert (shop.status(id), "collect" in paths(shop)) == ("payment_processing.failed", False)
    shop.ns.invoices.retry(id)
    shop.run()
    assert (shop.status(id), money(shop, id)) == ("paid", (Decimal(10), NOTHING))


def test_a_collection_that_was_not_sent_yet_takes_what_is_owed_again(a_shop: OpenShop):
    books = a_provider(sync_draft=careful_draft, collect_payment=collect_payment, record_payment=note_payment)
    shop, id = a_draft_to_be_approved(a_shop, books)
    shop.ns.invoices.record_payment(id, "4")
    shop.ns.invoices.approve(id)
    take_back(shop, id)
    shop.run()
    assert (shop.status(id), paths(shop)) == ("paid", ["drafts", "collect"])
    assert [row["amount_received"] for row in shop.rows(schema.payment, origin="collected")] == ["10.00"]


def test_what_was_too_much_is_taken_back_and_the_invoice_stays_paid(a_shop: OpenShop):
    shop = a_shop()
    id = an_issued_invoice(shop)
    for amount in ("10", "15"):
        shop.ns.invoices.record_payment(id, amount)
    assert take_back(shop, id) == "paid"
    assert money(shop, id) == (Decimal(10), NOTHING)


def test_taking_back_twice_is_taking_back_once(a_shop_anywhere: OpenShop):
    shop = a_shop_anywhere()
    id = an_issued_invoice(shop)
    shop.ns.invoices.record_payment(id, "4")
    (payment_id,) = noted(shop, id)
    take_back(shop, id, payment_id)
    before = shop.counts()
    shop.ns.invoices.take_back_payment(id, payment_id, reason="Once more.")
    assert (shop.counts(), money(shop, id)) == (before, (NOTHING, Decimal(10)))
    assert shop.get(id).payments[0].message == "It was for another customer."


def test_the_timeline_tells_what_was_taken_back_and_why(a_shop: OpenShop):
    shop = a_shop()
    id = an_issued_invoice(shop, workflow=SENT)
    shop.ns.invoices.record_payment(id, "10", key="receipt-7")
    take_back(shop, id)
    told = [entry.summary for entry in shop.ns.invoices.timeline(id)]
    (line,) = [each for each in told if "was noted by mistake" in each]
    assert "10 EUR of payment" in line
    assert line.endswith("no longer count: It was for another customer.")
    canceled = "A payment of 10 EUR was noted (recorded); it is canceled now (taken_back: It was for another customer)."
    assert canceled in told
    assert shop.causes(id)[-3:] == ["payment.taken_back", "owed_again", "owed_again"]


def test_the_key_of_what_was_taken_back_brings_it_not_again(a_shop: OpenShop):
    shop = a_shop()
    id = an_issued_invoice(shop)
    shop.ns.invoices.record_payment(id, "4", key="receipt-7")
    take_back(shop, id)
    shop.ns.invoices.record_payment(id, "4", key="receipt-7")
    assert money(shop, id) == (NOTHING, Decimal(10))
    shop.ns.invoices.record_payment(id, "4", key="receipt-7 again")
    assert money(shop, id) == (Decimal(4), Decimal(6))


def test_what_the_outside_called_paid_by_mistake_is_taken_back_too(a_shop: OpenShop):
    shop = a_shop()
    id = an_issued_invoice(shop, workflow=SENT)
    shop.ns.invoices.payment_status(id, "paid")
    assert take_back(shop, id, shop.get(id).payments[0].id) == PENDING
    assert money(shop, id) == (NOTHING, Decimal(10))


def test_what_an_app_collected_is_refunded_and_not_taken_back(a_shop: OpenShop):
    shop = a_shop(a_provider(sync_draft=careful_draft, collect_payment=collect_payment))
    id = shop.submit()
    shop.run()
    with pytest.raises(NotAllowed, match="billhook invoices refund") as refused:
        take_back(shop, id, shop.get(id).payments[0].id)
    assert (refused.value.code, shop.status(id)) == ("payment_not_noted", "paid")


def test_a_payment_of_another_invoice_or_of_none_is_not_found(a_shop: OpenShop):
    shop = a_shop()
    id, other = an_issued_invoice(shop), an_issued_invoice(shop)
    shop.ns.invoices.record_payment(other, "4")
    (of_other,) = noted(shop, other)
    for payment_id in (of_other, "nothing"):
        with pytest.raises(NotFound):
            take_back(shop, id, payment_id)
    with pytest.raises(NotFound):
        shop.engine.namespace("else").invoices.take_back_payment(other, of_other, reason="Not mine.")
    assert money(shop, other) == (Decimal(4), Decimal(6))


@pytest.mark.parametrize("reason", ["", "  ", "x" * 5000])
def test_a_reason_is_stated(a_shop: OpenShop, reason: str):
    shop = a_shop()
    id = an_issued_invoice(shop)
    shop.ns.invoices.record_payment(id, "4")
    with pytest.raises(InvalidInput) as refused:
        shop.ns.invoices.take_back_payment(id, noted(shop, id)[0], reason=reason)
    assert refused.value.path == "/reason"
    assert money(shop, id) == (Decimal(4), Decimal(6))


# What the books know of it.


@pytest.fixture
def open_books(shop_where_money_comes: tuple[OpenShop, bool]) -> tuple[Shop, str, Ledger]:
    ledger = Ledger()
    open_shop, bank = shop_where_money_comes
    shop, id = a_shop_with(open_shop, ledger, bank=bank)
    ledger.is_locked = False
    return shop, id, ledger


def test_where_the_books_show_it_a_warning_says_what_to_undo_until_it_is_undone(open_books: tuple[Shop, str, Ledger]):
    shop, id, ledger = open_books
    pay(shop, id, "4")
    assert ledger.paid == 4
    take_back(shop, id)
    shop.run()
    (issue,) = shop.get(id).issues
    assert (issue.code, money(shop, id)) == ("recorded_payment_taken_back", (NOTHING, Decimal(10)))
    assert "noted-" in issue.message
    assert "Undo it there" in issue.message
    assert still_in_books(shop) == (1, True, [id])
    enter(shop, ledger, id, "0")
    assert (money(shop, id), shop.issue_codes(id)) == ((NOTHING, Decimal(10)), ["recorded_payment_taken_back"])
    enter(shop, ledger, id, "-4")
    assert (money(shop, id), shop.issue_codes(id)) == ((NOTHING, Decimal(10)), [])
    assert still_in_books(shop) == (0, False, [])
    assert problems_of(shop.engine) == []


def still_in_books(shop: Shop) -> tuple[int, bool, list[str]]:
    """How many invoices have books that show what was taken back, whether a person is needed, and which invoices they are."""
    standing = standing_of(shop.engine.context, shop.namespace)
    listed = shop.ns.invoices.list(InvoiceFilter(not_in_books=True))
    return standing.still_in_books, standing.needs_a_person, [view.id for view in listed.items]


def test_what_comes_to_the_books_after_it_was_undone_there_counts(open_books: tuple[Shop, str, Ledger]):
    shop, id, ledger = open_books
    pay(shop, id, "4")
    take_back(shop, id)
    enter(shop, ledger, id, "-4")
    enter(shop, ledger, id, "4")
    assert (money(shop, id), shop.issue_codes(id)) == ((Decimal(4), Decimal(6)), [])


def test_what_is_noted_in_its_place_is_noted_in_the_books(open_books: tuple[Shop, str, Ledger]):
    shop, id, ledger = open_books
    pay(shop, id, "4")
    take_back(shop, id)
    enter(shop, ledger, id, "-4")
    pay(shop, id, "6")
    assert (money(shop, id), ledger.paid, shop.issue_codes(id)) == ((Decimal(6), Decimal(4)), 6, [])


def test_of_what_the_books_took_in_part_that_part_is_undone(open_books: tuple[Shop, str, Ledger]):
    shop, id, ledger = open_books
    ledger.is_locked = True
    pay(shop, id, "25")
    enter(shop, ledger, id, "10")
    take_back(shop, id)
    assert shop.issue_codes(id) == ["recorded_payment_taken_back"]
    enter(shop, ledger, id, "-10")
    assert (money(shop, id), shop.issue_codes(id)) == ((NOTHING, Decimal(10)), [])


def test_what_the_books_refused_to_note_is_not_asked_for_again_once_it_is_taken_back(
    open_books: tuple[Shop, str, Ledger],
):
    shop, id, ledger = open_books
    ledger.is_locked = True
    pay(shop, id, "4")
    assert unrecorded(shop) == 1
    take_back(shop, id)
    assert (unrecorded(shop), shop.issue_codes(id)) == (0, [])
    ledger.is_locked = False
    assert shop.ns.retry_failed() == ()
    shop.run()
    assert ledger.paid == 0


def test_while_it_is_being_noted_its_end_is_waited_for(open_books: tuple[Shop, str, Ledger]):
    shop, id, ledger = open_books
    shop.ns.invoices.record_payment(id, "4")
    shop.wire.otherwise = lost_after
    shop.run()
    shop.wire.otherwise = arrives
    details = shop.ns.invoices.take_back_payment(id, noted(shop, id)[0], reason="It was for another customer.")
    assert (details.pending_command, money(shop, id)) == ("take_back_payment", (Decimal(4), Decimal(6)))
    shop.run_for(600)
    assert (money(shop, id), ledger.paid) == ((NOTHING, Decimal(10)), 4)
    assert shop.issue_codes(id) == ["recorded_payment_taken_back"]


def a_shop_whose_books_collect(open_shop: OpenShop, ledger: Ledger, *, looks: bool) -> tuple[Shop, str]:
    """An invoice that was noted as paid and taken back, at an app that keeps the books and collects; it tells nothing by itself."""

    def note(self: Any, batch: Batch[Any, Any]) -> Any:
        outcomes = yield from note_payment(self, batch)
        ledger.paid += batch.only.amount
        return outcomes

    def fetch(self: Any, batch: Batch[Any, Any]) -> Any:
        yield put("fetch", batch, "fetch", safe=True, key=None)
        return {batch.only.id: Done(Snapshot(True, batch.only.external_id, amount_paid=ledger.paid))}

    hooks = {"fetch": fetch} if looks else {}
    books = a_provider(sync_draft=careful_draft, record_payment=note, collect_payment=collect_payment, **hooks)
    shop, id = a_draft_to_be_approved(open_shop, books)
    shop.ns.invoices.record_payment(id, "10")
    shop.ns.invoices.approve(id)
    shop.run()
    assert take_back(shop, id) == "payment_processing.failed"
    return shop, id


def test_nothing_is_charged_where_the_books_still_call_it_paid_and_a_retry_looks_at_them_first(
    a_shop_anywhere: OpenShop,
):
    ledger = Ledger()
    shop, id = a_shop_whose_books_collect(a_shop_anywhere, ledger, looks=True)
    assert "Undo it there, then collect it again: " in str(shop.get(id).way_out)
    for _ in range(2):
        (retried,) = shop.ns.retry_failed()
        assert (retried.id, retried.waits, retried.is_left) == (id, True, False)
    shop.run()
    assert (shop.status(id), money(shop, id)) == ("payment_processing.failed", (NOTHING, Decimal(10)))
    assert paths(shop) == ["drafts", "notes", "fetch"]
    (refused,) = [each.summary for each in shop.ns.invoices.timeline(id) if "no longer possible" in each.summary]
    assert "still shows payment noted-" in refused
    assert "Undo it there, then retry" in refused
    ledger.paid -= 10  # somebody undoes it there
    shop.ns.invoices.retry(id)
    shop.run()
    assert (shop.status(id), money(shop, id), shop.issue_codes(id)) == ("paid", (Decimal(10), NOTHING), [])
    assert paths(shop)[-2:] == ["fetch", "collect"]
    assert problems_of(shop.engine) == []


def test_where_nobody_can_look_the_retry_is_refused_and_a_credit_note_is_the_way_out(a_shop: OpenShop):
    shop, id = a_shop_whose_books_collect(a_shop, Ledger(), looks=False)
    assert "invoices retry" not in str(shop.get(id).way_out)
    with pytest.raises(NotAllowed, match="credit note") as refused:
        shop.ns.invoices.retry(id)
    assert refused.value.code == "taken_back_in_books"
    (left,) = shop.ns.retry_failed()
    assert (left.is_left, left.code) == (True, "taken_back_in_books")
    assert "collect" not in paths(shop)


def test_where_the_customer_pays_a_retry_need_not_look_at_the_books(open_books: tuple[Shop, str, Ledger]):
    shop, _, _ = open_books
    id = an_issued_invoice(shop, workflow=SENT)
    pay(shop, id, "10")
    assert take_back(shop, id) == PENDING
    shop.ns.invoices.payment_status(id, "payment_failed")
    assert shop.ns.invoices.retry(id).status == PENDING
