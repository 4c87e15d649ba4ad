"""Payments on an invoice in the books, one by one, over a real socket: ours, those that an office enters, and those that it deletes."""

from __future__ import annotations

from decimal import Decimal

from xero_office import delete, enter, shown

from billhook.contract import Capability, Receipt, Reply
from billhook.testing.crash import work_until_quiet

NOTHING = Decimal(0)


# What a look tells.


def test_each_payment_of_a_batch_of_invoices_is_told_under_its_id_in_one_call(desk):
    theirs, ours, unpaid = (desk.issued(number) for number in (1, 2, 3))
    entered = [enter(desk.xero, theirs.external_id, amount) for amount in ("3.00", "5.00")]
    note = desk.payment_item(ours, amount=Decimal("10.00"))
    noted = desk.run(Capability.RECORD_PAYMENT, note).outcome.result.external_id
    for _ in range(2):
        run = desk.run(Capability.FETCH, theirs, ours, unpaid)
        told = [run.outcomes[item.id].result for item in (theirs, ours, unpaid)]
        assert [request.step for request in run.sent] == ["invoices"]
        assert [each.receipts for each in told] == [
            (Receipt(entered[0], Decimal("3.00")), Receipt(entered[1], Decimal("5.00"))),
            (Receipt(noted, Decimal("10.00")),),
            (),
        ]
        assert [each.amount_paid for each in told] == [Decimal("8.00"), Decimal("10.00"), NOTHING]


def test_a_payment_that_somebody_deletes_there_is_told_no_more(desk):
    item = desk.issued(1)
    first, second = (enter(desk.xero, item.external_id, amount) for amount in ("3.00", "5.00"))
    delete(desk.xero, first)
    told = desk.run(Capability.FETCH, item).outcome.result
    assert (told.receipts, told.amount_paid) == ((Receipt(second, Decimal("5.00")),), Decimal("5.00"))


def test_a_credit_note_on_the_invoice_is_no_payment_of_it(desk):
    item = desk.issued(1)
    paid = enter(desk.xero, item.external_id, "3.00")
    credit = desk.credit_item(50, applies_to=item.external_id)
    credited = desk.run(Capability.CREDIT, credit).outcome.result
    told = desk.run(Capability.FETCH, item).outcome.result
    assert (told.receipts, told.amount_paid) == ((Receipt(paid, Decimal("3.00")),), Decimal("3.00"))
    (applied,) = shown(desk.xero, item.external_id)["CreditNotes"]
    assert (applied["CreditNoteID"], applied["AppliedAmount"]) == (credited.external_id, credit.credit_note.total)


def test_what_has_no_id_or_stands_no_more_is_left_to_the_sum(desk):
    item = desk.issued(1)
    payments = [
        {"Amount": 2.0},
        {"PaymentID": "undone", "Amount": 4.0, "Status": "DELETED"},
        {"PaymentID": "nothing", "Amount": 0.0},
        {"PaymentID": "p1", "Amount": 3.1},
    ]
    held = {"InvoiceID": item.external_id, "Status": "AUTHORISED", "AmountPaid": 5.1, "Payments": payments}
    look = desk.drive(Capability.FETCH, desk.batch(item), {"invoices": Reply.of({"Invoices": [held]})})
    assert (look.outcome.result.receipts, look.outcome.result.amount_paid) == (
        (Receipt("p1", Decimal("3.1")),),
        Decimal("5.1"),
    )


def test_the_books_show_a_payment_alike_on_a_list_and_on_the_invoice(desk):
    item = desk.issued(1)
    id = enter(desk.xero, item.external_id, "3.00", "statement 4")
    by_itself = shown(desk.xero, item.external_id)
    (listed,) = desk.xero.do("GET", "/Invoices")["Invoices"]
    assert listed["Payments"] == by_itself["Payments"]
    (payment,) = by_itself["Payments"]
    assert {name: payment[name] for name in ("PaymentID", "Amount", "Reference")} == {
        "PaymentID": id,
        "Amount": Decimal("3.00"),
        "Reference": "statement 4",
    }
    assert (by_itself["AmountPaid"], by_itself["AmountDue"]) == (Decimal("3.00"), item.invoice.total - 3)


# What becomes of it here.


def test_two_parts_that_the_office_enters_count_once_each_under_their_ids(office):
    (id,) = office.bill()
    first, second = office.enter(id, "3.00", "5.00")
    office.hear()
    for _ in range(2):
        office.look_again(id)
        assert office.money(id) == sorted([("outside", first, Decimal(3)), ("outside", second, Decimal(5))])
    assert office.known(id) == (Decimal(8), [])


def test_what_was_noted_from_here_is_not_counted_again_beside_what_the_office_enters(office):
    (id,) = office.bill()
    office.ns.invoices.record_payment(id, "5.00", key="statement/4")
    work_until_quiet(office.engine, office.clock)
    (theirs,) = office.enter(id, "5.00")
    for _ in range(2):
        office.look_again(id)
        assert office.money(id) == [("outside", theirs, Decimal(5)), ("recorded", None, Decimal(5))]
    assert office.known(id) == (Decimal(10), [])
    assert office.ns.invoices.get(id).status == "paid"
    assert len(office.xero.payments()) == 2, "what was seen there is not noted there"


def test_a_payment_that_the_office_deletes_is_missed_until_it_is_entered_again_and_counts_no_second_time(office):
    (id,) = office.bill()
    first, second = office.enter(id, "3.00", "5.00")
    office.hear()
    delete(office.xero, second)
    office.hear()
    assert office.known(id) == (Decimal(8), ["less_in_books"])
    office.enter(id, "5.00")
    office.hear()
    assert office.money(id) == sorted([("outside", first, Decimal(3)), ("outside", second, Decimal(5))])
    assert office.known(id) == (Decimal(8), [])


def test_a_payment_that_stands_there_less_after_a_refund_is_no_other_money(office):
    (id,) = office.bill()
    (first,) = office.enter(id, "10.00")
    office.hear()
    (payment,) = office.ns.invoices.get(id).payments
    office.ns.refunds.record(payment.id, "4.00")
    work_until_quiet(office.engine, office.clock)
    assert office.known(id) == (Decimal(10), ["refund_not_in_books"])
    delete(office.xero, first)
    office.enter(id, "6.00")
    office.hear()
    office.look_again(id)
    assert office.money(id) == [("outside", first, Decimal(10))]
    assert office.known(id) == (Decimal(10), [])
    assert office.ns.invoices.get(id).invoice.amount_refunded == Decimal(4)


def test_payments_of_many_invoices_are_read_in_one_call(office):
    ids = office.bill(5)
    entered = {id: office.enter(id, "3.00", "7.00") for id in ids}
    before = len(office.xero.calls())
    office.hear()
    assert [call.path for call in office.xero.calls()[before:]] == ["/api.xro/2.0/Invoices"]
    for id in ids:
        assert {external_id for _, external_id, _ in office.money(id)} == set(entered[id])
        assert office.ns.invoices.get(id).status == "paid"
