"""Payments on an invoice in the books, one by one, over a real socket: ours, those that an office enters, and those that it deletes."""

from __future__ import annotations

import shutil
from decimal import Decimal

import pytest
from xero_kit import settings_for

from billhook import Engine, ProviderCatalog
from billhook.contract import Capability, Receipt, Reply
from billhook.testing.crash import work_until_quiet
from billhook.testing.invariants import problems_of
from billhook_xero import provider
from billhook_xero.simulator import app_credentials

LAMP = {"name": "Lamp", "price": {"type": "flat", "amount": "10.00"}}
NOTHING = Decimal(0)


def enter(xero, invoice_id, amount, reference=None):
    """As a person at the office: a payment of an invoice. Returns its id."""
    invoice, account = {"InvoiceID": invoice_id}, {"Code": "090"}
    told = {"Invoice": invoice, "Account": account, "Amount": Decimal(amount), "Reference": reference}
    (entered,) = xero.do("PUT", "/Payments", {"Payments": [told]})["Payments"]
    return entered["PaymentID"]


def delete(xero, payment_id):
    xero.do("POST", f"/Payments/{payment_id}", {"Status": "DELETED"})


def shown(xero, invoice_id):
    """The invoice by itself."""
    (invoice,) = xero.do("GET", f"/Invoices/{invoice_id}")["Invoices"]
    return invoice


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


class Office:
    """Invoices of ours in these books, and a person at the office who works there."""

    def __init__(self, engine, xero, url, clock):
        self.engine, self.xero, self.clock = engine, xero, clock
        self.ns = engine.namespace()
        self.app = self.ns.apps.install("xero", settings=settings_for(url), credentials=app_credentials())
        apps = dict.fromkeys(("tax_app_id", "invoicing_app_id", "payment_app_id"), self.app.id)
        workflow = {"collection_method": "send_invoice"}
        self.ns.profiles.create("Usual", is_default=True, supplier={"name": "Acme"}, workflow=workflow, **apps)
        self.ns.customers.create("Ada", key="ada", email="ada@customer.example")

    def bill(self, count=1):
        drafts = [{"customer_key": "ada", "currency": "GBP", "lines": [LAMP]}] * count
        ids = self.ns.invoices.submit_many(drafts)
        work_until_quiet(self.engine, self.clock)
        self.hear()
        return ids

    def enter(self, id, *amounts):
        there = next(each.id for each in self.xero.documents() if each.reference == id)
        return [enter(self.xero, there, amount) for amount in amounts]

    def hear(self):
        """Each webhook comes, and what follows is done."""

        def receive(headers, body):
            self.engine.receive_webhook(self.app.id, dict(headers), body)
            return 200

        self.xero.deliver_webhooks(receive)
        work_until_quiet(self.engine, self.clock)
        assert problems_of(self.engine) == []

    def look_again(self, id):
        """Somebody marks it as sent there, so that it is read anew."""
        there = next(each.id for each in self.xero.documents() if each.reference == id)
        self.xero.do("POST", f"/Invoices/{there}/Email")
        self.hear()

    def money(self, id):
        """By the id in the books; what was noted from here has the one of its note."""
        payments = self.ns.invoices.get(id).payments
        return sorted((each.origin, each.external_id, each.amount_received) for each in payments)

    def known(self, id):
        details = self.ns.invoices.get(id)
        return details.invoice.amount_paid, [issue.code for issue in details.issues]


@pytest.fixture
def office(file_template, tmp_path, xero, clock):
    path = tmp_path / "billhook.db"
    shutil.copy(file_template, path)
    catalog = ProviderCatalog.from_objects([provider])
    with xero.serve() as served, Engine.open(path, upgrade=False, clock=clock, catalog=catalog) as engine:
        yield Office(engine, xero, served.url, clock)


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
