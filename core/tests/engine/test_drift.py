"""Documents that somebody made void, took away or changed in the books: a person is told until they stand as they were issued."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from engine_kit import Shop, a_provider, careful_draft, put, repeat
from ledger_kit import read_webhook

from billhook.contract import Batch, DocumentResult, Done, ProviderTotals, RemovalResult, Snapshot
from billhook.engine.invoice_filter import InvoiceFilter
from billhook.engine.standing import standing_of
from billhook.errors import NotAllowed
from billhook.testing.invariants import problems_of

OpenShop = Callable[..., Shop]
AS_ISSUED = Snapshot(True, "inv-1", "INV-1", totals=ProviderTotals(total=Decimal("10.00")))
OTHERWISE = {
    "gone_from_books": Snapshot(found=False),
    "voided_in_books": replace(AS_ISSUED, voided=True, totals=ProviderTotals(total=Decimal(0))),
    "changed_in_books": replace(AS_ISSUED, totals=ProviderTotals(total=Decimal("12.50"))),
}
RENUMBERED = replace(AS_ISSUED, number="INV-7")


class Books:
    """An invoice that was issued in books, what those show of it now, and the shop that it came from."""

    def __init__(self, open_shop: OpenShop) -> None:
        self.shows = AS_ISSUED
        self.told = 0
        hooks = {"issue": issue, "void": void, "fetch": self._fetch(), "read_webhook": read_webhook}
        self.shop = open_shop(a_provider(sync_draft=careful_draft, **hooks))
        self.id = self.shop.submit()
        self.shop.run()
        assert self.shop.status(self.id) == "payment_processing.pending"

    def _fetch(self) -> Any:
        def fetch(_: Any, batch: Batch[Any, Any]) -> Any:
            yield put("fetch", batch, "fetch", safe=True, key=None)
            return {batch.only.id: Done(self.shows)}

        return fetch

    def show(self, seen: Snapshot) -> list[str]:
        """The books tell that something changed. Returns what is told of it here."""
        self.shows = seen
        self.told += 1
        self.shop.engine.receive_webhook(self.shop.app.id, {}, f"evt-{self.told} inv-1".encode())
        self.shop.run()
        return self.codes

    def turn(self, hours: int) -> int:
        """So much time passes. Returns how often the books were looked at meanwhile."""
        before = len(self.shop.operations("fetch"))
        for _ in range(hours):
            self.shop.turn(timedelta(hours=1).total_seconds())
        return len(self.shop.operations("fetch")) - before

    @property
    def codes(self) -> list[str]:
        return list(self.shop.issue_codes(self.id))

    @property
    def counted(self) -> tuple[int, list[str]]:
        """How many invoices the namespace says stand otherwise there, and which it lists."""
        listed = self.shop.ns.invoices.list(InvoiceFilter(not_in_books=True)).items
        return standing_of(self.shop.engine.context, self.shop.namespace).otherwise_in_books, [
            view.id for view in listed
        ]


def issue(self: Any, batch: Batch[Any, Any]) -> Any:
    yield put("issue", batch, "issue", recover=(repeat(),))
    return {batch.only.id: Done(DocumentResult("inv-1", "INV-1", totals=AS_ISSUED.totals))}


def void(self: Any, batch: Batch[Any, Any]) -> Any:
    yield put("void", batch, "void", recover=(repeat(),))
    return {batch.only.id: Done(RemovalResult("inv-1"))}


@pytest.mark.parametrize("code", OTHERWISE)
def test_what_somebody_did_to_a_document_is_told_of_until_it_stands_as_it_was(a_shop_anywhere: OpenShop, code: str):
    books = Books(a_shop_anywhere)
    assert (books.show(AS_ISSUED), books.counted) == ([], (0, []))
    for _ in range(2):
        assert (books.show(OTHERWISE[code]), books.counted) == ([code], (1, [books.id]))
    (told,) = books.shop.get(books.id).issues
    assert (told.severity.value, books.shop.status(books.id)) == ("warning", "payment_processing.pending")
    assert (books.show(AS_ISSUED), books.counted) == ([], (0, []))
    assert problems_of(books.shop.engine) == []


def test_the_warning_names_both_figures_and_the_ways_out(a_shop: OpenShop):
    books = Books(a_shop)
    books.show(OTHERWISE["changed_in_books"])
    (changed,) = books.shop.get(books.id).issues
    assert "inv-1 otherwise than it was issued: the total is 10.00 here and 12.50 there" in changed.message
    assert f"billhook invoices dismiss {books.id} changed_in_books --reason WHY" in changed.message
    books.show(RENUMBERED)
    assert "the number is INV-1 here and INV-7 there" in books.shop.get(books.id).issues[0].message
    books.show(OTHERWISE["voided_in_books"])
    assert f"billhook invoices void {books.id}" in books.shop.get(books.id).issues[0].message


@pytest.mark.parametrize("code", ["voided_in_books", "gone_from_books"])
def test_of_a_paid_invoice_that_is_void_there_the_payment_is_taken_back_before_it_is_void_here(
    a_shop: OpenShop, code: str
):
    books = Books(a_shop)
    billing = books.shop.ns.invoices
    (noted,) = billing.record_payment(books.id, "10").payments
    books.show(OTHERWISE[code])
    (told,) = books.shop.get(books.id).issues
    taken_back = f"billhook invoices take-back {books.id} PAYMENT --reason WHY"
    assert f"{taken_back}; once no money is held for it: billhook invoices void {books.id}. " in told.message
    with pytest.raises(NotAllowed, match=taken_back):
        billing.void(books.id)
    billing.take_back_payment(books.id, noted.id, reason="It never came.")
    billing.void(books.id)
    assert (books.shop.status(books.id), books.codes) == ("voided", [])


def test_what_is_overdue_and_partly_paid_is_not_to_be_made_void(a_shop: OpenShop):
    books = Books(a_shop)
    books.shop.ns.invoices.record_payment(books.id, "4")
    books.shop.ns.invoices.payment_status(books.id, "payment_overdue")
    assert books.shop.status(books.id) == "overdue"
    books.show(OTHERWISE["voided_in_books"])
    assert "invoices void" not in books.shop.get(books.id).issues[0].message


def test_what_was_paid_and_went_back_is_not_to_be_made_void(a_shop: OpenShop):
    books = Books(a_shop)
    (noted,) = books.shop.ns.invoices.record_payment(books.id, "10").payments
    books.shop.ns.refunds.record(noted.id, "10")
    books.show(OTHERWISE["voided_in_books"])
    (told,) = books.shop.get(books.id).issues
    assert "invoices void" not in told.message
    books.shop.ns.invoices.dismiss(books.id, "voided_in_books", reason="It went back, so it is right.")
    assert books.codes == []


@pytest.mark.parametrize("code", OTHERWISE)
def test_one_more_look_is_made_by_itself_and_no_more(a_shop: OpenShop, code: str):
    books = Books(a_shop)
    books.show(OTHERWISE[code])
    assert (books.turn(hours=5), books.codes) == (1, [code])
    books.show(AS_ISSUED)
    books.show(OTHERWISE[code])
    books.shows = AS_ISSUED
    assert (books.turn(hours=5), books.codes) == (1, [])


def test_what_a_person_has_dealt_with_is_told_no_more_unless_it_changes_again(a_shop: OpenShop):
    books = Books(a_shop)
    books.show(OTHERWISE["changed_in_books"])
    books.shop.ns.invoices.dismiss(books.id, "changed_in_books", reason="A surcharge was agreed.")
    assert books.show(OTHERWISE["changed_in_books"]) == []
    assert books.turn(hours=5) <= 1
    assert books.show(RENUMBERED) == ["changed_in_books"]


@pytest.mark.parametrize("code", ["voided_in_books", "gone_from_books"])
def test_an_invoice_that_is_made_void_here_too_is_right(a_shop_anywhere: OpenShop, code: str):
    books = Books(a_shop_anywhere)
    books.show(OTHERWISE[code])
    books.shop.ns.invoices.void(books.id)
    books.shop.run()
    assert (books.shop.status(books.id), books.codes, books.counted) == ("voided", [], (0, []))
    assert (books.show(OTHERWISE[code]), books.turn(hours=5)) == ([], 0)
    assert problems_of(books.shop.engine) == []
