from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from billhook.contract import Absent, Capability, Find, Found, Rejected, Repeat, Reply, Retry, Unknown
from billhook.contract.requests import Step
from billhook.contract.wire import dump, load
from billhook.testing.builders import an_invoice
from billhook_xero.config import NameClash

BATCHED = (
    Capability.SYNC_CUSTOMER,
    Capability.SYNC_DRAFT,
    Capability.ISSUE,
    Capability.VOID,
    Capability.DELETE,
    Capability.RECORD_PAYMENT,
)
SINGLE = (Capability.SEND, Capability.CREDIT)
WRITING = (*BATCHED, *SINGLE)


def items_of(desk, capability):
    """The items of one operation, ready to be worked on."""
    ready = {
        Capability.SYNC_CUSTOMER: lambda: [desk.customer_item(1), desk.customer_item(2)],
        Capability.SYNC_DRAFT: lambda: [desk.invoice_item(1), desk.invoice_item(2)],
        Capability.ISSUE: lambda: [desk.drafted(1), desk.drafted(2)],
        Capability.VOID: lambda: [desk.issued(1), desk.issued(2)],
        Capability.DELETE: lambda: [desk.drafted(1), desk.drafted(2)],
        Capability.RECORD_PAYMENT: lambda: [
            desk.payment_item(desk.issued(1), 500),
            desk.payment_item(desk.issued(2), 501),
        ],
        Capability.SEND: lambda: [desk.issued(1)],
        Capability.CREDIT: lambda: [desk.credit_item(1)],
    }
    return ready[capability]()


def edited(desk, item):
    """The same draft with other lines."""
    other = desk.invoice_item(1, an_invoice(lines=1, currency="GBP"), external_id=item.external_id)
    return replace(other, id=item.id)


@pytest.mark.parametrize("capability", WRITING)
def test_a_lost_answer_is_found_and_reads_like_the_one_that_was_lost(desk, capability):
    batch = desk.batch(*items_of(desk, capability))
    request = desk.effect(capability, batch)
    desk.lose(request, "key-1")
    found = desk.settle_found(capability, batch, request.step, desk.look_up(request))
    repeated = desk.drive(capability, batch, {request.step: desk.send(request, "key-1")}).outcomes
    assert found == repeated
    assert not any(isinstance(outcome, Rejected) for outcome in found.values())
    assert desk.xero.duplicates() == ()


@pytest.mark.parametrize("capability", WRITING)
def test_what_was_never_executed_is_absent_and_sending_it_then_does_it_once(desk, capability):
    batch = desk.batch(*items_of(desk, capability))
    request = desk.effect(capability, batch)
    assert desk.look_up(request) == {item.id: Absent() for item in batch.items}
    desk.send(request, "key-1")
    desk.send(request, "key-1")
    assert all(isinstance(finding, Found) for finding in desk.look_up(request).values())
    assert desk.xero.duplicates() == ()


def test_drafts_without_numbers_are_found_by_reference(own_numbers_desk):
    desk = own_numbers_desk
    batch = desk.batch(desk.invoice_item(1), desk.invoice_item(2))
    request = desk.effect(Capability.SYNC_DRAFT, batch)
    assert b"InvoiceNumber" not in request.body
    desk.lose(request, "key-1")
    found = desk.settle_found(Capability.SYNC_DRAFT, batch, "drafts", desk.look_up(request))
    assert {outcome.result.number for outcome in found.values()} == {None}


@pytest.mark.parametrize("capability", BATCHED)
def test_a_batch_is_looked_up_before_it_is_repeated(desk, capability):
    first, second = desk.effect(capability, desk.batch(*items_of(desk, capability))).recover
    assert isinstance(first, Find)
    assert first.authoritative
    assert second == Repeat(within=timedelta(minutes=4))


@pytest.mark.parametrize("capability", SINGLE)
def test_a_single_request_is_first_repeated_under_its_key(desk, capability):
    first, second = desk.effect(capability, desk.batch(*items_of(desk, capability))).recover
    assert first == Repeat(within=timedelta(minutes=4))
    assert isinstance(second, Find)


@pytest.mark.parametrize("capability", WRITING)
def test_every_request_can_be_stored_and_read_back(desk, capability):
    request = desk.effect(capability, desk.batch(*items_of(desk, capability)))
    assert load(dump(request, Step), Step) == request


@pytest.mark.parametrize("capability", WRITING)
def test_a_preview_reaches_the_end_and_changes_nothing(desk, capability):
    items = items_of(desk, capability)
    before = (desk.xero.customers(), desk.xero.documents(), desk.xero.payments())
    outcomes = desk.samples(capability, *items).outcomes
    assert outcomes.keys() == {item.id for item in items}
    assert not any(isinstance(outcome, Rejected) for outcome in outcomes.values())
    assert (desk.xero.customers(), desk.xero.documents(), desk.xero.payments()) == before


@pytest.mark.parametrize(
    "capability", [Capability.SYNC_DRAFT, Capability.ISSUE, Capability.SYNC_CUSTOMER, Capability.RECORD_PAYMENT]
)
def test_a_half_done_batch_is_told_apart_item_by_item(desk, capability):
    done, other = items_of(desk, capability)
    batch = desk.batch(done, other)
    request = desk.effect(capability, batch)
    alone = desk.effect(capability, desk.batch(done))
    desk.lose(alone, "key-of-half")
    findings = desk.look_up(request)
    assert isinstance(findings[done.id], Found)
    assert findings[other.id] == Absent()


def test_an_older_copy_is_not_taken_for_the_edit_that_was_lost(desk):
    old = desk.drafted(1)
    request = desk.effect(Capability.SYNC_DRAFT, desk.batch(edited(desk, old)))
    assert request.method == "POST"
    assert desk.look_up(request) == {old.id: Absent()}
    desk.send(request)
    assert isinstance(desk.look_up(request)[old.id], Found)


def test_an_edit_of_the_account_alone_is_told_from_the_older_copy(desk):
    old = desk.drafted(1)
    moved = replace(old, lines=tuple(replace(line, account="260") for line in old.lines))
    request = desk.effect(Capability.SYNC_DRAFT, desk.batch(moved))
    assert desk.look_up(request) == {old.id: Absent()}


def test_a_copy_that_nobody_knows_of_is_neither_found_nor_absent(desk):
    old = desk.drafted(1)
    unknown_to_us = replace(edited(desk, old), external_id=None)
    request = desk.effect(Capability.SYNC_DRAFT, desk.batch(unknown_to_us))
    assert isinstance(desk.look_up(request)[old.id], Unknown)


def test_a_second_draft_of_the_same_invoice_is_refused_by_xero_itself(desk):
    item = desk.invoice_item(1)
    request = desk.effect(Capability.SYNC_DRAFT, desk.batch(item))
    desk.send(request, "key-1")
    outcomes = desk.drive(Capability.SYNC_DRAFT, desk.batch(item), {"drafts": desk.send(request, "key-2")}).outcomes
    assert outcomes[item.id].issues[0].code == "number_taken"
    assert len(desk.xero.documents()) == 1


def test_a_list_that_goes_on_proves_no_absence(desk):
    batch = desk.batch(desk.invoice_item(1), desk.invoice_item(2))
    request = desk.effect(Capability.SYNC_DRAFT, batch)
    desk.lose(request, "key-1")
    desk.xero.fault("partial_page", matching="GET /api.xro/2.0/Invoices", missing=1)
    findings = desk.look_up(request)
    assert [type(findings[item.id]) for item in batch.items] == [Found, Unknown]


@pytest.mark.parametrize("capability", WRITING)
def test_a_look_up_that_is_refused_proves_nothing(desk, capability):
    batch = desk.batch(*items_of(desk, capability))
    request = desk.effect(capability, batch)
    way = next(way for way in request.recover if isinstance(way, Find))
    match = desk.handle.registered_function(way.match.name)
    refusal = replace(request.sample, status=400)
    assert {type(finding) for finding in match(refusal, **way.match.args).values()} == {Unknown}


def test_a_payment_that_was_undone_at_xero_is_not_taken_for_the_one_that_was_lost(desk):
    payment = desk.payment_item(desk.issued(1))
    desk.run(Capability.RECORD_PAYMENT, payment)
    (standing,) = desk.xero.payments()
    with desk.xero.ledger.transaction() as tx:
        tx.execute(
            "UPDATE things SET content = replace(content, '\"AUTHORISED\"', '\"DELETED\"') WHERE id = ?", (standing.id,)
        )
    request = desk.effect(Capability.RECORD_PAYMENT, desk.batch(payment))
    assert desk.look_up(request) == {payment.id: Absent()}


def test_an_allocation_that_was_lost_is_found(desk):
    invoice = desk.issued(1)
    credit = desk.credit_item(50, applies_to=invoice.external_id)
    batch = desk.batch(credit)
    request = desk.effect(Capability.CREDIT, batch, "allocation")
    assert desk.look_up(request) == {credit.id: Absent()}
    desk.lose(request, "key-1")
    assert isinstance(desk.look_up(request)[credit.id], Found)


def test_a_credit_note_that_was_left_behind_is_not_made_again(desk):
    invoice = desk.issued(1)
    credit = desk.credit_item(50, applies_to=invoice.external_id)
    request = desk.effect(Capability.CREDIT, desk.batch(credit))
    made = desk.handle.registered_function(request.identify.name)(desk.send(request), **request.identify.args)
    again = replace(credit, leftovers={"credit_note": made[credit.id]})
    outcome = desk.run(Capability.CREDIT, again).outcomes[credit.id]
    assert outcome.result.external_id == made[credit.id]
    notes = [each for each in desk.xero.documents() if each.kind == "credit_note"]
    assert [(note.status, note.amount_due) for note in notes] == [("PAID", 0)]


def assert_fits(request):
    (look,) = (way.request for way in request.recover if isinstance(way, Find))
    assert len(look.url.partition("/api.xro")[2]) < 2_048 - len("https://api.xero.com/api.xro")


def test_every_look_up_of_a_full_batch_fits_an_address(desk, own_numbers_desk):
    for one, size in ((desk, 50), (own_numbers_desk, 30)):
        items = [one.invoice_item(number) for number in range(1, size + 1)]
        drafted = one.run(Capability.SYNC_DRAFT, *items).outcomes
        request = one.effect(Capability.SYNC_DRAFT, one.batch(*items))
        assert all(isinstance(each, Found) for each in one.look_up(request).values())
        assert_fits(request)
        known = [replace(item, external_id=drafted[item.id].result.external_id) for item in items]
        assert_fits(one.effect(Capability.ISSUE, one.batch(*known)))
    payments = [desk.payment_item(item, 500 + place) for place, item in enumerate(known)]
    assert_fits(desk.effect(Capability.RECORD_PAYMENT, desk.batch(*payments)))
    customers = [desk.customer_item(number) for number in range(1, 31)]
    assert_fits(desk.effect(Capability.SYNC_CUSTOMER, desk.batch(*customers)))


def test_a_customer_whose_name_is_refused_does_not_hold_up_the_look_up_of_the_others(desk):
    desk.settings = desk.settings.model_copy(update={"name_clash": NameClash.REFUSE})
    desk.run(Capability.SYNC_CUSTOMER, desk.customer_item(1))
    clashing = replace(desk.customer_item(2), customer=desk.customer_item(1).customer)
    batch = desk.batch(clashing, desk.customer_item(3))
    request = desk.effect(Capability.SYNC_CUSTOMER, batch)
    desk.lose(request, "key-1")
    findings = desk.look_up(request)
    assert [type(findings[item.id]) for item in batch.items] == [Absent, Found]


def test_a_credit_note_whose_invoice_was_paid_meanwhile_is_put_against_what_is_due_then(desk):
    invoice = desk.issued(1)
    credit = desk.credit_item(50, applies_to=invoice.external_id)
    before = {"Invoices": [{"InvoiceID": invoice.external_id, "AmountDue": float(invoice.invoice.total)}]}
    desk.run(Capability.RECORD_PAYMENT, desk.payment_item(invoice, amount=invoice.invoice.total - 4))
    outcome = desk.drive(Capability.CREDIT, desk.batch(credit), {"invoice": Reply.of(before)}).outcomes[credit.id]
    assert isinstance(outcome, Retry)
    (note,) = (each for each in desk.xero.documents() if each.kind == "credit_note")
    again = replace(credit, leftovers={"credit_note": note.id})
    assert desk.run(Capability.CREDIT, again).outcomes[credit.id].result.external_id == note.id
    standing, note = desk.xero.documents()
    assert (standing.status, note.amount_due) == ("PAID", credit.credit_note.total - 4)


def test_a_credit_note_that_can_be_put_against_nothing_says_that_it_stands_there(desk):
    invoice = desk.issued(1)
    credit = desk.credit_item(50, applies_to=invoice.external_id)
    due = {"Invoices": [{"InvoiceID": invoice.external_id, "AmountDue": 10}]}
    desk.run(Capability.VOID, invoice)
    refused = desk.drive(Capability.CREDIT, desk.batch(credit), {"invoice": Reply.of(due)}).outcomes[credit.id]
    (note,) = (each for each in desk.xero.documents() if each.kind == "credit_note")
    assert refused.external_id == note.id
    assert refused.issues[0].message.startswith("Credit note CN-50 stands at Xero, put against no invoice. Xero says:")
