"""What an invoice or a credit note warned of is no longer shown once it was mended."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from engine_kit import Shop, a_provider, careful_draft, put, repeat

from billhook.contract import Batch, Done, PaymentResult, PaymentStatus, Pending, Rejected, RemovalResult

OpenShop = Callable[..., Shop]
MISSING = Rejected.because("payment_method_missing", "There is no card.")


def a_shop_that_collects(open_shop: OpenShop, *outcomes: Any, **hooks: Any) -> tuple[Shop, str]:
    """An invoice of which the first attempt is refused; then what the outcomes say."""
    told = iter((MISSING, *outcomes))

    def collect(self: Any, batch: Batch[Any, Any]) -> Any:
        yield put("collect", batch, "collect", recover=(repeat(),))
        outcome = next(told)
        return {batch.only.id: outcome(batch.only) if callable(outcome) else outcome}

    def void(self: Any, batch: Batch[Any, Any]) -> Any:
        yield put("void", batch, "voids", recover=(repeat(),))
        return {batch.only.id: Done(RemovalResult())}

    shop = open_shop(a_provider(sync_draft=careful_draft, collect_payment=collect, void=void, **hooks))
    id = shop.submit()
    shop.run()
    assert (shop.status(id), shop.issue_codes(id)) == ("payment_processing.failed", ["payment_method_missing"])
    return shop, id


def as_(status: PaymentStatus) -> Callable[[Any], Any]:
    received = {PaymentStatus.SUCCEEDED: lambda item: item.amount}.get(status, lambda item: Decimal(0))
    return lambda item: Done(PaymentResult(status, received(item), f"pay-{item.id}"))


@pytest.mark.parametrize(
    "outcome",
    [
        as_(PaymentStatus.SUCCEEDED),
        as_(PaymentStatus.FAILED),
        Pending("A bank takes days.", "pay-1", timedelta(days=1)),
    ],
    ids=["paid", "declined", "under way"],
)
def test_what_stood_in_the_way_of_an_attempt_ends_with_the_next(a_shop_anywhere: OpenShop, outcome: Any):
    shop, id = a_shop_that_collects(a_shop_anywhere, outcome)
    shop.ns.invoices.retry(id)
    shop.run()
    assert shop.issue_codes(id) == []


def test_what_stands_in_the_way_still_is_shown_once(a_shop: OpenShop):
    shop, id = a_shop_that_collects(a_shop, MISSING)
    shop.ns.invoices.retry(id)
    shop.run()
    assert shop.issue_codes(id) == ["payment_method_missing"]


def test_nothing_stands_in_the_way_of_what_was_paid_another_way(a_shop_anywhere: OpenShop):
    shop, id = a_shop_that_collects(a_shop_anywhere)
    shop.ns.invoices.record_payment(id, "4")
    assert shop.issue_codes(id) == ["payment_method_missing"]
    shop.ns.invoices.record_payment(id, "6")
    assert (shop.status(id), shop.issue_codes(id)) == ("paid", [])


def test_nothing_stands_in_the_way_of_what_is_void(a_shop: OpenShop):
    shop, id = a_shop_that_collects(a_shop)
    shop.ns.invoices.void(id)
    shop.run()
    assert (shop.status(id), shop.issue_codes(id)) == ("voided", [])


def test_a_payment_that_could_not_be_canceled_is_no_matter_once_it_has_ended(a_shop: OpenShop):
    def check(self: Any, batch: Batch[Any, Any]) -> Any:
        yield put("check", batch, "check", safe=True, key=None)
        return {batch.only.id: as_(PaymentStatus.FAILED if ended else PaymentStatus.ACTION_REQUIRED)(batch.only)}

    def cancel(self: Any, batch: Batch[Any, Any]) -> Any:
        yield put("cancel", batch, "cancel", recover=(repeat(),))
        return {batch.only.id: Rejected.because("payment_of_invoice", "It ends with its invoice.")}

    ended: list[bool] = []
    asked = as_(PaymentStatus.ACTION_REQUIRED)
    shop, id = a_shop_that_collects(a_shop, asked, check_payment=check, cancel_payment=cancel)
    shop.ns.invoices.retry(id)
    shop.run()
    shop.ns.invoices.cancel_payment(id)
    shop.run()
    assert shop.issue_codes(id) == ["payment_of_invoice"]
    ended.append(True)
    shop.run_for(24 * 3600)
    assert (shop.status(id), shop.issue_codes(id)) == ("payment_processing.failed", [])
