"""Money that the books refuse to note: asked for again, entered there by hand, and told of until it stands there."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest
from engine_kit import Shop
from ledger_kit import Ledger, a_shop_with, enter, pay, unrecorded
from money_kit import money, paths

from billhook.engine import notes
from billhook.errors import NotAllowed
from billhook.testing.invariants import problems_of

OpenShop = Callable[..., Shop]


@pytest.fixture
def locked(shop_where_money_comes: tuple[OpenShop, bool]) -> tuple[Shop, str, Ledger]:
    ledger = Ledger()
    open_shop, bank = shop_where_money_comes
    shop, id = a_shop_with(open_shop, ledger, bank=bank)
    return shop, id, ledger


def test_a_retry_of_a_paid_invoice_repeats_the_refused_note(locked: tuple[Shop, str, Ledger]):
    shop, id, ledger = locked
    pay(shop, id, "10")
    assert (shop.status(id), shop.issue_codes(id), unrecorded(shop)) == ("paid", ["date_locked"], 1)
    shop.ns.invoices.retry(id)
    shop.run()
    assert (shop.issue_codes(id), unrecorded(shop)) == (["date_locked"], 1)
    ledger.is_locked = False
    shop.ns.invoices.retry(id)
    shop.run()
    assert (shop.status(id), shop.issue_codes(id), unrecorded(shop), ledger.paid) == ("paid", [], 0, 10)
    with pytest.raises(NotAllowed, match="retry is not available"):
        shop.ns.invoices.retry(id)
    assert problems_of(shop.engine) == []


def test_each_refused_note_has_its_own_issue(locked: tuple[Shop, str, Ledger]):
    shop, id, ledger = locked
    pay(shop, id, "4")
    ledger.is_locked = False
    pay(shop, id, "6")
    assert (shop.status(id), shop.issue_codes(id), unrecorded(shop)) == ("paid", ["date_locked"], 1)
    shop.ns.invoices.retry(id)
    shop.run()
    assert (shop.issue_codes(id), ledger.paid) == ([], 10)


def test_a_refused_note_names_the_ways_out_that_its_payment_has(locked: tuple[Shop, str, Ledger]):
    shop, id, _ = locked
    pay(shop, id, "4")
    (issue,), (noted,) = shop.get(id).issues, shop.get(id).payments
    assert issue.message == (
        f"The date is locked. Once that is mended: billhook invoices retry {id}. Once it is entered there by hand: billhook invoices look {id}; "
        f"where the invoice does not show it there, as money on account: billhook invoices dismiss {id} date_locked --reason WHY. Where it never "
        f"came: billhook invoices take-back {id} {noted.id} --reason WHY"
    )
    shop.ns.invoices.take_back_payment(id, noted.id, reason="It never came.")
    assert (shop.issue_codes(id), unrecorded(shop)) == ([], 0)


@pytest.mark.parametrize("entered", [["10"], ["4", "6"], ["6", "4"]])
def test_what_somebody_entered_in_place_of_refused_notes_is_not_counted_again(
    locked: tuple[Shop, str, Ledger], entered: list[str]
):
    shop, id, ledger = locked
    pay(shop, id, "4", "6")
    for amount in entered:
        enter(shop, ledger, id, amount)
    assert (money(shop, id), len(shop.get(id).payments)) == ((Decimal(10), Decimal(0)), 2)
    assert (shop.issue_codes(id), unrecorded(shop)) == ([], 0)
    assert shop.causes(id).count("record_payment.entered") == 2
    assert problems_of(shop.engine) == []


@pytest.mark.parametrize("entered, counted", [("4", "4"), ("3", "7"), ("5", "9")])
def test_that_a_person_has_dealt_with_a_refused_note_does_not_say_what_the_books_show(
    locked: tuple[Shop, str, Ledger], entered: str, counted: str
):
    shop, id, ledger = locked
    pay(shop, id, "4")
    shop.ns.invoices.dismiss(id, "date_locked", reason="It is entered by hand.")
    ledger.is_locked = False
    assert (shop.ns.retry_failed(), paths(shop).count("notes")) == ((), 1)
    enter(shop, ledger, id, entered)
    assert (money(shop, id)[0], shop.issue_codes(id)) == (Decimal(counted), [])
    enter(shop, ledger, id, "1")
    assert money(shop, id)[0] == Decimal(counted) + 1
    assert problems_of(shop.engine) == []


def test_of_more_than_is_due_the_books_show_what_they_take(locked: tuple[Shop, str, Ledger]):
    shop, id, ledger = locked
    pay(shop, id, "25")
    enter(shop, ledger, id, "10")
    assert (money(shop, id), shop.issue_codes(id)) == ((Decimal(25), Decimal(0)), [])


def test_money_that_matches_no_refused_note_came_another_way(locked: tuple[Shop, str, Ledger]):
    shop, id, ledger = locked
    pay(shop, id, "4")
    enter(shop, ledger, id, "6")
    assert (money(shop, id), shop.issue_codes(id)) == ((Decimal(10), Decimal(0)), ["date_locked"])


def test_what_was_entered_once_counts_once_and_what_comes_after_it_counts(locked: tuple[Shop, str, Ledger]):
    shop, id, ledger = locked
    pay(shop, id, "4")
    enter(shop, ledger, id, "4")
    enter(shop, ledger, id, "0")
    assert money(shop, id) == (Decimal(4), Decimal(6))
    enter(shop, ledger, id, "6")
    assert (shop.status(id), money(shop, id)) == ("paid", (Decimal(10), Decimal(0)))


@pytest.mark.parametrize("is_refused", [True, False])
def test_what_the_books_tell_while_a_note_is_on_its_way_is_looked_at_once_that_ended(
    locked: tuple[Shop, str, Ledger], is_refused: bool
):
    shop, id, ledger = locked
    ledger.is_locked = is_refused
    shop.ns.invoices.record_payment(id, "4")
    enter(shop, ledger, id, "6")
    shop.run()
    assert (shop.status(id), money(shop, id)) == ("paid", (Decimal(10), Decimal(0)))
    assert shop.issue_codes(id) == (["date_locked"] if is_refused else [])
    assert problems_of(shop.engine) == []


def test_a_payment_that_is_taken_back_before_it_is_noted_hides_nothing(locked: tuple[Shop, str, Ledger]):
    shop, id, ledger = locked
    noted = shop.ns.invoices.record_payment(id, "10").payments[0]
    enter(shop, ledger, id, "10")
    shop.ns.invoices.take_back_payment(id, noted.id, reason="It was another customer's.")
    shop.run()
    assert shop.issue_codes(id) == ["recorded_payment_taken_back"]
    assert problems_of(shop.engine) == []


def a_payment(number: int) -> dict[str, str]:
    return {"id": f"p-{number}", "amount": str(2**number)}


@pytest.mark.parametrize(
    "wanted, found", [(2**7, ["p-7"]), (2**40 - 1, [f"p-{number}" for number in range(40)]), (3, [])]
)
def test_of_very_many_payments_not_every_sum_is_tried(wanted: int, found: list[str]):
    payments = [a_payment(number) for number in range(40)]
    assert [each["id"] for each in notes.making_up(payments, Decimal(wanted))] == found
