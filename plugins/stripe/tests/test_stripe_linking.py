"""A credit note on money that went back already links its refunds, so that nothing is given twice."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from billhook.contract import Capability, Reply
from billhook.testing.builders import a_line
from billhook_stripe.linking import links


def flat(amount: str):
    return a_line(1, price={"type": "flat", "amount": amount}, quantity=None)


def paid(counter, amount="100.00", number=1):
    """An invoice at Stripe that was charged, and its payment there."""
    item = counter.issued(number, lines=(flat(amount),))
    return item, counter.run(Capability.COLLECT_PAYMENT, counter.payment_item(item)).result.external_id


def refusing(counter):
    counter.settings = counter.settings.model_copy(update={"unattached_credit_notes": "refuse"})


def credit(counter, invoice, amount, number=50):
    return counter.run(Capability.CREDIT, counter.credit_item(number, invoice.external_id, amount))


def linked(books):
    """What each credit note at Stripe links, the oldest first: the place of the refund, and how much of it."""
    places = {refund.id: place for place, refund in enumerate(books.refunds())}
    notes = reversed(books.ledger.all_of("credit_note"))
    return [[(places[each["refund"]], each["amount_refunded"]) for each in note["refunds"]] for note in notes]


def credit_given(books):
    """What stands on the customer's balance for the next invoice."""
    return -(books.customers()[0].balance or Decimal(0))


@pytest.mark.parametrize("setting", ["refuse", "customer_balance"])
@pytest.mark.parametrize("made", ["from here", "in the dashboard"])
def test_a_credit_note_links_the_refund_that_gave_its_money_back_already(counter, books, setting, made):
    counter.settings = counter.settings.model_copy(update={"unattached_credit_notes": setting})
    item, payment = paid(counter)
    if made == "from here":
        counter.run(Capability.REFUND, counter.refund_item(payment, "40.00"))
    else:
        books.refund_in_dashboard(payment, 4000)
    result = credit(counter, item, "40.00").result
    assert (result.totals.total, linked(books)) == (Decimal("40.00"), [[(0, 4000)]])
    assert credit_given(books) == 0
    assert len(books.refunds()) == 1


def test_a_credit_note_over_less_than_its_refund_leaves_the_rest_to_the_next(counter, books):
    refusing(counter)
    item, payment = paid(counter)
    books.refund_in_dashboard(payment, 10000)
    for number, amount in enumerate(("30.00", "70.00")):
        assert credit(counter, item, amount, 50 + number).outcome.kind == "done"
    assert linked(books) == [[(0, 3000)], [(0, 7000)]]


def test_what_no_refund_gave_back_is_credit_of_the_customer(counter, books):
    item, payment = paid(counter)
    books.refund_in_dashboard(payment, 4000)
    assert credit(counter, item, "100.00").outcome.kind == "done"
    assert (linked(books), credit_given(books)) == ([[(0, 4000)]], Decimal("60.00"))


def test_or_it_is_refused_with_what_was_linked_until_that_went_back_too(counter, books):
    refusing(counter)
    item, payment = paid(counter)
    books.refund_in_dashboard(payment, 4000)
    run = credit(counter, item, "100.00")
    assert (run.codes, linked(books)) == (["credit_note_exceeds_open_amount"], [])
    assert "take 40.00 of it; 60.00 would be left" in run.outcome.issues[0].message
    books.refund_in_dashboard(payment, 6000)
    assert credit(counter, item, "100.00").outcome.kind == "done"
    assert linked(books) == [[(0, 4000), (1, 6000)]]


def test_the_oldest_refund_is_linked_first_whoever_made_it(counter, books, clock):
    item, payment = paid(counter)
    for units in (1000, 2000, 3000):
        books.refund_in_dashboard(payment, units)
        clock.advance(timedelta(days=1))
    for number, amount in enumerate(("15.00", "25.00", "20.00")):
        credit(counter, item, amount, 50 + number)
    assert linked(books) == [[(0, 1000), (1, 500)], [(1, 1500), (2, 1000)], [(2, 2000)]]
    assert credit_given(books) == 0


@pytest.mark.parametrize("status", ["failed", "canceled"])
def test_a_refund_that_gave_nothing_is_not_linked(counter, books, status):
    refusing(counter)
    item, payment = paid(counter)
    books.refund_in_dashboard(payment, 4000, status=status)
    assert credit(counter, item, "40.00").codes == ["credit_note_exceeds_open_amount"]
    books.refund_in_dashboard(payment, 4000)
    assert credit(counter, item, "40.00").outcome.kind == "done"
    assert linked(books) == [[(1, 4000)]]


@pytest.mark.parametrize("status", ["pending", "requires_action"])
def test_a_refund_that_is_under_way_is_linked(counter, books, status):
    item, payment = paid(counter)
    books.refund_in_dashboard(payment, 4000, status=status)
    assert credit(counter, item, "40.00").outcome.kind == "done"
    assert (linked(books), credit_given(books)) == ([[(0, 4000)]], 0)


def test_a_refund_that_makes_up_for_one_that_bounced_is_there_for_no_other_credit_note(counter, books, clock):
    item, payment = paid(counter)
    books.refund_in_dashboard(payment, 1000)
    clock.advance(timedelta(days=1))
    books.refund_in_dashboard(payment, 2000)
    credit(counter, item, "30.00", 50)
    books.bounce_refund(books.refunds()[1].id)
    assert credit_given(books) == 0
    clock.advance(timedelta(days=1))
    books.refund_in_dashboard(payment, 2500)
    credit(counter, item, "15.00", 51)
    assert linked(books)[1] == [(2, 500)]
    assert credit_given(books) == Decimal("10.00")  # 45 are credited: 10 and 25 went back, and these


def test_a_refund_before_the_one_that_bounced_makes_up_for_nothing(counter, books, clock):
    item, payment = paid(counter)
    books.refund_in_dashboard(payment, 3000)
    credit(counter, item, "10.00", 50)
    clock.advance(timedelta(days=1))
    books.refund_in_dashboard(payment, 2000)
    credit(counter, item, "40.00", 51)
    books.bounce_refund(books.refunds()[1].id)
    clock.advance(timedelta(days=1))
    books.refund_in_dashboard(payment, 2000)
    assert linked(books) == [[(0, 1000)], [(0, 2000), (1, 2000)]]
    assert credit(counter, item, "10.00", 52).outcome.kind == "done"
    assert (linked(books)[2], credit_given(books)) == ([], Decimal("10.00"))


def test_what_is_open_is_reduced_before_refunds_of_a_part_are_linked(counter, books):
    item = counter.issued(lines=(flat("100.00"),))
    credit(counter, item, "30.00", 50)
    counter.run(Capability.COLLECT_PAYMENT, counter.payment_item(item, amount=Decimal("70.00")))
    books.refund_in_dashboard(books.payments()[0].id, 7000)
    assert credit(counter, item, "70.00", 51).outcome.kind == "done"
    assert linked(books) == [[], [(0, 7000)]]


def test_refunds_of_other_payments_are_not_linked(counter, books):
    refusing(counter)
    _, other = paid(counter, number=2)
    books.refund_in_dashboard(other, 4000)
    item = counter.issued(lines=(flat("100.00"),))
    counter.run(Capability.RECORD_PAYMENT, counter.payment_item(item))
    run = credit(counter, item, "40.00")
    assert run.codes == ["credit_note_exceeds_open_amount"]
    assert not [step for step in run.steps if step.startswith("refunds")]


def test_only_what_exceeds_the_open_amount_costs_more_than_one_look(counter):
    open_one = counter.issued()
    assert credit(counter, open_one, "10.00").steps == ["invoice", "credit_note"]
    item, payment = paid(counter, number=2)
    assert credit(counter, item, "10.00", 51).steps == [
        "invoice",
        "credit_notes.1",
        f"refunds.{payment}.1",
        "credit_note",
    ]


def test_refunds_and_credit_notes_are_read_page_after_page(counter, books):
    refusing(counter)
    item, payment = paid(counter)
    for units in (1000, 2000):
        books.refund_in_dashboard(payment, units)
    credit(counter, item, "10.00")
    books.fault("partial_page", matching="GET /v1/refunds")
    run = credit(counter, item, "20.00", 51)
    assert (run.outcome.kind, linked(books)) == ("done", [[(0, 1000)], [(1, 2000)]])
    assert f"refunds.{payment}.2" in run.steps
    credit(counter, item, "1.00", 52)
    books.refund_in_dashboard(payment, 500)
    books.fault("partial_page", matching="GET /v1/credit_notes")
    assert credit(counter, item, "5.00", 53).outcome.kind == "done"
    assert linked(books)[2:] == [[(2, 500)]]


def test_a_credit_note_that_a_run_before_made_is_found_and_links_nothing_more(counter, books):
    item, payment = paid(counter)
    books.refund_in_dashboard(payment, 4000)
    made = [credit(counter, item, "20.00").result.external_id for _ in range(2)]
    assert made[0] == made[1]
    assert linked(books) == [[(0, 2000)]]
    assert credit_given(books) == 0


@pytest.mark.parametrize("list_", ["refunds", "credit_notes"])
def test_what_can_t_be_read_gives_nothing(counter, books, list_):
    item, payment = paid(counter)
    books.refund_in_dashboard(payment, 4000)
    step = {"refunds": f"refunds.{payment}.1", "credit_notes": "credit_notes.1"}[list_]
    refused = Reply.of({"error": {"code": "more_permissions_required"}}, status=403)
    batch = counter.batch(counter.credit_item(50, item.external_id, "40.00"))
    run = counter.drive(Capability.CREDIT, batch, {step: refused})
    assert (run.codes, linked(books)) == (["more_permissions_required"], [])


def test_a_credit_note_that_another_one_came_before_is_tried_again(counter, books):
    item, payment = paid(counter)
    books.refund_in_dashboard(payment, 4000)
    batch = counter.batch(counter.credit_item(50, item.external_id, "30.00"))
    steps = counter.handle.start(Capability.CREDIT, batch)
    request = next(steps)
    while request.step != "credit_note":
        request = steps.send(counter.send(request, request.step))
    credit(counter, item, "20.00", 51)
    answered = counter.send(request, "late")
    again = steps.send(answered)
    with pytest.raises(StopIteration) as end:
        steps.send(counter.send(again, "again"))
    (outcome,) = end.value.value.values()
    assert (answered.status, outcome.kind) == (400, "retry")
    assert counter.run(Capability.CREDIT, batch.only).outcome.kind == "done"
    assert (linked(books), credit_given(books)) == ([[(0, 2000)], [(0, 2000)]], Decimal("10.00"))


def test_a_credit_note_that_is_refused_for_another_reason_is_not_tried_again(counter, books):
    item, _ = paid(counter)
    assert credit(counter, item, "100.01").codes == ["stripe_refused"]


GIVEN = (
    {"id": "re_1", "amount": 1000, "status": "succeeded"},
    {"id": "re_2", "amount": 500, "status": "pending"},
)


@pytest.mark.parametrize(
    "status, refund, left",
    [
        ("issued", "re_1", 300),
        ("issued", {"id": "re_1"}, 300),
        ("void", "re_1", 1000),
        ("issued", None, 1000),
    ],
    ids=["linked", "shown whole", "void", "of a payment record"],
)
def test_what_a_credit_note_links_is_left_to_no_other(status, refund, left):
    note = {"status": status, "refunds": [{"refund": refund, "amount_refunded": 700}]}
    taken = [{"refund": "re_1", "amount_refunded": left}]
    assert links(GIVEN, [note], left) == taken
    assert links(GIVEN, [note], left + 1) == [*taken, {"refund": "re_2", "amount_refunded": 1}]


def test_only_what_is_given_back_after_a_failure_makes_up_for_it():
    failed = {"id": "re_0", "amount": 400, "status": "failed"}
    note = {"status": "issued", "refunds": [{"refund": "re_0", "amount_refunded": 400}]}
    second = {"refund": "re_2", "amount_refunded": 500}
    assert links((failed, *GIVEN), [note], 2000) == [{"refund": "re_1", "amount_refunded": 600}, second]
    assert links((*GIVEN, failed), [note], 2000) == [{"refund": "re_1", "amount_refunded": 1000}, second]
    assert links((failed, *GIVEN), [], 1000) == [{"refund": "re_1", "amount_refunded": 1000}]


def test_no_more_is_linked_than_went_back_and_none_where_nothing_is_left():
    whole = [{"refund": "re_1", "amount_refunded": 1000}, {"refund": "re_2", "amount_refunded": 500}]
    assert links(GIVEN, [], 2000) == whole
    assert links(GIVEN, [{"status": "issued", "refunds": whole}], 2000) == []
