from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from billhook.contract import Absent, Capability, ConnectionItem, Find, Found, Pending, Rejected, Repeat, Reply, Unknown
from billhook.contract.requests import Step
from billhook.contract.wire import dump, load
from billhook.testing.builders import a_customer, an_id
from billhook_gocardless.simulator.rules import GoCardlessRules

CREATING = (Capability.SYNC_CUSTOMER, Capability.COLLECT_PAYMENT, Capability.REFUND)


@pytest.fixture
def item_for(counter):
    """The item of each creating operation, ready to be worked on."""
    ready = {
        Capability.SYNC_CUSTOMER: counter.customer_item,
        Capability.COLLECT_PAYMENT: counter.payment_item,
        Capability.REFUND: lambda: counter.refund_item(counter.collected()),
    }
    return lambda capability: ready[capability]()


def edited(counter):
    """A customer that stands there and was edited here."""
    customer_id = counter.customer()
    party = a_customer(id=an_id(901), name="New Name Ltd")
    return counter.customer_item(1, customer=party, external_id=customer_id)


@pytest.mark.parametrize("capability", CREATING)
def test_a_lost_answer_is_found_and_reads_like_the_one_that_was_lost(counter, item_for, capability):
    batch = counter.batch(item_for(capability))
    request = counter.effect(capability, batch)
    counter.lose(request, "key-1")
    finding = counter.look_up(request)
    assert isinstance(finding, Found)
    found = counter.drive(capability, batch, {request.step: replace(finding.reply, source="found")}).outcome
    repeated = counter.drive(capability, batch, {request.step: counter.send(request, "key-1")}).outcome
    assert found == repeated
    assert not isinstance(found, Rejected)
    assert counter.books.duplicates() == ()


@pytest.mark.parametrize("capability", CREATING)
def test_a_repeated_request_is_answered_with_the_id_of_what_it_made(counter, item_for, capability):
    batch = counter.batch(item_for(capability))
    request = counter.effect(capability, batch)
    made, again = counter.send(request, "key-1"), counter.send(request, "key-1")
    assert (made.status, again.status) == (201, 409)
    identify = counter.handle.registered_function(request.identify.name)
    assert identify(made, **request.identify.args) == identify(again, **request.identify.args) != {}
    refused = Reply.of({"error": {"type": "validation_failed", "errors": []}}, status=422)
    assert identify(refused, **request.identify.args) == {}


@pytest.mark.parametrize("capability", CREATING)
def test_a_request_that_was_never_executed_is_absent_and_sending_it_then_does_it_once(counter, item_for, capability):
    request = counter.effect(capability, counter.batch(item_for(capability)))
    assert counter.look_up(request) == Absent()
    counter.send(request, "key-1")
    counter.send(request, "key-1")
    assert isinstance(counter.look_up(request), Found)
    assert counter.books.duplicates() == ()


def test_a_lost_edit_is_found_by_what_stands_there(counter):
    batch = counter.batch(edited(counter))
    request = counter.effect(Capability.SYNC_CUSTOMER, batch)
    assert counter.look_up(request) == Absent()
    counter.lose(request, "key-1")
    finding = counter.look_up(request)
    found = counter.drive(Capability.SYNC_CUSTOMER, batch, {"update": replace(finding.reply, source="found")}).outcome
    assert found.result.external_id == counter.books.customers()[0].id
    assert counter.books.customers()[0].name == "New Name Ltd"


@pytest.mark.parametrize("capability", [Capability.SYNC_CUSTOMER, Capability.COLLECT_PAYMENT])
def test_a_creation_is_first_repeated_under_its_key_then_looked_up(counter, item_for, capability):
    first, second = counter.effect(capability, counter.batch(item_for(capability))).recover
    assert first == Repeat(within=timedelta(hours=23))
    assert isinstance(second, Find)
    assert second.authoritative


@pytest.mark.parametrize("rules", [GoCardlessRules(key_checked_first=False)])
def test_a_refund_is_looked_up_first_as_it_could_be_refused_for_its_own_success(counter, item_for):
    batch = counter.batch(item_for(Capability.REFUND))
    request = counter.effect(Capability.REFUND, batch)
    first, second = request.recover
    assert isinstance(first, Find)
    assert isinstance(second, Repeat)
    counter.send(request, "key-1")
    refusal = replace(counter.send(request, "key-1"), source="repeated")
    assert "total_amount_confirmation_invalid" in refusal.body.decode()
    assert isinstance(counter.drive(Capability.REFUND, batch, {"create": refusal}).outcome, Rejected)
    assert isinstance(counter.look_up(request), Found)


def test_a_list_that_goes_on_proves_no_absence(counter, books):
    payment = counter.payment_item()
    collect = counter.effect(Capability.COLLECT_PAYMENT, counter.batch(payment))
    paid = counter.collected()
    refund = counter.effect(Capability.REFUND, counter.batch(counter.refund_item(paid)))
    for number in (801, 802):
        counter.run(Capability.COLLECT_PAYMENT, replace(payment, id=an_id(number)))
        counter.run(Capability.REFUND, counter.refund_item(paid, number=number))
    create = counter.effect(Capability.SYNC_CUSTOMER, counter.batch(counter.customer_item(3)))
    for request in (collect, refund, create):
        books.fault("partial_page", matching="GET")
        assert counter.look_up(request) == Unknown("the list goes on")
        assert counter.look_up(request) == Absent()


@pytest.mark.parametrize("capability", CREATING)
def test_a_look_up_that_is_refused_says_nothing(counter, item_for, capability):
    request = counter.effect(capability, counter.batch(item_for(capability)))
    (way,) = (way for way in request.recover if isinstance(way, Find))
    match = counter.handle.registered_function(way.match.name)
    (finding,) = match(Reply.of({"error": {}}, status=404), **way.match.args).values()
    assert isinstance(finding, Unknown)


def test_an_edit_whose_look_up_is_refused_is_not_settled_by_it(counter):
    (_, way) = counter.effect(Capability.SYNC_CUSTOMER, counter.batch(edited(counter))).recover
    match = counter.handle.registered_function(way.match.name)
    (finding,) = match(Reply.of({"error": {}}, status=404), **way.match.args).values()
    assert isinstance(finding, Unknown)


def test_of_two_with_our_id_the_one_that_moves_money_is_found(counter, item_for):
    request = counter.effect(Capability.COLLECT_PAYMENT, counter.batch(item_for(Capability.COLLECT_PAYMENT)))
    counter.send(request, "one")
    counter.send(request, "two")
    older, newer = counter.books.payments()
    counter.books.run_scenario("payment_failed", newer.id)
    assert counter.look_up(request).reply.json()["payments"]["id"] == older.id


@pytest.mark.parametrize("capability", CREATING)
def test_every_request_can_be_stored_and_read_back(counter, item_for, capability):
    request = counter.effect(capability, counter.batch(item_for(capability)))
    assert load(dump(request, Step), Step) == request


@pytest.mark.parametrize("capability", CREATING)
def test_a_preview_reaches_the_end_and_changes_nothing(counter, item_for, capability):
    item = item_for(capability)
    before = (counter.books.customers(), counter.books.payments(), counter.books.refunds(), len(counter.books.calls()))
    outcome = counter.samples(capability, item).outcome
    assert not isinstance(outcome, Rejected)
    after = (counter.books.customers(), counter.books.payments(), counter.books.refunds(), len(counter.books.calls()))
    assert after == before


def test_a_preview_of_what_only_reads_reaches_the_end_too(counter):
    payment = counter.payment_item()
    assert isinstance(counter.samples(Capability.CHECK_PAYMENT, payment).outcome, Pending)
    standing = replace(payment, external_id="PM000001")
    assert isinstance(counter.samples(Capability.CHECK_PAYMENT, standing).outcome, Pending)
    assert counter.samples(Capability.CHECK_CONNECTION, ConnectionItem(an_id(1))).outcome.result.accounts
    assert counter.samples(Capability.SYNC_CUSTOMER, edited(counter)).outcome.result.external_id
