"""Silver: what is fetched of an invoice adds up: what came, what was credited and what went back, each once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from functools import partial

from billhook.contract import (
    Capability,
    Done,
    InvoiceItem,
    PaymentItem,
    PaymentResult,
    Receipt,
    RefundStatus,
    Snapshot,
)
from billhook.domain.money import round_to
from billhook.testing.desk import in_words
from billhook.testing.kit.bench import Bench
from billhook.testing.kit.check import Check, Tier, Verdict
from billhook.testing.kit.examination import Examination
from billhook.testing.kit.rules import Rule
from billhook.testing.kit.scenes import issued, settled_payment
from billhook.testing.kit.silver_money import in_each_currency
from billhook.testing.kit.trying import Refused, refuse_beforehand, tried

C = Capability
PART = Decimal("1.29")
"""In hundredths, cut off as a binary fraction, it is 128."""
BEYOND = Decimal(2)
"""What comes that the invoice has no room for."""


def what_is_fetched_adds_up(examination: Examination) -> Verdict:
    """What is noted, credited or given back is fetched as that, once, in currencies with no, two and three decimals."""
    return tried("what is fetched is what came, less what went back", "story", _stories(examination))


def _stories(examination: Examination) -> Iterator[Callable[[], str | None]]:
    subject = examination.subject
    if not subject.can(C.ISSUE):
        return
    if subject.can(C.RECORD_PAYMENT):
        yield from in_each_currency(examination, _noted)
    if subject.can(C.CREDIT):
        yield from in_each_currency(examination, _credited)
    if all(map(subject.can, (C.COLLECT_PAYMENT, C.CHECK_PAYMENT, C.REFUND))):
        yield partial(_went_back, examination)


def _noted(bench: Bench) -> str | None:
    """A part, and then more than the rest."""
    refuse_beforehand(bench, bench.invoice_item())
    (invoice,) = issued(bench)
    part = round_to(PART, bench.currency)
    noted: list[PaymentResult] = []
    for number, amount in enumerate((part, invoice.invoice.total - part + BEYOND)):
        item = replace(bench.payment_item(invoice, 500 + number), amount=amount, received_at=bench.clock.now())
        outcome = bench.run(C.RECORD_PAYMENT, item).outcome
        if not isinstance(outcome, Done):
            if noted:
                return None  # it may take no more than is due
            raise Refused(f"a part of an invoice is not noted: {in_words(outcome)}")
        noted.append(outcome.result)
        bench.rest()
        problem = _told_otherwise(item, outcome.result) or _noted_otherwise(_fetched(bench, invoice), invoice, noted)
        if problem is not None:
            return problem
    return None


def _told_otherwise(item: PaymentItem, result: PaymentResult) -> str | None:
    if result.amount == item.amount:
        return None
    return f"{item.amount} {item.currency} was to be noted, and the outcome says {result.amount}"


def _noted_otherwise(seen: Snapshot, invoice: InvoiceItem, noted: list[PaymentResult]) -> str | None:
    came = sum(map(_on_the_invoice, noted), Decimal(0))
    aside = sum((result.on_account for result in noted), Decimal(0))
    asked = f"on an invoice of {_total(invoice)} {came} is noted" + (f", and {aside} more on account" if aside else "")
    if seen.amount_paid not in {None, came}:
        return f"{asked}, and {seen.amount_paid} is fetched as paid"
    if seen.amount_due not in {None, max(invoice.invoice.total - came, Decimal(0))}:
        return f"{asked}, and {seen.amount_due} is fetched as due"
    known = {receipt.external_id: receipt for receipt in seen.receipts}
    problems = (_receipt_otherwise(known, result) for result in noted if known and result.external_id)
    return next(filter(None, problems), None)


def _on_the_invoice(result: PaymentResult) -> Decimal:
    """What of a payment that was noted the invoice has."""
    return result.amount - result.on_account


def _receipt_otherwise(known: Mapping[str, Receipt], result: PaymentResult) -> str | None:
    receipt = known.get(str(result.external_id))
    if receipt is None:
        return f"{result.external_id} was noted, and the receipts that are fetched are {', '.join(sorted(known))}"
    if (receipt.amount, receipt.refunded) == (_on_the_invoice(result), Decimal(0)):
        return None
    return f"of {result.external_id} the invoice has {_on_the_invoice(result)}, and {_said_by(receipt)}"


def _said_by(receipt: Receipt) -> str:
    return f"its receipt says that {receipt.amount} came and {receipt.refunded} went back"


def _credited(bench: Bench) -> str | None:
    """A part of an invoice of which nothing is paid. What the customer keeps as credit takes nothing off it."""
    refuse_beforehand(bench, bench.invoice_item())
    (invoice,) = issued(bench)
    item = bench.credit_item(50, applies_to=invoice.external_id)
    outcome = bench.run(C.CREDIT, item).outcome
    if not isinstance(outcome, Done):
        raise Refused(f"a credit note on an invoice that is owed comes to {in_words(outcome)}")
    bench.rest()
    seen, taken_off = _fetched(bench, invoice), item.credit_note.total - (outcome.result.kept_as_credit or Decimal(0))
    asked = f"of an invoice of {_total(invoice)} {taken_off} is credited and nothing paid"
    if seen.amount_paid:
        return f"{asked}, and {seen.amount_paid} is fetched as paid"
    if seen.amount_due not in {None, invoice.invoice.total - taken_off}:
        return f"{asked}, and {seen.amount_due} is fetched as due"
    return None


def _went_back(examination: Examination) -> str | None:
    """A part of a payment that was collected for an invoice there."""
    with examination.bench() as bench:
        payment = settled_payment(bench)
        if payment.invoice_external_id is None:
            raise Refused("it collects for invoices that live elsewhere")
        refund = bench.refund_item(str(payment.external_id), str(round_to(PART, bench.currency)))
        outcome = bench.run(C.REFUND, refund).outcome
        bench.rest()
        if not isinstance(outcome, Done) or outcome.result.status is not RefundStatus.SUCCEEDED:
            raise Refused(f"a refund is not over at once: {in_words(outcome)}")
        seen = _fetched(bench, bench.invoice_item(1, number="INV-1", external_id=payment.invoice_external_id))
    asked = f"of {payment.amount} {payment.currency} that was paid {refund.amount} is given back"
    if seen.amount_paid not in {None, Decimal(0), payment.amount - refund.amount}:
        return f"{asked}, and {seen.amount_paid} is fetched as paid"
    receipt = next((each for each in seen.receipts if each.external_id == payment.external_id), None)
    if receipt is None or (receipt.amount, receipt.refunded) == (payment.amount, refund.amount):
        return None
    return f"{asked}, and {_said_by(receipt)}"


def _fetched(bench: Bench, invoice: InvoiceItem) -> Snapshot:
    snapshot: Snapshot = bench.run(C.FETCH, invoice).result
    return snapshot


def _total(item: InvoiceItem) -> str:
    return f"{item.invoice.total} {item.invoice.currency}"


CHECKS: tuple[Check, ...] = (
    Check(
        what_is_fetched_adds_up.__name__,
        Tier.SILVER,
        Rule.EXACT,
        (what_is_fetched_adds_up.__doc__ or "").splitlines()[0],
        what_is_fetched_adds_up,
        (C.FETCH,),
    ),
)
