"""Money that somebody gave back at the provider, and not from here: a look at the payment tells of it, and it counts like a refund from here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from engine_kit import Shop, a_provider, careful_draft, put, repeat
from money_kit import refund_by_reason

from billhook.contract import Batch, Done, PaymentResult, PaymentStatus, WebhookEvent
from billhook.engine.agreeing_looks import SURE_AFTER
from billhook.errors import InvalidInput
from billhook.store import schema
from billhook.testing.invariants import problems_of

OpenShop = Callable[..., Shop]


def collect(self: Any, batch: Batch[Any, Any]) -> Any:
    reply = yield put("collect", batch, "collect", recover=(repeat(),))
    paid = PaymentResult(PaymentStatus.SUCCEEDED, batch.only.amount, reply.json()["items"][0]["id"])
    return {batch.only.id: Done(paid)}


def note(self: Any, batch: Batch[Any, Any]) -> Any:
    yield put("note", batch, "notes", recover=(repeat(),))
    return {
        item.id: Done(PaymentResult(PaymentStatus.SUCCEEDED, item.amount, f"noted-{item.id}")) for item in batch.items
    }


def a_look(refunded: str | None) -> Any:
    """Tells how much of the payment was given back."""

    def check(self: Any, batch: Batch[Any, Any]) -> Any:
        item = batch.only
        yield put("check", batch, "check", safe=True, key=None)
        told = None if refunded is None else Decimal(refunded)
        return {item.id: Done(PaymentResult(PaymentStatus.SUCCEEDED, item.amount, item.external_id, refunded=told))}

    return check


def a_paid_invoice(open_shop: OpenShop, refunded: str | None) -> tuple[Shop, str]:
    """Paid at a bank, and noted in the books of another app."""
    books = a_provider(sync_draft=careful_draft, record_payment=note)
    bank = a_provider("bank", collect_payment=collect, refund=refund_by_reason, check_payment=a_look(refunded))
    shop = open_shop(books, bank)
    shop.a_profile(shop.app, payment_app_id=shop.an_app("bank").id)
    id = shop.submit()
    shop.run()
    assert shop.status(id) == "paid"
    return shop, id


def give_back(shop: Shop, id: str, amount: str, reason: str) -> None:
    shop.ns.refunds.refund(shop.get(id).payments[0].id, amount, reason=reason)
    shop.run()


def refunds(shop: Shop) -> list[tuple[str, str]]:
    return [(row["state"], row["amount"]) for row in shop.rows(schema.refund)]


def test_what_was_given_back_there_counts_and_the_books_are_named(a_shop_anywhere: OpenShop):
    shop, id = a_paid_invoice(a_shop_anywhere, "4")
    give_back(shop, id, "5", "refused")
    shown = shop.get(id)
    assert (shown.status, shown.invoice.amount_paid, shown.invoice.amount_refunded) == ("paid", 10, 4)
    assert refunds(shop) == [("failed", "5"), ("succeeded", "4")]
    assert "refund_not_in_books" in [issue.code for issue in shown.issues]
    assert shop.causes(id).count("refund.outside") == 1
    assert problems_of(shop.engine) == []


@pytest.mark.parametrize("before", ["quick", "slow"])
@pytest.mark.parametrize(
    "told, by_others", [(None, "0"), ("0", "0"), ("3", "0"), ("3.50", "0.5"), ("10", "7"), ("25", "7")]
)
def test_refunds_from_here_are_not_taken_for_somebody_elses(
    a_shop: OpenShop, before: str, told: str | None, by_others: str
):
    shop, id = a_paid_invoice(a_shop, told)
    give_back(shop, id, "3", before)
    give_back(shop, id, "1", "refused")
    ours = Decimal(3) if before == "quick" else Decimal(0)
    assert shop.get(id).invoice.amount_refunded == ours + Decimal(by_others)
    assert problems_of(shop.engine) == []


def test_a_refused_refund_is_told_of_until_the_money_went_back(a_shop_anywhere: OpenShop):
    shop, id = a_paid_invoice(a_shop_anywhere, None)
    payment = shop.get(id).payments[0].id
    refused = shop.ns.refunds.refund(payment, "5", reason="refused", key="r-1")
    shop.run()
    (issue,) = shop.get(id).issues
    assert (issue.code, issue.severity.value) == ("refund_failed", "warning")
    assert issue.message.startswith("Bank did not give back 5 EUR (It was given back already).")
    assert shop.ns.refunds.refund(payment, "5", reason="refused", key="r-1") == refused
    known = shop.ns.refunds.get(refused)
    assert (known.status, known.amount, known.message) == ("failed", 5, "It was given back already.")
    give_back(shop, id, "4", "quick")
    assert shop.issue_codes(id) == ["refund_failed", "refund_not_in_books"]
    give_back(shop, id, "1", "quick")
    assert shop.issue_codes(id) == ["refund_not_in_books"]


def test_a_refused_refund_that_somebody_made_there_is_told_of_no_more(a_shop: OpenShop):
    shop, id = a_paid_invoice(a_shop, "5")
    give_back(shop, id, "5", "refused")
    assert (refunds(shop), shop.issue_codes(id)) == ([("failed", "5"), ("succeeded", "5")], ["refund_not_in_books"])


def test_a_refused_refund_of_more_than_was_left_is_told_of_until_nothing_is_left(a_shop: OpenShop):
    shop, id = a_paid_invoice(a_shop, "4")
    give_back(shop, id, "10", "refused")
    assert "refund_failed" in shop.issue_codes(id)
    give_back(shop, id, "6", "quick")
    assert "refund_failed" not in shop.issue_codes(id)


def payment_changed(
    self: Any, headers: Mapping[str, str], body: bytes, secrets: Any, now: datetime
) -> Sequence[WebhookEvent]:
    return [WebhookEvent(str(now), "payment", body.decode(), "changed")]


class Dashboard:
    """What somebody gives back at the bank, which tells it to whoever looks."""

    def __init__(self, open_shop: OpenShop, refunded: str = "5") -> None:
        self.refunded = Decimal(refunded)
        books = a_provider(sync_draft=careful_draft, record_payment=note)
        bank = a_provider(
            "bank",
            collect_payment=collect,
            refund=refund_by_reason,
            check_payment=self._look(),
            read_webhook=payment_changed,
        )
        self.shop = open_shop(books, bank)
        self.bank = self.shop.an_app("bank")
        self.shop.a_profile(self.shop.app, payment_app_id=self.bank.id)
        self.id = self.shop.submit()
        self.shop.run()

    def _look(self) -> Any:
        def check(_: Any, batch: Batch[Any, Any]) -> Any:
            item = batch.only
            yield put("check", batch, "check", safe=True, key=None)
            told = PaymentResult(PaymentStatus.SUCCEEDED, item.amount, item.external_id, refunded=self.refunded)
            return {item.id: Done(told)}

        return check

    def look(self, refunded: str, *, after: timedelta = timedelta(0)) -> None:
        """A webhook says that something changed, and so much is given back now."""
        self.refunded = Decimal(refunded)
        self.shop.turn(after.total_seconds() + 1)
        (payment,) = self.shop.get(self.id).payments
        self.shop.engine.receive_webhook(self.bank.id, {}, str(payment.external_id).encode())
        self.shop.run()

    @property
    def known(self) -> list[tuple[str, str]]:
        return refunds(self.shop)


@pytest.mark.parametrize("looks_again", ["by itself", "told"])
def test_what_others_gave_back_and_a_bank_sent_back_counts_no_more(a_shop_anywhere: OpenShop, looks_again: str):
    there = Dashboard(a_shop_anywhere)
    there.look("5")
    there.look("0")
    assert (there.known, there.shop.issue_codes(there.id)) == ([("succeeded", "5")], ["refund_not_in_books"])
    if looks_again == "told":
        there.look("0", after=SURE_AFTER)
    there.shop.turn(SURE_AFTER.total_seconds())
    there.shop.run()
    shown = there.shop.get(there.id)
    assert (shown.status, shown.invoice.amount_refunded, there.known) == ("paid", 0, [("failed", "5")])
    (issue,) = shown.issues
    assert issue.code == "refund_bounced"
    assert issue.message.startswith("Bank paid back 5 EUR, and the money came back.")
    assert there.shop.causes(there.id).count("refund.came_back") == 1
    assert problems_of(there.shop.engine) == []


def test_an_older_word_of_what_was_given_back_changes_nothing(a_shop: OpenShop):
    there = Dashboard(a_shop)
    there.look("5")
    there.look("0")
    there.look("5", after=SURE_AFTER / 2)
    there.look("0", after=SURE_AFTER)
    there.look("2", after=SURE_AFTER / 2)
    there.look("5", after=SURE_AFTER / 2)
    there.shop.turn(10 * SURE_AFTER.total_seconds())
    there.shop.run()
    assert (there.known, there.shop.issue_codes(there.id)) == ([("succeeded", "5")], ["refund_not_in_books"])


def test_of_several_refunds_that_were_noted_as_one_a_part_comes_back(a_shop: OpenShop):
    there = Dashboard(a_shop)
    there.look("5")
    there.look("3.50", after=SURE_AFTER)
    there.look("3.50", after=SURE_AFTER)
    assert there.known == [("succeeded", "3.50"), ("failed", "1.50")]
    assert there.shop.get(there.id).invoice.amount_refunded == Decimal("3.50")
    assert there.shop.issue_codes(there.id) == ["refund_bounced", "refund_not_in_books"]
    there.look("5")
    assert there.known == [("succeeded", "3.50"), ("failed", "1.50"), ("succeeded", "1.50")]
    assert there.shop.issue_codes(there.id) == ["refund_not_in_books"]
    assert problems_of(there.shop.engine) == []


def test_a_refund_from_here_is_never_taken_for_one_that_others_made(a_shop: OpenShop):
    there = Dashboard(a_shop)
    there.look("5")
    give_back(there.shop, there.id, "2", "quick")
    there.look("0", after=SURE_AFTER)
    there.look("0", after=SURE_AFTER)
    assert there.known == [("failed", "5"), ("succeeded", "2")]
    assert problems_of(there.shop.engine) == []


def test_no_more_can_be_given_back_from_here_than_is_left(a_shop: OpenShop):
    shop, id = a_paid_invoice(a_shop, "9")
    give_back(shop, id, "2", "refused")
    with pytest.raises(InvalidInput, match=r"1\.00 of the payment is left"):
        give_back(shop, id, "2", "quick")
