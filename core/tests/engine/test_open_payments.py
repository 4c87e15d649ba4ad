"""Money that is only authorized is captured, payments that nobody wants any more are canceled, each once, whatever goes wrong."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from engine_kit import Shop, a_provider, careful_draft, lost_before, put, repeat
from money_kit import an_issued_invoice, paths
from sandbox_shop import SandboxShop, open_sandbox_shop

from billhook.contract import Batch, Done, PaymentResult, PaymentStatus, Pending, Rejected, remote_id
from billhook.errors import InvalidInput, NotAllowed, Unsupported
from billhook.testing.invariants import problems_of

OpenShop = Callable[..., Shop]
TARGET = "openmeter.io/sandbox/target-payment-status"
AUTHORIZED, FAILED = "payment_processing.authorized", "payment_processing.failed"


def an_invoice(scene: SandboxShop, target: str = "authorized") -> str:
    """An invoice over 10.00 whose payment stands at the sandbox as told."""
    id = scene.shop.submit(metadata={TARGET: target})
    scene.shop.run()
    return id


def at_the_sandbox(scene: SandboxShop) -> list[tuple[str, Decimal]]:
    return [(payment.status, payment.amount) for payment in scene.sandbox.payments()]


def money(scene: SandboxShop, id: str) -> tuple[Decimal, Decimal]:
    invoice = scene.shop.get(id).invoice
    return invoice.amount_paid, invoice.amount_due


# Capturing.


def test_what_is_authorized_is_captured_and_the_invoice_is_paid(a_shop_anywhere: OpenShop):
    scene = open_sandbox_shop(a_shop_anywhere)
    id = an_invoice(scene)
    assert scene.shop.status(id) == AUTHORIZED
    assert scene.shop.ns.invoices.capture(id).status == AUTHORIZED
    scene.shop.run()
    assert (scene.shop.status(id), money(scene, id)) == ("paid", (Decimal(10), Decimal(0)))
    assert at_the_sandbox(scene) == [("paid", Decimal("10.00"))]


def test_a_part_is_captured_and_the_rest_can_be_collected(a_shop: OpenShop):
    scene = open_sandbox_shop(a_shop)
    id = an_invoice(scene)
    scene.shop.ns.invoices.capture(id, "4.00")
    scene.shop.run()
    details = scene.shop.get(id)
    assert (details.status, money(scene, id)) == (FAILED, (Decimal(4), Decimal(6)))
    assert [(payment.status, payment.amount) for payment in details.payments] == [("succeeded", Decimal("4.00"))]
    (issue,) = details.issues
    assert (issue.code, "6.00 are still owed" in issue.message) == ("captured_in_part", True)
    scene.shop.ns.invoices.retry(id)
    scene.shop.run()
    scene.shop.ns.invoices.capture(id)
    scene.shop.run()
    assert (scene.shop.status(id), money(scene, id)) == ("paid", (Decimal(10), Decimal(0)))
    assert [amount for _, amount in at_the_sandbox(scene)] == [Decimal("4.00"), Decimal("6.00")]


@pytest.mark.parametrize("target", ["authorized", "action_required"])
@pytest.mark.parametrize("said", ["payment_failed", "payment_overdue"])
def test_a_retry_takes_nothing_twice_and_goes_where_the_payment_under_way_stands(
    a_shop: OpenShop, target: str, said: str
):
    scene = open_sandbox_shop(a_shop)
    id = an_invoice(scene, target)
    there = scene.shop.status(id)
    scene.shop.ns.invoices.payment_status(id, said)
    assert scene.shop.get(id).available_actions == {"retry": there}
    assert scene.shop.ns.invoices.retry(id).status == there
    scene.shop.run()
    assert (scene.shop.status(id), at_the_sandbox(scene)) == (there, [(target, Decimal("10.00"))])


def test_a_part_that_is_captured_after_a_retry_leaves_a_rest_that_can_be_collected(a_shop: OpenShop):
    scene = open_sandbox_shop(a_shop)
    id = an_invoice(scene)
    scene.shop.ns.invoices.payment_status(id, "payment_failed")
    scene.shop.ns.invoices.retry(id)
    scene.shop.ns.invoices.capture(id, "4.00")
    scene.shop.run()
    assert (scene.shop.status(id), money(scene, id)) == (FAILED, (Decimal(4), Decimal(6)))
    assert scene.shop.issue_codes(id) == ["captured_in_part"]


@pytest.mark.parametrize("amount", ["10.01", "0", "-1", "0.001", "NaN"])
def test_no_more_is_captured_than_is_authorized(a_shop: OpenShop, amount: str):
    scene = open_sandbox_shop(a_shop)
    id = an_invoice(scene)
    before = scene.shop.counts()
    with pytest.raises(InvalidInput):
        scene.shop.ns.invoices.capture(id, amount)
    assert scene.shop.counts() == before


def test_nothing_is_captured_where_nothing_is_authorized(a_shop: OpenShop):
    scene = open_sandbox_shop(a_shop)
    for target in ("paid", "action_required", "failed"):
        with pytest.raises(NotAllowed, match="nothing to capture"):
            scene.shop.ns.invoices.capture(an_invoice(scene, target))


def test_asking_twice_captures_once(a_shop: OpenShop):
    scene = open_sandbox_shop(a_shop)
    id = an_invoice(scene)
    scene.shop.ns.invoices.capture(id)
    scene.shop.ns.invoices.capture(id)
    scene.shop.run()
    with pytest.raises(NotAllowed):
        scene.shop.ns.invoices.capture(id)
    assert at_the_sandbox(scene) == [("paid", Decimal("10.00"))]


@pytest.mark.parametrize("trouble", ["lost_response", "late", "5xx_after_commit", "5xx_before", "garbage"])
@pytest.mark.parametrize("asked", ["capture", "cancel_payment"])
def test_a_lost_answer_ends_a_payment_once(a_shop: OpenShop, asked: str, trouble: str):
    scene = open_sandbox_shop(a_shop)
    id = an_invoice(scene)
    scene.sandbox.fault(trouble, matching=f"/{asked.partition('_')[0]}")
    getattr(scene.shop.ns.invoices, asked)(id)
    scene.shop.run_for(600)
    expected = {"capture": ("paid", "paid"), "cancel_payment": (FAILED, "canceled")}[asked]
    assert (scene.shop.status(id), scene.sandbox.payments()[0].status) == expected
    assert len(scene.sandbox.payments()) == 1
    assert problems_of(scene.shop.engine) == []


@pytest.mark.parametrize("point", ["round.before", "round.after", "send.before", "send.after", "reply.received"])
@pytest.mark.parametrize("asked", ["capture", "cancel_payment"])
def test_a_crash_ends_a_payment_once(a_shop: OpenShop, asked: str, point: str):
    scene = open_sandbox_shop(a_shop)
    id = an_invoice(scene)
    getattr(scene.shop.ns.invoices, asked)(id)
    scene.shop.crash(point)
    scene.shop.run_for(600)
    expected = {"capture": ("paid", "paid"), "cancel_payment": (FAILED, "canceled")}[asked]
    assert (scene.shop.status(id), scene.sandbox.payments()[0].status) == expected
    assert problems_of(scene.shop.engine) == []


def test_what_was_captured_elsewhere_is_counted_and_not_captured_again(a_shop: OpenShop):
    scene = open_sandbox_shop(a_shop)
    id = an_invoice(scene)
    scene.sandbox.finish_payment(scene.sandbox.payments()[0].id)
    scene.shop.ns.invoices.capture(id)
    scene.shop.run()
    assert (scene.shop.status(id), money(scene, id)) == ("paid", (Decimal(10), Decimal(0)))


# Canceling.


@pytest.mark.parametrize("target", ["authorized", "action_required", "processing"])
def test_a_payment_under_way_is_canceled_and_the_invoice_can_be_paid_again(a_shop: OpenShop, target: str):
    scene = open_sandbox_shop(a_shop)
    id = an_invoice(scene, target)
    scene.shop.ns.invoices.cancel_payment(id)
    scene.shop.run()
    assert (scene.shop.status(id), [status for status, _ in at_the_sandbox(scene)]) == (FAILED, ["canceled"])
    scene.shop.ns.invoices.record_payment(id, "10")
    assert scene.shop.status(id) == "paid"


def test_there_is_nothing_to_cancel_where_no_payment_is_under_way(a_shop: OpenShop):
    scene = open_sandbox_shop(a_shop)
    with pytest.raises(NotAllowed, match="nothing to cancel"):
        scene.shop.ns.invoices.cancel_payment(an_invoice(scene, "paid"))


def test_money_that_came_before_the_cancellation_counts(a_shop: OpenShop):
    scene = open_sandbox_shop(a_shop)
    id = an_invoice(scene, "action_required")
    scene.shop.ns.invoices.cancel_payment(id)
    scene.sandbox.finish_payment(scene.sandbox.payments()[0].id)
    scene.shop.run()
    assert (scene.shop.status(id), money(scene, id)) == ("paid", (Decimal(10), Decimal(0)))


@pytest.mark.parametrize("target", ["authorized", "action_required", "processing"])
def test_voiding_an_invoice_cancels_its_payment_first(a_shop_anywhere: OpenShop, target: str):
    scene = open_sandbox_shop(a_shop_anywhere)
    id = an_invoice(scene, target)
    details = scene.shop.ns.invoices.void(id)
    assert (details.pending_command, details.status.partition(".")[0]) == ("void", "payment_processing")
    scene.shop.run()
    assert (scene.shop.status(id), [status for status, _ in at_the_sandbox(scene)]) == ("voided", ["canceled"])
    assert scene.sandbox.documents()[0].status == "void"
    assert scene.shop.get(id).pending_command is None


def test_an_invoice_whose_money_came_meanwhile_is_not_voided(a_shop: OpenShop):
    scene = open_sandbox_shop(a_shop)
    id = an_invoice(scene)
    scene.shop.ns.invoices.void(id)
    scene.sandbox.finish_payment(scene.sandbox.payments()[0].id)
    scene.shop.run()
    assert (scene.shop.status(id), scene.sandbox.documents()[0].status) == ("paid", "paid")
    assert [entry for entry in scene.shop.ns.invoices.timeline(id) if "void is no longer possible" in entry.summary]


@pytest.mark.parametrize("point", ["round.after", "send.after", "reply.received"])
def test_a_crash_on_the_way_to_void_still_voids(a_shop: OpenShop, point: str):
    scene = open_sandbox_shop(a_shop)
    id = an_invoice(scene)
    scene.shop.ns.invoices.void(id)
    scene.shop.crash(point)
    scene.shop.run_for(600)
    assert (scene.shop.status(id), [status for status, _ in at_the_sandbox(scene)]) == ("voided", ["canceled"])


def test_an_invoice_that_is_paid_another_way_lets_its_payment_go(a_shop_anywhere: OpenShop):
    scene = open_sandbox_shop(a_shop_anywhere)
    id = an_invoice(scene)
    assert scene.shop.ns.invoices.record_payment(id, "10.00", method="bank transfer").status == "paid"
    scene.shop.run()
    assert sorted(status for status, _ in at_the_sandbox(scene)) == ["canceled", "paid"]
    assert (scene.shop.status(id), money(scene, id)) == ("paid", (Decimal(10), Decimal(0)))


def test_a_payment_that_was_not_sent_yet_is_never_sent_once_the_invoice_is_paid(a_shop: OpenShop):
    def approved_later(self: Any, batch: Batch[Any, Any]) -> Any:
        raise AssertionError("nothing is to be collected any more")
        yield

    provider = a_provider(sync_draft=careful_draft, collect_payment=approved_later)
    shop = a_shop(provider, workflow={"auto_advance": False})
    id = shop.submit()
    shop.run()
    shop.ns.invoices.approve(id)
    shop.ns.invoices.record_payment(id, "10")
    shop.run()
    assert shop.status(id) == "paid"
    assert [payment.status for payment in shop.get(id).payments] == ["canceled", "succeeded"]


# What can't be canceled, and what is not known.


def authorize(self: Any, batch: Batch[Any, Any]) -> Any:
    reply = yield put("collect", batch, "collect", recover=(repeat(),))
    return {batch.only.id: Done(PaymentResult(PaymentStatus.AUTHORIZED, Decimal(0), reply.json()["items"][0]["id"]))}


def a_bank(**hooks: Any) -> Any:
    return a_provider(sync_draft=careful_draft, collect_payment=authorize, **hooks)


def test_an_app_that_can_t_says_why_and_the_invoice_is_not_voided(a_shop: OpenShop):
    shop = a_shop(a_bank())
    id = shop.submit()
    shop.run()
    for asked in (shop.ns.invoices.capture, shop.ns.invoices.cancel_payment):
        with pytest.raises(Unsupported, match="Do it there"):
            asked(id)
    with pytest.raises(NotAllowed, match="Wait for its end or end it there"):
        shop.ns.invoices.void(id)
    assert shop.status(id) == AUTHORIZED


def cancel(self: Any, batch: Batch[Any, Any]) -> Any:
    reply = yield put("cancel", batch, "cancel", recover=())
    item = reply.json()["items"][0]
    if "error" in item:
        return {batch.only.id: Rejected.because("too_late", "It is too late.")}
    return {batch.only.id: Done(PaymentResult(PaymentStatus.CANCELED, Decimal(0)))}


def test_a_cancellation_that_is_refused_leaves_the_invoice_as_it_is(a_shop: OpenShop):
    shop = a_shop(a_bank(cancel_payment=cancel))
    id = shop.submit()
    shop.run()
    shop.books.refuses = {shop.get(id).payments[0].id}
    shop.ns.invoices.void(id)
    shop.run()
    details = shop.get(id)
    assert (details.status, details.pending_command) == (AUTHORIZED, None)
    assert [(issue.code, issue.severity.value) for issue in details.issues] == [("too_late", "warning")]
    assert len(shop.wire.to("cancel")) == 1


def test_a_cancellation_of_which_nobody_knows_is_settled_by_a_person_and_then_the_invoice_is_void(a_shop: OpenShop):
    shop = a_shop(a_bank(cancel_payment=cancel))
    id = shop.submit()
    shop.run()
    shop.wire.plan(lost_before, to="cancel")
    shop.ns.invoices.void(id)
    shop.run_for(600)
    assert (shop.status(id), len(shop.ns.doubts.list())) == (AUTHORIZED, 1)
    shop.ns.doubts.resolve(shop.get(id).payments[0].id, found="collect-1")
    shop.run()
    assert shop.status(id) == "voided"


def test_a_cancellation_that_takes_its_time_is_looked_at_again(a_shop: OpenShop):
    def slowly(self: Any, batch: Batch[Any, Any]) -> Any:
        yield put("cancel", batch, "cancel", recover=(repeat(),))
        return {batch.only.id: Pending("it is being canceled", check_after=timedelta(minutes=1))}

    def check(self: Any, batch: Batch[Any, Any]) -> Any:
        yield put("check", batch, "check", safe=True, key=None)
        return {batch.only.id: Done(PaymentResult(PaymentStatus.CANCELED, Decimal(0)))}

    shop = a_shop(a_bank(cancel_payment=slowly, check_payment=check))
    id = shop.submit()
    shop.run()
    shop.ns.invoices.cancel_payment(id)
    shop.run_for(120)
    assert shop.status(id) == FAILED
    assert (len(shop.wire.to("cancel")), len(shop.wire.to("check"))) == (1, 1)


def test_what_is_previewed_beside_the_invoice_is_what_a_capture_sends(a_shop: OpenShop):
    scene = open_sandbox_shop(a_shop)
    id = an_invoice(scene)
    scene.shop.ns.invoices.capture(id, "4")
    (step,) = [step for step in scene.shop.ns.invoices.preview(id).steps if step.operation == "capture_payment"]
    scene.shop.run()
    (sent,) = scene.shop.wire.to("/capture")
    assert (step.method, step.url, step.body) == (sent.method, sent.url, sent.body)


@pytest.mark.parametrize("told", ["by the answer", "by the outcome"])
def test_a_note_that_the_books_finish_later_is_not_made_again(a_shop_anywhere: OpenShop, told: str):
    def record_payment(self: Any, batch: Batch[Any, Any]) -> Any:
        item = batch.only
        known = remote_id(item)
        if known is None:
            marks = {"identify": self.function("made")} if told == "by the answer" else {}
            reply = yield put("note", batch, "notes", recover=(repeat(),), **marks)
            id = reply.json()["items"][0]["id"] if told == "by the outcome" else None
            return {item.id: Pending("under review", id, check_after=timedelta(minutes=1))}
        yield put("look", batch, "looks", safe=True, key=None)
        return {item.id: Done(PaymentResult(PaymentStatus.SUCCEEDED, item.amount, known))}

    shop = a_shop_anywhere(a_provider(sync_draft=careful_draft, record_payment=record_payment))
    id = an_issued_invoice(shop)
    shop.ns.invoices.record_payment(id, "10")
    shop.run_for(600)
    assert (shop.status(id), paths(shop).count("notes"), paths(shop).count("looks")) == ("paid", 1, 1)


def test_a_charge_that_is_pending_is_looked_at_by_what_its_answer_made(a_shop_anywhere: OpenShop):
    def collect_payment(self: Any, batch: Batch[Any, Any]) -> Any:
        yield put("charge", batch, "charges", identify=self.function("made"), recover=(repeat(),))
        return {batch.only.id: Pending("with the bank", check_after=timedelta(minutes=1))}

    def check_payment(self: Any, batch: Batch[Any, Any]) -> Any:
        yield put("check", batch, "checks", safe=True, key=None)
        known = batch.only.leftovers.get("charge")
        return {batch.only.id: Done(PaymentResult(PaymentStatus.SUCCEEDED, batch.only.amount, known))}

    hooks = {"collect_payment": collect_payment, "check_payment": check_payment}
    shop = a_shop_anywhere(a_provider(sync_draft=careful_draft, **hooks))
    id = shop.submit()
    shop.run_for(600)
    (payment,) = shop.get(id).payments
    assert (shop.status(id), payment.external_id) == ("paid", "charges-2")
