"""Prepayments and overpayments that an office puts against invoices, over a real socket: money, which Xero counts among what is credited."""

from __future__ import annotations

from decimal import Decimal

import pytest
from xero_office import enter, make_note, put_against, receive_on_account, shown, take_off

from billhook.contract import Capability, Receipt, Reply
from billhook.testing.crash import work_until_quiet

NOTHING = Decimal(0)
KINDS = ("Prepayment", "Overpayment")


def put(desk, item, amount, kind="Prepayment"):
    """Of money on account of the customer, that much is put against the invoice. Returns where the money stands, and where the part does."""
    credit = receive_on_account(desk.xero, shown(desk.xero, item.external_id)["Contact"]["ContactID"], amount, kind)
    return credit, put_against(desk.xero, credit, item.external_id, amount)


def looked_at(desk, *items):
    outcomes = desk.run(Capability.FETCH, *items).outcomes
    return [outcomes[item.id].result for item in items]


def credit(office, id, amount, **more):
    """A credit note of ours on the invoice."""
    note = {"type": "credit_note", "customer_key": "ada", "currency": "GBP", "credited_invoice_id": id}
    line = {"name": "Scratched", "price": {"type": "flat", "amount": amount}}
    office.ns.credit_notes.submit({**note, "lines": [line], **more})
    work_until_quiet(office.engine, office.clock)


# What a look tells.


@pytest.mark.parametrize("kind", KINDS)
def test_money_on_account_that_is_put_against_invoices_is_money_of_each(desk, kind):
    first, second, other = (desk.issued(number) for number in (1, 2, 3))
    credit = receive_on_account(desk.xero, shown(desk.xero, first.external_id)["Contact"]["ContactID"], "100.00", kind)
    put_against(desk.xero, credit, first.external_id, "3.00")
    put_against(desk.xero, credit, first.external_id, "1.50")
    put_against(desk.xero, credit, second.external_id, "5.00")
    told = looked_at(desk, first, second, other)
    assert [each.amount_paid for each in told] == [Decimal("4.50"), Decimal("5.00"), NOTHING]
    assert [each.receipts for each in told] == [(), (), ()], "what is put against one invoice has no id of its own"


def test_payments_beside_it_keep_their_ids_and_credit_notes_beside_it_are_no_money(desk):
    item = desk.issued(1)
    contact = shown(desk.xero, item.external_id)["Contact"]["ContactID"]
    put(desk, item, "6.00")
    put(desk, item, "2.00", "Overpayment")
    paid = enter(desk.xero, item.external_id, "3.00")
    ours = desk.credit_item(50, applies_to=item.external_id)
    desk.run(Capability.CREDIT, ours)
    put_against(desk.xero, make_note(desk.xero, contact, "1.00"), item.external_id, "1.00")
    (told,) = looked_at(desk, item)
    assert (told.amount_paid, told.receipts) == (Decimal("11.00"), (Receipt(paid, Decimal("3.00")),))


def test_what_is_taken_off_an_invoice_again_is_told_no_more(desk):
    item = desk.issued(1)
    _, part = put(desk, item, "6.00")
    put(desk, item, "2.00")
    take_off(desk.xero, part)
    (told,) = looked_at(desk, item)
    assert told.amount_paid == Decimal("2.00")


def test_what_an_answer_leaves_out_of_it_is_not_counted(desk):
    item = desk.issued(1)
    held = {
        "InvoiceID": item.external_id,
        "Status": "AUTHORISED",
        "AmountPaid": 1.1,
        "AmountCredited": 10.2,
        "CreditNotes": [{"CreditNoteID": "n", "AppliedAmount": 4.0}],
        "Prepayments": [{"PrepaymentID": "p", "AppliedAmount": 2.1}, {"PrepaymentID": "p", "AppliedAmount": 4.1}],
        "Overpayments": [{"OverpaymentID": "o", "Total": 3.0}],
    }

    def amount_paid(**changes):
        told = {name: value for name, value in {**held, **changes}.items() if value is not None}
        look = desk.drive(Capability.FETCH, desk.batch(item), {"invoices": Reply.of({"Invoices": [told]})})
        return look.outcome.result.amount_paid

    assert amount_paid() == Decimal("7.3")
    assert amount_paid(Prepayments=None, Overpayments=None) == Decimal("1.1")
    assert amount_paid(AmountPaid=None) is None


# What the books do.


@pytest.mark.parametrize("kind", KINDS)
def test_the_books_show_on_both_what_is_put_against_an_invoice(desk, kind):
    item = desk.issued(1)
    contact = shown(desk.xero, item.external_id)["Contact"]["ContactID"]
    credit = receive_on_account(desk.xero, contact, "8.00", kind)
    part = put_against(desk.xero, credit, item.external_id, "5.00")

    def stands(id):
        invoice = shown(desk.xero, item.external_id)
        (listed,) = desk.xero.do("GET", "/Invoices")["Invoices"]
        ((money,),) = desk.xero.do("GET", credit).values()
        assert listed[f"{kind}s"] == invoice[f"{kind}s"]
        applied = [(each[f"{kind}ID"], each["Total"], each["AppliedAmount"]) for each in invoice[f"{kind}s"]]
        sums = [invoice["AmountPaid"], invoice["AmountCredited"], item.invoice.total - invoice["AmountDue"]]
        left = [money["RemainingCredit"], money["Status"], len(money["Allocations"])]
        return applied, sums, left

    id = credit.rpartition("/")[2]
    five, eight = Decimal("5.00"), Decimal("8.00")
    assert stands(id) == ([(id, eight, five)], [NOTHING, five, five], [Decimal("3.00"), "AUTHORISED", 1])
    take_off(desk.xero, part)
    assert stands(id) == ([], [NOTHING, NOTHING, NOTHING], [eight, "AUTHORISED", 0])
    put_against(desk.xero, credit, item.external_id, "8.00")
    assert stands(id) == ([(id, eight, eight)], [NOTHING, eight, eight], [NOTHING, "PAID", 1])


def test_the_books_put_no_more_of_it_against_an_invoice_than_there_is_or_is_due(desk):
    item = desk.issued(1)
    invoice = shown(desk.xero, item.external_id)
    due = invoice["AmountDue"]
    for received, amount, what in ((2, Decimal("2.01"), "prepayment"), (due + 1, due + 1, "invoice")):
        credit = receive_on_account(desk.xero, invoice["Contact"]["ContactID"], received)
        told = {"Invoice": {"InvoiceID": item.external_id}, "Amount": amount}
        (refused,) = desk.xero.do("PUT", f"{credit}/Allocations", {"Allocations": [told]})["Elements"]
        assert refused["ValidationErrors"][0]["Message"] == f"The amount exceeds the amount outstanding on the {what}"
    assert shown(desk.xero, item.external_id)["AmountDue"] == due


# What becomes of it here.


@pytest.mark.parametrize("kind", KINDS)
def test_an_invoice_that_is_paid_out_of_money_on_account_is_paid_here(office, kind):
    first, second = office.bill(2)
    credit = office.receive_on_account("16.00", kind)
    office.put_against(credit, first, "10.00")
    office.put_against(credit, second, "6.00")
    office.hear()
    for _ in range(2):
        assert [office.ns.invoices.get(id).status for id in (first, second)] == ["paid", "payment_processing.pending"]
        assert office.money(first) == [("outside", None, Decimal(10))]
        assert office.money(second) == [("outside", None, Decimal(6))]
        office.look_again(first)
        office.look_again(second)
    assert office.xero.payments() == (), "what was seen there is not noted there"


def test_payments_and_money_on_account_count_once_in_whatever_order_they_are_seen(office):
    seen_at_once, one_by_one = office.bill(2)
    credit = office.receive_on_account("20.00")
    for id in (seen_at_once, one_by_one):
        for amount, is_entered in (("4.00", False), ("4.00", True), ("2.00", False)):
            if is_entered:
                office.enter(id, amount)
            else:
                office.put_against(credit, id, amount)
            if id == one_by_one:
                office.hear()
                office.look_again(id)
        office.hear()
        office.look_again(id)
        assert office.known(id) == (Decimal(10), [])
        assert office.ns.invoices.get(id).status == "paid"


def test_a_payment_that_is_refused_because_the_same_money_is_put_against_the_invoice_counts_once(office):
    (id,) = office.bill()
    office.put_against(office.receive_on_account("10.00"), id, "10.00")
    office.ns.invoices.record_payment(id, "10.00", key="statement/4")
    work_until_quiet(office.engine, office.clock)
    assert office.known(id) == (Decimal(10), ["document_state"])
    office.hear()
    assert office.known(id) == (Decimal(10), [])
    assert office.money(id) == [("recorded", None, Decimal(10))]


def test_what_is_taken_off_again_is_missed_until_it_is_put_back_or_taken_back_here(office):
    (id,) = office.bill()
    credit = office.receive_on_account("6.00")
    part = office.put_against(credit, id, "6.00")
    office.hear()
    take_off(office.xero, part)
    office.hear()
    assert office.known(id) == (Decimal(6), ["less_in_books"])
    part = office.put_against(credit, id, "6.00")
    office.hear()
    assert office.known(id) == (Decimal(6), [])
    take_off(office.xero, part)
    office.hear()
    (payment,) = office.ns.invoices.get(id).payments
    office.ns.invoices.take_back_payment(id, payment.id, reason="it is put against another invoice")
    work_until_quiet(office.engine, office.clock)
    assert office.known(id) == (NOTHING, [])


def test_our_credit_note_leaves_the_money_on_account_as_it_is(office):
    (id,) = office.bill()
    office.put_against(office.receive_on_account("6.00"), id, "6.00")
    office.hear()
    credit(office, id, "4.00")
    office.look_again(id)
    view = office.ns.invoices.get(id).invoice
    assert (view.amount_paid, view.amount_credited, view.amount_due) == (Decimal(6), Decimal(4), NOTHING)
    assert office.known(id) == (Decimal(6), [])
    there = shown(office.xero, office.there(id))
    assert (there["AmountPaid"], there["AmountCredited"], there["Status"]) == (NOTHING, Decimal(10), "PAID")


def test_a_credit_note_of_the_office_is_no_money_and_a_person_is_told(office):
    (id,) = office.bill()
    (ada,) = office.xero.customers()
    part = office.put_against(make_note(office.xero, ada.id, "4.00"), id, "4.00")
    office.hear()
    office.wait(minutes=15)
    assert office.known(id) == (NOTHING, ["less_due_in_books"])
    take_off(office.xero, part)
    office.hear()
    assert office.known(id) == (NOTHING, [])


def test_a_credit_note_of_the_office_counts_once_it_is_noted_and_is_not_made_again(office):
    (id,) = office.bill()
    (ada,) = office.xero.customers()
    place = make_note(office.xero, ada.id, "4.00")
    office.put_against(place, id, "4.00")
    office.hear()
    office.wait(minutes=15)
    credit(office, id, "4.00", number="CN-0001", external_id=place.rpartition("/")[2])
    office.look_again(id)
    assert (office.known(id), len(office.xero.do("GET", "/CreditNotes")["CreditNotes"])) == ((NOTHING, []), 1)
    assert office.ns.invoices.get(id).invoice.amount_due == Decimal(6)


def test_a_credit_note_of_ours_that_the_office_takes_off_its_invoice_is_told_of(office):
    (id,) = office.bill()
    credit(office, id, "4.00")
    (note,) = office.xero.do("GET", "/CreditNotes")["CreditNotes"]
    place = f"/CreditNotes/{note['CreditNoteID']}"
    take_off(office.xero, f"{place}/Allocations/{note['Allocations'][0]['AllocationID']}")
    office.hear()
    office.wait(minutes=15)
    assert office.known(id) == (NOTHING, ["more_due_in_books"])
    office.put_against(place, id, "4.00")
    office.hear()
    assert office.known(id) == (NOTHING, [])


def test_what_is_due_is_not_told_where_the_customer_withholds_a_part_as_tax(desk):
    item = desk.issued(1)
    held = {"InvoiceID": item.external_id, "Status": "AUTHORISED", "AmountPaid": 0, "AmountDue": 8.0}
    for withheld, due in (({}, Decimal(8)), ({"CISDeduction": 0}, Decimal(8)), ({"CISDeduction": 2.0}, None)):
        reply = Reply.of({"Invoices": [held | withheld]})
        (snapshot,) = desk.drive(Capability.FETCH, desk.batch(item), {"invoices": reply}).outcomes.values()
        assert snapshot.result.amount_due == due


def test_what_an_overpaid_invoice_gave_to_another_one_is_said_once(office):
    paid_too_much, other = office.bill(2)
    office.ns.invoices.record_payment(paid_too_much, "15.00", key="statement/5")
    work_until_quiet(office.engine, office.clock)
    office.enter(paid_too_much, "10.00")
    office.put_against(office.receive_on_account("5.00", "Overpayment"), other, "5.00")
    office.hear()
    assert [office.known(id) for id in (paid_too_much, other)] == [(Decimal(15), []), (Decimal(5), [])]
    (payment,) = office.ns.invoices.get(paid_too_much).payments
    office.ns.refunds.record(payment.id, "5.00")
    work_until_quiet(office.engine, office.clock)
    for id in (paid_too_much, other):
        office.look_again(id)
    assert [office.known(id) for id in (paid_too_much, other)] == [(Decimal(15), []), (Decimal(5), [])]
    assert office.ns.invoices.get(paid_too_much).invoice.amount_refunded == Decimal(5)
