"""Keeps the journal small: bodies of settled operations are compressed, later dropped; digests, verdicts and statuses stay."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

import sqlalchemy as sa

from billhook.engine.context import Context
from billhook.engine.inbox import WORKED
from billhook.engine.moments import to_micros
from billhook.engine.notifications.forgetting import delete_events, settled_events
from billhook.store import schema
from billhook.store.statements import Delete, Update
from billhook.store.transaction import Transaction

T = TypeVar("T")

CHUNK = 500
"""How many attempts or rows one transaction takes, so that nobody waits long for the writer."""
COMPRESS_AFTER = timedelta(days=1)
LEVEL = 6

_attempt, _operation, _app, _inbox, _late = (
    schema.attempt,
    schema.operation,
    schema.app,
    schema.inbox,
    schema.late_reply,
)

_BODIES = ("request", "body", "reply_headers", "reply_body")
# What was dropped since it was read must not come back.
_PACK = Update(
    _attempt, key=("id",), set=("request", "body", "reply_body", "packed"), where="packed = 0 AND length(request) > 0"
)
_DROP = Update(_attempt, key=("id",), set=(*_BODIES, "packed"))
_THAW = Update(_operation, key=("id",), set=("frozen",))
_DELETE_EVENTS = Delete(_inbox, key=("app_id", "event_id"))
_DELETE_LATE_REPLIES = Delete(_late, key=("id",))


@dataclass(frozen=True, slots=True)
class PruneResult:
    """What was pruned. Bytes are those of the bodies that were looked at, before and after."""

    attempts_compressed: int = 0
    attempts_pruned: int = 0
    bytes_before: int = 0
    bytes_after: int = 0
    operations_pruned: int = 0
    inbox_rows: int = 0
    late_replies: int = 0
    notification_events: int = 0


class Pruner:
    """Prunes one database. Nothing that is open or in doubt is touched, and a chunk that is done stays done."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def prune(
        self, older_than: timedelta, namespace: str | None = None, *, compress_after: timedelta = COMPRESS_AFTER
    ) -> PruneResult:
        """Drop the bodies of what was settled longer ago than ``older_than``, and compress those older than ``compress_after``.

        Worked webhook events, answers that came too late, and notifications that are on their way no more go as well once they are that
        old. Doing it again changes nothing.
        """
        now = self._context.clock.now()
        drop_before, pack_before = to_micros(now - older_than), to_micros(now - compress_after)
        dropped = self._in_chunks(_with_bodies(_settled(namespace, drop_before)), drop_bodies)
        packed = self._in_chunks(_unpacked(_settled(namespace, pack_before)), _pack)
        return PruneResult(
            attempts_compressed=packed.attempts,
            attempts_pruned=dropped.attempts,
            bytes_before=dropped.before + packed.before,
            bytes_after=dropped.after + packed.after,
            operations_pruned=self._remove(_frozen(namespace, drop_before), drop_frozen),
            inbox_rows=self._remove(_worked_events(namespace, drop_before), _delete_events),
            late_replies=self._remove(_late_replies(namespace, drop_before), _delete_late_replies),
            notification_events=self._remove(settled_events(namespace, drop_before), delete_events),
        )

    def _in_chunks(self, select: sa.Select[Any], change: Callable[[Transaction, Sequence[Any]], int]) -> _Chunk:
        whole = _Chunk()
        for rows in self._chunks(select, lambda row: _attempt.c.id > row.id):
            after = self._context.database.write(partial(_applied, change, rows))
            whole = whole + _Chunk(len(rows), sum(map(_bytes_of, rows)), after)
        return whole

    def _chunks(
        self, select: sa.Select[Any], behind: Callable[[Any], sa.ColumnElement[bool]]
    ) -> Iterator[Sequence[Any]]:
        """The rows in chunks, read outside the writer: a long search holds nobody up."""
        rows = self._read(select)
        while rows:
            yield rows
            rows = self._read(select.where(behind(rows[-1]))) if len(rows) == CHUNK else []

    def _read(self, select: sa.Select[Any]) -> Sequence[Any]:
        with self._context.database.read() as tx:
            return tx.all(select.limit(CHUNK))

    def _remove(self, select: sa.Select[Any], remove: Callable[[Transaction, Sequence[Any]], None]) -> int:
        removed = 0
        while rows := self._read(select):
            self._context.database.write(partial(_applied, remove, rows))
            removed += len(rows)
        return removed


@dataclass(frozen=True, slots=True)
class _Chunk:
    attempts: int = 0
    before: int = 0
    after: int = 0

    def __add__(self, other: _Chunk) -> _Chunk:
        return _Chunk(self.attempts + other.attempts, self.before + other.before, self.after + other.after)


def _applied(change: Callable[[Transaction, Sequence[Any]], T], rows: Sequence[Any], tx: Transaction) -> T:
    return change(tx, rows)


def drop_bodies(tx: Transaction, attempts: Sequence[Any]) -> int:
    """Leave of these attempts what says that they were, and how they ended. Returns the bytes that are left of them: none."""
    tx.update_many(
        _DROP, [(row.id, b"", b"", None if row.reply_headers is None else "[]", None, 0) for row in attempts]
    )
    return 0


def drop_frozen(tx: Transaction, operations: Sequence[Any]) -> None:
    """Leave nothing of what these operations were given."""
    tx.update_many(_THAW, [(row.id, b"") for row in operations])


def _settled(namespace: str | None, before: int) -> sa.Select[Any]:
    """Attempts of operations that were settled before that time, in the order of their ids."""
    columns = [_attempt.c[name] for name in ("id", *_BODIES, "packed")]
    select = (
        sa.select(*columns)
        .join(_operation, _operation.c.id == _attempt.c.operation_id)
        .where(_operation.c.status == "settled", _operation.c.settled_at < before)
        .order_by(_attempt.c.id)
    )
    return _of_namespace(select, _operation.c.app_id, namespace)


def _of_namespace(select: sa.Select[Any], app_id: sa.ColumnElement[str], namespace: str | None) -> sa.Select[Any]:
    return select if namespace is None else select.join(_app, _app.c.id == app_id).where(_app.c.namespace == namespace)


def _with_bodies(select: sa.Select[Any]) -> sa.Select[Any]:
    return select.where(sa.func.length(_attempt.c.request) > 0)


def _unpacked(select: sa.Select[Any]) -> sa.Select[Any]:
    return _with_bodies(select).where(_attempt.c.packed == 0)


def _bytes_of(row: Any) -> int:
    return len(row.request) + len(row.body) + len(row.reply_headers or "") + len(row.reply_body or b"")


def _pack(tx: Transaction, rows: Sequence[Any]) -> int:
    packed = [(row.id, *(_packed(data) for data in (row.request, row.body, row.reply_body)), 1) for row in rows]
    tx.update_many(_PACK, packed)
    sizes = [sum(len(data or b"") for data in row[1:4]) for row in packed]
    return sum(sizes) + sum(len(row.reply_headers or "") for row in rows)


def _packed(data: bytes | None) -> bytes | None:
    return zlib.compress(data, LEVEL) if data else data


def _frozen(namespace: str | None, before: int) -> sa.Select[Any]:
    select = sa.select(_operation.c.id).where(
        _operation.c.status == "settled", _operation.c.settled_at < before, sa.func.length(_operation.c.frozen) > 0
    )
    return _of_namespace(select, _operation.c.app_id, namespace)


def _worked_events(namespace: str | None, before: int) -> sa.Select[Any]:
    select = sa.select(_inbox.c.app_id, _inbox.c.event_id).where(
        _inbox.c.state == WORKED, _inbox.c.received_at < before
    )
    return _of_namespace(select, _inbox.c.app_id, namespace)


def _delete_events(tx: Transaction, rows: Sequence[Any]) -> None:
    tx.delete_many(_DELETE_EVENTS, [(row.app_id, row.event_id) for row in rows])


def _late_replies(namespace: str | None, before: int) -> sa.Select[Any]:
    select = (
        sa.select(_late.c.id)
        .join(_attempt, _attempt.c.id == _late.c.attempt_id)
        .join(_operation, _operation.c.id == _attempt.c.operation_id)
        .where(_operation.c.status == "settled", _late.c.received_at < before)
    )
    return _of_namespace(select, _operation.c.app_id, namespace)


def _delete_late_replies(tx: Transaction, rows: Sequence[Any]) -> None:
    tx.delete_many(_DELETE_LATE_REPLIES, [(row.id,) for row in rows])
