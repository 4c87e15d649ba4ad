"""One payment of a provider that two of ours learn of counts once, and is looked after as one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from engine_kit import Shop, a_provider, careful_draft, put, repeat
from money_kit import money

from billhook.contract import Batch, Done, PaymentResult, PaymentStatus, Refusal, WebhookEvent
from billhook.testing.invariants import problems_of

OpenShop = Callable[..., Shop]
FAILED = "payment_processing.failed"


class Bank:
    """It tries again on the payment that failed, which its payer may pay meanwhile: one payment, whoever asks."""

    def __init__(self) -> None:
        self.status = PaymentStatus.FAILED
        self.amount = Decimal(10)


def a_shop_at(open_shop: OpenShop, bank: Bank) -> Shop:
    def answer(step: str, **how: Any) -> Callable[[Any, Batch[Any, Any]], Any]:
        def ask(self: Any, batch: Batch[Any, Any]) -> Any:
            yield put(step, batch, step, **how)
            received = bank.amount if bank.status is PaymentStatus.SUCCEEDED else Decimal(0)
            return {batch.only.id: Done(PaymentResult(bank.status, received, "pay-1"))}

        return ask

    collect, check = answer("collect", recover=(repeat(),)), answer("check", safe=True, key=None)
    provider = a_provider(
        sync_draft=careful_draft, collect_payment=collect, check_payment=check, read_webhook=read_webhook
    )
    return open_shop(provider)


def read_webhook(
    self: Any, headers: Mapping[str, str], body: bytes, secrets: Any, now: datetime
) -> Sequence[WebhookEvent] | Refusal:
    return [WebhookEvent(body.decode(), "payment", "pay-1", "moved")]


def a_failed_payment(shop: Shop) -> str:
    id = shop.submit()
    shop.run()
    assert shop.status(id) == FAILED
    return id


def tell(shop: Shop, name: str) -> None:
    shop.engine.receive_webhook(shop.app.id, {}, name.encode())


@pytest.mark.parametrize("told", ["before the retry", "after it"])
def test_what_the_payer_paid_while_a_retry_was_asked_for_counts_once(a_shop_anywhere: OpenShop, told: str):
    bank = Bank()
    shop = a_shop_at(a_shop_anywhere, bank)
    id = a_failed_payment(shop)
    bank.status = PaymentStatus.SUCCEEDED
    if told == "before the retry":
        tell(shop, "paid")
    shop.ns.invoices.retry(id)
    if told == "after it":
        tell(shop, "paid")
    shop.run()
    assert (shop.status(id), money(shop, id)) == ("paid", (Decimal(10), Decimal(0)))
    assert sorted(each.status for each in shop.get(id).payments) == ["failed", "succeeded"]
    assert problems_of(shop.engine) == []


def test_what_becomes_of_it_later_is_told_of_the_one_that_counts(a_shop: OpenShop):
    bank = Bank()
    shop = a_shop_at(a_shop, bank)
    id = a_failed_payment(shop)
    bank.status = PaymentStatus.SUCCEEDED
    shop.ns.invoices.retry(id)
    tell(shop, "paid")
    shop.run()
    (empty,) = [each for each in shop.get(id).payments if each.status == "failed"]
    assert (empty.external_id, empty.code) == (None, "counted_already")
    bank.status = PaymentStatus.FAILED
    tell(shop, "bounced")
    shop.run()
    assert (shop.status(id), money(shop, id)) == (FAILED, (Decimal(0), Decimal(10)))
    assert problems_of(shop.engine) == []


def test_a_rest_is_not_taken_from_what_counts_already(a_shop: OpenShop):
    bank = Bank()
    shop = a_shop_at(a_shop, bank)
    id = a_failed_payment(shop)
    bank.status, bank.amount = PaymentStatus.SUCCEEDED, Decimal(6)
    tell(shop, "paid in part")
    shop.run()
    assert money(shop, id) == (Decimal(6), Decimal(4))
    shop.ns.invoices.retry(id)
    shop.run()
    assert (shop.status(id), money(shop, id)) == (FAILED, (Decimal(6), Decimal(4)))
    (empty,) = [each for each in shop.get(id).payments if each.status == "failed"]
    assert "whose money counts already" in str(empty.message)
