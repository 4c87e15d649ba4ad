"""What must hold in a database that has come to rest, whatever happened before: each rule gives the sentences that say where it is broken."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from billhook.contract.declaration import Capability
from billhook.contract.items import CreditNoteItem, CustomerItem, InvoiceItem, PaymentItem, RefundItem
from billhook.contract.operations import OPERATIONS
from billhook.domain.numbering import SeriesKind
from billhook.engine.engine import Engine
from billhook.engine.invoice_row import COLUMNS, fold
from billhook.engine.number_series import DEFAULTS
from billhook.engine.work import ADVANCE, CLAIMED
from billhook.store import schema
from billhook.store.transaction import Transaction

NOT_IN_EVENTS = frozenset({"id", "namespace", "version"})
UNFINISHED = frozenset({"open"})

_SUBJECTS: Mapping[type, sa.Table] = {
    InvoiceItem: schema.invoice,
    CreditNoteItem: schema.credit_note,
    PaymentItem: schema.payment,
    RefundItem: schema.refund,
    CustomerItem: schema.customer,
}

Rule = Callable[[Transaction], Iterator[str]]


def problems_of(engine: Engine) -> list[str]:
    """Everything that is wrong in a database at rest. Empty when all is well."""
    with engine.database.read() as tx:
        found = [problem for rule in RULES for problem in rule(tx)]
        namespaces = sorted({row.namespace for row in tx.all(sa.select(schema.taken_number.c.namespace).distinct())})
    return found + [problem for namespace in namespaces for problem in _broken_series(engine, namespace)]


def no_app_is_held(tx: Transaction) -> Iterator[str]:
    """At rest nobody holds an app; a dead owner's lease would keep others out."""
    lease = schema.app_lease
    for row in tx.all(sa.select(lease.c.app_id, lease.c.owner).where(lease.c.owner.is_not(None))):
        yield f"app {row.app_id} is still held by {row.owner}"


def every_claim_has_its_operation(tx: Transaction) -> Iterator[str]:
    """Work is claimed only by an operation that goes on, or that waits for a person."""
    work, operation = schema.work, schema.operation
    rows = tx.all(
        sa.select(work.c.item_id, work.c.operation, work.c.operation_id, operation.c.status)
        .outerjoin(operation, operation.c.id == work.c.operation_id)
        .where(work.c.state == CLAIMED)
    )
    for row in rows:
        if row.status not in {"open", "in_doubt"}:
            yield f"{row.operation} of {row.item_id} is claimed by operation {row.operation_id}, which is {row.status}"


def every_doubt_holds_its_work(tx: Transaction) -> Iterator[str]:
    """What is in doubt is begun by nobody else: the work is claimed until somebody says how it ended."""
    work, operation = schema.work, schema.operation
    rows = tx.all(
        sa.select(operation.c.id, operation.c.name)
        .outerjoin(work, sa.and_(work.c.operation_id == operation.c.id, work.c.state == CLAIMED))
        .where(operation.c.status == "in_doubt", work.c.item_id.is_(None))
    )
    for row in rows:
        yield f"operation {row.id} ({row.name}) is in doubt, and holds nothing"


def all_work_is_about_something(tx: Transaction) -> Iterator[str]:
    """Work names a thing of the kind that its operation is about. Nobody could ever do any other, or end it."""
    work = schema.work
    for row in tx.all(sa.select(work.c.item_id, work.c.operation).where(work.c.operation != ADVANCE)):
        table = _SUBJECTS.get(OPERATIONS[Capability(row.operation)].item)
        if table is not None and tx.first(sa.select(table.c.id).where(table.c.id == row.item_id)) is None:
            yield f"{row.operation} is to be done for {row.item_id}, which is no {table.name.removeprefix('billhook_')}"


def nothing_is_left_open(tx: Transaction) -> Iterator[str]:
    """At rest every operation is settled, or in doubt and visible."""
    operation = schema.operation
    for row in tx.all(
        sa.select(operation.c.id, operation.c.name, operation.c.reason).where(operation.c.status.in_(UNFINISHED))
    ):
        yield f"operation {row.id} ({row.name}) is still open: {row.reason}"


def events_lead_to_the_row(tx: Transaction) -> Iterator[str]:
    """An invoice's events have unbroken versions, and replaying them gives its row."""
    for row in tx.all(sa.select(schema.invoice)):
        values = dict(row._mapping)
        events = _events_of(tx, values["id"])
        yield from _broken_versions(values, [version for version, _ in events])
        replayed = fold([changes for _, changes in events])
        for column in COLUMNS:
            if column not in NOT_IN_EVENTS and replayed.get(column) != values[column]:
                yield f"invoice {values['id']}: {column} is {values[column]!r}, its events lead to {replayed.get(column)!r}"


def credit_note_versions_are_unbroken(tx: Transaction) -> Iterator[str]:
    """A credit note's events have unbroken versions, and end in its state."""
    for row in tx.all(sa.select(schema.credit_note)):
        values = dict(row._mapping)
        events = _events_of(tx, values["id"])
        yield from _broken_versions(values, [version for version, _ in events])
        state = fold([changes for _, changes in events]).get("state")
        if state != values["state"]:
            yield f"credit note {values['id']} is {values['state']}, its events lead to {state}"


def every_payment_counts_once(tx: Transaction) -> Iterator[str]:
    """What an invoice counts as paid and refunded is what its payments and refunds came to."""
    invoice, payment, refund = schema.invoice, schema.payment, schema.refund
    for row in tx.all(sa.select(invoice.c.id, invoice.c.amount_paid, invoice.c.amount_refunded)):
        paid = _sum(tx, sa.select(payment.c.amount_received).where(payment.c.invoice_id == row.id))
        refunded = _sum(
            tx, sa.select(refund.c.amount).where(refund.c.invoice_id == row.id, refund.c.state == "succeeded")
        )
        if paid != Decimal(row.amount_paid) or refunded != Decimal(row.amount_refunded):
            yield (
                f"invoice {row.id} counts {row.amount_paid} paid and {row.amount_refunded} refunded; "
                f"its payments came to {paid}, its refunds to {refunded}"
            )


def no_document_has_two_numbers(tx: Transaction) -> Iterator[str]:
    """A document takes one number of a gapless series, and keeps it."""
    taken = schema.taken_number
    counted = sa.select(taken.c.document_id, sa.func.count().label("count")).group_by(taken.c.document_id)
    for row in tx.all(counted.having(sa.func.count() > 1)):
        yield f"document {row.document_id} took {row.count} numbers"


RULES: tuple[Rule, ...] = (
    no_app_is_held,
    every_claim_has_its_operation,
    every_doubt_holds_its_work,
    all_work_is_about_something,
    nothing_is_left_open,
    events_lead_to_the_row,
    credit_note_versions_are_unbroken,
    every_payment_counts_once,
    no_document_has_two_numbers,
)


def _broken_series(engine: Engine, namespace: str) -> Iterator[str]:
    for series in DEFAULTS.values():
        if series.kind is not SeriesKind.GAPLESS:
            continue
        for counter, audit in engine.numbers.audit(namespace, series.name).items():
            if not audit.is_whole:
                yield f"numbers {counter} have gaps {list(audit.gaps)} and duplicates {list(audit.duplicates)}"


def _broken_versions(values: dict[str, Any], versions: list[int]) -> Iterator[str]:
    if versions != list(range(1, values["version"] + 1)):
        yield f"{values['id']} is at version {values['version']}, its events have {versions}"


def _sum(tx: Transaction, amounts: sa.Select[tuple[str]]) -> Decimal:
    return sum((Decimal(amount) for (amount,) in tx.all(amounts)), Decimal(0))


def _events_of(tx: Transaction, document_id: str) -> list[tuple[int, str]]:
    event = schema.event
    rows = tx.all(
        sa.select(event.c.version, event.c.changes).where(event.c.document_id == document_id).order_by(event.c.version)
    )
    return [(row.version, row.changes) for row in rows]
