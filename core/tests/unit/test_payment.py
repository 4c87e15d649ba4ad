from __future__ import annotations

from decimal import Decimal

import pytest

from billhook.domain.payment import (
    CREDIT_NOTE_TRANSITIONS,
    PAYMENT_TRANSITIONS,
    REFUND_TRANSITIONS,
    Allocation,
    CreditNoteStatus,
    CreditNoteTrigger,
    Payment,
    PaymentStatus,
    PaymentTrigger,
    Refund,
    RefundStatus,
    RefundTrigger,
    advance,
    balance,
)
from billhook.errors import NotAllowed
from billhook.testing.builders import an_id


def paid(amount: str, status: PaymentStatus = PaymentStatus.SUCCEEDED) -> Payment:
    return Payment(id=an_id(2), customer_id=an_id(), amount=Decimal(amount), currency="EUR", status=status)


def refunded(amount: str, status: RefundStatus = RefundStatus.SUCCEEDED) -> Refund:
    return Refund(id=an_id(3), payment_id=an_id(2), amount=Decimal(amount), currency="EUR", status=status)


def credited(amount: str) -> Allocation:
    return Allocation(id=an_id(4), credit_note_id=an_id(5), invoice_id=an_id(6), amount=Decimal(amount))


def test_nothing_paid_leaves_the_total_due():
    stands = balance(Decimal("100.00"))
    assert (stands.amount_due, stands.fully_paid, stands.nothing_captured) == (100, False, True)


def test_two_part_payments_and_a_credit_settle_an_invoice():
    stands = balance(Decimal("100.00"), [paid("30.00"), paid("45.50")], [], [credited("24.50")])
    assert (stands.amount_paid, stands.amount_credited, stands.amount_due) == (Decimal("75.50"), Decimal("24.50"), 0)
    assert stands.fully_paid


@pytest.mark.parametrize("status", [status for status in PaymentStatus if status is not PaymentStatus.SUCCEEDED])
def test_only_money_that_arrived_counts(status):
    assert balance(Decimal(100), [paid("100", status)]).amount_due == 100


def test_a_refund_makes_the_amount_due_again():
    stands = balance(Decimal(100), [paid("100")], [refunded("40"), refunded("60", RefundStatus.FAILED)])
    assert (stands.amount_refunded, stands.amount_due) == (40, 40)
    assert not stands.nothing_captured


def test_what_came_beyond_the_total_is_overpaid_and_not_due_below_zero():
    stands = balance(Decimal(100), [paid("130")])
    assert (stands.amount_due, stands.overpaid) == (0, 30)


@pytest.mark.parametrize(
    "table, statuses",
    [
        (PAYMENT_TRANSITIONS, PaymentStatus),
        (REFUND_TRANSITIONS, RefundStatus),
        (CREDIT_NOTE_TRANSITIONS, CreditNoteStatus),
    ],
)
def test_every_state_is_in_its_table_and_can_be_reached(table, statuses):
    assert set(table) == set(statuses)
    reached = {target for row in table.values() for target in row.values()}
    assert reached | {next(iter(statuses))} == set(statuses)


def test_a_payment_that_needed_the_customer_succeeds_in_the_end():
    state = PaymentStatus.PENDING
    for trigger in (
        PaymentTrigger.PROCESS,
        PaymentTrigger.REQUIRE_ACTION,
        PaymentTrigger.PROCESS,
        PaymentTrigger.SUCCEED,
    ):
        state = advance(PAYMENT_TRANSITIONS, state, trigger)
    assert state is PaymentStatus.SUCCEEDED


def test_a_bank_debit_can_fail_after_it_counted():
    assert advance(PAYMENT_TRANSITIONS, PaymentStatus.SUCCEEDED, PaymentTrigger.FAIL) is PaymentStatus.FAILED


def test_a_canceled_payment_stays_canceled():
    with pytest.raises(NotAllowed) as refused:
        advance(PAYMENT_TRANSITIONS, PaymentStatus.CANCELED, PaymentTrigger.SUCCEED)
    assert refused.value.code == "transition_not_available"


def test_a_credit_note_in_flight_cannot_be_voided():
    with pytest.raises(NotAllowed):
        advance(CREDIT_NOTE_TRANSITIONS, CreditNoteStatus.ISSUING, CreditNoteTrigger.VOID)


def test_a_refund_that_failed_can_be_tried_again():
    assert advance(REFUND_TRANSITIONS, RefundStatus.FAILED, RefundTrigger.PROCESS) is RefundStatus.PROCESSING
