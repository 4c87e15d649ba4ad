from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from billhook.contract import Absent, Capability, Find, Found, Rejected, Repeat, Unknown
from billhook.contract.requests import Step
from billhook.contract.wire import dump, load
from billhook.testing.builders import an_invoice

BATCHED = (Capability.SYNC_CUSTOMER, Capability.SYNC_DRAFT, Capability.ISSUE, Capability.CREDIT)
SINGLE = (
    Capability.SEND,
    Capability.VOID,
    Capability.DELETE,
    Capability.COLLECT_PAYMENT,
    Capability.RECORD_PAYMENT,
    Capability.REFUND,
)


@pytest.fixture
def items_for(counter):
    """The items of one operation each, ready to be worked on."""

    def paid():
        payment = counter.payment_item(counter.issued(1))
        return counter.run(Capability.COLLECT_PAYMENT, payment).outcomes[payment.id].result.external_id

    ready = {
        Capability.SYNC_CUSTOMER: lambda: [counter.customer_item(1), counter.customer_item(2)],
        Capability.SYNC_DRAFT: lambda: [replace(counter.drafted(1), number=None), counter.invoice_item(2)],
        Capability.ISSUE: lambda: [counter.drafted(1), counter.drafted(2)],
        Capability.CREDIT: lambda: [counter.credit_item(1), counter.credit_item(2)],
        Capability.SEND: lambda: [counter.issued(1)],
        Capability.VOID: lambda: [counter.issued(1)],
        Capability.DELETE: lambda: [counter.drafted(1)],
        Capability.COLLECT_PAYMENT: lambda: [counter.payment_item(counter.issued(1))],
        Capability.RECORD_PAYMENT: lambda: [counter.payment_item(counter.issued(1))],
        Capability.REFUND: lambda: [counter.refund_item(paid())],
    }
    return lambda capability: ready[capability]()


def edited(counter, item):
    """The same draft with other lines, so that an old copy there is not what is to stand there."""
    other = counter.invoice_item(1, an_invoice(lines=1), external_id=item.external_id)
    return replace(other, id=item.id)


@pytest.mark.parametrize("capability", [*BATCHED, *SINGLE])
def test_a_lost_answer_is_found_and_reads_like_the_one_that_was_lost(counter, items_for, capability):
    batch = counter.batch(*items_for(capability))
    request = counter.effect(capability, batch)
    counter.lose(request, "key-1")
    found = counter.settle_found(capability, batch, request.step, counter.look_up(request))
    repeated = counter.drive(capability, batch, {request.step: counter.send(request, "key-1")}).outcomes
    assert found == repeated
    assert not any(isinstance(outcome, Rejected) for outcome in found.values())


@pytest.mark.parametrize("capability", [*BATCHED, *SINGLE])
def test_a_request_that_was_never_executed_is_absent_and_sending_it_then_does_it_once(
    counter, items_for, capability, sandbox
):
    batch = counter.batch(*items_for(capability))
    if capability is Capability.SYNC_DRAFT:
        batch = replace(batch, items=(edited(counter, batch.items[0]), batch.items[1]))
    request = counter.effect(capability, batch)
    assert counter.look_up(request) == {item.id: Absent() for item in batch.items}
    counter.send(request, "key-1")
    counter.send(request, "key-1")
    assert all(isinstance(finding, Found) for finding in counter.look_up(request).values())
    assert sandbox.duplicates() == ()


@pytest.mark.parametrize("capability", BATCHED)
def test_a_batch_is_looked_up_before_it_is_repeated(counter, items_for, capability):
    first, second = counter.effect(capability, counter.batch(*items_for(capability))).recover
    assert isinstance(first, Find)
    assert first.authoritative
    assert second == Repeat(within=timedelta(hours=23))


@pytest.mark.parametrize("capability", SINGLE)
def test_a_single_request_is_first_repeated_under_its_key(counter, items_for, capability):
    first, second = counter.effect(capability, counter.batch(*items_for(capability))).recover
    assert first == Repeat(within=timedelta(hours=23))
    assert isinstance(second, Find)
    assert second.authoritative


@pytest.mark.parametrize("capability", [*BATCHED, *SINGLE])
def test_every_request_can_be_stored_and_read_back(counter, items_for, capability):
    request = counter.effect(capability, counter.batch(*items_for(capability)))
    assert load(dump(request, Step), Step) == request


@pytest.mark.parametrize("capability", [*BATCHED, *SINGLE])
def test_a_preview_reaches_the_end_and_changes_nothing(counter, items_for, capability, sandbox):
    items = items_for(capability)
    before = (sandbox.customers(), sandbox.documents(), sandbox.payments(), sandbox.refunds())
    outcomes = counter.samples(capability, *items).outcomes
    assert outcomes.keys() == {item.id for item in items}
    assert not any(isinstance(outcome, Rejected) for outcome in outcomes.values())
    assert (sandbox.customers(), sandbox.documents(), sandbox.payments(), sandbox.refunds()) == before


@pytest.mark.parametrize("capability", [Capability.FETCH, Capability.CHECK_PAYMENT, Capability.CALCULATE_TAX])
def test_a_preview_of_what_only_reads_reaches_the_end_too(counter, capability):
    invoice = counter.invoice_item(1)
    item = counter.payment_item(invoice) if capability is Capability.CHECK_PAYMENT else invoice
    assert counter.samples(capability, item).outcomes.keys() == {item.id}


def test_what_a_step_made_is_known_from_its_answer_alone(counter, sandbox):
    items = [counter.invoice_item(1), counter.invoice_item(2, an_invoice(metadata={"sandbox/draft": "reject"}))]
    request = counter.effect(Capability.SYNC_DRAFT, counter.batch(*items))
    identify = counter.handle.registered_function(request.identify.name)
    assert identify(counter.send(request)) == {items[0].id: sandbox.documents()[0].id}


@pytest.mark.parametrize("capability", [Capability.COLLECT_PAYMENT, Capability.REFUND])
def test_what_a_payment_step_made_is_known_from_its_answer_alone(counter, items_for, capability, sandbox):
    (item,) = items_for(capability)
    request = counter.effect(capability, counter.batch(item))
    made = counter.handle.registered_function(request.identify.name)(counter.send(request))
    books = sandbox.refunds() if capability is Capability.REFUND else sandbox.payments()
    assert made == {item.id: books[-1].id}


def test_an_item_that_the_answer_omits_has_no_outcome_and_is_found(counter):
    told, omitted = counter.invoice_item(1), counter.invoice_item(2, an_invoice(metadata={"sandbox/omit": "true"}))
    batch = counter.batch(told, omitted)
    request = counter.effect(Capability.SYNC_DRAFT, batch)
    outcomes = counter.drive(Capability.SYNC_DRAFT, batch).outcomes
    assert outcomes.keys() == {told.id}
    assert isinstance(counter.look_up(request)[omitted.id], Found)


def test_a_half_done_batch_is_told_apart_item_by_item(counter):
    done, refused = counter.invoice_item(1), counter.invoice_item(2, an_invoice(metadata={"sandbox/draft": "reject"}))
    request = counter.effect(Capability.SYNC_DRAFT, counter.batch(done, refused))
    counter.lose(request, "key-1")
    findings = counter.look_up(request)
    assert isinstance(findings[done.id], Found)
    assert findings[refused.id] == Absent()


def test_a_list_that_goes_on_proves_no_absence(counter, sandbox):
    one, other = counter.invoice_item(1), counter.invoice_item(2)
    request = counter.effect(Capability.SYNC_DRAFT, counter.batch(one, other))
    counter.lose(request, "key-1")
    sandbox.fault("partial_page", matching="GET /v1/invoices", missing=1)
    findings = counter.look_up(request)
    assert isinstance(findings[one.id], Found)
    assert isinstance(findings[other.id], Unknown)


@pytest.mark.parametrize("capability", [Capability.SYNC_DRAFT, Capability.SEND, Capability.COLLECT_PAYMENT])
def test_a_look_up_that_is_refused_proves_nothing(counter, items_for, capability):
    batch = counter.batch(*items_for(capability)[-1:])
    request = counter.effect(capability, batch)
    way = next(way for way in request.recover if isinstance(way, Find))
    match = counter.handle.registered_function(way.match.name)
    refusal = replace(request.sample, status=403)
    assert isinstance(match(refusal, **way.match.args)[batch.only.id], Unknown)


def test_an_older_copy_is_not_taken_for_the_edit_that_was_lost(counter):
    old = counter.drafted(1)
    request = counter.effect(Capability.SYNC_DRAFT, counter.batch(edited(counter, old)))
    assert counter.look_up(request) == {old.id: Absent()}


def test_a_copy_with_our_reference_that_nobody_knows_of_is_neither_found_nor_absent(counter):
    old = counter.drafted(1)
    unknown_to_us = replace(edited(counter, old), external_id=None)
    request = counter.effect(Capability.SYNC_DRAFT, counter.batch(unknown_to_us))
    assert isinstance(counter.look_up(request)[old.id], Unknown)


def test_a_recorded_payment_is_not_taken_for_the_charge_that_was_lost(counter):
    payment = counter.payment_item(counter.issued(1))
    counter.run(Capability.RECORD_PAYMENT, payment)
    request = counter.effect(Capability.COLLECT_PAYMENT, counter.batch(payment))
    assert counter.look_up(request) == {payment.id: Absent()}


def test_a_draft_that_was_issued_by_hand_under_another_number_is_refused_when_it_is_found(counter):
    item = counter.drafted(1)
    batch = counter.batch(item)
    request = counter.effect(Capability.ISSUE, batch)
    counter.run(Capability.ISSUE, replace(item, number="BY-HAND-1"))
    outcome = counter.settle_found(Capability.ISSUE, batch, request.step, counter.look_up(request))[item.id]
    assert (outcome.issues[0].code, outcome.external_id) == ("number_differs", item.external_id)


def test_sending_what_is_gone_is_not_taken_for_sent(counter):
    item = replace(counter.issued(1), external_id="inv_999999")
    request = counter.effect(Capability.SEND, counter.batch(item))
    assert counter.look_up(request) == {item.id: Absent()}
