"""Why invoices stand still, each cause once: issues, and payments that failed."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from engine_kit import Shop, a_provider, careful_draft, put, repeat
from money_kit import a_draft_to_be_approved

from billhook.contract import Batch, Done, PaymentResult, PaymentStatus, Rejected
from billhook.engine.invoice_filter import InvoiceFilter

OpenShop = Callable[..., Shop]
ASKED = "app.books.collectPayments"


def declines_or_refuses(self: Any, batch: Batch[Any, Any]) -> Any:
    """The first payment of an invoice is declined, a later one refused; both say the same of it."""
    yield put("charge", batch, "charges", recover=(repeat(),))
    item = batch.only
    failed = PaymentResult(PaymentStatus.FAILED, Decimal(0), "p-1", code="declined", message="No money is there.")
    refused = Rejected.because("declined", "No money is there.")
    return {item.id: refused if item.invoice.content.metadata.get("refuse") else Done(failed)}


def no_note(self: Any, batch: Batch[Any, Any]) -> Any:
    yield put("note", batch, "notes", recover=(repeat(),))
    return {item.id: Rejected.because("locked", "The books are locked.") for item in batch.items}


def causes(shop: Shop) -> list[tuple[str | None, str, int]]:
    return [(each.code, each.component, each.invoices) for each in shop.ns.invoices.open_issues()]


def listed(shop: Shop, code: str) -> set[str]:
    return {each.id for each in shop.ns.invoices.list(InvoiceFilter(issue_codes=(code,))).items}


def test_a_payment_that_failed_is_a_cause_and_is_told_once(a_shop_anywhere: OpenShop):
    shop = a_shop_anywhere(a_provider(sync_draft=careful_draft, collect_payment=declines_or_refuses))
    declined = {shop.submit(), shop.submit()}
    refused = shop.submit(metadata={"refuse": "yes"})
    shop.run()
    told = shop.ns.invoices.open_issues()
    assert [(each.severity, each.invoices, each.code) for each in told] == [
        ("critical", 2, "declined"),
        ("warning", 1, "declined"),
    ]
    assert {each.component for each in told} == {f"{ASKED}.collect_payment"}
    assert (told[0].message, told[0].example in declined) == ("No money is there.", True)
    assert listed(shop, "declined") == declined | {refused}
    paid, retried = sorted(declined)
    shop.ns.invoices.record_payment(paid, "10")
    shop.ns.invoices.retry(retried)
    shop.run()
    assert causes(shop)[0] == ("declined", f"{ASKED}.collect_payment", 1)  # declined twice
    assert listed(shop, "declined") == {retried, refused}


def test_each_payment_that_books_refuse_to_note_is_of_one_cause(a_shop_anywhere: OpenShop):
    shop = a_shop_anywhere(
        a_provider(sync_draft=careful_draft, record_payment=no_note), workflow={"collection_method": "send_invoice"}
    )
    first, second = shop.submit(), shop.submit()
    shop.run()
    for id, amount in ((first, "1"), (first, "2"), (second, "1")):
        shop.ns.invoices.record_payment(id, amount)
    shop.run()
    assert causes(shop) == [("locked", f"{ASKED}.record_payment", 2)]


def test_what_waits_for_an_app_that_can_not_be_called_is_counted_and_no_cause(a_shop_anywhere: OpenShop):
    shop = a_shop_anywhere(a_provider(sync_draft=careful_draft), workflow={"draft_period": "P1D"})
    shop.submit()
    shop.run()
    shop.ns.apps.disable(shop.app.id)
    assert shop.ns.invoices.held() == ()  # it waits for tomorrow
    shop.submit()
    shop.submit()
    (held,) = shop.ns.invoices.held()
    assert (held.app_id, held.documents) == (shop.app.id, 2)
    assert held.reason.endswith(f"is disabled. Let it work again: billhook apps enable {shop.app.id}")
    assert causes(shop) == []
    assert shop.engine.namespace("other").invoices.held() == ()


def test_a_payment_that_is_not_collected_from_here_can_only_be_noted(a_shop_anywhere: OpenShop):
    shop = a_shop_anywhere(
        a_provider(sync_draft=careful_draft, collect_payment=declines_or_refuses),
        workflow={"collection_method": "send_invoice"},
    )
    id = shop.submit()
    shop.run()
    assert shop.ns.invoices.get(id).way_out is None
    told = shop.ns.invoices.payment_status(id, "payment_failed")
    assert told.way_out == f"Money that came another way is noted: billhook invoices pay {id} AMOUNT"


def test_what_was_taken_back_is_collected_again_by_a_retry(a_shop_anywhere: OpenShop):
    shop, id = a_draft_to_be_approved(
        a_shop_anywhere, a_provider(sync_draft=careful_draft, collect_payment=declines_or_refuses)
    )
    (noted,) = shop.ns.invoices.record_payment(id, "10").payments
    shop.ns.invoices.approve(id)
    shop.run()
    told = shop.ns.invoices.take_back_payment(id, noted.id, reason="It was another customer's.")
    assert str(told.way_out).startswith(f"To collect it again: billhook invoices retry {id}. ")
    assert causes(shop) == [("taken_back", f"{ASKED}.collect_payment", 1)]


def test_a_part_that_is_noted_does_not_hide_that_the_charge_was_declined(a_shop_anywhere: OpenShop):
    shop = a_shop_anywhere(a_provider(sync_draft=careful_draft, collect_payment=declines_or_refuses))
    id = shop.submit()
    shop.run()
    (_, noted) = shop.ns.invoices.record_payment(id, "4").payments
    shop.ns.invoices.record_payment(id, "1")
    shop.run()
    for _ in range(2):
        (told,) = shop.ns.invoices.open_issues()
        assert (told.code, told.message, told.example) == ("declined", "No money is there.", id)
        assert listed(shop, "declined") == {id}
        assert str(told.way_out).startswith("Have another way to pay named at ")
        assert shop.ns.invoices.get(id).way_out == told.way_out
        shop.ns.invoices.take_back_payment(id, noted.id, reason="It was another customer's.")
    shop.ns.invoices.record_payment(id, "9")
    assert (shop.status(id), causes(shop), listed(shop, "declined")) == ("paid", [], set())


def test_a_payment_of_which_somebody_said_that_it_failed_is_a_cause_as_well(a_shop_anywhere: OpenShop):
    shop = a_shop_anywhere(a_provider(sync_draft=careful_draft), workflow={"collection_method": "send_invoice"})
    id = shop.submit()
    shop.run()
    shop.ns.invoices.payment_status(id, "payment_failed")
    shop.ns.invoices.record_payment(id, "4")
    (told,) = shop.ns.invoices.open_issues()
    assert (told.code, told.severity, told.message, told.example) == (None, "critical", "Its payment failed.", id)
    assert told.way_out == f"Money that came another way is noted: billhook invoices pay {id} AMOUNT"
