"""Voids that the books refuse: void here, open there, told of until a repeated void went through."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from engine_kit import Shop, a_provider, careful_draft, put, repeat
from money_kit import an_issued_invoice, paths

from billhook.contract import Batch, Done, Rejected, RemovalResult
from billhook.engine.invoice_filter import InvoiceFilter
from billhook.engine.standing import standing_of

OpenShop = Callable[..., Shop]


def a_shop_whose_voids(open_shop: OpenShop, *outcomes: Any) -> tuple[Shop, str]:
    told = iter(outcomes)

    def void(self: Any, batch: Batch[Any, Any]) -> Any:
        yield put("void", batch, "voids", recover=(repeat(),))
        return {batch.only.id: next(told)}

    shop = open_shop(a_provider(sync_draft=careful_draft, void=void))
    id = an_issued_invoice(shop)
    shop.ns.invoices.void(id)
    shop.run()
    return shop, id


def not_in_books(shop: Shop) -> list[str]:
    return [view.id for view in shop.ns.invoices.list(InvoiceFilter(not_in_books=True)).items]


BOOKED = Rejected.because("document_state", "A payment is booked.")
VOIDED = Done(RemovalResult())


def test_a_refused_void_is_told_of_and_a_repeated_one_is_sent(a_shop_anywhere: OpenShop):
    shop, id = a_shop_whose_voids(a_shop_anywhere, BOOKED, BOOKED, VOIDED)
    another = an_issued_invoice(shop)
    for sent in (1, 2):
        standing = standing_of(shop.engine.context, shop.namespace)
        assert (standing.unvoided, standing.failed, standing.needs_a_person) == (1, 0, True)
        assert (shop.status(id), not_in_books(shop), paths(shop).count("voids")) == ("voided", [id], sent)
        shop.ns.invoices.void(id)
        shop.run()
    assert (shop.status(id), shop.issue_codes(id), not_in_books(shop)) == ("voided", [], [])
    assert not standing_of(shop.engine.context, shop.namespace).needs_a_person
    assert shop.status(another) != "voided"


@pytest.mark.parametrize("outcomes", [[VOIDED], [BOOKED, VOIDED]])
def test_a_void_that_was_confirmed_is_not_sent_again(a_shop: OpenShop, outcomes: list[Any]):
    shop, id = a_shop_whose_voids(a_shop, *outcomes)
    for _ in range(3):
        shop.ns.invoices.void(id)
        shop.run()
    assert paths(shop).count("voids") == len(outcomes)
