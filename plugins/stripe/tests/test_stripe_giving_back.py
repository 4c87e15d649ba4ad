"""Money that goes back, from here and in Stripe's dashboard, and the credit notes that count it."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from stripe_kit import SENT, URL, call, credit_the_chair, deliver, flat, submit

from billhook.testing.crash import work_until_quiet
from billhook.testing.invariants import problems_of


def given_back_from_here_and_in_the_dashboard(engine, shop):
    """A paid invoice, of which 1.00 went back from here and 2.50 in the dashboard."""
    namespace = engine.namespace()
    id = submit(engine)["chair"]
    work_until_quiet(engine, shop.clock)
    (payment,) = namespace.invoices.get(id).payments
    namespace.refunds.refund(payment.id, Decimal("1.00"), key="from here")
    work_until_quiet(engine, shop.clock)
    shop.books.refund_in_dashboard(payment.external_id, 250)
    return id


def sent_and_paid_on_the_page(engine, shop):
    """A sent invoice that was paid there, of which nothing is known here yet."""
    namespace = engine.namespace()
    namespace.customers.create("Eve", key="eve", email="eve@customer.example")
    draft = {"customer_key": "eve", "currency": "GBP", "lines": [flat("Rug", "99.00")], "workflow": SENT}
    id = namespace.invoices.submit(draft).id
    work_until_quiet(engine, shop.clock)
    shop.books.pay_on_page(shop.books.documents()[0].id)
    return id


def test_money_given_back_in_the_dashboard_is_noted_here_once(new_shop):
    shop = new_shop()
    with shop.open() as engine:
        namespace = engine.namespace()
        id = given_back_from_here_and_in_the_dashboard(engine, shop)
        for _ in range(2):
            deliver(engine, shop.books)
            work_until_quiet(engine, shop.clock)
        view = namespace.invoices.get(id)
        assert (view.status, view.invoice.amount_refunded) == ("paid", Decimal("3.50"))
        told = [entry.summary for entry in namespace.invoices.timeline(id)]
        assert len([said for said in told if said.startswith("Money was given back at the provider")]) == 1
        assert problems_of(engine) == []
    shop.close()


def test_money_given_back_in_the_dashboard_that_a_bank_sends_back_counts_no_more(new_shop):
    shop = new_shop()
    with shop.open() as engine:
        namespace = engine.namespace()
        id = given_back_from_here_and_in_the_dashboard(engine, shop)
        deliver(engine, shop.books)
        work_until_quiet(engine, shop.clock)
        (made_there,) = [refund for refund in shop.books.refunds() if refund.amount == Decimal("2.50")]
        shop.books.bounce_refund(made_there.id)
        deliver(engine, shop.books)
        work_until_quiet(engine, shop.clock)
        view = namespace.invoices.get(id)
        assert (view.status, view.invoice.amount_refunded) == ("paid", Decimal("1.00"))
        assert [issue.code for issue in view.issues] == ["refund_bounced"]
        assert problems_of(engine) == []
    shop.close()


@pytest.mark.parametrize("told_by", ["its own event", "a later event", "one look"])
def test_what_came_on_the_page_of_a_sent_invoice_and_went_back_in_the_dashboard_is_noted(new_shop, told_by):
    shop = new_shop()
    with shop.open() as engine:
        namespace = engine.namespace()
        id = sent_and_paid_on_the_page(engine, shop)
        (intent,) = shop.books.ledger.all_of("payment_intent")
        if told_by != "one look":
            deliver(engine, shop.books)
            work_until_quiet(engine, shop.clock)
            (payment,) = namespace.invoices.get(id).payments
            assert (payment.origin, payment.external_id, payment.amount_received) == (
                "outside",
                intent["id"],
                Decimal("99.00"),
            )
        shop.books.refund_in_dashboard(intent["id"], 250)
        if told_by == "its own event":
            deliver(engine, shop.books)
            work_until_quiet(engine, shop.clock)
        shop.books.refund_in_dashboard(intent["id"], 100)
        deliver(engine, shop.books)
        work_until_quiet(engine, shop.clock)
        view = namespace.invoices.get(id)
        assert (view.status, view.invoice.amount_paid, view.invoice.amount_refunded) == (
            "paid",
            Decimal("99.00"),
            Decimal("3.50"),
        )
        assert engine.orphaned_events() == ()
        assert problems_of(engine) == []
    shop.close()


def test_what_came_on_the_page_is_refunded_from_here(new_shop):
    shop = new_shop()
    with shop.open() as engine:
        namespace = engine.namespace()
        id = sent_and_paid_on_the_page(engine, shop)
        deliver(engine, shop.books)
        work_until_quiet(engine, shop.clock)
        (payment,) = namespace.invoices.get(id).payments
        asked = namespace.refunds.refund(payment.id, "4.00", key="from here")
        work_until_quiet(engine, shop.clock)
        deliver(engine, shop.books)
        work_until_quiet(engine, shop.clock)
        view = namespace.invoices.get(id)
        assert (view.status, view.invoice.amount_refunded) == ("paid", Decimal("4.00"))
        assert namespace.refunds.get(asked).status == "succeeded"
        assert problems_of(engine) == []
    assert [each.amount for each in shop.books.refunds()] == [Decimal("4.00")]
    shop.close()


@pytest.mark.parametrize("made", ["from here", "in the dashboard"])
def test_a_refund_and_its_credit_note_give_the_money_once(new_shop, made):
    shop = new_shop()
    with shop.open() as engine:
        namespace = engine.namespace()
        id = submit(engine)["chair"]
        work_until_quiet(engine, shop.clock)
        (payment,) = namespace.invoices.get(id).payments
        if made == "from here":
            namespace.refunds.refund(payment.id, "80.01", key="all")
        else:
            shop.books.refund_in_dashboard(payment.external_id, 8001)
        work_until_quiet(engine, shop.clock)
        deliver(engine, shop.books)
        work_until_quiet(engine, shop.clock)
        note = {"type": "credit_note", "customer_key": "grace", "currency": "GBP", "credited_invoice_id": id}
        note_id = namespace.credit_notes.submit({**note, "lines": [flat("Chair", "80.01")]}).id
        work_until_quiet(engine, shop.clock)
        issued, view = namespace.credit_notes.get(note_id), namespace.invoices.get(id)
        assert (issued.status, issued.amount_credited, view.status, view.issues) == ("issued", 0, "paid", ())
        assert (view.invoice.amount_refunded, view.invoice.amount_due) == (Decimal("80.01"), 0)
        assert problems_of(engine) == []
    assert not any(each.balance for each in shop.books.customers())
    assert [each.amount for each in shop.books.refunds()] == [Decimal("80.01")]
    shop.close()


def test_what_is_given_back_although_a_credit_note_made_it_credit_is_told_of(new_shop):
    shop = new_shop()
    with shop.open() as engine:
        namespace = engine.namespace()
        id = submit(engine)["chair"]
        work_until_quiet(engine, shop.clock)
        (payment,) = namespace.invoices.get(id).payments
        namespace.refunds.refund(payment.id, Decimal("10.00"), key="before")
        work_until_quiet(engine, shop.clock)
        credit_the_chair(engine, id, "note", "30.00")
        work_until_quiet(engine, shop.clock)
        assert namespace.invoices.get(id).issues == ()
        for amount in ("5.00", "30.00"):
            namespace.refunds.refund(payment.id, Decimal(amount), key=amount)
            work_until_quiet(engine, shop.clock)
        (issue,) = namespace.invoices.get(id).issues
        assert (issue.code, "twice" in issue.message) == ("credited_and_refunded", True)
        assert "the customer has 20.00 GBP twice" in issue.message
        credit_the_chair(engine, id, "another", "30.00")
        work_until_quiet(engine, shop.clock)
        (issue,) = namespace.invoices.get(id).issues
        assert "the customer has 5.00 GBP twice" in issue.message
        assert problems_of(engine) == []
    shop.close()


def test_a_credit_note_that_was_refused_is_issued_once_the_money_went_back(new_shop):
    shop = new_shop()
    with shop.open() as engine:
        namespace = engine.namespace()
        (app,) = namespace.apps.list().items
        settings = {"base_url": URL, "unattached_credit_notes": "refuse"}
        namespace.apps.update(app.id, settings=settings)
        id = submit(engine)["chair"]
        work_until_quiet(engine, shop.clock)
        note = {"type": "credit_note", "customer_key": "grace", "currency": "GBP", "credited_invoice_id": id}
        note_id = namespace.credit_notes.submit({**note, "lines": [flat("Chair", "80.01")]}).id
        work_until_quiet(engine, shop.clock)
        (issue,) = namespace.credit_notes.issues(note_id)
        assert (namespace.credit_notes.get(note_id).status, issue.code) == ("failed", "credit_note_exceeds_open_amount")
        namespace.refunds.refund(namespace.invoices.get(id).payments[0].id, "80.01", key="all")
        work_until_quiet(engine, shop.clock)
        namespace.credit_notes.retry(note_id)
        work_until_quiet(engine, shop.clock)
        assert namespace.credit_notes.get(note_id).status == "issued"
    assert not any(each.balance for each in shop.books.customers())
    shop.close()


def test_a_credit_note_that_somebody_made_in_the_dashboard_is_told_of(new_shop):
    shop = new_shop()
    with shop.open() as engine:
        invoices = engine.namespace().invoices
        id = submit(engine)["desk"]
        work_until_quiet(engine, shop.clock)
        (desk,) = [each for each in shop.books.documents() if each.reference == id]
        line = "lines[0][type]=custom_line_item&lines[0][quantity]=1&lines[0][unit_amount]=4000"
        assert call(shop.books, "POST", "/v1/credit_notes", f"invoice={desk.id}&{line}").status == 200
        for _ in range(2):
            invoices.look(id)
            work_until_quiet(engine, shop.clock)
            shop.clock.advance(timedelta(minutes=15))
        details = invoices.get(id)
        assert (details.status, details.invoice.amount_paid) == ("payment_processing.pending", Decimal(0))
        (issue,) = details.issues
        assert issue.code == "less_due_in_books"
        assert issue.message.startswith(f"Stripe asks 40.00 GBP less of the customer for {desk.id} than is owed")
        assert problems_of(engine) == []
    shop.close()
