"""Invoices that were issued with other amounts than ours: a retry looks at what stands there, and makes no second one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from engine_kit import Shop, a_provider, careful_draft, put, repeat

from billhook.contract import Batch, DocumentResult, Done, ProviderTotals, Snapshot
from billhook.testing.invariants import problems_of

OpenShop = Callable[..., Shop]
PENDING, FAILED = "payment_processing.pending", "issuing.failed"
OURS, THEIRS = ProviderTotals(total=Decimal("10.00")), ProviderTotals(total=Decimal("9.99"))
STANDS = Snapshot(True, "inv-1", "INV-1", totals=THEIRS)


class Books:
    """They issue over a cent less, until somebody ``mends`` them, and show what somebody set."""

    def __init__(
        self, open_shop: OpenShop, *, can_look: bool = True, drafts: bool = False, mirrored: bool = False
    ) -> None:
        self.totals, self.shows = THEIRS, STANDS
        self.told: list[str | None] = []
        hooks = {"issue": self._issue()} | ({"fetch": self._fetch()} if can_look else {})
        hooks |= {"sync_draft": careful_draft} if drafts else {}
        self.shop = open_shop(a_provider(**hooks))
        self.id = self.shop.ns.invoices.submit(self.shop.draft(), mirrored=mirrored).id
        self.shop.run()
        if mirrored:
            self.approve()
        assert (self.shop.status(self.id), self.shop.issue_codes(self.id)) == (FAILED, ["totals_differ"])

    def _issue(self) -> Any:
        def issue(_: Any, batch: Batch[Any, Any]) -> Any:
            yield put("issue", batch, "issue", recover=(repeat(),))
            self.told.append(batch.only.external_id)
            return {batch.only.id: Done(DocumentResult(f"inv-{len(self.told)}", "INV-1", totals=self.totals))}

        return issue

    def _fetch(self) -> Any:
        def fetch(_: Any, batch: Batch[Any, Any]) -> Any:
            yield put("fetch", batch, "fetch", safe=True, key=None)
            return {batch.only.id: Done(self.shows)}

        return fetch

    def approve(self) -> None:
        self.shop.ns.invoices.approve(self.id)
        self.shop.run()

    def retry(self) -> str:
        self.shop.ns.invoices.retry(self.id)
        self.shop.run()
        return self.shop.status(self.id)

    @property
    def issued(self) -> int:
        return len(self.shop.operations("issue"))


def test_what_stands_there_is_looked_at_and_not_issued_again(a_shop_anywhere: OpenShop):
    books = Books(a_shop_anywhere)
    assert (
        "It is issued there, as inv-1. Put that right or make it void there"
        in books.shop.get(books.id).issues[0].message
    )
    books.totals = OURS
    assert [books.retry() for _ in range(2)] == [FAILED, FAILED]
    assert (books.issued, books.shop.issue_codes(books.id)) == (1, ["totals_differ"])
    assert problems_of(books.shop.engine) == []


def test_what_changed_here_meanwhile_makes_no_second_there(a_shop_anywhere: OpenShop):
    books = Books(a_shop_anywhere)
    books.totals = OURS
    (jane,) = books.shop.ns.customers.list().items
    books.shop.ns.customers.update(jane.id, name="Jane Roe")
    assert (books.retry(), books.issued) == (FAILED, 1)
    assert books.shop.get(books.id).invoice.revision > 1
    books.shows = replace(STANDS, totals=OURS)
    assert (books.retry(), books.issued) == (PENDING, 1)


@pytest.mark.parametrize("drafts, ends, issued", [(True, PENDING, 2), (False, FAILED, 1)])
def test_what_upstream_changed_is_issued_anew_where_its_draft_was_taken(
    a_shop: OpenShop, drafts: bool, ends: str, issued: int
):
    books = Books(a_shop, drafts=drafts, mirrored=True)
    books.totals = OURS
    books.shop.ns.invoices.update(books.id, {"description": "as agreed"})
    books.shop.run()
    books.approve()
    assert (books.shop.status(books.id), books.issued) == (ends, issued)
    assert problems_of(books.shop.engine) == []


def test_what_somebody_put_right_there_is_issued(a_shop_anywhere: OpenShop):
    books = Books(a_shop_anywhere)
    books.shows = replace(STANDS, totals=OURS)
    assert (books.retry(), books.issued, books.shop.issue_codes(books.id)) == (PENDING, 1, [])
    assert books.shop.get(books.id).invoice.number == "INV-1"
    assert problems_of(books.shop.engine) == []


@pytest.mark.parametrize("drafts", [True, False])
@pytest.mark.parametrize("seen", [Snapshot(found=False), replace(STANDS, voided=True)], ids=["gone", "void"])
def test_what_somebody_took_away_there_is_issued_anew(a_shop_anywhere: OpenShop, seen: Snapshot, drafts: bool):
    books = Books(a_shop_anywhere, drafts=drafts)
    books.shows, books.totals = seen, OURS
    assert (books.retry(), books.issued, books.shop.issue_codes(books.id)) == (PENDING, 2, [])
    assert (books.told[-1], books.shop.causes(books.id).count("issue.gone")) == ("inv-1" if drafts else None, 1)
    assert problems_of(books.shop.engine) == []


def test_what_is_issued_anew_with_other_amounts_is_looked_at_again(a_shop: OpenShop):
    books = Books(a_shop)
    books.shows = Snapshot(found=False)
    assert (books.retry(), books.issued) == (FAILED, 2)
    books.shows = replace(STANDS, external_id="inv-2", totals=OURS)
    assert (books.retry(), books.issued) == (PENDING, 2)


def test_an_app_that_can_not_be_looked_at_is_told_what_stands_there(a_shop: OpenShop):
    books = Books(a_shop, can_look=False)
    books.totals = OURS
    assert (books.retry(), books.told) == (PENDING, [None, "inv-1"])
