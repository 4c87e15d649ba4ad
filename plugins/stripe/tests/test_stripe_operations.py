"""Each operation against a Stripe on loopback, whose requests are judged by the vendor's description where that is at hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from billhook.contract import (
    Absent,
    Capability,
    CustomerLink,
    Done,
    Found,
    PaymentStatus,
    Pending,
    RefundStatus,
    Unknown,
)
from billhook.domain.tax import TaxAmount, TaxBehavior
from billhook.testing.builders import a_customer, a_line, an_id
from billhook_stripe import StripeSettings
from billhook_stripe.simulator.rules import StripeRules

SENT = {"workflow": {"collection_method": "send_invoice"}}
VAT = TaxAmount(name="VAT", percentage="20", behavior=TaxBehavior.EXCLUSIVE, taxable_amount="10.00", amount="2.00")


def flat(amount: str, number: int = 1, **changes):
    return a_line(number, price={"type": "flat", "amount": amount}, quantity=None, **changes)


# Customers.


def test_a_customer_is_made_once_and_then_changed(counter, books):
    item = counter.customer_item()
    made = counter.run(Capability.SYNC_CUSTOMER, item).result
    renamed = replace(item, customer=a_customer(id=item.id, name="Renamed", email=None), external_id=made.external_id)
    assert counter.run(Capability.SYNC_CUSTOMER, renamed).result.external_id == made.external_id
    assert [(each.reference, each.name, each.email) for each in books.customers()] == [(item.id, "Renamed", None)]


def test_a_customer_whom_stripe_has_already_is_named_by_the_host(counter, books):
    there = counter.run(Capability.SYNC_CUSTOMER, counter.customer_item(1)).result.external_id
    item = counter.customer_item(2, metadata={"stripe_customer_id": there})
    assert counter.run(Capability.SYNC_CUSTOMER, item).result.external_id == there
    assert [each.reference for each in books.customers()] == [item.id]


def test_the_stored_payment_method_is_known_from_the_customer(counter):
    item = counter.customer_item(metadata={"stripe_payment_method": "pm_card_mastercard"})
    assert counter.run(Capability.SYNC_CUSTOMER, item).result.payment_method.startswith("pm_")


def test_a_payment_method_that_the_host_names_later_becomes_the_default_once(counter, books):
    item = counter.customer_item(metadata={"stripe_payment_method": "pm_card_mastercard"})
    first = counter.run(Capability.SYNC_CUSTOMER, item).result
    known = replace(item, external_id=first.external_id)
    assert counter.run(Capability.SYNC_CUSTOMER, known).steps == ["standing", "customer"]
    other = replace(known, metadata={"stripe_payment_method": "pm_card_visa"})
    run = counter.run(Capability.SYNC_CUSTOMER, other)
    assert (run.steps, run.result.payment_method != first.payment_method) == (["standing", "attach", "customer"], True)
    assert books.ledger.get("payment_method", run.result.payment_method)["_token"] == "pm_card_visa"
    again = counter.run(Capability.SYNC_CUSTOMER, other)
    assert (again.steps, again.result.payment_method) == (["standing", "customer"], run.result.payment_method)


def test_another_customer_s_payment_method_is_refused(counter):
    theirs = counter.run(Capability.SYNC_CUSTOMER, counter.customer_item(1)).result.payment_method
    known = counter.run(Capability.SYNC_CUSTOMER, counter.customer_item(2)).result.external_id
    item = replace(counter.customer_item(2, metadata={"stripe_payment_method": theirs}), external_id=known)
    refused = counter.run(Capability.SYNC_CUSTOMER, item).outcome
    assert "already been attached" in str(refused)


def test_what_is_the_default_at_stripe_now_is_charged_unless_another_was_linked_here(counter, books):
    customer = counter.run(Capability.SYNC_CUSTOMER, counter.customer_item()).result
    link = CustomerLink("c-1", customer.external_id, customer.payment_method, customer.app_data)
    kept = books.ledger.get("customer", customer.external_id)
    new = {**books.ledger.get("payment_method", customer.payment_method), "id": "pm_new"}
    books.ledger.save(new, parent=customer.external_id)
    books.ledger.save({**kept, "invoice_settings": {"default_payment_method": "pm_new"}})
    charged = []
    for number, known in enumerate((link, replace(link, payment_method="pm_card_visa"))):
        item = replace(counter.payment_item(counter.invoice_item(number + 1)), customer=known)
        id = counter.run(Capability.COLLECT_PAYMENT, item).result.external_id
        charged.append(books.ledger.get("payment_intent", id)["payment_method"])
    assert charged == ["pm_new", "pm_card_visa"]


def test_a_customer_who_was_deleted_at_stripe_is_refused(counter):
    there = counter.run(Capability.SYNC_CUSTOMER, counter.customer_item()).result.external_id
    counter.client.delete(
        f"{counter.settings.base_url}/v1/customers/{there}",
        headers={"Authorization": "Bearer sk_test_simulator", "Stripe-Version": "2026-10-28.endive"},
    )
    again = replace(counter.customer_item(), external_id=there)
    assert counter.run(Capability.SYNC_CUSTOMER, again).codes == ["resource_missing"]


# Drafts.


def test_a_draft_is_two_requests_and_holds_our_total_to_the_cent(counter, books):
    item = counter.invoice_item()
    run = counter.run(Capability.SYNC_DRAFT, item)
    assert run.steps == ["create", "add.1"]
    (document,) = books.documents()
    assert (document.status, document.total, document.reference) == ("draft", item.invoice.total, item.id)
    assert run.result.totals.total == item.invoice.total
    assert run.result.line_ids == {line.reference: line.id for line in document.lines}
    assert run.result.totals.line_totals == {line.id: line.totals.total for line in item.invoice.lines}


def test_stripe_does_not_finalize_or_collect_by_itself(counter, books):
    known = counter.drafted().external_id
    assert books.ledger.get("invoice", known)["auto_advance"] is False


def test_many_lines_go_in_few_calls(counter, books):
    lines = tuple(flat(f"{number}.00", number) for number in range(1, 251))
    run = counter.run(Capability.SYNC_DRAFT, counter.invoice_item(lines=lines))
    assert run.steps == ["create", "add.1", "add.2", "add.3"]
    (document,) = books.documents()
    assert (len(document.lines), document.total) == (250, Decimal("31375.00"))


def test_an_edit_touches_only_the_lines_that_changed(counter, books):
    first = counter.drafted(lines=(flat("10.00", 1), flat("20.00", 2), flat("30.00", 3)))
    kept = {line.reference: line.id for line in books.documents()[0].lines}
    edited = counter.invoice_item(lines=(flat("10.00", 1), flat("25.00", 2), flat("30.00", 3)))
    run = counter.run(Capability.SYNC_DRAFT, replace(edited, external_id=first.external_id))
    assert run.steps == ["header", "remove.1", "add.1"]
    (document,) = books.documents()
    now = {line.reference: line.id for line in document.lines}
    changed = [reference for reference in kept if kept[reference] != now[reference]]
    assert (document.total, len(changed)) == (Decimal("65.00"), 1)


def test_the_same_draft_again_changes_no_line(counter):
    item = counter.drafted()
    assert counter.run(Capability.SYNC_DRAFT, item).steps == ["header"]


def test_an_edit_of_a_long_draft_reads_all_its_lines(counter, books):
    lines = tuple(flat(f"{number}.00", number) for number in range(1, 121))
    item = counter.drafted(lines=lines)
    run = counter.run(Capability.SYNC_DRAFT, item)
    assert run.steps == ["header", "lines.10", "lines.110"]
    assert len(books.documents()[0].lines) == 120


def test_what_an_unfinished_draft_left_behind_is_gone_on_with(counter, books):
    item = counter.invoice_item()
    batch = counter.batch(item)
    create = next(counter.handle.start(Capability.SYNC_DRAFT, batch))
    reply = counter.send(create, "first")
    left = counter.handle.registered_function(create.identify.name)(reply, **create.identify.args)
    run = counter.run(Capability.SYNC_DRAFT, replace(item, leftovers={"create": left[item.id]}))
    assert run.steps == ["header", "add.1"]
    assert [document.total for document in books.documents()] == [item.invoice.total]


def test_a_draft_that_somebody_deleted_there_is_made_anew(counter, books):
    item = counter.drafted()
    counter.run(Capability.DELETE, item)
    again = counter.run(Capability.SYNC_DRAFT, item).result
    assert again.external_id != item.external_id
    assert len(books.documents()) == 1


def test_what_is_final_there_is_not_edited(counter):
    assert counter.run(Capability.SYNC_DRAFT, counter.issued()).codes == ["invoice_not_editable"]


def test_without_a_customer_there_nothing_is_sent(counter):
    item = replace(counter.invoice_item(), customer=CustomerLink(an_id(901)))
    run = counter.run(Capability.SYNC_DRAFT, item)
    assert (run.codes, run.sent) == (["customer_not_there"], [])


def test_taxes_are_taken_as_they_are_stated(counter, books):
    inclusive = TaxAmount(
        name="MwSt", percentage="19", behavior=TaxBehavior.INCLUSIVE, taxable_amount="8.40", amount="1.60"
    )
    item = counter.invoice_item(lines=(flat("10.00", 1, taxes=(VAT,)), flat("10.00", 2, taxes=(inclusive,))))
    result = counter.run(Capability.SYNC_DRAFT, item).result
    assert (result.totals.total, result.totals.tax) == (Decimal("22.00"), Decimal("3.60"))
    assert result.totals.line_totals == {line.id: line.totals.total for line in item.invoice.lines}


def test_a_product_is_billed_as_quantity_times_price_where_that_is_exact(counter, books):
    exact = a_line(1, item_code="prod_seat", quantity="3", price={"type": "unit", "amount": "2.55"})
    rounded = a_line(2, item_code="prod_call", quantity="3", price={"type": "unit", "amount": "0.333"})
    counter.run(Capability.SYNC_DRAFT, counter.invoice_item(lines=(exact, rounded)))
    first, second = books.ledger.all_of("invoice")[0]["_lines"]
    assert (first["quantity_decimal"], first["pricing"]["unit_amount_decimal"], first["amount"]) == ("3", "255", 765)
    assert (second["quantity_decimal"], second["amount"]) == ("1", 100)
    assert "3 x 0.333" in second["description"]


# Issuing and after.


def test_an_issue_gives_the_number_compares_and_finalizes(counter, books):
    run = counter.run(Capability.ISSUE, counter.drafted())
    assert run.steps == ["number", "finalize"]
    assert (run.result.number, books.documents()[0].status) == ("INV-1", "open")
    assert run.result.url.startswith("https://")


def test_a_total_that_differs_there_is_never_finalized(counter, books):
    item = counter.drafted()
    raw = books.ledger.get("invoice", item.external_id)
    books.ledger.save({**raw, "total": raw["total"] + 1})
    run = counter.run(Capability.ISSUE, item)
    assert (run.codes, run.steps, run.outcome.external_id) == (["totals_differ"], ["number"], item.external_id)
    assert books.documents()[0].status == "draft"


def test_a_number_that_is_taken_is_refused_at_its_place(counter):
    counter.issued(1)
    run = counter.run(Capability.ISSUE, replace(counter.drafted(2), number="INV-1"))
    assert run.outcome.issues[0].path == "/number"


def test_what_somebody_finalized_by_hand_under_our_number_is_done(counter):
    item = counter.issued()
    assert counter.run(Capability.ISSUE, item).result.number == "INV-1"


def test_what_somebody_finalized_by_hand_under_another_number_is_refused(counter):
    item = counter.issued()
    assert counter.run(Capability.ISSUE, replace(item, number="INV-9")).codes == ["number_differs"]


def test_an_invoice_that_has_no_draft_there_is_not_issued(counter):
    run = counter.run(Capability.ISSUE, counter.invoice_item())
    assert (run.codes, run.sent) == (["document_not_there"], [])


@pytest.mark.parametrize(
    "after, expected", [(timedelta(days=9), 9 * 86_400), (timedelta(minutes=1), 0), (-timedelta(days=3), 0)]
)
def test_the_due_date_is_ours_and_what_is_over_is_due_at_once(counter, books, after, expected):
    item = counter.issued(due_at=counter.clock.now() + after, **SENT)
    due = books.ledger.get("invoice", item.external_id)["due_date"]
    assert due - int(counter.clock.now().timestamp()) == expected


def test_an_invoice_is_sent_once(counter, books):
    item = counter.issued(**SENT)
    assert counter.run(Capability.SEND, item).result.sent_at == counter.clock.now()
    assert books.documents()[0].sent_count == 1


def test_void_is_done_once_and_done_again(counter, books):
    item = counter.issued()
    assert isinstance(counter.run(Capability.VOID, item).outcome, Done)
    assert isinstance(counter.run(Capability.VOID, item).outcome, Done)
    assert books.documents()[0].status == "void"


def test_what_is_paid_is_not_voided(counter):
    item = counter.issued()
    counter.run(Capability.COLLECT_PAYMENT, counter.payment_item(item))
    assert counter.run(Capability.VOID, item).codes == ["invoice_not_open"]


def test_a_draft_is_deleted_once_and_deleted_again(counter, books):
    item = counter.drafted()
    assert isinstance(counter.run(Capability.DELETE, item).outcome, Done)
    assert isinstance(counter.run(Capability.DELETE, item).outcome, Done)
    assert books.documents() == ()


@pytest.mark.parametrize("capability", [Capability.VOID, Capability.DELETE])
def test_what_never_stood_there_has_nothing_to_remove(counter, capability):
    run = counter.run(capability, counter.invoice_item())
    assert isinstance(run.outcome, Done)
    assert run.sent == []


def test_what_stands_there_is_read_by_its_id_and_by_ours(counter):
    item = counter.issued()
    by_id = counter.run(Capability.FETCH, item).result
    by_ours = counter.run(Capability.FETCH, replace(item, external_id=None)).result
    assert by_id == by_ours
    assert (by_id.found, by_id.status, by_id.number) == (True, "open", "INV-1")
    assert counter.run(Capability.FETCH, counter.invoice_item(7)).result.found is False


def test_what_a_customer_paid_on_stripes_page_counts_for_invoices_that_are_sent(counter, books):
    sent, charged = counter.issued(1, **SENT), counter.issued(2)
    for item in (sent, charged):
        books.pay_on_page(item.external_id)
    assert counter.run(Capability.FETCH, sent).result.amount_paid == sent.invoice.total
    assert counter.run(Capability.FETCH, charged).result.amount_paid is None


# Credit notes.


def test_a_credit_note_reduces_what_is_open(counter, books):
    item = counter.issued()
    result = counter.run(Capability.CREDIT, counter.credit_item(applies_to=item.external_id)).result
    invoice, note = books.documents()
    assert (result.totals.total, result.number, note.number) == (Decimal("10.00"), None, "CN-50")
    assert invoice.amount_remaining == item.invoice.total - Decimal("10.00")


def test_a_credit_note_with_tax_names_the_rates_of_its_invoice(counter, books):
    item = counter.issued(lines=(flat("100.00", 1, taxes=(VAT.model_copy(update={"amount": Decimal("20.00")}),)),))
    result = counter.run(Capability.CREDIT, counter.credit_item(applies_to=item.external_id, taxes=(VAT,))).result
    assert (result.totals.total, result.totals.tax) == (Decimal("12.00"), Decimal("2.00"))


def test_a_tax_that_the_invoice_has_not_is_refused(counter):
    item = counter.issued()
    run = counter.run(Capability.CREDIT, counter.credit_item(applies_to=item.external_id, taxes=(VAT,)))
    assert run.codes == ["credit_note_tax_unknown"]


def test_a_credit_note_on_a_paid_invoice_goes_to_the_customers_balance(counter, books):
    item = counter.issued()
    counter.run(Capability.COLLECT_PAYMENT, counter.payment_item(item))
    counter.run(Capability.CREDIT, counter.credit_item(applies_to=item.external_id))
    assert books.customers()[0].balance == Decimal("-10.00")


def test_a_credit_note_with_nothing_to_stand_on_goes_to_the_customers_balance(counter, books):
    result = counter.run(Capability.CREDIT, counter.credit_item()).result
    (note,) = books.documents()
    assert (note.id, note.on_balance, note.total, note.number) == (result.external_id, True, Decimal("10.00"), "CN-50")
    assert result.totals.total == Decimal("10.00")
    assert books.totals() == {"EUR": Decimal("-10.00")}


def test_or_it_is_refused_as_the_app_is_set(counter):
    counter.settings = StripeSettings(base_url=counter.settings.base_url, unattached_credit_notes="refuse")
    run = counter.run(Capability.CREDIT, counter.credit_item())
    assert (run.codes, run.sent) == (["credit_note_unattached"], [])
    item = counter.issued()
    counter.run(Capability.COLLECT_PAYMENT, counter.payment_item(item))
    on_paid = counter.run(Capability.CREDIT, counter.credit_item(applies_to=item.external_id))
    assert on_paid.codes == ["credit_note_exceeds_open_amount"]


def test_a_credit_note_that_stands_there_already_is_read(counter, books):
    item = counter.issued()
    note = counter.credit_item(applies_to=item.external_id)
    known = counter.run(Capability.CREDIT, note).result.external_id
    assert counter.run(Capability.CREDIT, replace(note, external_id=known)).result.external_id == known
    on_balance = counter.credit_item(51)
    known = counter.run(Capability.CREDIT, on_balance).result.external_id
    assert counter.run(Capability.CREDIT, replace(on_balance, external_id=known)).result.external_id == known
    assert books.duplicates() == ()


# Money, through the invoice.


def test_an_invoice_is_paid_through_stripes_own_payment_of_it(counter, books):
    item = counter.issued()
    run = counter.run(Capability.COLLECT_PAYMENT, counter.payment_item(item))
    assert run.steps == ["invoice", "pay"]
    assert (run.result.status, run.result.amount) == (PaymentStatus.SUCCEEDED, item.invoice.total)
    assert run.result.external_id == books.payments()[0].id
    assert books.documents()[0].status == "paid"


def test_more_than_we_ask_for_is_never_taken(counter, books):
    """A debit on the customer's balance makes Stripe ask for more than the invoice's total."""
    item = counter.drafted()
    books.change_balance(item.customer.external_id, 500, "eur")
    counter.run(Capability.ISSUE, item)
    run = counter.run(Capability.COLLECT_PAYMENT, counter.payment_item(item))
    assert (run.codes, run.steps) == (["open_amount_differs"], ["invoice"])
    assert books.payments() == ()


def test_credit_on_the_balance_is_told_apart_from_money(counter, books):
    item = counter.drafted()
    books.change_balance(item.customer.external_id, -500, "eur")
    counter.run(Capability.ISSUE, item)
    result = counter.run(Capability.COLLECT_PAYMENT, counter.payment_item(item)).result
    assert (result.status, result.amount) == (PaymentStatus.SUCCEEDED, item.invoice.total)
    assert result.message.startswith("5.00 EUR of it was settled at Stripe without a charge")
    assert books.payments()[0].amount == item.invoice.total - 5


def test_an_invoice_that_credit_covers_wholly_needs_no_payment(counter, books):
    item = counter.drafted()
    books.change_balance(item.customer.external_id, -100_000, "eur")
    counter.run(Capability.ISSUE, item)
    run = counter.run(Capability.COLLECT_PAYMENT, counter.payment_item(item))
    assert (run.result.status, run.result.external_id, run.steps) == (PaymentStatus.SUCCEEDED, None, ["invoice"])


def test_refunds_of_others_are_none_of_an_invoice_that_credit_covered(counter, books):
    _, paid = counter.charged()
    covered = counter.drafted(2)
    books.change_balance(covered.customer.external_id, -100_000, "eur")
    counter.run(Capability.ISSUE, covered)
    books.refund_in_dashboard(paid.result.external_id, 250)
    run = counter.run(Capability.CHECK_PAYMENT, counter.payment_item(covered, 502))
    assert (run.result.status, run.result.refunded, run.steps) == (PaymentStatus.SUCCEEDED, None, ["standing"])


def test_a_declined_card_fails_the_payment_and_a_new_attempt_takes_its_place(counter, books):
    item = counter.issued()
    first = counter.payment_item(item, 500, method="pm_card_chargeDeclinedInsufficientFunds")
    failed = counter.run(Capability.COLLECT_PAYMENT, first).result
    assert (failed.status, failed.code) == (PaymentStatus.FAILED, "insufficient_funds")
    again = counter.run(Capability.COLLECT_PAYMENT, counter.payment_item(item, 501))
    assert again.steps == ["invoice", "mark", "pay"]
    assert (again.result.status, again.result.external_id) == (PaymentStatus.SUCCEEDED, failed.external_id)
    late = counter.run(Capability.CHECK_PAYMENT, replace(first, external_id=failed.external_id)).result
    assert (late.status, late.code) == (PaymentStatus.FAILED, "superseded")


def test_a_payment_that_failed_stays_failed_when_other_money_settles_the_invoice(counter):
    item = counter.issued()
    first = counter.payment_item(item, method="pm_card_chargeDeclined")
    failed = counter.run(Capability.COLLECT_PAYMENT, first).result
    counter.run(Capability.RECORD_PAYMENT, counter.payment_item(item, 501))
    later = counter.run(Capability.CHECK_PAYMENT, replace(first, external_id=failed.external_id)).result
    assert (later.status, later.amount) == (PaymentStatus.CANCELED, 0)


def test_a_payment_that_needs_the_customer_leads_to_stripes_page(counter, books):
    item = counter.issued()
    payment = counter.payment_item(item, method="pm_card_authenticationRequired")
    result = counter.run(Capability.COLLECT_PAYMENT, payment).result
    assert (result.status, result.action_url) == (
        PaymentStatus.ACTION_REQUIRED,
        books.ledger.get("invoice", item.external_id)["hosted_invoice_url"],
    )
    books.finish_payment(result.external_id)
    later = counter.run(Capability.CHECK_PAYMENT, replace(payment, external_id=result.external_id)).result
    assert (later.status, later.amount) == (PaymentStatus.SUCCEEDED, item.invoice.total)


def test_a_bank_debit_waits_and_then_succeeds(counter, books):
    item = counter.issued()
    payment = counter.payment_item(item, method="pm_usBankAccount_success")
    waiting = counter.run(Capability.COLLECT_PAYMENT, payment).outcome
    assert isinstance(waiting, Pending)
    counter.clock.advance(timedelta(days=5))
    later = counter.run(Capability.CHECK_PAYMENT, replace(payment, external_id=waiting.external_id)).result
    assert (later.status, later.amount) == (PaymentStatus.SUCCEEDED, item.invoice.total)


def test_a_bank_debit_can_fail_days_later(counter):
    item = counter.issued()
    payment = counter.payment_item(item, method="pm_usBankAccount_insufficientFunds")
    waiting = counter.run(Capability.COLLECT_PAYMENT, payment).outcome
    counter.clock.advance(timedelta(days=5))
    later = counter.run(Capability.CHECK_PAYMENT, replace(payment, external_id=waiting.external_id)).result
    assert (later.status, later.code) == (PaymentStatus.FAILED, "insufficient_funds")


def test_what_was_given_up_there_is_uncollectible_and_what_is_void_canceled(counter, books):
    item = counter.issued()
    raw = books.ledger.get("invoice", item.external_id)
    for status, expected in (("uncollectible", PaymentStatus.UNCOLLECTIBLE), ("void", PaymentStatus.CANCELED)):
        books.ledger.save({**raw, "status": status})
        assert counter.run(Capability.CHECK_PAYMENT, counter.payment_item(item)).result.status is expected


def test_money_that_came_another_way_settles_the_invoice(counter, books):
    item = counter.issued()
    run = counter.run(Capability.RECORD_PAYMENT, counter.payment_item(item, external_id="bank-1"))
    assert (run.steps, run.result.external_id) == (["invoice", "pay"], "bank-1")
    assert (books.documents()[0].status, books.payments()[0].origin) == ("paid", "recorded")


def test_a_part_is_reported_and_put_on_the_invoice(counter, books):
    item = counter.issued()
    part = counter.payment_item(item, amount=Decimal("10.00"), method="bank transfer")
    assert counter.run(Capability.RECORD_PAYMENT, part).steps == ["invoice", "report", "attach"]
    assert books.documents()[0].amount_remaining == item.invoice.total - 10
    rest = counter.payment_item(item, 501, amount=item.invoice.total - 10)
    counter.run(Capability.RECORD_PAYMENT, rest)
    assert books.documents()[0].status == "paid"
    assert books.duplicates() == ()


def test_a_report_that_was_left_behind_is_attached_and_not_made_again(counter, books):
    item = counter.issued()
    part = counter.payment_item(item, amount=Decimal("10.00"))
    steps = counter.handle.start(Capability.RECORD_PAYMENT, counter.batch(part))
    report = steps.send(counter.send(next(steps), "a"))
    left = counter.send(report, "b").json()["id"]
    run = counter.run(Capability.RECORD_PAYMENT, replace(part, leftovers={"report": left}))
    assert run.steps == ["invoice", "attach"]
    assert [payment.amount for payment in books.payments()] == [Decimal("10.00")]


def in_parts(counter, item, parts):
    """Note so many parts of an invoice, of 1.00 each."""
    for number in range(parts):
        counter.run(Capability.RECORD_PAYMENT, counter.payment_item(item, 600 + number, amount=Decimal("1.00")))


def test_of_an_invoice_that_many_payments_paid_each_is_read(counter, books):
    item = counter.issued(**SENT)
    in_parts(counter, item, 12)
    books.pay_on_page(item.external_id)
    run = counter.run(Capability.FETCH, item)
    (intent,) = books.ledger.all_of("payment_intent")
    assert (run.steps, run.result.amount_paid) == (
        ["invoice", "invoice_payments.1", f"refunds.{intent['id']}.1"],
        item.invoice.total,
    )
    assert [(each.external_id, each.amount) for each in run.result.receipts] == [
        (intent["id"], item.invoice.total - 12)
    ]


def test_of_an_invoice_with_many_parts_the_rest_is_charged_and_counted(counter):
    item = counter.issued()
    in_parts(counter, item, 12)
    rest = counter.payment_item(item, amount=item.invoice.total - 12)
    charged = counter.run(Capability.COLLECT_PAYMENT, rest)
    looked = counter.run(Capability.CHECK_PAYMENT, replace(rest, external_id=charged.result.external_id))
    for result in (charged.result, looked.result):
        assert (result.status, result.amount) == (PaymentStatus.SUCCEEDED, rest.amount)
    assert "invoice_payments.1" in looked.steps


def test_whether_an_invoice_with_many_parts_is_being_paid_is_not_known_from_the_first_of_them(counter):
    item = counter.issued()
    in_parts(counter, item, 12)
    payment = counter.payment_item(item, amount=item.invoice.total - 12)
    steps = counter.handle.start(Capability.COLLECT_PAYMENT, counter.batch(payment))
    pay = steps.send(counter.send(next(steps), "read"))
    assert counter.look_up(pay) == Unknown("the list of its payments goes on")


def test_more_than_is_open_is_not_noted(counter):
    item = counter.issued()
    more = counter.payment_item(item, amount=item.invoice.total + 1)
    assert counter.run(Capability.RECORD_PAYMENT, more).codes == ["payment_exceeds_open_amount"]
    nowhere = counter.payment_item(counter.invoice_item(2))
    assert counter.run(Capability.RECORD_PAYMENT, nowhere).codes == ["document_not_there"]


# Money, by itself.


def test_an_invoice_that_lives_elsewhere_gets_a_payment_of_its_own(counter, books):
    item, run = counter.charged()
    assert (run.result.status, run.result.amount) == (PaymentStatus.SUCCEEDED, item.amount)
    (payment,) = books.payments()
    assert (payment.id, payment.reference, payment.invoice) == (run.result.external_id, item.id, None)
    assert "charge" in run.steps


def test_the_method_that_is_known_saves_a_look_at_the_customer(counter):
    _, run = counter.charged(method="pm_card_visa")
    assert run.steps == ["charge"]


def test_manual_capture_only_authorizes_until_somebody_captures(counter, books):
    counter.settings = StripeSettings(base_url=counter.settings.base_url, capture="manual")
    item, run = counter.charged()
    assert (run.result.status, run.result.amount) == (PaymentStatus.AUTHORIZED, 0)
    books.finish_payment(run.result.external_id)
    later = counter.run(Capability.CHECK_PAYMENT, replace(item, external_id=run.result.external_id)).result
    assert (later.status, later.amount) == (PaymentStatus.SUCCEEDED, item.amount)


@pytest.fixture
def authorized(counter):
    """A payment of an invoice that lives elsewhere, authorized and not captured."""
    counter.settings = StripeSettings(base_url=counter.settings.base_url, capture="manual")
    item, run = counter.charged()
    return replace(item, external_id=run.result.external_id)


def test_an_authorized_payment_is_captured(counter, books, authorized):
    run = counter.run(Capability.CAPTURE_PAYMENT, authorized)
    assert (run.result.status, run.result.amount, run.steps) == (
        PaymentStatus.SUCCEEDED,
        authorized.amount,
        ["capture"],
    )
    assert [payment.status for payment in books.payments()] == ["succeeded"]


def test_a_part_is_captured(counter, authorized):
    part = replace(authorized, amount=authorized.amount - 1)
    assert counter.run(Capability.CAPTURE_PAYMENT, part).result.amount == part.amount


def test_an_authorized_payment_is_canceled(counter, books, authorized):
    run = counter.run(Capability.CANCEL_PAYMENT, authorized)
    assert (run.result.status, run.result.amount, run.steps) == (PaymentStatus.CANCELED, 0, ["cancel"])
    assert [payment.status for payment in books.payments()] == ["canceled"]


@pytest.mark.parametrize("capability", [Capability.CAPTURE_PAYMENT, Capability.CANCEL_PAYMENT])
def test_a_payment_that_has_ended_already_is_read(counter, books, authorized, capability):
    books.finish_payment(authorized.external_id)
    run = counter.run(capability, authorized)
    assert (run.result.status, run.result.amount) == (PaymentStatus.SUCCEEDED, authorized.amount)
    assert run.steps[-1] == "payment"


def test_a_capture_that_is_too_large_is_refused(counter, authorized):
    too_much = replace(authorized, amount=authorized.amount + 1)
    assert counter.run(Capability.CAPTURE_PAYMENT, too_much).steps == ["capture", "payment"]
    assert counter.run(Capability.CHECK_PAYMENT, authorized).result.status is PaymentStatus.AUTHORIZED


@pytest.mark.parametrize("capability", [Capability.CAPTURE_PAYMENT, Capability.CANCEL_PAYMENT])
def test_a_lost_answer_of_an_end_is_found(counter, authorized, capability):
    steps = counter.handle.start(capability, counter.batch(authorized))
    request = next(steps)
    assert counter.look_up(request) == Absent()
    counter.lose(request, "once")
    finding = counter.look_up(request)
    assert isinstance(finding, Found)
    with pytest.raises(StopIteration) as end:
        steps.send(finding.reply)
    assert isinstance(end.value.value[authorized.id], Done)


def test_the_payment_of_an_invoice_at_stripe_ends_with_its_invoice(counter):
    item = counter.payment_item(counter.issued())
    run = counter.run(Capability.CANCEL_PAYMENT, item)
    assert (run.codes, run.sent) == (["payment_of_invoice"], [])


@pytest.mark.parametrize(
    "method, status, code",
    [
        ("pm_card_chargeDeclined", PaymentStatus.FAILED, "generic_decline"),
        ("pm_card_chargeDeclinedExpiredCard", PaymentStatus.FAILED, "expired_card"),
        ("pm_card_authenticationRequired", PaymentStatus.FAILED, "authentication_required"),
        ("pm_card_threeDSecure2Required", PaymentStatus.ACTION_REQUIRED, None),
    ],
)
def test_how_a_payment_by_itself_can_end(counter, books, method, status, code):
    item, run = counter.charged(method=method)
    assert (run.result.status, run.result.code, run.result.amount) == (status, code, 0)
    assert run.result.external_id == books.payments()[0].id
    known = counter.run(Capability.COLLECT_PAYMENT, replace(item, external_id=run.result.external_id))
    assert (known.steps, known.result.status) == (["payment"], status)
    assert len(books.payments()) == 1


def test_a_payment_is_found_by_our_id(counter):
    item, run = counter.charged()
    nothing_given_back = replace(run.result, refunded=Decimal(0))
    assert counter.run(Capability.CHECK_PAYMENT, item).result == nothing_given_back
    other = replace(item, id=an_id(999))
    assert counter.run(Capability.CHECK_PAYMENT, other).codes == ["payment_not_there"]


@pytest.mark.parametrize(
    "amount, currency, code",
    [
        ("0.49", "EUR", "amount_too_small"),
        ("1000000.00", "EUR", "amount_too_large"),
        ("5.124", "KWD", "amount_not_representable"),
        ("5", "UGX", "currency_not_supported"),
    ],
)
def test_what_can_t_be_charged_is_refused_before_anything_is_sent(counter, amount, currency, code):
    item = counter.payment_item(counter.invoice_item(), amount=Decimal(amount), currency=currency)
    run = counter.run(Capability.COLLECT_PAYMENT, item)
    assert (run.codes, run.sent) == ([code], [])


class TestWithoutACardOnFile:
    @pytest.fixture
    def rules(self):
        return StripeRules(account_calls=None, endpoint_calls=None, card_on_file=None)

    def test_a_payment_says_what_is_missing(self, counter):
        _, run = counter.charged()
        assert run.codes == ["payment_method_missing"]

    def test_an_invoice_s_payment_fails_and_says_why(self, counter):
        result = counter.run(Capability.COLLECT_PAYMENT, counter.payment_item(counter.issued())).outcome
        assert "default_payment_method" in str(result)


# Giving back.


def test_a_refund_in_parts_is_never_more_than_was_received(counter, books):
    item, run = counter.charged()
    paid = run.result.external_id
    first = counter.run(Capability.REFUND, counter.refund_item(paid, "1.00", 700)).result
    assert (first.status, first.amount) == (RefundStatus.SUCCEEDED, Decimal("1.00"))
    too_much = counter.run(Capability.REFUND, counter.refund_item(paid, format(item.amount, "f"), 701))
    assert too_much.codes == ["stripe_refused"]
    assert [refund.amount for refund in books.refunds()] == [Decimal("1.00")]


def test_a_refund_that_stands_there_is_read(counter, books):
    _, run = counter.charged()
    item = counter.refund_item(run.result.external_id, reason="scratched")
    made = counter.run(Capability.REFUND, item).result
    assert counter.run(Capability.REFUND, replace(item, external_id=made.external_id)).result == made
    assert len(books.refunds()) == 1


# Connection.


def test_the_key_shows_whose_account_it_reaches(counter):
    from billhook.contract import ConnectionItem

    (account,) = counter.run(Capability.CHECK_CONNECTION, ConnectionItem("app")).result.accounts
    assert account.id == "acct_simulated"


# Nobody expects the money any more.


def test_an_invoice_is_marked_uncollectible_once(counter, books):
    item = counter.issued()
    first, again = (counter.run(Capability.MARK_UNCOLLECTIBLE, item) for _ in range(2))
    assert (first.result.external_id, first.steps) == (item.external_id, ["mark_uncollectible"])
    assert (again.result, again.steps) == (first.result, ["mark_uncollectible", "invoice"])
    assert [document.status for document in books.documents()] == ["uncollectible"]


def test_what_is_paid_is_not_marked_uncollectible(counter, books):
    item = counter.issued(**SENT)
    books.pay_on_page(item.external_id)
    assert counter.run(Capability.MARK_UNCOLLECTIBLE, item).codes == ["invoice_not_open"]


def test_an_invoice_that_never_stood_at_stripe_needs_no_mark(counter):
    run = counter.run(Capability.MARK_UNCOLLECTIBLE, counter.invoice_item())
    assert (run.result.external_id, run.sent) == (None, [])


# Refunds that come back.


def test_a_refund_that_the_bank_sends_back_is_read_as_failed(counter, books):
    _, paid = counter.charged()
    item = counter.refund_item(paid.result.external_id)
    made = counter.run(Capability.REFUND, item).result
    for known in (replace(item, external_id=made.external_id), item):
        assert counter.run(Capability.CHECK_REFUND, known).result.status is RefundStatus.SUCCEEDED
    books.bounce_refund(made.external_id)
    later = counter.run(Capability.CHECK_REFUND, item).result
    assert (later.status, later.amount, later.external_id) == (RefundStatus.FAILED, item.amount, made.external_id)
    nobodys = counter.refund_item(paid.result.external_id, number=701)
    assert counter.run(Capability.CHECK_REFUND, nobodys).codes == ["refund_not_there"]
