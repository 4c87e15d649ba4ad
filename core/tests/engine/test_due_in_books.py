"""Books that ask another amount of the customer than is owed here: a person is told, once it is sure and until they ask for the same."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from engine_kit import Shop, documents, look_up, lost_after, put, repeat
from ledger_kit import Ledger, a_shop_with, enter, pay
from money_kit import a_note, credit

from billhook.contract import Batch, DocumentResult, Done, ProviderTotals, Receipt
from billhook.engine.standing import standing_of
from billhook.engine.work import Lane
from billhook.errors import Conflict, InvalidInput, NotAllowed
from billhook.store import schema
from billhook.testing.invariants import problems_of

OpenShop = Callable[..., Shop]


class Books:
    """An invoice over 10.00 that was issued in books."""

    def __init__(self, open_shop: OpenShop, **hooks: Any) -> None:
        self.ledger = Ledger()
        self.ledger.is_locked = False
        self.shop, self.id = a_shop_with(open_shop, self.ledger, bank=False, **{"credit": credit, **hooks})

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
    assert issue.message.startswith("Books asks 4.00 EUR less of the customer for drafts-1 than is owed: somebody")
    standing = standing_of(books.shop.engine.context, books.shop.namespace)
    assert (standing.otherwise_in_books, standing.needs_a_person) == (1, True)
    books.ask("10")
    assert books.codes == []
    assert problems_of(books.shop.engine) == []


def test_a_credit_note_that_was_made_there_counts_once_it_is_noted(books: Books):
    books.ask("6")
    books.wait()
    made_there = a_note(books.shop, "4", books.id, number="CN-0007", external_id="memo-7", key="goodwill")
    ids = {books.shop.ns.credit_notes.submit(made_there).id for _ in range(2)}
    books.shop.run()
    (note,) = (books.shop.ns.credit_notes.get(id) for id in ids)
    assert (note.status, note.number, note.amount_credited) == ("issued", "CN-0007", Decimal(4))
    assert (books.codes, books.shop.get(books.id).invoice.amount_due) == ([], Decimal(6))
    assert [row["external_id"] for row in books.shop.rows(schema.document_link, kind="credit_note")] == ["memo-7"]
    assert books.shop.wire.to("credit") == []
    assert problems_of(books.shop.engine) == []


def test_a_credit_note_of_the_rest_pays_the_invoice(books: Books):
    books.shop.ns.credit_notes.submit(a_note(books.shop, "12", books.id, number="CN-7", external_id="memo-7"))
    assert books.shop.status(books.id) == "paid"


def test_a_credit_note_that_can_not_stand_there_is_refused_and_nothing_is_stored(books: Books):
    submit = books.shop.ns.credit_notes.submit
    there = a_note(books.shop, "4", books.id, number="CN-7", external_id="memo-7")
    for missing in ("number", "credited_invoice_id"):
        with pytest.raises(InvalidInput, match="state number and credited_invoice_id"):
            submit({**there, missing: None})
    with pytest.raises(InvalidInput, match="Only a credit note may stand"):
        books.shop.ns.invoices.submit(books.shop.draft(external_id="memo-7"))
    draft = books.shop.submit(workflow={"auto_advance": False})
    books.shop.run()
    with pytest.raises(NotAllowed, match="does not stand at Books"):
        submit({**there, "credited_invoice_id": draft})
    assert books.shop.rows(schema.credit_note) == []
    submit(there)
    for copied in ("memo-7", " memo-7\n"):
        with pytest.raises(Conflict, match=r"memo-7 at Books is credit note .*, and counts already"):
            submit({**there, "key": "another", "external_id": copied})
    with pytest.raises(InvalidInput, match="at least 1 character"):
        submit({**there, "key": "blank", "external_id": "  "})
    with pytest.raises(Conflict, match="memo-8 at Books"):
        books.shop.ns.credit_notes.submit_many([{**there, "external_id": "memo-8", "key": key} for key in "ab"])
    assert len(books.shop.rows(schema.credit_note)) == 1


def test_a_credit_note_that_is_put_against_nothing_there_is_told_of(books: Books):
    books.credit("4")
    books.ask("10")
    assert (books.codes, books.wait()) == ([], ["more_due_in_books"])
    assert "asks 4.00 EUR more of the customer for drafts-1 than is owed" in books.shop.get(books.id).issues[0].message
    books.ask("6")
    assert books.codes == []


def test_one_look_alone_tells_nothing_for_it_may_be_older_than_what_is_known(books: Books):
    books.ask("6")
    books.wait(5)
    books.ask("7")
    assert books.wait(8) == []
    assert books.wait(8) == ["less_due_in_books"]
    assert "3.00 EUR less" in books.shop.get(books.id).issues[0].message


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


@pytest.mark.parametrize("movement", ["another payment", "nothing"])
def test_what_was_found_right_is_not_told_anew_for_a_payment(books: Books, movement: str):
    books.ask("6")
    books.wait(5)
    if movement == "another payment":
        books.ask("3", "3")
    assert books.wait(6) == ["less_due_in_books"]  # two looks agree on what is missing, whatever is asked
    books.shop.ns.invoices.dismiss(books.id, "less_due_in_books", reason="They were given a discount.")
    books.ask("2", "4")
    assert books.wait() == []
    books.ask("1", "4")
    assert books.wait() == ["less_due_in_books"]


@pytest.mark.parametrize("end", ["written off", "gone there"])
def test_a_difference_is_told_of_no_more_once_nothing_is_asked(a_shop: OpenShop, end: str):
    books = Books(a_shop)
    books.ask("6")
    books.wait()
    if end == "written off":
        books.shop.ns.invoices.payment_status(books.id, "payment_uncollectible")
        assert books.codes == []
    else:
        books.ledger.is_gone = True
        books.ask("6")
        assert books.codes == ["gone_from_books"]


def test_books_that_lack_refused_money_have_room_for_the_rest_of_a_credit_note(books: Books):
    books.ledger.is_locked = True
    pay(books.shop, books.id, "10")
    books.credit("4")
    books.ask("6")
    assert books.wait() == ["date_locked"]
    books.ask("5")
    assert books.wait() == ["date_locked", "less_due_in_books"]
    assert "1.00 EUR less" in books.shop.get(books.id).issues[-1].message


def test_what_is_left_of_a_credit_note_counts_once_it_is_put_against_its_invoice_there(a_shop_anywhere: OpenShop):
    books = Books(a_shop_anywhere)
    shop, notes = books.shop, books.shop.ns.credit_notes
    pay(shop, books.id, "10")
    note = notes.submit(a_note(shop, "4", books.id))
    with pytest.raises(NotAllowed, match="only one that is issued"):
        notes.allocate(note.id)
    shop.run()
    with pytest.raises(NotAllowed, match="owes nothing"):
        notes.allocate(note.id)
    shop.ns.invoices.take_back_payment(books.id, shop.get(books.id).payments[0].id, reason="It came for another.")
    shop.run()
    books.ask("6", "0")
    assert "less_due_in_books" in books.wait()
    told = [issue.message for issue in shop.get(books.id).issues if issue.code == "less_due_in_books"]
    assert f"billhook credit-notes allocate {note.id}." in told[0]
    assert [notes.allocate(note.id).amount_credited for _ in range(2)] == [Decimal(4)] * 2
    assert shop.get(books.id).invoice.amount_due == Decimal(6)
    shop.run()
    assert "less_due_in_books" not in books.codes
    assert problems_of(shop.engine) == []


def test_nothing_more_is_put_against_an_invoice_that_is_void(books: Books):
    shop, notes = books.shop, books.shop.ns.credit_notes
    pay(shop, books.id, "10")
    note = notes.submit(a_note(shop, "4", books.id))
    shop.run()
    shop.ns.invoices.take_back_payment(books.id, shop.get(books.id).payments[0].id, reason="It came for another.")
    shop.ns.invoices.void(books.id)
    shop.run()
    with pytest.raises(NotAllowed, match=f"is voided, so nothing more of credit note {note.id}"):
        notes.allocate(note.id)
    assert shop.get(books.id).invoice.amount_credited == 0


def credit_or_look(self: Any, batch: Batch[Any, Any]) -> Any:
    """It is looked for where no answer came."""
    reply = yield put("credit", batch, "credits", recover=(look_up(self, batch, "credits", after=600),))
    return documents(batch, reply)


def test_a_credit_note_that_somebody_noted_while_ours_was_under_way_counts_once(a_shop_anywhere: OpenShop):
    books = Books(a_shop_anywhere, credit=credit_or_look)
    shop, notes = books.shop, books.shop.ns.credit_notes
    shop.wire.plan(lost_after, to="credits")
    ours = notes.submit(a_note(shop, "4", books.id))
    shop.run()
    _, (_, there) = shop.books.documents
    noted = notes.submit(a_note(shop, "4", books.id, number="CN-7", external_id=there))
    shop.run_for(900)
    assert shop.get(books.id).invoice.amount_credited == 4
    assert [notes.get(note.id).status for note in (ours, noted)] == ["failed", "issued"]
    (issue,) = notes.issues(ours.id)
    assert (issue.code, f"is credit note {noted.id}, and counts already" in issue.message) == (
        "credit_note_known",
        True,
    )
    notes.void(ours.id)
    assert problems_of(shop.engine) == []


def credit_otherwise(self: Any, batch: Batch[Any, Any]) -> Any:
    """The note stands there over another amount."""
    yield put("credit", batch, "credits", recover=(repeat(),))
    return {batch.only.id: Done(DocumentResult("memo-7", totals=ProviderTotals(total=Decimal("3.99"))))}


def test_a_credit_note_that_failed_here_leaves_its_id_once_it_is_given_up(a_shop: OpenShop):
    books = Books(a_shop, credit=credit_otherwise)
    shop, notes = books.shop, books.shop.ns.credit_notes
    stands = a_note(shop, "4", books.id, number="CN-7", external_id="memo-7", key="there")
    failed = notes.submit(a_note(shop, "4", books.id, key="refused"))
    shop.run()
    with pytest.raises(Conflict, match=f"memo-7 at Books is credit note {failed.id}, which failed. Give that one up"):
        notes.submit(stands)
    notes.void(failed.id)
    assert notes.submit(stands).status == "issued"
    with pytest.raises(Conflict, match="and counts already"):
        notes.submit({**stands, "key": "again"})


def test_books_are_looked_at_after_a_credit_note_though_the_invoice_is_paid_and_nobody_tells(a_shop: OpenShop):
    books = Books(a_shop)
    books.ledger.due = Decimal(10)
    books.credit("10")
    assert books.shop.status(books.id) == "paid"
    assert [row["lane"] for row in books.shop.rows(schema.work)] == [Lane.UNASKED]
    books.shop.turn(timedelta(days=1).total_seconds())
    assert (books.codes, books.wait()) == ([], ["more_due_in_books"])
    books.ledger.due = Decimal(0)
    assert books.shop.rows(schema.work) == []
