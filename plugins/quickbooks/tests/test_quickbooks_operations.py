from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from billhook.contract import Capability, CustomerResult, Done, PaymentStatus, Rejected, RemovalResult, Reply, Retry
from billhook.domain.exchange import ExchangeRate
from billhook.plugins import check_provider
from billhook.testing.builders import a_customer, a_line, an_invoice
from billhook_quickbooks import QuickBooksOwnNumbersProvider, QuickBooksProvider


def of_lines(*lines, **changes):
    return an_invoice(**changes).model_copy(update={"lines": lines})


@pytest.mark.parametrize("provider", [QuickBooksProvider, QuickBooksOwnNumbersProvider])
def test_the_provider_keeps_the_contract(provider):
    assert check_provider(provider) is provider


# Customers.


def test_customers_are_created_and_changed_in_one_call_after_one_look(desk_over_http, company):
    desk = desk_over_http
    ada, bob = desk.customer_item(1, name="Ada"), desk.customer_item(2, name="Bob")
    created = desk.run(Capability.SYNC_CUSTOMER, ada).outcomes[ada.id]
    edited = replace(ada, external_id=created.result.external_id, customer=a_customer(id=ada.id, name="Ada King"))
    run = desk.run(Capability.SYNC_CUSTOMER, edited, bob)
    assert [request.step for request in run.sent] == ["names", "customers"]
    assert run.outcomes[ada.id] == Done(CustomerResult(created.result.external_id))
    assert [(each.reference, each.name) for each in company.customers()] == [(ada.id, "Ada King"), (bob.id, "Bob")]


def test_two_customers_of_one_name_are_told_apart_by_their_keys(desk, company):
    items = [desk.customer_item(number, name="Smith: & Sons") for number in (1, 2, 3)]
    outcomes = desk.run(Capability.SYNC_CUSTOMER, *items).outcomes
    assert all(isinstance(outcome, Done) for outcome in outcomes.values())
    names = [each.name for each in company.customers()]
    assert names == ["Smith & Sons", "Smith & Sons (customer-2)", "Smith & Sons (customer-3)"]


def test_what_people_know_a_customer_as_tells_him_apart_where_his_metadata_say(desk, company):
    first, second = (desk.customer_item(number, name="Smith") for number in (1, 2))
    desk.run(Capability.SYNC_CUSTOMER, first, replace(second, metadata={"known_as": "Leeds"}))
    assert [each.name for each in company.customers()] == ["Smith", "Smith (Leeds)"]


def test_a_vendor_of_that_name_is_no_obstacle(a_company, a_desk):
    company = a_company(others=("customer 1",))
    desk = a_desk(company)
    desk.run(Capability.SYNC_CUSTOMER, desk.customer_item(1))
    assert [each.name for each in company.customers()] == ["Customer 1 (customer-1)"]


def test_a_customer_that_an_unfinished_attempt_left_there_is_not_created_again(desk, company):
    item = desk.customer_item(1)
    desk.run(Capability.SYNC_CUSTOMER, item)
    outcome = desk.run(Capability.SYNC_CUSTOMER, item).outcomes[item.id]
    assert outcome == Done(CustomerResult(company.customers()[0].id))
    assert len(company.customers()) == 1


def test_a_look_for_names_that_is_refused_refuses_everybody_with_the_reason(desk, company):
    items = [desk.customer_item(1), desk.customer_item(2)]
    error = {"Message": "No.", "Detail": "Why.", "code": "120"}
    told = {"BatchItemResponse": [{"bId": "Vendor", "Fault": {"Error": [error], "type": "AuthorizationFault"}}]}
    outcomes = desk.drive(Capability.SYNC_CUSTOMER, desk.batch(*items), {"names": Reply.of(told)}).outcomes
    assert [outcomes[item.id].issues[0].code for item in items] == ["access_denied"] * 2
    assert company.customers() == ()


# Invoices.


def test_thirty_invoices_are_one_call_and_hold_what_we_computed(desk_over_http, company):
    desk = desk_over_http
    items = [desk.invoice_item(number) for number in range(1, 31)]
    run = desk.run(Capability.ISSUE, *items)
    assert len(run.sent) == 1
    for item, document in zip(items, company.documents(), strict=True):
        result = run.outcomes[item.id].result
        assert (document.reference, document.number, document.id) == (item.id, item.number, result.external_id)
        assert document.total == item.invoice.total == result.totals.total
        assert len(result.line_ids) == 3


def test_the_day_of_a_document_and_of_a_payment_is_the_companys(company, a_desk):
    desk = a_desk(company, timezone="America/New_York", closed_until=date(2026, 3, 31))
    month_end = datetime(2026, 4, 1, 3, 30, tzinfo=UTC)  # half past eleven at night there
    item = desk.invoice_item(1)
    item = replace(item, invoice=replace(item.invoice, issued_at=month_end, due_at=month_end))
    (closed,) = desk.handle.validate_invoice(item.invoice, item.lines, desk.settings)
    assert (closed.code, "the invoice is of 2026-03-31" in closed.message) == ("period_closed", True)
    posted = desk.run(Capability.ISSUE, item).outcomes[item.id].result
    (document,) = company.documents()
    assert (document.date, document.due_date) == ("2026-03-31", "2026-03-31")
    payment = desk.payment_item(item, invoice_external_id=posted.external_id, received_at=month_end)
    assert b'"TxnDate":"2026-03-31"' in desk.run(Capability.RECORD_PAYMENT, payment).sent[-1].body


def test_a_time_zone_that_is_none_is_refused_when_it_is_given(company, a_desk):
    with pytest.raises(ValueError, match="is no time zone"):
        a_desk(company, timezone="Mars/Olympus")


def test_an_invoice_has_our_dates_items_and_quantities(desk, company):
    item = desk.invoice_item(1)
    view = replace(
        item.invoice, issued_at=datetime(2026, 3, 1, 23, tzinfo=UTC), due_at=datetime(2026, 3, 31, tzinfo=UTC)
    )
    desk.run(Capability.ISSUE, replace(item, invoice=view))
    (document,) = company.documents()
    assert (document.date, document.due_date) == ("2026-03-01", "2026-03-31")
    assert [(line.item, line.quantity, line.unit_price) for line in document.lines] == [
        ("1", Decimal(1), Decimal("10.37")), ("2", Decimal(2), Decimal("10.74")), ("1", Decimal(3), Decimal("11.11")),
    ]  # fmt: skip


def test_each_item_is_refused_by_itself_and_says_why(desk, company):
    good, taken, stranger = (desk.invoice_item(number) for number in (1, 2, 3))
    desk.issued(9, number="INV-2")
    stranger = replace(stranger, customer=replace(stranger.customer, external_id="999"))
    outcomes = desk.run(Capability.ISSUE, good, taken, stranger).outcomes
    assert isinstance(outcomes[good.id], Done)
    assert [outcomes[item.id].issues[0].code for item in (taken, stranger)] == ["number_taken", "reference_invalid"]
    assert outcomes[taken.id].issues[0].metadata == {"quickbooks_code": "6140"}


def test_a_request_that_is_refused_whole_refuses_every_item(desk):
    items = [desk.invoice_item(number) for number in range(1, 32)]
    outcomes = desk.run(Capability.ISSUE, *items).outcomes
    assert {outcome.issues[0].code for outcome in outcomes.values()} == {"refused"}
    assert len(outcomes) == 31


def test_what_an_earlier_attempt_left_there_is_posted_anew_in_its_place(desk, company):
    old = desk.issued(1)
    edited = desk.invoice_item(1, an_invoice(lines=1), leftovers={"invoices": old.external_id})
    run = desk.run(Capability.ISSUE, edited)
    assert [request.step for request in run.sent] == ["standing", "invoices"]
    (document,) = company.documents()
    assert (document.id, len(document.lines), document.total) == (old.external_id, 1, edited.invoice.total)


def test_a_change_by_hand_meanwhile_is_read_again(desk, company):
    old = desk.issued(1)
    batch = desk.batch(replace(old, leftovers={"invoices": old.external_id}))
    request, before = desk.to_effect(Capability.ISSUE, batch)
    company.do(
        "Invoice", "update", {"Id": old.external_id, "SyncToken": "0", "sparse": True, "CustomerMemo": {"value": "hi"}}
    )
    outcome = desk.drive(Capability.ISSUE, batch, before).outcomes[old.id]
    assert isinstance(outcome, Retry)
    assert request.step == "invoices"


def test_a_company_with_its_own_numbers_tells_them(a_company, a_desk):
    company = a_company(custom_numbers=False)
    desk = a_desk(company, QuickBooksOwnNumbersProvider)
    item = desk.invoice_item(1, number="DRAFT-1")
    outcome = desk.run(Capability.ISSUE, item).outcomes[item.id]
    assert outcome.result.number == company.documents()[0].number == "1001"


def test_another_number_than_ours_is_refused_and_names_what_was_left_there(a_company, a_desk):
    company = a_company(custom_numbers=False)
    desk = a_desk(company)
    item = desk.invoice_item(1)
    outcome = desk.run(Capability.ISSUE, item).outcomes[item.id]
    assert isinstance(outcome, Rejected)
    assert (outcome.issues[0].code, outcome.external_id) == ("number_differs", company.documents()[0].id)


def test_an_invoice_in_another_currency_has_our_rate(a_company, a_desk):
    company = a_company(multicurrency=True)
    desk = a_desk(company, multicurrency=True)
    customer = desk.customer_item(1, currency="USD")
    link = desk.run(Capability.SYNC_CUSTOMER, customer).outcomes[customer.id].result.external_id
    rate = ExchangeRate(from_currency="USD", to_currency="EUR", rate=Decimal("0.9213"))
    item = desk.invoice_item(1, an_invoice(currency="USD", exchange_rate=rate))
    item = replace(item, customer=replace(item.customer, customer_id=customer.id, external_id=link))
    assert isinstance(desk.run(Capability.ISSUE, item).outcomes[item.id], Done)
    document = company.documents()[0]
    assert (document.currency, document.exchange_rate) == ("USD", Decimal("0.9213"))


# Sending and removing.


def test_an_invoice_is_e_mailed_once_to_the_customers_address(desk_over_http, company, clock):
    item = desk_over_http.issued(1)
    outcome = desk_over_http.run(Capability.SEND, item).outcomes[item.id]
    assert outcome.result.sent_at == clock.now()
    assert company.documents()[0].sent_count == 1


def test_a_customer_without_an_address_gets_no_mail(desk):
    item = desk.issued(1)
    unreachable = item.invoice.customer.model_copy(update={"email": None})
    nobody = item.invoice.content.model_copy(update={"customer": unreachable})
    outcome = desk.run(Capability.SEND, replace(item, invoice=replace(item.invoice, content=nobody))).outcomes[item.id]
    assert outcome.issues[0].code == "customer_email_missing"


@pytest.mark.parametrize("capability, status", [(Capability.VOID, "void"), (Capability.DELETE, "deleted")])
def test_an_invoice_is_removed_and_removing_it_again_changes_nothing(desk_over_http, company, capability, status):
    item = desk_over_http.issued(1)
    for _ in range(2):
        assert desk_over_http.run(capability, item).outcomes[item.id] == Done(RemovalResult(item.external_id))
    document = company.documents()[0]
    assert (document.status, document.number) == (status, "INV-1")


@pytest.mark.parametrize("capability", [Capability.VOID, Capability.DELETE])
def test_what_never_stood_there_needs_no_removing(desk, capability):
    item = desk.invoice_item(1)
    run = desk.run(capability, item)
    assert (run.outcomes[item.id], run.sent) == (Done(RemovalResult()), [])


@pytest.mark.parametrize("capability", [Capability.SEND, Capability.VOID])
def test_a_closed_period_or_a_missing_invoice_is_told(a_company, a_desk, capability):
    company = a_company()
    desk = a_desk(company)
    item = desk.issued(1)
    company.do("Invoice", "delete", {"Id": item.external_id, "SyncToken": "0"})
    outcome = desk.run(capability, item).outcomes[item.id]
    assert isinstance(outcome, Rejected if capability is Capability.SEND else Done)


def test_books_that_were_closed_meanwhile_refuse(a_company, a_desk):
    company = a_company(closed_until=date(2026, 3, 2))
    desk = a_desk(company)
    item = desk.invoice_item(1)
    assert desk.run(Capability.ISSUE, item).outcomes[item.id].issues[0].code == "period_closed"


# Credit memos.


def test_a_credit_memo_is_put_against_its_invoice(desk_over_http, company):
    invoice = desk_over_http.issued(1)
    item = desk_over_http.credit_item(50, applies_to=invoice.external_id)
    run = desk_over_http.run(Capability.CREDIT, item)
    assert [request.step for request in run.sent] == ["credit_memo", "invoice", "apply"]
    billed, credit = company.documents()
    assert run.outcomes[item.id].result.number == credit.number == "CN-50"
    assert billed.open_amount == invoice.invoice.total - item.credit_note.total
    assert credit.open_amount == 0


def test_a_credit_memo_on_a_paid_invoice_stays_with_the_customer(desk, company):
    invoice = desk.issued(1)
    desk.run(Capability.RECORD_PAYMENT, desk.payment_item(invoice))
    item = desk.credit_item(50, applies_to=invoice.external_id)
    run = desk.run(Capability.CREDIT, item)
    assert [request.step for request in run.sent] == ["credit_memo", "invoice"]
    assert isinstance(run.outcomes[item.id], Done)
    assert company.documents()[1].open_amount == item.credit_note.total


def test_a_credit_memo_alone_is_one_call(desk):
    item = desk.credit_item(50)
    assert len(desk.run(Capability.CREDIT, item).sent) == 1


def test_a_credit_memo_that_was_left_there_is_gone_on_with(desk, company):
    invoice = desk.issued(1)
    first = desk.credit_item(50)
    memo = desk.run(Capability.CREDIT, first).outcomes[first.id].result.external_id
    again = replace(first, applies_to=invoice.external_id, leftovers={"credit_memo": memo})
    assert isinstance(desk.run(Capability.CREDIT, again).outcomes[again.id], Done)
    assert [each.kind for each in company.documents()] == ["invoice", "credit_note"]
    assert company.documents()[1].open_amount == 0


# Money.


def test_payments_are_recorded_on_their_invoices_in_one_call(desk_over_http, company):
    one, two = desk_over_http.issued(1), desk_over_http.issued(2)
    payments = [
        desk_over_http.payment_item(one, 501, external_id="pi_3LkQ" + "x" * 30),
        desk_over_http.payment_item(two, 502),
    ]
    run = desk_over_http.run(Capability.RECORD_PAYMENT, *payments)
    assert [request.step for request in run.sent] == ["standing", "payments"]
    for item, payment in zip(payments, company.payments(), strict=True):
        result = run.outcomes[item.id].result
        assert (result.status, result.amount, result.external_id) == (PaymentStatus.SUCCEEDED, item.amount, payment.id)
    assert [each.status for each in company.documents()] == ["paid", "paid"]


def test_money_beyond_what_is_open_stays_unapplied(desk, company):
    invoice = desk.issued(1)
    part = desk.payment_item(invoice, 501, amount=Decimal("60.00"))
    rest = desk.payment_item(invoice, 502, amount=Decimal("60.00"))
    outcomes = desk.run(Capability.RECORD_PAYMENT, part, rest).outcomes
    assert all(isinstance(outcome, Done) for outcome in outcomes.values())
    applied = [dict(each.applied).get(invoice.external_id) for each in company.payments()]
    assert applied == [Decimal("60.00"), invoice.invoice.total - 60]
    assert [outcomes[item.id].result.on_account for item in (part, rest)] == [0, 120 - invoice.invoice.total]


def test_a_payment_of_an_invoice_that_is_not_there_is_refused_and_the_other_recorded(desk):
    there, missing = desk.issued(1), desk.invoice_item(2)
    good, bad = desk.payment_item(there, 501), desk.payment_item(missing, 502)
    outcomes = desk.run(Capability.RECORD_PAYMENT, good, bad).outcomes
    assert isinstance(outcomes[good.id], Done)
    assert outcomes[bad.id].issues[0].code == "document_not_there"


def test_a_payment_that_was_recorded_already_is_not_recorded_again(desk, company):
    invoice = desk.issued(1)
    item = desk.payment_item(invoice, amount=invoice.invoice.total + 5)
    made = desk.run(Capability.RECORD_PAYMENT, item).outcomes[item.id]
    known = replace(item, leftovers={"payments": made.result.external_id})
    again = desk.run(Capability.RECORD_PAYMENT, known)
    assert (again.outcomes[item.id], made.result.on_account, len(company.payments())) == (made, 5, 1)
    company.do("Payment", "delete", {"Id": made.result.external_id, "SyncToken": "0"})
    gone = desk.run(Capability.RECORD_PAYMENT, known)
    assert (gone.outcomes[item.id].result.external_id, company.payments()) == (made.result.external_id, ())


def test_an_invoice_that_is_gone_there_takes_no_payment_and_is_not_to_be_issued_again(desk, company):
    gone = desk.issued(1)
    company.do("Invoice", "delete", {"Id": gone.external_id, "SyncToken": "0"})
    payment = desk.payment_item(gone, amount=Decimal("5.00"))
    (issue,) = desk.run(Capability.RECORD_PAYMENT, payment).outcomes[payment.id].issues
    assert (issue.code, "Enter it there as a payment" in issue.message) == ("document_not_there", True)


# Reading back.


def test_fetch_tells_what_stands_there_and_the_money_that_came(desk_over_http, company):
    desk = desk_over_http
    paid, credited, gone = desk.issued(1), desk.issued(2), desk.issued(3)
    desk.run(Capability.RECORD_PAYMENT, desk.payment_item(paid, amount=Decimal("5.00")))
    desk.run(Capability.CREDIT, desk.credit_item(50, applies_to=credited.external_id))
    company.do("Invoice", "delete", {"Id": gone.external_id, "SyncToken": "0"})
    never = desk.invoice_item(4)
    outcomes = desk.run(Capability.FETCH, paid, credited, gone, never).outcomes
    snapshots = [outcomes[item.id].result for item in (paid, credited, gone, never)]
    assert [each.found for each in snapshots] == [True, True, False, False]
    assert [each.amount_paid for each in snapshots[:2]] == [Decimal("5.00"), Decimal(0)]
    assert [each.status for each in snapshots[:2]] == ["partly_paid", "partly_paid"]
    assert snapshots[0].totals.total == paid.invoice.total


def test_fetch_sees_that_somebody_made_it_void(desk, company):
    item = desk.issued(1)
    company.do("Invoice", "void", {"Id": item.external_id, "SyncToken": "0"})
    assert desk.run(Capability.FETCH, item).outcomes[item.id].result.status == "voided"


def test_a_number_of_twenty_digits_arrives_digit_for_digit(desk, company):
    price = Decimal("12345678901234.5678")
    line = a_line(1, quantity=Decimal(100), price={"type": "unit", "amount": str(price)})
    item = desk.invoice_item(1, of_lines(line))
    assert isinstance(desk.run(Capability.ISSUE, item).outcomes[item.id], Done)
    assert company.documents()[0].lines[0].unit_price == price
