"""One app taxes, another keeps the books, a third collects: money that one of them takes is noted, and missed, by the others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from engine_kit import NOON, Shop, a_provider, answers, careful_draft, documents, lost_after, put, repeat
from money_kit import (
    PENDING,
    a_look_at_a_payment,
    a_refunding_shop,
    an_issued_invoice,
    an_undecided_payment,
    collect_payment,
    money,
    note_payment,
    paths,
)

from billhook.contract import (
    Batch,
    CustomerResult,
    DocumentResult,
    Done,
    LineTax,
    OperationRules,
    PaymentResult,
    PaymentStatus,
    ProviderTotals,
    Refusal,
    Rejected,
    Snapshot,
    TaxResult,
    WebhookEvent,
)
from billhook.errors import NotAllowed
from billhook.store import schema

OpenShop = Callable[..., Shop]


def tax_each_line(self: Any, batch: Batch[Any, Any]) -> Any:
    yield put("tax", batch, "tax", safe=True, key=None)
    taxes = {
        line.id: (LineTax(name="VAT", amount=line.totals.total / 5, percentage=Decimal(20)),)
        for line in batch.only.invoice.lines
    }
    return {batch.only.id: Done(TaxResult(taxes))}


def sync_customer(self: Any, batch: Batch[Any, Any]) -> Any:
    reply = yield put("customer", batch, f"{self.declaration.type}-customers", recover=(repeat(),))
    return {item["ref"]: Done(CustomerResult(item["id"])) for item in reply.json()["items"]}


def three_apps(open_one: OpenShop) -> Shop:
    books = a_provider(sync_draft=careful_draft, record_payment=note_payment, sync_customer=sync_customer)
    bank = a_provider("bank", collect_payment=collect_payment, sync_customer=sync_customer)
    tax = a_provider("taxes", calculate_tax=tax_each_line)
    shop = open_one(books, bank, tax, ready=False)
    apps = {name: shop.an_app(name).id for name in ("books", "bank", "taxes")}
    shop.a_profile(shop.app, tax_app_id=apps["taxes"], invoicing_app_id=apps["books"], payment_app_id=apps["bank"])
    shop.ns.customers.create("Jane Doe", key="jane")
    return shop


def read_webhook(
    self: Any, headers: Mapping[str, str], body: bytes, secrets: Any, now: datetime
) -> Sequence[WebhookEvent] | Refusal:
    name, kind, external_id = body.decode().split()
    return [WebhookEvent(name, kind, external_id, "moved")]


def fetch_all_paid(self: Any, batch: Batch[Any, Any]) -> Any:
    yield put("fetch", batch, "fetch", safe=True, key=None)
    return {batch.only.id: Done(Snapshot(True, "drafts-1", amount_paid=Decimal(10)))}


def a_bank_that_tells_more(
    open_one: OpenShop, *statuses: PaymentStatus | None, fetch: Callable[..., Any] = fetch_all_paid
) -> tuple[Shop, str, Callable[[], None]]:
    books = a_provider(sync_draft=careful_draft, record_payment=note_payment, fetch=fetch, read_webhook=read_webhook)
    bank = a_provider(
        "bank",
        collect_payment=collect_payment,
        check_payment=a_look_at_a_payment(list(statuses)),
        read_webhook=read_webhook,
    )
    shop = open_one(books, bank, ready=False)
    apps = {name: shop.an_app(name).id for name in ("books", "bank")}
    shop.a_profile(shop.app, invoicing_app_id=apps["books"], payment_app_id=apps["bank"], tax_app_id=apps["books"])
    shop.ns.customers.create("Jane Doe", key="jane")
    id = shop.submit()
    shop.run()
    assert (shop.status(id), paths(shop).count("notes")) == ("paid", 1)
    told = iter(range(10))

    def tell() -> None:
        external_id = shop.get(id).payments[0].external_id
        shop.engine.receive_webhook(apps["bank"], {}, f"evt-{next(told)} payment {external_id}".encode())
        shop.run()

    return shop, id, tell


def test_a_payment_that_is_confirmed_again_is_noted_in_the_books_once(a_shop_anywhere: OpenShop):
    again = PaymentStatus.SUCCEEDED
    shop, id, tell = a_bank_that_tells_more(a_shop_anywhere, again, again)
    tell()
    tell()
    assert paths(shop).count("check") == 2
    assert (shop.status(id), money(shop, id), paths(shop).count("notes")) == ("paid", (Decimal(10), Decimal(0)), 1)


@pytest.mark.parametrize("paid_there, status, asked", [("10", "paid", 1), ("4", "payment_processing.failed", 2)])
def test_a_retry_collects_no_more_than_the_books_do_not_show_as_paid(
    a_shop_anywhere: OpenShop, paid_there: str, status: str, asked: int
):
    shown, amounts = [Decimal(0)], []

    def fetch(self: Any, batch: Batch[Any, Any]) -> Any:
        yield put("fetch", batch, "fetch", safe=True, key=None)
        return {item.id: Done(Snapshot(True, item.external_id, amount_paid=shown[0])) for item in batch.items}

    def declined(self: Any, batch: Batch[Any, Any]) -> Any:
        yield put("collect", batch, "collect", recover=(repeat(),))
        amounts.append(batch.only.amount)
        return {batch.only.id: Rejected.because("card_declined", "It has expired.")}

    shop = a_shop_anywhere(
        a_provider(sync_draft=careful_draft, fetch=fetch), a_provider("bank", collect_payment=declined)
    )
    shop.a_profile(shop.app, payment_app_id=shop.an_app("bank").id)
    id = shop.submit()
    shop.run()
    assert shop.status(id) == "payment_processing.failed"
    shown[0] = Decimal(paid_there)
    shop.ns.invoices.retry(id)
    shop.run()
    assert (shop.status(id), paths(shop).count("collect"), amounts[-1]) == (status, asked, 10 if asked == 1 else 6)


def test_a_retry_waits_for_no_look_where_the_app_that_keeps_the_invoice_asks_nobody(a_shop: OpenShop):
    def fetch(self: Any, batch: Batch[Any, Any]) -> Any:
        return {item.id: Done(Snapshot(True, item.external_id)) for item in batch.items}

    cards = iter(["expired", "new"])

    def collect(self: Any, batch: Batch[Any, Any]) -> Any:
        yield put("collect", batch, "collect", recover=(repeat(),))
        if next(cards) == "expired":
            return {batch.only.id: Rejected.because("card_declined", "It has expired.")}
        return {batch.only.id: Done(PaymentResult(PaymentStatus.SUCCEEDED, batch.only.amount, "pay-1"))}

    books = a_provider(sync_draft=careful_draft, fetch=fetch, rules={"fetch": OperationRules(local=True)})
    shop = a_shop(books, a_provider("bank", collect_payment=collect))
    shop.a_profile(shop.app, payment_app_id=shop.an_app("bank").id)
    id = shop.submit()
    shop.run()
    assert shop.status(id) == "payment_processing.failed"
    shop.ns.invoices.retry(id)
    shop.run()
    assert (shop.status(id), shop.get(id).pending_command) == ("paid", None)


def test_money_that_is_taken_back_is_owed_again_and_its_note_in_the_books_is_named(a_shop_anywhere: OpenShop):
    shop, id, tell = a_bank_that_tells_more(a_shop_anywhere, PaymentStatus.FAILED)
    tell()
    assert (shop.status(id), money(shop, id)) == ("payment_processing.failed", (Decimal(0), Decimal(10)))
    assert shop.issue_codes(id) == ["recorded_payment_taken_back"]
    shop.ns.invoices.retry(id)
    shop.run()
    assert (shop.status(id), money(shop, id)) == ("paid", (Decimal(10), Decimal(0)))
    assert (paths(shop).count("collect"), paths(shop).count("notes")) == (2, 2)


def test_what_the_books_still_show_of_money_that_was_taken_back_is_not_other_money(a_shop_anywhere: OpenShop):
    shop, id, tell = a_bank_that_tells_more(a_shop_anywhere, PaymentStatus.FAILED)
    tell()
    books = next(app for app in shop.ns.apps.list().items if app.type == "books")
    (link,) = shop.rows(schema.document_link, document_id=id, app_id=books.id)
    shop.engine.receive_webhook(books.id, {}, f"seen document {link['external_id']}".encode())
    shop.run()
    assert "fetch" in paths(shop)
    assert (shop.status(id), money(shop, id)) == ("payment_processing.failed", (Decimal(0), Decimal(10)))


def test_money_that_was_taken_back_is_no_longer_told_of_once_it_is_undone_in_the_books(a_shop_anywhere: OpenShop):
    shown = [Decimal(10), Decimal(0), Decimal(0)]

    def fetch(self: Any, batch: Batch[Any, Any]) -> Any:
        yield put("fetch", batch, "fetch", safe=True, key=None)
        return {batch.only.id: Done(Snapshot(True, "drafts-1", amount_paid=shown.pop(0)))}

    shop, id, tell = a_bank_that_tells_more(a_shop_anywhere, PaymentStatus.FAILED, fetch=fetch)
    tell()
    books = next(app for app in shop.ns.apps.list().items if app.type == "books")
    (link,) = shop.rows(schema.document_link, document_id=id, app_id=books.id)
    for number, codes in enumerate((["recorded_payment_taken_back"], [], [])):
        shop.engine.receive_webhook(books.id, {}, f"seen-{number} document {link['external_id']}".encode())
        shop.run()
        assert shop.issue_codes(id) == codes
        assert (shop.status(id), money(shop, id)) == ("payment_processing.failed", (Decimal(0), Decimal(10)))


def test_a_look_that_is_not_let_in_says_nothing_of_the_money(a_shop_anywhere: OpenShop):
    shop, id, tell = a_bank_that_tells_more(a_shop_anywhere, None, PaymentStatus.FAILED)
    tell()
    assert (shop.status(id), shop.get(id).payments[0].status) == ("paid", "succeeded")
    assert shop.issue_codes(id) == ["forbidden"]
    shop.run_for(2 * 3600)
    assert (shop.status(id), shop.get(id).payments[0].status) == ("payment_processing.failed", "failed")


def test_money_that_comes_back_after_it_was_taken_back_is_not_noted_again(a_shop_anywhere: OpenShop):
    shop, id, tell = a_bank_that_tells_more(a_shop_anywhere, PaymentStatus.FAILED, PaymentStatus.SUCCEEDED)
    tell()
    tell()
    assert (shop.status(id), money(shop, id)) == ("paid", (Decimal(10), Decimal(0)))
    assert paths(shop).count("notes") == 1
    assert shop.issue_codes(id) == []


def a_payer_who_takes_time(open_one: OpenShop, *statuses: PaymentStatus) -> tuple[Shop, str]:
    """An invoice whose payer has to act, at a provider that will say these when it is asked."""
    hooks = {"collect_payment": an_undecided_payment, "check_payment": a_look_at_a_payment(list(statuses))}
    shop = open_one(a_provider(sync_draft=careful_draft, **hooks))
    id = shop.submit()
    shop.run()
    assert shop.status(id) == "payment_processing.action_required"
    return shop, id


def test_a_payer_who_paid_is_found_though_no_webhook_tells(a_shop_anywhere: OpenShop):
    waiting = PaymentStatus.ACTION_REQUIRED
    shop, id = a_payer_who_takes_time(a_shop_anywhere, waiting, waiting, PaymentStatus.SUCCEEDED)
    looks = []
    while shop.status(id) != "paid":
        shop.clock.advance(timedelta(minutes=30))
        before = len(paths(shop))
        shop.run()
        looks += [shop.clock.now() - NOON] * (len(paths(shop)) - before)
    assert looks == [timedelta(hours=1), timedelta(hours=2), timedelta(hours=4)]
    assert money(shop, id) == (Decimal(10), Decimal(0))


def test_a_payer_who_never_pays_is_asked_after_ever_more_seldom_and_then_no_more(a_shop: OpenShop):
    shop, id = a_payer_who_takes_time(a_shop, *[PaymentStatus.ACTION_REQUIRED] * 20)
    shop.run_for(int(timedelta(days=90).total_seconds()))
    assert paths(shop).count("check") == 11
    assert shop.status(id) == "payment_processing.action_required"


def test_a_paid_invoice_of_which_nothing_was_taken_back_does_not_fail(a_shop: OpenShop):
    shop = a_shop()
    id = an_issued_invoice(shop)
    shop.ns.invoices.record_payment(id, "10")
    with pytest.raises(NotAllowed):
        shop.ns.invoices.payment_status(id, "payment_failed")
    assert shop.status(id) == "paid"


def test_one_app_taxes_another_invoices_a_third_collects_and_the_books_note_the_payment(a_shop_anywhere: OpenShop):
    shop = three_apps(a_shop_anywhere)
    id = shop.submit()
    shop.run()
    details = shop.get(id)
    assert (details.status, details.invoice.total, details.invoice.totals.taxes_total) == (
        "paid",
        Decimal("12.00"),
        Decimal("2.00"),
    )
    assert paths(shop) == ["tax", "books-customers", "drafts", "bank-customers", "collect", "notes"]
    bank = next(app.id for app in shop.ns.apps.list().items if app.type == "bank")
    assert [payment.app_id for payment in details.payments] == [bank]
    assert sorted(details.apps) == ["invoicing", "payment", "tax"]


def test_books_that_can_not_note_a_payment_warn_and_the_invoice_stays_paid(a_shop: OpenShop):
    def refuses(self: Any, batch: Batch[Any, Any]) -> Any:
        yield put("note", batch, "notes", recover=(repeat(),))
        return {item.id: Rejected.because("period_closed", "The period is closed.") for item in batch.items}

    books = a_provider(sync_draft=careful_draft, record_payment=refuses)
    shop = a_shop(books, a_provider("bank", collect_payment=collect_payment), ready=False)
    shop.a_profile(shop.an_app("books"), payment_app_id=shop.an_app("bank").id)
    shop.ns.customers.create("Jane Doe", key="jane")
    id = shop.submit()
    shop.run()
    details = shop.get(id)
    assert details.status == "paid"
    assert [(issue.code, issue.severity) for issue in details.issues] == [("period_closed", "warning")]


def test_money_recorded_by_hand_is_noted_in_the_books_once(a_shop: OpenShop):
    shop = a_shop(a_provider(sync_draft=careful_draft, record_payment=note_payment))
    id = an_issued_invoice(shop)
    shop.wire.plan(lost_after, to="notes")
    shop.ns.invoices.record_payment(id, "4", key="r-1")
    shop.ns.invoices.record_payment(id, "4", key="r-1")
    shop.run_for(600)
    assert len([made for _, made in shop.books.documents if made.startswith("notes")]) == 1


def test_a_tax_that_can_not_be_looked_up_stops_the_invoice_and_never_means_no_tax(a_shop: OpenShop):
    def unknown_place(self: Any, batch: Batch[Any, Any]) -> Any:
        yield put("tax", batch, "tax", safe=True, key=None)
        return {batch.only.id: Rejected.because("address_unknown", "No such place.")}

    shop = a_shop(a_provider(sync_draft=careful_draft, calculate_tax=unknown_place))
    id = shop.submit()
    shop.run()
    assert shop.status(id) == "draft.invalid"
    assert shop.issue_codes(id) == ["address_unknown"]
    assert shop.wire.to("drafts") == []
    shop.restart([a_provider(sync_draft=careful_draft, calculate_tax=tax_each_line)])
    shop.ns.invoices.retry(id)
    shop.run()
    assert shop.status(id) == PENDING
    assert shop.get(id).invoice.total == Decimal("12.00")


def test_a_tax_app_that_is_down_is_asked_again_before_anything_is_drafted(a_shop: OpenShop):
    shop = a_shop(a_provider(sync_draft=careful_draft, calculate_tax=tax_each_line))
    shop.wire.plan(answers(503), answers(500), to="tax")
    id = shop.submit()
    shop.run_for(60)
    assert shop.status(id) == PENDING
    assert paths(shop) == ["tax", "tax", "tax", "drafts"]


def test_a_total_that_differs_at_the_provider_stops_the_invoice_before_it_is_issued(a_shop: OpenShop):
    def rounds_up(self: Any, batch: Batch[Any, Any]) -> Any:
        reply = yield put("put", batch, recover=(repeat(),))
        made = reply.json()["items"][0]["id"]
        return {batch.only.id: Done(DocumentResult(made, totals=ProviderTotals(total=Decimal("10.01"))))}

    def issue(self: Any, batch: Batch[Any, Any]) -> Any:
        reply = yield put("issue", batch, "issue", recover=(repeat(),))
        return documents(batch, reply)

    shop = a_shop(a_provider(sync_draft=rounds_up, issue=issue, rules={"sync_draft": OperationRules()}))
    id = shop.submit()
    shop.run()
    assert shop.status(id) == "draft.sync_failed"
    assert shop.issue_codes(id) == ["totals_differ"]
    assert "10.01" in shop.get(id).issues[0].message
    assert shop.wire.to("issue") == []
    assert '"10.01"' in shop.rows(schema.document_link, document_id=id)[0]["evidence"]


def test_a_payment_knows_when_the_money_came(a_shop: OpenShop):
    shop = a_shop()
    id = an_issued_invoice(shop)
    shop.ns.invoices.record_payment(id, "10")
    assert shop.get(id).payments[0].received_at == NOON


def test_what_was_refunded_is_not_due_again(a_shop_anywhere: OpenShop):
    shop, id, payment_id = a_refunding_shop(a_shop_anywhere)
    shop.ns.refunds.refund(payment_id, "10.00")
    shop.run()
    invoice = shop.get(id).invoice
    assert (invoice.status, invoice.amount_due, invoice.amount_refunded) == ("paid", Decimal(0), Decimal(10))
    shop.ns.invoices.payment_status(id, "paid")
    assert shop.get(id).invoice.amount_paid == Decimal(10)
    assert len(shop.get(id).payments) == 1
