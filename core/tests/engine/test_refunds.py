"""Money given back: in part, once, and never more than came."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest
from engine_kit import Shop, a_provider, careful_draft, lost_after
from ledger_kit import Ledger, a_shop_with, enter
from money_kit import a_refunding_shop, an_issued_invoice, refund, refund_by_reason

from billhook.contract import Receipt
from billhook.errors import InvalidInput, KeyReused, NotAllowed
from billhook.store import schema
from billhook.testing.invariants import problems_of

OpenShop = Callable[..., Shop]


def test_a_refund_gives_back_part_of_a_payment(a_shop_anywhere: OpenShop):
    shop, id, payment_id = a_refunding_shop(a_shop_anywhere)
    shop.ns.refunds.refund(payment_id, "2.50", reason="scratched")
    shop.run()
    assert shop.get(id).invoice.amount_refunded == Decimal("2.50")
    assert [row["state"] for row in shop.rows(schema.refund)] == ["succeeded"]
    assert shop.status(id) == "paid"


def test_a_lost_answer_does_not_refund_twice(a_shop_anywhere: OpenShop):
    shop, id, payment_id = a_refunding_shop(a_shop_anywhere)
    shop.wire.plan(lost_after, to="refund")
    shop.ns.refunds.refund(payment_id, "2.50")
    shop.run_for(600)
    assert len([made for _, made in shop.books.documents if made.startswith("refund")]) == 1
    assert shop.get(id).invoice.amount_refunded == Decimal("2.50")


def test_no_more_is_refunded_than_was_paid(a_shop: OpenShop):
    shop, id, payment_id = a_refunding_shop(a_shop)
    shop.ns.refunds.refund(payment_id, "6")
    before = shop.counts()
    for amount in ("4.01", "0", "-1"):
        with pytest.raises(InvalidInput):
            shop.ns.refunds.refund(payment_id, amount)
    assert shop.counts() == before
    shop.ns.refunds.refund(payment_id, "4")
    shop.run()
    assert shop.get(id).invoice.amount_refunded == Decimal(10)


def test_a_refused_refund_leaves_its_amount_to_be_refunded(a_shop: OpenShop):
    shop, id, payment_id = a_refunding_shop(a_shop)
    refund_id = shop.ns.refunds.refund(payment_id, "10")
    shop.books.refuses = {refund_id}
    shop.run()
    assert [row["state"] for row in shop.rows(schema.refund)] == ["failed"]
    assert shop.get(id).invoice.amount_refunded == 0
    shop.books.refuses = set()
    shop.ns.refunds.refund(payment_id, "10")
    shop.run()
    assert shop.get(id).invoice.amount_refunded == Decimal(10)


def test_one_refund_key_refunds_once(a_shop: OpenShop):
    shop, id, payment_id = a_refunding_shop(a_shop)
    first = shop.ns.refunds.refund(payment_id, "2", key="r-1")
    assert shop.ns.refunds.refund(payment_id, "2", key="r-1") == first
    with pytest.raises(KeyReused):
        shop.ns.refunds.refund(payment_id, "3", key="r-1")
    shop.run()
    assert shop.get(id).invoice.amount_refunded == Decimal(2)


def a_shop_that_may_give_back(open_shop: OpenShop) -> tuple[Shop, str, Ledger]:
    ledger = Ledger()
    shop, id = a_shop_with(open_shop, ledger, bank=False, refund=refund_by_reason)
    return shop, id, ledger


def test_money_that_its_books_tell_of_is_given_back_where_they_told_its_id(a_shop_anywhere: OpenShop):
    shop, id, ledger = a_shop_that_may_give_back(a_shop_anywhere)
    ledger.receipts = [Receipt("pay_1", Decimal(6))]
    enter(shop, ledger, id, "10")
    nameless, named = sorted(shop.get(id).payments, key=lambda each: each.amount)
    with pytest.raises(NotAllowed, match="did not come through Books as far as is known here") as refused:
        shop.ns.refunds.refund(nameless.id, "1")
    assert f"billhook invoices refund {nameless.id} AMOUNT --paid-elsewhere" in str(refused.value)
    shop.ns.refunds.refund(named.id, "2.50")
    shop.run()
    assert [(row["state"], row["amount"]) for row in shop.rows(schema.refund)] == [("succeeded", "2.50")]
    ledger.receipts = [Receipt("pay_1", Decimal(6), Decimal("2.50"))]
    enter(shop, ledger, id, "-2.50")
    assert (shop.get(id).invoice.amount_refunded, problems_of(shop.engine)) == (Decimal("2.50"), [])


def test_a_refused_refund_of_money_that_its_books_tell_of_has_them_looked_at(a_shop_anywhere: OpenShop):
    shop, id, ledger = a_shop_that_may_give_back(a_shop_anywhere)
    ledger.receipts = [Receipt("pay_1", Decimal(10))]
    enter(shop, ledger, id, "10")
    ledger.receipts, ledger.paid = [Receipt("pay_1", Decimal(10), Decimal(4))], Decimal(6)
    shop.ns.refunds.refund(shop.get(id).payments[0].id, "8", reason="refused")
    shop.run()
    assert [(row["state"], row["amount"]) for row in shop.rows(schema.refund)] == [("failed", "8"), ("succeeded", "4")]


def test_a_payment_that_came_another_way_is_not_refunded_through_an_app(a_shop: OpenShop):
    shop = a_shop(a_provider(sync_draft=careful_draft, refund=refund))
    id = an_issued_invoice(shop)
    shop.ns.invoices.record_payment(id, "10")
    with pytest.raises(NotAllowed):
        shop.ns.refunds.refund(shop.get(id).payments[0].id, "1")
