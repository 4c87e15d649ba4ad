"""What a billing profile's workflow does to an invoice: approval, waiting times, due dates, and how money is asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from engine_kit import NOON, Shop, a_provider, answers, careful_draft, documents, put, repeat

from billhook.contract import (
    Batch,
    Done,
    PaymentResult,
    PaymentStatus,
    Pending,
    SendResult,
)
from billhook.domain.numbering import Series, SeriesReset
from billhook.domain.usage import UsageQuestion
from billhook.engine.one_by_one import Asked, OneByOne
from billhook.errors import InvalidInput, NotAllowed

OpenShop = Callable[..., Shop]
DAY = 86_400
PENDING = "payment_processing.pending"
SENT = {"collection_method": "send_invoice"}


# Approval.


def test_an_invoice_that_a_person_approves_waits_for_that_person(a_shop_anywhere: OpenShop):
    shop = a_shop_anywhere(workflow={"auto_advance": False})
    id = shop.submit()
    shop.run_for(40 * DAY)
    assert shop.status(id) == "draft.manual_approval_needed"
    assert shop.get(id).invoice.due_at is None
    shop.ns.invoices.approve(id)
    details = shop.get(id)
    assert details.status == PENDING
    assert details.invoice.issued_at == shop.clock.now()
    assert details.invoice.due_at == (shop.clock.now() + timedelta(days=30)).replace(microsecond=0)


def test_an_edit_decides_anew_whether_the_invoice_is_sent(a_shop: OpenShop):
    def send(self: Any, batch: Batch[Any, Any]) -> Any:
        yield put("send", batch, "sent", recover=(repeat(),))
        return {batch.only.id: Done(SendResult(batch.now))}

    shop = a_shop(a_provider(sync_draft=careful_draft, send=send), workflow={"auto_advance": False})
    sent, kept = shop.submit(workflow={"collection_method": "charge_automatically"}), shop.submit(workflow=SENT)
    shop.run()
    for id, workflow in ((sent, SENT), (kept, {})):
        shop.ns.invoices.update(id, {"workflow": workflow})
    shop.run()
    for id in (sent, kept):
        if shop.status(id) == "draft.manual_approval_needed":
            shop.ns.invoices.approve(id)
    shop.run()
    assert {shop.status(id) for id in (sent, kept)} == {PENDING}
    assert shop.get(sent).invoice.sent_to_customer_at is not None
    assert shop.get(kept).invoice.sent_to_customer_at is None


def test_a_draft_period_passes_by_itself(a_shop_anywhere: OpenShop):
    shop = a_shop_anywhere(workflow={"draft_period": "P2D"})
    id = shop.submit()
    shop.run()
    assert shop.status(id) == "draft.waiting_auto_approval"
    assert shop.engine.next_due() == NOON + timedelta(days=2)
    shop.run_for(2 * DAY - 1)
    assert shop.status(id) == "draft.waiting_auto_approval"
    shop.turn(1)
    assert shop.status(id) == PENDING


def test_an_approval_cuts_a_draft_period_short(a_shop: OpenShop):
    shop = a_shop(workflow={"draft_period": "P2D"})
    id = shop.submit()
    shop.run()
    shop.ns.invoices.approve(id)
    shop.run()
    assert shop.status(id) == PENDING
    shop.run_for(3 * DAY)
    assert len(shop.books.documents) == 1


def test_a_draft_period_outlives_a_restart_and_a_crash(a_shop: OpenShop):
    shop = a_shop(workflow={"draft_period": "PT1H"})
    id = shop.submit()
    shop.run()
    shop.restart()
    shop.clock.advance(timedelta(hours=5))
    shop.crash("round.before")
    shop.run()
    assert shop.status(id) == PENDING


def test_an_edit_in_the_draft_period_is_synced_again_and_the_period_stays(a_shop: OpenShop):
    shop = a_shop(workflow={"draft_period": "P2D"})
    id = shop.submit()
    shop.run_for(DAY)
    shop.ns.invoices.update(id, {"description": "better"})
    shop.run()
    assert shop.status(id) == "draft.waiting_auto_approval"
    assert len(shop.books.documents) == 2
    shop.run_for(DAY)
    assert shop.status(id) == PENDING


def test_a_workflow_is_frozen_when_the_invoice_is_made(a_shop: OpenShop):
    shop = a_shop(workflow={"auto_advance": False})
    id = shop.submit()
    shop.ns.profiles.update(shop.ns.profiles.default().id, workflow={"auto_advance": True})
    shop.run_for(DAY)
    assert shop.status(id) == "draft.manual_approval_needed"
    later = shop.submit()
    shop.run()
    assert shop.status(later) == PENDING


def test_an_approval_where_none_is_awaited_is_refused(a_shop: OpenShop):
    shop = a_shop()
    id = shop.submit()
    shop.run()
    with pytest.raises(NotAllowed):
        shop.ns.invoices.approve(id)


# Collection.


class Meter:
    """A usage source that knows one figure, and who asked."""

    def __init__(self, quantity: str) -> None:
        self.quantity = Decimal(quantity)
        self.asked: list[datetime] = []
        self.shop: Any = None
        self.fails = False

    def quantities(self, questions: Sequence[UsageQuestion]) -> dict[str, Decimal]:
        self.asked.append(self.shop.clock.now())
        if self.fails:
            raise ConnectionError("the meter is down")
        return {question.line_id: self.quantity for question in questions}


def a_metered_shop(open_one: OpenShop, meter: Meter, **options: Any) -> Shop:
    shop = open_one(usage=meter, **options)
    meter.shop = shop
    period = {"start": "2026-04-01T00:00:00Z", "end": "2026-05-01T00:00:00Z"}
    price = {"type": "unit", "amount": "2.00"}
    line = {
        "name": "API calls",
        "feature_key": "calls",
        "period": period,
        "invoice_at": "2026-05-01T11:30:00Z",
        "price": price,
    }
    shop.ns.pending_lines.add(shop.ns.customers.get("jane").id, "EUR", [line])
    return shop


def invoice_now(shop: Shop) -> str:
    (id,) = shop.ns.gathering.invoice_now(shop.ns.customers.get("jane").id)
    return id


def test_a_metered_invoice_waits_until_all_usage_can_have_arrived(a_shop_anywhere: OpenShop):
    meter = Meter("5")
    shop = a_metered_shop(a_shop_anywhere, meter)
    id = invoice_now(shop)
    details = shop.get(id)
    assert (details.status, details.invoice.collection_at) == (
        "draft.waiting_for_collection",
        NOON + timedelta(minutes=30),
    )
    meter.quantity = Decimal(7)
    shop.run_for(1799)
    assert shop.status(id) == "draft.waiting_for_collection"
    shop.turn(1)
    details = shop.get(id)
    assert details.status == PENDING
    assert details.invoice.total == Decimal("14.00")


def test_usage_can_be_taken_at_once(a_shop: OpenShop):
    meter = Meter("5")
    shop = a_metered_shop(a_shop, meter)
    id = invoice_now(shop)
    meter.quantity = Decimal(6)
    shop.ns.invoices.snapshot_quantities(id)
    shop.run()
    assert shop.status(id) == "draft.waiting_auto_approval"
    assert shop.get(id).invoice.total == Decimal("12.00")
    with pytest.raises(NotAllowed):
        shop.ns.invoices.snapshot_quantities(id)
    shop.run_for(1800)
    assert shop.status(id) == PENDING


def test_an_invoice_whose_meter_is_down_waits_and_is_asked_about_again(a_shop: OpenShop):
    meter = Meter("5")
    shop = a_metered_shop(a_shop, meter)
    id = invoice_now(shop)
    meter.fails = True
    shop.run_for(3600)
    assert shop.status(id) == "draft.waiting_for_collection"
    meter.fails = False
    shop.run_for(1200)
    assert shop.status(id) == PENDING


# Due dates.


@pytest.mark.parametrize("opted_in", [True, False])
def test_a_due_date_makes_an_invoice_overdue_only_where_the_profile_says_so(a_shop_anywhere: OpenShop, opted_in: bool):
    shop = a_shop_anywhere(workflow={"overdue_after_due": opted_in, "due_after": "P10D"})
    id = shop.submit()
    shop.run_for(10 * DAY - 1)
    assert shop.status(id) == PENDING
    shop.turn(1)
    assert shop.status(id) == ("overdue" if opted_in else PENDING)
    assert shop.engine.next_due() is None


def test_an_invoice_that_is_paid_in_time_is_never_overdue(a_shop: OpenShop):
    shop = a_shop(workflow={"overdue_after_due": True, "due_after": "P10D"})
    id = shop.submit()
    shop.run()
    shop.ns.invoices.record_payment(id, "10.00")
    shop.run_for(20 * DAY)
    assert shop.status(id) == "paid"


def test_an_overdue_invoice_that_is_tried_again_is_not_overdue_at_once(a_shop: OpenShop):
    shop = a_shop(workflow={"overdue_after_due": True, "due_after": "P1D"})
    id = shop.submit()
    shop.run_for(2 * DAY)
    shop.ns.invoices.retry(id)
    shop.run_for(DAY)
    assert shop.status(id) == PENDING


# Mirrored from an upstream.


def test_an_invoice_mirrored_from_an_upstream_has_no_timers_of_its_own(a_shop_anywhere: OpenShop):
    workflow = {"overdue_after_due": True, "due_after": "P1D", "draft_period": "P1D"}
    shop = a_shop_anywhere(workflow=workflow)
    dates = {"issued_at": "2026-04-01T00:00:00Z", "due_at": "2026-04-15T00:00:00Z"}
    id = shop.ns.invoices.submit(shop.draft(**dates), mirrored=True).id
    shop.run_for(30 * DAY)
    assert shop.status(id) == "draft.waiting_auto_approval"
    assert shop.engine.next_due() is None
    shop.ns.invoices.approve(id)
    shop.run_for(30 * DAY)
    invoice = shop.get(id).invoice
    assert invoice.status == PENDING
    assert (invoice.issued_at.day, invoice.due_at.day) == (1, 15)


LAST_MONTH = {"issued_at": "2026-01-31T00:00:00Z", "due_at": "2026-02-14T00:00:00Z"}


def dates(shop: Shop, id: str) -> tuple[str, str]:
    """The days on which the invoice is issued and due."""
    invoice = shop.get(id).invoice
    return str(invoice.issued_at)[:10], str(invoice.due_at)[:10]


@pytest.mark.parametrize("auto_advance", [True, False])
def test_an_invoice_bears_the_dates_that_its_host_states(a_shop_anywhere: OpenShop, auto_advance: bool):
    shop = a_shop_anywhere()
    id = shop.submit(**LAST_MONTH, workflow={"auto_advance": auto_advance})
    shop.run()
    assert dates(shop, id) == ("2026-01-31", "2026-02-14")
    if not auto_advance:
        shop.ns.invoices.approve(id)
    shop.run()
    assert (shop.status(id), dates(shop, id)) == (PENDING, ("2026-01-31", "2026-02-14"))


def test_an_invoice_of_a_day_gone_by_is_due_and_numbered_as_of_that_day(a_shop: OpenShop):
    shop = a_shop()
    shop.ns.numbers.define(Series(name="invoice", template="INV-{year}-{sequence}", reset=SeriesReset.YEARLY))
    id = shop.submit(issued_at="2025-12-31T12:00:00Z", workflow={"due_after": "P14D"})
    shop.run()
    assert (shop.get(id).invoice.number, dates(shop, id)) == ("INV-2025-1", ("2025-12-31", "2026-01-14"))


def test_a_retried_issue_does_not_move_a_stated_date(a_shop: OpenShop):
    shop = a_shop()
    shop.wire.plan(*[answers(503)] * 20, to="issues")
    id = shop.submit(**LAST_MONTH)
    shop.run_for(DAY)
    shop.ns.retry_failed()
    shop.run_for(DAY)
    assert dates(shop, id) == ("2026-01-31", "2026-02-14")


@pytest.mark.parametrize(
    "stated, code",
    [
        ({"issued_at": "2099-01-01T00:00:00Z"}, "issued_at_in_future"),
        ({"issued_at": "2026-01-31T00:00:00Z", "due_at": "2026-01-30T00:00:00Z"}, "due_before_issued"),
        ({"due_at": "2026-01-01T00:00:00Z"}, "due_before_issued"),
    ],
)
def test_dates_that_no_invoice_bears_are_refused(a_shop: OpenShop, stated: dict[str, str], code: str):
    shop = a_shop()
    before = shop.counts()
    with pytest.raises(InvalidInput) as refusal:
        shop.submit(**stated)
    assert (refusal.value.code, shop.counts()) == (code, before)
    with pytest.raises(InvalidInput, match=refusal.value.message[:20]):
        shop.ns.invoices.simulate(shop.draft(**stated), number="INV-1")


def test_an_edit_states_dates_and_gives_them_back_to_the_workflow(a_shop: OpenShop):
    shop = a_shop()
    id = shop.submit(workflow={"auto_advance": False, "due_after": "P14D"})
    shop.run()
    assert dates(shop, id) == ("None", "None")
    shop.ns.invoices.update(id, LAST_MONTH)
    shop.run()
    assert dates(shop, id) == ("2026-01-31", "2026-02-14")
    shop.ns.invoices.update(id, {"due_at": None})
    shop.run()
    assert dates(shop, id) == ("2026-01-31", "2026-02-14")
    with pytest.raises(InvalidInput) as refusal:
        shop.ns.invoices.update(id, {"due_at": "2026-01-01T00:00:00Z"})
    assert refusal.value.code == "due_before_issued"
    shop.ns.invoices.update(id, {"issued_at": None})
    shop.run()
    shop.ns.invoices.approve(id)
    shop.run()
    assert dates(shop, id)[0] == str(shop.clock.now())[:10]


def test_the_dates_of_a_mirrored_invoice_are_not_edited(a_shop: OpenShop):
    shop = a_shop()
    id = shop.ns.invoices.submit(shop.draft(), mirrored=True).id
    shop.run()
    with pytest.raises(InvalidInput) as refusal:
        shop.ns.invoices.update(id, LAST_MONTH)
    assert refusal.value.code == "due_at_not_owned"


@pytest.mark.parametrize("name", ["issued_at", "due_at"])
def test_who_approves_an_invoice_of_ours_states_no_dates(a_shop: OpenShop, name: str):
    shop = a_shop()
    id = shop.submit(workflow={"auto_advance": False})
    shop.run()
    before = shop.get(id)
    with pytest.raises(InvalidInput) as refusal:
        shop.ns.invoices.approve(id, **{name: NOON})
    assert refusal.value.code == f"{name}_not_owned"
    assert shop.get(id) == before


# Sending, or collecting.


def sending_and_collecting(**collected: Any) -> Any:
    def issue(self: Any, batch: Batch[Any, Any]) -> Any:
        reply = yield put("issue", batch, "issue", recover=(repeat(),))
        return documents(batch, reply)

    def send(self: Any, batch: Batch[Any, Any]) -> Any:
        yield put("send", batch, "send", recover=(repeat(),))
        return {batch.only.id: Done(SendResult(batch.now))}

    def collect_payment(self: Any, batch: Batch[Any, Any]) -> Any:
        item = batch.only
        yield put("collect", batch, "collect", recover=(repeat(),))
        usual = {"status": PaymentStatus.SUCCEEDED, "amount": item.amount, "external_id": f"pay-{item.id}"}
        return {item.id: Done(PaymentResult(**{**usual, **collected}))}

    return a_provider(sync_draft=careful_draft, issue=issue, send=send, collect_payment=collect_payment)


def test_send_invoice_sends_once_after_issue_notes_when_and_never_collects(a_shop_anywhere: OpenShop):
    shop = a_shop_anywhere(sending_and_collecting(), workflow={"collection_method": "send_invoice"})
    id = shop.submit()
    shop.run_for(60 * DAY)
    details = shop.get(id)
    assert details.status == PENDING
    assert details.invoice.sent_to_customer_at == NOON
    assert [request.url.rpartition("/")[2] for request in shop.wire.sent] == ["drafts", "issue", "send"]
    assert details.payments == ()


def test_a_send_whose_answer_is_lost_is_not_sent_under_another_key(a_shop: OpenShop):
    from engine_kit import lost_after

    shop = a_shop(sending_and_collecting(), workflow={"collection_method": "send_invoice"})
    shop.wire.plan(lost_after, to="send")
    id = shop.submit()
    shop.run_for(3600)
    assert shop.get(id).invoice.sent_to_customer_at is not None
    assert len(set(shop.wire.keys("send"))) == 1
    assert [made for _, made in shop.books.documents if made.startswith("send")] == ["send-3"]


def test_charge_automatically_collects_once_and_never_sends(a_shop_anywhere: OpenShop):
    shop = a_shop_anywhere(sending_and_collecting(), workflow={"collection_method": "charge_automatically"})
    id = shop.submit()
    shop.run_for(60 * DAY)
    details = shop.get(id)
    assert details.status == "paid"
    assert details.invoice.sent_to_customer_at is None
    assert [request.url.rpartition("/")[2] for request in shop.wire.sent] == ["drafts", "issue", "collect"]
    assert [(payment.status, payment.amount_received) for payment in details.payments] == [
        ("succeeded", Decimal("10.00"))
    ]


def test_a_payer_who_has_to_act_is_told_where(a_shop: OpenShop):
    provider = sending_and_collecting(
        status=PaymentStatus.ACTION_REQUIRED, amount=Decimal(0), action_url="https://books.example/3ds"
    )
    shop = a_shop(provider)
    id = shop.submit()
    shop.run()
    details = shop.get(id)
    assert details.status == "payment_processing.action_required"
    assert details.payments[0].action_url == "https://books.example/3ds"
    assert details.invoice.amount_due == Decimal("10.00")


@pytest.mark.parametrize(
    "status, state",
    [
        (PaymentStatus.FAILED, "payment_processing.failed"),
        (PaymentStatus.CANCELED, "payment_processing.failed"),
        (PaymentStatus.UNCOLLECTIBLE, "uncollectible"),
        (PaymentStatus.AUTHORIZED, "payment_processing.authorized"),
        (PaymentStatus.PROCESSING, PENDING),
    ],
)
def test_what_a_collection_came_to_is_what_the_invoice_says(a_shop: OpenShop, status: PaymentStatus, state: str):
    shop = a_shop(sending_and_collecting(status=status, amount=Decimal(0)))
    id = shop.submit()
    shop.run_for(3600)
    assert shop.status(id) == state
    assert shop.get(id).invoice.amount_paid == 0
    assert len(shop.wire.to("collect")) == 1


def test_a_failed_collection_is_tried_again_as_a_new_payment(a_shop: OpenShop):
    provider = sending_and_collecting(status=PaymentStatus.FAILED, amount=Decimal(0), code="card_declined")
    shop = a_shop(provider)
    id = shop.submit()
    shop.run()
    assert shop.status(id) == "payment_processing.failed"
    shop.restart([sending_and_collecting()])
    shop.ns.invoices.retry(id)
    shop.run()
    details = shop.get(id)
    assert details.status == "paid"
    assert [payment.status for payment in details.payments] == ["failed", "succeeded"]
    assert len(set(shop.wire.keys("collect"))) == 2


def test_a_payment_that_is_under_way_is_checked_until_it_is_known(a_shop: OpenShop):
    answers = iter([PaymentStatus.PROCESSING, PaymentStatus.SUCCEEDED])

    def collect_payment(self: Any, batch: Batch[Any, Any]) -> Any:
        yield put("collect", batch, "collect", recover=(repeat(),))
        return {batch.only.id: Pending("clearing", "pay-1", timedelta(hours=6))}

    def check_payment(self: Any, batch: Batch[Any, Any]) -> Any:
        yield put("check", batch, "check", safe=True, key=None)
        status = next(answers)
        if status is PaymentStatus.PROCESSING:
            return {batch.only.id: Pending("clearing", check_after=timedelta(hours=6))}
        return {batch.only.id: Done(PaymentResult(status, batch.only.amount, batch.only.external_id))}

    shop = a_shop(a_provider(sync_draft=careful_draft, collect_payment=collect_payment, check_payment=check_payment))
    id = shop.submit()
    shop.run()
    assert (shop.status(id), shop.get(id).payments[0].status) == (PENDING, "processing")
    shop.run_for(7 * 3600)
    assert shop.status(id) == PENDING
    shop.run_for(6 * 3600)
    assert shop.status(id) == "paid"
    assert shop.get(id).payments[0].external_id == "pay-1"
    assert len(shop.wire.to("collect")) == 1


def test_an_invoice_over_nothing_is_paid_as_it_is_issued(a_shop: OpenShop):
    shop = a_shop(sending_and_collecting())
    line = {"name": "Gift", "quantity": "1", "price": {"type": "unit", "amount": "0"}}
    id = shop.submit(lines=[line])
    shop.run()
    assert shop.status(id) == "paid"
    assert shop.wire.to("collect") == []


def test_what_was_mended_while_all_with_one_cause_are_edited_is_left_as_it_is(
    a_shop: OpenShop, monkeypatch: pytest.MonkeyPatch
):
    shop = a_shop()
    ids = shop.ns.invoices.submit_many([shop.draft(expected_totals={"total": "9"}) for _ in range(2)])
    shop.run()
    whole = OneByOne.ask

    def mended_first(self: OneByOne, documents: Sequence[Asked]) -> tuple[Asked, ...]:
        shop.ns.invoices.update(ids[0], {"expected_totals": {"total": "10"}})
        return whole(self, documents)

    monkeypatch.setattr(OneByOne, "ask", mended_first)
    asked = shop.ns.edit_workflows("totals_unexpected", {"due_after": "P14D"})
    assert [(each.id, each.code) for each in asked] == [(ids[0], "issue_ended"), (ids[1], None)]
    assert [shop.get(id).invoice.revision for id in ids] == [2, 2]
