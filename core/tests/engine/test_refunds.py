"""Money given back: in part, once, and never more than came."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest
from engine_kit import Shop, a_provider, careful_draft, lost_after
from money_kit import a_refunding_shop, an_issued_invoice, refund

from billhook.errors import InvalidInput, KeyReused, NotAllowed
from billhook.store import schema

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


def test_a_payment_that_came_another_way_is_not_refunded_through_an_app(a_shop: OpenShop):
    shop = a_shop(a_provider(sync_draft=careful_draft, refund=refund))
    id = an_issued_invoice(shop)
    shop.ns.invoices.record_payment(id, "10")
    with pytest.raises(NotAllowed):
        shop.ns.refunds.refund(shop.get(id).payments[0].id, "1")
