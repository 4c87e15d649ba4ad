"""What customers pay: on Stripe's page, by debit, by a card that was declined before, and in part another way."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from stripe_kit import CHARGED, deliver, flat, give_good_card, submit

from billhook.testing.crash import work_until_quiet
from billhook.testing.invariants import problems_of


def test_a_part_that_was_paid_before_the_issue_is_not_charged_again(new_shop):
    shop = new_shop()
    with shop.open() as engine:
        submit(engine)
        invoices = engine.namespace().invoices
        draft = {"key": "prepaid", "customer_key": "ada", "currency": "GBP", "lines": [flat("Sofa", "100.00")]}
        id = invoices.submit({**draft, "workflow": {**CHARGED, "auto_advance": False}}).id
        work_until_quiet(engine, shop.clock)
        invoices.record_payment(id, "40.00", method="bank transfer")
        invoices.approve(id)
        work_until_quiet(engine, shop.clock)
        sofa = invoices.get(id)
    (there,) = [each for each in shop.books.documents() if each.total == Decimal("100.00")]
    moved = {(each.origin, each.amount) for each in shop.books.payments() if each.has_moved}
    assert (sofa.status, sofa.issues, there.status) == ("paid", (), "paid")
    assert {("recorded", Decimal("40.00")), ("charged", Decimal("60.00"))} <= moved
    shop.close()


def test_money_that_a_webhook_tells_of_is_counted_once(new_shop):
    shop = new_shop()
    with shop.open() as engine:
        ids, namespace = submit(engine), engine.namespace()
        work_until_quiet(engine, shop.clock)
        sent = next(each for each in shop.books.documents() if each.reference == ids["desk"])
        shop.books.pay_on_page(sent.id)
        for _ in range(2):
            deliver(engine, shop.books)
            work_until_quiet(engine, shop.clock)
        paid = {key: namespace.invoices.get(id).invoice for key, id in ids.items()}
        assert {key: (view.status, view.amount_paid == view.total) for key, view in paid.items()} == dict.fromkeys(
            ids, ("paid", True)
        )
        assert problems_of(engine) == []
    shop.close()


def test_a_bank_debit_that_settles_days_later_ends_paid(new_shop):
    shop = new_shop()
    with shop.open() as engine:
        namespace = engine.namespace()
        namespace.customers.create("Eve", key="eve", metadata={"stripe_payment_method": "pm_usBankAccount_success"})
        id = namespace.invoices.submit(
            {"key": "slow", "customer_key": "eve", "currency": "GBP", "lines": [flat("Rug", "99.00")]}
        ).id
        work_until_quiet(engine, shop.clock, timedelta(hours=1))
        assert namespace.invoices.get(id).status == "payment_processing.pending"
        work_until_quiet(engine, shop.clock, timedelta(days=6))
        assert namespace.invoices.get(id).status == "paid"
        assert problems_of(engine) == []
    shop.close()


@pytest.mark.parametrize("told_by", ["a webhook", "a look"])
def test_a_part_that_came_another_way_is_not_counted_again_when_the_customer_pays_the_rest(new_shop, told_by):
    shop = new_shop()
    with shop.open() as engine:
        namespace = engine.namespace()
        namespace.customers.create(
            "Eve", key="eve", metadata={"stripe_payment_method": "pm_card_threeDSecure2Required"}
        )
        id = namespace.invoices.submit(
            {"key": "secured", "customer_key": "eve", "currency": "GBP", "lines": [flat("Rug", "99.00")]}
        ).id
        work_until_quiet(engine, shop.clock, timedelta(minutes=5))
        assert namespace.invoices.get(id).status == "payment_processing.action_required"
        namespace.invoices.record_payment(id, Decimal("40.00"), method="bank transfer", key="part")
        work_until_quiet(engine, shop.clock, timedelta(minutes=5))
        shop.books.pay_on_page(shop.books.documents()[0].id)
        if told_by == "a webhook":
            deliver(engine, shop.books)
        work_until_quiet(engine, shop.clock, timedelta(hours=9))
        view = namespace.invoices.get(id).invoice
        assert (view.status, view.amount_paid) == ("paid", Decimal("99.00"))
        assert problems_of(engine) == []
    shop.close()


def test_a_decline_is_retried_with_another_card_and_counted_once(new_shop):
    shop = new_shop()
    with shop.open() as engine:
        namespace = engine.namespace()
        namespace.customers.create("Eve", key="eve", metadata={"stripe_payment_method": "pm_card_chargeDeclined"})
        id = namespace.invoices.submit(
            {"key": "declined", "customer_key": "eve", "currency": "GBP", "lines": [flat("Rug", "99.00")]}
        ).id
        work_until_quiet(engine, shop.clock)
        assert namespace.invoices.get(id).status == "payment_processing.failed"
        give_good_card(shop.books)
        namespace.invoices.retry(id)
        work_until_quiet(engine, shop.clock)
        deliver(engine, shop.books)
        work_until_quiet(engine, shop.clock)
        view = namespace.invoices.get(id).invoice
        assert (view.status, view.amount_paid) == ("paid", Decimal("99.00"))
        assert problems_of(engine) == []
    shop.close()


def test_what_is_paid_on_the_page_while_a_retry_is_asked_for_counts_once(new_shop):
    shop = new_shop()
    with shop.open() as engine:
        namespace = engine.namespace()
        namespace.customers.create("Eve", key="eve", metadata={"stripe_payment_method": "pm_card_chargeDeclined"})
        draft = {"key": "rug", "customer_key": "eve", "currency": "GBP", "lines": [flat("Rug", "99.00")]}
        id = namespace.invoices.submit(draft).id
        work_until_quiet(engine, shop.clock)
        assert namespace.invoices.get(id).status == "payment_processing.failed"
        namespace.invoices.retry(id)
        shop.books.pay_on_page(shop.books.documents()[0].id)
        deliver(engine, shop.books)
        work_until_quiet(engine, shop.clock)
        view = namespace.invoices.get(id).invoice
        assert (view.status, view.amount_paid) == ("paid", Decimal("99.00"))
        assert problems_of(engine) == []
    shop.close()


def test_what_the_page_took_counts_whole_where_a_part_was_noted_here_meanwhile(new_shop):
    shop = new_shop()
    with shop.open() as engine:
        namespace = engine.namespace()
        namespace.customers.create("Eve", key="eve", metadata={"stripe_payment_method": "pm_card_chargeDeclined"})
        draft = {"key": "rug", "customer_key": "eve", "currency": "GBP", "lines": [flat("Rug", "99.00")]}
        id = namespace.invoices.submit(draft).id
        work_until_quiet(engine, shop.clock)
        shop.books.pay_on_page(shop.books.documents()[0].id)
        namespace.invoices.record_payment(id, "9.00")
        namespace.invoices.retry(id)
        work_until_quiet(engine, shop.clock)
        details = namespace.invoices.get(id)
        assert (details.status, details.invoice.amount_paid) == ("paid", Decimal("108.00"))
        assert problems_of(engine) == []
    shop.close()


def test_what_was_declined_and_tried_again_is_heard_of_when_the_customer_pays_on_the_page(new_shop):
    shop = new_shop()
    with shop.open() as engine:
        namespace = engine.namespace()
        metadata = {"stripe_payment_method": "pm_card_chargeDeclined"}
        namespace.customers.create("Eve", key="eve", metadata=metadata)
        draft = {"customer_key": "eve", "currency": "GBP", "lines": [flat("Desk", "20.00")], "workflow": CHARGED}
        id = namespace.invoices.submit(draft).id
        work_until_quiet(engine, shop.clock)
        shop.clock.advance(timedelta(minutes=1))
        namespace.invoices.retry(id)
        work_until_quiet(engine, shop.clock)
        assert namespace.invoices.get(id).status == "payment_processing.failed"
        shop.books.pay_on_page(shop.books.documents()[0].id)
        deliver(engine, shop.books)
        work_until_quiet(engine, shop.clock)
        assert namespace.invoices.get(id).status == "paid"
        assert problems_of(engine) == []
    shop.close()
