"""Payments that the books show one by one: each counts once under its id, and what goes back of it is known."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest
from engine_kit import Shop
from ledger_kit import Ledger, a_shop_with, enter, pay
from money_kit import money

from billhook.contract import Receipt
from billhook.errors import ContractViolation
from billhook.store import schema
from billhook.testing.invariants import problems_of

OpenShop = Callable[..., Shop]
NOTHING = Decimal(0)


@pytest.fixture
def books(shop_where_money_comes: tuple[OpenShop, bool]) -> tuple[Shop, str, Ledger]:
    ledger = Ledger()
    open_shop, bank = shop_where_money_comes
    shop, id = a_shop_with(open_shop, ledger, bank=bank)
    return shop, id, ledger


def look(shop: Shop, ledger: Ledger, id: str, *receipts: tuple[str, str, str], nameless: str = "0") -> None:
    """The books show these receipts, of each what came and what went back, and what has no id; and tell that something changed."""
    ledger.receipts = [Receipt(name, Decimal(came), Decimal(back)) for name, came, back in receipts]
    ledger.paid = sum((each.amount - each.refunded for each in ledger.receipts), Decimal(nameless))
    enter(shop, ledger, id, "0")


def standing(shop: Shop, id: str) -> list[tuple[str | None, str, Decimal]]:
    return [(each.external_id, each.origin, each.amount_received) for each in shop.get(id).payments]


def money_back(shop: Shop, id: str) -> Decimal:
    return shop.get(id).invoice.amount_refunded


def test_each_receipt_counts_once_under_its_id(books: tuple[Shop, str, Ledger]):
    shop, id, ledger = books
    look(shop, ledger, id, ("pay_1", "3", "0"), ("pay_2", "5", "0"))
    for _ in range(2):
        look(shop, ledger, id, ("pay_1", "3", "0"), ("pay_2", "5", "0"), nameless="2")
    assert sorted(standing(shop, id), key=str) == [
        ("pay_1", "outside", Decimal(3)),
        ("pay_2", "outside", Decimal(5)),
        (None, "outside", Decimal(2)),
    ]
    assert shop.status(id) == "paid"
    assert problems_of(shop.engine) == []


@pytest.mark.parametrize("looks", [["0", "4"], ["1", "4"], ["4"], ["0", "1", "4", "4"]])
def test_what_goes_back_is_known_whenever_it_is_looked_at(books: tuple[Shop, str, Ledger], looks: list[str]):
    shop, id, ledger = books
    for back in looks:
        look(shop, ledger, id, ("pay_1", "10", back))
    assert (shop.status(id), money(shop, id), money_back(shop, id)) == ("paid", (Decimal(10), NOTHING), Decimal(4))
    assert problems_of(shop.engine) == []


@pytest.mark.parametrize("is_seen_before", [True, False])
def test_what_went_back_whole_ends_the_same_whenever_it_is_seen(books: tuple[Shop, str, Ledger], is_seen_before: bool):
    shop, id, ledger = books
    if is_seen_before:
        look(shop, ledger, id, ("pay_1", "10", "0"))
    look(shop, ledger, id, ("pay_1", "10", "10"))
    assert (shop.status(id), money_back(shop, id), len(standing(shop, id))) == ("paid", Decimal(10), 1)


def test_money_that_counted_before_its_id_was_told_gets_it(books: tuple[Shop, str, Ledger]):
    shop, id, ledger = books
    look(shop, ledger, id, nameless="10")
    look(shop, ledger, id, ("pay_1", "10.00", "3"))
    assert (standing(shop, id), money_back(shop, id)) == ([("pay_1", "outside", Decimal(10))], Decimal(3))


def test_receipts_of_more_than_the_books_show_beyond_what_is_known_count_for_no_more(books: tuple[Shop, str, Ledger]):
    shop, id, ledger = books
    ledger.receipts = [Receipt("pay_1", Decimal(10))]
    enter(shop, ledger, id, "4")
    assert standing(shop, id) == [(None, "outside", Decimal(4))]


def test_a_webhook_about_such_a_payment_leads_to_a_look_at_its_invoice(books: tuple[Shop, str, Ledger]):
    shop, id, ledger = books
    (link,) = shop.rows(schema.document_link, document_id=id)

    def tell(name: str) -> None:
        shop.engine.receive_webhook(link["app_id"], {}, f"{name} pay_1 payment".encode())
        shop.run()

    tell("before anything is known".replace(" ", "-"))
    look(shop, ledger, id, ("pay_1", "10", "0"))
    assert {row["state"] for row in shop.rows(schema.inbox)} == {"worked"}
    ledger.receipts, ledger.paid = [Receipt("pay_1", Decimal(10), Decimal(4))], Decimal(6)
    tell("given-back")
    assert money_back(shop, id) == Decimal(4)
    assert {row["state"] for row in shop.rows(schema.inbox)} == {"worked"}
    assert problems_of(shop.engine) == []


def test_what_was_paid_back_elsewhere_leaves_what_comes_there_whole(books: tuple[Shop, str, Ledger]):
    shop, id, ledger = books
    look(shop, ledger, id, ("pay_1", "6", "0"))
    (payment,) = shop.get(id).payments
    shop.ns.refunds.record(payment.id, "1")
    look(shop, ledger, id, ("pay_1", "6", "0"), ("pay_2", "4", "0"))
    assert shop.get(id).invoice.amount_paid == Decimal(10)


def test_a_refused_note_that_stands_there_under_an_id_is_no_other_money(books: tuple[Shop, str, Ledger]):
    shop, id, ledger = books
    pay(shop, id, "10")
    look(shop, ledger, id, ("pay_1", "10", "0"))
    look(shop, ledger, id, ("pay_1", "10", "0"))
    assert (money(shop, id), len(standing(shop, id))) == ((Decimal(10), NOTHING), 1)


@pytest.mark.parametrize("has_id", [True, False])
def test_what_the_books_told_and_a_person_took_back_counts_anew_only_where_it_is_entered_anew(
    books: tuple[Shop, str, Ledger], has_id: bool
):
    shop, id, ledger = books

    def show(name: str, amount: str) -> None:
        shown = [(name, amount, "0")] if has_id and amount != "0" else []
        look(shop, ledger, id, *shown, nameless="0" if has_id else amount)

    show("pay_1", "4")
    (payment,) = shop.get(id).payments
    shop.ns.invoices.take_back_payment(id, payment.id, reason="It was for another invoice.")
    shop.run()
    for _ in range(2):
        assert (money(shop, id), shop.issue_codes(id)) == ((NOTHING, Decimal(10)), ["recorded_payment_taken_back"])
        assert f"still shows payment {'pay_1' if has_id else payment.id} over 4" in shop.get(id).issues[0].message
        show("pay_1", "4")
    show("pay_1", "0")
    assert (money(shop, id), shop.issue_codes(id)) == ((NOTHING, Decimal(10)), [])
    show("pay_2", "4")
    assert (money(shop, id), shop.issue_codes(id)) == ((Decimal(4), Decimal(6)), [])
    assert problems_of(shop.engine) == []


def test_of_two_that_the_books_told_the_other_one_stays(books: tuple[Shop, str, Ledger]):
    shop, id, ledger = books
    look(shop, ledger, id, ("pay_1", "4", "0"), ("pay_2", "4", "0"))
    payment = next(each for each in shop.get(id).payments if each.external_id == "pay_1")
    shop.ns.invoices.take_back_payment(id, payment.id, reason="It was for another invoice.")
    shop.run()
    look(shop, ledger, id, ("pay_1", "4", "0"), ("pay_2", "4", "0"))
    assert (money(shop, id), shop.issue_codes(id)) == ((Decimal(4), Decimal(6)), ["recorded_payment_taken_back"])
    look(shop, ledger, id, ("pay_2", "4", "0"))
    assert (money(shop, id), shop.issue_codes(id)) == ((Decimal(4), Decimal(6)), [])


@pytest.mark.parametrize("amounts", [("0", "0"), ("-1", "0"), ("1", "2"), ("1", "-1")])
def test_a_receipt_that_can_not_be_is_refused(amounts: tuple[str, str]):
    with pytest.raises(ContractViolation, match="pay_1"):
        Receipt("pay_1", *map(Decimal, amounts))


def test_books_that_give_back_what_they_received_beside_a_collector_hide_no_new_money(a_shop_anywhere: OpenShop):
    ledger = Ledger()
    shop, id = a_shop_with(a_shop_anywhere, ledger, bank=True)
    look(shop, ledger, id, ("pay_1", "6", "2"))
    look(shop, ledger, id, ("pay_1", "6", "2"), ("pay_2", "4", "0"))
    assert (shop.get(id).invoice.amount_paid, money_back(shop, id)) == (Decimal(10), Decimal(2))
