"""Books that ask another amount of the customer than is owed here: a person is told, once it is sure and until they ask for the same."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest
from engine_kit import Shop
from ledger_kit import Ledger, a_shop_with, enter, pay
from money_kit import a_note, credit

from billhook.contract import Receipt
from billhook.engine.standing import standing_of
from billhook.testing.invariants import problems_of

OpenShop = Callable[..., Shop]


class Books:
    """An invoice over 10.00 that was issued in books."""

    def __init__(self, open_shop: OpenShop) -> None:
        self.ledger = Ledger()
        self.ledger.is_locked = False
        self.shop, self.id = a_shop_with(open_shop, self.ledger, bank=False, credit=credit)

    def ask(self, due: str, paid: str | None = None) -> None:
        """The books ask for that, and tell that something changed."""
        self.ledger.due = Decimal(due)
        self.ledger.paid = self.ledger.paid if paid is None else Decimal(paid)
        enter(self.shop, self.ledger, self.id, "0")

    def wait(self, minutes: int = 15) -> list[str]:
        """So much time passes. Returns what is told."""
        self.shop.run_for(timedelta(minutes=minutes).total_seconds())
        return self.codes

    @property
    def codes(self) -> list[str]:
        return list(self.shop.issue_codes(self.id))

    def credit(self, amount: str) -> None:
        """A credit note over that is issued, and the books say that they have it."""
        self.shop.ns.credit_notes.submit(a_note(self.shop, amount, self.id))
        self.shop.run()


@pytest.fixture
def books(a_shop: OpenShop) -> Books:
    return Books(a_shop)


def test_what_somebody_credited_there_is_told_of_until_it_is_undone(a_shop_anywhere: OpenShop):
    books = Books(a_shop_anywhere)
    books.ask("6")
    assert (books.codes, books.wait()) == ([], ["less_due_in_books"])
    (issue,) = books.shop.get(books.id).issues
    assert issue.message.startswith("Books asks 6 EUR of the customer for drafts-1, 4.00 less than is owed: somebody")
    standing = standing_of(books.shop.engine.context, books.shop.namespace)
    assert (standing.otherwise_in_books, standing.needs_a_person) == (1, True)
    books.ask("10")
    assert books.codes == []
    assert problems_of(books.shop.engine) == []


def test_a_credit_note_that_is_put_against_nothing_there_is_told_of(books: Books):
    books.credit("4")
    books.ask("10")
    assert (books.codes, books.wait()) == ([], ["more_due_in_books"])
    assert (
        "asks 10 EUR of the customer for drafts-1, 4.00 more than is owed" in books.shop.get(books.id).issues[0].message
    )
    books.ask("6")
    assert books.codes == []


def test_one_look_alone_tells_nothing_for_it_may_be_older_than_what_is_known(books: Books):
    books.ask("6")
    books.wait(5)
    books.ask("7")
    assert books.wait(8) == []
    assert books.wait(8) == ["less_due_in_books"]
    assert "3.00 less" in books.shop.get(books.id).issues[0].message


def test_what_was_found_right_may_stay_as_it_is(books: Books):
    books.ask("6")
    books.wait()
    books.shop.ns.invoices.dismiss(books.id, "less_due_in_books", reason="They were given a discount.")
    books.ask("6")
    assert books.wait() == []


def test_a_void_invoice_asks_for_nothing(books: Books):
    books.ask("6")
    books.wait()
    books.shop.ns.invoices.void(books.id)
    books.shop.run()
    books.ask("6")
    assert books.wait() == []


def test_what_is_uncollectible_may_be_written_off_there(books: Books):
    books.shop.ns.invoices.payment_status(books.id, "payment_uncollectible")
    books.ask("0")
    assert books.wait() == []


def test_money_that_comes_there_explains_what_is_asked(books: Books):
    for paid, due in (("4", "6"), ("7", "3"), ("10", "0")):
        books.ask(due, paid)
        assert books.wait() == []
    assert books.shop.status(books.id) == "paid"


@pytest.mark.parametrize("asks_again", [True, False])
def test_what_went_back_is_asked_for_again_or_not(books: Books, asks_again: bool):
    for back in ("0", "4"):
        books.ledger.receipts = [Receipt("pay_1", Decimal(10), Decimal(back))]
        books.ask(back if asks_again else "0", str(10 - Decimal(back)))
        assert books.wait() == []


def test_credits_and_payments_on_their_way_are_no_difference(books: Books):
    books.ledger.is_locked = True
    pay(books.shop, books.id, "4")
    books.credit("3")
    assert books.codes == ["date_locked"]
    books.ask("7")
    assert books.wait() == ["date_locked"]
    books.ask("3", "4")
    assert books.wait() == []


def test_books_that_do_not_say_what_they_ask_are_not_asked_again(books: Books):
    enter(books.shop, books.ledger, books.id, "0")
    asked = len(books.shop.wire.to("fetch"))
    assert (books.wait(60), len(books.shop.wire.to("fetch"))) == ([], asked)
