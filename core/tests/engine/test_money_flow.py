"""Money in parts, too much of it, money given back, and money that one app takes while another keeps the books."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from engine_kit import NOON, Shop, a_provider, answers, careful_draft, documents, lost_after, put, repeat

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
    RefundResult,
    RefundStatus,
    Refusal,
    Rejected,
    Snapshot,
    TaxResult,
    WebhookEvent,
)
from billhook.errors import InvalidInput, KeyReused, NotAllowed, NotFound, Unsupported
from billhook.store import schema

OpenShop = Callable[..., Shop]
PENDING = "payment_processing.pending"


# Payments that come another way.


def an_issued_invoice(shop: Shop, **changes: Any) -> str:
    id = shop.submit(**changes)
    shop.run()
    assert shop.status(id) == PENDING
    return id


def money(shop: Shop, id: str) -> tuple[Decimal, Decimal]:
    invoice = shop.get(id).invoice
    return invoice.amount_paid, invoice.amount_due


def test_a_partial_payment_leaves_the_rest_open(a_shop_anywhere: OpenShop):
    shop = a_shop_anywhere()
    id = an_issued_invoice(shop)
    details = shop.ns.invoices.record_payment(id, "4", method="bank transfer")
    assert (details.status, money(shop, id)) == (PENDING, (Decimal(4), Decimal(6)))
    details = shop.ns.invoices.record_payment(id, Decimal("6.00"), received_at=datetime(2026, 4, 30, tzinfo=UTC))
    assert (details.status, money(shop, id)) == ("paid", (Decimal(10), Decimal(0)))
    assert [(payment.amount, payment.method) for payment in details.payments] == [
        (Decimal(4), "bank transfer"),
        (Decimal("6.00"), None),
    ]


def test_too_much_money_pays_the_invoice_and_is_kept_as_too_much(a_shop_anywhere: OpenShop):
    shop = a_shop_anywhere()
    id = an_issued_invoice(shop)
    details = shop.ns.invoices.record_payment(id, "25.50")
    assert (details.status, money(shop, id)) == ("paid", (Decimal("25.50"), Decimal(0)))


def test_money_that_comes_after_the_invoice_was_paid_is_kept_too(a_shop: OpenShop):
    shop = a_shop()
    id = an_issued_invoice(shop)
    shop.ns.invoices.record_payment(id, "10")
    details = shop.ns.invoices.record_payment(id, "1")
    assert (details.status, money(shop, id)) == ("paid", (Decimal(11), Decimal(0)))


def test_one_payment_key_counts_once(a_shop_anywhere: OpenShop):
    shop = a_shop_anywhere()
    id = an_issued_invoice(shop)
    for _ in range(3):
        shop.ns.invoices.record_payment(id, "4", key="receipt-1")
    assert money(shop, id) == (Decimal(4), Decimal(6))
    before = shop.counts()
    with pytest.raises(KeyReused):
        shop.ns.invoices.record_payment(id, "5", key="receipt-1")
    assert shop.counts() == before


def test_a_payment_key_of_another_invoice_is_refused(a_shop: OpenShop):
    shop = a_shop()
    first, second = an_issued_invoice(shop), an_issued_invoice(shop)
    shop.ns.invoices.record_payment(first, "4", key="receipt-1")
    with pytest.raises(KeyReused):
        shop.ns.invoices.record_payment(second, "4", key="receipt-1")


@pytest.mark.parametrize("amount", ["0", "-1", "NaN", "Infinity", "ten", ""])
def test_what_is_no_payment_is_refused(a_shop: OpenShop, amount: str):
    shop = a_shop()
    id = an_issued_invoice(shop)
    before = shop.counts()
    with pytest.raises(InvalidInput):
        shop.ns.invoices.record_payment(id, amount)
    assert shop.counts() == before


def a_draft_to_be_approved(open_one: OpenShop, *providers: Any) -> tuple[Shop, str]:
    shop = open_one(*providers, workflow={"auto_advance": False})
    id = shop.submit()
    shop.run()
    assert shop.status(id) == "draft.manual_approval_needed"
    return shop, id


def test_money_for_a_draft_is_kept_and_noted_in_the_books_once_the_invoice_is_issued(a_shop_anywhere: OpenShop):
    books = a_provider(sync_draft=careful_draft, record_payment=note_payment)
    shop, id = a_draft_to_be_approved(a_shop_anywhere, books)
    shop.ns.invoices.record_payment(id, "10")
    shop.run()
    assert (shop.status(id), money(shop, id)) == ("draft.manual_approval_needed", (Decimal(10), Decimal(0)))
    assert "notes" not in paths(shop)
    shop.ns.invoices.approve(id)
    shop.run()
    assert shop.status(id) == "paid"
    assert paths(shop) == ["drafts", "notes"]


def test_an_edit_of_the_draft_keeps_the_money_and_its_note(a_shop: OpenShop):
    books = a_provider(sync_draft=careful_draft, record_payment=note_payment)
    shop, id = a_draft_to_be_approved(a_shop, books)
    shop.ns.invoices.record_payment(id, "4")
    shop.ns.invoices.update(id, {"description": "edited"})
    shop.run()
    shop.ns.invoices.approve(id)
    shop.run()
    assert (shop.status(id), money(shop, id)) == (PENDING, (Decimal(4), Decimal(6)))
    assert paths(shop).count("notes") == 1


def test_a_draft_for_which_money_is_held_is_not_deleted(a_shop: OpenShop):
    shop, id = a_draft_to_be_approved(a_shop)
    shop.ns.invoices.record_payment(id, "1")
    with pytest.raises(NotAllowed, match="No money is held"):
        shop.ns.invoices.delete(id)


def test_money_for_a_deleted_invoice_is_refused(a_shop: OpenShop):
    shop, id = a_draft_to_be_approved(a_shop)
    shop.ns.invoices.delete(id)
    shop.run()
    with pytest.raises(NotAllowed, match="takes no money"):
        shop.ns.invoices.record_payment(id, "10")


def test_an_invoice_for_which_money_is_held_is_not_voided(a_shop: OpenShop):
    shop = a_shop()
    id = an_issued_invoice(shop)
    shop.ns.invoices.record_payment(id, "1")
    with pytest.raises(NotAllowed):
        shop.ns.invoices.void(id)
    with pytest.raises(NotAllowed):
        shop.ns.invoices.payment_status(id, "void")


def test_a_partly_paid_invoice_that_is_declared_paid_counts_only_the_rest(a_shop: OpenShop):
    shop = a_shop()
    id = an_issued_invoice(shop)
    shop.ns.invoices.record_payment(id, "4")
    shop.ns.invoices.payment_status(id, "paid")
    assert money(shop, id) == (Decimal(10), Decimal(0))


def test_money_for_an_uncollectible_invoice_still_counts(a_shop: OpenShop):
    shop = a_shop()
    id = an_issued_invoice(shop)
    shop.ns.invoices.payment_status(id, "payment_uncollectible")
    assert shop.ns.invoices.record_payment(id, "10").status == "paid"


# Credit notes.


def credit(self: Any, batch: Batch[Any, Any]) -> Any:
    reply = yield put("credit", batch, "credits", recover=(repeat(),))
    return documents(batch, reply)


def a_crediting_shop(open_one: OpenShop, **options: Any) -> Shop:
    return open_one(a_provider(sync_draft=careful_draft, credit=credit, **options))


def a_note(shop: Shop, amount: str, invoice_id: str | None = None, **changes: Any) -> dict[str, Any]:
    line = {"name": "Back", "quantity": "1", "price": {"type": "unit", "amount": amount}}
    return shop.draft(type="credit_note", lines=[line], credited_invoice_id=invoice_id, **changes)


def test_a_credit_note_is_put_against_its_invoice(a_shop_anywhere: OpenShop):
    shop = a_crediting_shop(a_shop_anywhere)
    id = an_issued_invoice(shop)
    note = shop.ns.credit_notes.submit(a_note(shop, "3", id))
    shop.run()
    note = shop.ns.credit_notes.get(note.id)
    assert (note.status, note.number, note.amount_credited) == ("issued", "CN-JADO-1", Decimal(3))
    assert shop.get(id).invoice.amount_due == Decimal(7)
    assert [row["amount"] for row in shop.rows(schema.allocation)] == ["3.00"]


def test_a_credit_note_waits_until_its_invoice_is_issued(a_shop_anywhere: OpenShop):
    books = a_provider(sync_draft=careful_draft, credit=credit)
    shop, id = a_draft_to_be_approved(a_shop_anywhere, books)
    note = shop.ns.credit_notes.submit(a_note(shop, "3", id))
    shop.run()
    assert (shop.ns.credit_notes.get(note.id).status, paths(shop)) == ("issuing", ["drafts"])
    shop.ns.invoices.approve(id)
    shop.run()
    assert (shop.ns.credit_notes.get(note.id).status, paths(shop)) == ("issued", ["drafts", "credits"])
    assert money(shop, id) == (Decimal(0), Decimal(7))


def test_only_what_a_waiting_credit_note_leaves_is_collected(a_shop_anywhere: OpenShop):
    books = a_provider(sync_draft=careful_draft, credit=credit, collect_payment=collect_payment)
    shop, id = a_draft_to_be_approved(a_shop_anywhere, books)
    shop.ns.credit_notes.submit(a_note(shop, "3", id))
    shop.ns.invoices.approve(id)
    shop.run()
    assert (shop.status(id), money(shop, id)) == ("paid", (Decimal(7), Decimal(0)))
    assert [row["amount"] for row in shop.rows(schema.payment)] == ["7.00"]


def test_nothing_is_collected_where_a_waiting_credit_note_closes_the_invoice(a_shop: OpenShop):
    books = a_provider(sync_draft=careful_draft, credit=credit, collect_payment=collect_payment)
    shop, id = a_draft_to_be_approved(a_shop, books)
    shop.ns.credit_notes.submit(a_note(shop, "10", id))
    shop.ns.invoices.approve(id)
    shop.run()
    assert (shop.status(id), shop.rows(schema.payment)) == ("paid", [])


def test_an_invoice_is_not_voided_while_its_credit_note_is_being_issued(a_shop: OpenShop):
    shop = a_crediting_shop(a_shop)
    id = an_issued_invoice(shop)
    note = shop.ns.credit_notes.submit(a_note(shop, "3", id))
    with pytest.raises(NotAllowed, match="credit note"):
        shop.ns.invoices.void(id)
    shop.run()
    assert shop.ns.credit_notes.get(note.id).status == "issued"
    shop.ns.invoices.void(id)


def test_a_credit_note_of_a_draft_that_is_deleted_fails_and_says_why(a_shop_anywhere: OpenShop):
    books = a_provider(sync_draft=careful_draft, credit=credit)
    shop, id = a_draft_to_be_approved(a_shop_anywhere, books)
    note = shop.ns.credit_notes.submit(a_note(shop, "3", id))
    shop.ns.invoices.delete(id)
    shop.run()
    assert shop.ns.credit_notes.get(note.id).status == "failed"
    assert [row["code"] for row in shop.rows(schema.validation_issue, document_id=note.id)] == [
        "credited_invoice_deleted"
    ]
    assert "credits" not in paths(shop)


def test_a_credit_note_goes_to_the_app_that_has_its_invoice(a_shop: OpenShop):
    shop = a_crediting_shop(a_shop)
    id = an_issued_invoice(shop)
    (before,) = {row["invoicing_app_id"] for row in shop.rows(schema.invoice)}
    shop.a_profile(shop.an_app("books"))
    shop.ns.credit_notes.submit(a_note(shop, "3", id))
    shop.run()
    assert {row["app_id"] for row in shop.rows(schema.credit_note)} == {before}


def test_a_credit_note_over_all_that_is_due_closes_its_invoice(a_shop: OpenShop):
    shop = a_crediting_shop(a_shop)
    id = an_issued_invoice(shop)
    shop.ns.credit_notes.submit(a_note(shop, "10", id))
    shop.run()
    assert shop.status(id) == "paid"
    assert money(shop, id) == (Decimal(0), Decimal(0))


def test_of_a_credit_note_over_more_than_is_due_only_that_much_is_put_against_the_invoice(a_shop: OpenShop):
    shop = a_crediting_shop(a_shop)
    id = an_issued_invoice(shop)
    shop.ns.invoices.record_payment(id, "8")
    note = shop.ns.credit_notes.submit(a_note(shop, "5", id))
    shop.run()
    assert shop.status(id) == "paid"
    assert shop.ns.credit_notes.get(note.id).amount_credited == Decimal(2)
    assert [row["amount"] for row in shop.rows(schema.allocation)] == ["2.00"]


def test_a_credit_note_that_stands_alone_touches_no_invoice(a_shop: OpenShop):
    shop = a_crediting_shop(a_shop)
    id = an_issued_invoice(shop)
    note = shop.ns.credit_notes.submit(a_note(shop, "5"))
    shop.run()
    assert shop.ns.credit_notes.get(note.id).status == "issued"
    assert shop.get(id).invoice.amount_due == Decimal(10)


def test_a_lost_answer_does_not_credit_twice(a_shop: OpenShop):
    shop = a_crediting_shop(a_shop)
    id = an_issued_invoice(shop)
    shop.wire.plan(lost_after, to="credits")
    shop.ns.credit_notes.submit(a_note(shop, "3", id))
    shop.run_for(600)
    assert [made for _, made in shop.books.documents if made.startswith("credits")] == ["credits-2"]
    assert shop.get(id).invoice.amount_due == Decimal(7)
    assert len(shop.rows(schema.allocation)) == 1


def test_one_key_makes_one_credit_note(a_shop: OpenShop):
    shop = a_crediting_shop(a_shop)
    draft = a_note(shop, "3")
    assert shop.ns.credit_notes.submit(draft).id == shop.ns.credit_notes.submit(draft).id
    with pytest.raises(KeyReused):
        shop.ns.credit_notes.submit({**a_note(shop, "4"), "key": draft["key"]})


def test_a_refused_credit_note_can_be_tried_again(a_shop: OpenShop):
    shop = a_crediting_shop(a_shop)
    note = shop.ns.credit_notes.submit(a_note(shop, "3"))
    shop.books.refuses = {note.id}
    shop.run()
    assert shop.ns.credit_notes.get(note.id).status == "failed"
    shop.books.refuses = set()
    shop.ns.credit_notes.retry(note.id)
    shop.run()
    assert shop.ns.credit_notes.get(note.id).status == "issued"


def test_what_is_no_credit_note_is_refused(a_shop: OpenShop):
    shop = a_crediting_shop(a_shop)
    stranger = shop.engine.namespace("other")
    id = an_issued_invoice(shop)
    before = shop.counts()
    for draft, kind in (
        (shop.draft(), InvalidInput),
        (a_note(shop, "-3"), InvalidInput),
        (a_note(shop, "3", "01ARZ3NDEKTSV4RRFFQ69G5FAV"), NotFound),
    ):
        with pytest.raises(kind):
            shop.ns.credit_notes.submit(draft)
    with pytest.raises(InvalidInput):
        shop.ns.invoices.submit(a_note(shop, "3"))
    with pytest.raises(NotFound):
        stranger.credit_notes.submit(a_note(shop, "3", id))
    assert shop.counts() == before


def test_a_credit_note_belongs_to_its_invoices_customer_and_currency(a_shop: OpenShop):
    shop = a_crediting_shop(a_shop)
    shop.ns.customers.create("Ann", key="ann")
    id, voided = an_issued_invoice(shop), an_issued_invoice(shop)
    shop.ns.invoices.void(voided)
    before = shop.counts()
    for draft, code in (
        (a_note(shop, "3", id, currency="USD"), "credited_invoice_of_other_currency"),
        (a_note(shop, "3", id, customer_key="ann"), "credited_invoice_of_other_customer"),
        (a_note(shop, "3", voided), "invoice_not_creditable"),
    ):
        with pytest.raises((InvalidInput, NotAllowed)) as refusal:
            shop.ns.credit_notes.submit(draft)
        assert refusal.value.code == code
    assert shop.counts() == before


def test_one_key_twice_in_one_call_makes_one_credit_note(a_shop: OpenShop):
    shop = a_crediting_shop(a_shop)
    draft = a_note(shop, "3")
    first, second = shop.ns.credit_notes.submit_many([draft, draft])
    assert first == second


def test_an_app_that_can_not_credit_says_so_and_nothing_is_stored(a_shop: OpenShop):
    shop = a_shop()
    before = shop.counts()
    with pytest.raises(Unsupported):
        shop.ns.credit_notes.submit(a_note(shop, "3"))
    assert shop.counts() == before


# Refunds.


def collect_payment(self: Any, batch: Batch[Any, Any]) -> Any:
    yield put("collect", batch, "collect", recover=(repeat(),))
    paid = PaymentResult(PaymentStatus.SUCCEEDED, batch.only.amount, f"pay-{batch.only.id}")
    return {batch.only.id: Done(paid)}


def refund(self: Any, batch: Batch[Any, Any]) -> Any:
    reply = yield put("refund", batch, "refund", recover=(repeat(),))
    item = reply.json()["items"][0]
    if "error" in item:
        return {batch.only.id: Rejected.because("too_old", "The payment is too old.")}
    return {batch.only.id: Done(RefundResult(RefundStatus.SUCCEEDED, batch.only.amount, item["id"]))}


def a_refunding_shop(open_one: OpenShop) -> tuple[Shop, str, str]:
    shop = open_one(a_provider(sync_draft=careful_draft, collect_payment=collect_payment, refund=refund))
    id = shop.submit()
    shop.run()
    assert shop.status(id) == "paid"
    return shop, id, shop.get(id).payments[0].id


def test_a_refund_gives_back_part_of_a_payment(a_shop_anywhere: OpenShop):
    shop, id, payment_id = a_refunding_shop(a_shop_anywhere)
    shop.ns.refunds.refund(payment_id, "2.50", reason="scratched")
    shop.run()
    assert shop.get(id).invoice.amount_refunded == Decimal("2.50")
    assert [row["state"] for row in shop.rows(schema.refund)] == ["succeeded"]
    assert shop.status(id) == "paid"


def test_a_lost_answer_does_not_refund_twice(a_shop_anywhere: OpenShop):
    shop, id, payment_id = a_refunding_shop(a_shop_anywhere)
    shop.wire.plan(lost_after, to="refund")
    shop.ns.refunds.refund(payment_id, "2.50")
    shop.run_for(600)
    assert len([made for _, made in shop.books.documents if made.startswith("refund")]) == 1
    assert shop.get(id).invoice.amount_refunded == Decimal("2.50")


def test_no_more_is_refunded_than_was_paid(a_shop: OpenShop):
    shop, id, payment_id = a_refunding_shop(a_shop)
    shop.ns.refunds.refund(payment_id, "6")
    before = shop.counts()
    for amount in ("4.01", "0", "-1"):
        with pytest.raises(InvalidInput):
            shop.ns.refunds.refund(payment_id, amount)
    assert shop.counts() == before
    shop.ns.refunds.refund(payment_id, "4")
    shop.run()
    assert shop.get(id).invoice.amount_refunded == Decimal(10)


def test_a_refused_refund_leaves_its_amount_to_be_refunded(a_shop: OpenShop):
    shop, id, payment_id = a_refunding_shop(a_shop)
    refund_id = shop.ns.refunds.refund(payment_id, "10")
    shop.books.refuses = {refund_id}
    shop.run()
    assert [row["state"] for row in shop.rows(schema.refund)] == ["failed"]
    assert shop.get(id).invoice.amount_refunded == 0
    shop.books.refuses = set()
    shop.ns.refunds.refund(payment_id, "10")
    shop.run()
    assert shop.get(id).invoice.amount_refunded == Decimal(10)


def test_one_refund_key_refunds_once(a_shop: OpenShop):
    shop, id, payment_id = a_refunding_shop(a_shop)
    first = shop.ns.refunds.refund(payment_id, "2", key="r-1")
    assert shop.ns.refunds.refund(payment_id, "2", key="r-1") == first
    with pytest.raises(KeyReused):
        shop.ns.refunds.refund(payment_id, "3", key="r-1")
    shop.run()
    assert shop.get(id).invoice.amount_refunded == Decimal(2)


def test_a_payment_that_came_another_way_is_not_refunded_through_an_app(a_shop: OpenShop):
    shop = a_shop(a_provider(sync_draft=careful_draft, refund=refund))
    id = an_issued_invoice(shop)
    shop.ns.invoices.record_payment(id, "10")
    with pytest.raises(NotAllowed):
        shop.ns.refunds.refund(shop.get(id).payments[0].id, "1")


# Three apps in one profile.


def tax_each_line(self: Any, batch: Batch[Any, Any]) -> Any:
    yield put("tax", batch, "tax", safe=True, key=None)
    taxes = {
        line.id: (LineTax(name="VAT", amount=line.totals.total / 5, percentage=Decimal(20)),)
        for line in batch.only.invoice.lines
    }
    return {batch.only.id: Done(TaxResult(taxes))}


def note_payment(self: Any, batch: Batch[Any, Any]) -> Any:
    yield put("note", batch, "notes", recover=(repeat(),))
    return {
        item.id: Done(PaymentResult(PaymentStatus.SUCCEEDED, item.amount, f"noted-{item.id}")) for item in batch.items
    }


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


def paths(shop: Shop) -> list[str]:
    return [request.url.rpartition("/")[2].partition("?")[0] for request in shop.wire.sent]


def check_payment(statuses: list[PaymentStatus | None]) -> Any:
    """Tells these, one after the other; None is a look that is not let in."""

    def check(self: Any, batch: Batch[Any, Any]) -> Any:
        yield put("check", batch, "check", safe=True, key=None)
        if statuses[0] is None:
            statuses.pop(0)
            return {batch.only.id: Rejected.because("forbidden", "The key may not read.")}
        paid = PaymentResult(statuses.pop(0), batch.only.amount, f"pay-{batch.only.id}")
        return {batch.only.id: Done(paid)}

    return check


def read_webhook(
    self: Any, headers: Mapping[str, str], body: bytes, secrets: Any, now: datetime
) -> Sequence[WebhookEvent] | Refusal:
    name, kind, external_id = body.decode().split()
    return [WebhookEvent(name, kind, external_id, "moved")]


def fetch_all_paid(self: Any, batch: Batch[Any, Any]) -> Any:
    yield put("fetch", batch, "fetch", safe=True, key=None)
    return {batch.only.id: Done(Snapshot(True, "drafts-1", amount_paid=Decimal(10)))}


def a_bank_that_tells_more(open_one: OpenShop, *statuses: PaymentStatus | None) -> tuple[Shop, str, Callable[[], None]]:
    books = a_provider(
        sync_draft=careful_draft, record_payment=note_payment, fetch=fetch_all_paid, read_webhook=read_webhook
    )
    bank = a_provider(
        "bank",
        collect_payment=collect_payment,
        check_payment=check_payment(list(statuses)),
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
