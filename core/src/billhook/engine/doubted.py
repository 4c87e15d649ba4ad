"""Outcomes that nobody knows: what was sent, when, and under which key, for a person to look up at the provider."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from billhook.contract.requests import Request
from billhook.engine.journal import Attempt, read_attempts
from billhook.engine.moments import from_micros
from billhook.engine.tables import WORK_COLUMNS
from billhook.engine.work import CLAIMED, WorkRow
from billhook.store import schema
from billhook.store.transaction import Transaction

IN_DOUBT = "in_doubt"

_operation, _work, _app = schema.operation, schema.work, schema.app


@dataclass(frozen=True, slots=True)
class SentStep:
    """One request of a doubted operation. ``key`` is the idempotency key that it carried; ``reply_status`` is None without an answer."""

    step: str
    method: str
    url: str
    body: bytes
    key: str | None
    sends: int
    first_sent_at: datetime | None
    reply_status: int | None


@dataclass(frozen=True, slots=True)
class DoubtedItem:
    """One item whose outcome nobody knows.

    ``document_id`` is the invoice, credit note, payment, refund or customer that it is about; ``subject_id`` the invoice that a payment or
    refund belongs to, else the same. ``since`` is when it was first sent: look there for what the provider did from then on.
    """

    document_id: str
    subject_id: str
    app_id: str
    operation: str
    operation_id: str
    reason: str
    since: datetime
    steps: tuple[SentStep, ...]


@dataclass(frozen=True, slots=True)
class StoredDoubt:
    """A doubted item as stored: its work, and the reason of its operation."""

    work: WorkRow
    operation_id: str
    reason: str
    created_at: int
    frozen: bytes


def read_doubts(tx: Transaction, namespace: str, document_id: str | None = None) -> list[StoredDoubt]:
    """Everything of the namespace that is in doubt, the oldest first; with ``document_id`` only what is about that document or its money."""
    columns = [_work.c[name] for name in WORK_COLUMNS]
    select = (
        sa.select(*columns, _operation.c.id, _operation.c.reason, _operation.c.created_at, _operation.c.frozen)
        .select_from(_app)
        .join(_operation, _operation.c.app_id == _app.c.id)
        .join(_work, sa.and_(_work.c.app_id == _app.c.id, _work.c.operation_id == _operation.c.id))
        .where(_app.c.namespace == namespace, _operation.c.status == IN_DOUBT, _work.c.state == CLAIMED)
        .order_by(_operation.c.id, _work.c.item_id)
    )
    if document_id is not None:
        select = select.where(sa.or_(_work.c.item_id == document_id, _work.c.subject_id == document_id))
    count = len(WORK_COLUMNS)
    return [StoredDoubt(WorkRow(*row[:count]), *row[count:]) for row in (tuple(found) for found in tx.all(select))]


def show_doubts(tx: Transaction, doubts: Sequence[StoredDoubt]) -> tuple[DoubtedItem, ...]:
    """The doubts with what was sent."""
    journals = read_attempts(tx, list(dict.fromkeys(doubt.operation_id for doubt in doubts)))
    return tuple(_shown(doubt, journals[doubt.operation_id]) for doubt in doubts)


def _shown(doubt: StoredDoubt, attempts: Sequence[Attempt]) -> DoubtedItem:
    unknown = [attempt.first_sent_at for attempt in attempts if attempt.unknown and attempt.first_sent_at is not None]
    return DoubtedItem(
        document_id=doubt.work.item_id,
        subject_id=doubt.work.subject_id,
        app_id=doubt.work.app_id,
        operation=doubt.work.operation,
        operation_id=doubt.operation_id,
        reason=doubt.reason,
        since=min(unknown, default=from_micros(doubt.created_at)),
        steps=tuple(_step(attempt) for attempt in attempts),
    )


def _step(attempt: Attempt) -> SentStep:
    step = attempt.step
    if isinstance(step, Request):
        method, url, body = step.method, step.url, step.body
    else:
        method, url, body = "CALL", step.function.name, b""
    return SentStep(
        step=step.step,
        method=method,
        url=url,
        body=body,
        key=attempt.key,
        sends=attempt.sends,
        first_sent_at=attempt.first_sent_at,
        reply_status=attempt.reply.status if attempt.reply else None,
    )
