"""Every request that changes something: an answer that was lost is found, what was never done is absent, and nothing is done twice."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from billhook.contract import Absent, Capability, Find, Found, Repeat, Request, Unknown
from billhook.contract.requests import SAFE_METHODS, Step
from billhook.contract.wire import dump, load
from billhook.testing.builders import a_line, an_id
from billhook.testing.kit.bench import Bench, Blow
from billhook.testing.kit.subject import Subject

SENT = {"workflow": {"collection_method": "send_invoice"}}


def flat(amount: str):
    return (a_line(1, price={"type": "flat", "amount": amount}, quantity=None),)


def an_edit(counter):
    first = counter.drafted(lines=flat("10.00"))
    return replace(counter.invoice_item(lines=flat("20.00")), external_id=first.external_id)


def a_customer_edit(counter):
    item = counter.customer_item(1)
    known = counter.run(Capability.SYNC_CUSTOMER, item).result.external_id
    return replace(item, external_id=known, customer=item.customer.model_copy(update={"name": "Renamed"}))


def a_second_attempt(counter):
    item = counter.issued()
    counter.run(Capability.COLLECT_PAYMENT, counter.payment_item(item, method="pm_card_chargeDeclined"))
    return counter.payment_item(item, 501)


def a_part(counter):
    return counter.payment_item(counter.issued(), amount=Decimal("10.00"))


def a_payment_by_itself(counter):
    return counter.payment_item(counter.invoice_item(), method="pm_card_visa")


def a_note_on_what_went_back(counter):
    item = counter.issued(lines=flat("100.00"))
    paid = counter.run(Capability.COLLECT_PAYMENT, counter.payment_item(item)).result
    counter.run(Capability.REFUND, counter.refund_item(paid.external_id, "40.00"))
    return counter.credit_item(applies_to=item.external_id, amount="60.00")


# The operation, what it is done to, and the step that is lost. What leads up to that step is done.
def a_part_after_many(counter):
    item = counter.issued()
    for number in range(12):
        counter.run(Capability.RECORD_PAYMENT, counter.payment_item(item, 600 + number, amount=Decimal("1.00")))
    return counter.payment_item(item, amount=Decimal("10.00"))


STEPS = [
    (Capability.SYNC_CUSTOMER, lambda c: c.customer_item(1), "customer"),
    (Capability.SYNC_CUSTOMER, a_customer_edit, "customer"),
    (Capability.SYNC_DRAFT, lambda c: c.invoice_item(), "create"),
    (Capability.SYNC_DRAFT, lambda c: c.invoice_item(), "add.1"),
    (Capability.SYNC_DRAFT, an_edit, "header"),
    (Capability.SYNC_DRAFT, an_edit, "remove.1"),
    (Capability.SYNC_DRAFT, an_edit, "add.1"),
    (Capability.ISSUE, lambda c: c.drafted(), "number"),
    (Capability.ISSUE, lambda c: c.drafted(), "finalize"),
    (Capability.SEND, lambda c: c.issued(**SENT), "send"),
    (Capability.VOID, lambda c: c.issued(), "void"),
    (Capability.DELETE, lambda c: c.drafted(), "delete"),
    (Capability.CREDIT, lambda c: c.credit_item(applies_to=c.issued().external_id), "credit_note"),
    (Capability.CREDIT, a_note_on_what_went_back, "credit_note"),
    (Capability.CREDIT, lambda c: c.credit_item(), "balance"),
    (Capability.COLLECT_PAYMENT, lambda c: c.payment_item(c.issued()), "pay"),
    (Capability.COLLECT_PAYMENT, a_second_attempt, "mark"),
    (Capability.COLLECT_PAYMENT, a_payment_by_itself, "charge"),
    (Capability.RECORD_PAYMENT, lambda c: c.payment_item(c.issued()), "pay"),
    (Capability.RECORD_PAYMENT, a_part, "report"),
    (Capability.RECORD_PAYMENT, a_part, "attach"),
    (Capability.RECORD_PAYMENT, a_part_after_many, "attach"),
    (Capability.REFUND, lambda c: c.refund_item(c.charged()[1].result.external_id), "refund"),
]
every_step = pytest.mark.parametrize(
    "capability, prepare, step", STEPS, ids=[f"{step[0]}-{step[2]}-{place}" for place, step in enumerate(STEPS)]
)


def up_to(counter, capability, batch, step) -> tuple[Request, dict]:
    """The request of that step, and the answers of those before it."""
    steps, answers = counter.handle.start(capability, batch), {}
    request = next(steps)
    while request.step != step:
        answers[request.step] = counter.send(request, f"before-{request.step}")
        request = steps.send(answers[request.step])
    steps.close()
    return request, answers


@every_step
def test_a_lost_answer_is_found_and_the_operation_goes_on_from_it(counter, capability, prepare, step, books):
    batch = counter.batch(prepare(counter))
    request, answers = up_to(counter, capability, batch, step)
    counter.lose(request, "lost")
    finding = counter.look_up(request)
    assert isinstance(finding, Found), finding
    found = replace(finding.reply, source="found")
    outcome = counter.drive(capability, batch, {**answers, step: found}).outcome
    assert outcome.kind == "done", outcome
    assert books.duplicates() == ()


@every_step
def test_what_never_arrived_is_absent(counter, capability, prepare, step):
    request, _ = up_to(counter, capability, counter.batch(prepare(counter)), step)
    assert counter.look_up(request) == Absent()


@every_step
def test_repeating_under_the_key_gives_the_same_answer(counter, capability, prepare, step, books):
    request, _ = up_to(counter, capability, counter.batch(prepare(counter)), step)
    first = counter.send(request, "same")
    again = counter.send(request, "same")
    assert (again.status, again.body) == (first.status, first.body)
    assert again.header("Idempotent-Replayed") == "true"
    assert books.duplicates() == ()


@every_step
def test_a_step_is_first_repeated_and_then_looked_up(counter, capability, prepare, step):
    request, _ = up_to(counter, capability, counter.batch(prepare(counter)), step)
    repeat, find = request.recover
    assert repeat == Repeat(within=timedelta(hours=23))
    assert isinstance(find, Find)
    assert find.request.method in SAFE_METHODS
    assert find.authoritative
    # An event tells of a sending, and may be listed later; every other look-up shows the thing itself.
    assert find.after == (timedelta(minutes=10) if step == "send" else timedelta())


@every_step
def test_a_request_can_be_stored_and_read_back(counter, capability, prepare, step):
    request, _ = up_to(counter, capability, counter.batch(prepare(counter)), step)
    assert load(dump(request, Step), Step) == request


@every_step
def test_a_look_up_that_is_refused_proves_nothing(counter, capability, prepare, step):
    request, _ = up_to(counter, capability, counter.batch(prepare(counter)), step)
    (way,) = (way for way in request.recover if isinstance(way, Find))
    match = counter.handle.registered_function(way.match.name)
    (finding,) = match(replace(request.sample, status=403), **way.match.args).values()
    assert isinstance(finding, Unknown)


@pytest.mark.parametrize(
    "capability, prepare",
    [(row[0], row[1]) for row in STEPS],
    ids=[f"{row[0]}-{place}" for place, row in enumerate(STEPS)],
)
def test_a_preview_reaches_the_end_and_changes_nothing(counter, capability, prepare, books):
    item = prepare(counter)
    calls = len(books.calls())
    assert counter.samples(capability, item).outcome.kind == "done"
    assert len(books.calls()) == calls


def test_a_list_that_goes_on_proves_no_absence(counter, books):
    counter.drafted(1)
    request = next(counter.handle.start(Capability.SYNC_DRAFT, counter.batch(counter.invoice_item(2))))
    books.fault("partial_page", matching="GET /v1/invoices")
    assert isinstance(counter.look_up(request), Unknown)


def test_a_list_of_events_that_goes_on_does_not_say_that_no_mail_was_sent(counter, books):
    item = counter.issued(**SENT)
    request = counter.effect(Capability.SEND, counter.batch(item))
    counter.lose(request, "lost")
    books.fault("partial_page", matching="GET /v1/events")
    assert isinstance(counter.look_up(request), Unknown)
    assert isinstance(counter.look_up(request), Found)


def test_a_mail_that_a_kept_error_stopped_is_sent_without_anybody_being_asked():
    with Bench(Subject.named("stripe")) as bench:
        item = bench.issued(1)
        worked = bench.work(Capability.SEND, item, blow=Blow(1, "stored_500"))
        sends = [call for call in worked.calls if call.request.step == "send"]
        assert worked.outcomes[item.id].kind == "done"
        assert len(bench.books.ledger.events_since(0, "invoice.sent")) == 1
        assert sends[0].key != sends[-1].key


def test_an_older_edit_is_not_taken_for_the_one_that_was_lost(counter):
    item = an_edit(counter)
    counter.run(Capability.SYNC_DRAFT, item)
    newer = replace(item, invoice=replace(item.invoice, revision=2))
    request = next(counter.handle.start(Capability.SYNC_DRAFT, counter.batch(newer)))
    assert counter.look_up(request) == Absent()


def test_a_declined_payment_leaves_its_id_to_go_on_from(counter):
    item = counter.payment_item(counter.invoice_item(), method="pm_card_chargeDeclined")
    request = next(counter.handle.start(Capability.COLLECT_PAYMENT, counter.batch(item)))
    reply = counter.send(request, "key")
    identify = counter.handle.registered_function(request.identify.name)
    assert identify(reply, **request.identify.args)[item.id].startswith("pi_")


def test_a_lost_decline_is_found_as_a_failure(counter):
    item = counter.payment_item(counter.invoice_item(), method="pm_card_chargeDeclined")
    batch = counter.batch(item)
    request = next(counter.handle.start(Capability.COLLECT_PAYMENT, batch))
    counter.lose(request, "lost")
    result = counter.drive(Capability.COLLECT_PAYMENT, batch, {"charge": counter.look_up(request).reply}).result
    assert (result.status, result.code) == ("failed", "generic_decline")


def test_money_of_another_payment_is_not_taken_for_ours(counter):
    counter.charged(method="pm_card_visa")
    other = counter.payment_item(counter.invoice_item(2), 501, method="pm_card_visa", id=an_id(501))
    request = next(counter.handle.start(Capability.COLLECT_PAYMENT, counter.batch(other)))
    assert counter.look_up(request) == Absent()
