"""Books that show less than is known of them: somebody took a payment out, or entered there what went back before anybody said so here."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from engine_kit import Shop, plain_draft, put, repeat
from ledger_kit import Ledger, a_shop_with, enter, pay
from money_kit import collect_payment, money, paths

from billhook.contract import Batch, Done, Retry, SendResult, Snapshot
from billhook.engine.invoice_filter import InvoiceFilter
from billhook.engine.standing import standing_of
from billhook.testing.invariants import problems_of

OpenShop = Callable[..., Shop]
NOTHING = Decimal(0)
SENDING = "issuing.syncing"


@pytest.fixture
def books(shop_where_money_comes: tuple[OpenShop, bool]) -> tuple[Shop, str, Ledger]:
    ledger = Ledger()
    open_shop, bank = shop_where_money_comes
    shop, id = a_shop_with(open_shop, ledger, bank=bank)
    ledger.is_locked = False
    return shop, id, ledger


def missing(shop: Shop) -> tuple[int, bool, list[str]]:
    """How many invoices have books that show less, whether a person is needed, and which invoices they are."""
    standing = standing_of(shop.engine.context, shop.namespace)
    listed = shop.ns.invoices.list(InvoiceFilter(not_in_books=True))
    return standing.missing_in_books, standing.needs_a_person, [view.id for view in listed.items]


def test_what_is_taken_out_of_the_books_is_told_of_until_it_is_put_back(books: tuple[Shop, str, Ledger]):
    shop, id, ledger = books
    enter(shop, ledger, id, "7")
    pay(shop, id, "3")
    enter(shop, ledger, id, "-4")
    (issue,) = shop.get(id).issues
    assert (issue.code, shop.status(id), money(shop, id)[0]) == ("less_in_books", "paid", Decimal(10))
    assert issue.message.startswith("Books shows 6 EUR as paid, and 10 are known of it: 4 less.")
    assert missing(shop) == (1, True, [id])
    enter(shop, ledger, id, "2")
    assert "shows 8 EUR as paid, and 10 are known of it: 2 less" in shop.get(id).issues[0].message
    enter(shop, ledger, id, "2")
    assert (shop.issue_codes(id), money(shop, id)[0], missing(shop)) == ([], Decimal(10), (0, False, []))
    assert problems_of(shop.engine) == []


def test_books_that_show_a_note_only_later_are_looked_at_again_by_themselves(books: tuple[Shop, str, Ledger]):
    shop, id, ledger = books
    pay(shop, id, "4")
    enter(shop, ledger, id, "-4")
    assert shop.issue_codes(id) == ["less_in_books"]
    ledger.paid += 4
    shop.clock.advance(timedelta(hours=2))
    shop.run()
    asked = paths(shop).count("fetch")
    assert shop.issue_codes(id) == []
    shop.run_for(timedelta(hours=20).total_seconds())
    assert paths(shop).count("fetch") == asked


def test_what_the_books_show_no_more_and_is_taken_back_here_is_not_to_be_undone_there(
    books: tuple[Shop, str, Ledger],
):
    shop, id, ledger = books
    pay(shop, id, "4")
    enter(shop, ledger, id, "-4")
    shop.ns.invoices.take_back_payment(id, shop.get(id).payments[0].id, reason="The bank took it back.")
    shop.run()
    assert (shop.issue_codes(id), money(shop, id)) == ([], (NOTHING, Decimal(10)))
    enter(shop, ledger, id, "4")
    assert (shop.issue_codes(id), money(shop, id)) == ([], (Decimal(4), Decimal(6)))
    assert problems_of(shop.engine) == []


def test_what_the_books_told_and_show_no_more_is_taken_back_here(books: tuple[Shop, str, Ledger]):
    shop, id, ledger = books
    enter(shop, ledger, id, "4")
    enter(shop, ledger, id, "-4")
    shop.ns.invoices.take_back_payment(id, shop.get(id).payments[0].id, reason="The bank took it back.")
    shop.run()
    assert (shop.issue_codes(id), money(shop, id)) == ([], (NOTHING, Decimal(10)))


def test_a_refund_that_was_entered_there_first_is_known_by_it(books: tuple[Shop, str, Ledger]):
    shop, id, ledger = books
    pay(shop, id, "10")
    enter(shop, ledger, id, "-3")
    shop.ns.refunds.record(shop.get(id).payments[0].id, "3")
    shop.run()
    assert (shop.issue_codes(id), shop.get(id).invoice.amount_refunded) == ([], Decimal(3))
    assert problems_of(shop.engine) == []


def test_a_refund_of_which_a_part_was_entered_is_told_of_until_the_rest_is(books: tuple[Shop, str, Ledger]):
    shop, id, ledger = books
    pay(shop, id, "10")
    shop.ns.refunds.record(shop.get(id).payments[0].id, "3")
    enter(shop, ledger, id, "-1")
    assert sorted(shop.issue_codes(id)) == ["less_in_books", "refund_not_in_books"]
    enter(shop, ledger, id, "-2")
    assert shop.issue_codes(id) == []


def test_a_refund_that_was_entered_there_and_taken_back_here_is_to_be_undone_there(books: tuple[Shop, str, Ledger]):
    shop, id, ledger = books
    pay(shop, id, "10")
    noted = shop.ns.refunds.record(shop.get(id).payments[0].id, "3")
    enter(shop, ledger, id, "-3")
    shop.ns.refunds.take_back(noted, reason="Nothing went back.")
    shop.run()
    assert shop.issue_codes(id) == ["less_in_books"]
    enter(shop, ledger, id, "3")
    assert (shop.issue_codes(id), money(shop, id)[0]) == ([], Decimal(10))


def test_that_a_person_has_dealt_with_it_is_told_of_no_more_unless_it_is_more(books: tuple[Shop, str, Ledger]):
    shop, id, ledger = books
    pay(shop, id, "10")
    enter(shop, ledger, id, "-3")
    shop.ns.invoices.dismiss(id, "less_in_books", reason="The bookkeeper knows.")
    enter(shop, ledger, id, "0")
    assert shop.issue_codes(id) == []
    enter(shop, ledger, id, "-1")
    assert shop.issue_codes(id) == ["less_in_books"]


def ways_out(shop: Shop, id: str) -> list[str]:
    """What leads out of it, by the first words of each command."""
    (message,) = [issue.message for issue in shop.get(id).issues if issue.code == "less_in_books"]
    assert f"billhook invoices dismiss {id} less_in_books --reason WHY" in message
    return re.findall(r"billhook invoices ([a-z-]+ \w+ \w+)", message)[:-1]


def test_only_what_can_be_taken_back_is_to_be_taken_back(books: tuple[Shop, str, Ledger]):
    shop, id, ledger = books
    pay(shop, id, "4")
    enter(shop, ledger, id, "-4")
    (first,) = shop.get(id).payments
    assert ways_out(shop, id) == [f"take-back {id} {first.id}", f"refund {first.id} AMOUNT"]
    pay(shop, id, "6")
    shop.ns.refunds.record(first.id, "1")
    shop.run()
    (second,) = (each for each in shop.get(id).payments if each.id != first.id)
    assert ways_out(shop, id) == [f"take-back {id} {second.id}", f"pay {id} AMOUNT", "refund PAYMENT AMOUNT"]


def test_what_an_app_collected_is_not_to_be_taken_back(a_shop_anywhere: OpenShop):
    ledger = Ledger()
    shop, id = a_shop_with(a_shop_anywhere, ledger, bank=False, ends="paid", collect_payment=collect_payment)
    ledger.paid = Decimal(10)
    enter(shop, ledger, id, "-4")
    assert ways_out(shop, id) == [f"refund {shop.get(id).payments[0].id} AMOUNT"]


def test_of_a_payment_of_which_a_part_came_the_part_is_noted_anew(books: tuple[Shop, str, Ledger]):
    shop, id, ledger = books
    pay(shop, id, "10")
    enter(shop, ledger, id, "-10")
    enter(shop, ledger, id, "7")
    (noted,) = shop.get(id).payments
    assert ways_out(shop, id) == [f"take-back {id} {noted.id}", f"pay {id} AMOUNT", f"refund {noted.id} AMOUNT"]
    shop.ns.invoices.take_back_payment(id, noted.id, reason="Only 7 came.")
    shop.run()
    assert ways_out(shop, id) == []
    enter(shop, ledger, id, "-7")
    pay(shop, id, "7")
    assert (shop.issue_codes(id), money(shop, id), ledger.paid) == ([], (Decimal(7), Decimal(3)), 7)
    assert problems_of(shop.engine) == []


def test_a_look_that_was_under_way_when_a_note_arrived_says_nothing_of_it(a_shop_anywhere: OpenShop):
    def looked_at_before(self: Any, batch: Batch[Any, Any]) -> Any:
        seen = Snapshot(True, batch.only.external_id, amount_paid=ledger.paid)
        yield put("fetch", batch, "fetch", safe=True, key=None)
        return {batch.only.id: Done(seen)}

    ledger = Ledger()
    shop, id = a_shop_with(a_shop_anywhere, ledger, bank=True, fetch=looked_at_before)
    ledger.is_locked = False
    shop.ns.invoices.record_payment(id, "4")
    shop.ns.refunds.record(shop.get(id).payments[0].id, "4")
    enter(shop, ledger, id, "0")
    for _ in range(2):
        assert (ledger.paid, paths(shop).count("notes")) == (4, 1)
        assert (money(shop, id)[0], shop.issue_codes(id)) == (Decimal(4), ["refund_not_in_books"])
        shop.clock.advance(timedelta(hours=2))
        shop.run()
    assert problems_of(shop.engine) == []


def test_money_that_the_books_show_before_the_invoice_was_sent_counts(a_shop_anywhere: OpenShop):
    ledger, busy = Ledger(), [True]

    def send(self: Any, batch: Batch[Any, Any]) -> Any:
        yield put("send", batch, "sent", recover=(repeat(),))
        if busy:
            return {batch.only.id: Retry(timedelta(hours=1), "The mail is busy.")}
        return {batch.only.id: Done(SendResult(batch.now))}

    def open_shop(*providers: Any) -> Shop:
        shop = a_shop_anywhere(*providers, workflow={"collection_method": "send_invoice"})
        shop.ns.customers.update("jane", email="jane@example.com")
        return shop

    shop, id = a_shop_with(open_shop, ledger, bank=False, ends=SENDING, issue=plain_draft, send=send)
    enter(shop, ledger, id, "10")
    busy.clear()
    shop.clock.advance(timedelta(hours=2))
    shop.run()
    assert (shop.status(id), money(shop, id)) == ("paid", (Decimal(10), NOTHING))
