"""A collection that brings less than is owed by then: a person is told of the rest, and a retry collects it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from engine_kit import Shop, a_provider, careful_draft, put, repeat
from money_kit import PENDING, a_draft_to_be_approved, a_look_at_a_payment, an_undecided_payment, money
from sandbox_shop import open_sandbox_shop

from billhook.contract import Batch, Pending
from billhook.engine.standing import standing_of
from billhook.testing.invariants import problems_of

OpenShop = Callable[..., Shop]
FAILED = "payment_processing.failed"


def a_debit(self: Any, batch: Batch[Any, Any]) -> Any:
    """Days pass until it is known."""
    yield put("collect", batch, "collect", recover=(repeat(),))
    return {batch.only.id: Pending("a debit takes days", f"pay-{batch.only.id}", check_after=timedelta(hours=1))}


def prepaid(open_shop: OpenShop, collect: Any) -> tuple[Shop, str, str]:
    """An invoice over 10 for which 4 were noted, while 6 are being collected."""
    looks = a_look_at_a_payment(["succeeded"] * 3)
    shop, id = a_draft_to_be_approved(
        open_shop, a_provider(sync_draft=careful_draft, collect_payment=collect, check_payment=looks)
    )
    shop.ns.invoices.record_payment(id, "4")
    shop.ns.invoices.approve(id)
    shop.run()
    return shop, id, next(each.id for each in shop.get(id).payments if each.origin == "recorded")


def it_comes(shop: Shop) -> None:
    shop.clock.advance(timedelta(hours=2))
    shop.run()


def take_back(shop: Shop, id: str, payment: str) -> None:
    shop.ns.invoices.take_back_payment(id, payment, reason="It was for another customer.")


def pay_back(shop: Shop, id: str, payment: str) -> None:
    shop.ns.refunds.record(payment, "4")


@pytest.mark.parametrize("collect", [a_debit, an_undecided_payment])
@pytest.mark.parametrize("owe_again", [take_back, pay_back])
def test_what_is_owed_again_while_the_rest_is_collected_is_told_of_and_collected_by_a_retry(
    a_shop_anywhere: OpenShop, collect: Any, owe_again: Any
):
    shop, id, noted = prepaid(a_shop_anywhere, collect)
    owe_again(shop, id, noted)
    it_comes(shop)
    (issue,) = [each for each in shop.get(id).issues if each.code == "collected_in_part"]
    assert (shop.status(id), money(shop, id)[1]) == (FAILED, Decimal(4))
    assert issue.message == (
        f"6.00 EUR were collected, and 4.00 are still owed. Collect them: billhook invoices retry {id}. Where they come another way: "
        f"billhook invoices pay {id} AMOUNT"
    )
    assert [(each.code, each.severity) for each in shop.ns.invoices.open_issues()] == [("collected_in_part", "warning")]
    assert standing_of(shop.engine.context, shop.namespace).needs_a_person
    shop.ns.invoices.retry(id)
    shop.run()
    it_comes(shop)
    assert (shop.status(id), money(shop, id)[1], shop.issue_codes(id)) == ("paid", 0, [])
    assert problems_of(shop.engine) == []


def test_a_collection_that_brings_all_that_is_owed_leaves_nothing(a_shop: OpenShop):
    shop, id, _ = prepaid(a_shop, a_debit)
    assert shop.status(id) == PENDING
    it_comes(shop)
    assert (shop.status(id), shop.issue_codes(id)) == ("paid", [])


def test_a_rest_that_is_credited_is_told_of_no_longer(a_shop: OpenShop):
    scene = open_sandbox_shop(a_shop)
    shop = scene.shop
    id = shop.submit(metadata={"openmeter.io/sandbox/target-payment-status": "authorized"})
    shop.run()
    shop.ns.invoices.capture(id, "4.00")
    shop.run()
    assert shop.issue_codes(id) == ["captured_in_part"]
    line = {"name": "Less", "price": {"type": "flat", "amount": "6.00"}}
    customer = shop.get(id).invoice.content.customer.key
    credit = {"type": "credit_note", "customer_key": customer, "currency": "EUR", "lines": [line]}
    shop.ns.credit_notes.submit({**credit, "credited_invoice_id": id})
    shop.run()
    assert (shop.status(id), money(shop, id)[1], shop.issue_codes(id)) == ("paid", 0, [])
