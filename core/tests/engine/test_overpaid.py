"""Money that came beyond what was owed without anybody having typed it: a person is told until it went back."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

from engine_kit import Shop, a_provider, careful_draft, put, repeat
from ledger_kit import Ledger, a_shop_with, enter
from money_kit import PENDING, a_note, credit, money, note_payment

from billhook.contract import Batch, Done, PaymentResult, PaymentStatus, Pending
from billhook.testing.invariants import problems_of

OpenShop = Callable[..., Shop]
A_WHILE = timedelta(hours=1)


def collect_late(self: Any, batch: Batch[Any, Any]) -> Any:
    """Asked first, the bank takes a while."""
    yield put("collect", batch, "collect", recover=(repeat(),))
    return {batch.only.id: Pending("The bank takes a while.", f"pay-{batch.only.id}", A_WHILE)}


def has_come(self: Any, batch: Batch[Any, Any]) -> Any:
    yield put("check", batch, "checks", safe=True, key=None)
    return {batch.only.id: Done(PaymentResult(PaymentStatus.SUCCEEDED, Decimal("10.00"), f"pay-{batch.only.id}"))}


def told(shop: Shop, id: str) -> str:
    return "".join(issue.message for issue in shop.get(id).issues if issue.code == "overpaid")


def test_a_collection_that_comes_after_a_credit_note_is_told_of_until_it_went_back(a_shop_anywhere: OpenShop):
    hooks = {"credit": credit, "collect_payment": collect_late, "check_payment": has_come}
    shop = a_shop_anywhere(a_provider(sync_draft=careful_draft, record_payment=note_payment, **hooks))
    id = shop.submit()
    shop.run()
    shop.ns.credit_notes.submit(a_note(shop, "4", id))
    shop.run_for(2 * A_WHILE.total_seconds())
    (payment,) = shop.get(id).payments
    assert (shop.status(id), money(shop, id)[0]) == ("paid", 10)
    assert told(shop, id).startswith(
        "10.00 EUR came for an invoice over 10.00 EUR, of which 4.00 were credited: 4.00 more than was owed. Give that back"
    )
    shop.ns.refunds.record(payment.id, "3")
    assert "1.00 more than was owed" in told(shop, id)
    shop.ns.refunds.record(payment.id, "1")
    assert told(shop, id) == ""
    assert problems_of(shop.engine) == []


def test_what_the_books_tell_beyond_a_payment_that_was_noted_ends_once_that_is_taken_back(a_shop: OpenShop):
    ledger = Ledger()
    shop, id = a_shop_with(a_shop, ledger, bank=False, ends=PENDING)
    (noted,) = shop.ns.invoices.record_payment(id, "12").payments
    shop.run()
    assert shop.issue_codes(id) == ["date_locked"]
    enter(shop, ledger, id, "7")
    assert "9.00 more than was owed" in told(shop, id)
    shop.ns.invoices.take_back_payment(id, noted.id, reason="It was for another customer.")
    assert told(shop, id) == ""
