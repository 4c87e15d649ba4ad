"""Money that came, went back or was credited, and what is still due after it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, TypeVar

from pydantic import Field

from billhook.domain.base import Code, Description, Key, Metadata, Value
from billhook.domain.currency import CurrencyCode
from billhook.domain.ids import Ulid
from billhook.domain.money import EXACT, ZERO, Amount, total_of
from billhook.domain.period import UtcDatetime
from billhook.errors import NotAllowed


class PaymentStatus(StrEnum):
    PENDING = "pending"
    PROCESSING = "processing"
    ACTION_REQUIRED = "action_required"
    AUTHORIZED = "authorized"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"


class PaymentTrigger(StrEnum):
    PROCESS = "process"
    REQUIRE_ACTION = "require_action"
    AUTHORIZE = "authorize"
    SUCCEED = "succeed"
    FAIL = "fail"
    CANCEL = "cancel"
    TAKE_BACK = "take_back"


class RefundStatus(StrEnum):
    PENDING = "pending"
    PROCESSING = "processing"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"


class RefundTrigger(StrEnum):
    PROCESS = "process"
    SUCCEED = "succeed"
    FAIL = "fail"
    CANCEL = "cancel"
    TAKE_BACK = "take_back"


class RefundOrigin(StrEnum):
    """Asked of the app that received the payment; made there by others; or paid back another way, and only recorded."""

    REQUESTED = "requested"
    OUTSIDE = "outside"
    RECORDED = "recorded"


class CreditNoteStatus(StrEnum):
    DRAFT = "draft"
    ISSUING = "issuing"
    ISSUED = "issued"
    FAILED = "failed"
    VOIDED = "voided"


class CreditNoteTrigger(StrEnum):
    ISSUE = "issue"
    CONFIRM = "confirm"
    FAIL = "fail"
    RETRY = "retry"
    VOID = "void"


PositiveAmount = Annotated[Amount, Field(gt=0)]


class Payment(Value):
    """One attempt of the customer to pay, or money that came another way."""

    id: Ulid
    invoice_id: Ulid | None = None
    customer_id: Ulid
    amount: PositiveAmount
    currency: CurrencyCode
    status: PaymentStatus = PaymentStatus.PENDING
    method: Code | None = None
    external_id: Key | None = None
    received_at: UtcDatetime | None = None
    failure: Description | None = None
    metadata: Metadata = Field(default_factory=dict)


class Refund(Value):
    """Money of one payment given back."""

    id: Ulid
    payment_id: Ulid
    amount: PositiveAmount
    currency: CurrencyCode
    status: RefundStatus = RefundStatus.PENDING
    external_id: Key | None = None
    reason: Description | None = None


class Allocation(Value):
    """A part of a credit note put against an invoice."""

    id: Ulid
    credit_note_id: Ulid
    invoice_id: Ulid
    amount: PositiveAmount


@dataclass(frozen=True, slots=True)
class Balance:
    """Where an invoice stands. `overpaid` is what came beyond the total."""

    total: Decimal
    amount_paid: Decimal
    amount_refunded: Decimal
    amount_credited: Decimal
    amount_due: Decimal
    overpaid: Decimal

    @property
    def fully_paid(self) -> bool:
        return not self.amount_due

    @property
    def nothing_captured(self) -> bool:
        return self.amount_paid == self.amount_refunded


def balance(
    total: Decimal,
    payments: Iterable[Payment] = (),
    refunds: Iterable[Refund] = (),
    allocations: Iterable[Allocation] = (),
) -> Balance:
    """Where an invoice of that total stands. Only payments and refunds that succeeded count."""
    paid = total_of(payment.amount for payment in payments if payment.status is PaymentStatus.SUCCEEDED)
    refunded = total_of(refund.amount for refund in refunds if refund.status is RefundStatus.SUCCEEDED)
    credited = total_of(allocation.amount for allocation in allocations)
    open_amount = EXACT.subtract(EXACT.add(total, refunded), EXACT.add(paid, credited))
    return Balance(
        total=total,
        amount_paid=paid,
        amount_refunded=refunded,
        amount_credited=credited,
        amount_due=max(open_amount, ZERO),
        overpaid=max(EXACT.minus(open_amount), ZERO),
    )


S = TypeVar("S", bound=StrEnum)
T = TypeVar("T", bound=StrEnum)
Transitions = Mapping[S, Mapping[T, S]]

PAYMENT_TRANSITIONS: Transitions[PaymentStatus, PaymentTrigger] = {
    PaymentStatus.PENDING: {
        PaymentTrigger.PROCESS: PaymentStatus.PROCESSING,
        PaymentTrigger.REQUIRE_ACTION: PaymentStatus.ACTION_REQUIRED,
        PaymentTrigger.AUTHORIZE: PaymentStatus.AUTHORIZED,
        PaymentTrigger.SUCCEED: PaymentStatus.SUCCEEDED,
        PaymentTrigger.FAIL: PaymentStatus.FAILED,
        PaymentTrigger.CANCEL: PaymentStatus.CANCELED,
    },
    PaymentStatus.PROCESSING: {
        PaymentTrigger.REQUIRE_ACTION: PaymentStatus.ACTION_REQUIRED,
        PaymentTrigger.AUTHORIZE: PaymentStatus.AUTHORIZED,
        PaymentTrigger.SUCCEED: PaymentStatus.SUCCEEDED,
        PaymentTrigger.FAIL: PaymentStatus.FAILED,
        PaymentTrigger.CANCEL: PaymentStatus.CANCELED,
    },
    PaymentStatus.ACTION_REQUIRED: {
        PaymentTrigger.PROCESS: PaymentStatus.PROCESSING,
        PaymentTrigger.AUTHORIZE: PaymentStatus.AUTHORIZED,
        PaymentTrigger.SUCCEED: PaymentStatus.SUCCEEDED,
        PaymentTrigger.FAIL: PaymentStatus.FAILED,
        PaymentTrigger.CANCEL: PaymentStatus.CANCELED,
    },
    PaymentStatus.AUTHORIZED: {
        PaymentTrigger.PROCESS: PaymentStatus.PROCESSING,
        PaymentTrigger.SUCCEED: PaymentStatus.SUCCEEDED,
        PaymentTrigger.FAIL: PaymentStatus.FAILED,
        PaymentTrigger.CANCEL: PaymentStatus.CANCELED,
    },
    # The customer may try again with another method.
    PaymentStatus.FAILED: {
        PaymentTrigger.PROCESS: PaymentStatus.PROCESSING,
        PaymentTrigger.REQUIRE_ACTION: PaymentStatus.ACTION_REQUIRED,
        PaymentTrigger.AUTHORIZE: PaymentStatus.AUTHORIZED,
        PaymentTrigger.SUCCEED: PaymentStatus.SUCCEEDED,
        PaymentTrigger.CANCEL: PaymentStatus.CANCELED,
    },
    # A bank debit can fail days after it counted as collected, and what was noted by hand may have been a mistake.
    PaymentStatus.SUCCEEDED: {
        PaymentTrigger.FAIL: PaymentStatus.FAILED,
        PaymentTrigger.TAKE_BACK: PaymentStatus.CANCELED,
    },
    PaymentStatus.CANCELED: {},
}

REFUND_TRANSITIONS: Transitions[RefundStatus, RefundTrigger] = {
    RefundStatus.PENDING: {
        RefundTrigger.PROCESS: RefundStatus.PROCESSING,
        RefundTrigger.SUCCEED: RefundStatus.SUCCEEDED,
        RefundTrigger.FAIL: RefundStatus.FAILED,
        RefundTrigger.CANCEL: RefundStatus.CANCELED,
    },
    RefundStatus.PROCESSING: {
        RefundTrigger.SUCCEED: RefundStatus.SUCCEEDED,
        RefundTrigger.FAIL: RefundStatus.FAILED,
        RefundTrigger.CANCEL: RefundStatus.CANCELED,
    },
    RefundStatus.FAILED: {RefundTrigger.PROCESS: RefundStatus.PROCESSING},
    # The customer's bank can send it back, and what was only recorded can be a mistake.
    RefundStatus.SUCCEEDED: {
        RefundTrigger.FAIL: RefundStatus.FAILED,
        RefundTrigger.TAKE_BACK: RefundStatus.CANCELED,
    },
    RefundStatus.CANCELED: {},
}

CREDIT_NOTE_TRANSITIONS: Transitions[CreditNoteStatus, CreditNoteTrigger] = {
    CreditNoteStatus.DRAFT: {
        CreditNoteTrigger.ISSUE: CreditNoteStatus.ISSUING,
        CreditNoteTrigger.VOID: CreditNoteStatus.VOIDED,
    },
    CreditNoteStatus.ISSUING: {
        CreditNoteTrigger.CONFIRM: CreditNoteStatus.ISSUED,
        CreditNoteTrigger.FAIL: CreditNoteStatus.FAILED,
    },
    CreditNoteStatus.FAILED: {
        CreditNoteTrigger.RETRY: CreditNoteStatus.ISSUING,
        CreditNoteTrigger.VOID: CreditNoteStatus.VOIDED,
    },
    CreditNoteStatus.ISSUED: {CreditNoteTrigger.VOID: CreditNoteStatus.VOIDED},
    CreditNoteStatus.VOIDED: {},
}


def advance(table: Transitions[S, T], state: S, trigger: T) -> S:
    """The state that follows. Raises NotAllowed where the table has no such step."""
    try:
        return table[state][trigger]
    except KeyError:
        possible = ", ".join(table[state]) or "nothing"
        raise NotAllowed(
            f"{trigger} is not possible in state {state}. Possible there: {possible}.", "transition_not_available"
        ) from None
