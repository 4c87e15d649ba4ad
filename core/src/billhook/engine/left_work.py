"""What is left to be done once nothing can be done now: so much at which app, from when it goes on, and why not before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from billhook.engine.beyond_providers import all_beyond, is_among
from billhook.engine.context import Context
from billhook.engine.held_documents import why_unusable
from billhook.engine.moments import maybe_from_micros, to_micros
from billhook.engine.records import AppStatus
from billhook.engine.work import CLAIMED, READY, WAITING, Lane
from billhook.store import schema
from billhook.store.transaction import Transaction

_app, _lease, _operation, _work = schema.app, schema.app_lease, schema.operation, schema.work


@dataclass(frozen=True, slots=True)
class LeftWork:
    """So many things to do at an app that go on by themselves, from when, and why not before. ``goes_on_at`` is None where nobody can say."""

    app_id: str
    app: str
    items: int
    goes_on_at: datetime | None
    reason: str


def left_work(context: Context, tx: Transaction, namespace: str) -> Iterator[LeftWork]:
    """What is left at the apps that may be called: first what is due and kept back, then what is due later. Not what nobody asked for,
    nor what only a provider or a caller can end, or another version of a provider."""
    now = to_micros(context.clock.now())
    held = is_among(all_beyond(context, tx, namespace))
    for row in tx.all(_by_app(namespace, now).where(~held)):
        if why_unusable(context, tx, row.id) is None:
            yield from _left(row, now)


def _left(row: Any, now: int) -> Iterator[LeftWork]:
    begun = int(row.due_now + row.begun)
    if begun:
        at, reason = _kept_back(row, now)
        yield LeftWork(row.id, row.name, begun + int(row.waiting), maybe_from_micros(at), reason)
    if row.later:
        at = max(row.later_at, *_blocks(row))
        yield LeftWork(row.id, row.name, int(row.later), maybe_from_micros(at), "The first of it is due then.")


def _kept_back(row: Any, now: int) -> tuple[int | None, str]:
    if row.owner is not None and row.expires_at > now:
        return None, "Another worker is at it."
    at = row.next_due if row.due_now else max(row.begun_at or 0, *_blocks(row)) or None
    if row.throttled_until is not None and row.throttled_until > now:
        return at, "Its provider asked to be left alone so long."
    if row.circuit_until is not None and row.circuit_until > now:
        return at, f"It gave no answer to the last {row.failures} requests. See why: billhook apps check {row.id}"
    if row.due_now and at is not None and at > now:
        return at, "A limit of its provider is used up."
    return at, row.reason or "It is due."


def _blocks(row: Any) -> tuple[int, int]:
    return row.throttled_until or 0, row.circuit_until or 0


def _by_app(namespace: str, now: int) -> sa.Select[Any]:
    is_open = sa.and_(_work.c.state == CLAIMED, _operation.c.status == "open", _operation.c.faults == 0)
    is_due = sa.and_(_work.c.state == READY, _work.c.due <= now)
    is_later = sa.and_(_work.c.state == READY, _work.c.due > now)
    gives_up = sa.and_(_work.c.give_up_at.is_not(None), _work.c.due >= _work.c.give_up_at)
    app = (_app.c.id, _app.c.name)
    lease = tuple(
        _lease.c[name] for name in ("owner", "expires_at", "next_due", "throttled_until", "circuit_until", "failures")
    )
    return (
        sa.select(
            *app,
            *lease,
            _count(is_due).label("due_now"),
            _count(is_open).label("begun"),
            _count(_work.c.state == WAITING).label("waiting"),
            _count(is_later).label("later"),
            sa.func.min(sa.case((is_later, _work.c.due))).label("later_at"),
            sa.func.min(sa.case((is_open, _operation.c.due))).label("begun_at"),
            sa.func.max(sa.case((is_open, _operation.c.reason))).label("reason"),
        )
        .select_from(
            _work.join(_app, _app.c.id == _work.c.app_id)
            .join(_lease, _lease.c.app_id == _app.c.id)
            .outerjoin(_operation, _operation.c.id == _work.c.operation_id)
        )
        .where(_app.c.namespace == namespace, _app.c.enabled == 1, _app.c.status == AppStatus.READY.value)
        .where(_work.c.lane != Lane.UNASKED, ~gives_up)
        .group_by(*app, *lease)
        .order_by(_app.c.id)
    )


def _count(wanted: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
    return sa.func.sum(sa.case((wanted, 1), else_=0))
