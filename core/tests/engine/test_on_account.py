"""Payments of which the books put only a part against the invoice: the rest stands on account there, and the invoice does not show it."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest
from engine_kit import Shop
from ledger_kit import Ledger, a_shop_with, enter, pay
from money_kit import money

from billhook.contract import PaymentResult, PaymentStatus, Receipt
from billhook.errors import ContractViolation
from billhook.testing.invariants import problems_of

OpenShop = Callable[..., Shop]


class Open(Ledger):
    """Nobody locked these."""

    def __init__(self, takes: str) -> None:
        super().__init__()
        self.is_locked = False
        self.takes = Decimal(takes)


def books_that_take(open_shop: OpenShop, takes: str, *, bank: bool = True) -> tuple[Shop, str, Open]:
    ledger = Open(takes)
    shop, id = a_shop_with(open_shop, ledger, bank=bank)
    return shop, id, ledger


def look(shop: Shop, ledger: Ledger, id: str, paid: str, **receipts: str) -> None:
    """The books show so much as paid, by these payments."""
    ledger.paid = Decimal(paid)
    named = {each.id: f"noted-{each.id}" for each in shop.get(id).payments[:1]}
    ours = next(iter(named.values()))
    ledger.receipts = [Receipt(ours if name == "ours" else name, Decimal(amount)) for name, amount in receipts.items()]
    enter(shop, ledger, id, "0")


@pytest.mark.parametrize("bank", [True, False], ids=["at a bank", "at the books' app"])
@pytest.mark.parametrize("receipts", [{}, {"ours": "6", "theirs": "4"}], ids=["a sum", "one by one"])
def test_what_was_entered_there_before_our_note_is_money_of_its_own(
    a_shop_anywhere: OpenShop, bank: bool, receipts: dict[str, str]
):
    shop, id, ledger = books_that_take(a_shop_anywhere, "10", bank=bank)
    ledger.paid = Decimal(4)
    pay(shop, id, "10")
    for _ in range(2):
        look(shop, ledger, id, "10", **receipts)
    assert sorted(each.amount_received for each in shop.get(id).payments) == [4, 10]
    assert (shop.status(id), money(shop, id)[0], shop.issue_codes(id)) == ("paid", Decimal(14), ["overpaid"])
    assert problems_of(shop.engine) == []


def test_what_stood_on_account_and_is_put_against_the_invoice_is_no_other_money(a_shop: OpenShop):
    shop, id, ledger = books_that_take(a_shop, "8")
    pay(shop, id, "10")
    look(shop, ledger, id, "8", ours="8")
    assert (money(shop, id)[0], shop.issue_codes(id)) == (Decimal(10), [])
    look(shop, ledger, id, "10", ours="10")
    look(shop, ledger, id, "12", ours="10", theirs="2")
    assert sorted(each.amount_received for each in shop.get(id).payments) == [2, 10]
    assert problems_of(shop.engine) == []


def test_books_without_a_payment_that_was_taken_back_are_right_again(a_shop: OpenShop):
    shop, id, ledger = books_that_take(a_shop, "8")
    pay(shop, id, "10")
    (payment,) = shop.get(id).payments
    shop.ns.invoices.take_back_payment(id, payment.id, reason="It never came.")
    shop.run()
    assert shop.issue_codes(id) == ["recorded_payment_taken_back"]
    look(shop, ledger, id, "0")
    assert shop.issue_codes(id) == []


@pytest.mark.parametrize(
    "back, left, told", [("10", "0", []), ("2", "6", []), ("2", "7", ["less_in_books", "refund_not_in_books"])]
)
def test_a_refund_is_in_the_books_once_the_invoice_shows_it_as_far_as_it_shows_the_payment(
    a_shop: OpenShop, back: str, left: str, told: list[str]
):
    shop, id, ledger = books_that_take(a_shop, "8")
    pay(shop, id, "10")
    (payment,) = shop.get(id).payments
    shop.ns.refunds.record(payment.id, back)
    shop.run()
    assert shop.issue_codes(id) == ["refund_not_in_books"]
    look(shop, ledger, id, left)
    assert sorted(shop.issue_codes(id)) == told
    assert problems_of(shop.engine) == []


def test_a_refund_of_what_the_books_never_took_is_nothing_to_be_entered_there(a_shop: OpenShop):
    ledger = Ledger()
    shop, id = a_shop_with(a_shop, ledger, bank=True)
    pay(shop, id, "12")
    enter(shop, ledger, id, "10")
    (payment,) = shop.get(id).payments
    for amount, told in (("2", []), ("1", ["refund_not_in_books"])):
        shop.ns.refunds.record(payment.id, amount)
        shop.run()
        assert shop.issue_codes(id) == told
    assert "of which 1 went back" in shop.get(id).issues[0].message
    enter(shop, ledger, id, "-1")
    assert shop.issue_codes(id) == []
    assert problems_of(shop.engine) == []


@pytest.mark.parametrize("on_account", ["-1", "11"])
def test_more_on_account_than_there_is_is_refused(on_account: str):
    with pytest.raises(ContractViolation, match="on account"):
        PaymentResult(PaymentStatus.SUCCEEDED, Decimal(10), on_account=Decimal(on_account))
