"""Money that comes another way: in parts, too much of it, for drafts and for what is closed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from engine_kit import Shop, a_provider, careful_draft
from money_kit import PENDING, a_draft_to_be_approved, an_issued_invoice, money, note_payment, paths

from billhook.errors import InvalidInput, KeyReused, NotAllowed
from billhook.providers.custom_invoicing import provider as custom_invoicing

OpenShop = Callable[..., Shop]


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


def test_what_is_paid_by_word_at_another_app_is_noted_in_the_books(a_shop_anywhere: OpenShop):
    books = a_provider(sync_draft=careful_draft, record_payment=note_payment)
    shop = a_shop_anywhere(books, custom_invoicing)
    shop.a_profile(shop.app, payment_app_id=shop.an_app("custom_invoicing").id)
    id = an_issued_invoice(shop)
    shop.ns.invoices.payment_status(id, "paid")
    shop.run()
    (payment,) = shop.get(id).payments
    assert (payment.origin, shop.status(id), paths(shop)) == ("outside", "paid", ["drafts", "notes"])
    assert shop.books.references == [id, payment.id]


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
    (mistake,) = shop.ns.invoices.record_payment(id, "1").payments
    (_, came) = shop.ns.invoices.record_payment(id, "2").payments
    with pytest.raises(NotAllowed, match="No money is held") as refused:
        shop.ns.invoices.delete(id)
    assert f"billhook invoices take-back {id} PAYMENT --reason WHY. " in str(refused.value)
    shop.ns.invoices.take_back_payment(id, mistake.id, reason="It was another customer's.")
    shop.ns.refunds.record(came.id, "2")
    shop.ns.invoices.delete(id)
    shop.run()
    with pytest.raises(NotAllowed) as deleted:
        shop.ns.invoices.delete(id)
    assert "take-back" not in str(deleted.value)


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
