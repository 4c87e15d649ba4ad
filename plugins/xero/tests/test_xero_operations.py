from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from xero_kit import XeroDesk

from billhook.contract import Capability, ConnectionItem, Done, PaymentStatus, Rejected, Retry
from billhook.domain.exchange import ExchangeRate
from billhook.domain.tax import TaxConfig, TaxRate
from billhook.testing.builders import a_customer, a_line, an_invoice
from billhook_xero.config import NameClash
from billhook_xero.simulator import simulator
from billhook_xero.simulator.rules import Org, XeroRules

VAT = TaxConfig(rates=(TaxRate(name="VAT", percentage=Decimal(20)),))


def test_customers_are_created_in_one_request_and_changed_in_one(desk):
    items = [desk.customer_item(1), desk.customer_item(2)]
    run = desk.run(Capability.SYNC_CUSTOMER, *items)
    assert [(request.step, request.method) for request in run.sent] == [("names.1", "GET"), ("contacts", "PUT")]
    known = [replace(item, external_id=run.outcomes[item.id].result.external_id) for item in items]
    renamed = replace(known[0], customer=a_customer(id=items[0].id, name="Renamed Ltd"))
    again = desk.run(Capability.SYNC_CUSTOMER, renamed, known[1])
    assert again.sent[-1].method == "POST"
    assert [each.name for each in desk.xero.customers()] == ["Renamed Ltd", "Customer 2"]


def test_two_customers_of_one_name_are_told_apart_by_their_keys(desk):
    first, second = (
        replace(desk.customer_item(number), customer=a_customer(id=desk.customer_item(number).id, name="Jane Doe", key=f"j{number}"))
        for number in (1, 2)
    )  # fmt: skip
    desk.run(Capability.SYNC_CUSTOMER, first, second)
    third = replace(desk.customer_item(3), customer=a_customer(id=desk.customer_item(3).id, name="jane doe", key="j3"))
    desk.run(Capability.SYNC_CUSTOMER, third)
    assert [each.name for each in desk.xero.customers()] == ["Jane Doe", "Jane Doe (j2)", "jane doe (j3)"]


def test_what_people_know_a_customer_as_tells_him_apart_where_his_metadata_say(desk):
    first, second = (called(desk, number, key=f"j{number}") for number in (1, 2))
    desk.run(Capability.SYNC_CUSTOMER, first, replace(second, metadata={"known_as": "Leeds"}))
    assert [each.name for each in desk.xero.customers()] == ["Jane Doe", "Jane Doe (Leeds)"]


def test_a_contact_that_has_even_that_name_is_left_as_it_is(desk):
    first, by_hand = called(desk, 1), called(desk, 2, name="Jane Doe (Leeds)")
    desk.run(Capability.SYNC_CUSTOMER, first, by_hand)
    known = replace(first, external_id=desk.xero.customers()[0].id)
    another = replace(called(desk, 3), metadata={"known_as": "Leeds"})
    run = desk.run(
        Capability.SYNC_CUSTOMER, known, another
    )  # one is changed, so that Xero changes what has the same name
    assert [request.step for request in run.sent] == ["names.1", "names.2", "contacts"]
    assert [(each.name, each.reference) for each in desk.xero.customers()] == [
        ("Jane Doe", first.id), ("Jane Doe (Leeds)", by_hand.id), (f"Jane Doe ({another.id})", another.id),
    ]  # fmt: skip


def test_a_customer_who_stands_there_under_such_a_name_keeps_it(desk):
    first, second = called(desk, 1), replace(called(desk, 2), metadata={"known_as": "Leeds"})
    for _ in range(2):
        desk.run(Capability.SYNC_CUSTOMER, first, second)
    assert [each.name for each in desk.xero.customers()] == ["Jane Doe", "Jane Doe (Leeds)"]


def test_however_long_a_key_is_the_name_fits(desk):
    first, second = called(desk, 1, name="J" * 255), called(desk, 2, name="J" * 255, key="k" * 250)
    desk.run(Capability.SYNC_CUSTOMER, first, second)
    assert [each.name for each in desk.xero.customers()] == ["J" * 255, "J" * 202 + f" ({'k' * 50})"]


def called(desk, number, name="Jane Doe", **facts):
    item = desk.customer_item(number)
    return replace(item, customer=a_customer(id=item.id, name=name, **facts))


@pytest.mark.parametrize("clash, names", [("adopt", ["Jane Doe"]), ("refuse", ["Jane Doe"])])
def test_a_contact_that_is_there_already_is_adopted_or_left_alone(desk, clash, names):
    desk.settings = desk.settings.model_copy(update={"name_clash": NameClash(clash)})
    by_hand = replace(desk.customer_item(9), customer=a_customer(id=desk.customer_item(9).id, name="Jane Doe"))
    desk.run(Capability.SYNC_CUSTOMER, by_hand)
    with desk.xero.ledger.transaction() as tx:
        tx.execute("UPDATE things SET reference = NULL, content = replace(content, 'ContactNumber', 'AccountNumber')")
    item = replace(desk.customer_item(1), customer=a_customer(id=desk.customer_item(1).id, name="Jane Doe"))
    outcome = desk.run(Capability.SYNC_CUSTOMER, item).outcomes[item.id]
    assert isinstance(outcome, Done if clash == "adopt" else Rejected)
    assert [each.name for each in desk.xero.customers()] == names


def test_a_name_with_a_quotation_mark_is_judged_by_xero(desk):
    item = replace(desk.customer_item(1), customer=a_customer(id=desk.customer_item(1).id, name='The "Best" Co'))
    run = desk.run(Capability.SYNC_CUSTOMER, item)
    assert [request.step for request in run.sent] == ["contacts"]
    assert isinstance(run.outcomes[item.id], Done)


def test_a_draft_is_numbered_by_our_id_until_it_is_issued(desk):
    item = desk.drafted(1)
    (draft,) = desk.xero.documents()
    assert (draft.number, draft.reference, draft.status) == (item.id, item.id, "DRAFT")
    result = desk.run(Capability.ISSUE, item).outcomes[item.id].result
    (issued,) = desk.xero.documents()
    assert (issued.number, issued.status, result.number) == ("INV-1", "AUTHORISED", "INV-1")
    assert result.totals.total == issued.total == item.invoice.total
    assert result.totals.line_totals == {line.id: line.totals.total for line in item.invoice.lines}


def test_one_refused_item_leaves_the_others_of_its_batch_alone(desk):
    good, bad = desk.invoice_item(1), desk.invoice_item(2)
    bad = replace(bad, lines=tuple(replace(line, account="999") for line in bad.lines))
    outcomes = desk.run(Capability.SYNC_DRAFT, bad, good).outcomes
    assert isinstance(outcomes[good.id], Done)
    assert outcomes[bad.id].issues[0].code == "account_unknown"
    assert len(desk.xero.documents()) == 1


def test_a_number_that_is_taken_is_refused_with_the_way_out(desk):
    first, second = desk.issued(1), desk.drafted(2)
    outcome = desk.run(Capability.ISSUE, replace(second, number=first.number)).outcomes[second.id]
    assert (outcome.issues[0].code, outcome.issues[0].path) == ("number_taken", "/number")


def test_what_somebody_approved_under_another_number_is_not_taken_for_ours(desk):
    item = desk.drafted(1)
    batch = desk.batch(item)
    request = desk.effect(Capability.ISSUE, batch)
    desk.run(Capability.ISSUE, replace(item, number="BY-HAND-1"))
    outcome = desk.settle_found(Capability.ISSUE, batch, "approve", desk.look_up(request))[item.id]
    assert (outcome.issues[0].code, outcome.external_id) == ("number_differs", item.external_id)


def test_an_invoice_over_nothing_is_issued_and_paid_at_once(desk):
    free = an_invoice(currency="GBP", lines=1)
    free = free.model_copy(
        update={"lines": (a_line(1, "GBP", discounts=({"type": "percentage", "percentage": "100"},)),)}
    )
    item = desk.drafted(1, draft=free)
    assert isinstance(desk.run(Capability.ISSUE, item).outcomes[item.id], Done)
    assert desk.xero.documents()[0].status == "PAID"


def test_an_invoice_without_a_draft_is_refused_and_the_others_go_on(desk):
    here, gone = desk.drafted(1), desk.invoice_item(2)
    outcomes = desk.run(Capability.ISSUE, here, gone).outcomes
    assert isinstance(outcomes[here.id], Done)
    assert outcomes[gone.id].issues[0].code == "document_not_there"


def test_an_issued_invoice_is_mailed_once_and_one_without_an_address_says_so(desk):
    item = desk.issued(1)
    assert desk.run(Capability.SEND, item).outcomes[item.id].result.sent_at == desk.clock.now()
    with desk.xero.ledger.transaction() as tx:
        tx.execute("UPDATE things SET content = replace(content, 'EmailAddress', 'TaxNumber') WHERE kind = 'contact'")
    outcome = desk.run(Capability.SEND, item).outcomes[item.id]
    assert outcome.issues[0].code == "customer_email_missing"
    assert desk.xero.documents()[0].sent_count == 1


def test_voiding_and_deleting_twice_is_done_both_times(desk):
    issued, draft = desk.issued(1), desk.drafted(2)
    for _ in range(2):
        assert desk.run(Capability.VOID, issued).outcomes[issued.id].result.external_id == issued.external_id
        assert desk.run(Capability.DELETE, draft).outcomes[draft.id].result.external_id == draft.external_id
    assert [each.status for each in desk.xero.documents()] == ["VOIDED", "DELETED"]


def test_a_paid_invoice_is_not_voided(desk):
    item = desk.issued(1)
    desk.run(Capability.RECORD_PAYMENT, desk.payment_item(item))
    assert desk.run(Capability.VOID, item).outcomes[item.id].issues[0].code == "document_state"


def test_what_never_stood_there_needs_no_request_to_be_removed(desk):
    item = desk.invoice_item(1)
    before = len(desk.xero.calls())
    assert isinstance(desk.run(Capability.VOID, item).outcomes[item.id], Done)
    assert len(desk.xero.calls()) == before


def test_payments_are_recorded_in_parts_and_not_beyond_what_is_due(desk):
    item = desk.issued(1)
    part = desk.payment_item(item, 500, amount=Decimal("10.00"), received_at=datetime(2026, 2, 28, 23, 30, tzinfo=UTC))
    result = desk.run(Capability.RECORD_PAYMENT, part).outcomes[part.id].result
    assert (result.status, result.amount) == (PaymentStatus.SUCCEEDED, Decimal("10.00"))
    too_much = desk.payment_item(item, 501)
    assert desk.run(Capability.RECORD_PAYMENT, too_much).outcomes[too_much.id].issues[0].code == "amount_exceeds_due"
    rest = desk.payment_item(item, 502, amount=item.invoice.total - 10)
    desk.run(Capability.RECORD_PAYMENT, rest)
    assert desk.xero.documents()[0].status == "PAID"


def test_a_payment_goes_to_the_account_of_its_method_and_without_one_is_refused(desk):
    desk.settings = desk.settings.model_copy(update={"payment_account": None, "payment_accounts": {"card": "880"}})
    item = desk.issued(1)
    by_card, other = desk.payment_item(item, 500, method="card"), desk.payment_item(item, 501)
    outcomes = desk.run(Capability.RECORD_PAYMENT, by_card, other).outcomes
    assert desk.xero.payments()[0].account == "880"
    assert outcomes[other.id].issues[0].code == "payment_account_missing"


def test_a_credit_note_is_put_against_what_is_due_and_the_rest_stays(desk):
    item = desk.issued(1, draft=an_invoice(lines=1, currency="GBP"))
    due = item.invoice.total - 4
    desk.run(Capability.RECORD_PAYMENT, desk.payment_item(item, amount=due))
    credit = desk.credit_item(50, applies_to=item.external_id)
    run = desk.run(Capability.CREDIT, credit)
    assert [request.step for request in run.sent] == ["credit_note", "invoice", "allocation"]
    invoice, note = desk.xero.documents()
    assert (invoice.status, note.status, note.amount_due) == ("PAID", "AUTHORISED", credit.credit_note.total - 4)
    assert run.outcomes[credit.id].result.number == "CN-50"


def test_a_credit_note_that_stands_alone_is_the_customers_credit(desk):
    credit = desk.credit_item(50)
    run = desk.run(Capability.CREDIT, credit)
    assert [request.step for request in run.sent] == ["credit_note"]
    assert desk.xero.totals() == {"GBP": -credit.credit_note.total}


def test_discounts_of_a_credit_note_are_taken_off_beforehand(desk):
    line = a_line(2, "GBP", discounts=({"type": "percentage", "percentage": "12.5"},))
    credit = desk.credit_item(50, an_invoice(currency="GBP", lines=1).model_copy(update={"lines": (line,)}))
    assert isinstance(desk.run(Capability.CREDIT, credit).outcomes[credit.id], Done)
    assert desk.xero.documents()[0].total == credit.credit_note.total


def test_a_snapshot_tells_what_is_paid_and_what_is_not_there(desk):
    item, gone = desk.issued(1), desk.invoice_item(2)
    desk.run(Capability.RECORD_PAYMENT, desk.payment_item(item, amount=Decimal("10.00")))
    outcomes = desk.run(Capability.FETCH, item, gone).outcomes
    held = outcomes[item.id].result
    assert (held.status, held.amount_paid, held.totals.total) == ("AUTHORISED", Decimal("10.00"), item.invoice.total)
    assert outcomes[gone.id].result.found is False


def test_what_a_page_that_goes_on_does_not_show_is_asked_for_again(desk):
    item = desk.issued(1)
    desk.xero.fault("partial_page")
    assert isinstance(desk.run(Capability.FETCH, item).outcome, Retry)
    assert desk.run(Capability.FETCH, item).outcome.result.number == item.number


def test_an_invoice_that_is_void_already_is_not_refused_because_a_page_goes_on(desk):
    item = desk.issued(1)
    desk.run(Capability.VOID, item)
    desk.xero.fault("partial_page", matching="GET")
    assert isinstance(desk.run(Capability.VOID, item).outcome, Retry)
    assert isinstance(desk.run(Capability.VOID, item).outcome, Done)


def test_no_contact_is_written_while_it_is_unknown_who_has_the_name(desk):
    other = desk.run(Capability.SYNC_CUSTOMER, desk.customer_item(1)).outcome.result.external_id
    namesake = replace(desk.customer_item(2), customer=desk.customer_item(1).customer)
    desk.xero.fault("partial_page")
    assert isinstance(desk.run(Capability.SYNC_CUSTOMER, namesake).outcome, Retry)
    assert [customer.id for customer in desk.xero.customers()] == [other]


def test_tracking_tax_and_rate_reach_the_books(desk):
    rate = ExchangeRate(from_currency="EUR", to_currency="GBP", rate=Decimal("0.8"))
    draft = an_invoice(lines=1, currency="EUR").model_copy(update={"exchange_rate": rate})
    draft = draft.model_copy(update={"lines": (a_line(1, "EUR", tax_config=VAT),)})
    item = desk.invoice_item(1, draft)
    item = replace(item, lines=tuple(replace(line, tracking=(("Team", "Sales"),)) for line in item.lines))
    assert isinstance(desk.run(Capability.SYNC_DRAFT, item).outcomes[item.id], Done)
    (kept,) = desk.xero.ledger.all(desk.settings.account, "invoice")
    assert kept["CurrencyRate"] == Decimal("1.250000")
    assert kept["LineItems"][0]["Tracking"] == [{"Name": "Team", "Option": "Sales"}]
    assert kept["LineItems"][0]["TaxType"] == "OUTPUT2"
    assert kept["TotalTax"] == item.invoice.totals.taxes_total


def test_the_day_of_a_document_is_the_organisations(desk):
    desk.settings = desk.settings.model_copy(update={"timezone": "Pacific/Auckland"})
    item = desk.invoice_item(1)
    late = replace(item, invoice=replace(item.invoice, issued_at=datetime(2026, 3, 1, 20, tzinfo=UTC)))
    desk.run(Capability.SYNC_DRAFT, late)
    (kept,) = desk.xero.ledger.all(desk.settings.account, "invoice")
    assert kept["DateString"] == "2026-03-02T00:00:00"


def test_the_connection_tells_the_organisation(desk):
    item = ConnectionItem("app")
    (account,) = desk.run(Capability.CHECK_CONNECTION, item).outcomes["app"].result.accounts
    assert account.name == "Demo Company (UK)"


def test_drafts_that_are_too_much_for_one_request_go_with_the_next(desk, monkeypatch):
    monkeypatch.setattr("billhook_xero.requests.MOST_BYTES", 2_000)
    items = [desk.invoice_item(number) for number in range(1, 6)]
    run = desk.run(Capability.SYNC_DRAFT, *items)
    sent, left = items[:2], items[2:]
    assert run.sent[0].items == tuple(item.id for item in sent)
    assert all(isinstance(run.outcomes[item.id], Done) for item in sent)
    assert all(isinstance(run.outcomes[item.id], Retry) for item in left)
    assert len(desk.xero.documents()) == 2


def changed_lines(**changes):
    return lambda item: replace(item, lines=tuple(replace(line, **changes) for line in item.lines))


def on_the_last_closed_day(item):
    return replace(item, invoice=replace(item.invoice, issued_at=datetime(2026, 1, 31, 12, tzinfo=UTC)))


REFUSALS = {
    "account_unknown": changed_lines(account="999"),
    "account_inactive": changed_lines(account="299"),
    "tax_code_unknown": changed_lines(tax_code="OUTPUT9"),
    "tracking_unknown": changed_lines(tracking=(("Team", "Ghosts"),)),
    "refused_by_xero": lambda item: replace(item, customer=replace(item.customer, external_id="nobody")),
    "date_locked": on_the_last_closed_day,
}


@pytest.mark.parametrize("code, spoil", REFUSALS.items(), ids=REFUSALS)
def test_what_xero_refuses_is_told_in_stable_codes(clock, code, spoil):
    books = simulator(clock=clock, rules=XeroRules(organisations=(Org(period_lock_date=date(2026, 1, 31)),)))
    with books.serve() as served:
        desk = XeroDesk(books, served.url, clock)
        item = spoil(desk.invoice_item(1))
        drafted = desk.run(Capability.SYNC_DRAFT, item).outcomes[item.id]
        if isinstance(drafted, Done):
            item = replace(item, external_id=drafted.result.external_id, number="INV-1")
            drafted = desk.run(Capability.ISSUE, item).outcomes[item.id]
        assert drafted.issues[0].code == code
        assert drafted.issues[0].message.startswith("Xero says: ")
        desk.close()
    books.close()


NO_BANK = tuple(replace(account, active=account.code != "090") for account in Org().accounts)
REFUSED_PAYMENTS = {
    "date_locked": (Org(period_lock_date=date(2026, 3, 1)), Decimal(1), "Move the lock date at Xero, or take this note back"),
    "account_unknown": (Org(accounts=NO_BANK), Decimal(1), "billhook apps update APP_ID --set payment_account=CODE"),
    "amount_exceeds_due": (Org(), Decimal(9999), "what is due as a payment of the invoice, the rest as an overpayment"),
}  # fmt: skip


@pytest.mark.parametrize("code, case", REFUSED_PAYMENTS.items(), ids=REFUSED_PAYMENTS)
def test_a_payment_that_xero_refuses_is_told_what_mends_the_payment_and_not_the_invoice(clock, code, case):
    organisation, amount, way_out = case
    books = simulator(clock=clock, rules=XeroRules(organisations=(organisation,)))
    with books.serve() as served:
        desk = XeroDesk(books, served.url, clock)
        invoice = desk.issued(1)
        payment = desk.payment_item(invoice, 501, amount=amount, received_at=datetime(2026, 2, 28, 12, tzinfo=UTC))
        (issue,) = desk.run(Capability.RECORD_PAYMENT, payment).outcomes[payment.id].issues
        assert (issue.code, issue.path, way_out in issue.message) == (code, "", True)
        desk.close()
    books.close()


def test_a_currency_that_the_organisation_does_not_use_is_refused(desk):
    item = desk.invoice_item(1, an_invoice(currency="CHF", lines=1))
    assert desk.run(Capability.SYNC_DRAFT, item).outcomes[item.id].issues[0].code == "currency_not_enabled"


def test_a_payment_that_is_to_be_refused_by_its_invoice_leaves_nothing_behind(desk):
    first, second = desk.issued(1), desk.issued(2)
    desk.xero.refuse(first.external_id)
    items = [desk.payment_item(first, 501), desk.payment_item(second, 502)]
    outcomes = desk.run(Capability.RECORD_PAYMENT, *items).outcomes
    assert [type(outcomes[item.id]) for item in items] == [Rejected, Done]
    assert [payment.reference for payment in desk.xero.payments()] == [items[1].id]


def test_an_invoice_that_is_not_to_be_sent_is_refused_in_xeros_shape(desk):
    invoice = desk.issued()
    desk.xero.refuse(invoice.id)
    outcome = desk.run(Capability.SEND, invoice).outcome
    assert outcome.issues[0].message.startswith(f"Xero says: {invoice.id} is not accepted.")
