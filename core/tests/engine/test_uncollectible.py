"""An invoice that nobody expects to be paid any more is marked so where it stands, and money may still come."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from engine_kit import Shop, a_provider, careful_draft, lost_after, put, repeat

from billhook.contract import Batch, Done, PaymentResult, PaymentStatus, Rejected, RemovalResult, WriteOffResult

OpenShop = Callable[..., Shop]


def mark(self: Any, batch: Batch[Any, Any]) -> Any:
    reply = yield put("mark", batch, "marks", recover=(repeat(),))
    if "error" in reply.json()["items"][0]:
        return {batch.only.id: Rejected.because("not_open", "The invoice is not open there.")}
    return {batch.only.id: Done(WriteOffResult())}


def note(self: Any, batch: Batch[Any, Any]) -> Any:
    yield put("note", batch, "notes", recover=(repeat(),))
    return {batch.only.id: Done(PaymentResult(PaymentStatus.SUCCEEDED, batch.only.amount, "noted"))}


def void(self: Any, batch: Batch[Any, Any]) -> Any:
    yield put("void", batch, "voids", recover=(repeat(),))
    return {batch.only.id: Done(RemovalResult())}


def an_issued_invoice(open_one: OpenShop, **hooks: Any) -> tuple[Shop, str]:
    usual = {"sync_draft": careful_draft, "mark_uncollectible": mark, "record_payment": note, "void": void}
    shop = open_one(a_provider(**{**usual, **hooks}))
    id = shop.submit()
    shop.run()
    return shop, id


def give_up(shop: Shop, id: str) -> None:
    shop.ns.invoices.payment_status(id, "payment_uncollectible")


def test_it_is_marked_at_the_app_that_has_it(a_shop_anywhere: OpenShop):
    shop, id = an_issued_invoice(a_shop_anywhere)
    give_up(shop, id)
    give_up(shop, id)
    shop.run()
    assert (shop.status(id), len(shop.wire.to("marks"))) == ("uncollectible", 1)
    assert "mark_uncollectible.done" in shop.causes(id)


@pytest.mark.parametrize("point", ["round.after", "send.before", "send.after", "reply.received"])
def test_a_crash_marks_it_once(a_shop: OpenShop, point: str):
    shop, id = an_issued_invoice(a_shop)
    give_up(shop, id)
    shop.crash(point)
    shop.run_for(600)
    assert [made for _, made in shop.books.documents if made.startswith("marks")] == ["marks-2"]
    assert shop.causes(id).count("mark_uncollectible.done") == 1


def test_a_lost_answer_marks_it_once(a_shop: OpenShop):
    shop, id = an_issued_invoice(a_shop)
    shop.wire.plan(lost_after, to="marks")
    give_up(shop, id)
    shop.run_for(600)
    assert [made for _, made in shop.books.documents if made.startswith("marks")] == ["marks-2"]


def test_money_that_comes_all_the_same_pays_it(a_shop: OpenShop):
    shop, id = an_issued_invoice(a_shop)
    give_up(shop, id)
    shop.run()
    assert shop.ns.invoices.record_payment(id, "10").status == "paid"
    shop.run()
    assert len(shop.wire.to("notes")) == 1


def test_what_is_paid_before_it_could_be_marked_is_not_marked(a_shop: OpenShop):
    shop, id = an_issued_invoice(a_shop)
    give_up(shop, id)
    shop.ns.invoices.record_payment(id, "10")
    shop.run()
    assert (shop.status(id), shop.wire.to("marks")) == ("paid", [])


def test_what_is_voided_before_it_could_be_marked_is_only_voided(a_shop: OpenShop):
    shop, id = an_issued_invoice(a_shop)
    give_up(shop, id)
    shop.ns.invoices.void(id)
    shop.run()
    assert (shop.status(id), len(shop.wire.to("voids")), shop.wire.to("marks")) == ("voided", 1, [])


def test_a_refused_mark_leaves_it_uncollectible_and_is_shown(a_shop: OpenShop):
    shop, id = an_issued_invoice(a_shop)
    shop.books.refuses = {id}
    give_up(shop, id)
    shop.run()
    assert (shop.status(id), [issue.code for issue in shop.get(id).issues]) == ("uncollectible", ["not_open"])


def test_an_app_that_knows_no_such_mark_is_not_asked(a_shop: OpenShop):
    shop = a_shop()
    id = shop.submit()
    shop.run()
    before = len(shop.wire.sent)
    give_up(shop, id)
    shop.run()
    assert (shop.status(id), len(shop.wire.sent)) == ("uncollectible", before)


def test_a_preview_shows_the_mark(a_shop: OpenShop):
    shop, id = an_issued_invoice(a_shop)
    give_up(shop, id)
    (step,) = shop.ns.invoices.preview(id).steps
    assert (step.operation, step.url) == ("mark_uncollectible", "http://books/marks")
