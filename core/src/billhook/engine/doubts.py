"""Settling what the engine can't know: an operator says what the provider holds, and the work goes on from there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from billhook.contract.declaration import Capability, NumberOwner
from billhook.contract.operations import OPERATIONS
from billhook.contract.outcomes import Done
from billhook.contract.results import (
    CustomerResult,
    DocumentResult,
    PaymentResult,
    PaymentStatus,
    RefundResult,
    RefundStatus,
    RemovalResult,
    SendResult,
    WriteOffResult,
)
from billhook.engine import notes
from billhook.engine.apps import AppHandle
from billhook.engine.arguments import checked
from billhook.engine.commands import Commands, awaited
from billhook.engine.context import Context
from billhook.engine.doubted import DoubtedItem, StoredDoubt, read_doubts, show_doubts
from billhook.engine.effects import Release, Settlement
from billhook.engine.freeze import FrozenBatch, Thawer
from billhook.engine.locks import hold
from billhook.engine.settle import Settler, check_of
from billhook.engine.settled import Settled
from billhook.engine.tables import WORK_COLUMNS
from billhook.engine.told_ids import keep_told
from billhook.engine.unit import Unit
from billhook.engine.work import CLAIMED, Lane, WorkRow, until_customer
from billhook.errors import Conflict, InvalidInput, NotAllowed, NotFound
from billhook.store import schema
from billhook.store.transaction import Transaction

_operation, _work, _attempt, _link = schema.operation, schema.work, schema.attempt, schema.document_link


@dataclass(frozen=True, slots=True)
class Finding:
    """What an operator says. Without an ``external_id`` nothing is there, or (``look_again``) the engine is to look once more."""

    external_id: str | None = None
    number: str | None = None
    look_again: bool = False
    by: str | None = None
    note: str | None = None

    @property
    def ending(self) -> str:
        """How the event that tells of it ends."""
        if self.look_again:
            return "look_again"
        return "absent" if self.external_id is None else "found"

    @property
    def words(self) -> str:
        """What the timeline shows."""
        number = f" with number {self.number}" if self.number else ""
        what = f"It stands there as {self.external_id}{number}." if self.external_id else ""
        said = f"{self.by or 'An operator'}: {self.note}" if self.note or self.by else ""
        return " ".join(part for part in (what, said) if part)


@checked
class Doubts:
    """Outcomes of one namespace that nobody knows."""

    def __init__(self, context: Context, settler: Settler, namespace: str) -> None:
        self._context = context
        self._settler = settler
        self._namespace = namespace
        self._commands = Commands(settler)

    def list(self) -> tuple[DoubtedItem, ...]:
        """Everything that is in doubt, the oldest first, with what was sent and under which key."""
        with self._context.database.read() as tx:
            return show_doubts(tx, read_doubts(tx, self._namespace))

    def resolve(
        self,
        document_id: str,
        *,
        found: str | None = None,
        number: str | None = None,
        absent: bool = False,
        look_again: bool = False,
        operation: str | None = None,
        by: str | None = None,
        note: str | None = None,
    ) -> None:
        """Say what you found at the provider; exactly one of ``found``, ``absent`` and ``look_again``.

        ``found`` is the provider's id of what stands there. Where the provider can be read, it counts only once it was read and is
        equal to the cent, and is in doubt again where an invoice is not shown under it; elsewhere it counts on your word. ``number``
        goes with it where the provider numbers. ``absent``: nothing is there, so it is done anew under a new key. ``look_again``: let
        the engine look once more, for the whole request. ``operation`` chooses among several doubts of one document. ``by`` and ``note``
        go into the timeline.

        Raises NotFound when nothing of that document is in doubt, Conflict when it is not clear which doubt is meant, InvalidInput for an
        id that another document of ours has there.
        """
        _check_one_answer(found, absent=absent, look_again=look_again)
        finding = Finding(found, number, look_again, by, note)
        self._context.database.write(lambda tx: self._resolve(tx, document_id, operation, finding))

    def _resolve(self, tx: Transaction, document_id: str, operation: str | None, finding: Finding) -> None:
        doubt = self._locked(tx, document_id, operation)
        unit = Unit(self._context, tx, lane=Lane.INTERACTIVE)
        unit.awaited = awaited(tx, [doubt.work.subject_id])
        app = unit.app(doubt.work.app_id)
        if finding.look_again:
            self._look_again(unit, app, doubt, finding)
        else:
            self._answer(unit, app, doubt, finding)
        unit.flush()
        self._commands.apply_recorded(unit, [doubt.work.subject_id])

    def _locked(self, tx: Transaction, document_id: str, operation: str | None) -> StoredDoubt:
        doubt = self._only(tx, document_id, operation)
        # Two answers about one request must take turns, so that the last one sees that nothing is left.
        hold(tx, self._namespace, f"operation/{doubt.operation_id}")
        return self._only(tx, document_id, operation)

    def _only(self, tx: Transaction, document_id: str, operation: str | None) -> StoredDoubt:
        doubts = [
            doubt
            for doubt in read_doubts(tx, self._namespace, document_id)
            if operation in {None, doubt.work.operation}
        ]
        if not doubts:
            raise NotFound("outcome in doubt of document", document_id, self._namespace)
        if len(doubts) > 1:
            names = ", ".join(f"{doubt.work.operation} of {doubt.work.item_id}" for doubt in doubts)
            raise Conflict(
                f"Several outcomes of {document_id} are in doubt: {names}. Name the one that you looked up.",
                "doubt_ambiguous",
            )
        return doubts[0]

    # Looking again.

    def _look_again(self, unit: Unit, app: AppHandle, doubt: StoredDoubt, finding: Finding) -> None:
        unit.tx.execute(
            sa.update(_operation)
            .where(_operation.c.id == doubt.operation_id)
            .values(status="open", due=unit.now_micros, reason=None)
        )
        unit.tx.execute(sa.update(_attempt).where(_attempt.c.operation_id == doubt.operation_id).values(looked="{}"))
        for work in _held_by(unit.tx, app.id, doubt.operation_id):
            self._note(unit, app, work, finding)
        unit.work.wake(app.id, unit.now_micros)

    # Found, or not there.

    def _answer(self, unit: Unit, app: AppHandle, doubt: StoredDoubt, finding: Finding) -> None:
        capability = Capability(doubt.work.operation)
        _check_number(app, finding)
        _check_nobody_elses(unit.tx, app, doubt.work, finding)
        self._note(unit, app, doubt.work, finding)
        _let_go(unit, doubt)
        if finding.external_id is None:
            self._settle(unit, app, doubt, lambda _item: Release())
        elif check_of(app.handle.declaration, capability) is capability:
            self._settle(unit, app, doubt, lambda item: _done(app, capability, item, finding, unit.now))
        else:
            self._read_first(unit, app, doubt.work, finding)

    def _settle(self, unit: Unit, app: AppHandle, doubt: StoredDoubt, outcome_of: Callable[[Any], Settlement]) -> None:
        capability = Capability(doubt.work.operation)
        frozen = next(item for item in FrozenBatch.load(doubt.frozen).items if item["id"] == doubt.work.item_id)
        item = Thawer(self._context, unit.tx, app.id).items(OPERATIONS[capability], [frozen])[0]
        self._settler.settle(unit, Settled(app, capability, doubt.work, item, outcome_of(item)))

    def _read_first(self, unit: Unit, app: AppHandle, work: WorkRow, finding: Finding) -> None:
        # What stands there is compared to the cent before it counts; reading it settles the invoice or the payment.
        capability = Capability(work.operation)
        unit.work.drop(*work.key)
        if capability in _OF_RECORDS:
            kind = _OF_RECORDS[capability]
            record = unit.money.get(kind, work.item_id)
            record["external_id"] = finding.external_id
            unit.money.save(kind, record)
        else:
            link = unit.links.of(work.item_id, app.id)
            keep_told(link, work, finding.external_id, finding.number)
            unit.links.save(link)
        row = unit.invoice(work.subject_id)
        check = check_of(app.handle.declaration, capability)
        reading = WorkRow(work.item_id, check.value, app.id, row.id, version=row.values["version"])
        if not unit.work.is_claimed(reading):
            self._settler.advancer.want(unit, app, check, reading, row.values["customer_id"])

    def _note(self, unit: Unit, app: AppHandle, work: WorkRow, finding: Finding) -> None:
        unit.issues.report(work.subject_id, OPERATIONS[Capability(work.operation)].component(app.type), [])
        if work.operation == Capability.RECORD_PAYMENT:
            refused = notes.component(app, unit.money.get("payment", work.item_id))
            unit.issues.report(work.subject_id, refused, [])
        cause, operation_id = f"{work.operation}.{finding.ending}", work.operation_id
        if work.operation == Capability.CREDIT:
            record = unit.money.get("credit_note", work.item_id)
            unit.record_document(
                unit.money.save("credit_note", record), cause, {}, operation_id=operation_id, note=finding.words
            )
            return
        for invoice_id in _invoices_concerned(unit, work):
            unit.record(unit.invoice(invoice_id), cause, operation_id=operation_id, note=finding.words)


def _check_one_answer(found: str | None, *, absent: bool, look_again: bool) -> None:
    if sum((found is not None, absent, look_again)) != 1:
        raise InvalidInput(
            "resolution_unclear", "Say one thing: the id that you found, that nothing is there (absent), or look_again."
        )


def _check_number(app: AppHandle, finding: Finding) -> None:
    if finding.number is not None and app.handle.declaration.numbers.owner is NumberOwner.ENGINE:
        raise InvalidInput(
            "number_not_theirs", f"Documents at {app.name} get their numbers here. Leave the number away.", "/number"
        )


def _check_nobody_elses(tx: Transaction, app: AppHandle, work: WorkRow, finding: Finding) -> None:
    """Raise InvalidInput for an id that another document of ours has at that app."""
    if finding.external_id is None or work.operation == Capability.SYNC_CUSTOMER:
        return
    other = tx.scalar(_of_another(app.id, work, finding.external_id).limit(1))
    if other is not None:
        raise InvalidInput(
            "found_is_anothers",
            f"At {app.name}, {finding.external_id} is {other} already. Look up what stands there for {work.item_id}, and give its id.",
            "/found",
        )


def _of_another(app_id: str, work: WorkRow, external_id: str) -> sa.Select[tuple[str]]:
    kind = _OF_RECORDS.get(Capability(work.operation))
    if kind is not None:
        table = schema.payment if kind == "payment" else schema.refund
        return sa.select(table.c.id).where(
            table.c.app_id == app_id,
            table.c.external_id == external_id,
            table.c.id != work.item_id,
            table.c.state != "failed",  # a provider may try again on the payment that failed
        )
    is_payment = work.operation == Capability.RECORD_PAYMENT
    same_kind = _link.c.kind == "payment" if is_payment else _link.c.kind != "payment"
    mine = sa.and_(_link.c.app_id == app_id, _link.c.external_id == external_id, same_kind)
    return sa.select(_link.c.document_id).where(mine, _link.c.document_id != work.item_id)


def _held_by(tx: Transaction, app_id: str, operation_id: str) -> list[WorkRow]:
    columns = [_work.c[name] for name in WORK_COLUMNS]
    mine = sa.and_(_work.c.app_id == app_id, _work.c.state == CLAIMED, _work.c.operation_id == operation_id)
    return [WorkRow(*row) for row in tx.all(sa.select(*columns).where(mine))]


def _let_go(unit: Unit, doubt: StoredDoubt) -> None:
    """The operation ends with the last of its items that nobody knew about."""
    if len(_held_by(unit.tx, doubt.work.app_id, doubt.operation_id)) > 1:
        return
    ended = sa.update(_operation).where(_operation.c.id == doubt.operation_id)
    unit.tx.execute(ended.values(status="settled", due=None, settled_at=unit.now_micros))


def _invoices_concerned(unit: Unit, work: WorkRow) -> list[str]:
    """The invoice itself, or those that wait for the customer."""
    if work.operation != Capability.SYNC_CUSTOMER:
        return [work.subject_id]
    waiting = unit.work.waiting_for(until_customer(work.item_id, work.app_id))
    invoices = [other.subject_id for other in waiting if other.operation != Capability.CREDIT]
    return list(dict.fromkeys(invoices))


def _done(app: AppHandle, capability: Capability, item: Any, finding: Finding, now: datetime) -> Done[Any]:
    """The operation's result on the operator's word alone."""
    if capability not in _RESULTS:
        raise NotAllowed(
            f"{capability} only reads at {app.name}, so there is nothing to be found. Say absent, and it is asked again.",
            "resolution_not_available",
        )
    return Done(_RESULTS[capability](item, finding, now))


def _customer(item: Any, finding: Finding, now: datetime) -> CustomerResult:
    return CustomerResult(finding.external_id or "")


def _document(item: Any, finding: Finding, now: datetime) -> DocumentResult:
    return DocumentResult(external_id=finding.external_id, number=finding.number)


def _payment(item: Any, finding: Finding, now: datetime) -> PaymentResult:
    return PaymentResult(PaymentStatus.SUCCEEDED, item.amount, finding.external_id)


def _canceled(item: Any, finding: Finding, now: datetime) -> PaymentResult:
    return PaymentResult(PaymentStatus.CANCELED, Decimal(0), finding.external_id)


def _refund(item: Any, finding: Finding, now: datetime) -> RefundResult:
    return RefundResult(RefundStatus.SUCCEEDED, item.amount, finding.external_id)


def _sent(item: Any, finding: Finding, now: datetime) -> SendResult:
    return SendResult(now)


def _removal(item: Any, finding: Finding, now: datetime) -> RemovalResult:
    return RemovalResult(finding.external_id)


def _write_off(item: Any, finding: Finding, now: datetime) -> WriteOffResult:
    return WriteOffResult(finding.external_id)


_OF_RECORDS: dict[Capability, str] = {
    Capability.COLLECT_PAYMENT: "payment",
    Capability.CAPTURE_PAYMENT: "payment",
    Capability.CANCEL_PAYMENT: "payment",
    Capability.REFUND: "refund",
}
_RESULTS: dict[Capability, Callable[[Any, Finding, datetime], Any]] = {
    Capability.SYNC_CUSTOMER: _customer,
    Capability.SYNC_DRAFT: _document,
    Capability.ISSUE: _document,
    Capability.CREDIT: _document,
    Capability.SEND: _sent,
    Capability.VOID: _removal,
    Capability.DELETE: _removal,
    Capability.MARK_UNCOLLECTIBLE: _write_off,
    Capability.COLLECT_PAYMENT: _payment,
    Capability.CAPTURE_PAYMENT: _payment,
    Capability.CANCEL_PAYMENT: _canceled,
    Capability.RECORD_PAYMENT: _payment,
    Capability.REFUND: _refund,
}
