"""A person wants to know how invoices stand in the books: one, or all of a month, are looked at now."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest
from engine_kit import Shop
from ledger_kit import Ledger, a_shop_with
from money_kit import PENDING

from billhook.engine.invoice_filter import InvoiceFilter
from billhook.engine.looking_when_asked import Looks
from billhook.errors import NotAllowed, NotFound, Unsupported
from billhook.testing.invariants import problems_of

OpenShop = Callable[..., Shop]


def fetched(shop: Shop) -> int:
    return len(shop.wire.to("fetch"))


def test_one_invoice_is_looked_at_when_somebody_asks(a_shop_anywhere: OpenShop):
    ledger = Ledger()
    shop, id = a_shop_with(a_shop_anywhere, ledger, bank=False)
    ledger.paid = Decimal(4)
    shop.ns.invoices.look(id)
    shop.run()
    assert (shop.get(id).invoice.amount_paid, fetched(shop)) == (Decimal(4), 1)


def test_a_paid_invoice_is_looked_at_too(a_shop: OpenShop):
    ledger = Ledger()
    ledger.is_locked = False
    shop, id = a_shop_with(a_shop, ledger, bank=False)
    shop.ns.invoices.record_payment(id, "10")
    shop.run()
    ledger.paid = Decimal(6)
    shop.ns.invoices.look(id)
    shop.run()
    assert (shop.status(id), shop.issue_codes(id)) == ("paid", ["less_in_books"])


def test_a_look_under_way_may_be_older_than_the_question_so_another_one_is_made(a_shop_anywhere: OpenShop):
    ledger = Ledger()
    shop, id = a_shop_with(a_shop_anywhere, ledger, bank=False)
    shop.ns.invoices.look(id)

    def somebody_asks(_: object) -> None:
        shop.wire.before_each = None
        shop.ns.invoices.look(id)

    shop.wire.before_each = somebody_asks
    shop.run()
    assert fetched(shop) == 2
    assert problems_of(shop.engine) == []


def test_what_is_not_issued_or_can_not_be_asked_is_refused_with_the_reason(a_shop: OpenShop):
    shop, id = a_shop_with(a_shop, Ledger(), bank=False)
    draft = shop.submit(workflow={"auto_advance": False})
    shop.run()
    with pytest.raises(NotAllowed, match=f"{draft} is in draft.manual_approval_needed: only what is issued"):
        shop.ns.invoices.look(draft)
    shop.ns.invoices.void(id)
    shop.run()
    with pytest.raises(NotAllowed, match="voided"):
        shop.ns.invoices.look(id)
    with pytest.raises(NotFound):
        shop.engine.namespace("other").invoices.look(id)
    shop.a_profile(shop.an_app("bank"))
    there = shop.submit()
    shop.run()
    with pytest.raises(Unsupported, match=r"App Bank can't tell how an invoice stands: .*\. Look there yourself"):
        shop.ns.invoices.look(there)


def test_all_of_a_month_are_looked_at_and_those_that_can_not_be_are_counted(a_shop_anywhere: OpenShop):
    ledger = Ledger()
    shop, early = a_shop_with(a_shop_anywhere, ledger, bank=False)
    shop.clock.advance(timedelta(hours=2))
    later = shop.clock.now()
    ids = [shop.submit() for _ in range(3)]
    shop.a_profile(shop.an_app("bank"))
    shop.submit()
    shop.run()
    assert [shop.status(id) for id in (early, *ids)] == [PENDING] * 4
    assert shop.ns.invoices.look_at_all(InvoiceFilter(issued_from=later)) == Looks(asked=3, unreadable=1)
    shop.run()
    assert fetched(shop) == 3
    assert shop.ns.invoices.look_at_all() == Looks(asked=4, unreadable=1)
    shop.run()
    assert fetched(shop) == 7
    assert shop.engine.namespace("other").invoices.look_at_all() == Looks(0, 0)
