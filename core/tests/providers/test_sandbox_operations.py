from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from billhook.contract import (
    Account,
    Capability,
    ConnectionItem,
    ConnectionResult,
    CustomerResult,
    Done,
    PaymentResult,
    PaymentStatus,
    Pending,
    RefundStatus,
    Rejected,
    RemovalResult,
    Retry,
    Snapshot,
    TaxResult,
)
from billhook.domain.tax import TaxBehavior, TaxConfig
from billhook.plugins import check_provider
from billhook.testing.builders import a_customer, a_line, an_id, an_invoice
from billhook.testing.sandbox import provider

TARGET = "openmeter.io/sandbox/target-payment-status"


def of_lines(*lines):
    return an_invoice().model_copy(update={"lines": lines})


def test_the_provider_keeps_the_contract():
    assert check_provider(provider) is provider


# Customers.


def test_customers_are_created_once_and_changed_where_they_stand_in_one_request(counter, sandbox):
    ada, bob = counter.customer_item(1), counter.customer_item(2)
    created = counter.run(Capability.SYNC_CUSTOMER, ada).outcomes[ada.id]
    edited = replace(ada, external_id=created.result.external_id, customer=a_customer(id=ada.id, name="Ada King"))
    run = counter.run(Capability.SYNC_CUSTOMER, edited, bob)
    assert len(run.sent) == 1
    assert run.outcomes[ada.id] == Done(CustomerResult(created.result.external_id))
    assert [(each.reference, each.name) for each in sandbox.customers()] == [
        (ada.id, "Ada King"),
        (bob.id, "Customer 2"),
    ]


def test_a_customer_without_a_name_goes_by_its_key(counter, sandbox):
    item = counter.customer_item(customer=a_customer(name="x").model_copy(update={"name": None}))
    counter.run(Capability.SYNC_CUSTOMER, item)
    assert sandbox.customers()[0].name == "customer-1"


# Drafts and issuing.


def test_a_batch_of_drafts_is_one_request_and_our_ids_come_back_as_theirs(counter, sandbox):
    items = [counter.invoice_item(number) for number in range(1, 51)]
    run = counter.run(Capability.SYNC_DRAFT, *items)
    assert len(run.sent) == 1
    for item, document in zip(items, sandbox.documents(), strict=True):
        result = run.outcomes[item.id].result
        assert (document.reference, document.status, document.id) == (item.id, "draft", result.external_id)
        assert result.line_ids == {line.reference: line.id for line in document.lines}
        assert result.totals.total == item.invoice.total == document.total


def test_new_and_known_drafts_go_together_and_a_known_one_is_replaced(counter, sandbox):
    old = counter.drafted(1)
    edited = counter.invoice_item(1, an_invoice(lines=1), external_id=old.external_id)
    new = counter.invoice_item(2)
    run = counter.run(Capability.SYNC_DRAFT, edited, new)
    assert len(run.sent) == 1
    assert [(each.reference, len(each.lines)) for each in sandbox.documents()] == [(old.id, 1), (new.id, 3)]
    assert run.outcomes[old.id].result.external_id == old.external_id


def test_what_an_unfinished_operation_left_behind_is_gone_on_with(counter, sandbox):
    old = counter.drafted(1)
    left_behind = replace(old, external_id=None, leftovers={"drafts": old.external_id})
    counter.run(Capability.SYNC_DRAFT, left_behind)
    assert len(sandbox.documents()) == 1


def test_an_issued_invoice_has_our_number_and_our_dates(counter, sandbox):
    item = counter.drafted(1)
    view = replace(
        item.invoice, issued_at=datetime(2026, 3, 1, 23, tzinfo=UTC), due_at=datetime(2026, 3, 31, tzinfo=UTC)
    )
    outcome = counter.run(Capability.ISSUE, replace(item, invoice=view)).outcomes[item.id]
    (document,) = sandbox.documents()
    assert (document.status, document.number, document.issue_date, document.due_date) == (
        "issued", "INV-1", "2026-03-01", "2026-03-31",
    )  # fmt: skip
    assert (outcome.result.number, outcome.result.totals.total) == ("INV-1", view.total)


def test_issuing_again_changes_nothing(counter, sandbox):
    item = counter.issued(1)
    assert isinstance(counter.run(Capability.ISSUE, item).outcomes[item.id], Done)
    assert len(sandbox.documents()) == 1


def test_an_invoice_that_does_not_stand_there_is_refused_and_the_others_are_issued(counter):
    there, missing = counter.drafted(1), replace(counter.invoice_item(2), number="INV-2")
    outcomes = counter.run(Capability.ISSUE, there, missing).outcomes
    assert isinstance(outcomes[there.id], Done)
    assert outcomes[missing.id].issues[0].code == "document_not_there"


def test_somebody_else_s_number_on_our_draft_is_seen(counter, sandbox):
    item = counter.issued(1)
    outcome = counter.run(Capability.ISSUE, replace(item, number="INV-2")).outcomes[item.id]
    assert isinstance(outcome, Rejected)
    assert outcome.issues[0].code == "not_a_draft"
    assert sandbox.documents()[0].number == "INV-1"


def test_each_item_is_refused_by_itself_and_says_why_and_where(counter, sandbox):
    good, bad = counter.invoice_item(1), counter.invoice_item(2, an_invoice(metadata={"sandbox/draft": "reject"}))
    stranger = counter.invoice_item(3)
    stranger = replace(stranger, customer=replace(stranger.customer, external_id="cus_nobody"))
    outcomes = counter.run(Capability.SYNC_DRAFT, good, bad, stranger).outcomes
    assert isinstance(outcomes[good.id], Done)
    told = [(outcomes[item.id].issues[0].code, outcomes[item.id].issues[0].path) for item in (bad, stranger)]
    assert told == [("rejected", ""), ("customer_unknown", "/customer")]
    assert len(sandbox.documents()) == 1


def test_a_request_that_is_refused_whole_refuses_every_item(counter):
    items = [counter.invoice_item(number) for number in range(1, 52)]
    outcomes = counter.run(Capability.SYNC_DRAFT, *items).outcomes
    assert {outcome.issues[0].code for outcome in outcomes.values()} == {"too_many_items"}
    assert len(outcomes) == 51


@pytest.mark.parametrize("step, capability", [("draft", Capability.SYNC_DRAFT), ("issue", Capability.ISSUE)])
def test_a_document_under_way_is_pending_until_a_later_look_shows_it_finished(counter, clock, step, capability):
    draft = an_invoice(metadata={f"sandbox/{step}": "pending"})
    item = counter.invoice_item(1, draft) if step == "draft" else counter.drafted(1, draft=draft)
    outcome = counter.run(capability, item).outcomes[item.id]
    assert isinstance(outcome, Pending)
    assert outcome.check_after > timedelta()
    item = replace(item, external_id=outcome.external_id)
    assert isinstance(counter.run(Capability.FETCH, item).outcomes[item.id], Pending)
    assert isinstance(counter.run(capability, item).outcomes[item.id], Pending)
    clock.advance(timedelta(seconds=60))
    assert counter.run(Capability.FETCH, item).outcomes[item.id].result.found
    assert isinstance(counter.run(capability, item).outcomes[item.id], Done)


# After issuing.


def test_an_invoice_is_sent_at_the_time_that_the_provider_says(counter, clock, sandbox):
    item = counter.issued(1)
    outcome = counter.run(Capability.SEND, item).outcomes[item.id]
    assert outcome.result.sent_at == clock.now()
    assert sandbox.documents()[0].sent_count == 1


def test_voiding_twice_and_voiding_what_is_gone_are_done(counter, sandbox):
    item = counter.issued(1)
    for _ in range(2):
        assert counter.run(Capability.VOID, item).outcomes == {item.id: Done(RemovalResult(item.external_id))}
    gone = replace(item, external_id="inv_999999")
    assert isinstance(counter.run(Capability.VOID, gone).outcomes[item.id], Done)
    assert sandbox.documents()[0].status == "void"


def test_deleting_twice_is_done_and_deleting_what_was_issued_is_refused(counter, sandbox):
    draft, issued = counter.drafted(1), counter.issued(2)
    for _ in range(2):
        assert isinstance(counter.run(Capability.DELETE, draft).outcomes[draft.id], Done)
    assert counter.run(Capability.DELETE, issued).outcomes[issued.id].issues[0].code == "not_a_draft"
    assert [each.status for each in sandbox.documents()] == ["deleted", "issued"]


@pytest.mark.parametrize("capability", [Capability.VOID, Capability.DELETE])
def test_what_never_stood_there_is_removed_without_asking(counter, capability):
    item = counter.invoice_item(1)
    run = counter.run(capability, item)
    assert (run.sent, run.outcomes) == ([], {item.id: Done(RemovalResult())})


def test_sending_what_never_stood_there_is_refused_without_asking(counter):
    item = counter.invoice_item(1)
    run = counter.run(Capability.SEND, item)
    assert not run.sent
    assert run.outcomes[item.id].issues[0].code == "document_not_there"


def test_a_credit_note_is_issued_on_its_invoice(counter, sandbox):
    invoice = counter.issued(1)
    item = counter.credit_item(2, applies_to=invoice.external_id)
    outcome = counter.run(Capability.CREDIT, item).outcomes[item.id]
    note = sandbox.documents()[-1]
    assert (note.kind, note.status, note.number, note.invoice) == ("credit_note", "issued", "CN-2", invoice.external_id)
    assert outcome.result.totals.total == item.credit_note.total
    again = counter.run(Capability.CREDIT, replace(item, external_id=note.id)).outcomes[item.id]
    assert again.result.external_id == note.id
    assert len(sandbox.documents()) == 2


def test_a_snapshot_shows_what_stands_there_also_where_our_books_know_nothing(counter):
    issued, forgotten, absent = counter.issued(1), counter.drafted(2), counter.invoice_item(3)
    outcomes = counter.run(Capability.FETCH, issued, replace(forgotten, external_id=None), absent).outcomes
    assert outcomes[issued.id].result.status == "issued"
    assert outcomes[issued.id].result.totals.line_totals == {
        line.id: line.totals.total for line in issued.invoice.lines
    }
    assert outcomes[forgotten.id].result.external_id == forgotten.external_id
    assert outcomes[absent.id] == Done(Snapshot(found=False))


def test_a_long_list_is_read_to_its_end(counter, sandbox):
    items = [counter.drafted(number) for number in (1, 2, 3)]
    sandbox.fault("partial_page", matching="GET /v1/invoices", missing=2)
    run = counter.run(Capability.FETCH, *items)
    assert [request.step for request in run.sent] == ["page.1", "page.2"]
    assert all(outcome.result.found for outcome in run.outcomes.values())


def test_a_list_that_goes_on_without_showing_more_is_asked_for_later(counter, sandbox):
    item = counter.drafted(1)
    sandbox.fault("partial_page", matching="GET /v1/invoices", missing=1, times=None)
    assert isinstance(counter.run(Capability.FETCH, item).outcomes[item.id], Retry)


# Tax.


def test_tax_is_asked_for_lines_with_a_code_and_inclusive_tax_is_inside(counter):
    coded = TaxConfig(code="standard")
    inside = TaxConfig(code="standard", behavior=TaxBehavior.INCLUSIVE)
    lines = (a_line(1, tax_config=coded), a_line(2, tax_config=inside), a_line(3))
    item, plain = counter.invoice_item(1, of_lines(*lines)), counter.invoice_item(2)
    outcomes = counter.run(Capability.CALCULATE_TAX, item, plain).outcomes
    first, second, third = item.invoice.lines
    taxes = outcomes[item.id].result.lines
    assert taxes.keys() == {first.id, second.id}
    assert (taxes[first.id][0].amount, taxes[first.id][0].percentage) == (Decimal("2.07"), Decimal(20))  # of 10.37
    assert taxes[second.id][0].amount == Decimal("3.58")  # in 21.48
    assert outcomes[plain.id] == Done(TaxResult({}))
    assert third.id not in taxes


def test_nothing_is_asked_where_no_line_has_a_code(counter):
    assert counter.run(Capability.CALCULATE_TAX, counter.invoice_item(1)).sent == []


def test_an_unknown_tax_code_is_refused_and_never_means_no_tax(counter):
    item = counter.invoice_item(1, of_lines(a_line(1, tax_config=TaxConfig(code="moon"))))
    outcome = counter.run(Capability.CALCULATE_TAX, item).outcomes[item.id]
    assert (outcome.issues[0].code, outcome.issues[0].path) == ("tax_code_unknown", "/lines/0/tax_code")


# Money.


def test_a_payment_is_taken_for_the_invoice_and_pays_it(counter, sandbox):
    payment = counter.payment_item(counter.issued(1))
    outcome = counter.run(Capability.COLLECT_PAYMENT, payment).outcomes[payment.id]
    (taken,) = sandbox.payments()
    assert outcome == Done(PaymentResult(PaymentStatus.SUCCEEDED, payment.amount, taken.id))
    assert (taken.reference, taken.origin, sandbox.documents()[0].status) == (payment.id, "charged", "paid")


@pytest.mark.parametrize(
    "steered, status",
    [
        ("failed", PaymentStatus.FAILED),
        ("uncollectible", PaymentStatus.UNCOLLECTIBLE),
        ("action_required", PaymentStatus.ACTION_REQUIRED),
    ],
)
def test_metadata_of_an_invoice_steer_its_payment(counter, steered, status):
    payment = counter.payment_item(counter.issued(1, draft=an_invoice(metadata={TARGET: steered})))
    result = counter.run(Capability.COLLECT_PAYMENT, payment).outcomes[payment.id].result
    assert (result.status, result.amount) == (status, Decimal(0))
    assert (result.action_url is not None) == (steered == "action_required")
    assert (result.code is not None) == (steered in {"failed", "uncollectible"})


def test_metadata_steer_the_payment_of_an_invoice_that_lives_elsewhere(counter):
    elsewhere = counter.invoice_item(1, an_invoice(metadata={TARGET: "failed"}))
    payment = counter.payment_item(elsewhere)
    assert counter.run(Capability.COLLECT_PAYMENT, payment).outcomes[payment.id].result.status == "failed"


def test_money_under_way_is_pending_and_a_later_check_shows_it_arrived(counter, clock, sandbox):
    payment = counter.payment_item(counter.issued(1, draft=an_invoice(metadata={TARGET: "processing"})))
    outcome = counter.run(Capability.COLLECT_PAYMENT, payment).outcomes[payment.id]
    assert isinstance(outcome, Pending)
    assert outcome.external_id == sandbox.payments()[0].id
    assert isinstance(counter.run(Capability.CHECK_PAYMENT, payment).outcomes[payment.id], Pending)
    clock.advance(timedelta(seconds=60))
    checked = counter.run(Capability.CHECK_PAYMENT, payment).outcomes[payment.id]
    assert (checked.result.status, checked.result.amount) == (PaymentStatus.SUCCEEDED, payment.amount)


def test_a_payment_that_stands_there_is_read_and_never_charged_again(counter, sandbox):
    payment = counter.payment_item(counter.issued(1))
    first = counter.run(Capability.COLLECT_PAYMENT, payment).outcomes[payment.id]
    for known in ({"external_id": first.result.external_id}, {"leftovers": {"charge": first.result.external_id}}):
        assert counter.run(Capability.COLLECT_PAYMENT, replace(payment, **known)).outcomes == {payment.id: first}
    assert len(sandbox.payments()) == 1


def test_a_check_prefers_the_payment_that_moved_money_to_one_that_failed(counter):
    invoice = counter.issued(1)
    failing = counter.payment_item(counter.invoice_item(2, an_invoice(metadata={TARGET: "failed"})), 500)
    counter.run(Capability.COLLECT_PAYMENT, failing)
    counter.run(Capability.COLLECT_PAYMENT, counter.payment_item(invoice, 500))
    checked = counter.run(Capability.CHECK_PAYMENT, failing).outcomes[failing.id]
    assert checked.result.status is PaymentStatus.SUCCEEDED


def test_a_check_of_a_payment_that_is_not_there_says_so(counter):
    payment = counter.payment_item(counter.issued(1))
    assert counter.run(Capability.CHECK_PAYMENT, payment).outcomes[payment.id].issues[0].code == "payment_not_there"


def test_money_that_came_another_way_is_noted_whatever_its_bank_calls_it(counter, sandbox):
    payment = counter.payment_item(
        counter.issued(1), received_at=datetime(2026, 2, 28, tzinfo=UTC), external_id="bank-77"
    )
    outcome = counter.run(Capability.RECORD_PAYMENT, payment).outcomes[payment.id]
    (noted,) = sandbox.payments()
    assert (noted.origin, noted.received_at, noted.amount) == ("recorded", "2026-02-28T00:00:00+00:00", payment.amount)
    assert outcome.result.external_id == noted.id
    again = replace(payment, leftovers={"record": noted.id})
    assert counter.run(Capability.RECORD_PAYMENT, again).outcomes == {payment.id: outcome}
    assert len(sandbox.payments()) == 1


def test_nothing_is_noted_on_an_invoice_that_is_not_there(counter):
    payment = counter.payment_item(counter.invoice_item(1))
    run = counter.run(Capability.RECORD_PAYMENT, payment)
    assert not run.sent
    assert run.outcomes[payment.id].issues[0].code == "document_not_there"


def test_a_refund_is_made_once_and_read_when_it_stands_there(counter, sandbox):
    payment = counter.payment_item(counter.issued(1))
    paid = counter.run(Capability.COLLECT_PAYMENT, payment).outcomes[payment.id].result
    item = counter.refund_item(paid.external_id)
    outcome = counter.run(Capability.REFUND, item).outcomes[item.id]
    assert (outcome.result.status, outcome.result.amount) == (RefundStatus.SUCCEEDED, Decimal("1.00"))
    known = replace(item, external_id=outcome.result.external_id)
    assert counter.run(Capability.REFUND, known).outcomes == {item.id: outcome}
    lost = replace(item, external_id="ref_999999")
    assert counter.run(Capability.REFUND, lost).outcomes[item.id].issues[0].code == "refund_not_there"
    assert len(sandbox.refunds()) == 1


def test_more_than_was_paid_is_not_given_back(counter):
    payment = counter.payment_item(counter.issued(1))
    paid = counter.run(Capability.COLLECT_PAYMENT, payment).outcomes[payment.id].result
    item = counter.refund_item(paid.external_id, amount="99999.00")
    assert counter.run(Capability.REFUND, item).outcomes[item.id].issues[0].code == "refund_exceeds_payment"


def test_the_connection_shows_the_account(counter):
    item = ConnectionItem(an_id(1))
    outcome = counter.run(Capability.CHECK_CONNECTION, item).outcomes[item.id]
    assert outcome == Done(ConnectionResult((Account("acct_sandbox", "Sandbox"),)))
