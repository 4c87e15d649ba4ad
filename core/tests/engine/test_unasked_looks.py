"""Invoices that are owed are looked at in the books of their app though nobody told of anything: a webhook may have been lost."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from engine_kit import Shop, a_provider, answers, arrives, careful_draft, put
from ledger_kit import Ledger, a_shop_with, enter, read_webhook

from billhook.contract import (
    Batch,
    DocumentResult,
    Done,
    OperationRules,
    PaymentResult,
    PaymentStatus,
    Pending,
    RateLimit,
    Rejected,
    Snapshot,
)
from billhook.engine.context import Policy
from billhook.engine.work import Lane
from billhook.store import schema
from billhook.testing.invariants import problems_of

OpenShop = Callable[..., Shop]
AS_PAID = Done(Snapshot(True, "drafts-1", amount_paid=Decimal(10)))
DAY, TURN = timedelta(days=1), timedelta(hours=6)


def looks(shop: Shop, *, days: float) -> list[float]:
    """So much time passes. Returns when the books were looked at meanwhile, in days from its beginning."""
    began, known = shop.clock.now(), len(shop.wire.sent)
    shop.run()
    while shop.clock.now() < began + days * DAY:
        shop.turn(TURN.total_seconds())
    sent = list(zip(shop.wire.sent, shop.wire.sent_at, strict=True))[known:]
    return [round((at - began) / DAY, 2) for request, at in sent if request.url.endswith("/fetch")]


def in_the_fullest_minute(shop: Shop) -> int:
    looks = [
        at for request, at in zip(shop.wire.sent, shop.wire.sent_at, strict=True) if request.url.endswith("/fetch")
    ]
    return max(sum(start <= at < start + timedelta(minutes=1) for at in looks) for start in looks)


def wanted(shop: Shop) -> list[tuple[str, int]]:
    return [(row["operation"], row["lane"]) for row in shop.rows(schema.work)]


def test_money_that_nobody_told_of_is_found(a_shop_anywhere: OpenShop):
    ledger = Ledger()
    shop, id = a_shop_with(a_shop_anywhere, ledger, bank=False)
    ledger.paid = Decimal(10)
    assert (looks(shop, days=1), shop.status(id)) == ([1.0], "paid")
    assert (looks(shop, days=60), wanted(shop)) == ([], [])
    assert problems_of(shop.engine) == []


def test_looks_become_seldomer_until_a_week_lies_between_them(a_shop: OpenShop):
    shop, _ = a_shop_with(a_shop, Ledger(), bank=False)
    assert looks(shop, days=30) == [1.0, 2.0, 4.0, 8.0, 15.0, 22.0, 29.0]


def test_a_host_says_how_often(a_shop: OpenShop):
    policy = Policy(first_look=2 * TURN, longest_unseen=DAY)
    shop, _ = a_shop_with(lambda *providers: a_shop(*providers, policy=policy), Ledger(), bank=False)
    assert looks(shop, days=3) == [0.5, 1.0, 2.0, 3.0]


@pytest.mark.parametrize("end", ["void", "payment_uncollectible"])
def test_what_is_void_or_given_up_is_looked_at_once_more_at_most(a_shop: OpenShop, end: str):
    shop, id = a_shop_with(a_shop, Ledger(), bank=False)
    shop.ns.invoices.payment_status(id, end)
    assert looks(shop, days=40) in ([], [1.0])


def test_what_is_owed_again_is_looked_at_again(a_shop: OpenShop):
    ledger = Ledger()
    ledger.is_locked = False
    shop, id = a_shop_with(a_shop, ledger, bank=False)
    shop.ns.invoices.record_payment(id, "10")
    looks(shop, days=20)
    assert (looks(shop, days=20), shop.status(id)) == ([], "paid")
    (payment,) = shop.get(id).payments
    ledger.paid = Decimal(0)
    shop.ns.invoices.take_back_payment(id, payment.id, reason="Noted by mistake.")
    assert looks(shop, days=15) == [7.0, 14.0]


def test_a_webhook_is_read_at_once_and_not_put_off(a_shop_anywhere: OpenShop):
    """Also where the invoice moves before the look: what somebody asked for is done as they asked."""
    ledger = Ledger()
    shop, id = a_shop_with(a_shop_anywhere, ledger, bank=False)
    (link,) = shop.rows(schema.document_link, document_id=id)
    shop.engine.receive_webhook(link["app_id"], {}, f"evt-1 {link['external_id']}".encode())
    shop.ns.invoices.payment_status(id, "payment_failed")
    assert wanted(shop) == [("fetch", Lane.WEBHOOK)]
    ledger.paid = Decimal(10)
    assert (looks(shop, days=0), shop.status(id)) == ([0.0], "paid")


def test_a_webhook_starts_the_wait_anew(a_shop: OpenShop):
    ledger = Ledger()
    shop, id = a_shop_with(a_shop, ledger, bank=False)
    assert looks(shop, days=0.75) == []
    enter(shop, ledger, id, "4")
    assert looks(shop, days=3) == [1.0, 2.75]


def test_a_look_that_is_refused_is_made_again_another_day(a_shop: OpenShop):
    refusals = [Rejected.because("no_access", "You may not read this.")]

    def fetch(self: Any, batch: Batch[Any, Any]) -> Any:
        yield put("fetch", batch, "fetch", safe=True, key=None)
        return {batch.only.id: refusals.pop() if refusals else AS_PAID}

    shop, id = an_unpaid_invoice(a_shop, fetch)
    assert (looks(shop, days=1), shop.status(id)) == ([1.0], "payment_processing.pending")
    assert (looks(shop, days=2), shop.status(id)) == ([1.0], "paid")


def test_books_that_are_away_for_long_are_looked_at_when_they_are_back(a_shop: OpenShop):
    def fetch(self: Any, batch: Batch[Any, Any]) -> Any:
        yield put("fetch", batch, "fetch", safe=True, key=None)
        return {batch.only.id: AS_PAID}

    shop, id = an_unpaid_invoice(a_shop, fetch)
    shop.wire.otherwise = answers(503)
    assert (len(looks(shop, days=3)) > 3, shop.status(id)) == (True, "payment_processing.pending")
    shop.wire.otherwise = arrives
    looks(shop, days=8)
    assert shop.status(id) == "paid"
    assert problems_of(shop.engine) == []


def an_unpaid_invoice(open_shop: OpenShop, fetch: Callable[..., Any]) -> tuple[Shop, str]:
    shop = open_shop(a_provider(sync_draft=a_draft, fetch=fetch, read_webhook=read_webhook))
    id = shop.submit()
    shop.run()
    return shop, id


def a_draft(self: Any, batch: Batch[Any, Any]) -> Any:
    yield put("put", batch)
    return {batch.only.id: Done(DocumentResult("drafts-1"))}


@pytest.mark.parametrize(
    "outcome, stands, expected",
    [
        (Done(PaymentResult(PaymentStatus.SUCCEEDED, Decimal(10), "pay-1")), "paid", []),
        (Pending("It takes days."), "payment_processing.pending", []),
        (Rejected.because("card_declined", "No."), "payment_processing.failed", [1.0, 2.0]),
    ],
)
def test_what_an_app_collects_is_looked_at_in_the_books_once_that_failed(
    a_shop: OpenShop, outcome: Any, stands: str, expected: list[float]
):
    def collect(self: Any, batch: Batch[Any, Any]) -> Any:
        yield put("collect", batch, "collect")
        return {batch.only.id: outcome}

    shop, _ = a_shop_with(a_shop, Ledger(), bank=False, collect_payment=collect, ends=stands)
    assert looks(shop, days=2) == expected


def test_an_app_that_answers_by_itself_is_not_asked(a_shop: OpenShop):
    def fetch(self: Any, batch: Batch[Any, Any]) -> Any:
        raise AssertionError("nobody knows more there")

    shop = a_shop(a_provider(fetch=fetch, rules={"fetch": OperationRules(local=True)}))
    shop.submit()
    shop.run()
    assert wanted(shop) == []


def test_what_somebody_wants_goes_first(a_shop: OpenShop):
    shop, _ = a_shop_with(a_shop, Ledger(), bank=False)
    shop.clock.advance(2 * DAY)
    shop.submit()
    shop.run()
    later = [request.url.rpartition("/")[2] for request in shop.wire.sent[1:]]
    assert later == ["drafts", "fetch"]


def test_a_customer_whose_invoice_was_paid_elsewhere_can_be_erased(a_shop_anywhere: OpenShop):
    ledger = Ledger()
    ledger.is_locked = False
    shop, id = a_shop_with(a_shop_anywhere, ledger, bank=False)
    shop.ns.invoices.record_payment(id, "10")
    shop.run()
    assert wanted(shop) == [("fetch", Lane.UNASKED)]
    shop.ns.erase_customer(shop.get(id).invoice.customer.id)
    assert wanted(shop) == []
    assert problems_of(shop.engine) == []


def two_quarters_of_looks(open_shop: OpenShop, *, drafts_a_minute: int) -> tuple[list[int], int, bool]:
    """Ten invoices are due for a look at an app that takes ten requests a minute. Returns how many looks there were by the end of each of two
    quarters of an hour, a day apart, how many in the fullest minute, and whether each new draft was sent at once."""

    def fetch(self: Any, batch: Batch[Any, Any]) -> Any:
        yield put("fetch", batch, "fetch", safe=True, key=None)
        return {batch.only.id: Done(Snapshot(True, batch.only.external_id))}

    rules = {name: OperationRules(concurrency=4) for name in ("sync_draft", "fetch")}
    limit = RateLimit(name="calls", calls=10, per=timedelta(minutes=1))
    policy = Policy(first_look=DAY, longest_unseen=30 * DAY)
    shop = open_shop(a_provider(sync_draft=careful_draft, fetch=fetch, limits=[limit], rules=rules), policy=policy)
    shop.ns.invoices.submit_many([shop.draft() for _ in range(10)])
    shop.run()
    looked, stood = [], set()
    for _ in range(2):
        shop.clock.advance(DAY)
        for _ in range(15):
            new = shop.ns.invoices.submit_many([shop.draft() for _ in range(drafts_a_minute)])
            shop.run()
            stood |= {shop.status(id) for id in new}
            for _ in range(6):
                shop.turn(10)
        looked.append(len(shop.wire.to("fetch")))
    return looked, in_the_fullest_minute(shop), stood == {"payment_processing.pending"}


def test_looks_leave_room_in_a_limit_for_what_somebody_asks_for(a_shop: OpenShop):
    looked, in_a_minute, at_once = two_quarters_of_looks(a_shop, drafts_a_minute=4)
    assert (looked[0] >= 10, in_a_minute <= 5, at_once) == (True, True, True)


def test_where_half_of_a_limit_is_always_used_looks_are_made_once_they_are_late(a_shop: OpenShop):
    looked, in_a_minute, _ = two_quarters_of_looks(a_shop, drafts_a_minute=6)
    assert (looked[0] <= 1, looked[1] >= 10, in_a_minute <= 4) == (True, True, True)
