from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from billhook.contract import Absent, Capability, Find, Found, Rejected, Repeat, Unknown
from billhook.contract.requests import Step
from billhook.contract.wire import dump, load
from billhook.testing.builders import an_invoice
from billhook_quickbooks import QuickBooksOwnNumbersProvider

STEPS = {
    Capability.SYNC_CUSTOMER: "customers",
    Capability.ISSUE: "invoices",
    Capability.RECORD_PAYMENT: "payments",
    Capability.SEND: "send",
    Capability.VOID: "void",
    Capability.DELETE: "delete",
    Capability.CREDIT: "credit_memo",
}
ALL = [*STEPS.items(), (Capability.CREDIT, "apply")]
BATCHED = [pair for pair in ALL if pair[0] in {Capability.SYNC_CUSTOMER, Capability.ISSUE, Capability.RECORD_PAYMENT}]


@pytest.fixture
def items_for(desk):
    """The items of one operation each, ready to be worked on."""

    def edited():
        old = desk.issued(1)
        return [
            desk.invoice_item(1, an_invoice(lines=1), leftovers={"invoices": old.external_id}),
            desk.invoice_item(2),
        ]

    ready = {
        Capability.SYNC_CUSTOMER: lambda: [desk.customer_item(1), desk.customer_item(2)],
        Capability.ISSUE: edited,
        Capability.RECORD_PAYMENT: lambda: [desk.payment_item(desk.issued(n), 500 + n) for n in (1, 2)],
        Capability.SEND: lambda: [desk.issued(1)],
        Capability.VOID: lambda: [desk.issued(1)],
        Capability.DELETE: lambda: [desk.issued(1)],
        Capability.CREDIT: lambda: [desk.credit_item(50, applies_to=desk.issued(1).external_id)],
        Capability.FETCH: lambda: [desk.issued(1)],
    }
    return lambda capability: ready[capability]()


@pytest.mark.parametrize("capability, step", ALL)
def test_a_lost_answer_is_found_and_reads_like_the_one_that_was_lost(desk, items_for, capability, step):
    batch = desk.batch(*items_for(capability))
    request, before = desk.to_effect(capability, batch, step)
    desk.lose(request, "key-1")
    found = desk.settle_found(capability, batch, step, desk.look_up(request), before)
    repeated = desk.drive(capability, batch, {**before, step: desk.send(request, "key-1")}).outcomes
    assert found == repeated
    assert not any(isinstance(outcome, Rejected) for outcome in found.values())
    assert desk.company.duplicates() == ()


@pytest.mark.parametrize("capability, step", ALL)
def test_a_request_that_was_never_executed_is_absent_and_sending_it_then_does_it_once(
    desk, items_for, capability, step
):
    batch = desk.batch(*items_for(capability))
    request, _ = desk.to_effect(capability, batch, step)
    assert desk.look_up(request) == {item.id: Absent() for item in batch.items}
    desk.send(request, "key-1")
    desk.send(request, "key-1")
    assert all(isinstance(finding, Found) for finding in desk.look_up(request).values())
    assert desk.company.duplicates() == ()


@pytest.mark.parametrize("capability, step", ALL)
def test_everything_is_looked_up_before_it_is_repeated(desk, items_for, capability, step):
    first, second = desk.to_effect(capability, desk.batch(*items_for(capability)), step)[0].recover
    assert isinstance(first, Find)
    assert first.authoritative
    assert second == Repeat(within=timedelta(minutes=8))


@pytest.mark.parametrize("capability, step", ALL)
def test_every_request_can_be_stored_and_read_back(desk, items_for, capability, step):
    request, _ = desk.to_effect(capability, desk.batch(*items_for(capability)), step)
    assert load(dump(request, Step), Step) == request


@pytest.mark.parametrize("capability", [*STEPS, Capability.FETCH])
def test_a_preview_reaches_the_end_and_changes_nothing(desk, items_for, capability, company):
    items = items_for(capability)
    before = (company.customers(), company.documents(), company.payments())
    outcomes = desk.samples(capability, *items).outcomes
    assert outcomes.keys() == {item.id for item in items}
    assert not any(isinstance(outcome, Rejected) for outcome in outcomes.values())
    assert (company.customers(), company.documents(), company.payments()) == before


@pytest.mark.parametrize("capability, step", [*BATCHED, (Capability.CREDIT, "credit_memo")])
def test_what_a_step_made_is_known_from_its_answer_alone(desk, items_for, capability, step):
    batch = desk.batch(*items_for(capability))
    request, _ = desk.to_effect(capability, batch, step)
    identify = desk.handle.registered_function(request.identify.name)
    made = identify(desk.send(request), **request.identify.args)
    assert made.keys() == {item.id for item in batch.items}
    standing = [*desk.company.customers(), *desk.company.documents(), *desk.company.payments()]
    assert {each.id for each in standing} >= set(made.values())


def test_a_half_done_batch_is_told_apart_item_by_item(desk):
    done, refused = desk.invoice_item(1), desk.invoice_item(2)
    refused = replace(refused, customer=replace(refused.customer, external_id="999"))
    request, _ = desk.to_effect(Capability.ISSUE, desk.batch(done, refused))
    desk.lose(request, "key-1")
    findings = desk.look_up(request)
    assert isinstance(findings[done.id], Found)
    assert findings[refused.id] == Absent()


def test_a_payment_is_found_though_its_invoice_has_nothing_open_any_more(desk):
    done, other = (desk.payment_item(desk.issued(number), 500 + number) for number in (1, 2))
    recorded = desk.run(Capability.RECORD_PAYMENT, done).result
    request, before = desk.to_effect(Capability.RECORD_PAYMENT, desk.batch(done, other), "payments")
    findings = desk.look_up(request)
    assert findings[other.id] == Absent()
    alone = desk.batch(done)
    found = desk.settle_found(Capability.RECORD_PAYMENT, alone, "payments", findings, before)
    assert found[done.id].result == recorded


def test_a_payment_of_other_money_is_not_taken_for_ours(desk):
    item = desk.payment_item(desk.issued(1), 501)
    desk.run(Capability.RECORD_PAYMENT, replace(item, amount=item.amount - 1))
    request, _ = desk.to_effect(Capability.RECORD_PAYMENT, desk.batch(item), "payments")
    assert isinstance(desk.look_up(request)[item.id], Unknown)


def test_an_item_that_the_answer_omits_has_no_outcome(desk):
    one, two = desk.invoice_item(1), desk.invoice_item(2)
    batch = desk.batch(one, two)
    request, _ = desk.to_effect(Capability.ISSUE, batch)
    answer = desk.send(request)
    told = answer.json()["BatchItemResponse"]
    outcomes = desk.drive(
        Capability.ISSUE, batch, {"invoices": type(answer).of({"BatchItemResponse": told[1:]})}
    ).outcomes
    assert outcomes.keys() == {two.id}


@pytest.mark.parametrize("capability, step", ALL)
def test_a_look_up_that_is_refused_proves_nothing(desk, items_for, capability, step):
    request, _ = desk.to_effect(capability, desk.batch(*items_for(capability)[-1:]), step)
    way = next(way for way in request.recover if isinstance(way, Find))
    refusal = replace(way.request.sample, status=400)
    findings = desk.handle.registered_function(way.match.name)(refusal, **way.match.args)
    assert all(isinstance(found, Unknown) for found in findings.values())


def test_a_full_page_proves_no_absence(desk):
    request, _ = desk.to_effect(Capability.ISSUE, desk.batch(desk.invoice_item(1)))
    way = next(way for way in request.recover if isinstance(way, Find))
    full = type(request.sample).of({"QueryResponse": {"Invoice": [{"Id": str(n)} for n in range(1000)]}})
    (finding,) = desk.handle.registered_function(way.match.name)(full, **way.match.args).values()
    assert isinstance(finding, Unknown)


def test_an_older_copy_is_not_taken_for_the_edit_that_was_lost(desk, items_for):
    batch = desk.batch(items_for(Capability.ISSUE)[0])
    request, _ = desk.to_effect(Capability.ISSUE, batch)
    assert desk.look_up(request) == {batch.only.id: Absent()}


def test_a_copy_with_our_reference_that_nobody_knows_of_is_neither_found_nor_absent(desk):
    desk.issued(1)
    unknown_to_us = desk.invoice_item(1, an_invoice(lines=1))
    request, _ = desk.to_effect(Capability.ISSUE, desk.batch(unknown_to_us))
    assert isinstance(desk.look_up(request)[unknown_to_us.id], Unknown)


def test_without_a_number_an_invoice_is_looked_up_by_customer_and_day(a_company, a_desk):
    desk = a_desk(a_company(custom_numbers=False), QuickBooksOwnNumbersProvider)
    desk.issued(9, number=None)
    item = desk.invoice_item(1, number=None)
    request, before = desk.to_effect(Capability.ISSUE, desk.batch(item))
    assert desk.look_up(request) == {item.id: Absent()}
    desk.lose(request, "key-1")
    outcome = desk.settle_found(Capability.ISSUE, desk.batch(item), "invoices", desk.look_up(request), before)[item.id]
    assert outcome.result.number == "1002"


def test_a_quote_in_a_number_breaks_no_query(desk):
    item = desk.invoice_item(1, number="O'Hara\\1")
    request, _ = desk.to_effect(Capability.ISSUE, desk.batch(item))
    desk.send(request)
    assert isinstance(desk.look_up(request)[item.id], Found)


def test_two_ends_that_are_equal_are_told_apart_by_their_place(desk, company):
    end = desk.invoice_item(1).id[-10:]
    items = [desk.invoice_item(1), desk.invoice_item(2)]
    items[1] = replace(items[1], id=items[1].id[:-10] + end)
    items[1] = replace(items[1], id="02" + items[1].id[2:])
    outcomes = desk.run(Capability.ISSUE, *items).outcomes
    numbers = {document.id: document.number for document in company.documents()}
    assert [numbers[outcomes[item.id].result.external_id] for item in items] == ["INV-1", "INV-2"]
